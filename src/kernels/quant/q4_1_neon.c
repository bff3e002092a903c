/* Q4_1 with NEON. */
#include "kernels/quant/hk_neon.h"

HB_INLINE void hkn_codes_q4_1(uint8x16_t z[2], const uint8_t *block)
{
    uint8x16_t nibbles = vld1q_u8(block + 4);
    z[0] = hkn_low(nibbles);
    z[1] = hkn_high(nibbles);
}

#define HK_T    q4_1
#define HK_ID   Q4_1
#define HK_D_AT 0
#define HK_M_AT 2
#include "kernels/quant/b32_neon_tmpl.c"
