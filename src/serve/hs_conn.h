/* One connection: bytes in, bytes out. No system call but random numbers; server.c moves the bytes between this and
 * a socket, the tests between this and an array.
 *
 *   hs_conn_room ──► recv ──► hs_conn_took ──► frames ──► hello, health, requests ──► engine
 *   hs_conn_pending ◄── send ◄── hs_conn_sent ◄── frames ◄── encoded ◄── engine's answers
 *
 *   phase      stranger ── hello with the token ──► open ── second hello, oversize, ... ──► closing
 *   stranger   answers health; anything else is 401 and closing
 *   closing    reads nothing any more; over when all answers are sent, or limits.linger_ms later
 *
 * Buffers are small until the first large frame, and grow with the bytes that have come, not with those a client
 * says will come. Nothing is allocated for a message that fits into what is there. */
#ifndef HS_CONN_H
#define HS_CONN_H

#include "serve/hs_engine.h"
#include "serve/hs_ledger.h"
#include "serve/hs_limits.h"
#include "serve/hs_sched.h"
#include "serve/hs_sha256.h"

/* ---- who may come in ---- */

/* Wrong tokens are counted per user, so that nobody is locked out by another. */
struct hs_failures {
    uint32_t uid;
    uint32_t count;
    uint64_t since_ns, blocked_until_ns;
};
#define HS_MAX_USERS 64

struct hs_auth {
    bool no_token;               /* the user of the socket is enough */
    uint8_t digest[HS_SHA256_BYTES]; /* of the secret, which is not kept */
    struct hs_failures users[HS_MAX_USERS];
};

/* HEARTH_E_RANGE: not HS_MIN_TOKEN to HS_MAX_TOKEN bytes. Spaces and line ends at the end do not belong to it. */
hearth_status hs_auth_set(struct hs_auth *auth, const char *secret, size_t len, hearth_error *err);
/* Compares digests, in a time that does not depend on where they differ. *retry_ms: this user is blocked that long. */
bool hs_auth_check(struct hs_auth *auth, const struct hs_limits *limits, uint32_t uid, const struct hs_bytes *token, uint64_t now_ns,
                   uint64_t *retry_ms);

/* May a session make one more request? per_minute of them, and not faster than that for long: a bucket that fills with
 * time. *paid_ns: its own, 0 at first; per_minute 0: any number. */
bool hs_rate_take(uint64_t *paid_ns, uint32_t per_minute, uint64_t now_ns);

/* ---- connections ---- */

/* What all connections of a server share. */
struct hs_conn_host {
    struct hs_engine *engine;
    struct hs_auth *auth;
    uint32_t owner_uid;         /* may change models */
    uint8_t min_version, max_version; /* 1 JSON, 2 binary */
    struct hs_limits limits;
    uint64_t next_session;
    const char *name;           /* told in welcome */
    struct hk_table kernels;
    struct hb_arena scratch;    /* of decoding a JSON message */
    /* Counters. */
    uint64_t n_messages, n_bad, n_refused_tokens, n_stalled, n_timed_out;
    uint32_t n_strangers;
};

enum hs_phase { HS_STRANGER, HS_OPEN, HS_CLOSING };

struct hs_buffer {
    uint8_t *at;
    size_t from, to, capacity; /* [from, to) is there */
};

struct hs_conn {
    struct hs_conn_host *host;
    struct hs_client client;
    struct hs_slot *slot;  /* what the supervisor knows of it; NULL: there is none */
    enum hs_phase phase;
    uint8_t version;       /* 0: before hello */
    uint32_t uid;
    char session[65];      /* hexadecimal; "" without a token */
    struct hs_buffer in, out;
    uint64_t opened_ns, active_ns; /* active: the last whole frame, or answer */
    uint64_t frame_ns;     /* first byte of a frame that is not whole; 0: none */
    uint64_t body_ns;      /* its head was there */
    uint64_t stall_ns;     /* since when nothing was taken of what waits; 0: nothing waits */
    uint64_t closing_ns;
    uint64_t rate_ns;      /* token bucket: time up to which requests are paid for */
    uint64_t now_ns;       /* of the call in progress */
    bool said_hello;
    bool cut;              /* what waits to be sent begins in the middle of a frame */
    bool peer_done;        /* it sends no more */
    bool broken;           /* nothing can be sent: it is over */
    const char *why;       /* it is being closed; NULL */
};

hearth_status hs_conn_open(struct hs_conn *c, struct hs_conn_host *host, uint32_t uid, uint64_t now_ns,
                           hearth_error *err);
/* The slot of a supervisor's ledger, directly behind open: if an earlier worker has had the connection, it goes on
 * where that one left it. */
void hs_conn_resume(struct hs_conn *c, struct hs_slot *slot);
/* Its requests end, its buffers are wiped and given back. */
void hs_conn_close(struct hs_conn *c, uint64_t now_ns);

/* Where the next bytes go, at least one; 0: nothing is read now. */
size_t hs_conn_room(struct hs_conn *c, uint8_t **at);
/* n bytes were put there; also if none were. */
void hs_conn_took(struct hs_conn *c, size_t n, uint64_t now_ns);
/* Go on with frames that are there already: behind hs_conn_sent. */
void hs_conn_continue(struct hs_conn *c, uint64_t now_ns);
/* May bytes be read for it? */
bool hs_conn_reads(const struct hs_conn *c);
/* The peer will send nothing more. gone: nor take anything; else it gets the answers to what it has asked. */
void hs_conn_ended(struct hs_conn *c, uint64_t now_ns, bool gone);
/* An error for the connection itself, and its end. */
void hs_conn_refuse(struct hs_conn *c, uint32_t code, const char *text, uint64_t now_ns);
/* Bytes to be sent; hs_conn_sending comes before the call that sends them, hs_conn_sent tells how many were. */
size_t hs_conn_pending(const struct hs_conn *c, const uint8_t **at);
void hs_conn_sending(struct hs_conn *c, size_t n);
void hs_conn_sent(struct hs_conn *c, size_t n, uint64_t now_ns);

/* It is over: to be closed. */
bool hs_conn_over(const struct hs_conn *c);
/* When hs_conn_tick is due, if nothing comes before. */
uint64_t hs_conn_deadline(const struct hs_conn *c);
void hs_conn_tick(struct hs_conn *c, uint64_t now_ns);

#endif
