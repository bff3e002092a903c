/* Connections: see hs_conn.h. */
#include "serve/hs_conn.h"
#include "base/hb_error.h"
#include "base/hb_reader.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CONN_MS(ms) ((uint64_t)(ms) * 1000000u)

/* ---- buffers ---- */

static size_t buffer_used(const struct hs_buffer *b)
{
    return b->to - b->from;
}

/* Give back what a large message took, or everything; nothing of it stays readable. */
static void buffer_wipe(struct hs_buffer *b, size_t keep)
{
    if (b->at)
        hb_wipe(b->at, b->capacity);
    if (b->capacity > keep) {
        free(b->at);
        *b = (struct hs_buffer){0};
    }
    b->from = b->to = 0;
}

/* Room for n bytes behind what is there; false: no memory. */
static bool buffer_reserve(struct hs_buffer *b, size_t n)
{
    size_t used = buffer_used(b);
    if (b->capacity - b->to >= n && b->at)
        return true;
    if (b->capacity - used >= n && b->at) {
        memmove(b->at, b->at + b->from, used);
    } else {
        size_t capacity = b->capacity ? b->capacity : HS_BUFFER_SMALL;
        while (capacity - used < n)
            capacity *= 2;
        uint8_t *at = malloc(capacity);
        if (!at)
            return false;
        if (used)
            memcpy(at, b->at + b->from, used);
        if (b->at)
            hb_wipe(b->at, b->capacity);
        free(b->at);
        b->at = at;
        b->capacity = capacity;
    }
    b->from = 0;
    b->to = used;
    return true;
}

/* ---- answers ---- */

static bool conn_json(const struct hs_conn *c)
{
    return c->version == 1;
}

/* Encode into the buffer. false: it is larger than a frame. Without memory for an answer the connection is over: its
 * client is not to wait for what will not come. */
static bool conn_put(struct hs_conn *c, const struct hs_message *m, const void *msg)
{
    const struct hk_table *k = &c->host->kernels;
    size_t bound = conn_json(c) ? hs_json_bound(m, msg) : hs_binary_bound(m, msg);
    if (c->broken)
        return true;
    if (bound > HS_MAX_FRAME * 2u)
        return false;
    if (!buffer_reserve(&c->out, bound)) {
        c->broken = true;
        return true;
    }
    uint8_t *at = c->out.at + c->out.to;
    size_t room = c->out.capacity - c->out.to;
    size_t n = conn_json(c) ? hs_json_encode(k, m, msg, at, room) : hs_binary_encode(k, m, msg, at, room);
    if (n == 0 || n > HS_MAX_FRAME + HS_FRAME_HEAD)
        return false;
    c->out.to += n;
    return true;
}

static void conn_error(struct hs_conn *c, const uint64_t *id, uint32_t code, const char *text, uint64_t retry_ms)
{
    struct hs_error e = {0};
    if (id)
        HS_SET(&e, error, id, *id);
    HS_SET(&e, error, code, code);
    HS_SET(&e, error, message, (struct hs_bytes){text, strlen(text)});
    if (retry_ms)
        HS_SET(&e, error, retry_ms, retry_ms);
    if (id)
        hs_slot_finish(c->slot, *id);
    else
        hs_slot_owes(c->slot);
    conn_put(c, &hs_messages[HS_M_error], &e);
}

static bool conn_send(void *user, const struct hs_message *m, const void *msg)
{
    struct hs_conn *c = user;
    uint64_t id;
    c->active_ns = c->now_ns > c->active_ns ? c->now_ns : c->active_ns;
    memcpy(&id, (const uint8_t *)msg + m->fields[0].offset, sizeof id);
    if (!conn_put(c, m, msg))
        conn_error(c, &id, 413, "the answer is larger than a frame", 0);
    else if (m != &hs_messages[HS_M_chunk])
        hs_slot_finish(c->slot, id);
    return buffer_used(&c->out) < c->host->limits.out_bytes;
}

static void conn_closing(struct hs_conn *c, const char *why)
{
    if (c->phase == HS_CLOSING)
        return;
    if (c->phase == HS_STRANGER)
        c->host->n_strangers--;
    c->phase = HS_CLOSING;
    c->closing_ns = c->now_ns;
    c->why = why;
    hs_engine_drop(c->host->engine, &c->client, c->now_ns);
    buffer_wipe(&c->in, 0);
}

void hs_conn_refuse(struct hs_conn *c, uint32_t code, const char *text, uint64_t now_ns)
{
    c->now_ns = now_ns;
    conn_error(c, NULL, code, text, 0);
    conn_closing(c, text);
}

static void conn_bad(struct hs_conn *c, uint32_t code, const char *text)
{
    c->host->n_bad++;
    conn_error(c, NULL, code, text, 0);
}

/* ---- messages ---- */

static bool conn_random_id(char text[65])
{
    uint8_t bytes[32];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++) {
        text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    text[64] = 0;
    return true;
}

static void conn_welcome(struct hs_conn *c, uint8_t version)
{
    struct hs_welcome w = {0};
    HS_SET(&w, welcome, version, version);
    HS_SET(&w, welcome, session, (struct hs_bytes){c->session, strlen(c->session)});
    HS_SET(&w, welcome, max_frame, c->phase == HS_OPEN ? HS_MAX_FRAME : HS_HELLO_FRAME);
    HS_SET(&w, welcome, server, (struct hs_bytes){c->host->name, strlen(c->host->name)});
    hs_slot_owes(c->slot);
    hs_slot_hello(c->slot, version, c->phase == HS_OPEN, c->session);
    conn_put(c, &hs_messages[HS_M_welcome], &w); /* in the form of hello */
    c->version = version;
    c->said_hello = true;
}

static void conn_hello(struct hs_conn *c, const struct hs_hello *h)
{
    struct hs_conn_host *host = c->host;
    hearth_error err;
    uint64_t retry_ms = 0;
    uint64_t version = h->max_version < host->max_version ? h->max_version : host->max_version;
    if (h->min_version > h->max_version || version < h->min_version || version < host->min_version) {
        hb_fail(&err, HEARTH_E_UNSUPPORTED, "versions %llu to %llu; this server speaks %d to %d",
                (unsigned long long)h->min_version, (unsigned long long)h->max_version, host->min_version,
                host->max_version);
        hs_conn_refuse(c, 400, err.text, c->now_ns);
        return;
    }
    bool with_token = HS_HAS(h, hello, token) || host->auth->no_token;
    if (with_token && !hs_auth_check(host->auth, &host->limits, c->uid, &h->token, c->now_ns, &retry_ms)) {
        host->n_refused_tokens++;
        conn_error(c, NULL, 401, retry_ms ? "too many wrong tokens" : "wrong token", retry_ms);
        conn_closing(c, "wrong token");
        return;
    }
    if (with_token && !conn_random_id(c->session)) {
        hs_conn_refuse(c, 503, "no random numbers", c->now_ns);
        return;
    }
    if (with_token) {
        c->phase = HS_OPEN;
        c->opened_ns = c->now_ns;
        host->n_strangers--;
        c->client.owner = c->uid == host->owner_uid;
    }
    conn_welcome(c, (uint8_t)version);
}

static void conn_stranger(struct hs_conn *c, const struct hs_message *m, const void *msg)
{
    if (m == &hs_messages[HS_M_hello] && !c->said_hello) {
        conn_hello(c, msg);
    } else if (m == &hs_messages[HS_M_hello]) {
        hs_conn_refuse(c, 400, "a second hello; one is accepted", c->now_ns);
    } else if (m == &hs_messages[HS_M_health] && ((const struct hs_health *)msg)->kind < 2) {
        hs_slot_begin(c->slot, ((const struct hs_health *)msg)->id);
        hs_engine_submit(c->host->engine, &c->client, m, msg, c->now_ns);
    } else {
        hs_conn_refuse(c, 401, "without a token health is answered, of kind 0 and 1; hello with a token comes first",
                       c->now_ns);
    }
}

static void conn_request(struct hs_conn *c, const struct hs_message *m, const void *msg)
{
    uint64_t id;
    if (m == &hs_messages[HS_M_hello]) {
        hs_conn_refuse(c, 400, "a second hello; one is accepted", c->now_ns);
        return;
    }
    memcpy(&id, (const uint8_t *)msg + m->fields[0].offset, sizeof id);
    if (m != &hs_messages[HS_M_cancel])
        hs_slot_begin(c->slot, id);
    if (m != &hs_messages[HS_M_cancel] && c->now_ns >= c->opened_ns + CONN_MS(c->host->limits.session_ms)) {
        conn_error(c, &id, 401, "the session has expired; it ends with its requests", 0);
        return;
    }
    if (m != &hs_messages[HS_M_cancel] && !hs_rate_take(&c->rate_ns, c->host->limits.rate, c->now_ns)) {
        conn_error(c, &id, 429, "too many requests of this session in a minute",
                   60000 / c->host->limits.rate + 1);
        return;
    }
    hs_engine_submit(c->host->engine, &c->client, m, msg, c->now_ns);
}

/* The form of a message: of the version that was agreed; before, either. */
static bool conn_form_ok(struct hs_conn *c, bool json)
{
    if (!c->said_hello) {
        c->version = json ? 1 : 2; /* answers take it too */
        return true;
    }
    return json == conn_json(c);
}

static void conn_message(struct hs_conn *c, const uint8_t *bytes, size_t len)
{
    const struct hs_message *m = NULL;
    union hs_any msg;
    hearth_error err = {0};
    bool json = bytes[0] == '{';
    c->host->n_messages++;
    if (!conn_form_ok(c, json)) {
        conn_bad(c, 400, json ? "a JSON message; version 2 was agreed" : "a binary message; version 1 was agreed");
        return;
    }
    if (json) {
        hb_arena_clear(&c->host->scratch);
        if (hs_json_decode(bytes, len, &c->host->scratch, &m, &msg, &err) != HEARTH_OK) {
            conn_bad(c, 400, err.text);
            return;
        }
    } else {
        m = hs_message_by_number(bytes[0]);
        if (!m) {
            hb_fail(&err, HEARTH_E_UNSUPPORTED, "message number %u is not known", bytes[0]);
            conn_bad(c, 400, err.text);
            return;
        }
    }
    if (m->from != HS_FROM_C) {
        hb_fail(&err, HEARTH_E_ARGUMENT, "%s is a message of the server", m->name);
        hs_conn_refuse(c, 400, err.text, c->now_ns);
        return;
    }
    if (!json && hs_binary_decode(m, bytes + 1, len - 1, &msg, &err) != HEARTH_OK) {
        conn_bad(c, 400, err.text);
        return;
    }
    if (c->phase == HS_STRANGER)
        conn_stranger(c, m, &msg);
    else
        conn_request(c, m, &msg);
}

/* ---- frames ---- */

static size_t conn_max_frame(const struct hs_conn *c)
{
    return c->phase == HS_OPEN ? HS_MAX_FRAME : HS_HELLO_FRAME;
}

/* Bytes of the frame at the front, head included; 0: the head is not whole. */
static size_t conn_frame(const struct hs_conn *c)
{
    return buffer_used(&c->in) < HS_FRAME_HEAD ? 0
                                               : HS_FRAME_HEAD + (size_t)hb_load_u32le(c->in.at + c->in.from);
}

/* Answers wait: no more requests until they are taken. */
static bool conn_full(const struct hs_conn *c)
{
    return buffer_used(&c->out) >= c->host->limits.out_bytes;
}

static void conn_frames(struct hs_conn *c)
{
    while (c->phase != HS_CLOSING && !conn_full(c) && !c->broken) {
        size_t frame = conn_frame(c);
        if (frame == 0)
            break;
        if (frame == HS_FRAME_HEAD || frame - HS_FRAME_HEAD > conn_max_frame(c)) {
            hearth_error err;
            c->host->n_bad++;
            hb_fail(&err, HEARTH_E_LIMIT, "a frame of %zu bytes; 1 to %zu are accepted", frame - HS_FRAME_HEAD,
                    conn_max_frame(c));
            hs_conn_refuse(c, 413, err.text, c->now_ns);
            return;
        }
        if (buffer_used(&c->in) < frame)
            break;
        const uint8_t *bytes = c->in.at + c->in.from + HS_FRAME_HEAD;
        c->active_ns = c->now_ns;
        c->frame_ns = c->body_ns = 0;
        c->in.from += frame; /* before: the message may close the connection */
        conn_message(c, bytes, frame - HS_FRAME_HEAD);
    }
    if (c->phase == HS_CLOSING)
        return;
    if (buffer_used(&c->in) == 0) {
        c->in.from = c->in.to = 0;
        c->frame_ns = c->body_ns = 0;
        if (c->in.capacity > HS_BUFFER_KEEP)
            buffer_wipe(&c->in, HS_BUFFER_KEEP);
    } else if (!conn_full(c)) {
        c->frame_ns = c->frame_ns ? c->frame_ns : c->now_ns;
        if (conn_frame(c) && !c->body_ns)
            c->body_ns = c->now_ns;
    }
}

bool hs_conn_reads(const struct hs_conn *c)
{
    return c->phase != HS_CLOSING && !conn_full(c) && !c->peer_done && !c->broken;
}

size_t hs_conn_room(struct hs_conn *c, uint8_t **at)
{
    size_t used = buffer_used(&c->in), frame = conn_frame(c);
    if (!hs_conn_reads(c))
        return 0;
    /* As much again as has come, so that a frame costs memory when its bytes are there. */
    size_t want = frame > used ? frame - used : HS_BUFFER_SMALL - HS_FRAME_HEAD;
    size_t most = used > HS_BUFFER_SMALL / 2 ? used : HS_BUFFER_SMALL / 2;
    if (used == 0)
        c->in.from = c->in.to = 0;
    if (c->in.capacity - c->in.to < 64 && !buffer_reserve(&c->in, want < most ? want : most)) {
        hs_conn_refuse(c, 503, "no memory for a frame", c->now_ns);
        return 0;
    }
    hs_slot_reading(c->slot, true);
    *at = c->in.at + c->in.to;
    return c->in.capacity - c->in.to;
}

void hs_conn_took(struct hs_conn *c, size_t n, uint64_t now_ns)
{
    c->now_ns = now_ns;
    c->in.to += n;
    if (n)
        conn_frames(c);
    hs_slot_reading(c->slot, buffer_used(&c->in) != 0);
}

void hs_conn_continue(struct hs_conn *c, uint64_t now_ns)
{
    c->now_ns = now_ns;
    if (c->phase != HS_CLOSING && buffer_used(&c->in)) {
        conn_frames(c);
        hs_slot_reading(c->slot, buffer_used(&c->in) != 0);
    }
}

void hs_conn_ended(struct hs_conn *c, uint64_t now_ns, bool gone)
{
    c->now_ns = now_ns;
    c->peer_done = true;
    if (!gone && c->phase == HS_OPEN && c->client.in_flight > 0)
        return; /* it still takes answers */
    conn_closing(c, "the client has gone");
    c->broken = c->broken || gone;
}

/* ---- sending ---- */

size_t hs_conn_pending(const struct hs_conn *c, const uint8_t **at)
{
    *at = c->out.at + c->out.from;
    return c->broken ? 0 : buffer_used(&c->out);
}

void hs_conn_sending(struct hs_conn *c, size_t n)
{
    hs_slot_sending(c->slot, n, !c->cut);
}

void hs_conn_sent(struct hs_conn *c, size_t n, uint64_t now_ns)
{
    c->now_ns = now_ns;
    c->out.from += n;
    size_t left = buffer_used(&c->out);
    c->cut = left > 0 && (c->cut || n > 0);
    if (left > 0)
        hs_slot_left(c->slot, c->cut);
    else
        hs_slot_sent(c->slot);
    if (left == 0) {
        c->out.from = c->out.to = 0;
        if (c->out.capacity > HS_BUFFER_KEEP)
            buffer_wipe(&c->out, HS_BUFFER_KEEP);
    }
    if (n || !left)
        c->stall_ns = left ? now_ns : 0;
    else if (!c->stall_ns)
        c->stall_ns = now_ns;
    if (c->client.full && left <= c->host->limits.out_bytes / HS_OUT_RESUME)
        hs_engine_resume(c->host->engine, &c->client);
}

/* ---- life ---- */

hearth_status hs_conn_open(struct hs_conn *c, struct hs_conn_host *host, uint32_t uid, uint64_t now_ns,
                           hearth_error *err)
{
    *c = (struct hs_conn){.host = host, .uid = uid, .opened_ns = now_ns, .active_ns = now_ns, .now_ns = now_ns};
    c->client = (struct hs_client){.session = ++host->next_session, .send = conn_send, .user = c};
    if (!buffer_reserve(&c->in, HS_BUFFER_SMALL))
        return hb_fail(err, HEARTH_E_MEMORY, "connection: no memory");
    host->n_strangers++;
    return HEARTH_OK;
}

void hs_conn_resume(struct hs_conn *c, struct hs_slot *slot)
{
    uint32_t version = slot ? atomic_load(&slot->version) : 0;
    c->slot = slot;
    hs_slot_take(slot);
    if (version != 1 && version != 2)
        return;
    c->version = (uint8_t)version;
    c->said_hello = true;
    if (atomic_load(&slot->open)) {
        memcpy(c->session, slot->session, sizeof c->session - 1);
        c->phase = HS_OPEN;
        c->host->n_strangers--;
        c->client.owner = c->uid == c->host->owner_uid;
    }
}

void hs_conn_close(struct hs_conn *c, uint64_t now_ns)
{
    c->now_ns = now_ns;
    conn_closing(c, "closed");
    buffer_wipe(&c->out, 0);
    hb_wipe(c->session, sizeof c->session);
}

bool hs_conn_over(const struct hs_conn *c)
{
    bool ending = c->phase == HS_CLOSING || (c->peer_done && c->client.in_flight == 0);
    return c->broken || (ending && buffer_used(&c->out) == 0);
}

static uint64_t conn_first(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t hs_conn_deadline(const struct hs_conn *c)
{
    uint64_t at = HS_NEVER;
    if (c->phase == HS_CLOSING)
        return c->closing_ns + CONN_MS(c->host->limits.linger_ms);
    if (c->stall_ns)
        at = c->stall_ns + CONN_MS(c->host->limits.stall_ms);
    if (c->frame_ns && !c->body_ns)
        at = conn_first(at, c->frame_ns + CONN_MS(c->host->limits.head_ms));
    if (c->body_ns)
        at = conn_first(at, c->body_ns + CONN_MS(c->host->limits.body_ms));
    if (c->phase == HS_STRANGER)
        return conn_first(at, c->opened_ns + CONN_MS(c->active_ns > c->opened_ns ? c->host->limits.stranger_ms
                                                                           : c->host->limits.hello_ms));
    if (c->client.in_flight > 0)
        return at;
    at = conn_first(at, c->active_ns + CONN_MS(c->host->limits.idle_ms));
    return conn_first(at, c->opened_ns + CONN_MS(c->host->limits.session_ms));
}

void hs_conn_tick(struct hs_conn *c, uint64_t now_ns)
{
    c->now_ns = now_ns;
    if (hs_conn_deadline(c) > now_ns)
        return;
    c->host->n_timed_out++;
    if (c->phase == HS_CLOSING) {
        c->broken = true;
    } else if (c->stall_ns && now_ns >= c->stall_ns + CONN_MS(c->host->limits.stall_ms)) {
        c->host->n_stalled++;
        c->stall_ns = now_ns;
        if (c->client.in_flight > 0) { /* once more as long, to take their ends */
            hs_engine_cancel_all(c->host->engine, &c->client, now_ns);
            return;
        }
        conn_closing(c, "the client takes no answers");
        c->broken = true;
    } else if (c->body_ns && now_ns >= c->body_ns + CONN_MS(c->host->limits.body_ms)) {
        hs_conn_refuse(c, 408, "the rest of a frame did not come in time", now_ns);
    } else if (c->frame_ns && !c->body_ns && now_ns >= c->frame_ns + CONN_MS(c->host->limits.head_ms)) {
        hs_conn_refuse(c, 408, "the head of a frame did not come in time", now_ns);
    } else if (c->phase == HS_STRANGER) {
        hs_conn_refuse(c, 408, "no hello with a token came in time", now_ns);
    } else if (now_ns >= c->opened_ns + CONN_MS(c->host->limits.session_ms)) {
        hs_conn_refuse(c, 401, "the session has expired", now_ns);
    } else {
        hs_conn_refuse(c, 408, "idle for too long", now_ns);
    }
}
