/* Tiles at neon_dot: a group of four k of four rows times four k of a column is one instruction. */
#define HK_TILE_BODY(prefix) prefix##__neon_dot
#define TILE_LINKAGE
#include "kernels/hk_tile_neon.h"

#define TILE_DOT_LANE(lane)                                                                        \
    HB_UNROLL for (int v = 0; v < 4; v++)                                                          \
    {                                                                                              \
        int8x16_t w = hkn_signed(vld1q_u8(u + 64 * (g + lane) + 16 * v), wide);                    \
        HB_UNROLL for (int c = 0; c < n_cols; c++) dot[c][v] =                                     \
            vdotq_laneq_s32(dot[c][v], w, x[c], lane);                                             \
    }

HB_INLINE void tile_dots(int32x4_t (*dot)[4], const uint8_t *u, const size_t n_groups,
                         const uint8_t *q, size_t stride, const bool wide, const int n_cols)
{
    HB_UNROLL for (size_t g = 0; g < n_groups; g += 4)
    {
        int8x16_t x[4];
        HB_UNROLL for (int c = 0; c < n_cols; c++) x[c] =
            vreinterpretq_s8_u8(vld1q_u8(q + (size_t)c * stride + 4 * g));
        TILE_DOT_LANE(0)
        TILE_DOT_LANE(1)
        TILE_DOT_LANE(2)
        TILE_DOT_LANE(3)
    }
}

#include "kernels/tile_neon_tmpl.c"
