/* IQ4_XS with NEON. */
#include "kernels/quant/hk_neon.h"

static const uint8_t hkn_iq4_xs_table[16] = {HK_IQ4_CODES};

HB_INLINE void hkn_codes_iq4_xs(uint8x16_t z[16], const uint8_t *block)
{
    const uint8x16_t codes = vld1q_u8(hkn_iq4_xs_table);
    HB_UNROLL for (int i = 0; i < 8; i++)
    {
        uint8x16_t v = vld1q_u8(block + 8 + 16 * i);
        z[2 * i] = vqtbl1q_u8(codes, hkn_low(v));
        z[2 * i + 1] = vqtbl1q_u8(codes, hkn_high(v));
    }
}

HB_INLINE int8x16_t hkn_scales_iq4_xs(int8x16_t *mins, const uint8_t *block)
{
    (void)mins;
    static const int16_t low_at[8] = {0, -4, -8, -12, 0, -4, -8, -12};
    static const int16_t high_at[8] = {0, -2, -4, -6, -8, -10, -12, -14};
    uint16x8_t low = vcombine_u16(vdup_n_u16(hk_load16(block + 4)), vdup_n_u16(hk_load16(block + 6)));
    uint16x8_t high = vdupq_n_u16(hk_load16(block + 2));
    low = vandq_u16(vshlq_u16(low, vld1q_s16(low_at)), vdupq_n_u16(15));
    high = vandq_u16(vshlq_u16(high, vld1q_s16(high_at)), vdupq_n_u16(3));
    uint16x8_t sc = vsubq_u16(vorrq_u16(low, vshlq_n_u16(high, 4)), vdupq_n_u16(32));
    return vcombine_s8(vmovn_s16(vreinterpretq_s16_u16(sc)), vdup_n_s8(0));
}

#define HK_T    iq4_xs
#define HK_ID   IQ4_XS
#define HK_SUB  32
#define HK_D_AT 0
#include "kernels/quant/k_neon_tmpl.c"
