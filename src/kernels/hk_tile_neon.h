/* 256 k of a tile of 16 rows times columns with NEON, lanes are rows; bodies in
 * tile_neon_tmpl.c. */
#ifndef HK_TILE_NEON_H
#define HK_TILE_NEON_H

#include "kernels/hk_tile_neon_parts.h"
#include "kernels/quant/hk_neon.h"

HB_INLINE struct hkn_cols hkn_cols_at(const void *x, size_t stride, size_t n, size_t s,
                                      const size_t stretch)
{
    const uint8_t *row = x;
    return (struct hkn_cols){row + s * 256, row + hk_act_sum_off(n, stretch) + s * 32,
                             row + hk_act_scale_off(n) + s * (256 / stretch) * sizeof(float),
                             stride};
}

HB_INLINE void hkn_store_cols(float *y, size_t ldy, size_t n_rows, float (*acc)[16], size_t n_cols)
{
    for (size_t c = 0; c < n_cols; c++)
        memcpy(y + c * ldy, acc[c], n_rows * sizeof(float));
}

#endif
