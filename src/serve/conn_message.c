/* Messages of a connection, in both directions: hello, health and requests; answers and errors. */
#include "serve/hs_conn_own.h"
#include "base/hb_error.h"
#include <string.h>
#include <sys/random.h>

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
    if (!hs_buffer_reserve(&c->out, bound)) {
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

void hs_conn_error(struct hs_conn *c, const uint64_t *id, uint32_t code, const char *text, uint64_t retry_ms)
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

bool hs_conn_send(void *user, const struct hs_message *m, const void *msg)
{
    struct hs_conn *c = user;
    uint64_t id;
    c->active_ns = c->now_ns > c->active_ns ? c->now_ns : c->active_ns;
    memcpy(&id, (const uint8_t *)msg + m->fields[0].offset, sizeof id);
    if (!conn_put(c, m, msg))
        hs_conn_error(c, &id, 413, "the answer is larger than a frame", 0);
    else if (m != &hs_messages[HS_M_chunk])
        hs_slot_finish(c->slot, id);
    return hs_buffer_used(&c->out) < c->host->limits.out_bytes;
}

void hs_conn_closing(struct hs_conn *c, const char *why)
{
    if (c->phase == HS_CLOSING)
        return;
    if (c->phase == HS_STRANGER)
        c->host->n_strangers--;
    c->phase = HS_CLOSING;
    c->closing_ns = c->now_ns;
    c->why = why;
    hs_engine_drop(c->host->engine, &c->client, c->now_ns);
    hs_buffer_wipe(&c->in, 0);
}

void hs_conn_refuse(struct hs_conn *c, uint32_t code, const char *text, uint64_t now_ns)
{
    c->now_ns = now_ns;
    hs_conn_error(c, NULL, code, text, 0);
    hs_conn_closing(c, text);
}

static void conn_bad(struct hs_conn *c, uint32_t code, const char *text)
{
    c->host->n_bad++;
    hs_conn_error(c, NULL, code, text, 0);
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
        hs_conn_error(c, NULL, 401, retry_ms ? "too many wrong tokens" : "wrong token", retry_ms);
        hs_conn_closing(c, "wrong token");
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
        hs_conn_error(c, &id, 401, "the session has expired; it ends with its requests", 0);
        return;
    }
    if (m != &hs_messages[HS_M_cancel] && !hs_rate_take(&c->rate_ns, c->host->limits.rate, c->now_ns)) {
        hs_conn_error(c, &id, 429, "too many requests of this session in a minute",
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

void hs_conn_message(struct hs_conn *c, const uint8_t *bytes, size_t len)
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
