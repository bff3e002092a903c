/* Attention and the KV cache at avx512: the templates over its vectors. */
#include "kernels/hk_vec_avx512.h"
#include "kernels/hk_math_vec.h"
#include "kernels/hk_half.h"
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

#define KV_NAME        f32
#define KV_ELEM        float
#define KV_STORE(p, v) hk_v_store(p, v)
#define KV_STORE_1(x)  (x)
#include "kernels/kv_put_vec_tmpl.c"

#define KV_NAME        f16
#define KV_ELEM        uint16_t
#define KV_STORE(p, v) hk_v_store_f16(p, v)
#define KV_STORE_1(x)  hk_f32_to_f16(x)
#include "kernels/kv_put_vec_tmpl.c"
