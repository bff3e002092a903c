/* What does it cost to hand work to another thread?
 *
 *   bench_pool [--threads=LIST] [--ms=N]
 *
 * JSON lines. "exchange": one cache line that two threads increment in turn, per one-way trip, which is
 * what the machine charges for any hand-over at all. "phase": a phase of one unit per thread, which
 * meet and do nothing else, from opening to opening. "wake": from the end
 * of a sleep of the workers to the end of a phase with a unit for each. "scaling": a fixed amount of
 * arithmetic in phases of 64 units, speed relative to one thread.
 *
 * Each figure is the least of many rounds; with fewer CPUs than threads it says little, so that is
 * printed too. */
#define _POSIX_C_SOURCE 200809L
#include "bench/instruments/bn_machine.h"
#include "graph/ht_pool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- the pool ---- */

struct bench_job {
    struct ht_job job;
    int64_t units;
    uint32_t phases;
    uint64_t spin; /* arithmetic of a unit */
    _Atomic uint64_t sink;
    bool meet;     /* a unit waits until every unit of its phase has begun */
    HB_ALIGNAS(64) _Atomic uint32_t arrived;
};

static int64_t bench_next(struct ht_job *job, int32_t worker)
{
    struct bench_job *j = (struct bench_job *)job;
    (void)worker;
    atomic_store_explicit(&j->arrived, 0, memory_order_relaxed);
    return j->phases ? (j->phases--, j->units) : 0;
}

static void bench_work(struct ht_job *job, int32_t worker, int64_t begin, int64_t end)
{
    struct bench_job *j = (struct bench_job *)job;
    (void)worker;
    uint64_t x = (uint64_t)begin;
    if (j->meet) {
        atomic_fetch_add(&j->arrived, (uint32_t)(end - begin));
        while (atomic_load_explicit(&j->arrived, memory_order_acquire) < (uint32_t)j->units)
            hb_os_pause();
    }
    for (uint64_t i = 0; i < j->spin * (uint64_t)(end - begin); i++)
        x = x * 6364136223846793005u + 1442695040888963407u;
    if (j->spin)
        atomic_store_explicit(&j->sink, x, memory_order_relaxed);
}

/* spin 0: units of no work that meet, so that every one of them is on another thread. */
static double run_ns(struct ht_pool *pool, int64_t units, uint32_t phases, uint64_t spin)
{
    struct bench_job j = {.job = {bench_next, bench_work}, .units = units, .phases = phases,
                          .spin = spin, .meet = spin == 0};
    double start = now_ns();
    ht_pool_run(pool, &j.job);
    return now_ns() - start;
}

static double best_run_ns(struct ht_pool *pool, int64_t units, uint32_t phases, uint64_t spin,
                          double budget_ns)
{
    double best = 1e18, until = now_ns() + budget_ns;
    do {
        double took = run_ns(pool, units, phases, spin);
        best = took < best ? took : best;
    } while (now_ns() < until);
    return best;
}

static double wake_ns(struct ht_pool *pool, int32_t n)
{
    double best = 1e18;
    for (int i = 0; i < 50; i++) {
        struct timespec rest = {0, 2000000}; /* longer than a worker spins */
        nanosleep(&rest, NULL);
        double took = run_ns(pool, n, 1, 0);
        best = took < best ? took : best;
    }
    return best;
}

static void bench_threads(int32_t n, double budget_ns, double *alone_ns)
{
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = n};
    hearth_pool_stats stats = {.struct_size = sizeof stats};
    hearth_pool *public_pool;
    if (hearth_pool_open(&config, &public_pool, NULL) != HEARTH_OK)
        exit(1);
    struct ht_pool *pool = (struct ht_pool *)public_pool;
    double phase = best_run_ns(pool, n, 100, 0, budget_ns) / 100;
    double work = best_run_ns(pool, 64, 20, 4000, budget_ns);
    *alone_ns = n == 1 ? work : *alone_ns;
    double wake = n > 1 ? wake_ns(pool, n) : 0;
    hearth_pool_get_stats(public_pool, &stats);
    printf("{\"bench\":\"pool\",\"threads\":%d,\"phase_ns\":%.1f,\"wake_ns\":%.0f,"
           "\"scaling\":%.2f,\"steals_per_phase\":%.2f,\"parks\":%llu,\"wakes\":%llu}\n",
           n, phase, wake, *alone_ns / work,
           stats.phases ? (double)stats.steals / (double)stats.phases : 0.0,
           (unsigned long long)stats.parks, (unsigned long long)stats.wakes);
    fflush(stdout);
    hearth_pool_close(public_pool);
}

int main(int argc, char **argv)
{
    const char *list = "1,2";
    double budget_ns = 3e8, alone_ns = 0;
    struct hb_cpus cpus;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--threads=", 10) == 0)
            list = argv[i] + 10;
        else if (strncmp(argv[i], "--ms=", 5) == 0)
            budget_ns = strtod(argv[i] + 5, NULL) * 1e6;
    }
    hb_os_cpus("", &cpus);
    printf("{\"bench\":\"exchange\",\"cpus\":%d,\"one_way_ns\":%.1f}\n", cpus.n_cpus, bn_core_to_core_ns() / 2);
    bench_threads(1, budget_ns, &alone_ns);
    for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        int32_t n = (int32_t)strtol(p, NULL, 10);
        if (n > 1 && n <= HT_POOL_MAX_WORKERS)
            bench_threads(n, budget_ns, &alone_ns);
    }
    return 0;
}
