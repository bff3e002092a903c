/* One stretch of a tile of 16 rows times columns with AVX2, lanes are rows; bodies in tile_avx2.c. */
#ifndef HK_TILE_AVX2_H
#define HK_TILE_AVX2_H

#include "kernels/quant/hk_avx2.h"

/* Where a stretch of the columns is. */
struct hk256_cols {
    const uint8_t *q;     /* first column, first k of the stretch */
    const uint8_t *sums;  /* int16[16] of the stretch, first column */
    const uint8_t *scale; /* float of the stretch, first column */
    size_t stride;
};

HB_INLINE struct hk256_cols hk256_cols_at(const void *x, size_t stride, size_t n, size_t s)
{
    const uint8_t *row = x;
    return (struct hk256_cols){row + s * HK_STRETCH, row + hk_act_sum_off(n) + s * 32,
                               row + hk_act_scale_off(n) + s * sizeof(float), stride};
}

/* acc[c] (16 rows) of up to 16 columns; the parts of the tile are those of the stretch. */
void hk_tile_b32_stretch__avx2(float (*acc)[16], const uint8_t *u, const float *d, const float *m,
                               size_t n_blocks, struct hk256_cols x, size_t n_cols, int offset,
                               bool has_min);
void hk_tile_k32_stretch__avx2(float (*acc)[16], const uint8_t *u, const int8_t *sc,
                               const int8_t *mn, const float *d, const float *dmin,
                               struct hk256_cols x, size_t n_cols, int offset, bool has_min);
void hk_tile_k16_stretch__avx2(float (*acc)[16], const uint8_t *u, const int8_t *sc,
                               const int8_t *mn, const float *d, const float *dmin,
                               struct hk256_cols x, size_t n_cols, int offset, bool has_min);

HB_INLINE void hk256_store_cols(float *y, size_t ldy, size_t n_rows, float (*acc)[16], size_t n_cols)
{
    for (size_t c = 0; c < n_cols; c++)
        memcpy(y + c * ldy, acc[c], n_rows * sizeof(float));
}

#endif
