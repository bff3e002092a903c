/* Classes of bytes, 64 at a time; classify_scalar.c tells what they are. */
#include "kernels/hk_bodies.h"
#include <immintrin.h>

HB_INLINE uint64_t classify_range(__m512i c, char low, char width)
{
    return _mm512_cmple_epu8_mask(_mm512_sub_epi8(c, _mm512_set1_epi8(low)), _mm512_set1_epi8(width));
}

void hk_classify__avx512(uint64_t *restrict out, const uint8_t *restrict p, size_t n)
{
    for (size_t b = 0; b < n; b += 64, out += HK_CLASSES) {
        __mmask64 there = n - b >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << (n - b)) - 1;
        __m512i c = _mm512_maskz_loadu_epi8(there, p + b);
        out[HK_CLASS_LETTERS] = classify_range(_mm512_or_si512(c, _mm512_set1_epi8(0x20)), 'a', 25);
        out[HK_CLASS_DIGITS] = classify_range(c, '0', 9);
        out[HK_CLASS_SPACES] = _mm512_cmpeq_epi8_mask(c, _mm512_set1_epi8(' ')) | classify_range(c, '\t', 4);
        out[HK_CLASS_WIDE] = _mm512_movepi8_mask(c);
    }
}
