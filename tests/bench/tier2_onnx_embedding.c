/* Tier 2, embeddings on a real model: structure, meaning, repetition, refusals. */
#include "tier2.h"

static struct tier2 t;

static void embed(const char *text, float *out, size_t n)
{
    hearth_encoding e = {.struct_size = sizeof e};
    assert_int_equal(hearth_encoder_embed(t.encoder, text, strlen(text), &e, NULL), HEARTH_OK);
    assert_int_equal(e.n_values, n);
    memcpy(out, e.values, n * sizeof *out);
}

static double cosine(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < 312; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void a_vector_has_its_dimension_and_length_one(void **state)
{
    float v[312];
    embed("The ship sailed at dawn.", v, 312);
    assert_true(fabs(cosine(v, v) - 1) < 1e-5);
    t.n_ran++;
}

static void nearer_in_meaning_is_nearer_in_space(void **state)
{
    float a[312], b[312], c[312];
    embed("The ship sailed at dawn.", a, 312);
    embed("At sunrise the vessel left the harbour.", b, 312);
    embed("He ate bread and cheese.", c, 312);
    assert_true(cosine(a, b) > cosine(a, c) && cosine(a, b) > cosine(b, c));
    t.n_ran++;
}

static void texts_do_not_know_of_each_other(void **state)
{
    float first[312], again[312], other[312];
    embed("The old house by the sea.", first, 312);
    embed("Something else, and longer than what stood before it, by a good deal.", other, 312);
    embed("The old house by the sea.", again, 312);
    assert_memory_equal(first, again, sizeof first);
    t.n_ran++;
}

static void latency_is_of_real_runs(void **state)
{
    static struct bn_latency l;
    struct bn_distribution d;
    float v[312];
    for (int i = 0; i < 60; i++) {
        uint64_t t0 = bn_now_ns();
        embed("The ship sailed at dawn, and the men sang.", v, 312);
        bn_latency_record(&l, bn_now_ns() - t0);
    }
    assert_true(bn_latency_get(&l, &d) && d.n == 60 && d.p50 <= d.p95);
    print_message("p50 %.3f ms, p95 %.3f ms\n", (double)d.p50 * 1e-6, (double)d.p95 * 1e-6);
    t.n_ran++;
}

static void too_much_and_nothing_are_refused(void **state)
{
    hearth_encoding e = {.struct_size = sizeof e};
    static char words[6000];
    for (size_t i = 0; i + 1 < sizeof words; i++)
        words[i] = i % 2 ? ' ' : 'a';
    assert_int_equal(hearth_encoder_embed(t.encoder, "", 0, &e, NULL), HEARTH_E_RANGE);
    assert_int_equal(hearth_encoder_embed(t.encoder, words, sizeof words - 1, &e, NULL), HEARTH_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vector_has_its_dimension_and_length_one), cmocka_unit_test(nearer_in_meaning_is_nearer_in_space),
        cmocka_unit_test(texts_do_not_know_of_each_other), cmocka_unit_test(latency_is_of_real_runs),
        cmocka_unit_test(too_much_and_nothing_are_refused),
    };
    tier2_open_encoder(&t, "sentence-embedder-int8.onnx");
    t.n_tests = sizeof tests / sizeof *tests;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tier2_say(&t);
    tier2_close(&t);
    return failed;
}
