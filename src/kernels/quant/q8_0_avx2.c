/* Q8_0 with AVX2. */
#include "kernels/quant/hk_avx2.h"

HB_INLINE void hk256_codes_q8_0(__m256i z[8], const uint8_t *blocks)
{
    const __m256i sign = _mm256_set1_epi8((char)0x80);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2, blocks += 2 * HK_BYTES_Q8_0) {
        z[i] = _mm256_xor_si256(hk256_load2x16(blocks + 2, HK_BYTES_Q8_0), sign);
        z[i + 1] = _mm256_xor_si256(hk256_load2x16(blocks + 18, HK_BYTES_Q8_0), sign);
    }
}

#define HK_T    q8_0
#define HK_ID   Q8_0
#define HK_D_AT 0
#include "kernels/quant/b32_avx2_tmpl.c"
