/* LEB128 with AVX2: four values at a time, moved by byte shuffles from tables that the compiler computes.
 *
 *   encode  spread each value's 7-bit groups over its lane's bytes, set the "more" bits, then close the gaps:
 *           the four lengths (1 to 4) are the key of a shuffle
 *   decode  the "more" bits of eight bytes are the key of a shuffle that lays the values that end there, at
 *           most four, into lanes; then the gaps between the 7-bit groups are closed
 *
 * Values of five bytes, and everything wrong, are left to the scalar loops. */
#include "kernels/hk_bodies.h"
#include <immintrin.h>
#include <string.h>

/* ---- tables ---- */

/* Encode: byte j of the result for lengths l - 1 in two bits each, lowest lane lowest. */
#define VE_L(k, i) (((k) >> 2 * (i) & 3) + 1)
#define VE_END(k, i)                                                                               \
    ((i) == 0   ? VE_L(k, 0)                                                                       \
     : (i) == 1 ? VE_L(k, 0) + VE_L(k, 1)                                                          \
     : (i) == 2 ? VE_L(k, 0) + VE_L(k, 1) + VE_L(k, 2)                                             \
                : VE_L(k, 0) + VE_L(k, 1) + VE_L(k, 2) + VE_L(k, 3))
#define VE_BYTE(k, j)                                                                              \
    ((j) < VE_END(k, 0)   ? (j)                                                                    \
     : (j) < VE_END(k, 1) ? 4 + (j) - VE_END(k, 0)                                                 \
     : (j) < VE_END(k, 2) ? 8 + (j) - VE_END(k, 1)                                                 \
     : (j) < VE_END(k, 3) ? 12 + (j) - VE_END(k, 2)                                                \
                          : 0x80)

/* Decode: how many of the bytes 0 .. i - 1 end a value, for "more" bits k. */
#define VD_ENDS(k, i) (((i) > 0 && !((k) & 1)) + ((i) > 1 && !((k) & 2)) + ((i) > 2 && !((k) & 4)) +   \
                       ((i) > 3 && !((k) & 8)) + ((i) > 4 && !((k) & 16)) + ((i) > 5 && !((k) & 32)) + \
                       ((i) > 6 && !((k) & 64)) + ((i) > 7 && !((k) & 128)))
/* Where value v begins: the number of bytes in front of the v-th end, itself included; 8 if there are fewer. */
#define VD_BEGIN(k, v)                                                                             \
    ((VD_ENDS(k, 0) < (v)) + (VD_ENDS(k, 1) < (v)) + (VD_ENDS(k, 2) < (v)) + (VD_ENDS(k, 3) < (v)) + \
     (VD_ENDS(k, 4) < (v)) + (VD_ENDS(k, 5) < (v)) + (VD_ENDS(k, 6) < (v)) + (VD_ENDS(k, 7) < (v)))
#define VD_BYTE(k, j)                                                                              \
    (VD_ENDS(k, 8) > (j) / 4 && VD_BEGIN(k, (j) / 4) + (j) % 4 < VD_BEGIN(k, (j) / 4 + 1)          \
         ? VD_BEGIN(k, (j) / 4) + (j) % 4                                                          \
         : 0x80)

/* bytes << 4 | values of one step */
#define VD_VALUES(k) (VD_ENDS(k, 8) < 4 ? VD_ENDS(k, 8) : 4)
#define VD_STEP(k)   (VD_BEGIN(k, VD_VALUES(k)) << 4 | VD_VALUES(k))

#define V_ROW(F, k)                                                                                \
    {F(k, 0), F(k, 1), F(k, 2),  F(k, 3),  F(k, 4),  F(k, 5),  F(k, 6),  F(k, 7),                  \
     F(k, 8), F(k, 9), F(k, 10), F(k, 11), F(k, 12), F(k, 13), F(k, 14), F(k, 15)}
#define V_4(F, k)  V_ROW(F, k), V_ROW(F, (k) + 1), V_ROW(F, (k) + 2), V_ROW(F, (k) + 3)
#define V_16(F, k) V_4(F, k), V_4(F, (k) + 4), V_4(F, (k) + 8), V_4(F, (k) + 12)
#define V_64(F, k) V_16(F, k), V_16(F, (k) + 16), V_16(F, (k) + 32), V_16(F, (k) + 48)

static const uint8_t varint_close[256][16] = {V_64(VE_BYTE, 0), V_64(VE_BYTE, 64), V_64(VE_BYTE, 128),
                                              V_64(VE_BYTE, 192)};
static const uint8_t varint_spread[256][16] = {V_64(VD_BYTE, 0), V_64(VD_BYTE, 64), V_64(VD_BYTE, 128),
                                               V_64(VD_BYTE, 192)};

#define V_STEP4(k)  VD_STEP(k), VD_STEP((k) + 1), VD_STEP((k) + 2), VD_STEP((k) + 3)
#define V_STEP16(k) V_STEP4(k), V_STEP4((k) + 4), V_STEP4((k) + 8), V_STEP4((k) + 12)
#define V_STEP64(k) V_STEP16(k), V_STEP16((k) + 16), V_STEP16((k) + 32), V_STEP16((k) + 48)

static const uint8_t varint_step[256] = {V_STEP64(0), V_STEP64(64), V_STEP64(128), V_STEP64(192)};

/* ---- encode ---- */

HB_INLINE __m128i varint_above(__m128i v, int limit) /* all ones where v > limit, v below 2^31 */
{
    return _mm_cmpgt_epi32(v, _mm_set1_epi32(limit));
}

size_t hk_varint_encode__avx2(uint8_t *restrict out, const uint32_t *restrict x, size_t n)
{
    uint8_t *at = out;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m128i v = _mm_loadu_si128((const __m128i *)(x + i));
        if (!_mm_testz_si128(v, _mm_set1_epi32((int)0xF0000000u))) { /* five bytes */
            at += hk_varint_encode__scalar(at, x + i, 4);
            continue;
        }
        __m128i more = _mm_and_si128(varint_above(v, 0x7F), _mm_set1_epi32(0x80));
        __m128i more2 = _mm_and_si128(varint_above(v, 0x3FFF), _mm_set1_epi32(0x8000));
        __m128i more3 = _mm_and_si128(varint_above(v, 0x1FFFFF), _mm_set1_epi32(0x800000));
        more = _mm_or_si128(_mm_or_si128(more, more2), more3);
        __m128i y = _mm_or_si128(
            _mm_or_si128(_mm_and_si128(v, _mm_set1_epi32(0x7F)),
                         _mm_and_si128(_mm_slli_epi32(v, 1), _mm_set1_epi32(0x7F00))),
            _mm_or_si128(_mm_and_si128(_mm_slli_epi32(v, 2), _mm_set1_epi32(0x7F0000)),
                         _mm_and_si128(_mm_slli_epi32(v, 3), _mm_set1_epi32(0x7F000000))));
        y = _mm_or_si128(y, more);
        /* per lane the "more" bits are 0, 1, 3 or 7: their number is the length - 1 */
        uint32_t bits = (uint32_t)_mm_movemask_epi8(more);
        bits = bits - (bits >> 1 & 0x5555);
        uint32_t lengths = (bits & 0x3333) + (bits >> 2 & 0x3333); /* ones in each nibble */
        uint32_t key = (lengths & 3) | (lengths >> 2 & 0xC) | (lengths >> 4 & 0x30) | (lengths >> 6 & 0xC0);
        __m128i shuffle = _mm_loadu_si128((const __m128i *)varint_close[key]);
        _mm_storeu_si128((__m128i *)at, _mm_shuffle_epi8(y, shuffle));
        at += 4 + (lengths & 15) + (lengths >> 4 & 15) + (lengths >> 8 & 15) + (lengths >> 12);
    }
    return (size_t)(at - out) + hk_varint_encode__scalar(at, x + i, n - i);
}

/* ---- decode ---- */

/* Sixteen values of one byte each; false where they are not. */
HB_INLINE bool varint_bytes(uint32_t *out, __m128i bytes)
{
    if (_mm_movemask_epi8(bytes))
        return false;
    _mm256_storeu_si256((__m256i *)out, _mm256_cvtepu8_epi32(bytes));
    _mm256_storeu_si256((__m256i *)(out + 8), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)));
    return true;
}

size_t hk_varint_decode__avx2(uint32_t *restrict out, size_t capacity, size_t *restrict n_out,
                              const uint8_t *restrict in, size_t n)
{
    size_t at = 0, count = 0, one = 1;
    while (at + 16 <= n && count + 16 <= capacity && one) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(in + at));
        if (varint_bytes(out + count, bytes)) {
            at += 16;
            count += 16;
            continue;
        }
        uint32_t key = (uint32_t)_mm_movemask_epi8(bytes) & 0xFF;
        uint32_t zero = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128()));
        if ((key & key >> 1 & key >> 2 & key >> 3) || (zero & key << 1 & 0xFF)) {
            at += hk_varint_decode__scalar(out + count, 1, &one, in + at, n - at);
            count += one;
            continue;
        }
        __m128i v = _mm_shuffle_epi8(bytes, _mm_loadu_si128((const __m128i *)varint_spread[key]));
        v = _mm_or_si128(
            _mm_or_si128(_mm_and_si128(v, _mm_set1_epi32(0x7F)),
                         _mm_and_si128(_mm_srli_epi32(v, 1), _mm_set1_epi32(0x3F80))),
            _mm_or_si128(_mm_and_si128(_mm_srli_epi32(v, 2), _mm_set1_epi32(0x1FC000)),
                         _mm_and_si128(_mm_srli_epi32(v, 3), _mm_set1_epi32(0xFE00000))));
        _mm_storeu_si128((__m128i *)(out + count), v);
        at += varint_step[key] >> 4;
        count += varint_step[key] & 15;
    }
    size_t rest;
    at += hk_varint_decode__scalar(out + count, capacity - count, &rest, in + at, n - at);
    *n_out = count + rest;
    return at;
}
