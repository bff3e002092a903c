/* Attention and the KV cache at neon: the templates over its vectors. */
#include "kernels/hk_vec_neon.h"
#include "kernels/hk_math_vec.h"
#include "kernels/kv_vec.h"

#include "kernels/attn_vec_tmpl.c"

#define KV_NAME         f32
#define KV_ELEM         float
#define KV_LOAD(p)      hk_v_load(p)
#define KV_LOAD_N(p, n) hk_v_load_n(p, n)
#define KV_WIDEN        0
#include "kernels/kv_vec_tmpl.c"

#define KV_NAME         f16
#define KV_ELEM         uint16_t
#define KV_LOAD(p)      hk_v_load_f16(p)
#define KV_LOAD_N(p, n) hk_v_load_f16_n(p, n)
#define KV_WIDEN        1
#include "kernels/kv_vec_tmpl.c"

void hk_kv_put_v_f16__neon(void *restrict page, size_t slot, const float *restrict x, size_t d)
{
    hk_f32_to_f16__neon((uint16_t *)page + slot * d, x, d);
}

/* K is transposed: one element of each row of 16, four rows a step. */
void hk_kv_put_k_f16__neon(void *restrict page, size_t slot, const float *restrict x, size_t d)
{
    uint16_t *k = (uint16_t *)page + slot;
    for (size_t i = 0; i < d; i += HK_VL) {
        uint16_t h[HK_VL];
        size_t n = d - i < HK_VL ? d - i : HK_VL;
        hk_v_store_f16(h, n == HK_VL ? hk_v_load(x + i) : hk_v_load_n(x + i, n));
        for (size_t j = 0; j < n; j++)
            k[(i + j) * HK_KV_PAGE] = h[j];
    }
}
