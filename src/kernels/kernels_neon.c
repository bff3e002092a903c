/* What the level neon adds: the ARMv8-A baseline. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_left_out.h"

#define NEON_BLOCKS(id, name)                                                                      \
    [HK_##id] = {.unpack = hk_unpack_##name##__neon,                                               \
                 .stream = hk_stream_##name##__neon,                                               \
                 .few = hk_few_##name##__neon,                                                     \
                 .pack = hk_pack_##name##__neon},
#define NEON_FLOAT NEON_BLOCKS
#define NEON_B32   NEON_BLOCKS
#define NEON_K32   NEON_BLOCKS
#define NEON_K16   NEON_BLOCKS
#define NEON_PLAIN(id, name)

#define NEON_KV(name)                                                                             \
    {hk_attn_scores_##name##__neon, hk_attn_values_##name##__neon, hk_kv_put_k_##name##__neon,   \
     hk_kv_put_v_##name##__neon}

const struct hk_table hk_table_neon = {
    .level = "neon",
    .act_quantize = hk_act_quantize__neon,
    .tile_float = hk_tile_float__neon,
    .gemm_f32 = hk_gemm_f32__neon,
    .gemm_i8 = hk_gemm_i8__neon,
    .range_f32 = hk_range_f32__neon,
    .quantize_u8 = hk_quantize_u8__neon,
    .finish_f32 = hk_finish_f32__neon,
    .finish_i8 = hk_finish_i8__neon,
    .tile_b32 = hk_tile_b32__neon,
    .tile_k32 = hk_tile_k32__neon,
    .tile_k16 = hk_tile_k16__neon,
    .quant =
        {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min) NEON_##family(id, name)
#include "kernels/qtypes.def"
#undef HK_QTYPE
        },
    .rmsnorm_f32 = hk_rmsnorm_f32__neon,
    .layernorm_f32 = hk_layernorm_f32__neon,
    .softmax_f32 = hk_softmax_f32__neon,
    .soft_scores_f32 = hk_soft_scores_f32__neon,
    .add_f32 = hk_add_f32__neon,
    .mul_f32 = hk_mul_f32__neon,
    .scale_f32 = hk_scale_f32__neon,
    .silu_mul_f32 = hk_silu_mul_f32__neon,
    .swiglu_clamp_f32 = hk_swiglu_clamp_f32__neon,
    .gelu_mul_f32 = hk_gelu_mul_f32__neon,
    .gelu_erf_f32 = hk_gelu_erf_f32__neon,
    .gelu_tanh_f32 = hk_gelu_tanh_f32__neon,
    .silu_f32 = hk_silu_f32__neon,
    .softcap_f32 = hk_softcap_f32__neon,
    .exp_f32 = hk_exp_f32__neon,
    .tanh_f32 = hk_tanh_f32__neon,
    .erf_f32 = hk_erf_f32__neon,
    .rope_pair_f32 = hk_rope_pair_f32__neon,
    .rope_half_f32 = hk_rope_half_f32__neon,
    .attn_softmax = hk_attn_softmax__neon,
    .attn_merge = hk_attn_merge__neon,
    .hadamard_f32 = hk_hadamard_f32__neon,
    .f32_to_f16 = hk_f32_to_f16__neon,
    .f32_to_bf16 = hk_f32_to_bf16__neon,
    .max_abs_bits = hk_max_abs_bits__neon,
    .classify = hk_classify__neon,
    .kv =
        {
#define HK_KVTYPE(id, name) [HK_KV_##id] = NEON_KV(name),
#include "kernels/kvtypes.def"
#undef HK_KVTYPE
        },
};
