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

/* One load, though it is used twice: a compiler may otherwise make it an operand of both uses, and
 * unaligned 64-byte loads are what these loops have least of. */
HB_INLINE __m512i hk512_load(const void *p)
{
    __m512i v = _mm512_loadu_si512(p);
    __asm__("" : "+v"(v));
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

/* The 6-bit scales of Q4_K and Q5_K (hk_blocks.h) in bytes 0..7, the mins in bytes 8..15. Reads 16
 * bytes, of which 12 are s. */
HB_INLINE __m128i hk512_scales_k4(const uint8_t *s)
{
    __m128i v = _mm_loadu_si128((const __m128i *)s); /* dwords: a (low scales), b (low mins), c */
    __m128i low =
        _mm_srlv_epi32(_mm_shuffle_epi32(v, _MM_SHUFFLE(2, 1, 2, 0)), _mm_setr_epi32(0, 0, 0, 4));
    __m128i high = _mm_srli_epi32(_mm_shuffle_epi32(v, _MM_SHUFFLE(1, 1, 0, 0)), 2);
    low = _mm_and_si128(low, _mm_setr_epi32(0x3F3F3F3F, 0x0F0F0F0F, 0x3F3F3F3F, 0x0F0F0F0F));
    high = _mm_and_si128(high, _mm_setr_epi32(0, 0x30303030, 0, 0x30303030));
    return _mm_or_si128(low, high);
}

/* 32 bytes twice, the upper copy's words shifted right by n. */
HB_INLINE __m512i hk512_two_shifts(const uint8_t *p, int n)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)p);
    return _mm512_inserti64x4(_mm512_castsi256_si512(v), _mm256_srli_epi16(v, n), 1);
}

/* 16 rows of 16 bytes, transposed: out[i] holds columns 4 i..4 i + 3. */
HB_INLINE void hk512_transpose_bytes(__m512i out[4], const int8_t *in)
{
    /* 4 x 4 bytes in every lane, then dwords across lanes */
    const __m512i within =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const __m512i across = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i v[4], d[4];
    HK_UNROLL(4)
    for (int g = 0; g < 4; g++) { /* lane: dword i of rows 4 g..4 g + 3, then their bytes sorted */
        v[g] = _mm512_permutexvar_epi32(across, _mm512_load_si512(in + 64 * g));
        v[g] = _mm512_shuffle_epi8(v[g], within);
    }
    /* lane i of v[g]: columns 4 i..4 i + 3, each the 4 rows of g */
    hk512_transpose_lanes(d, v[0], v[1], v[2], v[3]);
    HK_UNROLL(4)
    for (int i = 0; i < 4; i++)
        out[i] = _mm512_permutexvar_epi32(across, d[i]);
}

HB_INLINE __m512 hk512_halves(const uint16_t *h)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)h));
}

/* 16 rows of 8 words, transposed: word b of all rows in out[b]. */
HB_INLINE void hk512_transpose_words(__m256i *out, const uint16_t (*in)[8])
{
#define HK512_COLUMNS(b) (b), 8 + (b), 16 + (b), 24 + (b), 32 + (b), 40 + (b), 48 + (b), 56 + (b)
    static const HB_ALIGNAS(64) int16_t at[2][32] = {
        {HK512_COLUMNS(0), HK512_COLUMNS(1), HK512_COLUMNS(2), HK512_COLUMNS(3)},
        {HK512_COLUMNS(4), HK512_COLUMNS(5), HK512_COLUMNS(6), HK512_COLUMNS(7)},
    };
#undef HK512_COLUMNS
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512i v0 = _mm512_load_si512(in), v1 = _mm512_load_si512(in + 4);
    __m512i v2 = _mm512_load_si512(in + 8), v3 = _mm512_load_si512(in + 12);
    HK_UNROLL(2)
    for (int i = 0; i < 2; i++) {
        __m512i index = _mm512_load_si512(at[i]);
        __m512i a = _mm512_permutex2var_epi16(v0, index, v1); /* lane b: rows 0..7 */
        __m512i b = _mm512_permutex2var_epi16(v2, index, v3);
        __m512i c = _mm512_permutex2var_epi64(a, low, b), d = _mm512_permutex2var_epi64(a, high, b);
        out[4 * i] = _mm512_castsi512_si256(c);
        out[4 * i + 1] = _mm512_extracti64x4_epi64(c, 1);
        out[4 * i + 2] = _mm512_castsi512_si256(d);
        out[4 * i + 3] = _mm512_extracti64x4_epi64(d, 1);
    }
}

/* Four blocks of `words` 16-bit words (9 to 12) lie in two registers of 32 words that overlap.
 * HK512_WORD is the index of a word for _mm512_permutex2var_epi16, HK512_WORDS of eight in a row of
 * block b. */
struct hk512_four {
    __m512i a, b;
};

HB_INLINE struct hk512_four hk512_four_blocks(const uint8_t *p, const int words)
{
    return (struct hk512_four){hk512_load(p), hk512_load(p + 8 * words - 64)};
}

HB_INLINE __m512i hk512_pick(struct hk512_four v, const int16_t *index)
{
    return _mm512_permutex2var_epi16(v.a, _mm512_load_si512(index), v.b);
}

#define HK512_WORD(words, b, i)                                                                    \
    ((words) * (b) + (i) < 32 ? (words) * (b) + (i) : (words) * (b) + (i) + 64 - 4 * (words))
#define HK512_WORDS(words, b, i)                                                                   \
    HK512_WORD(words, b, i), HK512_WORD(words, b, (i) + 1), HK512_WORD(words, b, (i) + 2),         \
        HK512_WORD(words, b, (i) + 3), HK512_WORD(words, b, (i) + 4),                              \
        HK512_WORD(words, b, (i) + 5), HK512_WORD(words, b, (i) + 6),                              \
        HK512_WORD(words, b, (i) + 7)
/* The nibbles of the four blocks, a block per lane. */
#define HK512_NIBBLES(words, i)                                                                    \
    {                                                                                              \
        HK512_WORDS(words, 0, i), HK512_WORDS(words, 1, i), HK512_WORDS(words, 2, i),              \
            HK512_WORDS(words, 3, i)                                                               \
    }
#define HK512_EACH(words, i)                                                                       \
    HK512_WORD(words, 0, i), HK512_WORD(words, 1, i), HK512_WORD(words, 2, i),                     \
        HK512_WORD(words, 3, i)

/* Fetch `bytes` that will be needed one group of rows later. */
HB_INLINE void hk512_prefetch(const uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)p + i, _MM_HINT_T0);
}

#endif
