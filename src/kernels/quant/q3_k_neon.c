/* Q3_K with NEON. */
#include "kernels/quant/hk_neon.h"

HB_INLINE void hkn_codes_q3_k(uint8x16_t z[16], const uint8_t *block)
{
    HB_UNROLL for (int i = 0; i < 4; i++) /* bytes 16 i of qs; their bits 2 */
    {
        uint8x16_t v = vld1q_u8(block + 32 + 16 * i), high = vld1q_u8(block + i % 2 * 16);
        HB_UNROLL for (int f = 0; f < 4; f++)
        {
            uint8x16_t bit = hkn_field(high, 1, (uint8_t)(i / 2 * 4 + f));
            z[i / 2 * 8 + 2 * f + i % 2] =
                vorrq_u8(hkn_field(v, 3, (uint8_t)(2 * f)), vshlq_n_u8(bit, 2));
        }
    }
}

HB_INLINE int8x16_t hkn_scales_q3_k(int8x16_t *mins, const uint8_t *block)
{
    (void)mins;
    uint64_t low = hk_load64(block + 96), upper = hk_load32(block + 104);
    uint8x16_t l = vcombine_u8(vcreate_u8(low), vcreate_u8(low >> 4));
    uint8x16_t h = vcombine_u8(vcreate_u8(upper | upper >> 2 << 32),
                               vcreate_u8(upper >> 4 | upper >> 6 << 32));
    h = vshlq_n_u8(vandq_u8(h, vdupq_n_u8(3)), 4);
    return vreinterpretq_s8_u8(vsubq_u8(vorrq_u8(hkn_low(l), h), vdupq_n_u8(32)));
}

#define HK_T    q3_k
#define HK_ID   Q3_K
#define HK_SUB  16
#define HK_D_AT 108
#include "kernels/quant/k_neon_tmpl.c"
