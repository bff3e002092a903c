/* hk_fma, the half conversions and the functions of hk_math.h against libm: halves exhaustively,
 * the rest sampled densely over all bit patterns. */
#include "test_support.h"
#include "kernels/hk_half.h"
#include "kernels/hk_math.h"
#include <math.h>

#define PI      3.14159265358979323846
#define SAMPLES (1u << 20)

static uint64_t seed = 20240607;

static bool same(float a, float b)
{
    return hk_to_bits(a) == hk_to_bits(b) || (isnan(a) && isnan(b));
}

/* Error of y in units of the last place of `exact` rounded to float. */
static double ulps(float y, double exact)
{
    float r = (float)exact;
    if (!isfinite(r) || !isfinite(y))
        return same(y, r) ? 0 : INFINITY;
    int e = r == 0 ? -126 : ilogbf(r);
    return fabs((double)y - exact) / ldexp(1, (e < -126 ? -126 : e) - 23);
}

/* ---- fma ---- */

static void fma_cases(float a, float b, float c)
{
    float got = hk_fma(a, b, c), want = fmaf(a, b, c);
    if (!same(got, want))
        fail_msg("fma(%a, %a, %a) = %a, should be %a", (double)a, (double)b, (double)c, (double)got,
                 (double)want);
}

static void fma_of_any_three_floats_is_rounded_once(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * SAMPLES; i++) {
        uint64_t r = test_rand(&seed);
        fma_cases(hk_from_bits((uint32_t)r), hk_from_bits((uint32_t)(r >> 32)),
                  hk_from_bits((uint32_t)test_rand(&seed)));
    }
}

/* c near -ab, near half an ulp of ab, or near a tie: where double rounding would show. */
static void fma_near_cancellation_and_ties_is_rounded_once(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * SAMPLES; i++) {
        uint64_t r = test_rand(&seed);
        float a =
            hk_from_bits(((uint32_t)r & 0x807FFFFFu) | (uint32_t)(97u + (r >> 32 & 31)) << 23);
        float b = hk_from_bits(((uint32_t)(r >> 8) & 0x007FFFFFu) |
                               (uint32_t)(112u + (r >> 40 & 31)) << 23);
        if (r >> 60 < 4) /* few bits: exact products and exact ties */
            a = hk_from_bits(hk_to_bits(a) & 0xFFFFF000u),
            b = hk_from_bits(hk_to_bits(b) & 0xFFFFF000u);
        float p = a * b, c = ldexpf(p, (int)(r >> 45 & 63) - 32);
        c = hk_from_bits(hk_to_bits(c) + (uint32_t)(r >> 52 & 3) - 1);
        fma_cases(a, b, -c);
        fma_cases(a, b, c);
        fma_cases(a, b, ldexpf(1, (int)(r >> 45 & 127) - 64));
    }
}

static void fma_with_subnormal_results_is_rounded_once(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint64_t r = test_rand(&seed);
        float a =
            hk_from_bits(((uint32_t)r & 0x807FFFFFu) | (uint32_t)(50u + (r >> 32 & 15)) << 23);
        float b = hk_from_bits(((uint32_t)(r >> 8) & 0x007FFFFFu) | (uint32_t)(55u + (r >> 40 & 15))
                                                                        << 23);
        fma_cases(a, b, hk_from_bits((uint32_t)test_rand(&seed) & 0x81FFFFFFu));
        fma_cases(a, b, hk_from_bits((uint32_t)test_rand(&seed) & 0x8000000Fu));
    }
}

/* ---- halves ---- */

static double half_value(uint32_t h) /* finite */
{
    double m = h & 0x3FF,
           v = h >> 10 & 31 ? ldexp(1024 + m, (int)(h >> 10 & 31) - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

static void all_halves_widen_exactly_and_come_back(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = hk_f16_to_f32((uint16_t)h);
        if ((h & 0x7C00) != 0x7C00) {
            assert_true((double)f == half_value(h) && !signbit(f) == !(h & 0x8000));
            assert_int_equal(hk_f32_to_f16(f), h);
        } else if (!(h & 0x3FF)) {
            assert_true(isinf(f) && !signbit(f) == !(h & 0x8000));
            assert_int_equal(hk_f32_to_f16(f), h);
        } else { /* NaN: payload kept, made quiet */
            assert_int_equal(hk_to_bits(f), (h & 0x8000) << 16 | 0x7FC00000u | (h & 0x3FF) << 13);
            assert_int_equal(hk_f32_to_f16(f), h | 0x200);
        }
    }
}

/* Between every two neighbouring halves: a bit below the middle, the middle, a bit above. */
static void narrowing_to_half_rounds_ties_to_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7C00; h++) {
        double a = half_value(h), b = h == 0x7BFF ? 65536 : half_value(h + 1);
        float middle = (float)((a + b) / 2);
        uint32_t even = h & 1 ? h + 1 : h;
        for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
            float s = sign ? -1.0f : 1.0f;
            assert_int_equal(hk_f32_to_f16(s * middle), sign | even);
            assert_int_equal(hk_f32_to_f16(s * nextafterf(middle, 0)), sign | h);
            assert_int_equal(hk_f32_to_f16(s * nextafterf(middle, INFINITY)), sign | (h + 1));
        }
    }
    assert_int_equal(hk_f32_to_f16(1e30f), 0x7C00);
    assert_int_equal(hk_f32_to_f16(0x1p-149f), 0);
    assert_int_equal(hk_f32_to_f16(hk_from_bits(0xFF800001u)), 0xFE00);
}

static void narrowing_to_bfloat_rounds_ties_to_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = hk_bf16_to_f32((uint16_t)h);
        if (isnan(f)) {
            assert_int_equal(hk_f32_to_bf16(f), h | 0x40);
            continue;
        }
        assert_int_equal(hk_f32_to_bf16(f), h);
        if (isinf(f))
            continue;
        assert_int_equal(hk_f32_to_bf16(hk_from_bits(h << 16 | 0x7FFF)), h);
        assert_int_equal(hk_f32_to_bf16(hk_from_bits(h << 16 | 0x8000)), h + (h & 1));
        assert_int_equal(hk_f32_to_bf16(hk_from_bits(h << 16 | 0x8001)), h + 1);
    }
    assert_int_equal(hk_f32_to_bf16(hk_from_bits(0x7F800001u)), 0x7FC0);
}

/* ---- functions ---- */

static double sigmoid_ref(double x)
{
    return 1 / (1 + exp(-x));
}

static float sin_of(float x)
{
    float s, c;
    hk_sincos((double)x, &s, &c);
    return s;
}

static float cos_of(float x)
{
    float s, c;
    hk_sincos((double)x, &s, &c);
    return c;
}

struct function {
    const char *name;
    float (*f)(float);
    double (*ref)(double);
    float lo, hi; /* dense here, beside all bit patterns */
    double bound; /* ulp */
};

static float f_exp(float x)
{
    return hk_exp(x);
}
static float f_log(float x)
{
    return hk_log(x);
}
static float f_tanh(float x)
{
    return hk_tanh(x);
}
static float f_erf(float x)
{
    return hk_erf(x);
}
static float f_sigmoid(float x)
{
    return hk_sigmoid(x);
}

static const struct function functions[] = {
    {"exp", f_exp, exp, -104, 89, 1.0},
    {"log", f_log, log, 0, 4, 0.9},
    {"tanh", f_tanh, tanh, -10, 10, 1.4},
    {"erf", f_erf, erf, -4.5f, 4.5f, 1.2},
    {"sigmoid", f_sigmoid, sigmoid_ref, -100, 100, 2.4},
    {"sin", sin_of, sin, -1100000, 1100000, 0.501},
    {"cos", cos_of, cos, -1100000, 1100000, 0.501},
};

static void function_errors_stay_below_their_bounds(void **state)
{
    (void)state;
    for (size_t k = 0; k < HB_COUNT(functions); k++) {
        const struct function *fn = &functions[k];
        double worst = 0;
        float at = 0;
        for (uint32_t i = 0; i < 4 * SAMPLES; i++) {
            uint32_t r = (uint32_t)test_rand(&seed);
            float x = i & 1 ? hk_from_bits(r) : fn->lo + (fn->hi - fn->lo) * ((float)r * 0x1p-32f);
            double u = ulps(fn->f(x), fn->ref((double)x));
            if (!(u <= worst))
                worst = u, at = x;
        }
        print_message("%-8s %.3f ulp at %a\n", fn->name, worst, (double)at);
        if (!(worst <= fn->bound))
            fail_msg("%s: %g ulp at %a, allowed %g", fn->name, worst, (double)at, fn->bound);
    }
}

static void functions_keep_their_limits(void **state)
{
    (void)state;
    const float inf = INFINITY, nan = hk_from_bits(0x7FC00000u);
    const struct {
        float (*f)(float);
        float x, y;
    } rows[] = {
        {f_exp, 0, 1},
        {f_exp, -0.0f, 1},
        {f_exp, inf, inf},
        {f_exp, -inf, 0},
        {f_exp, nan, nan},
        {f_exp, 88.8f, inf},
        {f_exp, -103.9f, 0x1p-149f},
        {f_exp, -104, 0},
        {f_log, 1, 0},
        {f_log, 0, -inf},
        {f_log, -0.0f, -inf},
        {f_log, -1, nan},
        {f_log, inf, inf},
        {f_log, nan, nan},
        {f_log, -inf, nan},
        {f_tanh, 0, 0},
        {f_tanh, -0.0f, -0.0f},
        {f_tanh, inf, 1},
        {f_tanh, -inf, -1},
        {f_tanh, nan, nan},
        {f_tanh, 1e30f, 1},
        {f_tanh, 0x1p-149f, 0x1p-149f},
        {f_erf, 0, 0},
        {f_erf, -0.0f, -0.0f},
        {f_erf, inf, 1},
        {f_erf, -inf, -1},
        {f_erf, nan, nan},
        {f_erf, -1e30f, -1},
        {f_sigmoid, inf, 1},
        {f_sigmoid, -inf, 0},
        {f_sigmoid, 0, 0.5f},
        {f_sigmoid, nan, nan},
        {sin_of, -0.0f, -0.0f},
        {sin_of, inf, nan},
        {cos_of, nan, nan},
        {cos_of, 0, 1},
    };
    for (size_t i = 0; i < HB_COUNT(rows); i++)
        if (!same(rows[i].f(rows[i].x), rows[i].y))
            fail_msg("row %d: f(%a) = %a, should be %a", (int)i, (double)rows[i].x,
                     (double)rows[i].f(rows[i].x), (double)rows[i].y);
}

/* Activations: error against the double formula, relative to the size of the true value plus the
 * rounding of 1 + erf near -1. */
static void activations_follow_their_formulas(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        float x = test_rand_float(&seed) * (i & 1 ? 12.0f : 95.0f);
        double d = (double)x, silu = d * sigmoid_ref(d), ge = d / 2 * (1 + erf(d / sqrt(2.0)));
        double gt = d * sigmoid_ref(2 * sqrt(2 / PI) * (d + 0.044715 * d * d * d));
        assert_true(fabs((double)hk_silu(x) - silu) <= 4e-7 * fabs(silu) + 1e-43);
        assert_true(fabs((double)hk_gelu_erf(x) - ge) <= 3e-7 * fabs(ge) + 1.2e-7 * fabs(d));
        double t = fabs(d) * sqrt(2 / PI) * (1 + 0.14 * d * d); /* the argument's own rounding */
        assert_true(fabs((double)hk_gelu_tanh(x) - gt) <= (5e-7 + 2.5e-7 * t) * fabs(gt) + 1e-43);
    }
    assert_true(hk_silu(1e30f) == 1e30f && hk_gelu_tanh(1e30f) == 1e30f &&
                hk_gelu_erf(1e30f) == 1e30f);
    assert_true(hk_silu(-1e30f) == 0 && hk_gelu_tanh(-1e30f) == 0 && hk_gelu_erf(-1e30f) == 0);
}

static void angles_of_any_size_are_reduced_accurately(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SAMPLES / 4; i++) { /* doubles below 2^28: position times frequency */
        double x = (double)(test_rand(&seed) >> 20 & 0xFFFFFFFu) *
                   (double)(test_rand(&seed) >> 11) * 0x1p-53;
        float s, c;
        hk_sincos(x, &s, &c);
        assert_true(ulps(s, sin(x)) < 0.51 && ulps(c, cos(x)) < 0.51);
    }
    for (uint32_t i = 0; i < SAMPLES / 4; i++) { /* floats from there on */
        float x = hk_from_bits((155u + (uint32_t)(test_rand(&seed) % 100)) << 23 |
                               (uint32_t)(test_rand(&seed) & 0x807FFFFFu));
        float s, c;
        hk_sincos((double)x, &s, &c);
        if (!(ulps(s, sin((double)x)) < 0.51 && ulps(c, cos((double)x)) < 0.51))
            fail_msg("sincos(%a) = %a, %a", (double)x, (double)s, (double)c);
    }
}

static void double_powers_serve_frequency_tables(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SAMPLES / 8; i++) {
        double x = 1e7 * fabs((double)test_rand_float(&seed)) + 1e-3;
        double y = 2 * (double)test_rand_float(&seed);
        assert_true(fabs(hk_log_f64(x) - log(x)) <= 0x1p-50 * fmax(1, fabs(log(x))));
        assert_true(fabs(hk_exp_f64(40 * y) / exp(40 * y) - 1) <= 0x1p-50);
        assert_true(fabs(hk_pow_f64(x, y) / pow(x, y) - 1) <= 0x1p-46);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fma_of_any_three_floats_is_rounded_once),
        cmocka_unit_test(fma_near_cancellation_and_ties_is_rounded_once),
        cmocka_unit_test(fma_with_subnormal_results_is_rounded_once),
        cmocka_unit_test(all_halves_widen_exactly_and_come_back),
        cmocka_unit_test(narrowing_to_half_rounds_ties_to_even),
        cmocka_unit_test(narrowing_to_bfloat_rounds_ties_to_even),
        cmocka_unit_test(function_errors_stay_below_their_bounds),
        cmocka_unit_test(functions_keep_their_limits),
        cmocka_unit_test(activations_follow_their_formulas),
        cmocka_unit_test(angles_of_any_size_are_reduced_accurately),
        cmocka_unit_test(double_powers_serve_frequency_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
