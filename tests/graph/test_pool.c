/* The pool: every unit exactly once, whatever the counts, threads and interruptions. */
#include "test_support.h"
#include "graph/ht_pool.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_unit_runs_exactly_once),
        cmocka_unit_test(sleeping_workers_lose_no_wake_up),
        cmocka_unit_test(a_pool_of_more_threads_than_units_ends),
        cmocka_unit_test(several_submitters_share_a_pool),
        cmocka_unit_test(a_parallel_for_hook_supplies_the_workers),
        cmocka_unit_test(too_many_threads_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
