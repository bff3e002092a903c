/* 256 k of a tile of 16 rows times columns with NEON, lanes are rows; bodies in
 * tile_neon_tmpl.c. */
#ifndef HK_TILE_NEON_H
#define HK_TILE_NEON_H

#include "kernels/quant/hk_neon.h"

/* Where 256 k of the columns are. */
struct hkn_cols {
    const uint8_t *q;     /* first column, first k */
    const uint8_t *sums;  /* int16[16], first column */
    const uint8_t *scale; /* float[8] (B32) or float, first column */
    size_t stride;
};

HB_INLINE struct hkn_cols hkn_cols_at(const void *x, size_t stride, size_t n, size_t s,
                                      const size_t stretch)
{
    const uint8_t *row = x;
    return (struct hkn_cols){row + s * 256, row + hk_act_sum_off(n, stretch) + s * 32,
                             row + hk_act_scale_off(n) + s * (256 / stretch) * sizeof(float),
                             stride};
}

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

HB_INLINE void hkn_store_cols(float *y, size_t ldy, size_t n_rows, float (*acc)[16], size_t n_cols)
{
    for (size_t c = 0; c < n_cols; c++)
        memcpy(y + c * ldy, acc[c], n_rows * sizeof(float));
}

#endif
