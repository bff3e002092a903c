/* What the level neon_i8mm adds: the int8 matrix multiply of ARMv8.6-A. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_left_out.h"

const struct hk_table hk_table_neon_i8mm = {
    .level = "neon_i8mm",
    .tile_b32 = hk_tile_b32__neon_i8mm,
    .tile_k32 = hk_tile_k32__neon_i8mm,
    .tile_k16 = hk_tile_k16__neon_i8mm,
};
