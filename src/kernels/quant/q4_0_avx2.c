/* Q4_0 with AVX2. */
#include "kernels/quant/hk_avx2.h"

HB_INLINE void hk256_codes_q4_0(__m256i z[8], const uint8_t *blocks)
{
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2, blocks += 2 * HK_BYTES_Q4_0) {
        __m256i nibbles = hk256_load2x16(blocks + 2, HK_BYTES_Q4_0);
        z[i] = hk256_low(nibbles);
        z[i + 1] = hk256_high(nibbles);
    }
}

#define HK_T    q4_0
#define HK_ID   Q4_0
#define HK_D_AT 0
#include "kernels/quant/b32_avx2_tmpl.c"
