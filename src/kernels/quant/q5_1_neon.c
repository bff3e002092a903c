/* Q5_1 with NEON. */
#include "kernels/quant/hk_neon.h"

HB_INLINE void hkn_codes_q5_1(uint8x16_t z[2], const uint8_t *block)
{
    uint8x16_t nibbles = vld1q_u8(block + 8);
    z[0] = vorrq_u8(hkn_low(nibbles), hkn_bits16(block + 4));
    z[1] = vorrq_u8(hkn_high(nibbles), hkn_bits16(block + 6));
}

#define HK_T    q5_1
#define HK_ID   Q5_1
#define HK_D_AT 0
#define HK_M_AT 2
#include "kernels/quant/b32_neon_tmpl.c"
