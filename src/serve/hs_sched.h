/* Who is served next: a pure function of requests and a clock value. No socket, no thread, no clock of its own;
 * one caller at a time.
 *
 *   lanes       one for each model; four priorities in each, first come first served inside
 *   push        waits, or is refused with the reason
 *   take        the next requests of a lane that may start now, as many as fit
 *   cancel, expire, finish    each request leaves exactly once
 *
 *     push ──► waiting ──take──► running ──finish──► gone
 *                 └── cancel, expire ──► gone     └── cancel, expire: told to the caller, who finishes it
 *
 * Ageing: a request rises by one priority for every `age_ns` it has waited, without end, and the oldest goes first
 * among equals. So nothing that arrives `3 * age_ns` after a request is taken before it, whatever the
 * priorities: a request waits at most for those that were there and those that arrive within that time.
 *
 * A head that does not fit (tokens, bytes, running) holds its lane back until it does: large requests are not passed
 * by small ones for ever.
 *
 * Push, take, cancel and finish take O(1) besides the order of deadlines, a heap: O(log n). Memory is one block whose
 * size is known before. */
#ifndef HS_SCHED_H
#define HS_SCHED_H

#include "base/hb_arena.h"

#define HS_PRIORITIES 4
#define HS_MAX_LANES  64
#define HS_NEVER      UINT64_MAX

struct hs_key {
    uint64_t session, id; /* ids are those of the session's client */
};

struct hs_request {
    struct hs_key key;
    uint8_t lane;
    uint8_t priority;     /* 0 low to 3 critical */
    uint32_t tokens;      /* prompt and most of the answer */
    uint64_t bytes;       /* memory it is planned to take */
    uint64_t deadline_ns; /* HS_NEVER: none */
    void *user;
};

struct hs_lane_config {
    uint32_t max_running;   /* requests at once */
    uint32_t max_tokens;    /* of those running, summed; a larger request is refused */
    uint64_t max_bytes;     /* likewise */
};

struct hs_sched_config {
    uint32_t max_waiting; /* over all lanes */
    uint32_t max_running; /* over all lanes */
    uint64_t age_ns;
    uint32_t n_lanes;
    const struct hs_lane_config *lanes; /* copied */
};

/* What became of a push. */
enum hs_admit {
    HS_ADMITTED,
    HS_QUEUE_FULL,  /* max_waiting wait already */
    HS_TOO_LARGE,   /* would not fit an empty lane */
    HS_DUPLICATE,   /* the key is in flight */
    HS_TOO_LATE,    /* the deadline has passed */
    HS_NO_LANE      /* no such lane or priority */
};
const char *hs_admit_text(enum hs_admit admit);

enum hs_state { HS_UNKNOWN, HS_WAITING, HS_RUNNING };

struct hs_sched;

hearth_status hs_sched_create(const struct hs_sched_config *config, struct hb_arena *arena, struct hs_sched **out,
                              hearth_error *err);
/* What fits into a lane from now on. */
void hs_sched_set_lane(struct hs_sched *s, uint8_t lane, const struct hs_lane_config *config);
enum hs_admit hs_sched_push(struct hs_sched *s, const struct hs_request *request, uint64_t now_ns);
/* The next requests of a lane, at most `n` with at most max_tokens together (a first one larger than that goes alone;
 * 0: no limit): they run now. Returns how many. Expired ones are not taken. */
size_t hs_sched_take(struct hs_sched *s, uint8_t lane, uint64_t now_ns, uint32_t max_tokens, struct hs_request *out,
                     size_t n);
/* The one that take would give first, if it fits now. */
bool hs_sched_peek(const struct hs_sched *s, uint8_t lane, uint64_t now_ns, struct hs_request *out);
/* A running request is over. false: it is not running. */
bool hs_sched_finish(struct hs_sched *s, struct hs_key key);
/* Waiting: removed, *out is it, the caller answers. Running: *out is it, the caller stops and finishes it. */
enum hs_state hs_sched_cancel(struct hs_sched *s, struct hs_key key, struct hs_request *out);
/* The next request whose deadline is not after now, as cancel does; each is given once. */
enum hs_state hs_sched_expire(struct hs_sched *s, uint64_t now_ns, struct hs_request *out);
/* The next deadline; HS_NEVER if there is none. */
uint64_t hs_sched_next_deadline(const struct hs_sched *s);

struct hs_sched_stats {
    uint32_t waiting, running;
    uint32_t waiting_by_priority[HS_PRIORITIES];
    uint64_t admitted, refused, taken, finished, cancelled, expired; /* cancelled, expired: while waiting */
};
void hs_sched_get_stats(const struct hs_sched *s, struct hs_sched_stats *stats);

#endif
