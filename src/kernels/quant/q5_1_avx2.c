/* Q5_1 with AVX2. */
#include "kernels/quant/hk_avx2.h"

HB_INLINE void hk256_codes_q5_1(__m256i z[8], const uint8_t *blocks)
{
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2, blocks += 2 * HK_BYTES_Q5_1) {
        __m256i nibbles = hk256_load2x16(blocks + 8, HK_BYTES_Q5_1);
        uint32_t h0 = hk_load32(blocks + 4), h1 = hk_load32(blocks + 4 + HK_BYTES_Q5_1);
        uint32_t low = (h0 & 0xFFFF) | h1 << 16, top = h0 >> 16 | (h1 & 0xFFFF0000u);
        z[i] = _mm256_or_si256(hk256_low(nibbles), hk256_bits16(low));
        z[i + 1] = _mm256_or_si256(hk256_high(nibbles), hk256_bits16(top));
    }
}

#define HK_T    q5_1
#define HK_ID   Q5_1
#define HK_D_AT 0
#define HK_M_AT 2
#include "kernels/quant/b32_avx2_tmpl.c"
