/* Q5_K with NEON. */
#include "kernels/quant/hk_neon.h"

HB_INLINE void hkn_codes_q5_k(uint8x16_t z[16], const uint8_t *block)
{
    HB_UNROLL for (int i = 0; i < 8; i++) /* bytes 16 i of qs; their bits 4 */
    {
        uint8x16_t v = vld1q_u8(block + 48 + 16 * i), high = vld1q_u8(block + 16 + i % 2 * 16);
        uint8_t j = (uint8_t)(i / 2 * 2);
        z[2 * j + i % 2] = vorrq_u8(hkn_low(v), vshlq_n_u8(hkn_field(high, 1, j), 4));
        z[2 * j + i % 2 + 2] =
            vorrq_u8(hkn_high(v), vshlq_n_u8(hkn_field(high, 1, (uint8_t)(j + 1)), 4));
    }
}

HB_INLINE int8x16_t hkn_scales_q5_k(int8x16_t *mins, const uint8_t *block)
{
    return hkn_scales_k4(mins, block + 4);
}

#define HK_T       q5_k
#define HK_ID      Q5_K
#define HK_SUB     32
#define HK_D_AT    0
#define HK_DMIN_AT 2
#include "kernels/quant/k_neon_tmpl.c"
