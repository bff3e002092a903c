/* The sampler: which tokens each stage lets through, how often they come, and what is refused. */
#include "runtime_support.h"
#include "runtime/hr_rng.h"
#include "runtime/hr_sampler.h"
#include <math.h>

static hearth_file *file;
static hearth_model *model;

static int setup(void **state)
{
    (void)state;
    model = test_model(&file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hearth_model_close(model);
    hearth_file_close(file);
    return 0;
}

static float logits[VOCAB];

/* A few tokens with known probabilities, the rest impossible. */
static void set_logits(const double *p, int n)
{
    for (int i = 0; i < VOCAB; i++)
        logits[i] = -INFINITY;
    for (int i = 0; i < n; i++)
        logits[100 + i] = (float)log(p[i]);
}

static hearth_sampler *sampler_of(const hearth_sampler_config *config)
{
    hearth_sampler *s;
    hearth_error err;
    if (hearth_sampler_open(model, config, &s, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    return s;
}

static const double five[5] = {0.4, 0.3, 0.15, 0.1, 0.05};

/* Draw and compare the frequencies with `want` by chi-square at p = 1e-6 or so. */
static void check_frequencies(hearth_sampler_config c, const double *want, int n)
{
    enum { DRAWS = 40000 };
    int seen[5] = {0};
    c.struct_size = sizeof c;
    c.seed = 1234;
    hearth_sampler *s = sampler_of(&c);
    for (int i = 0; i < DRAWS; i++) {
        int32_t token;
        assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
        assert_in_range(token, 100, 100 + n - 1);
        seen[token - 100]++;
    }
    double chi = 0;
    for (int i = 0; i < n; i++) {
        double e = want[i] * DRAWS;
        if (want[i] == 0)
            assert_int_equal(seen[i], 0);
        else
            chi += (seen[i] - e) * (seen[i] - e) / e;
    }
    assert_true(chi < 35); /* 4 degrees of freedom: p < 5e-7 */
    hearth_sampler_close(s);
}

static void temperature_one_draws_the_softmax(void **state)
{
    (void)state;
    set_logits(five, 5);
    check_frequencies((hearth_sampler_config){.temperature = 1}, five, 5);
}

static void temperature_sharpens_after_the_cuts(void **state)
{
    (void)state;
    double want[5], sum = 0;
    set_logits(five, 5);
    for (int i = 0; i < 5; i++)
        sum += want[i] = five[i] * five[i]; /* T = 1/2 squares */
    for (int i = 0; i < 5; i++)
        want[i] /= sum;
    check_frequencies((hearth_sampler_config){.temperature = 0.5f}, want, 5);
}

static void top_k_keeps_the_k_largest(void **state)
{
    (void)state;
    const double want[5] = {0.4 / 0.7, 0.3 / 0.7, 0, 0, 0};
    set_logits(five, 5);
    check_frequencies((hearth_sampler_config){.temperature = 1, .top_k = 2}, want, 5);
}

static void top_p_keeps_the_smallest_prefix_that_reaches_it(void **state)
{
    (void)state;
    const double want[5] = {0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0, 0};
    set_logits(five, 5);
    check_frequencies((hearth_sampler_config){.temperature = 1, .top_p = 0.8f}, want, 5);
}

static void top_p_looks_at_what_top_k_left(void **state)
{
    (void)state;
    /* of 0.4 and 0.3, renormalised, the first has 0.571 */
    const double want[5] = {1, 0, 0, 0, 0};
    set_logits(five, 5);
    check_frequencies((hearth_sampler_config){.temperature = 1, .top_k = 2, .top_p = 0.55f}, want,
                      5);
}

static void min_p_is_relative_to_the_largest(void **state)
{
    (void)state;
    const double want[5] = {0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0, 0};
    set_logits(five, 5);
    check_frequencies((hearth_sampler_config){.temperature = 1, .min_p = 0.3f}, want, 5);
}

static void logit_bias_moves_and_bans(void **state)
{
    (void)state;
    const hearth_logit_bias bias[2] = {{100, -INFINITY}, {104, (float)log(4.0)}};
    const double want[5] = {0, 0.3 / 0.75, 0.15 / 0.75, 0.1 / 0.75, 0.2 / 0.75};
    set_logits(five, 5);
    check_frequencies((hearth_sampler_config){.temperature = 1, .bias = bias, .n_bias = 2}, want, 5);
}

static void greedy_takes_the_lowest_id_among_equals(void **state)
{
    (void)state;
    int32_t token;
    hearth_sampler_config c = {.struct_size = sizeof c};
    hearth_sampler *s = sampler_of(&c);
    memset(logits, 0, sizeof logits);
    logits[500] = logits[400] = logits[700] = 2;
    assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
    assert_int_equal(token, 400);
    hearth_sampler_close(s);
}

static void penalties_count_the_window_only(void **state)
{
    (void)state;
    int32_t token;
    hearth_sampler_config c = {.struct_size = sizeof c, .repeat_penalty = 2, .penalty_window = 3};
    hearth_sampler *s = sampler_of(&c);
    memset(logits, 0, sizeof logits);
    logits[10] = 3;
    logits[11] = 2;
    for (int i = 0; i < 2; i++) /* twice in the window, divided once */
        hearth_sampler_accept(s, 10);
    assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
    assert_int_equal(token, 11);
    for (int i = 0; i < 3; i++) /* 10 has left the window */
        hearth_sampler_accept(s, 20);
    assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
    assert_int_equal(token, 10);
    hearth_sampler_close(s);
}

static void presence_and_frequency_are_subtracted(void **state)
{
    (void)state;
    int32_t token;
    hearth_sampler_config c = {.struct_size = sizeof c, .presence_penalty = 0.5f,
                               .frequency_penalty = 0.25f};
    hearth_sampler *s = sampler_of(&c);
    memset(logits, 0, sizeof logits);
    logits[10] = 2;
    logits[11] = 1.1f;
    hearth_sampler_accept(s, 10);
    assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
    assert_int_equal(token, 10); /* 2 - 0.75 = 1.25 */
    hearth_sampler_accept(s, 10);
    assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
    assert_int_equal(token, 11); /* 2 - 1.0 = 1 */
    hearth_sampler_close(s);
}

static void bad_logits_are_numeric_errors(void **state)
{
    (void)state;
    static const float bad[2] = {NAN, INFINITY};
    int32_t token = -7;
    hearth_error err;
    for (int t = 0; t < 2; t++) {
        hearth_sampler_config c = {.struct_size = sizeof c, .temperature = (float)t};
        hearth_sampler *s = sampler_of(&c);
        for (int i = 0; i < 2; i++) {
            memset(logits, 0, sizeof logits);
            logits[77] = bad[i];
            assert_int_equal(hearth_sampler_sample(s, logits, &token, &err), HEARTH_E_NUMERIC);
            assert_non_null(strstr(err.text, "token 77"));
        }
        for (int i = 0; i < VOCAB; i++)
            logits[i] = -INFINITY;
        assert_int_equal(hearth_sampler_sample(s, logits, &token, &err), HEARTH_E_NUMERIC);
        assert_int_equal(token, -7);
        hearth_sampler_close(s);
    }
}

static void parameters_out_of_range_are_refused(void **state)
{
    (void)state;
    static const hearth_logit_bias bias_id = {VOCAB, 0}, bias_nan = {0, NAN}, bias_inf = {0, INFINITY};
    const hearth_sampler_config bad[] = {
        {.temperature = NAN},        {.temperature = INFINITY},   {.top_k = -1},
        {.top_p = -0.1f},            {.top_p = 1.1f},             {.top_p = NAN},
        {.min_p = -1},               {.min_p = 2},                {.min_p = NAN},
        {.repeat_penalty = -1},      {.repeat_penalty = 1e30f},   {.repeat_penalty = NAN},
        {.presence_penalty = NAN},   {.frequency_penalty = 1e9f}, {.penalty_window = -1},
        {.bias = &bias_id, .n_bias = 1}, {.bias = &bias_nan, .n_bias = 1},
        {.bias = &bias_inf, .n_bias = 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hearth_sampler_config c = bad[i];
        hearth_sampler *s;
        hearth_error err;
        c.struct_size = sizeof c;
        if (hearth_sampler_open(model, &c, &s, &err) != HEARTH_E_RANGE)
            fail_msg("case %zu was accepted", i);
        assert_memory_equal(err.text, "sampler: ", 9);
    }
}

static hearth_status open_status(hearth_sampler_config c, hearth_error *err)
{
    hearth_sampler *s;
    c.struct_size = sizeof c;
    hearth_status status = hearth_sampler_open(model, &c, &s, err);
    if (status == HEARTH_OK)
        hearth_sampler_close(s);
    return status;
}

/* Every number at its limits and one step past them; the sentence names it. */
static void each_bound_holds_at_the_limit_and_past_it(void **state)
{
    (void)state;
#define BOUND(field, min, max) {#field, offsetof(hearth_sampler_config, field), min, max}
    static const struct {
        const char *name;
        size_t off;
        float min, max;
    } real[] = {
        BOUND(temperature, -1e6f, 1e6f), BOUND(top_p, 1e-9f, 1), BOUND(min_p, 0, 1),
        BOUND(repeat_penalty, 1e-3f, 1e3f), BOUND(presence_penalty, -1e3f, 1e3f),
        BOUND(frequency_penalty, -1e3f, 1e3f), BOUND(typical_p, 1e-9f, 1), BOUND(top_n_sigma, 0, 1e3f),
        BOUND(xtc_probability, 0, 1), BOUND(xtc_threshold, 1e-9f, 1), BOUND(dry_multiplier, 0, 1e3f),
        BOUND(dry_base, 1, 1e3f), BOUND(mirostat_tau, 1e-3f, 1e3f), BOUND(mirostat_eta, 1e-6f, 1),
        BOUND(dynatemp_range, 0, 1e3f), BOUND(dynatemp_exponent, 1e-3f, 1e3f),
    };
    static const struct {
        const char *name;
        size_t off;
        int32_t min, max;
    } whole[] = {
        BOUND(top_k, 0, INT32_MAX), BOUND(penalty_window, 1, 1 << 20),
        BOUND(dry_allowed_length, 1, 1 << 20), BOUND(dry_last_n, -1, 1 << 20),
        BOUND(min_keep, 1, INT32_MAX),
    };
#undef BOUND
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        const float value[] = {real[i].min, real[i].max, nextafterf(real[i].min, -INFINITY),
                               nextafterf(real[i].max, INFINITY), NAN, INFINITY, -INFINITY, 1e38f};
        for (size_t k = 0; k < sizeof value / sizeof *value; k++) {
            hearth_sampler_config c = {.dry_multiplier = 1};
            hearth_error err = {0};
            memcpy((char *)&c + real[i].off, &value[k], sizeof value[k]);
            hearth_status status = open_status(c, &err);
            if (status != (k < 2 ? HEARTH_OK : HEARTH_E_RANGE))
                fail_msg("%s %g: %s", real[i].name, (double)value[k], hearth_status_text(status));
            if (k >= 2 && !strstr(err.text, real[i].name))
                fail_msg("%s: \"%s\"", real[i].name, err.text);
        }
    }
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        const int64_t value[] = {whole[i].min, whole[i].max, (int64_t)whole[i].min - 1,
                                 (int64_t)whole[i].max + 1, INT32_MIN};
        for (size_t k = 0; k < sizeof value / sizeof *value; k++) {
            hearth_sampler_config c = {.dry_multiplier = 1};
            hearth_error err = {0};
            int32_t v = (int32_t)value[k];
            if (v != value[k] || v == 0)
                continue; /* 0 means the default */
            memcpy((char *)&c + whole[i].off, &v, sizeof v);
            hearth_status status = open_status(c, &err);
            if (status != (k < 2 ? HEARTH_OK : HEARTH_E_RANGE))
                fail_msg("%s %d: %s", whole[i].name, v, hearth_status_text(status));
            if (k >= 2 && !strstr(err.text, whole[i].name))
                fail_msg("%s: \"%s\"", whole[i].name, err.text);
        }
    }
}

static void orders_and_the_like_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *many[65];
    static const struct {
        hearth_sampler_config c;
        const char *text;
    } bad[] = {
        {{.order = "top_k;beam"}, "sampler: order: stage \"beam\"; known: penalties dry top_n_sigma top_k "
                                  "typ_p top_p min_p xtc temperature"},
        {{.order = "top_k;;min_p"}, "sampler: order: stage \"\"; known:"},
        {{.order = "top_k;min_p;top_k"}, "sampler: order names top_k twice"},
        {{.order = "top_k;dry"}, "sampler: order has dry behind top_k; penalties and dry come first"},
        {{.mirostat = 1}, "sampler: mirostat 1; 0 (off) and 2 are accepted"},
        {{.dry_breakers = many, .n_dry_breakers = 65}, "sampler: 65 dry_breakers; at most 64 are accepted"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hearth_error err = {0};
        assert_int_equal(open_status(bad[i].c, &err), HEARTH_E_RANGE);
        assert_memory_equal(err.text, bad[i].text, strlen(bad[i].text));
    }
    static const char *const good[] = {"", "temperature", "dry;penalties;xtc;",
                                       "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(open_status((hearth_sampler_config){.order = good[i]}, NULL), HEARTH_OK);
}

static void extreme_parameters_choose_valid_tokens(void **state)
{
    (void)state;
    const hearth_sampler_config extreme[] = {
        {.temperature = 1e-38f}, {.temperature = 1e6f},           {.temperature = 1, .top_k = VOCAB},
        {.temperature = 1, .top_k = INT32_MAX}, {.temperature = 1, .top_p = 1e-9f},
        {.temperature = 1, .min_p = 1},         {.temperature = -1},
        {.temperature = 1e-38f, .typical_p = 0.5f, .xtc_probability = 1, .xtc_threshold = 1e-9f},
        {.temperature = 1, .order = "temperature;typ_p;top_p;xtc", .typical_p = 1e-9f, .top_p = 1e-9f},
        {.temperature = 1, .mirostat = 2, .mirostat_tau = 1e-3f, .mirostat_eta = 1},
        {.temperature = 1, .dynatemp_range = 1e3f, .dynatemp_exponent = 1e3f, .top_n_sigma = 1e-9f},
        {.temperature = 1, .min_keep = INT32_MAX, .top_k = 1, .top_p = 0.1f, .min_p = 1},
    };
    uint64_t seed = 5;
    for (size_t i = 0; i < sizeof extreme / sizeof *extreme; i++) {
        hearth_sampler_config c = extreme[i];
        c.struct_size = sizeof c;
        hearth_sampler *s = sampler_of(&c);
        for (int n = 0; n < VOCAB; n++)
            logits[n] = 30 * test_rand_float(&seed);
        int32_t token;
        assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
        assert_in_range(token, 0, VOCAB - 1);
        hearth_sampler_close(s);
    }
}

/* Even ids only. */
struct even {
    int asked, masked, accepted;
};

static bool even_allow(void *user, int32_t token)
{
    struct even *e = user;
    e->asked++;
    return token % 2 == 0;
}

static void even_mask(void *user, float *l, int32_t n)
{
    struct even *e = user;
    e->masked++;
    for (int32_t i = 1; i < n; i += 2)
        l[i] = -INFINITY;
}

static void even_accept(void *user, int32_t token)
{
    struct even *e = user;
    e->accepted++;
    assert_int_equal(token % 2, 0);
}

static void a_constraint_is_asked_for_the_pick_and_masks_only_if_it_must(void **state)
{
    (void)state;
    for (int t = 0; t < 2; t++)
        for (int with_mask = 0; with_mask < 2; with_mask++) {
            struct even e = {0};
            const struct hr_constraint c = {even_allow, with_mask ? even_mask : NULL, even_accept,
                                            &e};
            hearth_sampler_config config = {.struct_size = sizeof config, .temperature = (float)t};
            hearth_sampler *s = sampler_of(&config);
            int32_t token;
            hr_sampler_constrain(s, &c);
            memset(logits, 0, sizeof logits);
            logits[40] = 100;
            assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
            assert_int_equal(token, 40);
            assert_int_equal(e.asked, 1);
            logits[41] = 200;
            assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
            assert_int_equal(token, 40);
            assert_int_equal(e.masked, with_mask);
            assert_int_equal(e.asked, with_mask ? 2 : 2 + VOCAB);
            hearth_sampler_accept(s, 41); /* of a prompt */
            hr_sampler_chosen(s, token);
            assert_int_equal(e.accepted, 1);
            for (int i = 0; i < VOCAB; i++)
                logits[i] = i % 2 ? 1 : -INFINITY;
            token = -7;
            assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_E_NUMERIC);
            assert_int_equal(token, -7);
            hr_sampler_constrain(s, NULL);
            assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
            hearth_sampler_close(s);
        }
}

static void philox_gives_the_published_numbers(void **state)
{
    (void)state;
    /* Known answers of the Random123 distribution for philox4x32-10. */
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
        {{0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu},
         {0xffffffffu, 0xffffffffu},
         {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
        {{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
         {0xa4093822u, 0x299f31d0u},
         {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        hr_philox(known[i].key, known[i].counter, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temperature_one_draws_the_softmax),
        cmocka_unit_test(temperature_sharpens_after_the_cuts),
        cmocka_unit_test(top_k_keeps_the_k_largest),
        cmocka_unit_test(top_p_keeps_the_smallest_prefix_that_reaches_it),
        cmocka_unit_test(top_p_looks_at_what_top_k_left),
        cmocka_unit_test(min_p_is_relative_to_the_largest),
        cmocka_unit_test(logit_bias_moves_and_bans),
        cmocka_unit_test(greedy_takes_the_lowest_id_among_equals),
        cmocka_unit_test(penalties_count_the_window_only),
        cmocka_unit_test(presence_and_frequency_are_subtracted),
        cmocka_unit_test(bad_logits_are_numeric_errors),
        cmocka_unit_test(parameters_out_of_range_are_refused),
        cmocka_unit_test(each_bound_holds_at_the_limit_and_past_it),
        cmocka_unit_test(orders_and_the_like_are_refused_with_a_sentence),
        cmocka_unit_test(extreme_parameters_choose_valid_tokens),
        cmocka_unit_test(a_constraint_is_asked_for_the_pick_and_masks_only_if_it_must),
        cmocka_unit_test(philox_gives_the_published_numbers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
