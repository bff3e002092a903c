/* Q4_0 with AVX-512. */
#include "kernels/quant/hk_avx512.h"

HB_INLINE void hk512_codes_q4_0(__m512i z[4], const uint8_t *blocks)
{
    for (int i = 0; i < 4; i += 2, blocks += 4 * HK_BYTES_Q4_0) {
        __m512i nibbles = hk512_load4x16(blocks + 2, HK_BYTES_Q4_0);
        z[i] = hk512_low(nibbles);
        z[i + 1] = hk512_high(nibbles);
    }
}

#define HK_T    q4_0
#define HK_ID   Q4_0
#define HK_D_AT 0
#include "kernels/quant/b32_avx512_tmpl.c"
