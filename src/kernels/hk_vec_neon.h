/* The vector vocabulary of the float templates in NEON: 4 lanes. hk_vec_avx2.h says what the names
 * mean. min and max are compare and select: FMIN would give NaN where the contract takes b. */
#ifndef HK_VEC_H
#define HK_VEC_H

#include "kernels/hk_bodies.h"
#include "kernels/hk_math.h"
#include <arm_neon.h>

#define HK_BODY_HERE(name) name##__neon

#define HK_VL 4
#define HK_VN 4

typedef float32x4_t hk_vf;
typedef uint32x4_t hk_vmask;

HB_INLINE hk_vf hk_v_load(const float *p)
{
    return vld1q_f32(p);
}

HB_INLINE void hk_v_store(float *p, hk_vf v)
{
    vst1q_f32(p, v);
}

HB_INLINE hk_vf hk_v_load_n(const float *p, size_t n)
{
    hk_vf v = vdupq_n_f32(0.0f);
    if (n > 0)
        v = vld1q_lane_f32(p, v, 0);
    if (n > 1)
        v = vld1q_lane_f32(p + 1, v, 1);
    if (n > 2)
        v = vld1q_lane_f32(p + 2, v, 2);
    return v;
}

HB_INLINE void hk_v_store_n(float *p, hk_vf v, size_t n)
{
    if (n > 0)
        vst1q_lane_f32(p, v, 0);
    if (n > 1)
        vst1q_lane_f32(p + 1, v, 1);
    if (n > 2)
        vst1q_lane_f32(p + 2, v, 2);
}

HB_INLINE hk_vf hk_v_set(float x)
{
    return vdupq_n_f32(x);
}

HB_INLINE hk_vf hk_v_add(hk_vf a, hk_vf b)
{
    return vaddq_f32(a, b);
}

HB_INLINE hk_vf hk_v_sub(hk_vf a, hk_vf b)
{
    return vsubq_f32(a, b);
}

HB_INLINE hk_vf hk_v_mul(hk_vf a, hk_vf b)
{
    return vmulq_f32(a, b);
}

HB_INLINE hk_vf hk_v_div(hk_vf a, hk_vf b)
{
    return vdivq_f32(a, b);
}

HB_INLINE hk_vf hk_v_fma(hk_vf a, hk_vf b, hk_vf c)
{
    return vfmaq_f32(c, a, b);
}

HB_INLINE hk_vmask hk_v_gt(hk_vf a, hk_vf b)
{
    return vcgtq_f32(a, b);
}

HB_INLINE hk_vmask hk_v_lt(hk_vf a, hk_vf b)
{
    return vcltq_f32(a, b);
}

/* mask ? a : b */
HB_INLINE hk_vf hk_v_select(hk_vmask mask, hk_vf a, hk_vf b)
{
    return vbslq_f32(mask, a, b);
}

HB_INLINE hk_vf hk_v_min(hk_vf a, hk_vf b)
{
    return hk_v_select(hk_v_lt(a, b), a, b);
}

HB_INLINE hk_vf hk_v_max(hk_vf a, hk_vf b)
{
    return hk_v_select(hk_v_gt(a, b), a, b);
}

HB_INLINE hk_vf hk_v_abs(hk_vf x)
{
    return vabsq_f32(x);
}

HB_INLINE hk_vf hk_v_neg(hk_vf x)
{
    return vnegq_f32(x);
}

HB_INLINE hk_vf hk_v_copysign(hk_vf magnitude, hk_vf sign)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude);
}

/* p * 2^n where t = n + HK_ROUND: any n of hk_exp, rounded once */
HB_INLINE hk_vf hk_v_scale_pow2(hk_vf p, hk_vf t)
{
    const int32x4_t bias = vdupq_n_s32(127);
    int32x4_t n = vsubq_s32(vreinterpretq_s32_f32(t), vdupq_n_s32((int32_t)HK_ROUND_BITS));
    int32x4_t half = vshrq_n_s32(n, 1);
    int32x4_t s1 = vshlq_n_s32(vaddq_s32(half, bias), 23);
    int32x4_t s2 = vshlq_n_s32(vaddq_s32(vsubq_s32(n, half), bias), 23);
    return vmulq_f32(vmulq_f32(p, vreinterpretq_f32_s32(s1)), vreinterpretq_f32_s32(s2));
}

/* the same for n of hk_exp_mid */
HB_INLINE hk_vf hk_v_scale_pow2_mid(hk_vf p, hk_vf t)
{
    uint32x4_t s = vshlq_n_u32(vreinterpretq_u32_f32(t), 23);
    return vmulq_f32(p, vreinterpretq_f32_u32(vaddq_u32(s, vdupq_n_u32(0x3F800000u))));
}

/* largest lane; no NaN */
HB_INLINE float hk_v_largest(hk_vf v)
{
    return vmaxvq_f32(v);
}

/* lanes begin .. begin + 3 are in [lo, hi) */
HB_INLINE hk_vmask hk_v_in_range(int begin, int lo, int hi)
{
    static const int32_t lanes[4] = {0, 1, 2, 3};
    int32x4_t i = vaddq_s32(vdupq_n_s32(begin), vld1q_s32(lanes));
    return vandq_u32(vcgeq_s32(i, vdupq_n_s32(lo)), vcltq_s32(i, vdupq_n_s32(hi)));
}

/* a and b in turns: a0 b0 a1 b1 ... and back */
HB_INLINE void hk_v_unzip(hk_vf *a, hk_vf *b, hk_vf lo, hk_vf hi)
{
    *a = vuzp1q_f32(lo, hi);
    *b = vuzp2q_f32(lo, hi);
}

HB_INLINE void hk_v_zip(hk_vf *lo, hk_vf *hi, hk_vf a, hk_vf b)
{
    *lo = vzip1q_f32(a, b);
    *hi = vzip2q_f32(a, b);
}

HB_INLINE hk_vf hk_v_load_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

HB_INLINE void hk_v_store_f16(uint16_t *p, hk_vf v)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}

HB_INLINE void hk_v_store_bf16(uint16_t *p, hk_vf v)
{
    uint32x4_t bits = vreinterpretq_u32_f32(v), upper = vshrq_n_u32(bits, 16);
    uint32x4_t odd = vandq_u32(upper, vdupq_n_u32(1));
    uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7FFF)), odd);
    uint32x4_t quiet = vorrq_u32(upper, vdupq_n_u32(0x40));
    uint32x4_t y = vbslq_u32(vceqq_f32(v, v), vshrq_n_u32(rounded, 16), quiet);
    vst1_u16(p, vmovn_u32(y));
}

/* lanewise maximum of the bits of |x|, as unsigned integers */
/* Integers 0..255 as bytes. */
HB_INLINE void hk_v_store_u8(uint8_t *p, hk_vf v)
{
    uint16x4_t h = vmovn_u32(vcvtq_u32_f32(v));
    uint8_t bytes[8];
    vst1_u8(bytes, vmovn_u16(vcombine_u16(h, h)));
    memcpy(p, bytes, 4);
}

HB_INLINE hk_vf hk_v_max_abs_bits(hk_vf m, hk_vf x)
{
    return vreinterpretq_f32_u32(
        vmaxq_u32(vreinterpretq_u32_f32(m), vreinterpretq_u32_f32(hk_v_abs(x))));
}

/* HK_VL vectors as the rows of a square matrix, transposed in place */
HB_INLINE void hk_v_transpose(hk_vf v[HK_VL])
{
    hk_vf a = vtrn1q_f32(v[0], v[1]), b = vtrn2q_f32(v[0], v[1]);
    hk_vf c = vtrn1q_f32(v[2], v[3]), d = vtrn2q_f32(v[2], v[3]);
    v[0] = vcombine_f32(vget_low_f32(a), vget_low_f32(c));
    v[1] = vcombine_f32(vget_low_f32(b), vget_low_f32(d));
    v[2] = vcombine_f32(vget_high_f32(a), vget_high_f32(c));
    v[3] = vcombine_f32(vget_high_f32(b), vget_high_f32(d));
}

HB_INLINE hk_vf hk_v_load_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}

#endif
