/* What the NEON bodies of the block formats share. They are compiled twice: for the ARMv8-A baseline
 * (neon), and with the dot product instructions (neon_dot), where four products of bytes are added to
 * an int32 at once.
 *
 * Products. The baseline adds products of bytes as int16. Codes below 64 fit four times
 * (4 * 63 * 127 = 32004); the other types ("wide", codes are value + 128) are made signed and fit
 * twice (2 * 128 * 127 = 32512), which needs q >= -127, which holds.
 *
 * Order of codes. z[i] holds 16 consecutive k: z[0], z[1] of a block, z[0..15] of a superblock.
 *
 * Rows. Four rows are walked together; the lanes of the float chain are rows. Missing rows of the last
 * group are its last row again and are not stored.
 *
 * Everything stored is loaded as bytes: blocks stand at any address. */
#ifndef HK_NEON_H
#define HK_NEON_H

#include "kernels/quant/hk_tmpl.h"
#include <arm_neon.h>

#if defined(__ARM_FEATURE_DOTPROD)
#define HK_NEON neon_dot
#else
#define HK_NEON neon
#endif

HB_INLINE uint16_t hk_load16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

HB_INLINE uint32_t hk_load32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

HB_INLINE uint64_t hk_load64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

HB_INLINE float hk_load_float(const uint8_t *p)
{
    return hk_from_bits(hk_load32(p));
}

HB_INLINE int16x8_t hkn_load_s16(const void *p)
{
    return vreinterpretq_s16_u8(vld1q_u8(p));
}

/* x >> right & mask */
HB_INLINE uint8x16_t hkn_field(uint8x16_t x, uint8_t mask, uint8_t right)
{
    return vandq_u8(x >> right, vdupq_n_u8(mask));
}

HB_INLINE uint8x16_t hkn_low(uint8x16_t x)
{
    return vandq_u8(x, vdupq_n_u8(15));
}

HB_INLINE uint8x16_t hkn_high(uint8x16_t x)
{
    return vshrq_n_u8(x, 4);
}

/* 16 bits to 16 bytes of 0 or 16 */
HB_INLINE uint8x16_t hkn_bits16(const uint8_t *bits)
{
    uint8x8_t bit = vcreate_u8(0x8040201008040201u);
    uint8x16_t v = vcombine_u8(vdup_n_u8(bits[0]), vdup_n_u8(bits[1]));
    return vandq_u8(vtstq_u8(v, vcombine_u8(bit, bit)), vdupq_n_u8(16));
}

/* codes as signed bytes to multiply with */
HB_INLINE int8x16_t hkn_signed(uint8x16_t u, const bool wide)
{
    return vreinterpretq_s8_u8(wide ? veorq_u8(u, vdupq_n_u8(0x80)) : u);
}

/* Four int32 whose sum grows by the dot product of 16 codes. */
HB_INLINE int32x4_t hkn_dot16(int32x4_t sum, int8x16_t u, int8x16_t q)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(sum, u, q);
#else
    int16x8_t p = vmull_s8(vget_low_s8(u), vget_low_s8(q));
    return vpadalq_s16(sum, vmlal_high_s8(p, u, q));
#endif
}

/* The same of 32. */
HB_INLINE int32x4_t hkn_dot32(int32x4_t sum, int8x16_t u0, int8x16_t u1, int8x16_t q0, int8x16_t q1,
                              const bool wide)
{
#if !defined(__ARM_FEATURE_DOTPROD)
    if (!wide) {
        int16x8_t p = vmull_s8(vget_low_s8(u0), vget_low_s8(q0));
        p = vmlal_high_s8(p, u0, q0);
        p = vmlal_s8(p, vget_low_s8(u1), vget_low_s8(q1));
        return vpadalq_s16(sum, vmlal_high_s8(p, u1, q1));
    }
#endif
    (void)wide;
    return hkn_dot16(hkn_dot16(sum, u0, q0), u1, q1);
}

/* The sums of the four int32 of each. */
HB_INLINE int32x4_t hkn_sum4(const int32x4_t v[4])
{
    return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3]));
}

/* sum a[i] b[i] of 8 as four int32 */
HB_INLINE int32x4_t hkn_dot_s16(int16x8_t a, int16x8_t b)
{
    return vmlal_high_s16(vmull_s16(vget_low_s16(a), vget_low_s16(b)), a, b);
}

/* The halves of four rows. */
HB_INLINE float32x4_t hkn_halves(const uint8_t *const row[4], size_t at)
{
    uint16x4_t h = vdup_n_u16(hk_load16(row[0] + at));
    h = vset_lane_u16(hk_load16(row[1] + at), h, 1);
    h = vset_lane_u16(hk_load16(row[2] + at), h, 2);
    h = vset_lane_u16(hk_load16(row[3] + at), h, 3);
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}

/* Rows of a group of n >= 1; n may be above 4. */
HB_INLINE void hkn_rows(const uint8_t *row[4], const uint8_t *rows, size_t row_bytes, size_t n)
{
    for (size_t r = 0; r < 4; r++)
        row[r] = rows + (r < n ? r : n - 1) * row_bytes;
}

HB_INLINE void hkn_store_rows(float *y, float32x4_t v, size_t n)
{
    float lanes[4];
    vst1q_f32(n < 4 ? lanes : y, v);
    if (n < 4)
        memcpy(y, lanes, n * sizeof *y);
}

/* Lanes below n. */
HB_INLINE uint32x4_t hkn_lanes_below(size_t n)
{
    static const uint32_t lanes[4] = {0, 1, 2, 3};
    return vcltq_u32(vld1q_u32(lanes), vdupq_n_u32(n < 4 ? (uint32_t)n : 4));
}

/* 16 codes of each of four rows to four groups of a tile, which begin 64 bytes apart; rows that are
 * not `there` become 0. */
HB_INLINE void hkn_pack16(uint8_t *u, const uint8x16_t row[4], uint32x4_t there)
{
    uint32x4_t v0 = vreinterpretq_u32_u8(row[0]), v1 = vreinterpretq_u32_u8(row[1]);
    uint32x4_t v2 = vreinterpretq_u32_u8(row[2]), v3 = vreinterpretq_u32_u8(row[3]);
    uint64x2_t a = vreinterpretq_u64_u32(vtrn1q_u32(v0, v1));
    uint64x2_t b = vreinterpretq_u64_u32(vtrn2q_u32(v0, v1));
    uint64x2_t c = vreinterpretq_u64_u32(vtrn1q_u32(v2, v3));
    uint64x2_t d = vreinterpretq_u64_u32(vtrn2q_u32(v2, v3));
    uint32x4_t out[4] = {
        vreinterpretq_u32_u64(vtrn1q_u64(a, c)), vreinterpretq_u32_u64(vtrn1q_u64(b, d)),
        vreinterpretq_u32_u64(vtrn2q_u64(a, c)), vreinterpretq_u32_u64(vtrn2q_u64(b, d))};
    HB_UNROLL for (size_t i = 0; i < 4; i++)
        vst1q_u8(u + 64 * i, vreinterpretq_u8_u32(vandq_u32(out[i], there)));
}

HB_INLINE float32x4_t hkn_where(uint32x4_t there, float32x4_t x)
{
    return vreinterpretq_f32_u32(vandq_u32(there, vreinterpretq_u32_f32(x)));
}

/* y[i] = d * (code - offset) of 16 codes; minus m if there are mins */
HB_INLINE void hkn_unpack16(float *y, uint8x16_t z, uint8_t offset, float32x4_t d, const bool min,
                            float32x4_t m)
{
    uint16x8_t below = vdupq_n_u16(offset);
    HB_UNROLL for (size_t h = 0; h < 2; h++)
    {
        uint16x8_t u = h ? vmovl_high_u8(z) : vmovl_u8(vget_low_u8(z));
        int16x8_t s = vreinterpretq_s16_u16(vsubq_u16(u, below));
        float32x4_t lo = vmulq_f32(d, vcvtq_f32_s32(vmovl_s16(vget_low_s16(s))));
        float32x4_t hi = vmulq_f32(d, vcvtq_f32_s32(vmovl_high_s16(s)));
        vst1q_f32(y + 8 * h, min ? vsubq_f32(lo, m) : lo);
        vst1q_f32(y + 8 * h + 4, min ? vsubq_f32(hi, m) : hi);
    }
}

/* The 6-bit scales and mins of Q4_K and Q5_K (hk_blocks.h), four bytes at a time. */
HB_INLINE int8x16_t hkn_scales_k4(int8x16_t *mins, const uint8_t *s)
{
    uint32_t a = hk_load32(s), b = hk_load32(s + 4), c = hk_load32(s + 8);
    uint32_t sc = (c & 0x0F0F0F0Fu) | (a >> 2 & 0x30303030u);
    uint32_t mn = (c >> 4 & 0x0F0F0F0Fu) | (b >> 2 & 0x30303030u);
    *mins = vcombine_s8(vcreate_s8((uint64_t)mn << 32 | (b & 0x3F3F3F3Fu)), vdup_n_s8(0));
    return vcombine_s8(vcreate_s8((uint64_t)sc << 32 | (a & 0x3F3F3F3Fu)), vdup_n_s8(0));
}

#endif
