/* f32 row to an int8 activation row (kernels.h) with NEON: 16 elements a step. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_fma.h"
#include <arm_neon.h>
#include <string.h>

static float act_quantize_neon_stretch(int8_t *restrict q, int16_t *restrict sum,
                                       const float *restrict x, size_t n)
{
    uint32x4_t bits = vdupq_n_u32(0); /* |x| orders as its bits do */
    for (size_t i = 0; i < n; i += 4)
        bits = vmaxq_u32(bits, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + i))));
    uint32_t top = vmaxvq_u32(bits);
    float amax = hk_from_bits(top);
    bool finite = top < 0x7F800000u, tiny = finite && amax < 0x1p-100f;
    if (!finite || tiny) {
        memset(q, 0, n);
        memset(sum, 0, n / 16 * sizeof *sum);
        return finite ? 0 : hk_from_bits(0x7FC00000u);
    }
    const float inverse = 127.0f / amax;
    for (size_t i = 0; i < n; i += 16) {
        int32x4_t v[4];
        HB_UNROLL for (size_t j = 0; j < 4; j++) v[j] =
            vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + i + 4 * j), inverse));
        int16x8_t a = vcombine_s16(vmovn_s32(v[0]), vmovn_s32(v[1]));
        int16x8_t b = vcombine_s16(vmovn_s32(v[2]), vmovn_s32(v[3]));
        vst1q_s8(q + i, vcombine_s8(vmovn_s16(a), vmovn_s16(b)));
        sum[i / 16] = vaddvq_s16(vaddq_s16(a, b));
    }
    return amax / 127.0f;
}

void hk_act_quantize__neon(void *restrict row, const float *restrict x, size_t n, size_t stretch)
{
    int8_t *q = row;
    float *scale = (float *)((uint8_t *)row + hk_act_scale_off(n));
    int16_t *sum = (int16_t *)((uint8_t *)row + hk_act_sum_off(n, stretch));
    for (size_t k = 0; k < n; k += stretch)
        scale[k / stretch] = act_quantize_neon_stretch(q + k, sum + k / 16, x + k, stretch);
}
