/* IQ4_NL with NEON. */
#include "kernels/quant/hk_neon.h"

static const uint8_t hkn_iq4_nl_table[16] = {HK_IQ4_CODES};

HB_INLINE void hkn_codes_iq4_nl(uint8x16_t z[2], const uint8_t *block)
{
    uint8x16_t nibbles = vld1q_u8(block + 2), codes = vld1q_u8(hkn_iq4_nl_table);
    z[0] = vqtbl1q_u8(codes, hkn_low(nibbles));
    z[1] = vqtbl1q_u8(codes, hkn_high(nibbles));
}

#define HK_T    iq4_nl
#define HK_ID   IQ4_NL
#define HK_D_AT 0
#include "kernels/quant/b32_neon_tmpl.c"
