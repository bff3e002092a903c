/* Tier 2, classification: the twelve cases that the specification lists, on a real model. Times are told and not
 * judged here: a test runs on any machine, and hearth bench judges. */
#include "tier2.h"

static struct tier2 t;

static const char *const good = "a wonderful, moving and beautifully acted picture .";
static const char *const bad = "it was dull , stupid and far too long .";

static hearth_status run(const char *text, hearth_encoding *out, hearth_error *err)
{
    *out = (hearth_encoding){.struct_size = sizeof *out};
    return hearth_encoder_classify(t.encoder, text, strlen(text), out, err);
}

static int label(const char *text)
{
    hearth_encoding e;
    assert_int_equal(run(text, &e, NULL), HEARTH_OK);
    return e.values[1] > e.values[0];
}

static void the_model_loads(void **state)
{
    hearth_model_info info = {.struct_size = sizeof info};
    hearth_model_get_info(t.model, &info);
    assert_string_equal(info.format, "onnx");
    assert_int_equal(info.kind, HEARTH_MODEL_TENSOR);
    assert_true(info.n_params > 1000000 && info.weight_bytes > 7000000);
}

static void its_configuration_is_what_encoders_have(void **state)
{
    hearth_io_info io = {.struct_size = sizeof io};
    bool ids = false;
    assert_int_equal(hearth_model_output_count(t.model), 1);
    for (size_t i = 0; i < hearth_model_input_count(t.model); i++) {
        assert_int_equal(hearth_model_input(t.model, i, &io, NULL), HEARTH_OK);
        assert_int_equal(io.rank, 2);
        ids = ids || strcmp(io.name, "input_ids") == 0;
    }
    assert_true(ids);
    assert_in_range(hearth_encoder_max_tokens(t.encoder), 128, 512);
}

static void input_is_validated(void **state)
{
    hearth_error err = {0};
    hearth_encoding e;
    static char long_text[6000];
    for (size_t i = 0; i + 1 < sizeof long_text; i++)
        long_text[i] = i % 2 ? ' ' : 'a';
    assert_int_equal(run("", &e, &err), HEARTH_E_RANGE);
    assert_int_equal(run(long_text, &e, &err), HEARTH_E_LIMIT);
    assert_non_null(strstr(err.text, "3000")); /* tokens it has; and those that are accepted */
    assert_int_equal(run("\xFF\xFE\x80", &e, &err) == HEARTH_OK || e.n_values == 0, 1); /* any bytes: an answer or a reason */
}

static void output_has_its_structure(void **state)
{
    hearth_encoding e;
    assert_int_equal(run(good, &e, NULL), HEARTH_OK);
    assert_int_equal(e.n_values, 2);
    assert_true(isfinite(e.values[0]) && isfinite(e.values[1]) && e.n_tokens > 5 && !e.truncated);
    double p0 = 1 / (1 + exp((double)(e.values[1] - e.values[0]))), p1 = 1 / (1 + exp((double)(e.values[0] - e.values[1])));
    assert_true(fabs(p0 + p1 - 1) < 1e-12);
    t.n_ran++;
}

static void a_text_goes_from_end_to_end(void **state)
{
    uint64_t t0 = bn_now_ns();
    assert_int_equal(label(good), 1);
    assert_int_equal(label(bad), 0);
    print_message("two texts end to end: %.2f ms\n", (double)(bn_now_ns() - t0) * 1e-6);
    t.n_ran++;
}

static void p95_is_of_real_runs(void **state)
{
    static struct bn_latency l;
    struct bn_distribution d;
    hearth_encoding e;
    for (int i = 0; i < 60; i++) {
        uint64_t t0 = bn_now_ns();
        assert_int_equal(run(good, &e, NULL), HEARTH_OK);
        bn_latency_record(&l, bn_now_ns() - t0);
    }
    assert_true(bn_latency_get(&l, &d));
    assert_true(d.n == 60 && d.min <= d.p50 && d.p50 <= d.p95 && d.p95 <= d.max && d.min > 1000);
    print_message("p50 %.3f ms, p95 %.3f ms, %d tokens\n", (double)d.p50 * 1e-6, (double)d.p95 * 1e-6, (int)e.n_tokens);
    t.n_ran++;
}

static void throughput_is_of_real_runs(void **state)
{
    struct bn_meter m = {0};
    bn_meter_begin(&m, BN_REQUESTS, bn_now_ns());
    for (int i = 0; i < 40; i++)
        assert_int_equal(label(i % 2 ? good : bad), i % 2);
    bn_meter_end(&m, BN_REQUESTS, bn_now_ns(), 40);
    assert_true(bn_meter_rate(&m, BN_REQUESTS) > 1);
    print_message("%.0f texts a second\n", bn_meter_rate(&m, BN_REQUESTS));
    t.n_ran++;
}

static void memory_stays_within_the_plan(void **state)
{
    hearth_session_info info = {.struct_size = sizeof info};
    hearth_encoding e;
    assert_int_equal(run(good, &e, NULL), HEARTH_OK);
    hearth_session_get_info(t.session, &info);
    struct bn_memory before = bn_memory_now();
    for (int i = 0; i < 50; i++)
        assert_int_equal(run(good, &e, NULL), HEARTH_OK);
    struct bn_memory after = bn_memory_now();
    bool known;
    int64_t grown = bn_memory_grown(before.anon, after.anon, &known);
    assert_true(info.planned_bytes > 0);
    assert_true(!known || grown < 1 << 20); /* fifty texts later */
    t.n_ran++;
}

static void sessions_of_one_model_run_side_by_side(void **state)
{
    struct tier2 other = {.n_tests = 0};
    hearth_encoding a, b;
    tier2_open_encoder(&other, t.name);
    assert_int_equal(run(good, &a, NULL), HEARTH_OK);
    float first[2] = {a.values[0], a.values[1]};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(run(bad, &a, NULL), HEARTH_OK);
        b = (hearth_encoding){.struct_size = sizeof b};
        assert_int_equal(hearth_encoder_classify(other.encoder, good, strlen(good), &b, NULL), HEARTH_OK);
        assert_memory_equal(b.values, first, sizeof first);
    }
    tier2_close(&other);
    t.n_ran++;
}

static void every_item_of_a_batch_has_its_answer(void **state)
{
    static const char *const texts[] = {"great fun !", "a terrible mess .", "one of the best films .", "boring and bad ."};
    float alone[4][2];
    hearth_encoding e;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(run(texts[i], &e, NULL), HEARTH_OK);
        memcpy(alone[i], e.values, sizeof alone[i]);
        assert_int_equal(alone[i][1] > alone[i][0], i % 2 == 0);
    }
    for (int i = 3; i >= 0; i--) { /* in another order: the same numbers */
        assert_int_equal(run(texts[i], &e, NULL), HEARTH_OK);
        assert_memory_equal(e.values, alone[i], sizeof alone[i]);
    }
    t.n_ran++;
}

static void errors_are_answers_and_the_next_text_runs(void **state)
{
    hearth_error err = {0};
    hearth_model *broken;
    hearth_encoding e;
    const hearth_bytes cut = {hearth_file_bytes(t.file), hearth_file_size(t.file) / 2};
    assert_int_not_equal(hearth_model_open(&cut, 1, NULL, &broken, &err), HEARTH_OK);
    assert_true(strlen(err.text) > 10);
    assert_int_equal(run("", &e, &err), HEARTH_E_RANGE);
    assert_int_equal(label(good), 1);
    t.n_ran++;
}

static void a_regression_would_be_seen(void **state)
{
    double before[9], slow[9];
    hearth_encoding e;
    for (int k = 0; k < 9; k++) {
        uint64_t t0 = bn_now_ns();
        assert_int_equal(run(good, &e, NULL), HEARTH_OK);
        before[k] = 1 + (double)((bn_now_ns() - t0) % 997) * 1e-5; /* within a hundredth: times of a test mean nothing */
        slow[k] = before[k] * 1.15;
    }
    assert_int_equal(bn_compare((struct bn_samples){before, 9}, (struct bn_samples){slow, 9}, true, 0.10, 0).change, BN_WORSE);
    assert_int_equal(bn_compare((struct bn_samples){before, 9}, (struct bn_samples){before, 9}, true, 0.10, 0).change, BN_SAME);
    t.n_ran++;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_loads), cmocka_unit_test(its_configuration_is_what_encoders_have),
        cmocka_unit_test(input_is_validated), cmocka_unit_test(output_has_its_structure),
        cmocka_unit_test(a_text_goes_from_end_to_end), cmocka_unit_test(p95_is_of_real_runs),
        cmocka_unit_test(throughput_is_of_real_runs), cmocka_unit_test(memory_stays_within_the_plan),
        cmocka_unit_test(sessions_of_one_model_run_side_by_side), cmocka_unit_test(every_item_of_a_batch_has_its_answer),
        cmocka_unit_test(errors_are_answers_and_the_next_text_runs), cmocka_unit_test(a_regression_would_be_seen),
    };
    tier2_open_encoder(&t, "tinybert-classifier-int8.onnx");
    t.n_tests = sizeof tests / sizeof *tests;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tier2_say(&t);
    tier2_close(&t);
    return failed;
}
