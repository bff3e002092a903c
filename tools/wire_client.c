#include "wire_client.h"
#include "base/hb_error.h"
#include "base/os/hb_os.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WIRE_TIMEOUT_MS 10000u
#define WIRE_RETRY_MS   50 /* between attempts to connect */

struct wire_buffer {
    uint8_t *at;
    size_t from, to, capacity; /* bytes from..to are not yet sent, or not yet taken */
};

struct wc {
    struct wc_config config;
    int fd;
    unsigned version;
    struct hk_table kernels;
    struct hb_arena arena; /* what the JSON decoder makes */
    struct wire_buffer in, out;
    size_t taken; /* bytes of `in` behind which the next frame begins, when the last message is done with */
    size_t max_frame;
    uint64_t last_id, *flying;
    size_t n_flying, flying_capacity;
    char session[65], server[65];
    struct wc_stats stats;
};

/* ---- ids in flight ---- */

static hearth_status wire_fly(struct wc *w, uint64_t id, hearth_error *err)
{
    if (w->n_flying == w->flying_capacity) {
        size_t n = w->flying_capacity ? 2 * w->flying_capacity : 32;
        uint64_t *grown = realloc(w->flying, n * sizeof *grown);
        if (!grown)
            return hb_fail(err, HEARTH_E_MEMORY, "no memory for %zu requests in flight", n);
        w->flying = grown;
        w->flying_capacity = n;
    }
    w->flying[w->n_flying++] = id;
    return HEARTH_OK;
}

static bool wire_flies(const struct wc *w, uint64_t id, size_t *at)
{
    for (*at = 0; *at < w->n_flying; ++*at)
        if (w->flying[*at] == id)
            return true;
    return false;
}

bool wc_terminal(const struct hs_message *m)
{
    return m->from == HS_FROM_S && m != &hs_messages[HS_M_welcome] && m != &hs_messages[HS_M_chunk];
}

/* Every message but hello and welcome has its id as field 1. */
static const uint64_t *wire_id_of(const struct hs_message *m, const void *msg)
{
    bool has = m->n_fields && strcmp(m->fields[0].name, "id") == 0 && (*(const uint32_t *)msg >> 1 & 1);
    return has ? (const uint64_t *)(const void *)((const uint8_t *)msg + m->fields[0].offset) : NULL;
}

uint64_t wc_id(const struct hs_message *m, const union hs_any *msg)
{
    const uint64_t *id = wire_id_of(m, msg);
    return id ? *id : 0;
}

/* false: a message that nobody waits for. An error without an id is of the connection. */
static bool wire_wanted(struct wc *w, const struct hs_message *m, const union hs_any *msg)
{
    const uint64_t *id = wire_id_of(m, msg);
    size_t at;
    if (!id)
        return true;
    bool flies = wire_flies(w, *id, &at);
    if (!flies && wc_terminal(m))
        w->stats.doubles++;
    else if (!flies)
        w->stats.strays++;
    else if (wc_terminal(m))
        w->flying[at] = w->flying[--w->n_flying];
    return flies;
}

/* ---- buffers ---- */

static hearth_status wire_room(struct wire_buffer *b, size_t need, hearth_error *err)
{
    if (b->from) {
        memmove(b->at, b->at + b->from, b->to - b->from);
        b->to -= b->from;
        b->from = 0;
    }
    if (b->capacity - b->to >= need)
        return HEARTH_OK;
    size_t n = b->capacity ? b->capacity : 4096;
    while (n - b->to < need)
        n *= 2;
    uint8_t *grown = realloc(b->at, n);
    if (!grown)
        return hb_fail(err, HEARTH_E_MEMORY, "no memory for %zu bytes of messages", n);
    b->at = grown;
    b->capacity = n;
    return HEARTH_OK;
}

static hearth_status wire_lost(struct wc *w, const char *what, hearth_error *err)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    return hb_fail(err, HEARTH_E_IO, "%s: %s", w->config.path, what);
}

hearth_status wc_queue(struct wc *w, enum hs_index message, const void *msg, hearth_error *err)
{
    const struct hs_message *m = &hs_messages[message];
    size_t bound = w->version == 1 ? hs_json_bound(m, msg) : hs_binary_bound(m, msg);
    if (w->fd < 0)
        return hb_fail(err, HEARTH_E_STATE, "%s: not connected", w->config.path);
    HB_TRY(wire_room(&w->out, bound, err));
    uint8_t *at = w->out.at + w->out.to;
    size_t len = w->version == 1 ? hs_json_encode(&w->kernels, m, msg, at, bound)
                                 : hs_binary_encode(&w->kernels, m, msg, at, bound);
    if (len == 0 || len - HS_FRAME_HEAD > w->max_frame)
        return hb_fail(err, HEARTH_E_LIMIT, "%s of %zu bytes; the server takes %zu", m->name,
                       len ? len - HS_FRAME_HEAD : bound, w->max_frame);
    const uint64_t *id = wire_id_of(m, msg);
    if (id && message != HS_M_cancel)
        HB_TRY(wire_fly(w, *id, err));
    w->out.to += len;
    return HEARTH_OK;
}

bool wc_unsent(const struct wc *w)
{
    return w->out.from < w->out.to;
}

hearth_status wc_flush(struct wc *w, hearth_error *err)
{
    while (wc_unsent(w)) {
        ssize_t n = send(w->fd, w->out.at + w->out.from, w->out.to - w->out.from, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return HEARTH_OK;
        if (n < 0 && errno != EINTR)
            return wire_lost(w, strerror(errno), err);
        w->out.from += n > 0 ? (size_t)n : 0;
    }
    w->out.from = w->out.to = 0;
    return HEARTH_OK;
}

/* Length of the frame that begins at `from`; 0: its head is not there yet. */
static size_t wire_frame(const struct wire_buffer *b)
{
    if (b->to - b->from < HS_FRAME_HEAD)
        return 0;
    const uint8_t *p = b->at + b->from;
    return (size_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24) + HS_FRAME_HEAD;
}

hearth_status wc_fill(struct wc *w, hearth_error *err)
{
    w->in.from += w->taken;
    w->taken = 0;
    if (w->in.from == w->in.to)
        w->in.from = w->in.to = 0;
    size_t frame = wire_frame(&w->in), there = w->in.to - w->in.from;
    HB_TRY(wire_room(&w->in, frame > there && frame <= HS_MAX_FRAME + HS_FRAME_HEAD ? frame - there : 4096, err));
    ssize_t n;
    do
        n = recv(w->fd, w->in.at + w->in.to, w->in.capacity - w->in.to, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return HEARTH_OK;
    if (n <= 0)
        return wire_lost(w, n ? strerror(errno) : "the server closed the connection", err);
    w->in.to += (size_t)n;
    return HEARTH_OK;
}

static hearth_status wire_decode(struct wc *w, const uint8_t *body, size_t len, const struct hs_message **m,
                                 union hs_any *msg, hearth_error *err)
{
    hb_arena_clear(&w->arena);
    if (body[0] == '{')
        return hs_json_decode(body, len, &w->arena, m, msg, err);
    *m = hs_message_by_number(body[0]);
    if (!*m)
        return hb_fail(err, HEARTH_E_FORMAT, "message number %u, which is none", body[0]);
    return hs_binary_decode(*m, body + 1, len - 1, msg, err);
}

hearth_status wc_next(struct wc *w, const struct hs_message **m, union hs_any *msg, hearth_error *err)
{
    for (;;) {
        w->in.from += w->taken;
        w->taken = 0;
        *m = NULL;
        size_t frame = wire_frame(&w->in);
        if (frame > HS_MAX_FRAME + HS_FRAME_HEAD || frame == HS_FRAME_HEAD)
            return hb_fail(err, HEARTH_E_FORMAT, "%s: a frame of %zu bytes; 1 to %u are accepted", w->config.path,
                           frame - HS_FRAME_HEAD, HS_MAX_FRAME);
        if (frame == 0 || frame > w->in.to - w->in.from)
            return HEARTH_OK;
        w->taken = frame;
        HB_TRY(wire_decode(w, w->in.at + w->in.from + HS_FRAME_HEAD, frame - HS_FRAME_HEAD, m, msg, err));
        if ((*m)->from != HS_FROM_S)
            return hb_fail(err, HEARTH_E_FORMAT, "%s: %s, which is a client's message", w->config.path, (*m)->name);
        if (wire_wanted(w, *m, msg))
            return HEARTH_OK;
    }
}

/* ---- waiting ---- */

/* deadline_ns 0: none. */
static hearth_status wire_wait(struct wc *w, short events, uint64_t deadline_ns, hearth_error *err)
{
    struct pollfd p = {w->fd, events, 0};
    uint64_t now = hb_os_now_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec ts = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    if (w->fd < 0)
        return hb_fail(err, HEARTH_E_STATE, "%s: not connected", w->config.path);
    int n = ppoll(&p, 1, deadline_ns ? &ts : NULL, NULL);
    if (n < 0 && errno == EINTR)
        return hb_fail(err, HEARTH_E_CANCELLED, "stopped by a signal");
    if (n < 0)
        return wire_lost(w, strerror(errno), err);
    return n ? HEARTH_OK : hb_fail(err, HEARTH_E_DEADLINE, "%s: the server did not answer in time", w->config.path);
}

static uint64_t wire_until(const struct wc *w)
{
    return hb_os_now_ns() + (uint64_t)w->config.timeout_ms * 1000000u;
}

hearth_status wc_send(struct wc *w, enum hs_index message, const void *msg, hearth_error *err)
{
    uint64_t until = wire_until(w);
    HB_TRY(wc_queue(w, message, msg, err));
    for (;;) {
        HB_TRY(wc_flush(w, err));
        if (!wc_unsent(w))
            return HEARTH_OK;
        hearth_status status = wire_wait(w, POLLOUT, until, err);
        if (status != HEARTH_OK && status != HEARTH_E_CANCELLED) /* a frame is sent whole or not at all */
            return status;
    }
}

hearth_status wc_receive(struct wc *w, int64_t timeout_ms, const struct hs_message **m, union hs_any *msg,
                         hearth_error *err)
{
    uint64_t until = timeout_ms < 0 ? 0 : hb_os_now_ns() + (uint64_t)timeout_ms * 1000000u;
    for (;;) {
        HB_TRY(wc_next(w, m, msg, err));
        if (*m)
            return HEARTH_OK;
        HB_TRY(wire_wait(w, POLLIN, until, err));
        HB_TRY(wc_fill(w, err));
    }
}

/* ---- opening ---- */

static hearth_status wire_connect(struct wc *w, hearth_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t until = hb_os_now_ns() + (uint64_t)w->config.retry_ms * 1000000u;
    size_t len = strlen(w->config.path);
    if (len == 0 || len >= sizeof address.sun_path)
        return hb_fail(err, HEARTH_E_ARGUMENT, "a path of %zu bytes; 1 to %zu are accepted", len,
                       sizeof address.sun_path - 1);
    memcpy(address.sun_path, w->config.path, len);
    for (;;) {
        w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (w->fd < 0)
            return hb_fail(err, HEARTH_E_IO, "no socket: %s", strerror(errno));
        if (connect(w->fd, (const struct sockaddr *)&address, sizeof address) == 0)
            break;
        int why = errno;
        close(w->fd);
        w->fd = -1;
        bool absent = why == ENOENT || why == ECONNREFUSED || why == EAGAIN;
        if (!absent || hb_os_now_ns() >= until)
            return hb_fail(err, absent ? HEARTH_E_NOT_FOUND : HEARTH_E_IO, "%s: %s", w->config.path, strerror(why));
        poll(NULL, 0, WIRE_RETRY_MS);
    }
    if (fcntl(w->fd, F_SETFL, O_NONBLOCK) < 0)
        return wire_lost(w, strerror(errno), err);
    w->stats.opened++;
    return HEARTH_OK;
}

static void wire_text(char *dst, size_t size, struct hs_bytes text)
{
    size_t n = text.len < size ? text.len : size - 1;
    if (n)
        memcpy(dst, text.at, n);
    dst[n] = 0;
}

static hearth_status wire_welcome(struct wc *w, hearth_error *err)
{
    const struct hs_message *m = NULL;
    union hs_any msg;
    HB_TRY(wc_receive(w, w->config.timeout_ms, &m, &msg, err));
    if (m == &hs_messages[HS_M_error])
        return hb_fail(err, HEARTH_E_ARGUMENT, "refused with %llu: %.*s", (unsigned long long)msg.error.code,
                       (int)msg.error.message.len, msg.error.message.at);
    if (m != &hs_messages[HS_M_welcome])
        return hb_fail(err, HEARTH_E_FORMAT, "%s: %s in place of welcome", w->config.path, m->name);
    if (msg.welcome.version < 1 || msg.welcome.version > w->config.version)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s: version %llu of the wire; 1 to %u are spoken here",
                       w->config.path, (unsigned long long)msg.welcome.version, w->config.version);
    w->version = (unsigned)msg.welcome.version;
    w->max_frame = msg.welcome.max_frame < HS_MAX_FRAME ? (size_t)msg.welcome.max_frame : HS_MAX_FRAME;
    wire_text(w->session, sizeof w->session, msg.welcome.session);
    wire_text(w->server, sizeof w->server, msg.welcome.server);
    return HEARTH_OK;
}

static hearth_status wire_hello(struct wc *w, hearth_error *err)
{
    struct hs_hello hello = {0};
    HS_SET(&hello, hello, min_version, 1);
    HS_SET(&hello, hello, max_version, w->config.version);
    HS_SET(&hello, hello, client, wc_bytes("hearth client"));
    if (w->config.token)
        HS_SET(&hello, hello, token, (struct hs_bytes){w->config.token, w->config.token_len});
    w->version = w->config.version;
    w->max_frame = HS_HELLO_FRAME;
    HB_TRY(wc_send(w, HS_M_hello, &hello, err));
    hearth_status status;
    do /* a signal is for who asks for something, not for this */
        status = wire_welcome(w, err);
    while (status == HEARTH_E_CANCELLED);
    return status;
}

hearth_status wc_reopen(struct wc *w, hearth_error *err)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    w->n_flying = w->taken = 0;
    w->in.from = w->in.to = w->out.from = w->out.to = 0;
    HB_TRY(wire_connect(w, err));
    hearth_status status = wire_hello(w, err);
    if (status != HEARTH_OK && w->fd >= 0) {
        close(w->fd);
        w->fd = -1;
    }
    return status;
}

hearth_status wc_open(const struct wc_config *config, struct wc **out, hearth_error *err)
{
    struct wc *w = calloc(1, sizeof *w);
    if (!w)
        return hb_fail(err, HEARTH_E_MEMORY, "no memory for a connection");
    w->config = *config;
    w->config.version = config->version ? config->version : 2;
    w->config.timeout_ms = config->timeout_ms ? config->timeout_ms : WIRE_TIMEOUT_MS;
    w->fd = -1;
    hk_select(&w->kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    hb_arena_init_growing(&w->arena, hb_os_heap());
    hearth_status status = wc_reopen(w, err);
    if (status == HEARTH_OK)
        *out = w;
    else
        wc_close(w);
    return status;
}

void wc_close(struct wc *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    hb_arena_release(&w->arena);
    free(w->in.at);
    free(w->out.at);
    free(w->flying);
    free(w);
}

/* ---- the rest ---- */

uint64_t wc_new_id(struct wc *w)
{
    return ++w->last_id;
}

const char *wc_session(const struct wc *w)
{
    return w->session;
}

const char *wc_server(const struct wc *w)
{
    return w->server;
}

unsigned wc_version(const struct wc *w)
{
    return w->version;
}

size_t wc_in_flight(const struct wc *w)
{
    return w->n_flying;
}

struct wc_stats wc_get_stats(const struct wc *w)
{
    return w->stats;
}

int wc_fd(const struct wc *w)
{
    return w->fd;
}

struct hs_bytes wc_bytes(const char *text)
{
    return (struct hs_bytes){text, strlen(text)};
}

hearth_status wc_tokens(const struct wc *w, const struct hs_tokens *tokens, uint32_t *ids, hearth_error *err)
{
    size_t n;
    return hs_tokens_read(&w->kernels, tokens, ids, tokens->n, &n, err);
}

hearth_status wc_token_read(const char *path, char *token, size_t capacity, size_t *len, hearth_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return hb_fail(err, HEARTH_E_IO, "cannot be opened: %s", strerror(errno));
    ssize_t n = read(fd, token, capacity);
    int why = errno;
    close(fd);
    if (n < 0)
        return hb_fail(err, HEARTH_E_IO, "cannot be read: %s", strerror(why));
    while (n > 0 && (token[n - 1] == '\n' || token[n - 1] == '\r'))
        n--;
    if (n == 0 || (size_t)n >= capacity)
        return hb_fail(err, HEARTH_E_LIMIT, "%zd bytes; a secret of 1 to %zu is accepted", n, capacity - 1);
    *len = (size_t)n;
    return HEARTH_OK;
}
