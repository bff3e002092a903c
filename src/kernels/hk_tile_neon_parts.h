/* What the levels of NEON share of their tiles: a level without a body of its own takes that of the one below. */
#ifndef HK_TILE_NEON_PARTS_H
#define HK_TILE_NEON_PARTS_H

#include "base/hb_port.h"

/* Where 256 k of the columns are. */
struct hkn_cols {
    const uint8_t *q;     /* first column, first k */
    const uint8_t *sums;  /* int16[16], first column */
    const uint8_t *scale; /* float[8] (B32) or float, first column */
    size_t stride;
};

/* acc[c] (16 rows) of up to 16 columns; the parts of the tile are those of the 256 k. */
typedef void hkn_b32_stretch_fn(float (*acc)[16], const uint8_t *u, const float *d, const float *m,
                                size_t n_blocks, struct hkn_cols x, size_t n_cols, int offset,
                                bool has_min);
typedef void hkn_k_stretch_fn(float (*acc)[16], const uint8_t *u, const int8_t *sc,
                              const int8_t *mn, const float *d, const float *dmin,
                              struct hkn_cols x, size_t n_cols, int offset, bool has_min);
hkn_b32_stretch_fn hk_tile_b32_stretch__neon, hk_tile_b32_stretch__neon_dot;
hkn_k_stretch_fn hk_tile_k32_stretch__neon, hk_tile_k32_stretch__neon_dot;
hkn_k_stretch_fn hk_tile_k16_stretch__neon, hk_tile_k16_stretch__neon_dot;

#endif
