/* What the AVX2 bodies of the block formats share.
 *
 * Products. vpmaddubsw adds two products of an unsigned and a signed byte with 16-bit saturation.
 * Codes below 64 cannot reach it (2 * 63 * 127 = 16002). The other types ("wide") are multiplied as
 * |w| * (q with the sign of w): 2 * 128 * 127 = 32512 fits, and needs q >= -127, which holds.
 *
 * Order of codes. A stretch of 256 codes of one row lies in eight registers z[0..7]; each of their
 * lanes holds 16 consecutive k. K types: the natural order. B32: z[2 i] has k 0..15 and z[2 i + 1]
 * k 16..31 of blocks 2 i (lower lane) and 2 i + 1 (upper lane), so that a block's sum stays in a lane.
 *
 * Rows. 8 rows are walked together, stretch by stretch; the lanes of the float chain are rows. */
#ifndef HK_AVX2_H
#define HK_AVX2_H

#include "kernels/quant/hk_tmpl.h"
#include <immintrin.h>

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

HB_INLINE __m128i hk256_load16(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

HB_INLINE __m256i hk256_load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

HB_INLINE __m256i hk256_load2x16(const uint8_t *p, size_t stride)
{
    return _mm256_set_m128i(hk256_load16(p + stride), hk256_load16(p));
}

HB_INLINE __m256i hk256_low(__m256i x)
{
    return _mm256_and_si256(x, _mm256_set1_epi8(15));
}

HB_INLINE __m256i hk256_high(__m256i x)
{
    return _mm256_and_si256(_mm256_srli_epi16(x, 4), _mm256_set1_epi8(15));
}

/* (x & mask) moved by n bits: to the left, to the right if n < 0. */
HB_INLINE __m256i hk256_field(__m256i x, int mask, const int left)
{
    x = left >= 0 ? _mm256_slli_epi16(x, left > 0 ? left : 0)
                  : _mm256_srli_epi16(x, left < 0 ? -left : 0);
    return _mm256_and_si256(x, _mm256_set1_epi8((char)mask));
}

/* 32 bits to 32 bytes of 0 or 16: byte i of the register has bit i. */
HB_INLINE __m256i hk256_bits16(uint32_t bits)
{
    const __m256i byte =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i v = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), byte), bit);
    return _mm256_and_si256(_mm256_cmpeq_epi8(v, bit), _mm256_set1_epi8(16));
}

HB_INLINE __m256i hk256_table(const uint8_t *table)
{
    return _mm256_broadcastsi128_si256(hk256_load16(table));
}

#ifdef HK_VNNI
#define HK_AVX2_LEVEL avx2_vnni
/* sum + the products of four unsigned and four signed bytes, exact. */
HB_INLINE __m256i hk256_dot(__m256i sum, __m256i u, __m256i q)
{
    return _mm256_dpbusd_avx_epi32(sum, u, q);
}
#else
#define HK_AVX2_LEVEL avx2
#endif

/* Sums of two products as int16; wide codes are value + 128. */
HB_INLINE __m256i hk256_mul(__m256i u, __m256i q, const bool wide)
{
    if (!wide)
        return _mm256_maddubs_epi16(u, q);
    __m256i w = _mm256_xor_si256(u, _mm256_set1_epi8((char)0x80));
    return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w));
}

/* In every lane: the sums of the four int32 of a, b, c, d. */
HB_INLINE __m256i hk256_sum4(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
}

/* The sums of all 8 int32 of 8 registers. */
HB_INLINE __m256i hk256_sum8(const __m256i *v)
{
    __m256i a = hk256_sum4(v[0], v[1], v[2], v[3]), b = hk256_sum4(v[4], v[5], v[6], v[7]);
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
                            _mm256_permute2x128_si256(a, b, 0x31));
}

/* 8 rows (256 bytes apart) of 8 dwords, transposed. */
HB_INLINE void hk256_transpose8(__m256i *out, const uint8_t *rows)
{
    __m256i q[8];
    for (int g = 0; g < 2; g++) {
        const uint8_t *p = rows + 1024 * g;
        __m256i a = hk256_load(p), b = hk256_load(p + 256), c = hk256_load(p + 512);
        __m256i d = hk256_load(p + 768);
        __m256i ab = _mm256_unpacklo_epi32(a, b), cd = _mm256_unpacklo_epi32(c, d);
        __m256i ef = _mm256_unpackhi_epi32(a, b), gh = _mm256_unpackhi_epi32(c, d);
        q[4 * g] = _mm256_unpacklo_epi64(ab, cd);
        q[4 * g + 1] = _mm256_unpackhi_epi64(ab, cd);
        q[4 * g + 2] = _mm256_unpacklo_epi64(ef, gh);
        q[4 * g + 3] = _mm256_unpackhi_epi64(ef, gh);
    }
    for (int i = 0; i < 4; i++) {
        out[i] = _mm256_permute2x128_si256(q[i], q[4 + i], 0x20);
        out[4 + i] = _mm256_permute2x128_si256(q[i], q[4 + i], 0x31);
    }
}

HB_INLINE __m256 hk256_halves(const uint16_t *h)
{
    return _mm256_cvtph_ps(_mm_load_si128((const __m128i *)h));
}

/* The 6-bit scales and mins of Q4_K and Q5_K (hk_blocks.h), four bytes at a time. */
HB_INLINE __m128i hk256_scales_k4(__m128i *mins, const uint8_t *s)
{
    uint32_t a = hk_load32(s), b = hk_load32(s + 4), c = hk_load32(s + 8);
    uint32_t sc = (c & 0x0F0F0F0Fu) | (a >> 2 & 0x30303030u);
    uint32_t mn = (c >> 4 & 0x0F0F0F0Fu) | (b >> 2 & 0x30303030u);
    *mins = _mm_cvtsi64_si128((int64_t)((uint64_t)mn << 32 | (b & 0x3F3F3F3Fu)));
    return _mm_cvtsi64_si128((int64_t)((uint64_t)sc << 32 | (a & 0x3F3F3F3Fu)));
}

HB_INLINE void hk256_prefetch(const uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)p + i, _MM_HINT_T0);
}

/* Lanes below n. */
HB_INLINE __m256i hk256_lanes_below(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

#endif
