/* Attention and the KV cache at neon: the templates over its vectors. */
#include "kernels/hk_vec_neon.h"
#include "kernels/hk_math_vec.h"
#include "kernels/hk_half.h"
#include "kernels/kv_vec.h"
#include "kernels/hadamard_vec_tmpl.c"

#include "kernels/attn_types_vec_tmpl.c"

/* ---- the integer vocabulary of the block types: 4 positions ---- */

typedef int32x4_t kv_vi;
typedef int8x16_t kv_codes;

HB_INLINE hk_vf kv_to_float(kv_vi v)
{
    return vcvtq_f32_s32(v);
}

/* Sums of two products of codes in [-127, 127] fit 16 bits. */
HB_INLINE kv_vi kv_dot(kv_vi acc, kv_codes k, int32_t dword)
{
    int8x16_t q = vreinterpretq_s8_s32(vdupq_n_s32(dword));
    int16x8_t lo = vmull_s8(vget_low_s8(k), vget_low_s8(q)), hi = vmull_high_s8(k, q);
    return vpadalq_s16(acc, vpaddq_s16(lo, hi));
}

HB_INLINE kv_codes kv_codes_q8_0(const uint8_t *p, size_t half)
{
    (void)half;
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(128)));
}

HB_INLINE kv_codes kv_codes_q4_0(const uint8_t *p, size_t half)
{
    uint8x16_t x = vld1q_u8(p);
    x = half ? vshrq_n_u8(x, 4) : vandq_u8(x, vdupq_n_u8(15));
    return vsubq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(8));
}

/* Rounded to even, to HK_VL signed bytes. */
HB_INLINE void kv_round(int8_t *q, hk_vf x)
{
    int16x4_t h = vmovn_s32(vcvtnq_s32_f32(x));
    int8x8_t b = vmovn_s16(vcombine_s16(h, h));
    vst1_lane_s32((int32_t *)(void *)q, vreinterpret_s32_s8(b), 0);
}

HB_INLINE hk_vf kv_scale(const uint8_t *p)
{
    return hk_v_set(hk_kv_load_scale(p));
}

HB_INLINE uint8x8_t kv_four_bytes(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return vreinterpret_u8_u32(vdup_n_u32(x));
}

HB_INLINE hk_vf kv_signed_bytes(const uint8_t *p)
{
    int16x8_t h = vmovl_s8(vreinterpret_s8_u8(kv_four_bytes(p)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(h)));
}

/* One half of HK_VL bytes, minus 8. */
HB_INLINE hk_vf kv_half_bytes(const uint8_t *p, int shift)
{
    uint8x8_t x = vand_u8(vshl_u8(kv_four_bytes(p), vdup_n_s8((int8_t)-shift)), vdup_n_u8(15));
    int16x8_t h = vmovl_s8(vsub_s8(vreinterpret_s8_u8(x), vdup_n_s8(8)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(h)));
}

#include "kernels/kv_block_values.h"

#define KV_NAME               q8_0
#define KV_HALVES             1
#define KV_CODES(p, half)     kv_codes_q8_0(p, half)
#define KV_DOT(acc, k, dword) kv_dot(acc, k, dword)
#define KV_START(sums)        ((void)(sums), vdupq_n_s32(0))
#define KV_LARGEST            127
#define KV_PACK_K             hk_kv_pack_k_q8_0
#define KV_PACK_V             hk_kv_pack_v_q8_0
#include "kernels/kv_block_vec_tmpl.c"

#define KV_NAME                   q8_0
#define KV_V(page, p, ld, j, c)   kv_v_q8_0(page, p, ld, j, c)
#define KV_V_N(page, p, ld, j, n) kv_v_q8_0(page, p, ld, j, 0)
#define KV_ROW_BYTES(d)           kv_row_bytes(HK_KV_Q8_0, d)
#define KV_WIDEN                  1
#include "kernels/kv_values_vec_tmpl.c"

#define KV_NAME               q4_0
#define KV_HALVES             2
#define KV_CODES(p, half)     kv_codes_q4_0(p, half)
#define KV_DOT(acc, k, dword) kv_dot(acc, k, dword)
#define KV_START(sums)        ((void)(sums), vdupq_n_s32(0))
#define KV_LARGEST            7
#define KV_PACK_K             hk_kv_pack_k_q4_0
#define KV_PACK_V             hk_kv_pack_v_q4_0
#include "kernels/kv_block_vec_tmpl.c"

#define KV_NAME                   q4_0
#define KV_V(page, p, ld, j, c)   kv_v_q4_0(page, p, ld, j, c)
#define KV_V_N(page, p, ld, j, n) kv_v_q4_0(page, p, ld, j, 0)
#define KV_ROW_BYTES(d)           kv_row_bytes(HK_KV_Q4_0, d)
#define KV_WIDEN                  1
#include "kernels/kv_values_vec_tmpl.c"
