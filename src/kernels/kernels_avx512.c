/* What the level avx512 adds. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_left_out.h"

#define AVX512_BLOCKS(id, name)                                                                    \
    [HK_##id] = {.stream = hk_stream_##name##__avx512,                                             \
                 .few = hk_few_##name##__avx512,                                                   \
                 .pack = hk_pack_##name##__avx512},
#define AVX512_B32   AVX512_BLOCKS
#define AVX512_K32   AVX512_BLOCKS
#define AVX512_K16   AVX512_BLOCKS
#define AVX512_FLOAT AVX512_BLOCKS
#define AVX512_PLAIN(id, name)

#define AVX512_KV(name)                                                                           \
    {hk_attn_scores_##name##__avx512, hk_attn_values_##name##__avx512, hk_kv_put_k_##name##__avx512, \
     hk_kv_put_v_##name##__avx512}

const struct hk_table hk_table_avx512 = {
    .level = "avx512",
    .act_quantize = hk_act_quantize__avx512,
    .tile_float = hk_tile_float__avx512,
    .tile_b32 = hk_tile_b32__avx512,
    .tile_k32 = hk_tile_k32__avx512,
    .tile_k16 = hk_tile_k16__avx512,
    .quant = {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min) AVX512_##family(id, name)
#include "kernels/qtypes.def"
#undef HK_QTYPE
    },
    .gemm_f32 = hk_gemm_f32__avx512,
    .gemm_i8 = hk_gemm_i8__avx512,
    .range_f32 = hk_range_f32__avx512,
    .quantize_u8 = hk_quantize_u8__avx512,
    .finish_f32 = hk_finish_f32__avx512,
    .finish_i8 = hk_finish_i8__avx512,
    .rmsnorm_f32 = hk_rmsnorm_f32__avx512,
    .layernorm_f32 = hk_layernorm_f32__avx512,
    .softmax_f32 = hk_softmax_f32__avx512,
    .soft_scores_f32 = hk_soft_scores_f32__avx512,
    .add_f32 = hk_add_f32__avx512,
    .mul_f32 = hk_mul_f32__avx512,
    .scale_f32 = hk_scale_f32__avx512,
    .silu_mul_f32 = hk_silu_mul_f32__avx512,
    .swiglu_clamp_f32 = hk_swiglu_clamp_f32__avx512,
    .gelu_mul_f32 = hk_gelu_mul_f32__avx512,
    .gelu_erf_f32 = hk_gelu_erf_f32__avx512,
    .gelu_tanh_f32 = hk_gelu_tanh_f32__avx512,
    .silu_f32 = hk_silu_f32__avx512,
    .softcap_f32 = hk_softcap_f32__avx512,
    .exp_f32 = hk_exp_f32__avx512,
    .tanh_f32 = hk_tanh_f32__avx512,
    .erf_f32 = hk_erf_f32__avx512,
    .rope_pair_f32 = hk_rope_pair_f32__avx512,
    .rope_half_f32 = hk_rope_half_f32__avx512,
    .attn_softmax = hk_attn_softmax__avx512,
    .attn_merge = hk_attn_merge__avx512,
    .hadamard_f32 = hk_hadamard_f32__avx512,
    .f32_to_f16 = hk_f32_to_f16__avx512,
    .f32_to_bf16 = hk_f32_to_bf16__avx512,
    .max_abs_bits = hk_max_abs_bits__avx512,
    .classify = hk_classify__avx512,
    .kv =
        {
#define HK_KVTYPE(id, name) [HK_KV_##id] = AVX512_KV(name),
#include "kernels/kvtypes.def"
#undef HK_KVTYPE
        },
};
