/* KV cache in float types. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_fma.h"
#include "kernels/hk_half.h"

#define KV_NAME     f32
#define KV_ELEM     float
#define KV_LOAD(e)  (e)
#define KV_STORE(x) (x)
#include "kernels/kv_scalar_tmpl.c"

#define KV_NAME     f16
#define KV_ELEM     uint16_t
#define KV_LOAD(e)  hk_f16_to_f32(e)
#define KV_STORE(x) hk_f32_to_f16(x)
#include "kernels/kv_scalar_tmpl.c"

#define KV_NAME     bf16
#define KV_ELEM     uint16_t
#define KV_LOAD(e)  hk_bf16_to_f32(e)
#define KV_STORE(x) hk_f32_to_bf16(x)
#include "kernels/kv_scalar_tmpl.c"
