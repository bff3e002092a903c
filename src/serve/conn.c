/* Connections: see hs_conn.h. */
#include "serve/hs_conn_own.h"
#include "base/hb_error.h"
#include "base/hb_reader.h"
#include <string.h>

/* ---- frames ---- */

static size_t conn_max_frame(const struct hs_conn *c)
{
    return c->phase == HS_OPEN ? HS_MAX_FRAME : HS_HELLO_FRAME;
}

/* Bytes of the frame at the front, head included; 0: the head is not whole. */
static size_t conn_frame(const struct hs_conn *c)
{
    return hs_buffer_used(&c->in) < HS_FRAME_HEAD
               ? 0 : HS_FRAME_HEAD + (size_t)hb_load_u32le(c->in.at + c->in.from);
}

/* Answers wait: no more requests until they are taken. */
static bool conn_full(const struct hs_conn *c)
{
    return hs_buffer_used(&c->out) >= c->host->limits.out_bytes;
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
        if (hs_buffer_used(&c->in) < frame)
            break;
        const uint8_t *bytes = c->in.at + c->in.from + HS_FRAME_HEAD;
        c->active_ns = c->now_ns;
        c->frame_ns = c->body_ns = 0;
        c->in.from += frame; /* before: the message may close the connection */
        hs_conn_message(c, bytes, frame - HS_FRAME_HEAD);
    }
    if (c->phase == HS_CLOSING)
        return;
    if (hs_buffer_used(&c->in) == 0) {
        c->in.from = c->in.to = 0;
        c->frame_ns = c->body_ns = 0;
        if (c->in.capacity > HS_BUFFER_KEEP)
            hs_buffer_wipe(&c->in, HS_BUFFER_KEEP);
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
    size_t used = hs_buffer_used(&c->in), frame = conn_frame(c);
    if (!hs_conn_reads(c))
        return 0;
    /* As much again as has come, so that a frame costs memory when its bytes are there. */
    size_t want = frame > used ? frame - used : HS_BUFFER_SMALL - HS_FRAME_HEAD;
    size_t most = used > HS_BUFFER_SMALL / 2 ? used : HS_BUFFER_SMALL / 2;
    if (used == 0)
        c->in.from = c->in.to = 0;
    if (c->in.capacity - c->in.to < 64 && !hs_buffer_reserve(&c->in, want < most ? want : most)) {
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
    hs_slot_reading(c->slot, hs_buffer_used(&c->in) != 0);
}

void hs_conn_continue(struct hs_conn *c, uint64_t now_ns)
{
    c->now_ns = now_ns;
    if (c->phase != HS_CLOSING && hs_buffer_used(&c->in)) {
        conn_frames(c);
        hs_slot_reading(c->slot, hs_buffer_used(&c->in) != 0);
    }
}

void hs_conn_ended(struct hs_conn *c, uint64_t now_ns, bool gone)
{
    c->now_ns = now_ns;
    c->peer_done = true;
    if (!gone && c->phase == HS_OPEN && c->client.in_flight > 0)
        return; /* it still takes answers */
    hs_conn_closing(c, "the client has gone");
    c->broken = c->broken || gone;
}

/* ---- sending ---- */

size_t hs_conn_pending(const struct hs_conn *c, const uint8_t **at)
{
    *at = c->out.at + c->out.from;
    return c->broken ? 0 : hs_buffer_used(&c->out);
}

void hs_conn_sending(struct hs_conn *c, size_t n)
{
    hs_slot_sending(c->slot, n, !c->cut);
}

void hs_conn_sent(struct hs_conn *c, size_t n, uint64_t now_ns)
{
    c->now_ns = now_ns;
    c->out.from += n;
    size_t left = hs_buffer_used(&c->out);
    c->cut = left > 0 && (c->cut || n > 0);
    if (left > 0)
        hs_slot_left(c->slot, c->cut);
    else
        hs_slot_sent(c->slot);
    if (left == 0) {
        c->out.from = c->out.to = 0;
        if (c->out.capacity > HS_BUFFER_KEEP)
            hs_buffer_wipe(&c->out, HS_BUFFER_KEEP);
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
    c->client = (struct hs_client){.session = ++host->next_session, .send = hs_conn_send, .user = c};
    if (!hs_buffer_reserve(&c->in, HS_BUFFER_SMALL))
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
    hs_conn_closing(c, "closed");
    hs_buffer_wipe(&c->out, 0);
    hb_wipe(c->session, sizeof c->session);
}

bool hs_conn_over(const struct hs_conn *c)
{
    bool ending = c->phase == HS_CLOSING || (c->peer_done && c->client.in_flight == 0);
    return c->broken || (ending && hs_buffer_used(&c->out) == 0);
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
        hs_conn_closing(c, "the client takes no answers");
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
