/* What the level avx512 adds. */
#include "kernels/hk_bodies.h"

#define AVX512_BLOCKS(id, name)                                                                    \
    [HK_##id] = {.stream = hk_stream_##name##__avx512,                                             \
                 .few = hk_few_##name##__avx512,                                                   \
                 .pack = hk_pack_##name##__avx512},
#define AVX512_B32   AVX512_BLOCKS
#define AVX512_K32   AVX512_BLOCKS
#define AVX512_K16   AVX512_BLOCKS
#define AVX512_FLOAT(id, name)
#define AVX512_PLAIN(id, name)

const struct hk_table hk_table_avx512 = {
    .level = "avx512",
    .act_quantize = hk_act_quantize__avx512,
    .tile_b32 = hk_tile_b32__avx512,
    .tile_k32 = hk_tile_k32__avx512,
    .tile_k16 = hk_tile_k16__avx512,
    .quant = {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min) AVX512_##family(id, name)
#include "kernels/qtypes.def"
#undef HK_QTYPE
    },
};
