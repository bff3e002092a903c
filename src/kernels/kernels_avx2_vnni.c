/* What the level avx2_vnni adds: byte products of one instruction. K32 and K16 multiply sums of two products
 * by their scales in one instruction too, so their one-token bodies stay those of avx2. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_left_out.h"

#define VNNI_B32(id, name)                                                                         \
    [HK_##id] = {.stream = hk_stream_##name##__avx2_vnni, .few = hk_few_##name##__avx2_vnni},
#define VNNI_K32(id, name)
#define VNNI_K16(id, name)
#define VNNI_FLOAT(id, name)
#define VNNI_PLAIN(id, name)

const struct hk_table hk_table_avx2_vnni = {
    .level = "avx2_vnni",
    .tile_b32 = hk_tile_b32__avx2_vnni,
    .tile_k32 = hk_tile_k32__avx2_vnni,
    .tile_k16 = hk_tile_k16__avx2_vnni,
    .quant =
        {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min) VNNI_##family(id, name)
#include "kernels/qtypes.def"
#undef HK_QTYPE
        },
};
