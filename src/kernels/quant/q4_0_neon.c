/* Q4_0 with NEON. */
#include "kernels/quant/hk_neon.h"

HB_INLINE void hkn_codes_q4_0(uint8x16_t z[2], const uint8_t *block)
{
    uint8x16_t nibbles = vld1q_u8(block + 2);
    z[0] = hkn_low(nibbles);
    z[1] = hkn_high(nibbles);
}

#define HK_T    q4_0
#define HK_ID   Q4_0
#define HK_D_AT 0
#include "kernels/quant/b32_neon_tmpl.c"
