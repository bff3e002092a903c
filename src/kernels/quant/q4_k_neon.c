/* Q4_K with NEON. */
#include "kernels/quant/hk_neon.h"

HB_INLINE void hkn_codes_q4_k(uint8x16_t z[16], const uint8_t *block)
{
    HB_UNROLL for (int i = 0; i < 8; i++) /* bytes 16 i of qs */
    {
        uint8x16_t v = vld1q_u8(block + 16 + 16 * i);
        z[i / 2 * 4 + i % 2] = hkn_low(v);
        z[i / 2 * 4 + i % 2 + 2] = hkn_high(v);
    }
}

HB_INLINE int8x16_t hkn_scales_q4_k(int8x16_t *mins, const uint8_t *block)
{
    return hkn_scales_k4(mins, block + 4);
}

#define HK_T       q4_k
#define HK_ID      Q4_K
#define HK_SUB     32
#define HK_D_AT    0
#define HK_DMIN_AT 2
#include "kernels/quant/k_neon_tmpl.c"
