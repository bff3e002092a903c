/* What the level avx2 adds. */
#include "kernels/hk_bodies.h"

#define AVX2_BLOCKS(id, name)                                                                      \
    [HK_##id] = {.stream = hk_stream_##name##__avx2,                                               \
                 .few = hk_few_##name##__avx2,                                                     \
                 .pack = hk_pack_##name##__avx2},
#define AVX2_B32   AVX2_BLOCKS
#define AVX2_K32   AVX2_BLOCKS
#define AVX2_K16   AVX2_BLOCKS
#define AVX2_FLOAT(id, name)
#define AVX2_PLAIN(id, name)

const struct hk_table hk_table_avx2 = {
    .level = "avx2",
    .act_quantize = hk_act_quantize__avx2,
    .tile_b32 = hk_tile_b32__avx2,
    .tile_k32 = hk_tile_k32__avx2,
    .tile_k16 = hk_tile_k16__avx2,
    .quant = {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min) AVX2_##family(id, name)
#include "kernels/qtypes.def"
#undef HK_QTYPE
    },
};
