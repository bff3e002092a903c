/* Float tiles (kernels.h, "tiles") and their multiplication over vectors: lanes are rows. */
#ifndef HK_FLOAT_VEC_H
#define HK_FLOAT_VEC_H

#include "kernels/hk_fold.h"

#define FLOAT_BODY_OF(name) HK_BODY_HERE(name)

/* Columns whose 16 rows stay in registers; k whose columns stay in the first-level cache while all
 * 16 chains pass over them. */
#define FLOAT_COLS (HK_VL == 16 ? 12 : 6)
#define FLOAT_PART 512

/* Where chain k mod 16 begins in a tile. */
HB_INLINE size_t float_tile_chain(size_t chain, size_t n)
{
    size_t longer = n % HK_CHAINS;
    return chain * (n / HK_CHAINS) + (chain < longer ? chain : longer);
}

HB_INLINE size_t float_tile_row(size_t k, size_t n)
{
    return float_tile_chain(k % HK_CHAINS, n) + k / HK_CHAINS;
}

/* acc[c] of one chain over `steps` of its k: w[step][16], x[c][16 step] */
HB_INLINE void float_tile_block(float *restrict acc, const float *restrict w,
                                const uint8_t *restrict x, size_t x_stride, const size_t cols,
                                size_t steps)
{
    hk_vf a[12][HK_VN];
    HB_UNROLL for (size_t c = 0; c < cols; c++) HB_UNROLL for (size_t v = 0; v < HK_VN; v++)
        a[c][v] = hk_v_load(acc + c * HK_TILE_ROWS + v * HK_VL);
    for (size_t i = 0; i < steps; i++, w += HK_TILE_ROWS, x += HK_CHAINS * sizeof(float)) {
        hk_vf wk[HK_VN];
        HB_UNROLL for (size_t v = 0; v < HK_VN; v++) wk[v] = hk_v_load(w + v * HK_VL);
        HB_UNROLL for (size_t c = 0; c < cols; c++)
        {
            hk_vf xc = hk_v_set(*(const float *)(x + c * x_stride));
            HB_UNROLL for (size_t v = 0; v < HK_VN; v++) a[c][v] = hk_v_fma(wk[v], xc, a[c][v]);
        }
    }
    HB_UNROLL for (size_t c = 0; c < cols; c++) HB_UNROLL for (size_t v = 0; v < HK_VN; v++)
        hk_v_store(acc + c * HK_TILE_ROWS + v * HK_VL, a[c][v]);
}

static void float_tile_chain_part(float *restrict acc, const float *restrict w,
                                  const uint8_t *restrict x, size_t x_stride, size_t cols,
                                  size_t steps)
{
    switch (cols) {
#define FLOAT_CASE(c)                                                                              \
    case c:                                                                                        \
        float_tile_block(acc, w, x, x_stride, c, steps);                                           \
        break;
        FLOAT_CASE(1)
        FLOAT_CASE(2)
        FLOAT_CASE(3)
        FLOAT_CASE(4)
        FLOAT_CASE(5)
        FLOAT_CASE(6)
#if HK_VL == 16
        FLOAT_CASE(7)
        FLOAT_CASE(8)
        FLOAT_CASE(9)
        FLOAT_CASE(10)
        FLOAT_CASE(11)
        FLOAT_CASE(12)
#endif
#undef FLOAT_CASE
    }
}

static void float_tile_columns(float *restrict y, size_t ldy, size_t n_rows, const float *tile,
                               const uint8_t *x, size_t x_stride, size_t cols, size_t n)
{
    HB_ALIGNAS(64) float acc[HK_CHAINS][FLOAT_COLS][HK_TILE_ROWS];
    HB_ALIGNAS(64) float part[FLOAT_COLS][FLOAT_PART + 16];
    memset(acc, 0, sizeof acc);
    for (size_t k = 0; k < n; k += FLOAT_PART) {
        size_t end = n - k < FLOAT_PART ? n : k + FLOAT_PART;
        for (size_t c = 0; c < cols; c++)
            memcpy(part[c], x + c * x_stride + k * sizeof(float), (end - k) * sizeof(float));
        for (size_t i = 0; i < HK_CHAINS && k + i < end; i++)
            float_tile_chain_part(acc[i][0], tile + float_tile_row(k + i, n) * HK_TILE_ROWS,
                                  (const uint8_t *)(part[0] + i), sizeof part[0], cols,
                                  (end - k - i + HK_CHAINS - 1) / HK_CHAINS);
    }
    for (size_t c = 0; c < cols; c++)
        for (size_t v = 0; v < HK_TILE_ROWS && v < n_rows; v += HK_VL) {
            hk_vf total = hk_v_load(acc[0][c] + v);
            for (size_t i = 1; i < HK_CHAINS; i++)
                total = hk_v_add(total, hk_v_load(acc[i][c] + v));
            if (n_rows - v >= HK_VL)
                hk_v_store(y + c * ldy + v, total);
            else
                hk_v_store_n(y + c * ldy + v, total, n_rows - v);
        }
}

static void float_tile(float *restrict y, size_t ldy, size_t n_rows,
                                  const void *restrict tile, const void *restrict x,
                                  size_t x_stride, size_t n_cols, size_t n,
                                  const struct hk_qtype_info *info)
{
    (void)info;
    for (size_t c = 0, cols; c < n_cols; c += cols) {
        size_t left = n_cols - c, blocks = (left + FLOAT_COLS - 1) / FLOAT_COLS;
        cols = (left + blocks - 1) / blocks;
        float_tile_columns(y + c * ldy, ldy, n_rows, tile, (const uint8_t *)x + c * x_stride,
                           x_stride, cols, n);
    }
}

HK_TILE_EACH(FLOAT_BODY_OF(hk_tile_float), float_tile)

#endif
