/* The loop of the server: see hs_server.h. */
#define _GNU_SOURCE
#include "serve/hs_server.h"
#include "base/hb_error.h"
#include "base/os/hb_os.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER_EVENTS   64
#define SERVER_WATCHES  4
#define SERVER_ACCEPTS  16          /* in one turn */
#define SERVER_PAUSE_NS 100000000u  /* no accepting after the system refused a descriptor */

struct server_conn {
    struct hs_conn conn;
    int fd;
    uint32_t slot; /* of the supervisor's ledger, if there is one */
    uint32_t events; /* asked of epoll */
};

struct hs_server {
    struct hs_server_config config;
    struct hs_conn_host host;
    int epoll, wake, listener;
    bool own_listener, listening;
    uint64_t accept_ns;          /* not before */
    struct server_conn **conns;  /* [n_conns], places up to limits.connections */
    uint32_t n_conns;
    struct hs_watch watches[SERVER_WATCHES];
    uint32_t n_watches;
    _Atomic uint32_t stops;
    uint64_t drain_ns;           /* until then; 0: not draining */
    uint64_t accepted, refused, received, sent;
};

/* What an event is about: a tag in the pointer's place for descriptors that are no connection. */
enum { SERVER_LISTENER = 1, SERVER_WAKE = 2, SERVER_WATCH = 16 };

static int server_control(struct hs_server *s, int op, int fd, uint32_t events, void *about)
{
    struct epoll_event ev = {.events = events, .data.ptr = about};
    return epoll_ctl(s->epoll, op, fd, &ev);
}

static int server_tagged(struct hs_server *s, int fd, uintptr_t tag)
{
    return server_control(s, EPOLL_CTL_ADD, fd, EPOLLIN, (void *)tag);
}

/* ---- connections ---- */

static void server_drop(struct hs_server *s, uint32_t i, uint64_t now_ns)
{
    struct server_conn *c = s->conns[i];
    hs_conn_close(&c->conn, now_ns);
    if (c->conn.slot) { /* the supervisor has it too: closing alone would end neither it nor its events */
        server_control(s, EPOLL_CTL_DEL, c->fd, 0, NULL);
        shutdown(c->fd, SHUT_RDWR);
    }
    close(c->fd);
    if (c->conn.slot)
        hs_worker_closed(s->config.worker, c->slot);
    free(c);
    s->conns[i] = s->conns[--s->n_conns];
    s->accept_ns = 0; /* there is a descriptor again */
}

static hearth_status server_adopt(struct hs_server *s, int fd, uint32_t uid, const uint32_t *slot, hearth_error *err)
{
    struct server_conn *c = calloc(1, sizeof *c);
    hearth_status status = c ? HEARTH_OK : hb_fail(err, HEARTH_E_MEMORY, "connection: no memory");
    if (status == HEARTH_OK && s->n_conns == s->host.limits.connections)
        status = hb_fail(err, HEARTH_E_LIMIT, "%u connections; no more are accepted", s->n_conns);
    if (status == HEARTH_OK)
        status = hs_conn_open(&c->conn, &s->host, uid, hb_os_now_ns(), err);
    if (status == HEARTH_OK) {
        if (slot) {
            c->slot = *slot;
            hs_conn_resume(&c->conn, hs_worker_slot(s->config.worker, *slot));
        }
        c->fd = fd;
        c->events = EPOLLIN | EPOLLRDHUP;
        if (server_control(s, EPOLL_CTL_ADD, fd, c->events, c) == 0) {
            s->conns[s->n_conns++] = c;
            return HEARTH_OK;
        }
        status = hb_fail(err, HEARTH_E_IO, "epoll: %s", strerror(errno));
        hs_conn_close(&c->conn, hb_os_now_ns());
    }
    free(c);
    close(fd);
    return status;
}

hearth_status hs_server_adopt(struct hs_server *s, int fd, uint32_t uid, hearth_error *err)
{
    return server_adopt(s, fd, uid, NULL, err);
}

/* Told before the connection is anything: in the newest form, which says itself what it is. */
static void server_turn_away(struct hs_server *s, int fd, uint32_t code, const char *text)
{
    uint8_t frame[512];
    struct hs_error e = {0};
    HS_SET(&e, error, code, code);
    HS_SET(&e, error, message, (struct hs_bytes){text, strlen(text)});
    const struct hs_message *m = &hs_messages[HS_M_error];
    size_t n = s->host.max_version == 1 ? hs_json_encode(&s->host.kernels, m, &e, frame, sizeof frame)
                                        : hs_binary_encode(&s->host.kernels, m, &e, frame, sizeof frame);
    if (n)
        (void)!send(fd, frame, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
    s->refused++;
}

static void server_accept_one(struct hs_server *s, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        server_turn_away(s, fd, 500, "who you are is not known");
    else if (peer.uid != s->host.owner_uid && peer.uid != 0)
        server_turn_away(s, fd, 401, "this server is for another user");
    else if (s->n_conns == s->host.limits.connections)
        server_turn_away(s, fd, 503, "too many connections");
    else if (hs_server_adopt(s, fd, peer.uid, NULL) == HEARTH_OK)
        s->accepted++;
}

static void server_accept(struct hs_server *s, uint64_t now_ns)
{
    for (int i = 0; i < SERVER_ACCEPTS && s->host.n_strangers < s->host.limits.strangers; i++) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            server_accept_one(s, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN)
            s->accept_ns = now_ns + SERVER_PAUSE_NS; /* no descriptor, no memory: later */
        return;
    }
}

/* The listener is looked at while there is room for strangers. */
static void server_listen(struct hs_server *s, uint64_t now_ns)
{
    bool want = s->listener >= 0 && !s->drain_ns && now_ns >= s->accept_ns &&
                s->host.n_strangers < s->host.limits.strangers;
    if (want == s->listening)
        return;
    s->listening = want;
    server_control(s, EPOLL_CTL_MOD, s->listener, want ? EPOLLIN : 0, (void *)(uintptr_t)SERVER_LISTENER);
}

static void server_receive(struct hs_server *s, struct server_conn *c, uint64_t now_ns, bool hung_up)
{
    for (int i = 0; i < 16; i++) { /* others are to be heard too */
        uint8_t *at;
        size_t room = hs_conn_room(&c->conn, &at);
        if (room == 0)
            return;
        struct iovec part = {at, room};
        struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1}; /* no place for descriptors: the kernel drops them */
        ssize_t n = recvmsg(c->fd, &head, MSG_CMSG_CLOEXEC);
        if (n > 0 && (head.msg_flags & MSG_CTRUNC)) {
            hs_conn_refuse(&c->conn, 400, "descriptors were sent; bytes are accepted", now_ns);
            return;
        }
        if (n > 0) {
            s->received += (uint64_t)n;
            hs_conn_took(&c->conn, (size_t)n, now_ns);
            if ((size_t)n < room)
                return;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            hs_conn_took(&c->conn, 0, now_ns);
            return;
        }
        hs_conn_ended(&c->conn, now_ns, n < 0 || hung_up);
        return;
    }
}

static void server_send(struct hs_server *s, struct server_conn *c, uint64_t now_ns)
{
    const uint8_t *at;
    size_t left;
    while ((left = hs_conn_pending(&c->conn, &at)) > 0) {
        hs_conn_sending(&c->conn, left);
        ssize_t n = send(c->fd, at, left, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            hs_conn_ended(&c->conn, now_ns, true);
            return;
        }
        if (n > 0)
            s->sent += (uint64_t)n;
        hs_conn_sent(&c->conn, n > 0 ? (size_t)n : 0, now_ns);
        if (n < 0)
            return;
        hs_conn_continue(&c->conn, now_ns);
    }
}

static void server_want(struct hs_server *s, struct server_conn *c)
{
    const uint8_t *at;
    uint32_t events = (hs_conn_reads(&c->conn) ? EPOLLIN : 0) | (hs_conn_pending(&c->conn, &at) ? EPOLLOUT : 0);
    if (events == c->events)
        return;
    c->events = events;
    server_control(s, EPOLL_CTL_MOD, c->fd, events, c);
}

/* ---- the supervisor ---- */

static void server_given(struct hs_server *s, const struct hs_control *m, int fd)
{
    /* no descriptor: this process has no place for one more */
    if (fd >= 0 && server_adopt(s, fd, m->uid, &m->slot, NULL) == HEARTH_OK)
        s->accepted++;
    else
        hs_worker_closed(s->config.worker, m->slot); /* which ends it there */
}

static void server_control_ready(void *user, uint64_t now_ns)
{
    struct hs_server *s = user;
    const struct hs_worker *w = s->config.worker;
    struct hs_control m;
    int fd, rc = 0;
    (void)now_ns;
    for (int i = 0; i < SERVER_EVENTS && (rc = hs_control_recv(w->control, &m, &fd)) == 1; i++) {
        if (m.kind == HS_CONTROL_CONNECTION) {
            server_given(s, &m, fd);
            continue;
        }
        if (m.kind == HS_CONTROL_PING)
            atomic_store(&w->ledger->pong, m.number);
        else if (m.kind == HS_CONTROL_DRAIN)
            hs_server_stop(s);
        hb_os_handle_close(fd);
    }
    if (rc < 0) { /* nobody is there whom it could serve */
        hs_server_stop(s);
        hs_server_stop(s);
    }
}

static hearth_status server_supervised(struct hs_server *s, hearth_error *err)
{
    const struct hs_watch watch = {.fd = s->config.worker->control, .ready = server_control_ready, .user = s};
    return hs_server_watch(s, &watch, err);
}

/* ---- the loop ---- */

static uint64_t server_deadline(const struct hs_server *s)
{
    uint64_t at = hs_engine_wake_ns(s->config.engine), d;
    for (uint32_t i = 0; i < s->n_conns; i++)
        at = (d = hs_conn_deadline(&s->conns[i]->conn)) < at ? d : at;
    for (uint32_t i = 0; i < s->n_watches; i++)
        if (s->watches[i].deadline && (d = s->watches[i].deadline(s->watches[i].user)) < at)
            at = d;
    if (s->accept_ns && s->accept_ns < at)
        at = s->accept_ns;
    return s->drain_ns && s->drain_ns < at ? s->drain_ns : at;
}

static int server_timeout(const struct hs_server *s, bool busy)
{
    uint64_t at = server_deadline(s), now = hb_os_now_ns();
    if (busy || at <= now)
        return 0;
    return at - now > 60000000000u ? 60000 : (int)((at - now) / 1000000 + 1);
}

static void server_event(struct hs_server *s, const struct epoll_event *ev, uint64_t now_ns)
{
    uintptr_t tag = (uintptr_t)ev->data.ptr;
    if (tag == SERVER_LISTENER) {
        server_accept(s, now_ns);
    } else if (tag == SERVER_WAKE) {
        uint64_t n;
        (void)!read(s->wake, &n, sizeof n);
    } else if (tag < SERVER_WATCH + SERVER_WATCHES) {
        const struct hs_watch *w = &s->watches[tag - SERVER_WATCH];
        w->ready(w->user, now_ns);
    } else {
        struct server_conn *c = ev->data.ptr;
        bool hung_up = (ev->events & (EPOLLHUP | EPOLLERR)) != 0;
        if (ev->events & EPOLLIN)
            server_receive(s, c, now_ns, hung_up);
        if (hung_up && c->conn.phase != HS_CLOSING)
            hs_conn_ended(&c->conn, now_ns, true);
        else if (hung_up)
            c->conn.broken = true;
    }
}

static void server_watches(struct hs_server *s, uint64_t now_ns)
{
    for (uint32_t i = 0; i < s->n_watches; i++) {
        const struct hs_watch *w = &s->watches[i];
        if (w->always || (w->deadline && w->deadline(w->user) <= now_ns))
            w->ready(w->user, now_ns);
    }
}

/* Send what there is, look at clocks, close what is over. */
static void server_tend(struct hs_server *s, uint64_t now_ns)
{
    for (uint32_t i = s->n_conns; i-- > 0;) {
        struct server_conn *c = s->conns[i];
        server_send(s, c, now_ns);
        hs_conn_tick(&c->conn, now_ns);
        server_send(s, c, now_ns);
        if (hs_conn_over(&c->conn))
            server_drop(s, i, now_ns);
        else
            server_want(s, c);
    }
}

/* true: it is over. */
static bool server_drain(struct hs_server *s, uint64_t now_ns)
{
    const uint8_t *at;
    uint32_t stops = atomic_load_explicit(&s->stops, memory_order_relaxed);
    if (stops == 0)
        return false;
    if (!s->drain_ns)
        s->drain_ns = now_ns + (uint64_t)s->host.limits.drain_ms * 1000000u;
    if (stops > 1)
        s->drain_ns = now_ns;
    if (!hs_engine_drain(s->config.engine, now_ns, s->drain_ns))
        return false;
    bool left = false;
    for (uint32_t i = 0; i < s->n_conns; i++) {
        server_send(s, s->conns[i], now_ns);
        left = left || hs_conn_pending(&s->conns[i]->conn, &at) > 0;
    }
    for (uint32_t i = 0; i < s->n_watches; i++)
        left = left || (s->watches[i].busy && s->watches[i].busy(s->watches[i].user));
    return !left || now_ns >= s->drain_ns + (uint64_t)s->host.limits.linger_ms * 1000000u;
}

hearth_status hs_server_run(struct hs_server *s, hearth_error *err)
{
    struct epoll_event events[SERVER_EVENTS];
    bool busy = false;
    for (;;) {
        uint64_t now = hb_os_now_ns();
        server_listen(s, now);
        int n = epoll_wait(s->epoll, events, SERVER_EVENTS, server_timeout(s, busy));
        if (n < 0 && errno != EINTR)
            return hb_fail(err, HEARTH_E_IO, "epoll_wait: %s", strerror(errno));
        now = hb_os_now_ns();
        for (int i = 0; i < n; i++)
            server_event(s, &events[i], now);
        busy = hs_engine_step(s->config.engine, now);
        server_watches(s, now);
        server_tend(s, hb_os_now_ns());
        if (server_drain(s, hb_os_now_ns()))
            return HEARTH_OK;
    }
}

void hs_server_stop(struct hs_server *s)
{
    uint64_t one = 1;
    atomic_fetch_add_explicit(&s->stops, 1, memory_order_relaxed);
    (void)!write(s->wake, &one, sizeof one);
}

/* ---- opening and closing ---- */

hearth_status hs_server_watch(struct hs_server *s, const struct hs_watch *watch, hearth_error *err)
{
    if (s->n_watches == SERVER_WATCHES)
        return hb_fail(err, HEARTH_E_FULL, "%d descriptors are watched; no more are accepted", SERVER_WATCHES);
    if (server_tagged(s, watch->fd, SERVER_WATCH + s->n_watches) != 0)
        return hb_fail(err, HEARTH_E_IO, "epoll: %s", strerror(errno));
    s->watches[s->n_watches++] = *watch;
    return HEARTH_OK;
}

void hs_server_get_stats(const struct hs_server *s, struct hs_server_stats *stats)
{
    const struct hs_conn_host *h = &s->host;
    *stats = (struct hs_server_stats){s->n_conns, h->n_strangers, s->accepted, s->refused, h->n_messages, h->n_bad,
                                      h->n_refused_tokens, h->n_stalled, h->n_timed_out, s->received, s->sent};
}

static void server_host(struct hs_server *s)
{
    const struct hs_server_config *c = &s->config;
    s->host = (struct hs_conn_host){.engine = c->engine, .auth = c->auth, .owner_uid = geteuid(),
                                    .min_version = HEARTH_WITH_JSON ? 1 : 2,
                                    .max_version = c->max_version ? c->max_version : 2,
                                    .limits = c->limits ? *c->limits : hs_limits_default, .name = c->name ? c->name : "hearth"};
    if (!HEARTH_WITH_V2)
        s->host.max_version = 1;
    hk_select(&s->host.kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    hb_arena_init_growing(&s->host.scratch, hb_os_heap());
}

static hearth_status server_fill(struct hs_server *s, hearth_error *err)
{
    const struct hs_server_config *c = &s->config;
    s->conns = calloc(s->host.limits.connections, sizeof *s->conns);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!s->conns || s->epoll < 0 || s->wake < 0)
        return hb_fail(err, HEARTH_E_IO, "server: %s", strerror(errno));
    if (c->path) {
        HB_TRY(hs_listen(c->path, &s->listener, err));
        s->own_listener = true;
    }
    s->listening = s->listener >= 0;
    if (server_tagged(s, s->wake, SERVER_WAKE) != 0 ||
        (s->listening && server_tagged(s, s->listener, SERVER_LISTENER) != 0))
        return hb_fail(err, HEARTH_E_IO, "epoll: %s", strerror(errno));
    return c->worker && c->worker->ledger ? server_supervised(s, err) : HEARTH_OK;
}

hearth_status hs_server_open(const struct hs_server_config *config, struct hs_server **out, hearth_error *err)
{
    struct hs_server *s = calloc(1, sizeof *s);
    if (!s)
        return hb_fail(err, HEARTH_E_MEMORY, "server: no memory");
    s->config = *config;
    s->epoll = s->wake = -1;
    s->listener = config->path ? -1 : config->listener;
    server_host(s);
    hearth_status status = server_fill(s, err);
    if (status != HEARTH_OK) {
        hs_server_close(s);
        return status;
    }
    *out = s;
    return HEARTH_OK;
}

void hs_server_close(struct hs_server *s)
{
    if (!s)
        return;
    while (s->n_conns > 0)
        server_drop(s, s->n_conns - 1, hb_os_now_ns());
    if (s->own_listener) {
        hs_unlisten(s->config.path, s->listener);
        close(s->listener);
    }
    if (s->wake >= 0)
        close(s->wake);
    if (s->epoll >= 0)
        close(s->epoll);
    hb_arena_release(&s->host.scratch);
    free(s->conns);
    free(s);
}
