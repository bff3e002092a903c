/* The supervisor's connections: accepted, lent to a worker, answered for. See hs_supervisor.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "serve/hs_supervisor_state.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_AT_ONCE 16
#define PAUSE_NS        50000000u /* no descriptor, or too many strangers: look again then */
#define LOST_TEXT       "the worker was lost"
#define ERRORS_BYTES    (HS_LEDGER_IDS * 256u) /* an error frame with that text is below 128 bytes */

static void conn_free(struct supervisor *s, uint32_t slot)
{
    struct sup_conn *c = &s->conns[slot];
    if (c->held == SUP_FREE)
        return;
    shutdown(c->fd, SHUT_RDWR);
    close(c->fd);
    *c = (struct sup_conn){.fd = -1};
    hs_slot_clear(&s->ledger->slots[slot]);
}

void sup_closed(struct supervisor *s, uint32_t slot)
{
    if (slot < s->config.max_connections && s->conns[slot].held == SUP_GIVEN &&
        atomic_load(&s->ledger->slots[slot].taken) == HS_TAKEN_CLOSED)
        conn_free(s, slot);
}


/* ---- accept ---- */

static uint32_t conn_strangers(const struct supervisor *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->config.max_connections; i++)
        n += s->conns[i].held != SUP_FREE && !atomic_load_explicit(&s->ledger->slots[i].open, memory_order_relaxed);
    return n;
}

bool sup_accepts(struct supervisor *s, uint64_t now_ns, uint64_t *again_ns)
{
    if (s->config.listener < 0 || s->stops)
        return false;
    if (s->accept_ns <= now_ns && conn_strangers(s) >= s->config.max_strangers)
        s->accept_ns = now_ns + PAUSE_NS;
    if (s->accept_ns > now_ns) {
        *again_ns = s->accept_ns < *again_ns ? s->accept_ns : *again_ns;
        return false;
    }
    return true;
}

static void conn_turn_away(struct supervisor *s, int fd, uint32_t code, const char *text)
{
    uint8_t frame[512];
    struct hs_error e = {0};
    HS_SET(&e, error, code, code);
    HS_SET(&e, error, message, (struct hs_bytes){text, strlen(text)});
    size_t n = hs_binary_encode(&s->kernels, &hs_messages[HS_M_error], &e, frame, sizeof frame);
    if (n)
        (void)!send(fd, frame, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    /* closed when others have been turned away, so that its hello does not break before it has read why */
    shutdown(fd, SHUT_WR);
    hb_os_handle_close(s->turned_away[s->n_turned_away % SUP_TURNED_AWAY]);
    s->turned_away[s->n_turned_away++ % SUP_TURNED_AWAY] = fd;
}

static void conn_linger_over(struct supervisor *s)
{
    for (uint32_t i = 0; i < SUP_TURNED_AWAY; i++) {
        hb_os_handle_close(s->turned_away[i]);
        s->turned_away[i] = -1;
    }
}

static void conn_accepted(struct supervisor *s, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    uint32_t slot = 0;
    while (slot < s->config.max_connections && s->conns[slot].held != SUP_FREE)
        slot++;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        conn_turn_away(s, fd, 500, "who you are is not known");
    } else if (!s->config.any_user && peer.uid != s->uid && peer.uid != 0) {
        conn_turn_away(s, fd, 401, "this server is for another user");
    } else if (slot == s->config.max_connections) {
        conn_turn_away(s, fd, 503, "too many connections");
    } else {
        hs_slot_clear(&s->ledger->slots[slot]);
        s->conns[slot] = (struct sup_conn){fd, SUP_HELD, peer.uid};
    }
}

void sup_accept(struct supervisor *s, uint64_t now_ns)
{
    uint64_t again;
    sup_sweep(s, false);
    for (int i = 0; i < ACCEPTS_AT_ONCE && sup_accepts(s, now_ns, &again); i++) {
        int fd = accept4(s->config.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            conn_accepted(s, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN) { /* no descriptor, no memory: the listener would wake us at once and in vain */
            sup_log(s, "event=accept_failed error=\"%s\"", strerror(errno));
            s->accept_ns = now_ns + PAUSE_NS;
        }
        return;
    }
}

void sup_sweep(struct supervisor *s, bool quiet)
{
    for (uint32_t i = 0; i < s->config.max_connections; i++)
        sup_closed(s, i);
    if (quiet)
        conn_linger_over(s);
}

/* ---- to a worker ---- */

bool sup_hand_over(struct supervisor *s)
{
    if (s->control < 0)
        return true;
    for (uint32_t i = 0; i < s->config.max_connections; i++) {
        struct sup_conn *c = &s->conns[i];
        const struct hs_control m = {.kind = HS_CONTROL_CONNECTION, .slot = i, .uid = c->uid};
        if (c->held != SUP_HELD)
            continue;
        if (!hs_control_send(s->control, &m, c->fd))
            return false;
        c->held = SUP_GIVEN;
    }
    return true;
}

/* ---- from a worker that is no more ---- */

/* All of the frames, or the client reads too slowly to be told anything. */
static bool conn_tell(struct supervisor *s, struct sup_conn *c, const struct hs_slot *slot)
{
    size_t n = hs_slot_errors(slot, &s->kernels, LOST_TEXT, s->frames, ERRORS_BYTES), done = 0;
    if (n == 0)
        return atomic_load(&slot->listed) == 0;
    while (done < n) {
        ssize_t k = send(c->fd, s->frames + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        done += (size_t)k;
    }
    return true;
}

uint32_t sup_worker_lost(struct supervisor *s, bool keep)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->config.max_connections; i++) {
        struct sup_conn *c = &s->conns[i];
        struct hs_slot *slot = &s->ledger->slots[i];
        if (c->held == SUP_FREE || (c->held == SUP_HELD && keep))
            continue;
        uint32_t taken = c->held == SUP_GIVEN ? atomic_load(&slot->taken) : HS_TAKEN_NOT;
        enum hs_verdict verdict = hs_slot_verdict(slot);
        bool goes_on = keep && (taken == HS_TAKEN_NOT || (taken == HS_TAKEN_YES && verdict == HS_SLOT_GIVE));
        if (taken == HS_TAKEN_YES && verdict != HS_SLOT_CLOSE) {
            n += (uint32_t)__builtin_popcountll(atomic_load(&slot->listed));
            goes_on &= conn_tell(s, c, slot);
        }
        if (!goes_on) {
            conn_free(s, i);
            continue;
        }
        hs_slot_settle(slot);
        c->held = SUP_HELD;
    }
    return n;
}
