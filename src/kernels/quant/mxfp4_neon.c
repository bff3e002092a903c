/* MXFP4 with NEON. */
#include "kernels/quant/hk_neon.h"

static const uint8_t hkn_mxfp4_table[16] = {HK_MXFP4_CODES};

HB_INLINE void hkn_codes_mxfp4(uint8x16_t z[2], const uint8_t *block)
{
    uint8x16_t nibbles = vld1q_u8(block + 1), codes = vld1q_u8(hkn_mxfp4_table);
    z[0] = vqtbl1q_u8(codes, hkn_low(nibbles));
    z[1] = vqtbl1q_u8(codes, hkn_high(nibbles));
}

#define HK_T    mxfp4
#define HK_ID   MXFP4
#define HK_D_AT 0
#define HK_E8M0
#include "kernels/quant/b32_neon_tmpl.c"
