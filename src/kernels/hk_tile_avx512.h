/* One stretch of two tiles of 16 rows times up to four columns, lanes are rows.
 *
 * Two tiles and four columns are eight chains of vpdpbusd beside one another, which is what its latency
 * needs, and every activation dword is broadcast once for both tiles: with one tile each product needs
 * a load of its own, and the loads are the limit. Offsets cost nothing: the integer accumulator starts
 * from -offset * sum instead of 0. Sums of a panel of columns lie in memory between the stretches.
 *
 * All parts of the second tile stand `next` bytes behind those of the first; next is 0 where there is
 * one tile, which is then multiplied twice. */
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

#define HK512_TILES 2
#define HK512_WIDTH 4  /* columns at once */
#define HK512_PANEL 32 /* columns whose sums are kept between stretches */

typedef float hk512_sums16[HK512_TILES][16]; /* of one column */

HB_INLINE const void *hk512_part(const void *p, size_t next, int t)
{
    return (const uint8_t *)p + (t ? next : 0);
}

#define HK512_EACH_TILE HK_UNROLL(2) for (int t = 0; t < HK512_TILES; t++)
#define HK512_EACH_COL  HK_UNROLL(4) for (int c = 0; c < width; c++)

/* dot[t][c] += the products of n_groups groups of four k. */
HB_INLINE void hk512_dots(__m512i (*dot)[HK512_WIDTH], const uint8_t *u, size_t next,
                          const int n_groups, const uint8_t *q, size_t stride, const int width)
{
    HK_UNROLL(8)
    for (int i = 0; i < n_groups; i++) {
        __m512i w[HK512_TILES];
        HK512_EACH_TILE w[t] = _mm512_load_si512(hk512_part(u + 64 * i, next, t));
        HK512_EACH_COL
        {
            __m512i x = _mm512_set1_epi32((int)hk_load32(q + (size_t)c * stride + 4 * i));
            __asm__("" : "+v"(x)); /* one broadcast for both tiles */
            HK512_EACH_TILE dot[t][c] = _mm512_dpbusd_epi32(dot[t][c], w[t], x);
        }
    }
}

/* acc[c] of `width` columns. Parts of the tiles are those of the stretch. */
HB_INLINE void hk512_b32_cols(hk512_sums16 *acc, const uint8_t *u, const float *d, const float *m,
                              size_t next, size_t n_blocks, struct hk512_cols x, int offset,
                              const bool has_min, const int width)
{
    HB_ALIGNAS(64) union {
        int32_t start[HK512_WIDTH][8]; /* -offset * sum */
        float sum[HK512_WIDTH][8];
    } fix;
    __m256i factor = _mm256_set1_epi16((short)(has_min ? 1 : -offset));
    __m512 p[HK512_TILES][HK512_WIDTH];
    HK512_EACH_COL
    {
        __m256i v = _mm256_madd_epi16(hk512_sums_of(&x, (size_t)c), factor);
        if (has_min)
            _mm256_store_ps(fix.sum[c], _mm256_cvtepi32_ps(v));
        else
            _mm256_store_si256((__m256i *)fix.start[c], v);
        HK512_EACH_TILE p[t][c] = _mm512_load_ps(acc[c][t]);
    }
    const uint8_t *q = x.q;
    for (size_t b = 0; b < n_blocks; b++, q += 32, u += 512) {
        __m512i dot[HK512_TILES][HK512_WIDTH];
        HK512_EACH_COL HK512_EACH_TILE dot[t][c] =
            has_min ? _mm512_setzero_si512() : _mm512_set1_epi32(fix.start[c][b]);
        hk512_dots(dot, u, next, 8, q, x.stride, width);
        HK512_EACH_TILE
        {
            __m512 db = _mm512_load_ps(hk512_part(d + 16 * b, next, t));
            __m512 mb = has_min ? _mm512_load_ps(hk512_part(m + 16 * b, next, t)) : db;
            HK512_EACH_COL
            {
                __m512 a = hk512_scale_of(&x, (size_t)c, b);
                p[t][c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[t][c]), _mm512_mul_ps(db, a),
                                          p[t][c]);
                if (has_min)
                    p[t][c] = _mm512_fmadd_ps(_mm512_set1_ps(fix.sum[c][b]), _mm512_mul_ps(mb, a),
                                              p[t][c]);
            }
        }
    }
    HK512_EACH_COL HK512_EACH_TILE _mm512_store_ps(acc[c][t], p[t][c]);
}

/* The mins of 16 rows as int16 pairs of neighbouring sub-blocks. */
HB_INLINE void hk512_min_pairs(__m512i mins[8], const int8_t *mn, const int n_sub)
{
    HK_UNROLL(8)
    for (int j = 0; j < n_sub / 2; j++) {
        __m128i a = _mm_load_si128((const __m128i *)(mn + 32 * j));
        __m128i b = _mm_load_si128((const __m128i *)(mn + 32 * j + 16));
        mins[j] = _mm512_cvtepi8_epi16(
            _mm256_set_m128i(_mm_unpackhi_epi8(a, b), _mm_unpacklo_epi8(a, b)));
    }
}

/* The same for a superblock with sub-blocks of `sub`. */
HB_INLINE void hk512_k_cols(hk512_sums16 *acc, const uint8_t *u, const int8_t *sc,
                            const int8_t *mn, const float *d, const float *dmin, size_t next,
                            struct hk512_cols x, int offset, const bool has_min, const int sub,
                            const int width)
{
    const int n_sub = 256 / sub;
    HB_ALIGNAS(64) union {
        int32_t start[HK512_WIDTH][16]; /* -offset * sum of a sub-block */
        int16_t sum[HK512_WIDTH][16];
    } fix;
    HK512_EACH_COL
    {
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
    __m512i isum[HK512_TILES][HK512_WIDTH];
    HK512_EACH_COL HK512_EACH_TILE isum[t][c] = _mm512_setzero_si512();
    const uint8_t *q = x.q;
    for (int j = 0; j < n_sub; j++, q += sub, u += 16 * sub) {
        __m512i dot[HK512_TILES][HK512_WIDTH];
        HK512_EACH_COL HK512_EACH_TILE dot[t][c] =
            has_min ? _mm512_setzero_si512() : _mm512_set1_epi32(fix.start[c][j]);
        hk512_dots(dot, u, next, sub / 4, q, x.stride, width);
        HK512_EACH_TILE
        {
            __m512i scj = _mm512_cvtepi8_epi32(_mm_load_si128(hk512_part(sc + 16 * j, next, t)));
            HK512_EACH_COL isum[t][c] =
                _mm512_add_epi32(isum[t][c], _mm512_mullo_epi32(dot[t][c], scj));
        }
    }
    HK512_EACH_TILE
    {
        __m512i mins[8];
        if (has_min)
            hk512_min_pairs(mins, hk512_part(mn, next, t), n_sub);
        __m512 ds = _mm512_load_ps(hk512_part(d, next, t));
        __m512 dmins = has_min ? _mm512_load_ps(hk512_part(dmin, next, t)) : ds;
        HK512_EACH_COL
        {
            __m512 v = _mm512_mul_ps(ds, _mm512_cvtepi32_ps(isum[t][c]));
            if (has_min) {
                __m512i imin = _mm512_setzero_si512();
                HK_UNROLL(8)
                for (int j = 0; j < n_sub / 2; j++)
                    imin = _mm512_dpwssd_epi32(
                        imin, mins[j], _mm512_set1_epi32((int)hk_load32(&fix.sum[c][2 * j])));
                v = _mm512_fnmadd_ps(dmins, _mm512_cvtepi32_ps(imin), v);
            }
            _mm512_store_ps(acc[c][t], _mm512_fmadd_ps(v, hk512_scale_of(&x, (size_t)c, 0),
                                                       _mm512_load_ps(acc[c][t])));
        }
    }
}

/* Any number of columns in even groups of up to four. CALL(width, first). */
#define HK512_SPLIT_COLS(n_cols, CALL)                                                             \
    for (size_t first_ = 0, width_; first_ < (n_cols); first_ += width_) {                         \
        size_t left_ = (n_cols) - first_, groups_ = (left_ + HK512_WIDTH - 1) / HK512_WIDTH;       \
        width_ = (left_ + groups_ - 1) / groups_;                                                  \
        switch (width_) {                                                                          \
        case 4:                                                                                    \
            CALL(4, first_);                                                                       \
            break;                                                                                 \
        case 3:                                                                                    \
            CALL(3, first_);                                                                       \
            break;                                                                                 \
        case 2:                                                                                    \
            CALL(2, first_);                                                                       \
            break;                                                                                 \
        default:                                                                                   \
            CALL(1, first_);                                                                       \
            break;                                                                                 \
        }                                                                                          \
    }

HB_INLINE __mmask16 hk512_rows(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xFFFFu : (1u << n) - 1);
}

/* The sums of n_rows <= 32 rows to y. */
HB_INLINE void hk512_store_sums(float *y, size_t ldy, size_t n_rows, const hk512_sums16 *acc,
                                size_t n_cols)
{
    __mmask16 low = hk512_rows(n_rows), high = n_rows > 16 ? hk512_rows(n_rows - 16) : 0;
    for (size_t c = 0; c < n_cols; c++) {
        _mm512_mask_storeu_ps(y + c * ldy, low, _mm512_load_ps(acc[c][0]));
        if (high)
            _mm512_mask_storeu_ps(y + c * ldy + 16, high, _mm512_load_ps(acc[c][1]));
    }
}

/* One register a column, at most 16 rows. */
HB_INLINE void hk512_store_cols(float *y, size_t ldy, size_t n_rows, const __m512 *acc,
                                size_t n_cols)
{
    for (size_t c = 0; c < n_cols; c++)
        _mm512_mask_storeu_ps(y + c * ldy, hk512_rows(n_rows), acc[c]);
}

/* Stretches of whole columns, for bodies that walk stretches themselves (few) and for the tiles. */
void hk_tile_b32_stretch__avx512(hk512_sums16 *acc, const uint8_t *u, const float *d,
                                 const float *m, size_t next, size_t n_blocks, struct hk512_cols x,
                                 size_t n_cols, int offset, bool has_min);
typedef void hk512_k_stretch_fn(hk512_sums16 *acc, const uint8_t *u, const int8_t *sc,
                                const int8_t *mn, const float *d, const float *dmin, size_t next,
                                struct hk512_cols x, size_t n_cols, int offset, bool has_min);
hk512_k_stretch_fn hk_tile_k32_stretch__avx512, hk_tile_k16_stretch__avx512;

#endif
