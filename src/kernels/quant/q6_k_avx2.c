/* Q6_K with AVX2. */
#include "kernels/quant/hk_avx2.h"

HB_INLINE void hk256_codes_q6_k(__m256i z[8], const uint8_t *block)
{
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++, z += 4) {
        __m256i a = hk256_load(block + 64 * i), b = hk256_load(block + 64 * i + 32);
        __m256i high = hk256_load(block + 128 + 32 * i);
        z[0] = _mm256_or_si256(hk256_low(a), hk256_field(high, 48, 4));
        z[1] = _mm256_or_si256(hk256_low(b), hk256_field(high, 48, 2));
        z[2] = _mm256_or_si256(hk256_high(a), hk256_field(high, 48, 0));
        z[3] = _mm256_or_si256(hk256_high(b), hk256_field(high, 48, -2));
    }
}

HB_INLINE __m128i hk256_scales_q6_k(__m128i *mins, const uint8_t *block)
{
    (void)mins;
    return hk256_load16(block + 192);
}

#define HK_T    q6_k
#define HK_ID   Q6_K
#define HK_SUB  16
#define HK_D_AT 208
#include "kernels/quant/k_avx2_tmpl.c"
