/* Q4_K with AVX2. */
#include "kernels/quant/hk_avx2.h"

HB_INLINE void hk256_codes_q4_k(__m256i z[8], const uint8_t *block)
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m256i v = hk256_load(block + 16 + 32 * i);
        z[2 * i] = hk256_low(v);
        z[2 * i + 1] = hk256_high(v);
    }
}

HB_INLINE __m128i hk256_scales_q4_k(__m128i *mins, const uint8_t *block)
{
    return hk256_scales_k4(mins, block + 4);
}

#define HK_T       q4_k
#define HK_ID      Q4_K
#define HK_SUB     32
#define HK_D_AT    0
#define HK_DMIN_AT 2
#include "kernels/quant/k_avx2_tmpl.c"
