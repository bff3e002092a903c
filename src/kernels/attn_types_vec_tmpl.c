/* Attention over the types of elements, f32, f16 and bf16: what every level of vectors makes of the templates. Its file
 * includes the vectors, hk_math_vec.h, hk_half.h and kv_vec.h before. */
#include "kernels/attn_vec_tmpl.c"

#define KV_NAME    f32
#define KV_ELEM    float
#define KV_LOAD(p) hk_v_load(p)
#define KV_WIDEN   0
#include "kernels/kv_scores_vec_tmpl.c"

#define KV_NAME         f32
#define KV_V(page, p, ld, j, c) \
    hk_v_load((const float *)(page) + (p) * (ld) + (j) + (c) * HK_VL)
#define KV_V_N(page, p, ld, j, n) \
    hk_v_load_n((const float *)(page) + (p) * (ld) + (j), n)
#define KV_ROW_BYTES(d) ((d) * sizeof(float))
#define KV_WIDEN        0
#include "kernels/kv_values_vec_tmpl.c"

#define KV_NAME        f32
#define KV_ELEM        float
#define KV_STORE(p, v) hk_v_store(p, v)
#define KV_STORE_1(x)  (x)
#include "kernels/kv_put_vec_tmpl.c"

#define KV_NAME    f16
#define KV_ELEM    uint16_t
#define KV_LOAD(p) hk_v_load_f16(p)
#define KV_WIDEN   1
#include "kernels/kv_scores_vec_tmpl.c"

#define KV_NAME         f16
#define KV_V(page, p, ld, j, c) \
    hk_v_load_f16((const uint16_t *)(page) + (p) * (ld) + (j) + (c) * HK_VL)
#define KV_V_N(page, p, ld, j, n) \
    kv_load_f16_n((const uint16_t *)(page) + (p) * (ld) + (j), n)
#define KV_ROW_BYTES(d) ((d) * sizeof(uint16_t))
#define KV_WIDEN        1
#include "kernels/kv_values_vec_tmpl.c"

#define KV_NAME        f16
#define KV_ELEM        uint16_t
#define KV_STORE(p, v) hk_v_store_f16(p, v)
#define KV_STORE_1(x)  hk_f32_to_f16(x)
#include "kernels/kv_put_vec_tmpl.c"

#define KV_NAME    bf16
#define KV_ELEM    uint16_t
#define KV_LOAD(p) hk_v_load_bf16(p)
#define KV_WIDEN   1
#include "kernels/kv_scores_vec_tmpl.c"

#define KV_NAME         bf16
#define KV_V(page, p, ld, j, c) \
    hk_v_load_bf16((const uint16_t *)(page) + (p) * (ld) + (j) + (c) * HK_VL)
#define KV_V_N(page, p, ld, j, n) \
    kv_load_bf16_n((const uint16_t *)(page) + (p) * (ld) + (j), n)
#define KV_ROW_BYTES(d) ((d) * sizeof(uint16_t))
#define KV_WIDEN        1
#include "kernels/kv_values_vec_tmpl.c"

#define KV_NAME        bf16
#define KV_ELEM        uint16_t
#define KV_STORE(p, v) hk_v_store_bf16(p, v)
#define KV_STORE_1(x)  hk_f32_to_bf16(x)
#include "kernels/kv_put_vec_tmpl.c"
