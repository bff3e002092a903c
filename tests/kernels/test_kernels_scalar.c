/* The scalar kernels, which all other levels must equal bit for bit, against the same formulas in
 * double precision, with error bounds relative to the sum of the magnitudes of what was added. */
#include "test_support.h"
#include "kernels/hk_half.h"
#include "kernels/hk_math.h"
#include "kernels/kernels.h"
#include <math.h>

#define EPS 0x1p-23

static struct hk_table t;
static uint64_t seed = 7;

static int select_scalar(void **state)
{
    (void)state;
    hk_select(&t, 0, HK_LEVEL_COUNT);
    return 0;
}

static void fill(float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = scale * test_rand_float(&seed);
}

static void expect_near(float got, double want, double tolerance, const char *what)
{
    if (!(fabs((double)got - want) <= tolerance))
        fail_msg("%s: %.9g, should be %.9g within %.3g", what, (double)got, want, tolerance);
}

/* ---- norms ---- */

static void rms_reference(double *y, const float *x, const float *w, size_t n, double eps)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    for (size_t i = 0; i < n; i++)
        y[i] = (double)x[i] * (double)w[i] / sqrt(sum / (double)n + eps);
}

static void rmsnorm_follows_its_formula_at_every_magnitude(void **state)
{
    (void)state;
    static const float scales[] = {1, 1e-3f, 1e3f, 1e-15f, 1e-30f, 1e15f, 1e30f, 3e38f};
    static const float epsilons[] = {1e-5f, 1e-12f, 0};
    static float x[1000], w[1000], y[1000];
    static double ref[1000];
    for (size_t k = 0; k < HB_COUNT(scales) * 3; k++) {
        size_t n = 1 + test_rand(&seed) % 1000;
        fill(x, n, scales[k / 3]);
        fill(w, n, 2);
        t.rmsnorm_f32(y, x, w, n, epsilons[k % 3]);
        rms_reference(ref, x, w, n, (double)epsilons[k % 3]);
        for (size_t i = 0; i < n; i++)
            expect_near(y[i], ref[i], fabs(ref[i]) * 8 * EPS + 1e-44, "rmsnorm");
    }
}

static void layernorm_follows_its_formula_at_every_magnitude(void **state)
{
    (void)state;
    static const float scales[] = {1, 1e-3f, 1e3f, 1e-30f, 1e15f, 1e30f, 1e38f};
    static float x[1000], w[1000], b[1000], y[1000];
    for (size_t k = 0; k < HB_COUNT(scales) * 2; k++) {
        size_t n = 2 + test_rand(&seed) % 999;
        double eps = k % 2 ? (double)1e-5f : 0, sum = 0, var = 0;
        fill(x, n, scales[k / 2]);
        fill(w, n, 2);
        fill(b, n, 1);
        t.layernorm_f32(y, x, w, b, n, (float)eps);
        for (size_t i = 0; i < n; i++)
            sum += (double)x[i];
        for (size_t i = 0; i < n; i++)
            var += ((double)x[i] - sum / (double)n) * ((double)x[i] - sum / (double)n);
        for (size_t i = 0; i < n; i++) {
            double v = ((double)x[i] - sum / (double)n) / sqrt(var / (double)n + eps);
            double want = v * (double)w[i] + (double)b[i];
            expect_near(y[i], want, (4 + fabs(v)) * 16 * EPS, "layernorm");
        }
    }
}

static void layernorm_survives_a_mean_far_above_the_spread(void **state)
{
    (void)state;
    float x[64], y[64];
    for (int i = 0; i < 64; i++)
        x[i] = 65536.0f + (i & 1 ? 1.0f : -1.0f);
    t.layernorm_f32(y, x, NULL, NULL, 64, 0);
    for (int i = 0; i < 64; i++)
        expect_near(y[i], i & 1 ? 1 : -1, 1e-6, "layernorm");
}

static void norms_of_zero_vectors_are_zero(void **state)
{
    (void)state;
    float x[33] = {0}, w[33], b[33], y[33];
    fill(w, 33, 1);
    fill(b, 33, 1);
    for (int k = 0; k < 2; k++) {
        t.rmsnorm_f32(y, x, w, 33, k ? 1e-6f : 0);
        for (int i = 0; i < 33; i++)
            assert_true(y[i] == 0);
        t.layernorm_f32(y, x, w, b, 33, k ? 1e-6f : 0);
        for (int i = 0; i < 33; i++)
            assert_true(y[i] == b[i]);
    }
}

static void a_nan_reaches_every_element_of_a_norm(void **state)
{
    (void)state;
    float x[20], y[20], w[20];
    fill(x, 20, 1);
    fill(w, 20, 1);
    x[13] = NAN;
    t.rmsnorm_f32(y, x, w, 20, 1e-5f);
    for (int i = 0; i < 20; i++)
        assert_true(isnan(y[i]));
    t.layernorm_f32(y, x, w, NULL, 20, 1e-5f);
    for (int i = 0; i < 20; i++)
        assert_true(isnan(y[i]));
}

/* ---- softmax ---- */

static void softmax_follows_its_formula(void **state)
{
    (void)state;
    static float x[700], y[700];
    for (int k = 0; k < 40; k++) {
        size_t n = 1 + test_rand(&seed) % 700;
        double m = -INFINITY, sum = 0;
        fill(x, n, k & 1 ? 4 : 60);
        for (size_t i = 0; i < n; i++)
            m = fmax(m, (double)x[i]);
        for (size_t i = 0; i < n; i++)
            sum += exp((double)x[i] - m);
        t.softmax_f32(y, x, n);
        for (size_t i = 0; i < n; i++) {
            double want = exp((double)x[i] - m) / sum; /* x - m is rounded before exp */
            expect_near(y[i], want, want * (8 + 0.5 * fabs((double)x[i] - m)) * EPS + 1e-44,
                        "softmax");
        }
    }
}

static void softmax_of_masked_and_enormous_rows_is_finite(void **state)
{
    (void)state;
    float x[5], y[5];
    for (int i = 0; i < 5; i++)
        x[i] = -INFINITY;
    t.softmax_f32(y, x, 5);
    for (int i = 0; i < 5; i++)
        assert_true(y[i] == 0);
    const float huge[5] = {1e30f, -1e30f, -INFINITY, 1e30f, 3e38f};
    t.softmax_f32(y, huge, 5);
    assert_true(y[4] == 1 && y[0] == 0 && y[1] == 0 && y[2] == 0 && y[3] == 0);
    t.softmax_f32(y, huge, 4);
    assert_true(y[0] == 0.5f && y[1] == 0 && y[2] == 0 && y[3] == 0.5f);
    t.softmax_f32(y, huge, 1);
    assert_true(y[0] == 1);
    y[0] = 77;
    t.softmax_f32(y, huge, 0);
    assert_true(y[0] == 77);
    const float with_nan[3] = {1, NAN, -INFINITY};
    t.softmax_f32(y, with_nan, 3);
    assert_true(isnan(y[0]) && isnan(y[1]) && isnan(y[2]));
}

/* ---- elementwise ---- */

static void softcap_and_the_gates_follow_their_formulas(void **state)
{
    (void)state;
    static float a[999], b[999], y[999];
    fill(a, 999, 90);
    fill(b, 999, 3);
    t.softcap_f32(y, a, 30, 999);
    for (int i = 0; i < 999; i++)
        expect_near(y[i], 30 * tanh((double)a[i] / 30), 30 * 3 * EPS, "softcap");
    t.silu_mul_f32(y, a, b, 999);
    for (int i = 0; i < 999; i++)
        assert_true(y[i] == hk_silu(a[i]) * b[i]);
    fill(b, 999, 12);
    t.swiglu_clamp_f32(y, a, b, 999);
    for (int i = 0; i < 999; i++) {
        double g = fmin(a[i], 7), u = fmax(-7, fmin(b[i], 7));
        double z = g / (1 + exp(-(double)1.702f * g)) * (u + 1);
        expect_near(y[i], z, 16 * EPS * (fabs(z) + 1), "swiglu");
    }
    fill(b, 999, 3);
    t.gelu_mul_f32(y, a, b, 999);
    for (int i = 0; i < 999; i++)
        assert_true(y[i] == hk_gelu_tanh(a[i]) * b[i]);
}

static void rope_turns_pairs_by_their_angles(void **state)
{
    (void)state;
    static const double positions[] = {0, 1, 4095, 1048576};
    float x[96], pair[96], half[96], cs[96];
    fill(x, 96, 5);
    for (size_t k = 0; k < HB_COUNT(positions); k++) {
        memcpy(pair, x, sizeof x);
        memcpy(half, x, sizeof x);
        double angle[48];
        for (int i = 0; i < 48; i++) {
            angle[i] = positions[k] * hk_pow_f64(10000, -2.0 * i / 96) / (k & 1 ? 1 : 2.5);
            hk_sincos(angle[i], &cs[2 * i + 1], &cs[2 * i]);
        }
        t.rope_pair_f32(pair, cs, 96);
        t.rope_half_f32(half, cs, 96);
        for (int i = 0; i < 48; i++) {
            double c = cos(angle[i]), s = sin(angle[i]);
            double p = (double)x[2 * i], q = (double)x[2 * i + 1];
            expect_near(pair[2 * i], p * c - q * s, 5 * 3 * EPS, "rope pair");
            expect_near(pair[2 * i + 1], q * c + p * s, 5 * 3 * EPS, "rope pair");
            p = (double)x[i], q = (double)x[i + 48];
            expect_near(half[i], p * c - q * s, 5 * 3 * EPS, "rope half");
            expect_near(half[i + 48], q * c + p * s, 5 * 3 * EPS, "rope half");
        }
    }
}

static void largest_magnitude_tells_nan_and_infinity(void **state)
{
    (void)state;
    float x[] = {1, -3, 2, -0.0f};
    assert_int_equal(t.max_abs_bits(x, 4), hk_to_bits(3.0f));
    assert_int_equal(t.max_abs_bits(x, 0), 0);
    x[2] = -INFINITY;
    assert_true(t.max_abs_bits(x, 4) == 0x7F800000u);
    x[0] = hk_from_bits(0xFF800001u);
    assert_true(t.max_abs_bits(x, 4) > 0x7F800000u);
}

/* ---- attention over a cache ---------------------------------------------------------------------
 *
 * The whole path as the runtime walks it: pages, stretches of 64, spans of 512 in 16 chains, merge.
 * Compared with the plain two-pass softmax in double precision. */
#define MAX_CONTEXT 9000
#define MAX_D       80

struct attn {
    enum hk_kvtype type;
    size_t n_ctx, lo, hi, d_k, d_v; /* visible: lo <= p < hi */
    float softcap;
    float *k, *v, q[MAX_D]; /* k[n_ctx][d_k], rounded to the storage type */
    uint8_t *k_pages, *v_pages;
};

static float stored(enum hk_kvtype type, float x)
{
    return type == HK_KV_F16 ? hk_f16_to_f32(hk_f32_to_f16(x)) : x;
}

static void attn_make(struct attn *a, float scale)
{
    const struct hk_kv *kv = &t.kv[a->type];
    size_t n_pages = a->n_ctx / HK_KV_PAGE + 4, elem = a->type == HK_KV_F16 ? 2 : 4;
    a->k = malloc((a->n_ctx + 1) * a->d_k * 4);
    a->v = malloc((a->n_ctx + 1) * a->d_v * 4);
    a->k_pages = malloc(n_pages * HK_KV_PAGE * a->d_k * elem);
    a->v_pages = malloc(n_pages * HK_KV_PAGE * a->d_v * elem);
    /* what is not written is NaN: reading it would show */
    memset(a->k_pages, 0xFF, n_pages * HK_KV_PAGE * a->d_k * elem);
    memset(a->v_pages, 0xFF, n_pages * HK_KV_PAGE * a->d_v * elem);
    fill(a->q, a->d_k, 2);
    for (size_t p = a->lo; p < a->hi; p++) {
        float *k = a->k + p * a->d_k, *v = a->v + p * a->d_v;
        fill(k, a->d_k, scale);
        fill(v, a->d_v, 3);
        kv->put_k(a->k_pages + p / 16 * 16 * a->d_k * elem, p % 16, 1, k, 0, a->d_k);
        kv->put_v(a->v_pages + p / 16 * 16 * a->d_v * elem, p % 16, 1, v, 0, a->d_v);
        for (size_t j = 0; j < a->d_k; j++)
            k[j] = stored(a->type, k[j]);
        for (size_t j = 0; j < a->d_v; j++)
            v[j] = stored(a->type, v[j]);
    }
}

static void attn_drop(struct attn *a)
{
    free(a->k);
    free(a->v);
    free(a->k_pages);
    free(a->v_pages);
}

static double attn_score(const struct attn *a, size_t p)
{
    double s = 0;
    for (size_t j = 0; j < a->d_k; j++)
        s += (double)a->q[j] * (double)a->k[p * a->d_k + j];
    return a->softcap != 0 ? (double)a->softcap * tanh(s / (double)a->softcap) : s;
}

static void attn_reference(const struct attn *a, double *o)
{
    double m = -INFINITY, sum = 0;
    memset(o, 0, a->d_v * sizeof *o);
    for (size_t p = a->lo; p < a->hi; p++)
        m = fmax(m, attn_score(a, p));
    for (size_t p = a->lo; p < a->hi; p++) {
        double w = exp(attn_score(a, p) - m);
        sum += w;
        for (size_t j = 0; j < a->d_v; j++)
            o[j] += w * (double)a->v[p * a->d_v + j];
    }
    for (size_t j = 0; j < a->d_v; j++)
        o[j] = sum > 0 ? o[j] / sum : 0;
}

struct attn_state {
    float o[MAX_D], m, l[16];
};

static void attn_stretch(const struct attn *a, size_t begin, struct attn_state *st)
{
    const struct hk_kv *kv = &t.kv[a->type];
    size_t elem = a->type == HK_KV_F16 ? 2 : 4;
    const void *k[8] = {NULL}, *v[8] = {NULL};
    float s[64], alpha;
    uint8_t lo = (uint8_t)(a->lo > begin ? a->lo - begin : 0);
    uint8_t hi = (uint8_t)(a->hi - begin < 64 ? a->hi - begin : 64);
    for (size_t p = 0; p < 4; p++) {
        bool seen = p * 16 < hi && p * 16 + 16 > lo;
        k[p] = seen ? a->k_pages + (begin / 16 + p) * 16 * a->d_k * elem : NULL;
        v[p] = seen ? a->v_pages + (begin / 16 + p) * 16 * a->d_v * elem : NULL;
    }
    kv->scores(s, a->q, 0, 1, k, a->d_k);
    t.attn_softmax(s, 1, &lo, &hi, a->softcap, &st->m, st->l, &alpha);
    kv->values(st->o, &alpha, s, 1, &lo, &hi, v, a->d_v);
}

static void attn_run(const struct attn *a, float *o)
{
    static struct attn_state chains[HK_KV_CHAINS];
    for (size_t i = 0; i < HK_KV_CHAINS; i++)
        chains[i] = (struct attn_state){.m = -INFINITY};
    for (size_t begin = a->lo / 64 * 64; begin < a->hi; begin += 64)
        attn_stretch(a, begin, &chains[begin / HK_KV_SPAN % HK_KV_CHAINS]);
    for (size_t i = 1; i < HK_KV_CHAINS; i++)
        if (chains[i].m != -INFINITY)
            t.attn_merge(chains[0].o, &chains[0].m, chains[0].l, chains[i].o, chains[i].m,
                         chains[i].l, a->d_v);
    float sum = 0;
    for (int i = 0; i < 16; i++)
        sum = sum + chains[0].l[i];
    for (size_t j = 0; j < a->d_v; j++)
        o[j] = sum > 0 ? chains[0].o[j] / sum : 0;
}

static void attn_compare(struct attn *a, float scale)
{
    float o[MAX_D];
    double ref[MAX_D];
    attn_make(a, scale);
    attn_run(a, o);
    attn_reference(a, ref);
    /* scores are sums of d_k terms below 2 scale; their error is the relative error of a weight */
    double tolerance = 3 * EPS * (16 + 4 * (double)a->d_k * (double)scale);
    for (size_t j = 0; j < a->d_v; j++)
        expect_near(o[j], ref[j], tolerance, "attention");
    attn_drop(a);
}

static void attention_equals_two_pass_softmax(void **state)
{
    (void)state;
    static const struct {
        size_t lo, hi;
    } spans[] = {
        {0, 0},    {0, 1},    {0, 2},   {0, 15},     {0, 16},   {0, 17},      {0, 63},
        {0, 64},   {0, 65},   {0, 130}, {1, 2},      {63, 64},  {63, 65},     {64, 65},
        {70, 250}, {37, 549}, {0, 513}, {500, 1029}, {0, 1500}, {8000, 8800}, {0, 8800},
    };
    for (size_t i = 0; i < HB_COUNT(spans); i++)
        for (int k = 0; k < 8; k++) {
            struct attn a = {.type = k & 1 ? HK_KV_F16 : HK_KV_F32,
                             .n_ctx = MAX_CONTEXT,
                             .lo = spans[i].lo,
                             .hi = spans[i].hi,
                             .d_k = k & 2 ? 64 : 23,
                             .d_v = k & 2 ? 64 : 80,
                             .softcap = k & 4 ? 10.0f : 0.0f};
            attn_compare(&a, i & 1 ? 1.0f : 0.1f);
        }
}

static void attention_with_enormous_scores_picks_the_largest(void **state)
{
    (void)state;
    for (int type = 0; type < 2; type++) {
        struct attn a = {
            .type = (enum hk_kvtype)type, .n_ctx = 256, .hi = 200, .d_k = 16, .d_v = 16};
        float o[MAX_D];
        attn_make(&a, 1);
        for (size_t j = 0; j < 16; j++)
            a.q[j] = j ? 0 : 1e30f;
        attn_run(&a, o);
        size_t best = 0;
        for (size_t p = 1; p < 200; p++)
            best = a.k[p * 16] > a.k[best * 16] ? p : best;
        size_t ties = 0;
        for (size_t p = 0; p < 200; p++)
            ties += a.k[p * 16] == a.k[best * 16];
        if (ties == 1)
            for (size_t j = 0; j < 16; j++)
                assert_true(o[j] == a.v[best * 16 + j]);
        attn_drop(&a);
    }
}

static void a_stretch_masked_by_minus_infinity_changes_nothing(void **state)
{
    (void)state;
    float s[64], m = 1.5f, l[16], alpha;
    uint8_t lo = 0, hi = 64;
    for (int i = 0; i < 64; i++)
        s[i] = -INFINITY;
    for (int i = 0; i < 16; i++)
        l[i] = (float)i;
    t.attn_softmax(s, 1, &lo, &hi, 0, &m, l, &alpha);
    assert_true(m == 1.5f && alpha == 1);
    m = -INFINITY;
    for (int i = 0; i < 64; i++)
        s[i] = -INFINITY;
    t.attn_softmax(s, 1, &lo, &hi, 0, &m, l, &alpha);
    assert_true(m == -INFINITY && alpha == 1);
    for (int i = 0; i < 64; i++)
        assert_true(s[i] == 0);
    for (int i = 0; i < 16; i++)
        assert_true(l[i] == (float)i);
}

/* ---- selection ---- */

static void selection_fills_every_slot_and_overlays_what_is_given(void **state)
{
    (void)state;
    struct hk_table a;
    hk_select(&a, 0, HK_LEVEL_COUNT);
    assert_string_equal(a.level, "scalar");
#define HK_SLOT(name, type, check, text) assert_true(a.name != NULL);
#include "kernels/kernels.def"
#undef HK_SLOT
    const struct hk_table over = {.level = "mine", .add_f32 = a.mul_f32};
    hk_overlay(&a, &over);
    assert_string_equal(a.level, "mine");
    assert_true(a.add_f32 == t.mul_f32 && a.mul_f32 == t.mul_f32);
    hk_select(&a, 0xFFFFFFFFu, HK_LEVEL_scalar);
    assert_string_equal(a.level, "scalar");
    assert_int_equal(hk_level_from_name("avx512"), HK_LEVEL_avx512);
    assert_int_equal(hk_level_from_name("mmx"), HK_LEVEL_COUNT);
    for (int i = 0; i < HK_LEVEL_COUNT; i++)
        assert_int_equal(hk_level_from_name(hk_level_name((enum hk_level)i)), i);
}

static void types_are_found_by_their_gguf_number(void **state)
{
    (void)state;
    for (int i = 0; i < HK_QTYPE_COUNT; i++)
        if (hk_qtype_info[i].gguf >= 0)
            assert_int_equal(hk_qtype_from_gguf((uint32_t)hk_qtype_info[i].gguf), i);
    assert_int_equal(hk_qtype_from_gguf(4), HK_QTYPE_COUNT);
    assert_int_equal(hk_qtype_from_gguf(0xFFFFFFFFu), HK_QTYPE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm_follows_its_formula_at_every_magnitude),
        cmocka_unit_test(layernorm_follows_its_formula_at_every_magnitude),
        cmocka_unit_test(layernorm_survives_a_mean_far_above_the_spread),
        cmocka_unit_test(norms_of_zero_vectors_are_zero),
        cmocka_unit_test(a_nan_reaches_every_element_of_a_norm),
        cmocka_unit_test(softmax_follows_its_formula),
        cmocka_unit_test(softmax_of_masked_and_enormous_rows_is_finite),
        cmocka_unit_test(softcap_and_the_gates_follow_their_formulas),
        cmocka_unit_test(rope_turns_pairs_by_their_angles),
        cmocka_unit_test(largest_magnitude_tells_nan_and_infinity),
        cmocka_unit_test(attention_equals_two_pass_softmax),
        cmocka_unit_test(attention_with_enormous_scores_picks_the_largest),
        cmocka_unit_test(a_stretch_masked_by_minus_infinity_changes_nothing),
        cmocka_unit_test(selection_fills_every_slot_and_overlays_what_is_given),
        cmocka_unit_test(types_are_found_by_their_gguf_number),
    };
    return cmocka_run_group_tests(tests, select_scalar, NULL);
}
