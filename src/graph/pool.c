/* The thread pool; its idea is told in ht_pool.h. */
#include "graph/ht_pool.h"
#include "base/hb_check.h"
#include <string.h>

#define POOL_RING       4
#define POOL_SPIN_US    50
#define POOL_SPIN_CHECK 64 /* pauses between looks at the clock */

/* {serial:32, next:16, end:16}; alone on its cache line. */
struct pool_share {
    HB_ALIGNAS(HB_CACHELINE) _Atomic uint64_t word;
};

struct pool_phase {
    HB_ALIGNAS(HB_CACHELINE) _Atomic uint32_t left; /* units not yet done */
};

struct pool_worker {
    HB_ALIGNAS(HB_CACHELINE) struct ht_pool *pool;
    int32_t index;
    bool started;
    struct hb_os_thread thread;
    _Atomic uint64_t takes, steals, sleeps; /* written by the worker, read by anybody */
};

struct ht_pool {
    HB_ALIGNAS(HB_CACHELINE) _Atomic uint32_t current; /* serial of the open phase */
    HB_ALIGNAS(HB_CACHELINE) _Atomic uint32_t sleepers;
    _Atomic uint32_t stop;
    _Atomic uint32_t busy; /* a job holds the pool */
    struct ht_job *job;
    _Atomic uint32_t finished; /* serial at which the job ended */
    _Atomic uint64_t phases;
    int32_t n_workers;
    uint32_t spin_us;
    hearth_pool_config config;
    uint64_t mask[HT_POOL_MAX_WORKERS / 64];
    void *block; /* as the hooks gave it */
    size_t bytes;
    struct pool_phase phase[POOL_RING];
    struct pool_share *share; /* [POOL_RING][n_workers] */
    struct pool_worker *workers;
};

static uint64_t pool_word(uint32_t serial, uint32_t next, uint32_t end)
{
    return (uint64_t)serial << 32 | (uint64_t)next << 16 | end;
}

static struct pool_share *pool_share_of(struct ht_pool *p, uint32_t serial, int32_t worker)
{
    return &p->share[(serial % POOL_RING) * (uint32_t)p->n_workers + (uint32_t)worker];
}

/* Split n units into shares and open the phase. */
static void pool_open_phase(struct ht_pool *p, uint32_t serial, int64_t n)
{
    uint32_t w = (uint32_t)p->n_workers;
    for (uint32_t i = 0; i < w; i++) {
        uint32_t lo = (uint32_t)((uint64_t)n * i / w), hi = (uint32_t)((uint64_t)n * (i + 1) / w);
        atomic_store_explicit(&pool_share_of(p, serial, (int32_t)i)->word,
                              pool_word(serial, lo, hi), memory_order_relaxed);
    }
    atomic_store_explicit(&p->phase[serial % POOL_RING].left, (uint32_t)n, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->phases, 1, memory_order_relaxed);
    atomic_store(&p->current, serial);
    if (atomic_load(&p->sleepers) > 0)
        hb_os_wake(&p->current, INT32_MAX);
}

/* Take some units of a share: a quarter of what is left, from the front for the owner and from the
 * back for a thief. */
static bool pool_take(struct pool_share *s, uint32_t serial, bool owner, uint32_t *begin,
                      uint32_t *end)
{
    uint64_t word = atomic_load_explicit(&s->word, memory_order_acquire);
    for (;;) {
        uint32_t lo = (uint32_t)(word >> 16) & 0xFFFF, hi = (uint32_t)word & 0xFFFF;
        if ((uint32_t)(word >> 32) != serial || lo >= hi)
            return false;
        uint32_t n = (hi - lo + 3) / 4;
        uint64_t want = owner ? pool_word(serial, lo + n, hi) : pool_word(serial, lo, hi - n);
        if (atomic_compare_exchange_weak_explicit(&s->word, &word, want, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            *begin = owner ? lo : hi - n;
            *end = owner ? lo + n : hi;
            return true;
        }
    }
}

/* Count units as done; the last one opens the next phase or ends the job. */
static void pool_done(struct ht_pool *p, uint32_t serial, int32_t worker, uint32_t n)
{
    if (atomic_fetch_sub_explicit(&p->phase[serial % POOL_RING].left, n, memory_order_acq_rel) != n)
        return;
    int64_t units = p->job->next(p->job, worker);
    if (units == 0)
        atomic_store(&p->finished, serial + 1);
    pool_open_phase(p, serial + 1, units);
}

/* Work on one phase until nothing is left to take. */
static void pool_work(struct ht_pool *p, uint32_t serial, int32_t worker)
{
    struct pool_worker *me = &p->workers[worker];
    for (int32_t i = 0; i < p->n_workers; i++) {
        int32_t victim = worker + i < p->n_workers ? worker + i : worker + i - p->n_workers;
        uint32_t begin, end;
        while (pool_take(pool_share_of(p, serial, victim), serial, i == 0, &begin, &end)) {
            struct ht_job *job = p->job; /* stable: this phase cannot end without us */
            job->work(job, worker, begin, end);
            atomic_fetch_add_explicit(i == 0 ? &me->takes : &me->steals, 1, memory_order_relaxed);
            pool_done(p, serial, worker, end - begin);
        }
    }
}

/* Until another phase than `seen` is open, or the pool stops. */
static void pool_wait(struct ht_pool *p, uint32_t seen, int32_t worker)
{
    uint64_t start = 0;
    for (uint32_t i = 1;; i++) {
        if (atomic_load_explicit(&p->current, memory_order_acquire) != seen ||
            atomic_load_explicit(&p->stop, memory_order_relaxed))
            return;
        hb_os_pause();
        if (i % POOL_SPIN_CHECK != 0)
            continue;
        uint64_t now = hb_os_now_ns();
        if (start == 0)
            start = now;
        if (now - start >= (uint64_t)p->spin_us * 1000)
            break;
    }
    atomic_fetch_add(&p->sleepers, 1);
    atomic_fetch_add_explicit(&p->workers[worker].sleeps, 1, memory_order_relaxed);
    while (atomic_load(&p->current) == seen && !atomic_load(&p->stop))
        hb_os_wait(&p->current, seen);
    atomic_fetch_sub(&p->sleepers, 1);
}

static void pool_thread(void *arg)
{
    struct pool_worker *me = arg;
    struct ht_pool *p = me->pool;
    if (p->config.cpu_mask_words)
        hb_os_thread_set_affinity(p->mask, HB_COUNT(p->mask));
    for (;;) {
        uint32_t serial = atomic_load_explicit(&p->current, memory_order_acquire);
        if (atomic_load_explicit(&p->stop, memory_order_acquire))
            return;
        pool_work(p, serial, me->index);
        pool_wait(p, serial, me->index);
    }
}

/* A job on the calling thread alone. */
static void pool_run_alone(struct ht_job *job)
{
    for (int64_t n; (n = job->next(job, 0)) > 0;)
        job->work(job, 0, 0, n);
}

/* Workers from outside: everybody walks the phases of this one job and leaves at its end. */
static void pool_outside(void *ctx, int32_t i)
{
    struct ht_pool *p = ctx;
    if (i >= p->n_workers)
        return;
    for (;;) {
        uint32_t serial = atomic_load(&p->current);
        if (atomic_load(&p->finished) == serial)
            return;
        pool_work(p, serial, i);
        pool_wait(p, serial, i);
    }
}

void ht_pool_run(struct ht_pool *pool, struct ht_job *job)
{
    uint32_t idle = 0;
    if (!pool || pool->n_workers == 1 || !atomic_compare_exchange_strong(&pool->busy, &idle, 1)) {
        pool_run_alone(job);
        return;
    }
    uint32_t serial = atomic_load(&pool->current) + 1;
    pool->job = job;
    int64_t units = job->next(job, 0);
    if (units > 0) {
        pool_open_phase(pool, serial, units);
        if (pool->config.parallel)
            pool->config.parallel(pool->config.parallel_user, pool->n_workers, pool_outside, pool);
        else
            pool_outside(pool, 0);
    }
    atomic_store(&pool->busy, 0);
}

int32_t ht_pool_workers(const struct ht_pool *pool)
{
    return pool ? pool->n_workers : 1;
}

void ht_pool_get_stats(const struct ht_pool *pool, struct ht_pool_stats *stats)
{
    *stats = (struct ht_pool_stats){.phases = atomic_load(&pool->phases)};
    for (int32_t i = 0; i < pool->n_workers; i++) {
        stats->takes += atomic_load(&pool->workers[i].takes);
        stats->steals += atomic_load(&pool->workers[i].steals);
        stats->sleeps += atomic_load(&pool->workers[i].sleeps);
    }
}

void ht_pool_destroy(struct ht_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->stop, 1);
    hb_os_wake(&pool->current, INT32_MAX);
    for (int32_t i = 1; i < pool->n_workers; i++)
        if (pool->workers[i].started) {
            /* a worker may be between its check and its sleep: a changed word wakes it for sure */
            atomic_fetch_add(&pool->current, 1);
            hb_os_wake(&pool->current, INT32_MAX);
            hb_os_thread_join(&pool->workers[i].thread);
        }
    hearth_allocator hooks = pool->config.allocator;
    hooks.free(hooks.user, pool->block, pool->bytes);
}

/* One block: pool, workers, shares. The hooks promise 16 bytes of alignment and cache lines want 64,
 * so a line more is asked for. */
hearth_status ht_pool_create(const hearth_pool_config *config, struct ht_pool **out,
                             hearth_error *err)
{
    int32_t n = config->n_threads > 0 ? config->n_threads : hb_os_cpu_count();
    if (n > HT_POOL_MAX_WORKERS)
        return hb_fail(err, HEARTH_E_RANGE, "threads: %d; 1 to %d are accepted", n,
                       HT_POOL_MAX_WORKERS);
    size_t workers_off = hb_round_up(sizeof(struct ht_pool), HB_CACHELINE);
    size_t share_off = workers_off + (size_t)n * sizeof(struct pool_worker);
    size_t bytes = share_off + (size_t)n * POOL_RING * sizeof(struct pool_share);
    struct hb_arena a;
    void *block = config->allocator.alloc(config->allocator.user, bytes + HB_CACHELINE), *p;
    if (!block)
        return hb_fail(err, HEARTH_E_MEMORY, "threads: the allocator refused %zu bytes", bytes);
    hb_arena_init_fixed(&a, block, bytes + HB_CACHELINE);
    HB_TRY(hb_arena_take(&a, bytes, HB_CACHELINE, &p, err));
    struct ht_pool *pool = p;
    pool->config = *config;
    pool->block = block;
    pool->bytes = bytes + HB_CACHELINE;
    pool->n_workers = n;
    pool->spin_us = config->spin_us ? config->spin_us : POOL_SPIN_US;
    pool->workers = (struct pool_worker *)(void *)((uint8_t *)p + workers_off);
    pool->share = (struct pool_share *)(void *)((uint8_t *)p + share_off);
    for (size_t i = 0; i < config->cpu_mask_words && i < HB_COUNT(pool->mask); i++)
        pool->mask[i] = config->cpu_mask[i];
    *out = pool;
    for (int32_t i = 0; i < n; i++) {
        pool->workers[i].pool = pool;
        pool->workers[i].index = i;
        if (i == 0 || config->parallel)
            continue;
        hearth_status status = hb_os_thread_start(&pool->workers[i].thread, pool_thread,
                                                  &pool->workers[i], err);
        if (status != HEARTH_OK) {
            ht_pool_destroy(pool);
            return status;
        }
        pool->workers[i].started = true;
    }
    return HEARTH_OK;
}
