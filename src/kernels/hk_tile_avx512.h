/* One stretch of a tile of 16 rows times up to 16 columns, lanes are rows.
 *
 * Columns are taken four at a time so that four chains of vpdpbusd run beside one another, with the
 * weights of a (sub-)block in registers and each activation dword a broadcast operand. Offsets cost
 * nothing: the integer accumulator starts from -offset * sum instead of 0. */
#ifndef HK_TILE_AVX512_H
#define HK_TILE_AVX512_H

#include "kernels/quant/hk_avx512.h"

/* Where a stretch of the columns is. */
struct hk512_cols {
    const uint8_t *q;     /* first column, first k of the stretch */
    const uint8_t *sums;  /* int16[16] of the stretch, first column */
    const uint8_t *scale; /* its floats (8 for B32, one for K), first column */
    size_t stride;
};

/* From element 256 s; `per` elements share a scale. */
HB_INLINE struct hk512_cols hk512_cols_at(const void *x, size_t stride, size_t n, size_t s, size_t per)
{
    const uint8_t *row = x;
    return (struct hk512_cols){row + s * HK_STRETCH, row + hk_act_sum_off(n, per) + s * 32,
                               row + hk_act_scale_off(n) + s * HK_STRETCH / per * sizeof(float),
                               stride};
}

/* Scale i of the stretch. */
HB_INLINE __m512 hk512_scale_of(const struct hk512_cols *x, size_t c, size_t i)
{
    float scale;
    memcpy(&scale, x->scale + c * x->stride + i * sizeof scale, sizeof scale);
    return _mm512_set1_ps(scale);
}

HB_INLINE __m256i hk512_sums_of(const struct hk512_cols *x, size_t c)
{
    return _mm256_loadu_si256((const __m256i *)(x->sums + c * x->stride));
}

/* dot[c] += groups of four k: w[i] times dword i of columns c..c+width. */
HB_INLINE void hk512_dots(__m512i *dot, const __m512i *w, const int n_groups, const uint8_t *q,
                          size_t stride, const int width)
{
    size_t stride3 = 3 * stride;
    HK_UNROLL(8)
    for (int i = 0; i < n_groups; i++) {
        const uint8_t *p = q + 4 * i;
        dot[0] = _mm512_dpbusd_epi32(dot[0], w[i], _mm512_set1_epi32((int)hk_load32(p)));
        if (width > 1)
            dot[1] =
                _mm512_dpbusd_epi32(dot[1], w[i], _mm512_set1_epi32((int)hk_load32(p + stride)));
        if (width > 2)
            dot[2] = _mm512_dpbusd_epi32(dot[2], w[i],
                                         _mm512_set1_epi32((int)hk_load32(p + 2 * stride)));
        if (width > 3)
            dot[3] =
                _mm512_dpbusd_epi32(dot[3], w[i], _mm512_set1_epi32((int)hk_load32(p + stride3)));
    }
}

/* acc[c] of `groups` times `width` columns. Parts of the tile are those of the stretch. */
HB_INLINE void hk512_b32_cols(__m512 *acc, const uint8_t *u, const float *d, const float *m,
                              size_t n_blocks, struct hk512_cols x, int offset, const bool has_min,
                              const int groups, const int width)
{
    const int n_cols = groups * width;
    HB_ALIGNAS(64) union {
        int32_t start[16][8]; /* -offset * sum */
        float sum[16][8];
    } fix;
    __m256i factor = _mm256_set1_epi16((short)(has_min ? 1 : -offset));
    for (int c = 0; c < n_cols; c++) {
        __m256i v = _mm256_madd_epi16(hk512_sums_of(&x, (size_t)c), factor);
        if (has_min)
            _mm256_store_ps(fix.sum[c], _mm256_cvtepi32_ps(v));
        else
            _mm256_store_si256((__m256i *)fix.start[c], v);
    }
    __m512 p[16];
    HK_UNROLL(16)
    for (int c = 0; c < n_cols; c++)
        p[c] = acc[c];
    const uint8_t *q = x.q;
    for (size_t b = 0; b < n_blocks; b++, q += 32, u += 512) {
        __m512i w[8];
        HK_UNROLL(8)
        for (int i = 0; i < 8; i++)
            w[i] = _mm512_load_si512(u + 64 * i);
        __m512 db = _mm512_load_ps(d + 16 * b), mb = has_min ? _mm512_load_ps(m + 16 * b) : db;
        HK_UNROLL(4)
        for (int g = 0; g < groups; g++) {
            __m512i dot[4];
            HK_UNROLL(4)
            for (int i = 0; i < width; i++)
                dot[i] = has_min ? _mm512_setzero_si512()
                                 : _mm512_set1_epi32(fix.start[g * width + i][b]);
            hk512_dots(dot, w, 8, q + (size_t)(g * width) * x.stride, x.stride, width);
            HK_UNROLL(4)
            for (int i = 0; i < width; i++) {
                int c = g * width + i;
                __m512 a = hk512_scale_of(&x, (size_t)c, b);
                p[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i]), _mm512_mul_ps(db, a), p[c]);
                if (has_min)
                    p[c] = _mm512_fmadd_ps(_mm512_set1_ps(fix.sum[c][b]), _mm512_mul_ps(mb, a), p[c]);
            }
        }
    }
    HK_UNROLL(16)
    for (int c = 0; c < n_cols; c++)
        acc[c] = p[c];
}

/* The same for a superblock with sub-blocks of `sub`. */
HB_INLINE void hk512_k_cols(__m512 *acc, const uint8_t *u, const int8_t *sc, const int8_t *mn,
                            const float *d, const float *dmin, struct hk512_cols x, int offset,
                            const bool has_min, const int sub, const int groups, const int width)
{
    const int n_cols = groups * width, n_sub = 256 / sub;
    HB_ALIGNAS(64) union {
        int32_t start[16][16]; /* -offset * sum */
        int16_t sum[16][16];
    } fix;
    for (int c = 0; c < n_cols; c++) {
        __m256i v = hk512_sums_of(&x, (size_t)c);
        __m256i v32 = _mm256_madd_epi16(v, _mm256_set1_epi16(1));
        if (has_min && sub == 32)
            _mm_store_si128((__m128i *)fix.sum[c], _mm256_cvtepi32_epi16(v32));
        else if (has_min)
            _mm256_store_si256((__m256i *)fix.sum[c], v);
        else if (sub == 32)
            _mm256_store_si256((__m256i *)fix.start[c],
                               _mm256_mullo_epi32(v32, _mm256_set1_epi32(-offset)));
        else
            _mm512_store_si512(fix.start[c], _mm512_mullo_epi32(_mm512_cvtepi16_epi32(v),
                                                                _mm512_set1_epi32(-offset)));
    }
    __m512i isum[16];
    HK_UNROLL(16)
    for (int c = 0; c < n_cols; c++)
        isum[c] = _mm512_setzero_si512();
    const uint8_t *q = x.q;
    for (int j = 0; j < n_sub; j++, q += sub, u += 16 * sub) {
        __m512i w[8];
        HK_UNROLL(8)
        for (int i = 0; i < sub / 4; i++)
            w[i] = _mm512_load_si512(u + 64 * i);
        __m512i scj = _mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)(sc + 16 * j)));
        HK_UNROLL(4)
        for (int g = 0; g < groups; g++) {
            __m512i dot[4];
            HK_UNROLL(4)
            for (int i = 0; i < width; i++)
                dot[i] = has_min ? _mm512_setzero_si512()
                                 : _mm512_set1_epi32(fix.start[g * width + i][j]);
            hk512_dots(dot, w, sub / 4, q + (size_t)(g * width) * x.stride, x.stride, width);
            HK_UNROLL(4)
            for (int i = 0; i < width; i++) {
                int c = g * width + i;
                isum[c] = _mm512_add_epi32(isum[c], _mm512_mullo_epi32(dot[i], scj));
            }
        }
    }
    __m512i mins[8]; /* int16 pairs of neighbouring sub-blocks */
    if (has_min) {
        HK_UNROLL(8)
        for (int j = 0; j < n_sub / 2; j++) {
            __m128i a = _mm_load_si128((const __m128i *)(mn + 32 * j));
            __m128i b = _mm_load_si128((const __m128i *)(mn + 32 * j + 16));
            mins[j] = _mm512_cvtepi8_epi16(
                _mm256_set_m128i(_mm_unpackhi_epi8(a, b), _mm_unpacklo_epi8(a, b)));
        }
    }
    __m512 ds = _mm512_load_ps(d), dmins = has_min ? _mm512_load_ps(dmin) : ds;
    HK_UNROLL(16)
    for (int c = 0; c < n_cols; c++) {
        __m512 t = _mm512_mul_ps(ds, _mm512_cvtepi32_ps(isum[c]));
        if (has_min) {
            __m512i imin = _mm512_setzero_si512();
            HK_UNROLL(8)
            for (int j = 0; j < n_sub / 2; j++)
                imin = _mm512_dpwssd_epi32(imin, mins[j],
                                           _mm512_set1_epi32((int)hk_load32(&fix.sum[c][2 * j])));
            t = _mm512_fnmadd_ps(dmins, _mm512_cvtepi32_ps(imin), t);
        }
        acc[c] = _mm512_fmadd_ps(t, hk512_scale_of(&x, (size_t)c, 0), acc[c]);
    }
}

/* Any number of columns up to 16: whole fours together, then the rest. CALL(groups, width, first). */
#define HK512_SPLIT_COLS(n_cols, CALL)                                                             \
    do {                                                                                           \
        size_t first_ = 0;                                                                         \
        switch ((n_cols) / 4) {                                                                    \
        case 4:                                                                                    \
            CALL(4, 4, 0);                                                                         \
            break;                                                                                 \
        case 3:                                                                                    \
            CALL(3, 4, 0);                                                                         \
            break;                                                                                 \
        case 2:                                                                                    \
            CALL(2, 4, 0);                                                                         \
            break;                                                                                 \
        case 1:                                                                                    \
            CALL(1, 4, 0);                                                                         \
            break;                                                                                 \
        default:                                                                                   \
            break;                                                                                 \
        }                                                                                          \
        first_ = (n_cols) / 4 * 4;                                                                 \
        switch ((n_cols) % 4) {                                                                    \
        case 3:                                                                                    \
            CALL(1, 3, first_);                                                                    \
            break;                                                                                 \
        case 2:                                                                                    \
            CALL(1, 2, first_);                                                                    \
            break;                                                                                 \
        case 1:                                                                                    \
            CALL(1, 1, first_);                                                                    \
            break;                                                                                 \
        default:                                                                                   \
            break;                                                                                 \
        }                                                                                          \
    } while (0)

HB_INLINE void hk512_store_cols(float *y, size_t ldy, size_t n_rows, const __m512 *acc,
                                size_t n_cols)
{
    __mmask16 rows = (__mmask16)((1u << n_rows) - 1);
    for (size_t c = 0; c < n_cols; c++)
        _mm512_mask_storeu_ps(y + c * ldy, rows, acc[c]);
}

/* Stretches of whole columns, for bodies that walk stretches themselves (few) and for the tiles. */
void hk_tile_b32_stretch__avx512(__m512 *acc, const uint8_t *u, const float *d, const float *m,
                                 size_t n_blocks, struct hk512_cols x, size_t n_cols, int offset,
                                 bool has_min);
void hk_tile_k32_stretch__avx512(__m512 *acc, const uint8_t *u, const int8_t *sc, const int8_t *mn,
                                 const float *d, const float *dmin, struct hk512_cols x,
                                 size_t n_cols, int offset, bool has_min);
void hk_tile_k16_stretch__avx512(__m512 *acc, const uint8_t *u, const int8_t *sc, const int8_t *mn,
                                 const float *d, const float *dmin, struct hk512_cols x,
                                 size_t n_cols, int offset, bool has_min);

#endif
