/* Q8_0 with NEON. */
#include "kernels/quant/hk_neon.h"

HB_INLINE void hkn_codes_q8_0(uint8x16_t z[2], const uint8_t *block)
{
    const uint8x16_t sign = vdupq_n_u8(0x80);
    z[0] = veorq_u8(vld1q_u8(block + 2), sign);
    z[1] = veorq_u8(vld1q_u8(block + 18), sign);
}

#define HK_T    q8_0
#define HK_ID   Q8_0
#define HK_D_AT 0
#include "kernels/quant/b32_neon_tmpl.c"
