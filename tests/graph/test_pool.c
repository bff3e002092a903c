/* The pool: every unit exactly once, whatever the counts, threads and interruptions. */
#define _GNU_SOURCE
#include "test_support.h"
#include "graph/ht_pool.h"
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#define MAX_UNITS 65535

struct counting_job {
    struct ht_job job;
    const int64_t *units;
    uint32_t n_phases, phase;
    bool open;
    uint64_t bad;                    /* phases whose units were not each done once */
    _Atomic uint8_t done[MAX_UNITS];
    uint32_t skew;                   /* unit 0 takes long */
};

static void counting_check(struct counting_job *j)
{
    for (int64_t i = 0; i < j->units[j->phase]; i++) {
        if (atomic_load_explicit(&j->done[i], memory_order_relaxed) != 1)
            j->bad++;
        atomic_store_explicit(&j->done[i], 0, memory_order_relaxed);
    }
}

static int64_t counting_next(struct ht_job *job, int32_t worker)
{
    struct counting_job *j = (struct counting_job *)job;
    (void)worker;
    if (j->open) {
        counting_check(j);
        j->phase++;
    }
    j->open = j->phase < j->n_phases;
    return j->open ? j->units[j->phase] : 0;
}

static void counting_work(struct ht_job *job, int32_t worker, int64_t begin, int64_t end)
{
    struct counting_job *j = (struct counting_job *)job;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        if (i == 0)
            for (volatile uint32_t spin = 0; spin < j->skew; spin++) {
            }
        atomic_fetch_add_explicit(&j->done[i], 1, memory_order_relaxed);
    }
}

static struct ht_pool *pool_of(int32_t n_threads, uint32_t spin_us)
{
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = n_threads,
                                 .spin_us = spin_us};
    hearth_pool *pool;
    assert_int_equal(hearth_pool_open(&config, &pool, NULL), HEARTH_OK);
    return (struct ht_pool *)pool;
}

#define PHASES 400

static void run_random_phases(int32_t n_threads, uint32_t spin_us, uint32_t skew, uint64_t seed)
{
    static struct counting_job j;
    static int64_t units[PHASES];
    struct ht_pool *pool = pool_of(n_threads, spin_us);
    for (int run = 0; run < 5; run++) {
        for (int i = 0; i < PHASES; i++)
            units[i] = 1 + (int64_t)(test_rand(&seed) % (i % 50 == 0 ? MAX_UNITS : 40));
        j = (struct counting_job){.job = {counting_next, counting_work}, .units = units,
                                  .n_phases = PHASES, .skew = skew};
        ht_pool_run(pool, &j.job);
        assert_int_equal(j.phase, PHASES);
        assert_int_equal(j.bad, 0);
    }
    ht_pool_destroy(pool);
}

static void every_unit_runs_exactly_once(void **state)
{
    (void)state;
    for (int32_t n = 1; n <= 8; n++)
        run_random_phases(n, 0, 0, (uint64_t)n);
}

static void sleeping_workers_lose_no_wake_up(void **state)
{
    (void)state;
    run_random_phases(4, 1, 20000, 7);
}

static void a_pool_of_more_threads_than_units_ends(void **state)
{
    (void)state;
    static const int64_t units[] = {1, 2, 1, 3, 1};
    static struct counting_job j;
    struct ht_pool *pool = pool_of(16, 0);
    for (int i = 0; i < 200; i++) {
        j = (struct counting_job){.job = {counting_next, counting_work}, .units = units,
                                  .n_phases = HB_COUNT(units)};
        ht_pool_run(pool, &j.job);
        assert_int_equal(j.bad, 0);
    }
    ht_pool_destroy(pool);
}

struct submitter {
    struct ht_pool *pool;
    struct counting_job j;
};

static void submitter_main(void *arg)
{
    static const int64_t units[] = {5, 17, 1, 64};
    struct submitter *s = arg;
    for (int i = 0; i < 100; i++) {
        s->j = (struct counting_job){.job = {counting_next, counting_work}, .units = units,
                                     .n_phases = HB_COUNT(units), .bad = s->j.bad};
        ht_pool_run(s->pool, &s->j.job);
    }
}

static void several_submitters_share_a_pool(void **state)
{
    (void)state;
    static struct submitter s[3];
    struct hb_os_thread threads[3];
    struct ht_pool *pool = pool_of(3, 0);
    for (int i = 0; i < 3; i++) {
        s[i].pool = pool;
        assert_int_equal(hb_os_thread_start(&threads[i], submitter_main, &s[i], NULL), HEARTH_OK);
    }
    for (int i = 0; i < 3; i++) {
        hb_os_thread_join(&threads[i]);
        assert_int_equal(s[i].j.bad, 0);
    }
    ht_pool_destroy(pool);
}

/* A parallel-for from outside that starts fresh threads each time. */
static void (*outside_fn)(void *, int32_t);
static void *outside_ctx;

static void outside_main(void *arg)
{
    outside_fn(outside_ctx, (int32_t)(intptr_t)arg);
}

static void outside_parallel(void *user, int32_t n, void (*fn)(void *, int32_t), void *ctx)
{
    struct hb_os_thread threads[8];
    ++*(int *)user;
    outside_fn = fn;
    outside_ctx = ctx;
    for (int32_t i = 1; i < n; i++)
        hb_os_thread_start(&threads[i], outside_main, (void *)(intptr_t)i, NULL);
    fn(ctx, 0);
    for (int32_t i = 1; i < n; i++)
        hb_os_thread_join(&threads[i]);
}

static void a_parallel_for_hook_supplies_the_workers(void **state)
{
    (void)state;
    static const int64_t units[] = {100, 3, 1000, 1};
    static struct counting_job j;
    int calls = 0;
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = 4,
                                 .parallel = outside_parallel, .parallel_user = &calls};
    hearth_pool *pool;
    assert_int_equal(hearth_pool_open(&config, &pool, NULL), HEARTH_OK);
    for (int i = 0; i < 20; i++) {
        j = (struct counting_job){.job = {counting_next, counting_work}, .units = units,
                                  .n_phases = HB_COUNT(units)};
        ht_pool_run((struct ht_pool *)pool, &j.job);
        assert_int_equal(j.bad, 0);
    }
    assert_int_equal(calls, 20);
    hearth_pool_close(pool);
}

static void too_many_threads_are_refused(void **state)
{
    (void)state;
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = 257};
    hearth_pool *pool;
    hearth_error err;
    assert_int_equal(hearth_pool_open(&config, &pool, &err), HEARTH_E_RANGE);
    assert_string_equal(err.text, "threads: 257; 1 to 256 are accepted");
}

/* ---- where workers run ---- */

/* Each worker notes the CPUs it is bound to; units meet, so that every worker has one. */
struct mask_job {
    struct ht_job job;
    int32_t n;
    bool open;
    cpu_set_t set[8];
    _Atomic int32_t arrived;
};

static int64_t mask_next(struct ht_job *job, int32_t worker)
{
    struct mask_job *j = (struct mask_job *)job;
    (void)worker;
    j->open = !j->open;
    return j->open ? j->n : 0;
}

static void mask_work(struct ht_job *job, int32_t worker, int64_t begin, int64_t end)
{
    struct mask_job *j = (struct mask_job *)job;
    sched_getaffinity(0, sizeof j->set[worker], &j->set[worker]);
    atomic_fetch_add(&j->arrived, (int32_t)(end - begin));
    while (atomic_load(&j->arrived) < j->n)
        hb_os_pause();
}

static void read_masks(const hearth_pool_config *config, struct mask_job *j, hearth_pool_info *info)
{
    hearth_pool *pool;
    assert_int_equal(hearth_pool_open(config, &pool, NULL), HEARTH_OK);
    *j = (struct mask_job){.job = {mask_next, mask_work}, .n = config->n_threads};
    *info = (hearth_pool_info){.struct_size = sizeof *info};
    ht_pool_run((struct ht_pool *)pool, &j->job);
    hearth_pool_get_info(pool, info);
    hearth_pool_close(pool);
}

static void workers_run_on_the_cpus_of_the_mask(void **state)
{
    (void)state;
    static struct mask_job j;
    uint64_t allowed[HB_CPU_WORDS], mask[HB_CPU_WORDS] = {0};
    hearth_pool_info info;
    cpu_set_t before, after;
    size_t first = 0;
    if (!hb_os_cpus_allowed(allowed))
        skip();
    sched_getaffinity(0, sizeof before, &before);
    while (!(allowed[first / 64] >> first % 64 & 1))
        first++;
    mask[first / 64] |= (uint64_t)1 << first % 64;
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = 3, .cpu_mask = mask,
                                 .cpu_mask_words = HB_CPU_WORDS};
    read_masks(&config, &j, &info);
    assert_int_equal(info.affinity, HEARTH_AFFINITY_BOUND);
    assert_int_equal(info.n_bound, 2); /* not the caller */
    for (int w = 1; w < 3; w++) {
        assert_int_equal(CPU_COUNT(&j.set[w]), 1);
        assert_true(CPU_ISSET(first, &j.set[w]));
    }
    sched_getaffinity(0, sizeof after, &after);
    assert_true(CPU_EQUAL(&before, &after));
    config.flags = HEARTH_POOL_BIND_CALLER;
    read_masks(&config, &j, &info);
    assert_int_equal(info.n_bound, 3);
    assert_int_equal(CPU_COUNT(&j.set[0]), 1);
    sched_setaffinity(0, sizeof before, &before);
}

static void strict_workers_have_a_cpu_each(void **state)
{
    (void)state;
    static struct mask_job j;
    uint64_t allowed[HB_CPU_WORDS];
    hearth_pool_info info;
    if (!hb_os_cpus_allowed(allowed))
        skip();
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = 4, .cpu_mask = allowed,
                                 .cpu_mask_words = HB_CPU_WORDS, .flags = HEARTH_POOL_STRICT};
    cpu_set_t all;
    sched_getaffinity(0, sizeof all, &all);
    read_masks(&config, &j, &info);
    for (int w = 1; w < 4; w++) {
        int nth = 0;
        size_t cpu = 0; /* the CPU is number (w mod count) of the mask */
        for (; nth < w % CPU_COUNT(&all) || !CPU_ISSET(cpu, &all); cpu++)
            nth += CPU_ISSET(cpu, &all) ? 1 : 0;
        assert_int_equal(CPU_COUNT(&j.set[w]), 1);
        assert_true(CPU_ISSET(cpu, &j.set[w]));
    }
}

static void cpus_that_are_not_allowed_are_left_out_and_reported(void **state)
{
    (void)state;
    static struct mask_job j;
    uint64_t allowed[HB_CPU_WORDS], mask[HB_CPU_WORDS] = {0};
    hearth_pool_info info;
    cpu_set_t before;
    if (!hb_os_cpus_allowed(allowed))
        skip();
    sched_getaffinity(0, sizeof before, &before);
    mask[HB_CPU_WORDS - 1] = (uint64_t)1 << 63; /* CPU 1023 */
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = 2, .cpu_mask = mask,
                                 .cpu_mask_words = HB_CPU_WORDS};
    read_masks(&config, &j, &info);
    assert_int_equal(info.affinity, HEARTH_AFFINITY_REFUSED);
    assert_int_equal(info.n_bound, 0);
    assert_true(CPU_EQUAL(&before, &j.set[1]));
    for (int i = 0; i < HB_CPU_WORDS; i++)
        mask[i] |= allowed[i];
    read_masks(&config, &j, &info);
    assert_int_equal(info.affinity, HEARTH_AFFINITY_REDUCED);
    assert_int_equal(info.n_bound, 1);
    assert_true(CPU_EQUAL(&before, &j.set[1]));
}

/* ---- rest ---- */

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void run_phases(hearth_pool *pool, uint32_t n_phases)
{
    static const int64_t units[] = {64, 7, 64, 3};
    static struct counting_job j;
    for (uint32_t i = 0; i < n_phases; i += HB_COUNT(units)) {
        j = (struct counting_job){.job = {counting_next, counting_work}, .units = units,
                                  .n_phases = HB_COUNT(units)};
        ht_pool_run((struct ht_pool *)pool, &j.job);
        assert_int_equal(j.bad, 0);
    }
}

static void an_idle_pool_takes_no_cpu(void **state)
{
    (void)state;
    hearth_pool *pool = (hearth_pool *)pool_of(4, 0);
    hearth_pool_stats stats = {.struct_size = sizeof stats};
    struct timespec second = {1, 0};
    run_phases(pool, 40);
    double before = cpu_seconds();
    nanosleep(&second, NULL);
    double took = cpu_seconds() - before;
    print_message("4 threads idle for 1 s: %.2f ms of CPU\n", took * 1e3);
    assert_true(took < 0.02);
    hearth_pool_get_stats(pool, &stats);
    assert_true(stats.parks >= 3);
    run_phases(pool, 40); /* and they wake up again */
    hearth_pool_close(pool);
}

static void a_paused_pool_computes_on_the_caller_alone(void **state)
{
    (void)state;
    static struct mask_job j;
    hearth_pool *pool = (hearth_pool *)pool_of(2, 0);
    hearth_pool_stats before = {.struct_size = sizeof before}, after = before;
    hearth_pool_info info = {.struct_size = sizeof info};
    run_phases(pool, 40);
    hearth_pool_pause(pool);
    hearth_pool_pause(pool); /* twice is as good as once */
    hearth_pool_get_stats(pool, &before);
    hearth_pool_get_info(pool, &info);
    assert_true(info.paused);
    run_phases(pool, 40);
    hearth_pool_get_stats(pool, &after);
    assert_int_equal(after.jobs, before.jobs);
    assert_int_equal(after.jobs_alone, before.jobs_alone + 10);
    assert_int_equal(after.takes + after.steals, before.takes + before.steals);
    assert_int_equal(after.tasks, before.tasks + 10 * (64 + 7 + 64 + 3));
    hearth_pool_resume(pool);
    hearth_pool_resume(pool);
    j = (struct mask_job){.job = {mask_next, mask_work}, .n = 2};
    ht_pool_run((struct ht_pool *)pool, &j.job); /* ends only when both workers take part */
    hearth_pool_pause(pool);
    hearth_pool_close(pool); /* a paused pool ends too */
}

static void the_switch_leaves_the_caller_alone(void **state)
{
    (void)state;
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = 4,
                                 .flags = HEARTH_POOL_OFF};
    hearth_pool_stats stats = {.struct_size = sizeof stats};
    hearth_pool *pool;
    assert_int_equal(hearth_pool_open(&config, &pool, NULL), HEARTH_OK);
    assert_int_equal(hearth_pool_threads(pool), 1);
    run_phases(pool, 4);
    hearth_pool_get_stats(pool, &stats);
    assert_int_equal(stats.jobs, 0);
    assert_int_equal(stats.tasks, 64 + 7 + 64 + 3);
    hearth_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_unit_runs_exactly_once),
        cmocka_unit_test(sleeping_workers_lose_no_wake_up),
        cmocka_unit_test(a_pool_of_more_threads_than_units_ends),
        cmocka_unit_test(several_submitters_share_a_pool),
        cmocka_unit_test(a_parallel_for_hook_supplies_the_workers),
        cmocka_unit_test(too_many_threads_are_refused),
        cmocka_unit_test(workers_run_on_the_cpus_of_the_mask),
        cmocka_unit_test(strict_workers_have_a_cpu_each),
        cmocka_unit_test(cpus_that_are_not_allowed_are_left_out_and_reported),
        cmocka_unit_test(an_idle_pool_takes_no_cpu),
        cmocka_unit_test(a_paused_pool_computes_on_the_caller_alone),
        cmocka_unit_test(the_switch_leaves_the_caller_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
