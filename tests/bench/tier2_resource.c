/* Tier 2, resources of a real model: what is resident beside the file, that runs add nothing, how busy CPUs are, and
 * that a limit is kept. */
#include "tier2.h"

static struct tier2 t;

static void run(int32_t n)
{
    int32_t ids[128];
    for (int32_t i = 0; i < n; i++)
        ids[i] = 100 + i * 7;
    hearth_session_reset(t.session);
    assert_int_equal(hearth_session_eval(t.session, ids, (size_t)n, NULL, NULL), HEARTH_OK);
}

static void what_the_session_adds_is_what_was_planned(void **state)
{
    struct bn_memory before = bn_memory_now();
    hearth_session_info info = {.struct_size = sizeof info};
    hearth_session_config config = {.struct_size = sizeof config, .n_ctx = 512};
    hearth_session *s;
    int32_t ids[500];
    for (int32_t i = 0; i < 500; i++)
        ids[i] = 100 + i;
    assert_int_equal(hearth_session_open(t.model, &config, &s, NULL), HEARTH_OK);
    assert_int_equal(hearth_session_eval(s, ids, 500, NULL, NULL), HEARTH_OK);
    hearth_session_get_info(s, &info);
    struct bn_memory after = bn_memory_now();
    bool known;
    int64_t grown = bn_memory_grown(before.anon, after.anon, &known);
    assert_true(info.planned_bytes > info.kv_bytes && info.kv_bytes >= 512 * info.kv_token_bytes);
    assert_true(!known || (double)grown < 1.1 * (double)info.planned_bytes + (4 << 20));
    hearth_session_close(s);
    t.n_ran++;
}

static void runs_add_nothing(void **state)
{
    bool known;
    run(100);
    struct bn_memory before = bn_memory_now();
    for (int i = 0; i < 20; i++)
        run(100);
    assert_true(bn_memory_grown(before.anon, bn_memory_now().anon, &known) < 1 << 20 || !known);
    t.n_ran++;
}

static void cpus_are_used_while_it_runs_and_idle_after(void **state)
{
    int32_t threads = hearth_pool_threads(t.pool);
    struct bn_cpu before = bn_cpu_now();
    for (int i = 0; i < 20; i++)
        run(128);
    struct bn_cpu_use busy = bn_cpu_between(before, bn_cpu_now(), threads);
    assert_true(busy.cpus > 0.05 && busy.cpus < threads + 0.5);
    struct bn_cpu rest = bn_cpu_now();
    uint64_t until = bn_now_ns() + 200000000;
    while (bn_now_ns() < until) { /* this thread is the only busy one */
    }
    assert_true(bn_cpu_between(rest, bn_cpu_now(), threads).cpus < 1.3);
    print_message("%.2f CPUs of %d busy\n", busy.cpus, (int)threads);
    t.n_ran++;
}

static void a_limit_is_refused_with_both_numbers(void **state)
{
    hearth_session_config config = {.struct_size = sizeof config, .n_ctx = 4096, .max_bytes = 1 << 20};
    hearth_session *s;
    hearth_error err = {0};
    assert_int_equal(hearth_session_open(t.model, &config, &s, &err), HEARTH_E_LIMIT);
    assert_non_null(strstr(err.text, "1048576"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_session_adds_is_what_was_planned), cmocka_unit_test(runs_add_nothing),
        cmocka_unit_test(cpus_are_used_while_it_runs_and_idle_after), cmocka_unit_test(a_limit_is_refused_with_both_numbers),
    };
    tier2_open(&t, "books-33m-q4_k_m.gguf", 512);
    t.n_tests = sizeof tests / sizeof *tests;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tier2_say(&t);
    tier2_close(&t);
    return failed;
}
