/* Q5_K with AVX2. */
#include "kernels/quant/hk_avx2.h"

HB_INLINE void hk256_codes_q5_k(__m256i z[8], const uint8_t *block)
{
    __m256i high = hk256_load(block + 16);
#define Q5_K_PAIR(i)                                                                               \
    do {                                                                                           \
        __m256i v = hk256_load(block + 48 + 32 * (i));                                             \
        z[2 * (i)] = _mm256_or_si256(hk256_low(v), hk256_field(high, 16, 4 - 2 * (i)));            \
        z[2 * (i) + 1] = _mm256_or_si256(hk256_high(v), hk256_field(high, 16, 3 - 2 * (i)));       \
    } while (0)
    Q5_K_PAIR(0);
    Q5_K_PAIR(1);
    Q5_K_PAIR(2);
    Q5_K_PAIR(3);
}

HB_INLINE __m128i hk256_scales_q5_k(__m128i *mins, const uint8_t *block)
{
    return hk256_scales_k4(mins, block + 4);
}

#define HK_T       q5_k
#define HK_ID      Q5_K
#define HK_SUB     32
#define HK_D_AT    0
#define HK_DMIN_AT 2
#include "kernels/quant/k_avx2_tmpl.c"
