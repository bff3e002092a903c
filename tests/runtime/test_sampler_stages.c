/* Every stage of the sampler against a naive reference in double: the same candidates with the same
 * probabilities, alone and in random chains; draws against the distribution; accepting and rejecting
 * guesses leaves it as it is. */
#include "runtime_support.h"
#include "runtime/hr_chain.h"
#include <math.h>

#define assert_near(a, b, most) assert_true(fabs((double)(a) - (double)(b)) <= (most))

static hearth_file *file;
static hearth_model *model;
static float logits[VOCAB];

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

/* ---- the reference ---- */

struct ref {
    int id[VOCAB];
    double l[VOCAB], p[VOCAB];
    int n;
    double t;
};
static struct ref ref;

static int ref_by_logit(const void *a, const void *b)
{
    int i = *(const int *)a, j = *(const int *)b;
    return logits[i] != logits[j] ? (logits[i] < logits[j] ? 1 : -1) : i - j;
}

static double ref_shift[VOCAB];

static int ref_by_shift(const void *a, const void *b)
{
    int i = *(const int *)a, j = *(const int *)b;
    return ref_shift[i] != ref_shift[j] ? (ref_shift[i] > ref_shift[j] ? 1 : -1) : i - j;
}

/* Order by logit and compute the probabilities. */
static void ref_softmax(void)
{
    double sum = 0;
    qsort(ref.id, (size_t)ref.n, sizeof *ref.id, ref_by_logit);
    for (int i = 0; i < ref.n; i++)
        sum += ref.p[i] = exp(((double)logits[ref.id[i]] - (double)logits[ref.id[0]]) / ref.t);
    for (int i = 0; i < ref.n; i++)
        ref.p[i] /= sum;
}

static double ref_entropy(void)
{
    double h = 0;
    for (int i = 0; i < ref.n; i++)
        h -= ref.p[i] > 0 ? ref.p[i] * log(ref.p[i]) : 0;
    return h;
}

static void ref_keep(int n, int min_keep)
{
    n = n < min_keep ? min_keep : n;
    ref.n = n < ref.n ? n : ref.n;
}

static void ref_top_n_sigma(const hearth_sampler_config *c)
{
    double mean = 0, var = 0;
    int n = 0;
    if (c->top_n_sigma <= 0)
        return;
    for (int i = 0; i < ref.n; i++)
        mean += (double)logits[ref.id[i]] / ref.n;
    for (int i = 0; i < ref.n; i++)
        var += pow((double)logits[ref.id[i]] - mean, 2) / ref.n;
    while (n < ref.n && logits[ref.id[n]] >= logits[ref.id[0]] - c->top_n_sigma * sqrt(var))
        n++;
    ref_keep(n, c->min_keep);
}

static void ref_top_k(const hearth_sampler_config *c)
{
    if (c->top_k > 0)
        ref_keep(c->top_k, c->min_keep);
}

static void ref_typical(const hearth_sampler_config *c)
{
    double h = ref_entropy(), mass = 0;
    int n = 0;
    if (c->typical_p >= 1)
        return;
    static double p_of[VOCAB];
    for (int i = 0; i < ref.n; i++) {
        ref_shift[ref.id[i]] = fabs(-log(ref.p[i]) - h);
        p_of[ref.id[i]] = ref.p[i];
    }
    qsort(ref.id, (size_t)ref.n, sizeof *ref.id, ref_by_shift);
    while (n < ref.n && mass < c->typical_p)
        mass += p_of[ref.id[n++]];
    ref_keep(n, c->min_keep);
}

static void ref_top_p(const hearth_sampler_config *c)
{
    double mass = 0;
    int n = 0;
    while (n < ref.n && c->top_p < 1 && mass < c->top_p)
        mass += ref.p[n++];
    if (c->top_p < 1)
        ref_keep(n, c->min_keep);
}

static void ref_min_p(const hearth_sampler_config *c)
{
    int n = 0;
    while (n < ref.n && ref.p[n] >= c->min_p * ref.p[0])
        n++;
    ref_keep(n, c->min_keep);
}

/* With probability 1 here; the coin is tested apart. */
static void ref_xtc(const hearth_sampler_config *c)
{
    int likely = 0;
    if (c->xtc_probability < 1)
        return;
    while (likely < ref.n && ref.p[likely] >= c->xtc_threshold)
        likely++;
    if (likely < 2 || c->xtc_threshold > 0.5f || ref.n - likely + 1 < c->min_keep)
        return;
    memmove(ref.id, ref.id + likely - 1, sizeof *ref.id * (size_t)(ref.n - likely + 1));
    ref.n -= likely - 1;
}

static void ref_temperature(const hearth_sampler_config *c)
{
    double t = c->temperature, r = c->dynatemp_range;
    if (r > 0 && ref.n > 1) {
        double low = t > r ? t - r : 0, high = t + r;
        t = low + (high - low) * pow(ref_entropy() / log(ref.n), c->dynatemp_exponent);
    }
    ref.t *= t;
}

static void ref_none(const hearth_sampler_config *c)
{
    (void)c;
}

static void (*const ref_stage[HR_STAGE_COUNT])(const hearth_sampler_config *) = {
    ref_none, ref_none, ref_top_n_sigma, ref_top_k, ref_typical,
    ref_top_p, ref_min_p, ref_xtc, ref_temperature,
};

static void ref_run(const hearth_sampler_config *c, const uint8_t *stage, int n_stages)
{
    ref.n = 0;
    ref.t = 1;
    for (int i = 0; i < VOCAB; i++)
        if (logits[i] > -INFINITY)
            ref.id[ref.n++] = i;
    for (int i = 0; i < n_stages; i++) {
        ref_softmax();
        ref_stage[stage[i]](c);
    }
    ref_softmax();
}

/* ---- comparing ---- */

static void compare_with_reference(hearth_sampler_config c, uint64_t what)
{
    struct hr_set set;
    hearth_sampler *s;
    hearth_error err;
    static double p[VOCAB];
    c.struct_size = sizeof c;
    if (hearth_sampler_open(model, &c, &s, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    ref_run(&s->config, s->stage, s->n_stages);
    if (hr_sampler_set(s, logits, &set, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    if (set.n != ref.n)
        fail_msg("case %llu: %d candidates; %d are right", (unsigned long long)what, set.n, ref.n);
    for (int i = 0; i < ref.n; i++)
        p[ref.id[i]] = ref.p[i];
    for (int i = 0; i < set.n; i++) {
        double got = (double)hr_set_weight(&set, i) / set.total;
        if (fabs(got - p[set.c[i].id]) > 1e-5 * p[set.c[i].id] + 1e-9)
            fail_msg("case %llu: token %d has %g; %g is right", (unsigned long long)what,
                     set.c[i].id, got, p[set.c[i].id]);
    }
    for (int i = 0; i < ref.n; i++)
        p[ref.id[i]] = 0;
    hearth_sampler_close(s);
}

/* Logits like a model's: most low, some that matter, some banned, some equal. */
static void random_logits(uint64_t *seed, float spread)
{
    for (int i = 0; i < VOCAB; i++) {
        logits[i] = -12 + 2 * test_rand_float(seed);
        if (test_rand(seed) % 64 == 0)
            logits[i] = spread * test_rand_float(seed);
        if (test_rand(seed) % 16 == 0)
            logits[i] = -INFINITY;
        if (test_rand(seed) % 256 == 0)
            logits[i] = spread / 2;
    }
}

static void each_stage_is_the_naive_one(void **state)
{
    (void)state;
    static const hearth_sampler_config one[] = {
        {.top_k = 1}, {.top_k = 40}, {.top_k = VOCAB}, {.top_k = 5, .min_keep = 9},
        {.top_p = 0.1f}, {.top_p = 0.9f}, {.top_p = 0.999f}, {.top_p = 0.01f, .min_keep = 20},
        {.min_p = 0.05f}, {.min_p = 0.9f}, {.min_p = 1}, {.min_p = 0.9f, .min_keep = 30},
        {.typical_p = 0.2f}, {.typical_p = 0.9f}, {.typical_p = 0.05f, .min_keep = 50},
        {.top_n_sigma = 1}, {.top_n_sigma = 0.1f}, {.top_n_sigma = 3}, {.top_n_sigma = 0.01f, .min_keep = 7},
        {.xtc_probability = 1, .xtc_threshold = 0.001f}, {.xtc_probability = 1, .xtc_threshold = 0.05f},
        {.xtc_probability = 1, .xtc_threshold = 0.001f, .min_keep = VOCAB},
        {.temperature = 0.3f}, {.temperature = 1.7f}, {.dynatemp_range = 0.5f},
        {.dynatemp_range = 0.9f, .dynatemp_exponent = 2}, {.dynatemp_range = 2, .dynatemp_exponent = 0.5f},
    };
    uint64_t seed = 11;
    for (size_t i = 0; i < sizeof one / sizeof *one; i++)
        for (int spread = 1; spread <= 16; spread *= 4) {
            hearth_sampler_config c = one[i];
            c.temperature = c.temperature > 0 ? c.temperature : 1;
            random_logits(&seed, (float)spread);
            compare_with_reference(c, i);
        }
}

static void chains_in_any_order_are_the_naive_ones(void **state)
{
    (void)state;
    static const char *const name[] = {"top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature"};
    uint64_t seed = 12;
    for (int round = 0; round < 60; round++) {
        char order[128] = "penalties";
        int pick[7] = {0, 1, 2, 3, 4, 5, 6}, n = (int)(test_rand(&seed) % 8);
        for (int i = 0; i < n; i++) {
            int j = i + (int)(test_rand(&seed) % (uint64_t)(7 - i)), x = pick[i];
            pick[i] = pick[j];
            pick[j] = x;
            strcat(strcat(order, ";"), name[pick[i]]);
        }
        const hearth_sampler_config c = {
            .temperature = 0.8f, .top_k = 10 + (int)(test_rand(&seed) % 200), .top_p = 0.93f, .min_p = 0.03f,
            .typical_p = 0.9f, .top_n_sigma = 2.5f, .xtc_probability = 1, .xtc_threshold = 0.06f,
            .dynatemp_range = round % 2 ? 0.4f : 0, .order = order, .min_keep = 1 + round % 3};
        random_logits(&seed, 8);
        compare_with_reference(c, (uint64_t)round);
    }
}

/* ---- scores of tokens seen before ---- */

/* DRY by its definition: for every earlier position, count how far back the tokens agree. */
static int32_t dot_id;

static double dry_naive(const int *seen, int n, int token, double mult, double base, int allowed)
{
    int best = 0;
    for (int at = 1; at < n; at++) {
        int len = 0;
        if (seen[at] != token)
            continue;
        while (len < at && seen[at - 1 - len] == seen[n - 1 - len] && seen[n - 1 - len] != dot_id)
            len++;
        best = len > best ? len : best;
    }
    return best >= allowed ? mult * pow(base, best - allowed) : 0;
}

static void dry_is_the_naive_one(void **state)
{
    (void)state;
    uint64_t seed = 13;
    static const char *const dot = ".";
    hearth_sampler_config c = {.struct_size = sizeof c, .temperature = 1, .dry_multiplier = 0.8f,
                               .dry_last_n = 50, .dry_breakers = &dot, .n_dry_breakers = 1};
    hearth_sampler *s;
    size_t len;
    assert_int_equal(hearth_tokenize(model, dot, 1, 0, &dot_id, 1, &len, NULL), HEARTH_OK);
    assert_int_equal(hearth_sampler_open(model, &c, &s, NULL), HEARTH_OK);
    for (int round = 0; round < 200; round++) {
        int seen[80], n = (int)(test_rand(&seed) % 80), first = n > 50 ? n - 50 : 0;
        struct hr_set set;
        hearth_sampler_reset(s);
        for (int i = 0; i < n; i++) {
            seen[i] = 300 + (int)(test_rand(&seed) % 3);
            if (test_rand(&seed) % 20 == 0)
                seen[i] = dot_id;
            hearth_sampler_accept(s, seen[i]);
        }
        memset(logits, 0, sizeof logits);
        assert_int_equal(hr_sampler_set(s, logits, &set, NULL), HEARTH_OK);
        for (int t = 298; t < 304; t++)
            assert_near(s->logits[t], -dry_naive(seen + first, n - first, t, 0.8, 1.75, 2), 1e-4);
        assert_near(s->logits[dot_id], -dry_naive(seen + first, n - first, dot_id, 0.8, 1.75, 2), 1e-4);
    }
    hearth_sampler_close(s);
}

static void long_repetitions_stay_finite(void **state)
{
    (void)state;
    hearth_sampler_config c = {.struct_size = sizeof c, .temperature = 1, .dry_multiplier = 1000,
                               .dry_base = 1000, .dry_last_n = -1, .repeat_penalty = 1e-3f};
    hearth_sampler *s;
    int32_t token;
    assert_int_equal(hearth_sampler_open(model, &c, &s, NULL), HEARTH_OK);
    for (int i = 0; i < 3000; i++)
        hearth_sampler_accept(s, 500);
    for (int i = 0; i < VOCAB; i++)
        logits[i] = i == 500 ? 3e38f : 0;
    assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
    assert_true(s->logits[500] > -INFINITY && s->logits[500] < INFINITY);
    hearth_sampler_close(s);
}

static void what_a_draft_adds_can_be_taken_back(void **state)
{
    (void)state;
    uint64_t seed = 14;
    hearth_sampler_config c = {.struct_size = sizeof c, .penalty_window = 5, .repeat_penalty = 1.3f,
                               .dry_multiplier = 1, .dry_last_n = 9};
    hearth_sampler *s;
    assert_int_equal(hearth_sampler_open(model, &c, &s, NULL), HEARTH_OK);
    for (int round = 0; round < 100; round++) {
        int32_t before[4], n = (int32_t)(test_rand(&seed) % (HR_MAX_GUESS + 1));
        int64_t had = s->history.n;
        memcpy(before, s->history.count + 100, sizeof before);
        for (int i = 0; i < n; i++)
            hearth_sampler_accept(s, 100 + (int32_t)(test_rand(&seed) % 4));
        hr_sampler_rewind(s, n);
        assert_int_equal(s->history.n, had);
        assert_memory_equal(before, s->history.count + 100, sizeof before);
        hearth_sampler_accept(s, 100 + (int32_t)(test_rand(&seed) % 4));
    }
    hearth_sampler_close(s);
}

/* ---- draws ---- */

static void set_logits(const double *p, int n)
{
    for (int i = 0; i < VOCAB; i++)
        logits[i] = -INFINITY;
    for (int i = 0; i < n; i++)
        logits[100 + i] = p[i] > 0 ? (float)log(p[i]) : -INFINITY;
}

static double chi_square(const int *seen, const double *want, int n, int draws)
{
    double chi = 0;
    for (int i = 0; i < n; i++) {
        double e = want[i] * draws;
        if (want[i] == 0)
            assert_int_equal(seen[i], 0);
        else
            chi += (seen[i] - e) * (seen[i] - e) / e;
    }
    return chi;
}

static void xtc_throws_its_coin(void **state)
{
    (void)state;
    enum { DRAWS = 4000 };
    static const double p[4] = {0.5, 0.3, 0.15, 0.05};
    /* a quarter of the time only the third and fourth are left, as 3 to 1 */
    static const double want[4] = {0.375, 0.225, 0.1125 + 0.25 * 0.75, 0.0375 + 0.25 * 0.25};
    int seen[4] = {0};
    hearth_sampler_config c = {.struct_size = sizeof c, .temperature = 1, .xtc_probability = 0.25f,
                               .xtc_threshold = 0.1f, .seed = 3};
    hearth_sampler *s;
    assert_int_equal(hearth_sampler_open(model, &c, &s, NULL), HEARTH_OK);
    set_logits(p, 4);
    for (int i = 0; i < DRAWS; i++) {
        int32_t token;
        assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
        seen[token - 100]++;
    }
    assert_true(chi_square(seen, want, 4, DRAWS) < 30.7); /* 3 degrees of freedom: p < 1e-6 */
    hearth_sampler_close(s);
}

/* Mirostat keeps the mean surprise of what it draws near tau. */
static void mirostat_holds_the_surprise(void **state)
{
    (void)state;
    enum { DRAWS = 1500, SKIP = 300 };
    for (int tau = 2; tau <= 6; tau += 2) {
        hearth_sampler_config c = {.struct_size = sizeof c, .temperature = 1, .mirostat = 2,
                                   .mirostat_tau = (float)tau, .mirostat_eta = 0.1f, .seed = 4,
                                   .top_k = 1}; /* no part of it */
        hearth_sampler *s;
        double sum = 0, total = 0;
        assert_int_equal(hearth_sampler_open(model, &c, &s, NULL), HEARTH_OK);
        for (int i = 0; i < VOCAB; i++) /* Zipf */
            total += exp(logits[i] = (float)-log(i + 1.0));
        for (int i = 0; i < DRAWS; i++) {
            struct hr_set set;
            int32_t token;
            double before = s->mu;
            assert_int_equal(hr_sampler_set(s, logits, &set, NULL), HEARTH_OK);
            for (int k = 1; k < set.n; k++) /* nothing passes mu but the likeliest */
                assert_true(-log2(exp(set.c[k].logit) / total) <= before + 1e-3);
            assert_int_equal(hearth_sampler_sample(s, logits, &token, NULL), HEARTH_OK);
            double surprise = (before - s->mu) / 0.1 + tau;
            sum += i >= SKIP ? surprise : 0;
        }
        assert_near(sum / (DRAWS - SKIP), tau, 0.1);
        hearth_sampler_close(s);
    }
}

/* Whatever q is, what comes out of guess and verify has p: equal, near, far, disjoint; with penalties
 * that the guess itself moves; greedy too. */
static void guesses_leave_the_distribution_as_it_is(void **state)
{
    (void)state;
    enum { DRAWS = 6000, N = 5 };
    static const double p[N] = {0.4, 0.3, 0.15, 0.1, 0.05};
    static const double q[][N] = {{0.4, 0.3, 0.15, 0.1, 0.05}, {0.2, 0.2, 0.2, 0.2, 0.2},
                                  {0, 0, 0, 0.1, 0.9}, {0.9, 0.1, 0, 0, 0}, {0, 0, 0, 0, 1}};
    static float draft[VOCAB];
    for (size_t k = 0; k < sizeof q / sizeof *q; k++) {
        double overlap = 0;
        int seen[N] = {0}, accepted = 0;
        hearth_sampler_config c = {.struct_size = sizeof c, .temperature = 1, .seed = 50 + k};
        hearth_sampler *s;
        assert_int_equal(hearth_sampler_open(model, &c, &s, NULL), HEARTH_OK);
        set_logits(q[k], N);
        memcpy(draft, logits, sizeof draft);
        set_logits(p, N);
        for (int i = 0; i < N; i++)
            overlap += p[i] < q[k][i] ? p[i] : q[k][i];
        for (int i = 0; i < DRAWS; i++) {
            struct hr_guess guess;
            int32_t token;
            assert_int_equal(hr_sampler_guess(s, draft, &guess, NULL), HEARTH_OK);
            hr_sampler_rewind(s, 1);
            assert_int_equal(hr_sampler_verify(s, logits, &guess, &token, NULL), HEARTH_OK);
            seen[token - 100]++;
            accepted += token == guess.token;
        }
        assert_true(chi_square(seen, p, N, DRAWS) < 33.4); /* 4 degrees of freedom: p < 1e-6 */
        /* the rate is 1 - total variation, within 5 standard deviations */
        assert_near((double)accepted / DRAWS, overlap, 5 * sqrt(0.25 / DRAWS));
        hearth_sampler_close(s);
    }
}

/* A certain guess changes nothing at all: the same seed gives the same tokens. */
static void certain_guesses_leave_the_draws_as_they_are(void **state)
{
    (void)state;
    uint64_t seed = 15;
    hearth_sampler_config c = {.struct_size = sizeof c, .temperature = 1, .seed = 9, .top_p = 0.9f,
                               .xtc_probability = 0.5f, .mirostat_tau = 3};
    hearth_sampler *a, *b;
    assert_int_equal(hearth_sampler_open(model, &c, &a, NULL), HEARTH_OK);
    assert_int_equal(hearth_sampler_open(model, &c, &b, NULL), HEARTH_OK);
    for (int i = 0; i < 100; i++) {
        struct hr_guess guess = {.token = (int32_t)(test_rand(&seed) % VOCAB)};
        int32_t x, y;
        random_logits(&seed, 6);
        assert_int_equal(hearth_sampler_sample(a, logits, &x, NULL), HEARTH_OK);
        assert_int_equal(hr_sampler_verify(b, logits, &guess, &y, NULL), HEARTH_OK);
        assert_int_equal(x, y);
    }
    hearth_sampler_close(a);
    hearth_sampler_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_stage_is_the_naive_one),
        cmocka_unit_test(chains_in_any_order_are_the_naive_ones),
        cmocka_unit_test(dry_is_the_naive_one),
        cmocka_unit_test(long_repetitions_stay_finite),
        cmocka_unit_test(what_a_draft_adds_can_be_taken_back),
        cmocka_unit_test(xtc_throws_its_coin),
        cmocka_unit_test(mirostat_holds_the_surprise),
        cmocka_unit_test(guesses_leave_the_distribution_as_it_is),
        cmocka_unit_test(certain_guesses_leave_the_draws_as_they_are),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
