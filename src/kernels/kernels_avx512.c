/* What the level avx512 adds. */
#include "kernels/hk_bodies.h"

const struct hk_table hk_table_avx512 = {
    .level = "avx512",
    .tile_b32 = hk_tile_b32__avx512,
    .tile_k32 = hk_tile_k32__avx512,
    .tile_k16 = hk_tile_k16__avx512,
};
