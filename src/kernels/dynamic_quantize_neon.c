/* DynamicQuantizeLinear with NEON: gemm_i8_scalar.c over vectors of 4. NaN loses every comparison, as
 * there. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_vec_neon.h"

HB_INLINE int32x4_t dynamic_quantize_four(hk_vf x, hk_vf scale, hk_vf zero)
{
    hk_vf v = hk_v_div(x, scale);
    v = hk_v_max(v, hk_v_set(-300.0f));
    v = hk_v_min(v, hk_v_set(300.0f));
    v = hk_v_add(vrndnq_f32(v), zero);
    v = hk_v_select(hk_v_lt(v, hk_v_set(0.0f)), hk_v_set(0.0f), v);
    return vcvtq_s32_f32(hk_v_min(v, hk_v_set(255.0f)));
}

void hk_dynamic_quantize_u8__neon(uint8_t *restrict y, float *restrict scale,
                                  uint8_t *restrict zero, const float *restrict x, size_t n)
{
    hk_vf low = hk_v_set(0.0f), high = low;
    size_t i = 0;
    for (; i + HK_VL <= n; i += HK_VL) {
        low = hk_v_min(hk_v_load(x + i), low);
        high = hk_v_max(hk_v_load(x + i), high);
    }
    if (i < n) { /* the lanes beyond are 0, which is in the range anyway */
        low = hk_v_min(hk_v_load_n(x + i, n - i), low);
        high = hk_v_max(hk_v_load_n(x + i, n - i), high);
    }
    float range[2] = {vminvq_f32(low), vmaxvq_f32(high)};
    hk_dynamic_quantize_u8__scalar(NULL, scale, zero, range, 2);
    if (!y)
        return;
    hk_vf s = hk_v_set(*scale), z = hk_v_set((float)*zero);
    for (i = 0; i < n; i += HK_VL) {
        size_t k = n - i < HK_VL ? n - i : HK_VL;
        hk_vf v = k == HK_VL ? hk_v_load(x + i) : hk_v_load_n(x + i, k);
        uint16x4_t h = vmovn_u32(vreinterpretq_u32_s32(dynamic_quantize_four(v, s, z)));
        uint8_t bytes[8];
        vst1_u8(bytes, vmovn_u16(vcombine_u16(h, h)));
        memcpy(y + i, bytes, k);
    }
}
