/* Q3_K with AVX2. */
#include "kernels/quant/hk_avx2.h"

HB_INLINE void hk256_codes_q3_k(__m256i z[8], const uint8_t *block)
{
    __m256i high = hk256_load(block);
    __m256i a = hk256_load(block + 32), b = hk256_load(block + 64);
#define Q3_K_ONE(i, v)                                                                             \
    z[i] = _mm256_or_si256(hk256_field(v, 3, (i) % 4 * -2), hk256_field(high, 4, 2 - (i)))
    Q3_K_ONE(0, a);
    Q3_K_ONE(1, a);
    Q3_K_ONE(2, a);
    Q3_K_ONE(3, a);
    Q3_K_ONE(4, b);
    Q3_K_ONE(5, b);
    Q3_K_ONE(6, b);
    Q3_K_ONE(7, b);
}

HB_INLINE __m128i hk256_scales_q3_k(__m128i *mins, const uint8_t *block)
{
    (void)mins;
    uint64_t l;
    memcpy(&l, block + 96, sizeof l);
    __m128i low = _mm_set_epi64x((int64_t)(l >> 4), (int64_t)l);
    __m128i high =
        _mm_srlv_epi32(_mm_set1_epi32((int)hk_load32(block + 104)), _mm_setr_epi32(0, 2, 4, 6));
    high = _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4);
    low = _mm_and_si128(low, _mm_set1_epi8(15));
    return _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
}

#define HK_T    q3_k
#define HK_ID   Q3_K
#define HK_SUB  16
#define HK_D_AT 108
#include "kernels/quant/k_avx2_tmpl.c"
