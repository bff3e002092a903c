/* Cases and benches for the float function types. */
#include "check.h"
#include "kernels/hk_math.h"

#define AS(type, f) ((type *)(f))
#define BENCH_N     4096
#define FLOAT_SIZE  sizeof(float)

static float *output(struct ck *c, size_t n)
{
    return ck_buffer(c, n * FLOAT_SIZE, FLOAT_SIZE);
}

static float *copy(struct ck *c, const float *x, size_t n)
{
    return ck_copy(c, x, n * FLOAT_SIZE, FLOAT_SIZE);
}

/* ---- norms ---- */

static void case_rmsnorm(struct ck *c, size_t n, enum ck_data data)
{
    static const float eps[] = {1e-5f, 1e-6f, 0.0f};
    float *x = ck_floats(c, n, data), *w = ck_floats(c, n, CK_RANDOM);
    float *a = output(c, n), *b = output(c, n), e = eps[ck_below(c, 3)];
    AS(hk_rmsnorm_fn, c->ref)(a, x, w, n, e);
    AS(hk_rmsnorm_fn, c->fn)(b, x, w, n, e);
    ck_same_floats(c, "y", a, b, n, NULL);
}

static void check_rmsnorm(struct ck *c)
{
    ck_each_length(c, case_rmsnorm);
}

static void bench_rmsnorm(struct ck *c)
{
    float *x = ck_floats(c, BENCH_N, CK_RANDOM), *w = ck_floats(c, BENCH_N, CK_RANDOM);
    float *y = output(c, BENCH_N);
    CK_BENCH(c, "n=4096", BENCH_N * 12.0, BENCH_N * 4.0,
             AS(hk_rmsnorm_fn, c->fn)(y, x, w, BENCH_N, 1e-5f));
}

static void case_layernorm(struct ck *c, size_t n, enum ck_data data)
{
    float *x = ck_floats(c, n, data), *w = ck_floats(c, n, CK_RANDOM);
    float *bias = ck_floats(c, n, CK_RANDOM), *a = output(c, n), *b = output(c, n);
    size_t r = ck_below(c, 8);
    float eps = r & 1 ? 1e-5f : 0.0f;
    w = r & 2 ? NULL : w;
    bias = r & 4 ? NULL : bias;
    AS(hk_layernorm_fn, c->ref)(a, x, w, bias, n, eps);
    AS(hk_layernorm_fn, c->fn)(b, x, w, bias, n, eps);
    ck_same_floats(c, "y", a, b, n, NULL);
}

static void check_layernorm(struct ck *c)
{
    for (int i = 0; i < 3; i++)
        ck_each_length(c, case_layernorm);
}

static void bench_layernorm(struct ck *c)
{
    float *x = ck_floats(c, BENCH_N, CK_RANDOM), *w = ck_floats(c, BENCH_N, CK_RANDOM);
    float *b = ck_floats(c, BENCH_N, CK_RANDOM), *y = output(c, BENCH_N);
    CK_BENCH(c, "n=4096", BENCH_N * 16.0, BENCH_N * 7.0,
             AS(hk_layernorm_fn, c->fn)(y, x, w, b, BENCH_N, 1e-5f));
}

const struct ck_type ck_hk_rmsnorm_fn = {check_rmsnorm, bench_rmsnorm};
const struct ck_type ck_hk_layernorm_fn = {check_layernorm, bench_layernorm};

/* ---- y = f(x), y = f(x, s), y = f(a, b): apart and in place ---- */

static void case_unary(struct ck *c, size_t n, enum ck_data data)
{
    float *x = ck_floats(c, n, data);
    for (size_t i = 0; i < n && data == CK_RANDOM; i++)
        x[i] *= i & 1 ? 8.0f : 100.0f;
    float *a = output(c, n), *b = output(c, n), *in_place = copy(c, x, n);
    AS(hk_unary_fn, c->ref)(a, x, n);
    AS(hk_unary_fn, c->fn)(b, x, n);
    AS(hk_unary_fn, c->fn)(in_place, in_place, n);
    ck_same_floats(c, "y", a, b, n, NULL);
    ck_same_floats(c, "y in place", a, in_place, n, NULL);
}

static void check_unary(struct ck *c)
{
    ck_each_length(c, case_unary);
    c->place = 0;
    for (size_t k = 0; k < 64; k++) { /* many bit patterns */
        const size_t n = 4096;
        ck_case(c, "any bits, block %zu", k);
        float *x = ck_floats(c, n, k & 1 ? CK_WIDE : CK_RANDOM), *a = output(c, n),
              *b = output(c, n);
        for (size_t i = 0; i < n && !(k & 1); i++)
            x[i] *= (float)(2 + 2 * k);
        AS(hk_unary_fn, c->ref)(a, x, n);
        AS(hk_unary_fn, c->fn)(b, x, n);
        ck_same_floats(c, "y", a, b, n, NULL);
    }
}

static void bench_unary(struct ck *c)
{
    float *x = ck_floats(c, BENCH_N, CK_RANDOM), *y = output(c, BENCH_N);
    CK_BENCH(c, "n=4096", BENCH_N * 8.0, BENCH_N, AS(hk_unary_fn, c->fn)(y, x, BENCH_N));
}

static void bench_softmax(struct ck *c)
{
    bench_unary(c);
    float *x = ck_floats(c, 256, CK_RANDOM), *y = output(c, 256);
    CK_BENCH(c, "n=256", 256 * 8.0, 256, AS(hk_softmax_fn, c->fn)(y, x, 256));
}

const struct ck_type ck_hk_unary_fn = {check_unary, bench_unary};
const struct ck_type ck_hk_softmax_fn = {check_unary, bench_softmax};

static void case_soft_scores(struct ck *c, size_t n, enum ck_data data)
{
    for (unsigned i = 0; i < 8; i++) {
        float *s = ck_floats(c, n, data), *t = copy(c, s, n);
        float *mask = i & 4 ? ck_floats(c, n, CK_ZEROS) : NULL;
        for (size_t j = 0; j < n && mask; j++)
            mask[j] = j % 3 == ck_below(c, 4) ? -HK_INFINITY : mask[j];
        AS(hk_soft_scores_fn, c->ref)(s, mask, 0.37f, i & 3, n);
        AS(hk_soft_scores_fn, c->fn)(t, mask, 0.37f, i & 3, n);
        ck_same_floats(c, "s", s, t, n, NULL);
    }
}

static void check_soft_scores(struct ck *c)
{
    ck_each_length(c, case_soft_scores);
}

static void bench_soft_scores(struct ck *c)
{
    float *s = ck_floats(c, 256, CK_RANDOM), *mask = ck_floats(c, 256, CK_ZEROS);
    CK_BENCH(c, "n=256", 256 * 8.0, 256, AS(hk_soft_scores_fn, c->fn)(s, mask, 0.2f, 0, 256));
}

const struct ck_type ck_hk_soft_scores_fn = {check_soft_scores, bench_soft_scores};

static void case_scale(struct ck *c, size_t n, enum ck_data data)
{
    static const float scales[] = {1.0f, -0.5f, 30.0f, 50.0f, 0x1p-140f, 3e38f, 7.3f};
    float *x = ck_floats(c, n, data), *a = output(c, n), *b = output(c, n);
    float *in_place = copy(c, x, n), s = scales[ck_below(c, HB_COUNT(scales))];
    AS(hk_scale_fn, c->ref)(a, x, s, n);
    AS(hk_scale_fn, c->fn)(b, x, s, n);
    AS(hk_scale_fn, c->fn)(in_place, in_place, s, n);
    ck_same_floats(c, "y", a, b, n, NULL);
    ck_same_floats(c, "y in place", a, in_place, n, NULL);
}

static void check_scale(struct ck *c)
{
    for (int i = 0; i < 4; i++)
        ck_each_length(c, case_scale);
}

static void bench_scale(struct ck *c)
{
    float *x = ck_floats(c, BENCH_N, CK_RANDOM), *y = output(c, BENCH_N);
    CK_BENCH(c, "n=4096", BENCH_N * 8.0, BENCH_N, AS(hk_scale_fn, c->fn)(y, x, 30.0f, BENCH_N));
}

static void case_binary(struct ck *c, size_t n, enum ck_data data)
{
    float *p = ck_floats(c, n, data), *q = ck_floats(c, n, data);
    for (size_t i = 0; i < n && data == CK_RANDOM; i++)
        p[i] *= 20.0f;
    float *a = output(c, n), *b = output(c, n), *over_p = copy(c, p, n), *over_q = copy(c, q, n);
    AS(hk_binary_fn, c->ref)(a, p, q, n);
    AS(hk_binary_fn, c->fn)(b, p, q, n);
    AS(hk_binary_fn, c->fn)(over_p, over_p, q, n);
    AS(hk_binary_fn, c->fn)(over_q, p, over_q, n);
    ck_same_floats(c, "y", a, b, n, NULL);
    ck_same_floats(c, "y over a", a, over_p, n, NULL);
    ck_same_floats(c, "y over b", a, over_q, n, NULL);
}

static void check_binary(struct ck *c)
{
    ck_each_length(c, case_binary);
}

static void bench_binary(struct ck *c)
{
    float *p = ck_floats(c, BENCH_N, CK_RANDOM), *q = ck_floats(c, BENCH_N, CK_RANDOM);
    float *y = output(c, BENCH_N);
    CK_BENCH(c, "n=4096", BENCH_N * 12.0, BENCH_N, AS(hk_binary_fn, c->fn)(y, p, q, BENCH_N));
}

const struct ck_type ck_hk_scale_fn = {check_scale, bench_scale};
const struct ck_type ck_hk_binary_fn = {check_binary, bench_binary};

/* ---- gemm: n columns, some rows, k by the length; sums start from 0 or from y ---- */

static void case_gemm(struct ck *c, size_t n, enum ck_data data)
{
    size_t cols = n % 33, k = n / 2 % 70, rows = n % 15, lda = k + n % 3, ldb = cols + n % 2;
    size_t ldy = cols + 1;
    float *a = ck_floats(c, rows * lda, data), *w = ck_floats(c, k * ldb, CK_RANDOM);
    float *y = ck_floats(c, rows * ldy, CK_RANDOM), *z = copy(c, y, rows * ldy);
    AS(hk_gemm_fn, c->ref)(y, ldy, a, lda, w, ldb, rows, cols, k, n & 1);
    AS(hk_gemm_fn, c->fn)(z, ldy, a, lda, w, ldb, rows, cols, k, n & 1);
    ck_same_floats(c, "y", y, z, rows * ldy, NULL);
}

static void check_gemm(struct ck *c)
{
    ck_each_length(c, case_gemm);
}

static void bench_gemm(struct ck *c)
{
    float *a = ck_floats(c, 96 * 384, CK_RANDOM), *w = ck_floats(c, 384 * 32, CK_RANDOM);
    float *y = output(c, 96 * 32);
    CK_BENCH(c, "96x32x384", 384 * 128 * 4.0, 96 * 384 * 64.0,
             AS(hk_gemm_fn, c->fn)(y, 32, a, 384, w, 32, 96, 32, 384, false));
}

const struct ck_type ck_hk_gemm_fn = {check_gemm, bench_gemm};

/* ---- int8: tiles of codes, and quantisation by range ---- */

static void case_gemm_i8(struct ck *c, size_t n, enum ck_data data)
{
    size_t k4 = n % 40, rows = n % 27, lda = 4 * k4 + n % 2;
    uint8_t *a = ck_buffer(c, rows * lda, 1);
    int8_t *tile = ck_buffer(c, k4 * 128, 1);
    for (size_t i = 0; i < rows * lda; i++)
        a[i] = data == CK_LARGEST ? 255 : (uint8_t)ck_rand(c);
    for (size_t i = 0; i < k4 * 128; i++)
        tile[i] = (int8_t)(data == CK_LARGEST ? -128 : (int)(ck_rand(c) & 255) - 128);
    int32_t *y = ck_buffer(c, rows * 33 * 4, 4), *z = ck_buffer(c, rows * 33 * 4, 4);
    AS(hk_gemm_i8_fn, c->ref)(y, 33, a, lda, tile, rows, k4);
    AS(hk_gemm_i8_fn, c->fn)(z, 33, a, lda, tile, rows, k4);
    ck_same_bytes(c, "y", y, z, rows * 33 * 4);
}

static void check_gemm_i8(struct ck *c)
{
    ck_each_length(c, case_gemm_i8);
}

static void bench_gemm_i8(struct ck *c)
{
    uint8_t *a = ck_buffer(c, 48 * 384, 64);
    int8_t *tile = ck_buffer(c, 96 * 128, 64);
    int32_t *y = ck_buffer(c, 48 * 32 * 4, 64);
    CK_BENCH(c, "48x32x384", 96 * 128.0, 48 * 384 * 64.0,
             AS(hk_gemm_i8_fn, c->fn)(y, 32, a, 384, tile, 48, 96));
}

const struct ck_type ck_hk_gemm_i8_fn = {check_gemm_i8, bench_gemm_i8};

static void case_finish(struct ck *c, size_t n, enum ck_data data)
{
    size_t cols = n % 33, rows = n % 7, ldy = cols + n % 2;
    for (int act = HK_ACT_NONE; act <= HK_ACT_TANH; act++) {
        float *y = ck_floats(c, rows * ldy, data), *z = copy(c, y, rows * ldy);
        float *bias = act & 1 ? NULL : ck_floats(c, cols, CK_RANDOM);
        AS(hk_finish_fn, c->ref)(y, ldy, bias, rows, cols, (enum hk_act)act);
        AS(hk_finish_fn, c->fn)(z, ldy, bias, rows, cols, (enum hk_act)act);
        ck_same_floats(c, "y", y, z, rows * ldy, NULL);
    }
}

static void check_finish(struct ck *c)
{
    ck_each_length(c, case_finish);
}

static void bench_finish(struct ck *c)
{
    float *y = ck_floats(c, 96 * 32, CK_RANDOM), *bias = ck_floats(c, 32, CK_ZEROS);
    CK_BENCH(c, "96x32 bias", 96 * 256.0, 96 * 32.0,
             AS(hk_finish_fn, c->fn)(y, 32, bias, 96, 32, HK_ACT_NONE));
}

const struct ck_type ck_hk_finish_fn = {check_finish, bench_finish};

static void case_finish_i8(struct ck *c, size_t n, enum ck_data data)
{
    size_t cols = n % 33, rows = n % 7, ldy = cols + n % 2;
    struct hk_i8_columns *t = ck_buffer(c, sizeof *t, 4);
    int32_t *v = ck_buffer(c, rows * 128, 4), *sums = ck_buffer(c, rows * 4, 4);
    ck_fill(c, t->scale, HK_I8_COLS, data);
    ck_fill(c, t->bias, HK_I8_COLS, CK_RANDOM);
    for (size_t j = 0; j < HK_I8_COLS; j++) {
        t->zero[j] = (int32_t)(ck_rand(c) & 255) - 128;
        t->fix[j] = (int32_t)(uint32_t)ck_rand(c) >> 8;
    }
    for (size_t i = 0; i < rows * 32; i++)
        v[i] = (int32_t)(uint32_t)ck_rand(c) >> (data == CK_LARGEST ? 0 : 8);
    for (size_t i = 0; i < rows; i++)
        sums[i] = (int32_t)(ck_rand(c) & 0xFFFFF);
    for (int act = HK_ACT_NONE; act <= HK_ACT_TANH; act++) {
        float *y = output(c, rows * ldy), *z = output(c, rows * ldy);
        AS(hk_finish_i8_fn, c->ref)(y, ldy, v, sums, t, rows, cols, (enum hk_act)act);
        AS(hk_finish_i8_fn, c->fn)(z, ldy, v, sums, t, rows, cols, (enum hk_act)act);
        ck_same_floats(c, "y", y, z, rows * ldy, NULL);
    }
}

static void check_finish_i8(struct ck *c)
{
    ck_each_length(c, case_finish_i8);
}

static void bench_finish_i8(struct ck *c)
{
    struct hk_i8_columns *t = ck_buffer(c, sizeof *t, 64);
    int32_t *v = ck_buffer(c, 48 * 128, 64), *sums = ck_buffer(c, 48 * 4, 64);
    float *y = output(c, 48 * 32);
    memset(t, 0, sizeof *t);
    CK_BENCH(c, "48x32", 48 * 256.0, 48 * 32.0,
             AS(hk_finish_i8_fn, c->fn)(y, 32, v, sums, t, 48, 32, HK_ACT_NONE));
    CK_BENCH(c, "48x32 gelu", 48 * 256.0, 48 * 32.0,
             AS(hk_finish_i8_fn, c->fn)(y, 32, v, sums, t, 48, 32, HK_ACT_GELU));
}

const struct ck_type ck_hk_finish_i8_fn = {check_finish_i8, bench_finish_i8};

static void case_range(struct ck *c, size_t n, enum ck_data data)
{
    float *x = ck_floats(c, n, data), *a = output(c, 2), *b = output(c, 2);
    AS(hk_range_fn, c->ref)(a, x, n);
    AS(hk_range_fn, c->fn)(b, x, n);
    ck_same_floats(c, "range", a, b, 2, NULL);
}

static void check_range(struct ck *c)
{
    ck_each_length(c, case_range);
}

static void bench_range(struct ck *c)
{
    float *x = ck_floats(c, BENCH_N, CK_RANDOM), range[2];
    CK_BENCH(c, "n=4096", BENCH_N * 4.0, BENCH_N, AS(hk_range_fn, c->fn)(range, x, BENCH_N));
}

const struct ck_type ck_hk_range_fn = {check_range, bench_range};

static void case_quantize_u8(struct ck *c, size_t n, enum ck_data data)
{
    static const float scales[] = {0.0071f, 1.0f, 0x1p-149f, 3e38f, 0.5f};
    float *x = ck_floats(c, n, data), scale = scales[ck_below(c, HB_COUNT(scales))];
    float zero = (float)ck_below(c, 256);
    for (size_t i = 0; i < n && scale == 0.5f && data == CK_RANDOM; i++) /* ties */
        x[i] = (float)(int)(x[i] * 700.0f) * 0.25f;
    uint8_t *a = ck_buffer(c, n, 1), *b = ck_buffer(c, n, 1);
    AS(hk_quantize_u8_fn, c->ref)(a, x, scale, zero, n);
    AS(hk_quantize_u8_fn, c->fn)(b, x, scale, zero, n);
    ck_same_bytes(c, "y", a, b, n);
}

static void check_quantize_u8(struct ck *c)
{
    for (int i = 0; i < 4; i++)
        ck_each_length(c, case_quantize_u8);
}

static void bench_quantize_u8(struct ck *c)
{
    float *x = ck_floats(c, BENCH_N, CK_RANDOM);
    uint8_t *y = ck_buffer(c, BENCH_N, 64);
    CK_BENCH(c, "n=4096", BENCH_N * 5.0, BENCH_N,
             AS(hk_quantize_u8_fn, c->fn)(y, x, 0.0071f, 128.0f, BENCH_N));
}

const struct ck_type ck_hk_quantize_u8_fn = {check_quantize_u8, bench_quantize_u8};

/* ---- rope, narrowing, largest magnitude ---- */

static void case_rope(struct ck *c, size_t n, enum ck_data data)
{
    n &= ~(size_t)1;
    float *x = ck_floats(c, n, data), *y = copy(c, x, n);
    float *cs = ck_floats(c, n, CK_RANDOM);
    AS(hk_rope_fn, c->ref)(x, cs, n);
    AS(hk_rope_fn, c->fn)(y, cs, n);
    ck_same_floats(c, "x", x, y, n, NULL);
}

static void check_rope(struct ck *c)
{
    ck_each_length(c, case_rope);
}

static void bench_rope(struct ck *c)
{
    float *x = ck_floats(c, 128, CK_RANDOM), *cs = ck_floats(c, 128, CK_RANDOM);
    for (size_t i = 0; i < 64; i++)
        cs[2 * i] = 0.6f, cs[2 * i + 1] = 0.8f;
    CK_BENCH(c, "n=128", 128 * 12.0, 128 * 3.0, AS(hk_rope_fn, c->fn)(x, cs, 128));
}

static void case_narrow(struct ck *c, size_t n, enum ck_data data)
{
    float *x = ck_floats(c, n, data);
    uint16_t *a = ck_buffer(c, n * 2, 2), *b = ck_buffer(c, n * 2, 2);
    AS(hk_narrow_fn, c->ref)(a, x, n);
    AS(hk_narrow_fn, c->fn)(b, x, n);
    ck_same_bytes(c, "y", a, b, n * 2);
}

/* All upper halves of a float, with lower halves around the ties. */
static void check_narrow(struct ck *c)
{
    static const uint32_t lower[] = {0,      1,      0x7FFF, 0x8000, 0x8001, 0xFFFF,
                                     0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x3001};
    ck_each_length(c, case_narrow);
    for (size_t k = 0; k < HB_COUNT(lower); k++) {
        ck_case(c, "all upper halves, lower 0x%04x", lower[k]);
        float *x = ck_buffer(c, 65536 * FLOAT_SIZE, FLOAT_SIZE);
        for (uint32_t i = 0; i < 65536; i++)
            x[i] = hk_from_bits(i << 16 | lower[k]);
        uint16_t *a = ck_buffer(c, 65536 * 2, 2), *b = ck_buffer(c, 65536 * 2, 2);
        AS(hk_narrow_fn, c->ref)(a, x, 65536);
        AS(hk_narrow_fn, c->fn)(b, x, 65536);
        ck_same_bytes(c, "y", a, b, 65536 * 2);
    }
}

static void bench_narrow(struct ck *c)
{
    float *x = ck_floats(c, BENCH_N, CK_RANDOM);
    uint16_t *y = ck_buffer(c, BENCH_N * 2, 2);
    CK_BENCH(c, "n=4096", BENCH_N * 6.0, BENCH_N, AS(hk_narrow_fn, c->fn)(y, x, BENCH_N));
}

static void case_max_abs(struct ck *c, size_t n, enum ck_data data)
{
    float *x = ck_floats(c, n, data);
    uint32_t a = AS(hk_max_abs_fn, c->ref)(x, n), b = AS(hk_max_abs_fn, c->fn)(x, n);
    ck_same_bytes(c, "result", &a, &b, sizeof a);
}

static void check_max_abs(struct ck *c)
{
    ck_each_length(c, case_max_abs);
}

static void bench_max_abs(struct ck *c)
{
    float *x = ck_floats(c, BENCH_N, CK_RANDOM);
    uint32_t volatile sink;
    CK_BENCH(c, "n=4096", BENCH_N * 4.0, BENCH_N, sink = AS(hk_max_abs_fn, c->fn)(x, BENCH_N));
    (void)sink;
}

const struct ck_type ck_hk_rope_fn = {check_rope, bench_rope};
const struct ck_type ck_hk_narrow_fn = {check_narrow, bench_narrow};
const struct ck_type ck_hk_max_abs_fn = {check_max_abs, bench_max_abs};
