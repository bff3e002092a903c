/* Q2_K with AVX2. */
#include "kernels/quant/hk_avx2.h"

HB_INLINE void hk256_codes_q2_k(__m256i z[8], const uint8_t *block)
{
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++, z += 4) {
        __m256i v = hk256_load(block + 16 + 32 * i);
        z[0] = hk256_field(v, 3, 0);
        z[1] = hk256_field(v, 3, -2);
        z[2] = hk256_field(v, 3, -4);
        z[3] = hk256_field(v, 3, -6);
    }
}

HB_INLINE __m128i hk256_scales_q2_k(__m128i *mins, const uint8_t *block)
{
    __m128i v = hk256_load16(block), low = _mm_set1_epi8(15);
    *mins = _mm_and_si128(_mm_srli_epi16(v, 4), low);
    return _mm_and_si128(v, low);
}

#define HK_T       q2_k
#define HK_ID      Q2_K
#define HK_SUB     16
#define HK_D_AT    80
#define HK_DMIN_AT 82
#include "kernels/quant/k_avx2_tmpl.c"
