/* Connections of HTTP: the library reads requests and writes answers, this file says when.
 *
 *   idle ──► head ──► body ──► wait ──► send ──► idle       one request at a time; what a client sends behind it
 *    │        2 s     10 s      │        │                   waits in the library's buffer or in the socket
 *    └ 300 s                    └────────┴── suspended while there is nothing to write
 *
 * An epoll set of ours holds the library's, and each connection once more: that tells of the first byte of a request
 * (the library tells of its whole head only) and of clients that vanish while their connection is suspended. Whoever
 * misses a deadline has his socket shut down; the library finds it closed. Slow readers: answers that wait to be sent
 * make the session rest at limits.out_bytes, and end it limits.stall_ms after the last byte it took. */
#define _GNU_SOURCE
#include "serve/hs_http.h"
#include "serve/hs_http_call.h"
#include "serve/hs_sched.h"
#include "serve/http_library.h"
#include "base/hb_error.h"
#include "base/os/hb_os.h"
#include <jansson.h>
#include <malloc.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HTTP_POOL     16384u /* of a connection: head of a request, buffers; all of it is touched */
#define HTTP_BLOCK    16384u /* of an answer, at a time */
#define HTTP_TOO_LONG "the body is too long; 16777216 bytes are accepted"
#define HTTP_EVENTS   66
#define HTTP_ACCEPTS  16 /* in one run */
#define HTTP_PAUSE_MS 100
#define HTTP_ROUNDS   16                  /* of the library in one run */
#define HTTP_SESSIONS ((uint64_t)1 << 63) /* numbers from here on are of HTTP */

enum http_phase { PHASE_FREE, PHASE_IDLE, PHASE_HEAD, PHASE_BODY, PHASE_WAIT, PHASE_SEND };

struct http_conn {
    struct hs_http *http;
    struct MHD_Connection *mhd;
    uint32_t uid;
    int fd;
    enum http_phase phase;
    struct hs_client client;
    uint64_t deadline_ns, last_id;
    uint64_t rate_ns;      /* of hs_rate_take */
    bool known;            /* has shown the token */
    bool suspended, ready; /* ready: something to write came meanwhile */
    bool resting;          /* the engine was told that we are full */
    bool half;             /* the client sends no more */
    bool gone;             /* the engine has been told to drop it */
    bool too_long;         /* the body */
    const char *allow;
    const char *rest; /* what stood in the place of {name} in the path */
    struct http_buf body;
    struct http_call call;
    size_t sent; /* of call.out */
};

struct hs_http {
    struct hs_http_config config;
    struct hs_limits limits;
    struct http_library lib;
    struct MHD_Daemon *daemon;
    struct http_conn *adding;
    int epoll, library_epoll;
    bool again; /* the library has more to do at once */
    bool listening;
    uint32_t owner;
    uint64_t accept_ns; /* not before: descriptors had run out */
    uint64_t now_ns, number, calls, sessions;
    struct http_conn *conns; /* [limits.connections] */
};

static uint64_t http_after(const struct hs_http *h, uint64_t ms)
{
    return h->now_ns + ms * 1000000u;
}

/* ---- ends ---- */

static void conn_resume(struct http_conn *c)
{
    c->ready = false;
    if (!c->suspended)
        return;
    c->suspended = false;
    c->http->lib.resume_connection(c->mhd);
    c->http->again = true;
}

static void conn_suspend(struct http_conn *c)
{
    c->suspended = true;
    c->http->lib.suspend_connection(c->mhd);
}

static void conn_drop(struct http_conn *c)
{
    if (!c->gone)
        hs_engine_drop(c->http->config.engine, &c->client, c->http->now_ns);
    c->gone = true;
}

/* The library finds the socket closed when it runs next. */
static void conn_kill(struct http_conn *c)
{
    c->deadline_ns = HS_NEVER;
    conn_drop(c);
    shutdown(c->fd, SHUT_RDWR);
    conn_resume(c);
    c->http->again = true;
}

/* Parts that still run although the answer is known: one of the others failed. */
static void conn_cancel_rest(struct http_conn *c)
{
    struct hs_http *h = c->http;
    for (size_t i = 0; c->call.ended && !c->gone && i < c->call.n_parts; i++) {
        struct hs_cancel cancel = {0};
        if (c->call.parts[i].ended || c->call.parts[i].id == 0)
            continue;
        c->call.parts[i].ended = true;
        HS_SET(&cancel, cancel, id, c->call.parts[i].id);
        hs_engine_submit(h->config.engine, &c->client, &hs_messages[HS_M_cancel], &cancel, h->now_ns);
    }
}

/* ---- answers ---- */

/* hs_client.send: the engine's answers, inside its step or inside a submit of ours. */
static bool conn_send(void *user, const struct hs_message *m, const void *msg)
{
    struct http_conn *c = user;
    if (c->phase != PHASE_WAIT && c->phase != PHASE_SEND)
        return true; /* of a request whose answer has been given */
    http_call_answer(&c->call, m, msg);
    c->ready = c->call.ended || (c->call.stream && c->call.out.len > c->sent) || c->call.out.failed;
    c->resting = c->call.stream && c->call.out.len - c->sent >= c->http->limits.out_bytes;
    return !c->resting;
}

/* MHD_ContentReaderCallback */
static ssize_t conn_read(void *user, uint64_t pos, char *out, size_t max)
{
    struct http_conn *c = user;
    struct hs_http *h = c->http;
    struct http_buf *b = &c->call.out;
    size_t n = b->len - c->sent < max ? b->len - c->sent : max;
    if (c->gone || b->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n == 0 && c->call.ended) {
        conn_cancel_rest(c);
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    c->deadline_ns = n ? http_after(h, h->limits.stall_ms) : HS_NEVER;
    if (n == 0) {
        conn_suspend(c);
        return 0;
    }
    memcpy(out, b->at + c->sent, n);
    c->sent += n;
    if (c->sent == b->len)
        c->sent = b->len = 0;
    if (c->resting && b->len - c->sent < h->limits.out_bytes / HS_OUT_RESUME) {
        c->resting = false;
        hs_engine_resume(h->config.engine, &c->client);
    }
    return (ssize_t)n;
}

static void conn_headers(struct http_conn *c, struct MHD_Response *r)
{
    const struct http_library *lib = &c->http->lib;
    const struct http_call *call = &c->call;
    char number[24];
    bool events = call->stream && call->status == 200;
    lib->add_response_header(r, "Content-Type",
                             events       ? "text/event-stream"
                             : call->json ? "application/json"
                                          : "text/plain; version=0.0.4");
    if (events) {
        lib->add_response_header(r, "Cache-Control", "no-cache");
        lib->add_response_header(r, "X-Accel-Buffering", "no"); /* nginx: events at once */
    }
    if (c->allow)
        lib->add_response_header(r, "Allow", c->allow);
    if (call->status == 401)
        lib->add_response_header(r, "WWW-Authenticate", "Bearer");
    if (call->status == 429 || call->status == 503) {
        uint64_t ms = call->retry_ms ? call->retry_ms : 1000;
        hb_format(number, sizeof number, "%llu", (unsigned long long)((ms + 999) / 1000));
        lib->add_response_header(r, "Retry-After", number);
        hb_format(number, sizeof number, "%llu", (unsigned long long)ms);
        lib->add_response_header(r, "retry-after-ms", number);
    }
}

/* The answer as far as it is known; or nothing yet, and the connection sleeps until there is. */
static enum MHD_Result conn_answer(struct http_conn *c)
{
    const struct http_library *lib = &c->http->lib;
    struct http_call *call = &c->call;
    if (c->gone || call->out.failed)
        return MHD_NO;
    if (!call->status || !(call->ended || call->stream)) {
        c->phase = PHASE_WAIT;
        c->deadline_ns = HS_NEVER;
        conn_suspend(c);
        return MHD_YES;
    }
    conn_cancel_rest(c);
    c->phase = PHASE_SEND;
    c->deadline_ns = http_after(c->http, c->http->limits.stall_ms);
    struct MHD_Response *r = lib->create_response_from_callback(call->ended ? call->out.len : MHD_SIZE_UNKNOWN,
                                                                HTTP_BLOCK, conn_read, c, NULL);
    if (!r)
        return MHD_NO;
    conn_headers(c, r);
    enum MHD_Result queued = lib->queue_response(c->mhd, call->status, r);
    lib->destroy_response(r);
    return queued;
}

static bool conn_refuse(struct http_conn *c, unsigned code, const char *message)
{
    http_call_fail(&c->call, code, NULL, message);
    return false;
}

/* ---- requests ---- */

struct conn_framing {
    size_t lengths, codings;
};

static enum MHD_Result conn_count(void *user, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct conn_framing *f = user;
    (void)kind, (void)value;
    f->lengths += strcasecmp(key, "Content-Length") == 0;
    f->codings += strcasecmp(key, "Transfer-Encoding") == 0;
    return MHD_YES;
}

/* Where a message ends must be said once: a front that reads it in another way would be led to another request. */
static bool conn_framed(struct http_conn *c)
{
    struct conn_framing f = {0};
    c->http->lib.get_connection_values(c->mhd, MHD_HEADER_KIND, conn_count, &f);
    return f.lengths + f.codings <= 1;
}

static const char *conn_header(const struct http_conn *c, const char *name)
{
    return c->http->lib.lookup_connection_value(c->mhd, MHD_HEADER_KIND, name);
}

static unsigned conn_admit(struct http_conn *c)
{
    const struct hs_http *h = c->http;
    struct hs_bytes secret = {0};
    const char *token = conn_header(c, "Authorization");
    if (http_paths[c->call.route].open)
        return 0;
    if (token && strncasecmp(token, "Bearer ", 7) == 0)
        secret = (struct hs_bytes){token + 7, strlen(token + 7)};
    if (!secret.at && !h->config.auth->no_token)
        return 401; /* none at all is no attempt */
    if (!hs_auth_check(h->config.auth, &h->limits, c->uid, secret.at ? &secret : NULL, h->now_ns, &c->call.retry_ms))
        return c->call.retry_ms ? 429 : 401;
    c->known = true;
    if (hs_rate_take(&c->rate_ns, h->limits.rate, h->now_ns))
        return 0;
    c->call.retry_ms = 60000 / h->limits.rate + 1;
    return 429;
}

static bool conn_method(struct http_conn *c, const char *method)
{
    bool get = http_paths[c->call.route].method == HTTP_GET;
    if (get ? strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 : strcmp(method, "POST") == 0)
        return true;
    c->allow = get ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
    return false;
}

static bool conn_options(struct http_conn *c)
{
    c->call.status = 204;
    c->call.ended = true;
    c->allow = c->allow ? c->allow : "GET, HEAD, POST, OPTIONS";
    return false;
}

/* What can be refused by the head alone. */
static bool conn_check(struct http_conn *c, const char *url, const char *method)
{
    bool options = strcmp(method, "OPTIONS") == 0;
    if (options && strcmp(url, "*") == 0)
        return conn_options(c);
    if (c->call.route == HTTP_ROUTES)
        return conn_refuse(c, 404, "nothing is answered at this path; docs/http.md lists what is");
    if (!conn_method(c, method))
        return options ? conn_options(c)
                       : conn_refuse(c, 405, "this method is not answered at this path; Allow says which are");
    if (!conn_framed(c))
        return conn_refuse(
            c, 400,
            "the length of the body is said more than once; one Content-Length, or one Transfer-Encoding, is accepted");
    unsigned code = conn_admit(c);
    if (code)
        return conn_refuse(c, code,
                           code == 401 ? "the token is missing or wrong; Authorization: Bearer TOKEN is required"
                                       : "too many requests of this connection in a minute, or wrong tokens of this "
                                         "user; Retry-After says when to come again");
    const char *length = conn_header(c, "Content-Length"), *coding = conn_header(c, "Content-Encoding");
    if (coding && strcasecmp(coding, "identity") != 0)
        return conn_refuse(c, 415, "the body has a Content-Encoding; it is accepted as it is only");
    if (length && strtoull(length, NULL, 10) > HS_MAX_FRAME)
        return conn_refuse(c, 413, HTTP_TOO_LONG);
    return true;
}

/* The head of a request is there. A refusal does not wait for a body; the connection ends with it then. */
static enum MHD_Result conn_begin(struct http_conn *c, const char *url, const char *method)
{
    struct hs_http *h = c->http;
    uint64_t seconds = h->config.now_s + (h->now_ns - h->config.now_ns) / 1000000000u;
    http_call_init(&c->call, http_route_of(url, &c->rest), h->number, ++h->calls, seconds);
    c->phase = PHASE_BODY;
    c->deadline_ns = http_after(h, h->limits.body_ms);
    c->sent = 0;
    c->allow = NULL;
    c->too_long = c->ready = false;
    if (conn_check(c, url, method))
        return MHD_YES;
    const char *length = conn_header(c, "Content-Length");
    bool body = (length && strcmp(length, "0") != 0) || conn_header(c, "Transfer-Encoding");
    return body ? conn_answer(c) : MHD_YES;
}

/* The request is whole. */
static enum MHD_Result conn_dispatch(struct http_conn *c)
{
    struct hs_http *h = c->http;
    union hs_any msg;
    bool ok = !c->call.ended;
    if (ok && c->too_long)
        ok = conn_refuse(c, 413, HTTP_TOO_LONG);
    if (ok && c->body.failed)
        ok = conn_refuse(c, 503, "no memory for this request");
    ok = ok && http_call_read(&c->call, (const uint8_t *)c->body.at, c->body.len, c->rest);
    http_buf_free(&c->body);
    c->phase = PHASE_WAIT;
    for (size_t i = 0; ok && i < c->call.n_parts && !c->call.ended; i++) {
        const struct hs_message *m = http_call_part(&c->call, i, ++c->last_id, &msg);
        hs_engine_submit(h->config.engine, &c->client, m, &msg, h->now_ns);
    }
    return conn_answer(c);
}

static struct http_conn *conn_of(struct hs_http *h, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = h->lib.get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

/* MHD_AccessHandlerCallback: once for the head, for each piece of the body, at its end, and after each resume until
 * there is an answer. */
static enum MHD_Result http_handle(void *user, struct MHD_Connection *mhd, const char *url, const char *method,
                                   const char *version, const char *data, size_t *size, void **state)
{
    struct http_conn *c = conn_of(user, mhd);
    (void)version;
    if (!c || c->gone)
        return MHD_NO;
    if (!*state) {
        *state = c;
        return conn_begin(c, url, method);
    }
    if (*size) {
        bool wanted = !c->call.ended && http_paths[c->call.route].method == HTTP_POST;
        c->too_long |= c->body.len + *size > HS_MAX_FRAME;
        if (wanted && !c->too_long)
            http_buf_raw(&c->body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    return c->phase == PHASE_BODY ? conn_dispatch(c) : conn_answer(c);
}

/* MHD_RequestCompletedCallback */
static void http_completed(void *user, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode how)
{
    struct hs_http *h = user;
    struct http_conn *c = *state;
    (void)mhd;
    *state = NULL;
    if (!c)
        return;
    if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        conn_drop(c);
    http_call_free(&c->call);
    http_buf_free(&c->body);
    c->phase = PHASE_IDLE;
    c->deadline_ns = http_after(h, c->known ? h->limits.idle_ms : h->limits.stranger_ms);
}

/* MHD_NotifyConnectionCallback */
static void http_connection(void *user, struct MHD_Connection *mhd, void **context,
                            enum MHD_ConnectionNotificationCode what)
{
    struct hs_http *h = user;
    struct http_conn *c = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = h->adding;
        if (h->adding)
            h->adding->mhd = mhd;
        return;
    }
    if (!c)
        return;
    conn_drop(c);
    epoll_ctl(h->epoll, EPOLL_CTL_DEL, c->fd, NULL);
    memset(c, 0, sizeof *c);
}

/* ---- new connections ---- */

static bool http_listen(struct hs_http *h, int operation, bool want)
{
    struct epoll_event event = {.events = want ? EPOLLIN : 0, .data.ptr = h};
    h->listening = want;
    return h->config.listener < 0 || epoll_ctl(h->epoll, operation, h->config.listener, &event) == 0;
}

/* The listener is looked at while there is room. */
static void http_room(struct hs_http *h)
{
    bool want = !hs_http_full(h) && h->now_ns >= h->accept_ns;
    if (want != h->listening)
        http_listen(h, EPOLL_CTL_MOD, want);
}

static void http_accept(struct hs_http *h)
{
    for (int i = 0; i < HTTP_ACCEPTS && !hs_http_full(h); i++) {
        struct ucred peer = {.uid = (uid_t)-1};
        socklen_t len = sizeof peer;
        int fd = accept4(h->config.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            h->accept_ns = errno == EAGAIN ? 0 : http_after(h, HTTP_PAUSE_MS); /* no descriptor, no memory: later */
            return;
        }
        bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0;
        if (known && (h->config.any_user || peer.uid == 0 || peer.uid == h->owner))
            hs_http_add(h, fd, peer.uid, h->now_ns);
        else
            close(fd);
    }
}

/* ---- the whole ---- */

hearth_status hs_http_load(hearth_error *err)
{
    struct http_library lib;
    return http_library_open(&lib, err); /* which stays: a second open finds it without a file */
}

/* What a body said does not stay in freed memory. */
static void http_json_free(void *p)
{
    if (p)
        hb_wipe(p, malloc_usable_size(p));
    free(p);
}

static hearth_status http_start(struct hs_http *h, hearth_error *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct tm tm;
    time_t now = (time_t)h->config.now_s;
    HB_TRY(http_library_open(&h->lib, err));
    gmtime_r(&now, &tm); /* reads the time zone's file now: the library's Date header would, later */
    json_object_seed(0); /* reads random bytes now */
    json_set_alloc_funcs(malloc, http_json_free);
    h->daemon = h->lib.start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
                                    http_handle, h, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_POOL,
                                    MHD_OPTION_CONNECTION_LIMIT, h->limits.connections, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                                    MHD_OPTION_NOTIFY_COMPLETED, http_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
                                    http_connection, h, MHD_OPTION_END);
    if (!h->daemon)
        return hb_fail(err, HEARTH_E_INTERNAL,
                       "http: libmicrohttpd does not start; descriptors or memory may be used up");
    h->library_epoll = h->lib.get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (h->epoll < 0 || epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->library_epoll, &event) != 0 ||
        !http_listen(h, EPOLL_CTL_ADD, true))
        return hb_fail(err, HEARTH_E_INTERNAL, "http: no epoll set can be made; descriptors may be used up");
    return HEARTH_OK;
}

hearth_status hs_http_open(const struct hs_http_config *config, struct hs_http **http, hearth_error *err)
{
    struct hs_http *h = calloc(1, sizeof *h);
    const struct hs_limits *limits = config->limits ? config->limits : &hs_limits_default;
    struct http_conn *conns = calloc(limits->connections, sizeof *conns);
    if (!h || !conns) {
        free(h);
        free(conns);
        return hb_fail(err, HEARTH_E_MEMORY, "http: no memory for %u connections", limits->connections);
    }
    h->config = *config;
    h->limits = *limits;
    h->conns = conns;
    h->now_ns = config->now_ns;
    h->epoll = -1;
    h->owner = geteuid();
    hb_os_random(&h->number, sizeof h->number);
    hearth_status status = http_start(h, err);
    if (status == HEARTH_OK)
        *http = h;
    else
        hs_http_close(h);
    return status;
}

void hs_http_close(struct hs_http *h)
{
    if (!h)
        return;
    for (uint32_t i = 0; i < h->limits.connections; i++)
        if (h->conns[i].phase != PHASE_FREE)
            conn_kill(&h->conns[i]);
    if (h->daemon) {
        h->lib.run(h->daemon); /* none may be suspended when it stops */
        h->lib.stop_daemon(h->daemon);
    }
    if (h->epoll >= 0)
        close(h->epoll);
    http_library_close(&h->lib);
    free(h->conns);
    free(h);
}

bool hs_http_full(const struct hs_http *h)
{
    size_t n = 0, strangers = 0;
    for (uint32_t i = 0; i < h->limits.connections; i++) {
        n += h->conns[i].phase != PHASE_FREE;
        strangers += h->conns[i].phase != PHASE_FREE && !h->conns[i].known;
    }
    return n == h->limits.connections || strangers >= h->limits.strangers;
}

bool hs_http_busy(const struct hs_http *h)
{
    for (uint32_t i = 0; i < h->limits.connections; i++)
        if (h->conns[i].phase >= PHASE_WAIT)
            return true;
    return false;
}

bool hs_http_add(struct hs_http *h, int fd, uint32_t uid, uint64_t now_ns)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t i = 0;
    h->now_ns = now_ns;
    while (i < h->limits.connections && h->conns[i].phase != PHASE_FREE)
        i++;
    if (i == h->limits.connections) {
        close(fd);
        return false;
    }
    struct http_conn *c = &h->conns[i];
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    *c = (struct http_conn){.http = h,
                            .fd = fd,
                            .uid = uid,
                            .phase = PHASE_IDLE,
                            .deadline_ns = http_after(h, h->limits.stranger_ms),
                            .client = {.session = HTTP_SESSIONS + ++h->sessions, .send = conn_send, .user = c}};
    h->adding = c;
    bool added =
        h->lib.add_connection(h->daemon, fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == MHD_YES && c->mhd;
    h->adding = NULL;
    h->again = true;
    if (!added)
        c->phase = PHASE_FREE;
    else if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        conn_kill(c);
    return added;
}

int hs_http_fd(const struct hs_http *h)
{
    return h->epoll;
}

uint64_t hs_http_wake_ns(const struct hs_http *h)
{
    uint64_t wake = h->accept_ns ? h->accept_ns : HS_NEVER;
    if (h->again)
        return 0;
    for (uint32_t i = 0; i < h->limits.connections; i++) {
        const struct http_conn *c = &h->conns[i];
        if (c->phase == PHASE_FREE)
            continue;
        if (c->ready && c->suspended)
            return 0;
        wake = c->deadline_ns < wake ? c->deadline_ns : wake;
    }
    return wake;
}

static void conn_event(struct http_conn *c, uint32_t events)
{
    c->half |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if ((events & (EPOLLHUP | EPOLLERR)) && c->phase >= PHASE_WAIT) {
        if (!c->gone)
            conn_kill(c);
    } else if (c->phase == PHASE_IDLE) {
        c->phase = PHASE_HEAD;
        c->deadline_ns = http_after(c->http, c->http->limits.head_ms);
    }
}

static void http_events(struct hs_http *h)
{
    struct epoll_event events[HTTP_EVENTS];
    int n = epoll_wait(h->epoll, events, HTTP_EVENTS, 0);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == h)
            http_accept(h);
        else if (!events[i].data.ptr)
            h->again = true;
        else
            conn_event(events[i].data.ptr, events[i].events);
    }
}

/* The library looks for the end of a connection when more comes from it, and where the end came together with the
 * last bytes nothing does: a request that is not whole then never will be. */
static void http_ends(struct hs_http *h)
{
    char byte;
    for (uint32_t i = 0; i < h->limits.connections; i++) {
        struct http_conn *c = &h->conns[i];
        bool asks = c->phase == PHASE_IDLE || c->phase == PHASE_HEAD || c->phase == PHASE_BODY;
        if (asks && c->half && !c->gone && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
            conn_kill(c);
    }
}

static void http_library_run(struct hs_http *h)
{
    for (int i = 0; h->again && i < HTTP_ROUNDS; i++) {
        MHD_UNSIGNED_LONG_LONG ms = 1;
        h->lib.run(h->daemon);
        h->again = h->lib.get_timeout(h->daemon, &ms) == MHD_YES && ms == 0;
    }
}

void hs_http_run(struct hs_http *h, uint64_t now_ns)
{
    h->now_ns = now_ns;
    h->accept_ns = h->accept_ns <= now_ns ? 0 : h->accept_ns;
    http_room(h);
    http_events(h);
    for (uint32_t i = 0; i < h->limits.connections; i++) {
        struct http_conn *c = &h->conns[i];
        if (c->phase == PHASE_FREE)
            continue;
        if (c->deadline_ns <= now_ns)
            conn_kill(c);
        else if (c->ready)
            conn_resume(c);
    }
    http_library_run(h);
    if (!h->again) {
        http_ends(h);
        http_library_run(h);
    }
    http_room(h);
}
