/* What a worker owes its clients, in memory that outlives it: shared with the supervisor, who reads it when the worker
 * has died and answers for it.
 *
 *   ledger   head: is the worker ready, which model is it opening, which models are not to be opened again
 *            slots: one for each connection
 *   slot     version and session   as agreed in hello: the next worker goes on with them
 *            ids                   of requests whose terminal message has not been sent
 *            reading, owes, cut    a word each: bytes were taken whose requests are not listed; something that is
 *                                  no answer to a request has not been sent; a frame has been sent in part
 *
 * The worker marks before and behind its system calls, in this order:
 *
 *   reading = 1, recv, begin of each request, reading = 0 once no byte waits
 *   finish when a terminal message is put into the buffer, [cut = 1,] send, sent: finished ids go, cut = owes = 0
 *
 * so that at any instruction everything unanswered is listed, or the slot says that the connection cannot be saved.
 * What the supervisor makes of a slot (hs_slot_verdict): requests listed get `error` 503, if no frame is cut;
 * with anything else than those owed, the connection is closed; else the next worker has it. Between send and sent
 * lies the only window where a request that was answered is still listed: its client may get a second terminal
 * message (docs/wire.md).
 *
 * A mark is a store or two. The memory is read by the supervisor as it would read a client's bytes: whatever stands
 * there, it writes error frames with ids of the worker's choice to clients of the worker, or closes them. */
#ifndef HS_LEDGER_H
#define HS_LEDGER_H

#include "serve/hs_wire.h"
#include <stdatomic.h>

#define HS_LEDGER_IDS   64  /* in flight, and answered but not sent; beyond them the connection is not saved */
#define HS_LEDGER_NAME  256 /* of a model, terminated */
#define HS_LEDGER_MODELS 16 /* that are not opened again */
/* So many bytes of a stream socket go out in one piece or not at all (Linux: one buffer of the kernel). */
#define HS_LEDGER_WHOLE 16384u

struct hs_slot {
    HB_ALIGNAS(64) _Atomic uint64_t listed; /* bits of ids */
    _Atomic uint64_t finished;              /* of these, in the buffer and not sent */
    _Atomic uint32_t taken;                 /* enum hs_taken */
    _Atomic uint32_t reading, owes, cut;
    _Atomic uint32_t version;               /* 0: before hello */
    _Atomic uint32_t open;                  /* a token was accepted, or none is needed */
    char session[65];
    uint64_t ids[HS_LEDGER_IDS];
};

enum hs_taken {
    HS_TAKEN_NOT,    /* on its way */
    HS_TAKEN_YES,
    HS_TAKEN_CLOSED  /* the worker is done with it */
};

enum hs_worker_phase { HS_WORKER_STARTING, HS_WORKER_READY, HS_WORKER_DRAINING };

struct hs_ledger {
    _Atomic uint32_t phase;      /* enum hs_worker_phase */
    _Atomic uint32_t pong;       /* the last ping of the supervisor that was read */
    _Atomic uint32_t level;      /* enum hs_level of the worker's sandbox */
    uint32_t starts;             /* workers so far, this one too */
    uint32_t stalls;             /* times one did not answer in time */
    char opening[HS_LEDGER_NAME]; /* model; "": none */
    char refused[HS_LEDGER_MODELS][HS_LEDGER_NAME]; /* models that ended their worker too often */
    uint32_t n_refused;
    struct hs_slot slots[];
};

/* Shared with all processes that are forked from here on, zeroed. */
hearth_status hs_ledger_create(uint32_t n_slots, struct hs_ledger **out, hearth_error *err);
void hs_ledger_free(struct hs_ledger *l, uint32_t n_slots); /* NULL is fine */

/* ---- the worker's marks; a NULL slot or ledger is one without supervisor ---- */

/* The connection is the worker's from now on. */
HB_INLINE void hs_slot_take(struct hs_slot *s)
{
    if (s)
        atomic_store_explicit(&s->taken, HS_TAKEN_YES, memory_order_release);
}
/* It was closed; behind shutdown, since the supervisor has a descriptor of it too. */
HB_INLINE void hs_slot_drop(struct hs_slot *s)
{
    if (s)
        atomic_store_explicit(&s->taken, HS_TAKEN_CLOSED, memory_order_release);
}

/* Before recv; and when frames were taken from what came, with whether bytes are left. */
HB_INLINE void hs_slot_reading(struct hs_slot *s, bool bytes)
{
    if (s)
        atomic_store_explicit(&s->reading, bytes, memory_order_release);
}

/* A request was read. */
HB_INLINE void hs_slot_begin(struct hs_slot *s, uint64_t id)
{
    if (!s)
        return;
    uint64_t listed = atomic_load_explicit(&s->listed, memory_order_relaxed);
    if (~listed == 0) { /* more than the limits allow in flight: answers that nobody fetches */
        atomic_store_explicit(&s->owes, 1, memory_order_release);
        return;
    }
    int at = __builtin_ctzll(~listed);
    s->ids[at] = id;
    atomic_store_explicit(&s->listed, listed | 1ull << at, memory_order_release);
}

/* Its terminal message is in the buffer. */
HB_INLINE void hs_slot_finish(struct hs_slot *s, uint64_t id)
{
    if (!s)
        return;
    uint64_t finished = atomic_load_explicit(&s->finished, memory_order_relaxed);
    uint64_t left = atomic_load_explicit(&s->listed, memory_order_relaxed) & ~finished;
    for (; left; left &= left - 1) {
        int at = __builtin_ctzll(left);
        if (s->ids[at] == id) {
            atomic_store_explicit(&s->finished, finished | 1ull << at, memory_order_release);
            return;
        }
    }
}

/* Something else is in the buffer: an answer to hello, an error of the connection. */
HB_INLINE void hs_slot_owes(struct hs_slot *s)
{
    if (s)
        atomic_store_explicit(&s->owes, 1, memory_order_release);
}

/* Before send of n bytes. whole: they begin and end with frames, and nothing of a frame went before. */
HB_INLINE void hs_slot_sending(struct hs_slot *s, size_t n, bool whole)
{
    if (s && (!whole || n > HS_LEDGER_WHOLE))
        atomic_store_explicit(&s->cut, 1, memory_order_release);
}

/* Behind it, if bytes are left: is the first of them in the middle of a frame? */
HB_INLINE void hs_slot_left(struct hs_slot *s, bool cut)
{
    if (s)
        atomic_store_explicit(&s->cut, cut, memory_order_release);
}

/* Behind it, if none are. */
HB_INLINE void hs_slot_sent(struct hs_slot *s)
{
    if (!s)
        return;
    uint64_t finished = atomic_load_explicit(&s->finished, memory_order_relaxed);
    if (finished) {
        uint64_t listed = atomic_load_explicit(&s->listed, memory_order_relaxed);
        /* listed first: a bit of finished alone says nothing, and the other way the id would seem unanswered */
        atomic_store_explicit(&s->listed, listed & ~finished, memory_order_release);
        atomic_store_explicit(&s->finished, 0, memory_order_release);
    }
    atomic_store_explicit(&s->owes, 0, memory_order_release);
    atomic_store_explicit(&s->cut, 0, memory_order_release);
}

/* hello was accepted. */
void hs_slot_hello(struct hs_slot *s, uint32_t version, bool open, const char *session);

/* A model is being opened: if the worker dies meanwhile, it is the model's fault. NULL: done. */
void hs_ledger_opening(struct hs_ledger *l, const char *model);
/* It has ended workers too often: it is not to be opened. */
bool hs_ledger_refuses(const struct hs_ledger *l, const char *model);

/* ---- the supervisor's reading, of a worker that is no more ---- */

enum hs_verdict {
    HS_SLOT_GIVE,  /* the next worker goes on with it, behind the errors */
    HS_SLOT_ERRORS_THEN_CLOSE,
    HS_SLOT_CLOSE  /* a frame is cut: nothing can be said any more */
};
enum hs_verdict hs_slot_verdict(const struct hs_slot *s);
/* `error` frames for all that is listed, in the form that was agreed; 0: none, or they do not fit. */
size_t hs_slot_errors(const struct hs_slot *s, const struct hk_table *k, const char *text, uint8_t *out, size_t capacity);
/* Nothing is owed any more; version and session stay. */
void hs_slot_settle(struct hs_slot *s);
void hs_slot_clear(struct hs_slot *s); /* for another connection */

#endif
