/* What the level avx2 adds. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_left_out.h"

#define AVX2_BLOCKS(id, name)                                                                      \
    [HK_##id] = {.stream = hk_stream_##name##__avx2,                                               \
                 .few = hk_few_##name##__avx2,                                                     \
                 .pack = hk_pack_##name##__avx2},
#define AVX2_B32 AVX2_BLOCKS
#define AVX2_K32 AVX2_BLOCKS
#define AVX2_K16 AVX2_BLOCKS
#define AVX2_FLOAT(id, name)                                                                       \
    [HK_##id] = {.unpack = hk_unpack_##name##__avx2,                                               \
                 .stream = hk_stream_##name##__avx2,                                               \
                 .few = hk_few_##name##__avx2,                                                     \
                 .pack = hk_pack_##name##__avx2},
#define AVX2_PLAIN(id, name)

#define AVX2_KV(name)                                                                             \
    {hk_attn_scores_##name##__avx2, hk_attn_values_##name##__avx2, hk_kv_put_k_##name##__avx2,   \
     hk_kv_put_v_##name##__avx2}

const struct hk_table hk_table_avx2 = {
    .level = "avx2",
    .act_quantize = hk_act_quantize__avx2,
    .tile_float = hk_tile_float__avx2,
    .tile_b32 = hk_tile_b32__avx2,
    .tile_k32 = hk_tile_k32__avx2,
    .tile_k16 = hk_tile_k16__avx2,
    .quant =
        {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min) AVX2_##family(id, name)
#include "kernels/qtypes.def"
#undef HK_QTYPE
        },
    .gemm_f32 = hk_gemm_f32__avx2,
    .gemm_i8 = hk_gemm_i8__avx2,
    .range_f32 = hk_range_f32__avx2,
    .quantize_u8 = hk_quantize_u8__avx2,
    .finish_f32 = hk_finish_f32__avx2,
    .finish_i8 = hk_finish_i8__avx2,
    .rmsnorm_f32 = hk_rmsnorm_f32__avx2,
    .layernorm_f32 = hk_layernorm_f32__avx2,
    .softmax_f32 = hk_softmax_f32__avx2,
    .soft_scores_f32 = hk_soft_scores_f32__avx2,
    .add_f32 = hk_add_f32__avx2,
    .mul_f32 = hk_mul_f32__avx2,
    .scale_f32 = hk_scale_f32__avx2,
    .silu_mul_f32 = hk_silu_mul_f32__avx2,
    .swiglu_clamp_f32 = hk_swiglu_clamp_f32__avx2,
    .gelu_mul_f32 = hk_gelu_mul_f32__avx2,
    .gelu_erf_f32 = hk_gelu_erf_f32__avx2,
    .gelu_tanh_f32 = hk_gelu_tanh_f32__avx2,
    .silu_f32 = hk_silu_f32__avx2,
    .softcap_f32 = hk_softcap_f32__avx2,
    .exp_f32 = hk_exp_f32__avx2,
    .tanh_f32 = hk_tanh_f32__avx2,
    .erf_f32 = hk_erf_f32__avx2,
    .rope_pair_f32 = hk_rope_pair_f32__avx2,
    .rope_half_f32 = hk_rope_half_f32__avx2,
    .attn_softmax = hk_attn_softmax__avx2,
    .attn_merge = hk_attn_merge__avx2,
    .hadamard_f32 = hk_hadamard_f32__avx2,
    .f32_to_f16 = hk_f32_to_f16__avx2,
    .f32_to_bf16 = hk_f32_to_bf16__avx2,
    .max_abs_bits = hk_max_abs_bits__avx2,
    .classify = hk_classify__avx2,
    .varint_encode = hk_varint_encode__avx2,
    .varint_decode = hk_varint_decode__avx2,
    .kv =
        {
#define HK_KVTYPE(id, name) [HK_KV_##id] = AVX2_KV(name),
#include "kernels/kvtypes.def"
#undef HK_KVTYPE
        },
};
