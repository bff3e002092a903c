/* Q2_K with NEON. */
#include "kernels/quant/hk_neon.h"

HB_INLINE void hkn_codes_q2_k(uint8x16_t z[16], const uint8_t *block)
{
    HB_UNROLL for (int i = 0; i < 4; i++) /* bytes 16 i of qs */
    {
        uint8x16_t v = vld1q_u8(block + 16 + 16 * i);
        HB_UNROLL for (int f = 0; f < 4; f++) z[i / 2 * 8 + 2 * f + i % 2] =
            hkn_field(v, 3, (uint8_t)(2 * f));
    }
}

HB_INLINE int8x16_t hkn_scales_q2_k(int8x16_t *mins, const uint8_t *block)
{
    uint8x16_t v = vld1q_u8(block);
    *mins = vreinterpretq_s8_u8(hkn_high(v));
    return vreinterpretq_s8_u8(hkn_low(v));
}

#define HK_T       q2_k
#define HK_ID      Q2_K
#define HK_SUB     16
#define HK_D_AT    80
#define HK_DMIN_AT 82
#include "kernels/quant/k_neon_tmpl.c"
