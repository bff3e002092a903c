/* What the level neon_dot adds: the dot product instructions of ARMv8.2-A. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_left_out.h"

#define NEON_DOT_BLOCKS(id, name)                                                                  \
    [HK_##id] = {.stream = hk_stream_##name##__neon_dot, .few = hk_few_##name##__neon_dot},
#define NEON_DOT_B32 NEON_DOT_BLOCKS
#define NEON_DOT_K32 NEON_DOT_BLOCKS
#define NEON_DOT_K16 NEON_DOT_BLOCKS
#define NEON_DOT_FLOAT(id, name)
#define NEON_DOT_PLAIN(id, name)

const struct hk_table hk_table_neon_dot = {
    .level = "neon_dot",
    .gemm_i8 = hk_gemm_i8__neon_dot,
    .tile_b32 = hk_tile_b32__neon_dot,
    .tile_k32 = hk_tile_k32__neon_dot,
    .tile_k16 = hk_tile_k16__neon_dot,
    .quant =
        {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min) NEON_DOT_##family(id, name)
#include "kernels/qtypes.def"
#undef HK_QTYPE
        },
};
