/* What the AVX-512 bodies of the block formats share.
 *
 * Order of codes. A stretch of 256 codes of one row lies in four registers z[0..3]. Each 128-bit lane
 * holds 16 consecutive k; which ones is a type's own matter (the order in which its bits come out of
 * the block with the fewest shuffles), given by HK_START(z, lane). Activations are brought into the
 * same order once per 16 rows, and pack writes transposed codes where they belong.
 *
 * Rows. 16 rows are walked together, stretch by stretch: integer sums are exact in any order, but the
 * float chain over the blocks is not, so its lanes are rows. The 16 rows are one linear piece of the
 * file; the next piece is fetched ahead while this one is worked on. */
#ifndef HK_AVX512_H
#define HK_AVX512_H

#include "kernels/quant/hk_tmpl.h"
#include <immintrin.h>

#define HK_UNROLL(n) HK_PRAGMA(GCC unroll n)
#define HK_PRAGMA(x) _Pragma(#x)

HB_INLINE uint32_t hk_load32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

HB_INLINE uint16_t hk_load16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* 16 bytes from each of four places `stride` apart. */
HB_INLINE __m512i hk512_load4x16(const uint8_t *p, size_t stride)
{
    __m512i z = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)p));
    z = _mm512_mask_broadcast_i32x4(z, 0x00F0, _mm_loadu_si128((const __m128i *)(p + stride)));
    z = _mm512_mask_broadcast_i32x4(z, 0x0F00, _mm_loadu_si128((const __m128i *)(p + 2 * stride)));
    return _mm512_mask_broadcast_i32x4(z, 0xF000,
                                       _mm_loadu_si128((const __m128i *)(p + 3 * stride)));
}

HB_INLINE __m512i hk512_low(__m512i x)
{
    return _mm512_and_si512(x, _mm512_set1_epi8(15));
}

HB_INLINE __m512i hk512_high(__m512i x)
{
    return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15));
}

/* A table of 16 bytes for _mm512_shuffle_epi8. */
HB_INLINE __m512i hk512_table(const uint8_t *table)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
}

/* Bits of `mask` from a, others from b. */
HB_INLINE __m512i hk512_select(int mask, __m512i a, __m512i b)
{
    return _mm512_ternarylogic_epi64(_mm512_set1_epi8((char)mask), a, b, 0xCA);
}

/* In every 128-bit lane: the sums of the four int32 of a, b, c, d. */
HB_INLINE __m512i hk512_sum4(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

/* 4 x 4 transpose of 128-bit lanes. */
HB_INLINE void hk512_transpose_lanes(__m512i *d, __m512i t0, __m512i t1, __m512i t2, __m512i t3)
{
    __m512i a = _mm512_shuffle_i32x4(t0, t1, 0x44), b = _mm512_shuffle_i32x4(t0, t1, 0xEE);
    __m512i c = _mm512_shuffle_i32x4(t2, t3, 0x44), e = _mm512_shuffle_i32x4(t2, t3, 0xEE);
    d[0] = _mm512_shuffle_i32x4(a, c, 0x88);
    d[1] = _mm512_shuffle_i32x4(a, c, 0xDD);
    d[2] = _mm512_shuffle_i32x4(b, e, 0x88);
    d[3] = _mm512_shuffle_i32x4(b, e, 0xDD);
}

/* The sums of all 16 int32 of 16 registers that are `step` apart. */
HB_INLINE __m512i hk512_sum16(const __m512i *v, size_t step)
{
    __m512i t[4];
    HK_UNROLL(4)
    for (size_t g = 0; g < 4; g++, v += 4 * step)
        t[g] = hk512_sum4(v[0], v[step], v[2 * step], v[3 * step]);
    __m512i a = _mm512_add_epi32(_mm512_shuffle_i32x4(t[0], t[1], 0x88),
                                 _mm512_shuffle_i32x4(t[0], t[1], 0xDD));
    __m512i b = _mm512_add_epi32(_mm512_shuffle_i32x4(t[2], t[3], 0x88),
                                 _mm512_shuffle_i32x4(t[2], t[3], 0xDD));
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xDD));
}

/* 16 rows (256 bytes apart) of 16 dwords, transposed: dword i of all rows goes to out(i). */
#define HK512_TRANSPOSE16(rows, out)                                                               \
    do {                                                                                           \
        __m512i q_[16];                                                                            \
        HK_UNROLL(4)                                                                               \
        for (int g_ = 0; g_ < 4; g_++) {                                                           \
            const uint8_t *p_ = (rows) + 1024 * g_;                                                \
            __m512i a_ = _mm512_load_si512(p_), b_ = _mm512_load_si512(p_ + 256);                  \
            __m512i c_ = _mm512_load_si512(p_ + 512), d_ = _mm512_load_si512(p_ + 768);            \
            __m512i ab_ = _mm512_unpacklo_epi32(a_, b_), cd_ = _mm512_unpacklo_epi32(c_, d_);      \
            __m512i ef_ = _mm512_unpackhi_epi32(a_, b_), gh_ = _mm512_unpackhi_epi32(c_, d_);      \
            q_[4 * g_] = _mm512_unpacklo_epi64(ab_, cd_);                                          \
            q_[4 * g_ + 1] = _mm512_unpackhi_epi64(ab_, cd_);                                      \
            q_[4 * g_ + 2] = _mm512_unpacklo_epi64(ef_, gh_);                                      \
            q_[4 * g_ + 3] = _mm512_unpackhi_epi64(ef_, gh_);                                      \
        }                                                                                          \
        HK_UNROLL(4)                                                                               \
        for (int i_ = 0; i_ < 4; i_++) {                                                           \
            __m512i d_[4];                                                                         \
            hk512_transpose_lanes(d_, q_[i_], q_[4 + i_], q_[8 + i_], q_[12 + i_]);                \
            HK_UNROLL(4)                                                                           \
            for (int l_ = 0; l_ < 4; l_++)                                                         \
                _mm512_store_si512(out(4 * l_ + i_), d_[l_]);                                      \
        }                                                                                          \
    } while (0)

/* The 6-bit scales and mins of Q4_K and Q5_K (hk_blocks.h), four bytes at a time. */
HB_INLINE __m128i hk512_scales_k4(__m128i *mins, const uint8_t *s)
{
    uint32_t a = hk_load32(s), b = hk_load32(s + 4), c = hk_load32(s + 8);
    uint32_t sc = (c & 0x0F0F0F0Fu) | (a >> 2 & 0x30303030u);
    uint32_t mn = (c >> 4 & 0x0F0F0F0Fu) | (b >> 2 & 0x30303030u);
    *mins = _mm_cvtsi64_si128((int64_t)((uint64_t)mn << 32 | (b & 0x3F3F3F3Fu)));
    return _mm_cvtsi64_si128((int64_t)((uint64_t)sc << 32 | (a & 0x3F3F3F3Fu)));
}

/* 32 bytes twice, the upper copy's words shifted right by n. */
HB_INLINE __m512i hk512_two_shifts(const uint8_t *p, int n)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)p);
    return _mm512_inserti64x4(_mm512_castsi256_si512(v), _mm256_srli_epi16(v, n), 1);
}

/* 16 rows of 16 bytes, transposed; the first n_out (8 or 16) are stored. */
HB_INLINE void hk512_transpose_bytes(int8_t *out, const int8_t *in, const int n_out)
{
    /* 4 x 4 bytes in every lane, then dwords across lanes */
    const __m512i within = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const __m512i across =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i v[4], d[4];
    HK_UNROLL(4)
    for (int g = 0; g < 4; g++) { /* lane: dword i of rows 4 g..4 g + 3, then their bytes sorted */
        v[g] = _mm512_permutexvar_epi32(across, _mm512_load_si512(in + 64 * g));
        v[g] = _mm512_shuffle_epi8(v[g], within);
    }
    /* lane i of v[g]: columns 4 i..4 i + 3, each the 4 rows of g */
    hk512_transpose_lanes(d, v[0], v[1], v[2], v[3]);
    HK_UNROLL(4)
    for (int i = 0; i < n_out / 4; i++)
        _mm512_store_si512(out + 64 * i, _mm512_permutexvar_epi32(across, d[i]));
}

HB_INLINE __m512 hk512_halves(const uint16_t *h)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)h));
}

/* Fetch `bytes` that will be needed one group of rows later. */
HB_INLINE void hk512_prefetch(const uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)p + i, _MM_HINT_T0);
}

#endif
