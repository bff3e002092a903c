/* Worker threads that walk phases together.
 *
 * A job is a sequence of phases; a phase is `n` independent units. Workers take units from their
 * own share first and steal from others after. The phase ends when its units are done, not when
 * every worker has arrived: whoever finishes the last unit runs the job's `next`, which may compute
 * small things itself, and opens the next phase. A worker that lost its CPU meanwhile finds a newer
 * phase open and goes on there; nobody waits for it unless it holds a unit.
 *
 * How that is safe: every share is one 64-bit word {serial of the phase, next, end}. Taking units is
 * a compare-exchange on that word, so success proves that the phase is still open, and an open
 * phase with an unfinished unit cannot end. A late worker's exchange fails because the serial
 * moved on. Words live in a ring of a few phases inside the pool, which outlives all workers.
 *
 * Waiting spins for a bounded time and then sleeps on a futex; with more threads than CPUs it sleeps
 * at once. tests/graph/model_pool.c walks every interleaving of small cases. */
#ifndef HT_POOL_H
#define HT_POOL_H

#include "base/os/hb_os.h"

#define HT_POOL_MAX_WORKERS 256

struct ht_pool;

struct ht_job {
    /* The next phase's number of units (1..65535), or 0 when the job is finished. Called by one
     * worker at a time; may do serial work. */
    int64_t (*next)(struct ht_job *job, int32_t worker);
    /* Compute units [begin, end). */
    void (*work)(struct ht_job *job, int32_t worker, int64_t begin, int64_t end);
};

hearth_status ht_pool_create(const hearth_pool_config *config, struct ht_pool **pool,
                             hearth_error *err);
void ht_pool_destroy(struct ht_pool *pool);
int32_t ht_pool_workers(const struct ht_pool *pool); /* including the caller of ht_pool_run */

/* Run a job on all workers and the calling thread, which is worker 0. When another thread's job
 * holds the pool, or it is paused, the caller runs its job alone. */
void ht_pool_run(struct ht_pool *pool, struct ht_job *job);

/* As hearth_pool_pause and the rest of that family in hearth.h. */
void ht_pool_pause(struct ht_pool *pool);
void ht_pool_resume(struct ht_pool *pool);
void ht_pool_get_stats(const struct ht_pool *pool, hearth_pool_stats *stats);
void ht_pool_get_info(const struct ht_pool *pool, hearth_pool_info *info);

#endif
