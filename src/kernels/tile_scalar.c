/* Tiles times columns: the specification (kernels.h, "Matmul" and "tiles"). */
#include "kernels/hk_bodies.h"
#include "kernels/hk_fma.h"

static void tile_scalar_float(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,
                           const void *restrict x, size_t x_stride, size_t n_cols, size_t n,
                           const struct hk_qtype_info *info)
{
    (void)info;
    for (size_t c = 0; c < n_cols; c++) {
        const float *col = (const float *)((const uint8_t *)x + c * x_stride);
        for (size_t r = 0; r < n_rows; r++) {
            const float *w = (const float *)tile + r;
            float total = 0;
            for (size_t i = 0; i < 16; i++) {
                float chain = 0;
                for (size_t k = i; k < n; k += 16, w += HK_TILE_ROWS)
                    chain = hk_fma(*w, col[k], chain);
                total = i == 0 ? chain : total + chain;
            }
            y[c * ldy + r] = total;
        }
    }
}

HK_TILE_EACH(hk_tile_float__scalar, tile_scalar_float)

/* sum (u - offset) * q over n consecutive k of one row of the tile. */
static int32_t tile_scalar_dot(const uint8_t *u, const int8_t *q, size_t n, int offset)
{
    int32_t dot = 0;
    for (size_t k = 0; k < n; k++)
        dot += (u[k / 4 * HK_TILE_ROWS * 4 + k % 4] - offset) * q[k];
    return dot;
}

static void tile_scalar_b32(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,
                         const void *restrict x, size_t x_stride, size_t n_cols, size_t n,
                         const struct hk_qtype_info *info)
{
    struct hk_tile_layout at = hk_tile_layout(info, n);
    const uint8_t *u = tile;
    const float *d = (const float *)(u + at.scales), *m = (const float *)(u + at.mins);
    for (size_t c = 0; c < n_cols; c++) {
        const uint8_t *col = (const uint8_t *)x + c * x_stride;
        const int8_t *q = (const int8_t *)col;
        const float *scale = (const float *)(col + hk_act_scale_off(n));
        const int16_t *sum = (const int16_t *)(col + hk_act_sum_off(n, HK_STRETCH_B32));
        for (size_t r = 0; r < n_rows; r++) {
            float acc = 0;
            for (size_t b = 0; b < n / 32; b++) {
                int32_t dot = tile_scalar_dot(u + (8 * b * HK_TILE_ROWS + r) * 4, q + 32 * b, 32,
                                              info->offset);
                acc = hk_fma((float)dot, d[b * HK_TILE_ROWS + r] * scale[b], acc);
                if (info->has_min)
                    acc = hk_fma((float)(sum[2 * b] + sum[2 * b + 1]),
                                 m[b * HK_TILE_ROWS + r] * scale[b], acc);
            }
            y[c * ldy + r] = acc;
        }
    }
}

HK_TILE_EACH(hk_tile_b32__scalar, tile_scalar_b32)

/* K32 and K16: superblocks with integer sub-scales per `sub` elements. */
static void tile_scalar_k(float *restrict y, size_t ldy, size_t n_rows,
                          const uint8_t *restrict tile, const uint8_t *restrict x, size_t x_stride,
                          size_t n_cols, size_t n, const struct hk_qtype_info *info, size_t sub)
{
    struct hk_tile_layout at = hk_tile_layout(info, n);
    const int8_t *sc = (const int8_t *)(tile + at.scales), *mn = (const int8_t *)(tile + at.mins);
    const float *d = (const float *)(tile + at.d), *dmin = (const float *)(tile + at.dmin);
    size_t n_sub = 256 / sub;
    for (size_t c = 0; c < n_cols; c++) {
        const uint8_t *col = x + c * x_stride;
        const float *scale = (const float *)(col + hk_act_scale_off(n));
        const int16_t *sums = (const int16_t *)(col + hk_act_sum_off(n, HK_STRETCH));
        for (size_t r = 0; r < n_rows; r++) {
            float acc = 0;
            for (size_t b = 0; b < n / 256; b++) {
                int32_t isum = 0, imin = 0;
                for (size_t j = b * n_sub; j < (b + 1) * n_sub; j++) {
                    size_t k = j * sub;
                    isum += sc[j * HK_TILE_ROWS + r] *
                            tile_scalar_dot(tile + (k / 4 * HK_TILE_ROWS + r) * 4,
                                            (const int8_t *)col + k, sub, info->offset);
                    if (info->has_min)
                        imin += mn[j * HK_TILE_ROWS + r] *
                                (sub == 16 ? sums[j] : sums[2 * j] + sums[2 * j + 1]);
                }
                float t = d[b * HK_TILE_ROWS + r] * (float)isum;
                if (info->has_min)
                    t = hk_fma(-dmin[b * HK_TILE_ROWS + r], (float)imin, t);
                acc = hk_fma(t, scale[b], acc);
            }
            y[c * ldy + r] = acc;
        }
    }
}

static void tile_scalar_k32(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,
                         const void *restrict x, size_t x_stride, size_t n_cols, size_t n,
                         const struct hk_qtype_info *info)
{
    tile_scalar_k(y, ldy, n_rows, tile, x, x_stride, n_cols, n, info, 32);
}

HK_TILE_EACH(hk_tile_k32__scalar, tile_scalar_k32)

static void tile_scalar_k16(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,
                         const void *restrict x, size_t x_stride, size_t n_cols, size_t n,
                         const struct hk_qtype_info *info)
{
    tile_scalar_k(y, ldy, n_rows, tile, x, x_stride, n_cols, n, info, 16);
}

HK_TILE_EACH(hk_tile_k16__scalar, tile_scalar_k16)
