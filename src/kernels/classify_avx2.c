/* Classes of bytes, 32 at a time; classify_scalar.c tells what they are. c is in lo..hi where
 * min(c - lo, hi - lo) is c - lo. */
#include "kernels/hk_bodies.h"
#include <immintrin.h>
#include <string.h>

HB_INLINE uint32_t classify_range(__m256i c, char low, char width)
{
    __m256i off = _mm256_sub_epi8(c, _mm256_set1_epi8(low));
    return (uint32_t)_mm256_movemask_epi8(
        _mm256_cmpeq_epi8(_mm256_min_epu8(off, _mm256_set1_epi8(width)), off));
}

HB_INLINE void classify_half(uint64_t *out, const uint8_t *p, int shift)
{
    __m256i c = _mm256_loadu_si256((const void *)p);
    __m256i lower = _mm256_or_si256(c, _mm256_set1_epi8(0x20));
    uint32_t space = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(c, _mm256_set1_epi8(' ')));
    out[HK_CLASS_LETTERS] |= (uint64_t)classify_range(lower, 'a', 25) << shift;
    out[HK_CLASS_DIGITS] |= (uint64_t)classify_range(c, '0', 9) << shift;
    out[HK_CLASS_SPACES] |= (uint64_t)(space | classify_range(c, '\t', 4)) << shift;
    out[HK_CLASS_WIDE] |= (uint64_t)(uint32_t)_mm256_movemask_epi8(c) << shift;
}

void hk_classify__avx2(uint64_t *restrict out, const uint8_t *restrict p, size_t n)
{
    uint8_t last[64] = {0};
    for (; n >= 64; p += 64, n -= 64, out += HK_CLASSES) {
        memset(out, 0, HK_CLASSES * sizeof *out);
        classify_half(out, p, 0);
        classify_half(out, p + 32, 32);
    }
    if (n == 0)
        return;
    memcpy(last, p, n);
    memset(out, 0, HK_CLASSES * sizeof *out);
    classify_half(out, last, 0);
    classify_half(out, last + 32, 32);
}
