/* 16-bit floats. All conversions agree with the hardware (F16C, AArch64 FCVT) for every input,
 * including NaN: the payload keeps its leading bits and the quiet bit is set, except that
 * bf16 -> f32 is a plain shift. Narrowing rounds to nearest, ties to even. */
#ifndef HK_HALF_H
#define HK_HALF_H

#include "kernels/hk_bits.h"

HB_INLINE float hk_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = h >> 10 & 0x1Fu, m = h & 0x3FFu;
    if (e == 0) /* m * 2^-24 is exact */
        return hk_from_bits(hk_to_bits((float)m * 0x1p-24f) | sign);
    if (e == 31)
        return hk_from_bits(sign | 0x7F800000u | m << 13 | (m ? 0x400000u : 0));
    return hk_from_bits(sign | (e + 112) << 23 | m << 13);
}

HB_INLINE uint16_t hk_f32_to_f16(float x)
{
    uint32_t bits = hk_to_bits(x), sign = bits >> 16 & 0x8000u, a = bits & 0x7FFFFFFFu;
    if (a > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u | (a >> 13 & 0x3FFu));
    if (a >= 0x477FF000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7C00u);
    if (a < 0x38800000u) /* below 2^-14: the addition rounds to a multiple of 2^-24 */
        return (uint16_t)(sign | (hk_to_bits(hk_from_bits(a) + 0.5f) - 0x3F000000u));
    return (uint16_t)(sign | (a - (112u << 23) + 0xFFFu + (a >> 13 & 1u)) >> 13);
}

HB_INLINE float hk_bf16_to_f32(uint16_t h)
{
    return hk_from_bits((uint32_t)h << 16);
}

HB_INLINE uint16_t hk_f32_to_bf16(float x)
{
    uint32_t bits = hk_to_bits(x);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

#endif
