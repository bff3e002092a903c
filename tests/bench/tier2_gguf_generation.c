/* Tier 2, generation on a real model: text from end to end, repetition, stops, rates of prompt and text apart. */
#include "tier2.h"

static struct tier2 t;

/* Greedy text behind a prompt; the number of tokens. */
static size_t generate(const char *prompt, int32_t most, char *text, size_t size, hearth_finish *finish, struct bn_meter *m)
{
    int32_t ids[128];
    size_t n, used = 0, count = 0;
    hearth_generation *gen;
    const hearth_generation_config config = {.struct_size = sizeof config, .max_tokens = most, .ignore_end = 1};
    hearth_session_reset(t.session);
    assert_int_equal(hearth_tokenize(t.model, prompt, strlen(prompt), HEARTH_TOKENIZE_SPECIAL, ids, 128, &n, NULL), HEARTH_OK);
    assert_int_equal(hearth_generation_open(t.session, &config, &gen, NULL), HEARTH_OK);
    bn_meter_begin(m, BN_PREFILL, bn_now_ns());
    assert_int_equal(hearth_generation_prompt(gen, ids, n, NULL), HEARTH_OK);
    bn_meter_end(m, BN_PREFILL, bn_now_ns(), n);
    bn_meter_begin(m, BN_DECODE, bn_now_ns());
    hearth_piece p = {.struct_size = sizeof p};
    while (p.finish == HEARTH_FINISH_NONE) {
        assert_int_equal(hearth_generation_next(gen, &p, NULL), HEARTH_OK);
        if (p.text_len && used + p.text_len < size)
            memcpy(text + used, p.text, p.text_len), used += p.text_len;
        count += p.token >= 0;
    }
    bn_meter_end(m, BN_DECODE, bn_now_ns(), count);
    text[used] = 0;
    *finish = p.finish;
    hearth_generation_close(gen);
    return count;
}

static void text_comes_from_end_to_end(void **state)
{
    struct bn_meter m = {0};
    char text[2000];
    hearth_finish finish;
    assert_int_equal(generate("It was a dark night, and the old house", 48, text, sizeof text, &finish, &m), 48);
    assert_int_equal(finish, HEARTH_FINISH_LENGTH);
    assert_true(strlen(text) > 60 && strchr(text, ' '));
    print_message("prompt %.0f, text %.0f tokens a second\n", bn_meter_rate(&m, BN_PREFILL), bn_meter_rate(&m, BN_DECODE));
    assert_true(bn_meter_rate(&m, BN_PREFILL) > 1 && bn_meter_rate(&m, BN_DECODE) > 1);
    t.n_ran++;
}

static void greedy_text_repeats_itself(void **state)
{
    struct bn_meter m = {0};
    char first[2000], again[2000];
    hearth_finish finish;
    generate("The captain said", 40, first, sizeof first, &finish, &m);
    generate("It was", 10, again, sizeof again, &finish, &m);
    generate("The captain said", 40, again, sizeof again, &finish, &m);
    assert_string_equal(first, again);
    t.n_ran++;
}

static void the_number_of_tokens_is_kept(void **state)
{
    struct bn_meter m = {0};
    char text[2000];
    hearth_finish finish;
    for (int32_t most = 1; most <= 9; most += 4)
        assert_int_equal(generate("She looked", most, text, sizeof text, &finish, &m), most);
    t.n_ran++;
}

static void the_end_of_the_context_is_told(void **state)
{
    struct bn_meter m = {0};
    char text[4000];
    hearth_finish finish;
    size_t n = generate("He went", 1000, text, sizeof text, &finish, &m); /* of 256 positions */
    assert_int_equal(finish, HEARTH_FINISH_CONTEXT);
    assert_true(n > 200 && n < 256);
    t.n_ran++;
}

static void a_prompt_that_does_not_fit_is_refused(void **state)
{
    int32_t ids[300] = {0};
    hearth_error err = {0};
    hearth_generation *gen;
    const hearth_generation_config config = {.struct_size = sizeof config};
    hearth_session_reset(t.session);
    assert_int_equal(hearth_generation_open(t.session, &config, &gen, NULL), HEARTH_OK);
    assert_int_equal(hearth_generation_prompt(gen, ids, 300, &err), HEARTH_E_FULL);
    assert_true(strstr(err.text, "300") && strstr(err.text, "256"));
    hearth_generation_close(gen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_from_end_to_end), cmocka_unit_test(greedy_text_repeats_itself),
        cmocka_unit_test(the_number_of_tokens_is_kept), cmocka_unit_test(the_end_of_the_context_is_told),
        cmocka_unit_test(a_prompt_that_does_not_fit_is_refused),
    };
    tier2_open(&t, "books-33m-q4_k_m.gguf", 256);
    t.n_tests = sizeof tests / sizeof *tests;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tier2_say(&t);
    tier2_close(&t);
    return failed;
}
