/* The scalar table: the specification of every slot. */
#include "kernels/hk_bodies.h"

#define SCALAR_BLOCKS(id, name)                                                                    \
    [HK_##id] = {.unpack = hk_unpack_##name##__scalar,                                             \
                 .stream = hk_stream_##name##__scalar,                                             \
                 .pack = hk_pack_##name##__scalar},
#define SCALAR_B32   SCALAR_BLOCKS
#define SCALAR_K32   SCALAR_BLOCKS
#define SCALAR_K16   SCALAR_BLOCKS
#define SCALAR_FLOAT(id, name)
#define SCALAR_PLAIN(id, name)

const struct hk_table hk_table_scalar = {
    .level = "scalar",
    .act_quantize = hk_act_quantize__scalar,
    .tile_float = hk_tile_float__scalar,
    .tile_b32 = hk_tile_b32__scalar,
    .tile_k32 = hk_tile_k32__scalar,
    .tile_k16 = hk_tile_k16__scalar,
    .quant = {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min) SCALAR_##family(id, name)
#include "kernels/qtypes.def"
#undef HK_QTYPE
    },
};
