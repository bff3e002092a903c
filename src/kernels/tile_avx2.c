/* Tiles times columns with AVX2: four columns at a time, 16 rows in two registers.
 *
 * Products are added as int16 as long as they fit (codes stay below 32 in B32 and K32, below 64 in
 * K16, unless they are wide: hk_avx2.h), then widened. Sums per column live in memory, which is next
 * to the caches' ports no cost: they are touched once per (sub-)block. With HK_VNNI these are the bodies
 * of avx2_vnni, whose products are one instruction and never saturate. */
#include "kernels/quant/hk_avx2.h"

#define TILE_BODY(family) HK_PASTE(hk_tile_##family##__, HK_AVX2_LEVEL)

/* Where a stretch of the columns is. */
struct tile_avx2_cols {
    const uint8_t *q;     /* first column, first k of the stretch */
    const uint8_t *sums;  /* int16[16] of the stretch, first column */
    const uint8_t *scale; /* its floats (8 for B32, one for K), first column */
    size_t stride;
};

/* From element 256 s; `per` elements share a scale. */
HB_INLINE struct tile_avx2_cols tile_avx2_cols_at(const void *x, size_t stride, size_t n, size_t s,
                                                  size_t per)
{
    const uint8_t *row = x;
    return (struct tile_avx2_cols){row + s * HK_STRETCH, row + hk_act_sum_off(n, per) + s * 32,
                                   row + hk_act_scale_off(n) + s * HK_STRETCH / per * sizeof(float),
                                   stride};
}

HB_INLINE void tile_avx2_store_cols(float *y, size_t ldy, size_t n_rows, float (*acc)[16],
                                    size_t n_cols)
{
    for (size_t c = 0; c < n_cols; c++)
        memcpy(y + c * ldy, acc[c], n_rows * sizeof(float));
}

/* dot[c][2] = start[c] + the products of n_groups groups of four k; `flush` groups fit int16. */
HB_INLINE void tile_avx2_dots(__m256i (*dot)[2], const uint8_t *u, const int n_groups,
                              const uint8_t *q, size_t stride, const int flush, const bool wide,
                              const int n_cols)
{
#ifdef HK_VNNI
    (void)flush, (void)wide;
#pragma GCC unroll 8
    for (int i = 0; i < n_groups; i++) {
        __m256i w0 = _mm256_load_si256((const __m256i *)(u + 64 * i));
        __m256i w1 = _mm256_load_si256((const __m256i *)(u + 64 * i + 32));
#pragma GCC unroll 4
        for (int c = 0; c < n_cols; c++) {
            __m256i v = _mm256_set1_epi32((int)hk_load32(q + (size_t)c * stride + 4 * (size_t)i));
            dot[c][0] = hk256_dot(dot[c][0], w0, v);
            dot[c][1] = hk256_dot(dot[c][1], w1, v);
        }
    }
#else
    const __m256i one = _mm256_set1_epi16(1);
    for (int i = 0; i < n_groups; i += flush) {
        __m256i s[4][2];
#pragma GCC unroll 4
        for (int f = 0; f < flush; f++) {
            __m256i w0 = _mm256_load_si256((const __m256i *)(u + 64 * (i + f)));
            __m256i w1 = _mm256_load_si256((const __m256i *)(u + 64 * (i + f) + 32));
#pragma GCC unroll 4
            for (int c = 0; c < n_cols; c++) {
                __m256i v =
                    _mm256_set1_epi32((int)hk_load32(q + (size_t)c * stride + 4 * (size_t)(i + f)));
                __m256i a = hk256_mul(w0, v, wide), b = hk256_mul(w1, v, wide);
                s[c][0] = f ? _mm256_add_epi16(s[c][0], a) : a;
                s[c][1] = f ? _mm256_add_epi16(s[c][1], b) : b;
            }
        }
#pragma GCC unroll 4
        for (int c = 0; c < n_cols; c++) {
            dot[c][0] = _mm256_add_epi32(dot[c][0], _mm256_madd_epi16(s[c][0], one));
            dot[c][1] = _mm256_add_epi32(dot[c][1], _mm256_madd_epi16(s[c][1], one));
        }
    }
#endif
}

#ifdef HK_VNNI
#define TILE_WIDE(offset) false /* any byte is multiplied as it is */
#else
#define TILE_WIDE(offset) ((offset) == 128)
#endif

HB_INLINE __m256i tile_avx2_sums(const struct tile_avx2_cols *x, int c)
{
    return hk256_load(x->sums + (size_t)c * x->stride);
}

/* Scale i of the stretch. */
HB_INLINE __m256 tile_avx2_scale(const struct tile_avx2_cols *x, int c, size_t i)
{
    float scale;
    memcpy(&scale, x->scale + (size_t)c * x->stride + i * sizeof scale, sizeof scale);
    return _mm256_set1_ps(scale);
}

HB_INLINE void tile_avx2_finish(float *acc, const __m256 p[2], const struct tile_avx2_cols *x,
                                int c)
{
    __m256 a = tile_avx2_scale(x, c, 0);
    _mm256_storeu_ps(acc, _mm256_fmadd_ps(p[0], a, _mm256_loadu_ps(acc)));
    _mm256_storeu_ps(acc + 8, _mm256_fmadd_ps(p[1], a, _mm256_loadu_ps(acc + 8)));
}

HB_INLINE void tile_avx2_b32(float (*acc)[16], const uint8_t *u, const float *d, const float *m,
                             size_t n_blocks, struct tile_avx2_cols x, int offset,
                             const bool has_min, const bool wide, const int n_cols)
{
    HB_ALIGNAS(32) union {
        int32_t start[4][8]; /* -offset * sum */
        float sum[4][8];
    } fix;
    __m256 p[4][2];
    __m256i factor = _mm256_set1_epi16((short)(has_min ? 1 : wide ? 0 : -offset));
    for (int c = 0; c < n_cols; c++) {
        __m256i v = _mm256_madd_epi16(tile_avx2_sums(&x, c), factor);
        if (has_min)
            _mm256_store_ps(fix.sum[c], _mm256_cvtepi32_ps(v));
        else
            _mm256_store_si256((__m256i *)fix.start[c], v);
        p[c][0] = _mm256_loadu_ps(acc[c]);
        p[c][1] = _mm256_loadu_ps(acc[c] + 8);
    }
    for (size_t b = 0; b < n_blocks; b++) {
        __m256i dot[4][2];
        for (int c = 0; c < n_cols; c++)
            dot[c][0] = dot[c][1] =
                has_min ? _mm256_setzero_si256() : _mm256_set1_epi32(fix.start[c][b]);
        tile_avx2_dots(dot, u + 512 * b, 8, x.q + 32 * b, x.stride, wide ? 1 : 4, wide, n_cols);
        for (int c = 0; c < n_cols; c++) {
            __m256 a = tile_avx2_scale(&x, c, b);
            for (int h = 0; h < 2; h++) {
                __m256 da = _mm256_mul_ps(_mm256_load_ps(d + 16 * b + 8 * (size_t)h), a);
                p[c][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[c][h]), da, p[c][h]);
                if (has_min) {
                    __m256 ma = _mm256_mul_ps(_mm256_load_ps(m + 16 * b + 8 * (size_t)h), a);
                    p[c][h] = _mm256_fmadd_ps(_mm256_set1_ps(fix.sum[c][b]), ma, p[c][h]);
                }
            }
        }
    }
    for (int c = 0; c < n_cols; c++) {
        _mm256_storeu_ps(acc[c], p[c][0]);
        _mm256_storeu_ps(acc[c] + 8, p[c][1]);
    }
}

HB_INLINE void tile_avx2_k(float (*acc)[16], const uint8_t *u, const int8_t *sc, const int8_t *mn,
                           const float *d, const float *dmin, struct tile_avx2_cols x, int offset,
                           const bool has_min, const bool wide, const int sub, const int n_cols)
{
    const size_t n_sub = 256 / (size_t)sub;
    HB_ALIGNAS(32) int32_t sums[4][16]; /* of a sub-block; times -offset if there is no min */
    __m256i isum[4][2], imin[4][2];
    __m256i factor = _mm256_set1_epi32(has_min ? 1 : wide ? 0 : -offset);
    for (int c = 0; c < n_cols; c++) {
        __m256i v = tile_avx2_sums(&x, c);
        __m256i a = sub == 32 ? _mm256_madd_epi16(v, _mm256_set1_epi16(1))
                              : _mm256_cvtepi16_epi32(_mm256_castsi256_si128(v));
        _mm256_store_si256((__m256i *)sums[c], _mm256_mullo_epi32(a, factor));
        if (sub == 16)
            _mm256_store_si256(
                (__m256i *)(sums[c] + 8),
                _mm256_mullo_epi32(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(v, 1)), factor));
        isum[c][0] = isum[c][1] = imin[c][0] = imin[c][1] = _mm256_setzero_si256();
    }
    for (size_t j = 0; j < n_sub; j++) {
        __m256i dot[4][2];
        for (int c = 0; c < n_cols; c++)
            dot[c][0] = dot[c][1] =
                has_min ? _mm256_setzero_si256() : _mm256_set1_epi32(sums[c][j]);
        tile_avx2_dots(dot, u + 16 * (size_t)sub * j, sub / 4, x.q + (size_t)sub * j, x.stride,
                       wide        ? 1
                       : sub == 32 ? 4
                                   : 2,
                       wide, n_cols);
        for (size_t h = 0; h < 2; h++) {
            __m256i scale =
                _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(sc + 16 * j + 8 * h)));
            for (int c = 0; c < n_cols; c++)
                isum[c][h] = _mm256_add_epi32(isum[c][h], _mm256_mullo_epi32(dot[c][h], scale));
            if (!has_min)
                continue;
            __m256i min =
                _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(mn + 16 * j + 8 * h)));
            for (int c = 0; c < n_cols; c++)
                imin[c][h] = _mm256_add_epi32(
                    imin[c][h], _mm256_mullo_epi32(min, _mm256_set1_epi32(sums[c][j])));
        }
    }
    for (int c = 0; c < n_cols; c++) {
        __m256 t[2];
        for (int h = 0; h < 2; h++) {
            t[h] = _mm256_mul_ps(_mm256_load_ps(d + 8 * h), _mm256_cvtepi32_ps(isum[c][h]));
            if (has_min)
                t[h] = _mm256_fnmadd_ps(_mm256_load_ps(dmin + 8 * h),
                                        _mm256_cvtepi32_ps(imin[c][h]), t[h]);
        }
        tile_avx2_finish(acc[c], t, &x, c);
    }
}

/* Columns by fours, then the rest one number at a time. CALL(width). */
#define TILE_AVX2_COLUMNS(CALL)                                                                    \
    for (size_t c = 0; c < n_cols;) {                                                              \
        size_t width = n_cols - c < 4 ? n_cols - c : 4;                                            \
        switch (width) {                                                                           \
        case 4:                                                                                    \
            CALL(4);                                                                               \
            break;                                                                                 \
        case 3:                                                                                    \
            CALL(3);                                                                               \
            break;                                                                                 \
        case 2:                                                                                    \
            CALL(2);                                                                               \
            break;                                                                                 \
        default:                                                                                   \
            CALL(1);                                                                               \
            break;                                                                                 \
        }                                                                                          \
        c += width, acc += width;                                                                  \
        x.q += width * x.stride, x.sums += width * x.stride, x.scale += width * x.stride;          \
    }

static void tile_avx2_b32_stretch(float (*acc)[16], const uint8_t *u, const float *d,
                                  const float *m, size_t n_blocks, struct tile_avx2_cols x,
                                  size_t n_cols, int offset, bool has_min)
{
#define CALL_MIN(w)    tile_avx2_b32(acc, u, d, m, n_blocks, x, 0, true, false, w)
#define CALL_WIDE(w)   tile_avx2_b32(acc, u, d, m, n_blocks, x, offset, false, true, w)
#define CALL_OFFSET(w) tile_avx2_b32(acc, u, d, m, n_blocks, x, offset, false, false, w)
    if (has_min)
        TILE_AVX2_COLUMNS(CALL_MIN)
    else if (TILE_WIDE(offset))
        TILE_AVX2_COLUMNS(CALL_WIDE)
    else
        TILE_AVX2_COLUMNS(CALL_OFFSET)
#undef CALL_MIN
#undef CALL_WIDE
#undef CALL_OFFSET
}

#define CALL_K(sub, min, wide, w) tile_avx2_k(acc, u, sc, mn, d, dmin, x, offset, min, wide, sub, w)
#define CALL_MIN_32(w)            CALL_K(32, true, false, w)
#define CALL_WIDE_32(w)           CALL_K(32, false, true, w)
#define CALL_OFFSET_32(w)         CALL_K(32, false, false, w)
#define CALL_MIN_16(w)            CALL_K(16, true, false, w)
#define CALL_WIDE_16(w)           CALL_K(16, false, true, w)
#define CALL_OFFSET_16(w)         CALL_K(16, false, false, w)
#define TILE_K(name, sub)                                                                          \
    static void name(                                                                              \
        float(*acc)[16], const uint8_t *u, const int8_t *sc, const int8_t *mn, const float *d,     \
        const float *dmin, struct tile_avx2_cols x, size_t n_cols, int offset, bool has_min)       \
    {                                                                                              \
        if (has_min)                                                                               \
            TILE_AVX2_COLUMNS(CALL_MIN_##sub)                                                      \
        else if (TILE_WIDE(offset))                                                                    \
            TILE_AVX2_COLUMNS(CALL_WIDE_##sub)                                                     \
        else                                                                                       \
            TILE_AVX2_COLUMNS(CALL_OFFSET_##sub)                                                   \
    }

TILE_K(tile_avx2_k32_stretch, 32)
TILE_K(tile_avx2_k16_stretch, 16)

static void tile_avx2_one_b32(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,
                       const void *restrict x, size_t x_stride, size_t n_cols, size_t n,
                       const struct hk_qtype_info *info)
{
    struct hk_tile_layout at = hk_tile_layout(info, n);
    const uint8_t *u = tile;
    const float *d = (const float *)(u + at.scales), *m = (const float *)(u + at.mins);
    for (size_t c = 0; c < n_cols; c += 4) {
        size_t width = n_cols - c < 4 ? n_cols - c : 4;
        const uint8_t *xc = (const uint8_t *)x + c * x_stride;
        float acc[4][16] = {{0}};
        for (size_t b = 0; b < n / 32; b += 8)
            tile_avx2_b32_stretch(acc, u + b * 512, d + b * 16, m + b * 16,
                                  n / 32 - b < 8 ? n / 32 - b : 8,
                                  tile_avx2_cols_at(xc, x_stride, n, b / 8, HK_STRETCH_B32), width,
                                  info->offset, info->has_min);
        tile_avx2_store_cols(y + c * ldy, ldy, n_rows, acc, width);
    }
}

HK_TILE_EACH(TILE_BODY(b32), tile_avx2_one_b32)

typedef void tile_avx2_k_fn(float (*acc)[16], const uint8_t *u, const int8_t *sc, const int8_t *mn,
                            const float *d, const float *dmin, struct tile_avx2_cols x,
                            size_t n_cols, int offset, bool has_min);

static void tile_avx2_superblocks(float *restrict y, size_t ldy, size_t n_rows,
                                  const uint8_t *restrict tile, const uint8_t *restrict x,
                                  size_t x_stride, size_t n_cols, size_t n,
                                  const struct hk_qtype_info *info, size_t n_sub,
                                  tile_avx2_k_fn *stretch)
{
    struct hk_tile_layout at = hk_tile_layout(info, n);
    const int8_t *sc = (const int8_t *)(tile + at.scales), *mn = (const int8_t *)(tile + at.mins);
    const float *d = (const float *)(tile + at.d), *dmin = (const float *)(tile + at.dmin);
    for (size_t c = 0; c < n_cols; c += 4) {
        size_t width = n_cols - c < 4 ? n_cols - c : 4;
        float acc[4][16] = {{0}};
        for (size_t b = 0; b < n / 256; b++)
            stretch(acc, tile + b * 4096, sc + b * n_sub * 16, mn + b * n_sub * 16, d + b * 16,
                    dmin + b * 16, tile_avx2_cols_at(x + c * x_stride, x_stride, n, b, HK_STRETCH),
                    width, info->offset, info->has_min);
        tile_avx2_store_cols(y + c * ldy, ldy, n_rows, acc, width);
    }
}

static void tile_avx2_one_k32(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,
                       const void *restrict x, size_t x_stride, size_t n_cols, size_t n,
                       const struct hk_qtype_info *info)
{
    tile_avx2_superblocks(y, ldy, n_rows, tile, x, x_stride, n_cols, n, info, 8,
                          tile_avx2_k32_stretch);
}

HK_TILE_EACH(TILE_BODY(k32), tile_avx2_one_k32)

static void tile_avx2_one_k16(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,
                       const void *restrict x, size_t x_stride, size_t n_cols, size_t n,
                       const struct hk_qtype_info *info)
{
    tile_avx2_superblocks(y, ldy, n_rows, tile, x, x_stride, n_cols, n, info, 16,
                          tile_avx2_k16_stretch);
}

HK_TILE_EACH(TILE_BODY(k16), tile_avx2_one_k16)
