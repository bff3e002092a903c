/* A pool under everything at once: jobs from three threads, phases of very different length, units that
 * take very different time, a fourth thread that pauses and resumes, more threads than CPUs.
 *
 *   stress_pool [--tasks=N]
 *
 * Every unit adds a number of its own to a sum, and marks itself; at the end of each phase the marks
 * are counted, so a unit that is lost, or runs twice, or outside its phase, is seen. */
#include "graph/ht_pool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBMITTERS 3
#define MOST_UNITS 4096

struct stress_job {
    struct ht_job job;
    uint64_t seed;
    int64_t units;
    uint32_t phases;
    uint64_t tasks, bad;
    _Atomic uint64_t sum;
    _Atomic uint8_t done[MOST_UNITS];
};

struct submitter {
    struct hb_os_thread thread;
    struct ht_pool *pool;
    struct stress_job j;
    uint64_t tasks; /* to do */
};

static uint64_t stress_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static int64_t stress_next(struct ht_job *job, int32_t worker)
{
    struct stress_job *j = (struct stress_job *)job;
    (void)worker;
    uint64_t want = (uint64_t)j->units * (uint64_t)(j->units + 1) / 2;
    for (int64_t i = 0; i < j->units; i++) {
        j->bad += atomic_load_explicit(&j->done[i], memory_order_relaxed) != 1;
        atomic_store_explicit(&j->done[i], 0, memory_order_relaxed);
    }
    j->bad += atomic_load(&j->sum) != want;
    j->tasks += (uint64_t)j->units;
    atomic_store(&j->sum, 0);
    j->units = 0;
    if (j->phases == 0)
        return 0;
    j->phases--;
    uint64_t r = stress_random(&j->seed);
    j->units = 1 + (int64_t)(r % (r % 16 == 0 ? MOST_UNITS : 40));
    return j->units;
}

static void stress_work(struct ht_job *job, int32_t worker, int64_t begin, int64_t end)
{
    struct stress_job *j = (struct stress_job *)job;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        if (i % 64 == 0) /* the first of a share is long: the rest of it is stolen */
            for (volatile int spin = 0; spin < 500; spin++) {
            }
        atomic_fetch_add_explicit(&j->done[i], 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&j->sum, (uint64_t)i + 1, memory_order_relaxed);
    }
}

static void submitter_main(void *arg)
{
    struct submitter *s = arg;
    while (s->j.tasks < s->tasks) {
        s->j.job = (struct ht_job){stress_next, stress_work};
        s->j.phases = 1 + (uint32_t)(stress_random(&s->j.seed) % 30);
        ht_pool_run(s->pool, &s->j.job);
    }
}

struct pauser {
    struct hb_os_thread thread;
    struct ht_pool *pool;
    _Atomic uint32_t stop;
    uint64_t pauses;
};

static void pauser_main(void *arg)
{
    struct pauser *p = arg;
    while (!atomic_load(&p->stop)) {
        ht_pool_pause(p->pool);
        for (volatile int spin = 0; spin < 20000; spin++) {
        }
        ht_pool_resume(p->pool);
        for (volatile int spin = 0; spin < 200000; spin++) {
        }
        p->pauses++;
    }
}

static void must_start(struct hb_os_thread *t, void (*entry)(void *), void *arg)
{
    if (hb_os_thread_start(t, entry, arg, NULL) != HEARTH_OK) {
        fputs("stress_pool: a thread was refused\n", stderr);
        exit(2);
    }
}

/* Returns units that went wrong. */
static uint64_t stress(int32_t n_threads, uint32_t spin_us, uint64_t tasks)
{
    static struct submitter s[SUBMITTERS];
    static struct pauser pauser;
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = n_threads,
                                 .spin_us = spin_us};
    hearth_pool_stats stats = {.struct_size = sizeof stats};
    hearth_pool *pool;
    uint64_t bad = 0, done = 0;
    if (hearth_pool_open(&config, &pool, NULL) != HEARTH_OK)
        exit(2);
    memset(&pauser, 0, sizeof pauser);
    pauser.pool = (struct ht_pool *)pool;
    for (int i = 0; i < SUBMITTERS; i++) {
        memset(&s[i], 0, sizeof s[i]);
        s[i].pool = (struct ht_pool *)pool;
        s[i].j.seed = (uint64_t)i + 1;
        s[i].tasks = tasks / SUBMITTERS;
        must_start(&s[i].thread, submitter_main, &s[i]);
    }
    must_start(&pauser.thread, pauser_main, &pauser);
    for (int i = 0; i < SUBMITTERS; i++) {
        hb_os_thread_join(&s[i].thread);
        bad += s[i].j.bad;
        done += s[i].j.tasks;
    }
    atomic_store(&pauser.stop, 1);
    hb_os_thread_join(&pauser.thread);
    hearth_pool_get_stats(pool, &stats);
    bad += stats.tasks != done;
    printf("%d threads: %llu tasks (%llu counted), %llu jobs with the pool, %llu alone, %llu steals, "
           "%llu parks, %llu wakes, %llu pauses, %llu wrong\n",
           n_threads, (unsigned long long)done, (unsigned long long)stats.tasks,
           (unsigned long long)stats.jobs, (unsigned long long)stats.jobs_alone,
           (unsigned long long)stats.steals, (unsigned long long)stats.parks,
           (unsigned long long)stats.wakes, (unsigned long long)pauser.pauses,
           (unsigned long long)bad);
    hearth_pool_close(pool);
    return bad;
}

int main(int argc, char **argv)
{
    uint64_t tasks = argc > 1 && strncmp(argv[1], "--tasks=", 8) == 0 ? strtoull(argv[1] + 8, NULL, 10)
                                                                       : 1000000;
    uint64_t bad = stress(2, 0, tasks / 3) + stress(4, 1, tasks / 3) + stress(9, 0, tasks / 3 + 2);
    return bad ? 1 : 0;
}
