/* Q6_K with NEON. */
#include "kernels/quant/hk_neon.h"

HB_INLINE void hkn_codes_q6_k(uint8x16_t z[16], const uint8_t *block)
{
    HB_UNROLL for (int i = 0; i < 8; i++) /* bytes 16 i of low; their bits 4, 5 */
    {
        uint8x16_t v = vld1q_u8(block + 16 * i);
        uint8x16_t high = vld1q_u8(block + 128 + i / 4 * 32 + i % 2 * 16);
        uint8_t shift = (uint8_t)(i % 4 / 2 * 2);
        int at = i / 4 * 8 + i % 4;
        z[at] = vorrq_u8(hkn_low(v), vshlq_n_u8(hkn_field(high, 3, shift), 4));
        z[at + 4] =
            vorrq_u8(hkn_high(v), vshlq_n_u8(hkn_field(high, 3, (uint8_t)(shift + 4)), 4));
    }
}

HB_INLINE int8x16_t hkn_scales_q6_k(int8x16_t *mins, const uint8_t *block)
{
    (void)mins;
    return vreinterpretq_s8_u8(vld1q_u8(block + 192));
}

#define HK_T    q6_k
#define HK_ID   Q6_K
#define HK_SUB  16
#define HK_D_AT 208
#include "kernels/quant/k_neon_tmpl.c"
