/* The thread pool; its idea is told in ht_pool.h. */
#include "graph/ht_pool.h"
#include "base/hb_check.h"
#include <string.h>

#define POOL_RING       4
#define POOL_SPIN_US    50
#ifndef POOL_SPIN_CHECK
#define POOL_SPIN_CHECK 64 /* pauses between looks at the clock */
#endif

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
    /* written by the worker, read by anybody */
    _Atomic uint64_t tasks, takes, steals, parks, wakes;
};

enum pool_paused { POOL_RUNS, POOL_WILL_PAUSE, POOL_PAUSED };

struct ht_pool {
    HB_ALIGNAS(HB_CACHELINE) _Atomic uint32_t current; /* serial of the open phase */
    HB_ALIGNAS(HB_CACHELINE) _Atomic uint32_t sleepers;
    _Atomic uint32_t caller_sleeps; /* one of them waits for the end of its job */
    _Atomic uint32_t stop;
    _Atomic uint32_t busy;   /* a job or a pause holds the pool */
    _Atomic uint32_t paused; /* enum pool_paused; paused workers sleep on it */
    struct ht_job *job;
    _Atomic uint32_t finished; /* serial at which the job ended */
    _Atomic uint64_t jobs, phases;
    _Atomic uint64_t alone_jobs, alone_tasks;
    int32_t n_workers;
    uint32_t spin_us;
    hearth_pool_config config;
    struct hb_cpus cpus;
    hearth_affinity affinity;
    int32_t n_bound;
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

/* A counter with one writer needs no locked instruction. */
static void pool_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Wake up to n of those that sleep on `current`. They stay counted until somebody wakes them, so that
 * a woken worker that has not got its CPU yet costs no second system call; one that found a new phase
 * just before its sleep leaves its count behind, so the count is never below the number asleep. */
static void pool_wake(struct ht_pool *p, uint32_t n, int32_t worker)
{
    uint32_t asleep = atomic_load(&p->sleepers);
    while (asleep > 0) {
        uint32_t k = n < asleep ? n : asleep;
        if (!atomic_compare_exchange_weak(&p->sleepers, &asleep, asleep - k))
            continue;
        pool_count(&p->workers[worker].wakes, 1);
        hb_os_wake(&p->current, (int)k);
        return;
    }
}

/* Split n units into shares and open the phase; n = 0 closes the job. Sleepers are woken as far as
 * there is work for them, and at the end only if somebody waits for it. A sleeper counts itself
 * before it looks at `current` for the last time, and `current` is written before the count is read:
 * one of the two sees the other. */
static void pool_open_phase(struct ht_pool *p, uint32_t serial, int64_t n, int32_t worker)
{
    uint32_t w = (uint32_t)p->n_workers;
    for (uint32_t i = 0; i < w; i++) {
        uint32_t lo = (uint32_t)((uint64_t)n * i / w), hi = (uint32_t)((uint64_t)n * (i + 1) / w);
        atomic_store_explicit(&pool_share_of(p, serial, (int32_t)i)->word,
                              pool_word(serial, lo, hi), memory_order_relaxed);
    }
    atomic_store_explicit(&p->phase[serial % POOL_RING].left, (uint32_t)n, memory_order_relaxed);
    atomic_store(&p->current, serial);
    if (n > 0)
        pool_wake(p, (uint32_t)n, worker);
    else if (p->config.parallel || atomic_load(&p->caller_sleeps))
        pool_wake(p, UINT32_MAX, worker);
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

/* Count units as done; the last one opens the next phase or ends the job. The job ends with
 * `finished` before `current`: who sees the new serial sees that it is the end. */
static void pool_done(struct ht_pool *p, uint32_t serial, int32_t worker, uint32_t n)
{
    if (atomic_fetch_sub_explicit(&p->phase[serial % POOL_RING].left, n, memory_order_acq_rel) != n)
        return;
    int64_t units = p->job->next(p->job, worker);
    pool_count(&p->phases, units != 0);
    if (units == 0)
        atomic_store(&p->finished, serial + 1);
    pool_open_phase(p, serial + 1, units, worker);
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
            pool_count(&me->tasks, end - begin);
            pool_count(i == 0 ? &me->takes : &me->steals, 1);
            pool_done(p, serial, worker, end - begin);
        }
    }
}

/* Spin until `current` is another than `seen` or the pool stops; false: the time is over. */
static bool pool_spin(struct ht_pool *p, uint32_t seen)
{
    uint64_t start = 0;
    for (uint32_t i = 1;; i++) {
        if (atomic_load_explicit(&p->current, memory_order_acquire) != seen ||
            atomic_load_explicit(&p->stop, memory_order_relaxed))
            return true;
        hb_os_pause();
        if (i % POOL_SPIN_CHECK != 0)
            continue;
        uint64_t now = hb_os_now_ns();
        if (start == 0)
            start = now;
        if (now - start >= (uint64_t)p->spin_us * 1000)
            return false;
    }
}

/* Until another phase than `seen` is open, or the pool stops. */
static void pool_wait(struct ht_pool *p, uint32_t seen, int32_t worker)
{
    if (pool_spin(p, seen))
        return;
    if (worker == 0)
        atomic_store(&p->caller_sleeps, 1);
    pool_count(&p->workers[worker].parks, 1);
    for (;;) {
        atomic_fetch_add(&p->sleepers, 1);
        if (atomic_load(&p->current) != seen || atomic_load(&p->stop))
            break;
        hb_os_wait(&p->current, seen);
    }
    if (worker == 0)
        atomic_store(&p->caller_sleeps, 0);
}

static void pool_thread(void *arg)
{
    struct pool_worker *me = arg;
    struct ht_pool *p = me->pool;
    for (;;) {
        uint32_t serial = atomic_load_explicit(&p->current, memory_order_acquire);
        while (atomic_load(&p->paused) == POOL_PAUSED)
            hb_os_wait(&p->paused, POOL_PAUSED);
        if (atomic_load_explicit(&p->stop, memory_order_acquire))
            return;
        pool_work(p, serial, me->index);
        pool_wait(p, serial, me->index);
    }
}

/* A job on the calling thread alone. */
static void pool_run_alone(struct ht_pool *p, struct ht_job *job)
{
    uint64_t tasks = 0;
    for (int64_t n; (n = job->next(job, 0)) > 0; tasks += (uint64_t)n)
        job->work(job, 0, 0, n);
    if (!p)
        return;
    atomic_fetch_add_explicit(&p->alone_jobs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->alone_tasks, tasks, memory_order_relaxed);
}

/* Workers from outside, and the caller: everybody walks the phases of this one job and leaves at its
 * end. */
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
    if (!pool || pool->n_workers == 1 || atomic_load(&pool->paused) != POOL_RUNS ||
        !atomic_compare_exchange_strong(&pool->busy, &idle, 1)) {
        pool_run_alone(pool, job);
        return;
    }
    uint32_t serial = atomic_load(&pool->current) + 1;
    pool->job = job;
    int64_t units = job->next(job, 0);
    pool_count(&pool->jobs, 1);
    if (units > 0) {
        pool_count(&pool->phases, 1);
        pool_open_phase(pool, serial, units, 0);
        if (pool->config.parallel)
            pool->config.parallel(pool->config.parallel_user, pool->n_workers, pool_outside, pool);
        else
            pool_outside(pool, 0);
    }
    atomic_store(&pool->busy, 0);
    if (atomic_load(&pool->paused) == POOL_WILL_PAUSE)
        hb_os_wake(&pool->busy, INT32_MAX);
}

/* A pause takes the pool as a job would, after the one that runs, and keeps it. An empty phase
 * brings the workers from `current` to `paused`, where they sleep without spinning. */
void ht_pool_pause(struct ht_pool *pool)
{
    uint32_t runs = POOL_RUNS, idle = 0;
    if (!atomic_compare_exchange_strong(&pool->paused, &runs, POOL_WILL_PAUSE))
        return;
    while (!atomic_compare_exchange_strong(&pool->busy, &idle, 1)) {
        hb_os_wait(&pool->busy, 1);
        idle = 0;
    }
    uint32_t serial = atomic_load(&pool->current) + 1;
    atomic_store(&pool->paused, POOL_PAUSED);
    atomic_store(&pool->finished, serial);
    pool_open_phase(pool, serial, 0, 0);
    pool_wake(pool, UINT32_MAX, 0);
}

void ht_pool_resume(struct ht_pool *pool)
{
    if (atomic_load(&pool->paused) != POOL_PAUSED)
        return;
    atomic_store(&pool->paused, POOL_RUNS);
    hb_os_wake(&pool->paused, INT32_MAX);
    atomic_store(&pool->busy, 0);
}

int32_t ht_pool_workers(const struct ht_pool *pool)
{
    return pool ? pool->n_workers : 1;
}

void ht_pool_get_stats(const struct ht_pool *pool, hearth_pool_stats *stats)
{
    hearth_pool_stats full = {.struct_size = stats->struct_size,
                              .jobs = atomic_load(&pool->jobs),
                              .phases = atomic_load(&pool->phases),
                              .jobs_alone = atomic_load(&pool->alone_jobs),
                              .tasks = atomic_load(&pool->alone_tasks)};
    for (int32_t i = 0; i < pool->n_workers; i++) {
        const struct pool_worker *w = &pool->workers[i];
        full.tasks += atomic_load_explicit(&w->tasks, memory_order_relaxed);
        full.takes += atomic_load_explicit(&w->takes, memory_order_relaxed);
        full.steals += atomic_load_explicit(&w->steals, memory_order_relaxed);
        full.parks += atomic_load_explicit(&w->parks, memory_order_relaxed);
        full.wakes += atomic_load_explicit(&w->wakes, memory_order_relaxed);
    }
    memcpy(stats, &full, full.struct_size < sizeof full ? full.struct_size : sizeof full);
}

void ht_pool_get_info(const struct ht_pool *pool, hearth_pool_info *info)
{
    const hearth_pool_info full = {
        .struct_size = info->struct_size,
        .n_threads = pool->n_workers,
        .n_cpus = pool->cpus.n_cpus,
        .n_cores = pool->cpus.n_cores,
        .n_fast_cores = pool->cpus.n_fast,
        .quota_milli = pool->cpus.quota_milli,
        .affinity = pool->affinity,
        .n_bound = pool->n_bound,
        .paused = atomic_load(&pool->paused) == POOL_PAUSED,
    };
    memcpy(info, &full, full.struct_size < sizeof full ? full.struct_size : sizeof full);
}

/* Every word that a worker may sleep on is changed before it is woken, so that one between its check
 * and its sleep does not sleep. */
void ht_pool_destroy(struct ht_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->stop, 1);
    atomic_fetch_add(&pool->current, 1);
    atomic_store(&pool->paused, POOL_RUNS);
    hb_os_wake(&pool->current, INT32_MAX);
    hb_os_wake(&pool->paused, INT32_MAX);
    for (int32_t i = 1; i < pool->n_workers; i++)
        if (pool->workers[i].started)
            hb_os_thread_join(&pool->workers[i].thread);
    hearth_allocator hooks = pool->config.allocator;
    hooks.free(hooks.user, pool->block, pool->bytes);
}

/* ---- making one ---- */

/* The CPUs to bind to: those of the mask that are allowed here. */
static bool pool_mask(struct ht_pool *p, uint64_t mask[HB_CPU_WORDS])
{
    uint64_t allowed[HB_CPU_WORDS], missing = 0, any = 0;
    bool known = hb_os_cpus_allowed(allowed);
    for (size_t i = 0; i < HB_CPU_WORDS; i++) {
        uint64_t want = i < p->config.cpu_mask_words ? p->config.cpu_mask[i] : 0;
        mask[i] = known ? want & allowed[i] : want;
        missing |= want & ~mask[i];
        any |= mask[i];
    }
    for (size_t i = HB_CPU_WORDS; i < p->config.cpu_mask_words; i++)
        missing |= p->config.cpu_mask[i];
    p->affinity = !any      ? HEARTH_AFFINITY_REFUSED
                  : missing ? HEARTH_AFFINITY_REDUCED
                            : HEARTH_AFFINITY_BOUND;
    return any != 0;
}

/* Keep of a mask the (n mod count)-th CPU alone. */
static void pool_one_cpu(uint64_t mask[HB_CPU_WORDS], int32_t n)
{
    int32_t count = 0, at = 0;
    for (int32_t i = 0; i < HB_CPU_WORDS * 64; i++)
        count += (int32_t)(mask[i / 64] >> i % 64 & 1);
    n %= count;
    for (int32_t i = 0; i < HB_CPU_WORDS * 64; i++) {
        uint64_t bit = (uint64_t)1 << i % 64;
        if ((mask[i / 64] & bit) && at++ != n)
            mask[i / 64] &= ~bit;
    }
}

static void pool_bind(struct ht_pool *p)
{
    uint64_t all[HB_CPU_WORDS], mask[HB_CPU_WORDS];
    bool strict = p->config.flags & HEARTH_POOL_STRICT;
    if (!p->config.cpu_mask_words || !pool_mask(p, all))
        return;
    for (int32_t i = 0; i < p->n_workers; i++) {
        memcpy(mask, all, sizeof mask);
        if (strict)
            pool_one_cpu(mask, i);
        bool caller = i == 0 && (p->config.flags & HEARTH_POOL_BIND_CALLER);
        if (!caller && !p->workers[i].started)
            continue;
        if (hb_os_thread_bind(caller ? NULL : &p->workers[i].thread, mask, HB_CPU_WORDS))
            p->n_bound++;
        else
            p->affinity = HEARTH_AFFINITY_REFUSED;
    }
}

/* Threads of a pool, 1 where the feature is off. */
static hearth_status pool_count_threads(const hearth_pool_config *config,
                                        const struct hb_cpus *cpus, int32_t *n, hearth_error *err)
{
    *n = config->n_threads > 0 ? config->n_threads : cpus->n_default;
    if (config->n_threads < 0 || config->n_threads > HT_POOL_MAX_WORKERS)
        return hb_fail(err, HEARTH_E_RANGE, "threads: %d; 1 to %d are accepted", config->n_threads,
                       HT_POOL_MAX_WORKERS);
    if (*n > HT_POOL_MAX_WORKERS)
        *n = HT_POOL_MAX_WORKERS;
    if (!HEARTH_WITH_THREAD_POOL || (config->flags & HEARTH_POOL_OFF))
        *n = 1;
    return HEARTH_OK;
}

/* One block: pool, workers, shares. The hooks promise 16 bytes of alignment and cache lines want 64,
 * so a line more is asked for. */
hearth_status ht_pool_create(const hearth_pool_config *config, struct ht_pool **out,
                             hearth_error *err)
{
    struct hb_cpus cpus;
    int32_t n;
    hb_os_cpus("", &cpus);
    HB_TRY(pool_count_threads(config, &cpus, &n, err));
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
    pool->cpus = cpus;
    pool->block = block;
    pool->bytes = bytes + HB_CACHELINE;
    pool->n_workers = n;
    pool->spin_us = config->spin_us ? config->spin_us : n > cpus.n_cpus ? 0 : POOL_SPIN_US;
    pool->workers = (struct pool_worker *)(void *)((uint8_t *)p + workers_off);
    pool->share = (struct pool_share *)(void *)((uint8_t *)p + share_off);
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
    pool_bind(pool);
    return HEARTH_OK;
}
