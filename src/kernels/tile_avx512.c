/* Tiles times columns with AVX-512 VNNI (hk_tile_avx512.h); float tiles below. */
#include "kernels/hk_tile_avx512.h"

static struct hk512_cols tile_avx512_skip(struct hk512_cols x, size_t c)
{
    size_t by = c * x.stride;
    return (struct hk512_cols){x.q + by, x.sums + by, x.scale + by, x.stride};
}

void hk_tile_b32_stretch__avx512(hk512_sums16 *acc, const uint8_t *u, const float *d,
                                 const float *m, size_t next, size_t n_blocks, struct hk512_cols x,
                                 size_t n_cols, int offset, bool has_min)
{
#define CALL(width, first, off, min)                                                               \
    hk512_b32_cols(acc + (first), u, d, m, next, n_blocks, tile_avx512_skip(x, first), off, min,   \
                   width)
#define CALL_MIN(width, first)    CALL(width, first, 0, true)
#define CALL_OFFSET(width, first) CALL(width, first, offset, false)
    if (has_min)
        HK512_SPLIT_COLS(n_cols, CALL_MIN)
    else
        HK512_SPLIT_COLS(n_cols, CALL_OFFSET)
#undef CALL
#undef CALL_MIN
#undef CALL_OFFSET
}

#define TILE_K(name, sub)                                                                          \
    void hk_tile_##name##_stretch__avx512(                                                         \
        hk512_sums16 *acc, const uint8_t *u, const int8_t *sc, const int8_t *mn, const float *d,   \
        const float *dmin, size_t next, struct hk512_cols x, size_t n_cols, int offset,            \
        bool has_min)                                                                              \
    {                                                                                              \
        if (has_min)                                                                               \
            HK512_SPLIT_COLS(n_cols, CALL_MIN_##sub)                                               \
        else                                                                                       \
            HK512_SPLIT_COLS(n_cols, CALL_OFFSET_##sub)                                            \
    }
#define CALL_K(sub, width, first, off, min)                                                        \
    hk512_k_cols(acc + (first), u, sc, mn, d, dmin, next, tile_avx512_skip(x, first), off, min,    \
                 sub, width)
#define CALL_MIN_32(width, first)    CALL_K(32, width, first, 0, true)
#define CALL_MIN_16(width, first)    CALL_K(16, width, first, 0, true)
#define CALL_OFFSET_32(width, first) CALL_K(32, width, first, offset, false)
#define CALL_OFFSET_16(width, first) CALL_K(16, width, first, offset, false)

TILE_K(k32, 32)
TILE_K(k16, 16)

/* Panels of columns; within one the stretches, so that those of the tiles stay in the first cache. */
void hk_tile_b32__avx512(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,
                         const void *restrict x, size_t x_stride, size_t n_cols, size_t n,
                         const struct hk_qtype_info *info)
{
    struct hk_tile_layout at = hk_tile_layout(info, n);
    const uint8_t *u = tile;
    const float *d = (const float *)(u + at.scales), *m = (const float *)(u + at.mins);
    HB_ALIGNAS(64) hk512_sums16 acc[HK512_PANEL];
    for (size_t c = 0; c < n_cols; c += HK512_PANEL) {
        size_t width = n_cols - c < HK512_PANEL ? n_cols - c : HK512_PANEL;
        const uint8_t *xc = (const uint8_t *)x + c * x_stride;
        memset(acc, 0, width * sizeof *acc);
        for (size_t b = 0; b < n / 32; b += 8)
            hk_tile_b32_stretch__avx512(acc, u + b * 512, d + b * 16, m + b * 16,
                                        n_rows > 16 ? at.bytes : 0, n / 32 - b < 8 ? n / 32 - b : 8,
                                        hk512_cols_at(xc, x_stride, n, b / 8, HK_STRETCH_B32),
                                        width, info->offset, info->has_min);
        hk512_store_sums(y + c * ldy, ldy, n_rows, acc, width);
    }
}

static void tile_avx512_k(float *restrict y, size_t ldy, size_t n_rows,
                          const uint8_t *restrict tile, const uint8_t *restrict x, size_t x_stride,
                          size_t n_cols, size_t n, const struct hk_qtype_info *info, size_t n_sub,
                          hk512_k_stretch_fn *stretch)
{
    struct hk_tile_layout at = hk_tile_layout(info, n);
    const int8_t *sc = (const int8_t *)(tile + at.scales), *mn = (const int8_t *)(tile + at.mins);
    const float *d = (const float *)(tile + at.d), *dmin = (const float *)(tile + at.dmin);
    HB_ALIGNAS(64) hk512_sums16 acc[HK512_PANEL];
    for (size_t c = 0; c < n_cols; c += HK512_PANEL) {
        size_t width = n_cols - c < HK512_PANEL ? n_cols - c : HK512_PANEL;
        const uint8_t *xc = x + c * x_stride;
        memset(acc, 0, width * sizeof *acc);
        for (size_t b = 0; b < n / 256; b++)
            stretch(acc, tile + b * 4096, sc + b * n_sub * 16, mn + b * n_sub * 16, d + b * 16,
                    dmin + b * 16, n_rows > 16 ? at.bytes : 0,
                    hk512_cols_at(xc, x_stride, n, b, HK_STRETCH), width, info->offset,
                    info->has_min);
        hk512_store_sums(y + c * ldy, ldy, n_rows, acc, width);
    }
}

void hk_tile_k32__avx512(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,
                         const void *restrict x, size_t x_stride, size_t n_cols, size_t n,
                         const struct hk_qtype_info *info)
{
    tile_avx512_k(y, ldy, n_rows, tile, x, x_stride, n_cols, n, info, 8,
                  hk_tile_k32_stretch__avx512);
}

void hk_tile_k16__avx512(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,
                         const void *restrict x, size_t x_stride, size_t n_cols, size_t n,
                         const struct hk_qtype_info *info)
{
    tile_avx512_k(y, ldy, n_rows, tile, x, x_stride, n_cols, n, info, 16,
                  hk_tile_k16_stretch__avx512);
}

/* ---- float tiles ----------------------------------------------------------------------------
 *
 * Six columns times four chains in registers. Chains of 512 k at a time, kept in memory between the
 * pieces, so that the columns stay in the first cache while the four chains of a step pass. */
#define TILE_COLS  6
#define TILE_PIECE 32

HB_INLINE void tile_avx512_chains(__m512 (*acc)[16], const float *w, size_t whole, size_t longer,
                                  const uint8_t *x, size_t x_stride, size_t from, size_t to,
                                  const int n_cols)
{
    for (size_t i = 0; i < 16; i += 4) {
        __m512 a[TILE_COLS][4];
        const float *chain[4];
        HK_UNROLL(4)
        for (size_t l = 0; l < 4; l++)
            chain[l] = w + ((i + l) * whole + (i + l < longer ? i + l : longer)) * 16;
        HK_UNROLL(6)
        for (int c = 0; c < n_cols; c++)
            HK_UNROLL(4)
        for (int l = 0; l < 4; l++)
            a[c][l] = acc[c][i + (size_t)l];
        for (size_t j = from; j < to; j++) {
            const uint8_t *q = x + (16 * j + i) * sizeof(float);
            HK_UNROLL(4)
            for (int l = 0; l < 4; l++) {
                __m512 wl = _mm512_load_ps(chain[l] + 16 * j);
                HK_UNROLL(6)
                for (int c = 0; c < n_cols; c++) {
                    float f;
                    memcpy(&f, q + (size_t)c * x_stride + 4 * l, sizeof f);
                    a[c][l] = _mm512_fmadd_ps(wl, _mm512_set1_ps(f), a[c][l]);
                }
            }
        }
        HK_UNROLL(6)
        for (int c = 0; c < n_cols; c++)
            HK_UNROLL(4)
        for (int l = 0; l < 4; l++)
            acc[c][i + (size_t)l] = a[c][l];
    }
}

HB_INLINE void tile_avx512_float_cols(float *y, size_t ldy, size_t n_rows, const float *w,
                                      const uint8_t *x, size_t x_stride, size_t n, const int n_cols)
{
    __m512 acc[TILE_COLS][16];
    size_t whole = n / 16, longer = n % 16;
    for (int c = 0; c < n_cols; c++)
        for (int i = 0; i < 16; i++)
            acc[c][i] = _mm512_setzero_ps();
    for (size_t j = 0; j < whole; j += TILE_PIECE)
        tile_avx512_chains(acc, w, whole, longer, x, x_stride, j,
                           whole - j < TILE_PIECE ? whole : j + TILE_PIECE, n_cols);
    for (int c = 0; c < n_cols; c++) {
        const float *col = (const float *)(x + (size_t)c * x_stride);
        for (size_t i = 0; i < longer; i++)
            acc[c][i] = _mm512_fmadd_ps(_mm512_load_ps(w + (i * whole + i + whole) * 16),
                                        _mm512_set1_ps(col[16 * whole + i]), acc[c][i]);
        __m512 sum = acc[c][0];
        for (int i = 1; i < 16; i++)
            sum = _mm512_add_ps(sum, acc[c][i]);
        _mm512_mask_storeu_ps(y + (size_t)c * ldy, (__mmask16)((1u << n_rows) - 1), sum);
    }
}

static void tile_avx512_float(float *restrict y, size_t ldy, size_t n_rows,
                              const void *restrict tile, const void *restrict x, size_t x_stride,
                              size_t n_cols, size_t n, const struct hk_qtype_info *info)
{
    (void)info;
    for (size_t c = 0; c < n_cols; c += TILE_COLS) {
        const uint8_t *xc = (const uint8_t *)x + c * x_stride;
        float *yc = y + c * ldy;
        switch (n_cols - c) {
        case 1:
            tile_avx512_float_cols(yc, ldy, n_rows, tile, xc, x_stride, n, 1);
            break;
        case 2:
            tile_avx512_float_cols(yc, ldy, n_rows, tile, xc, x_stride, n, 2);
            break;
        case 3:
            tile_avx512_float_cols(yc, ldy, n_rows, tile, xc, x_stride, n, 3);
            break;
        case 4:
            tile_avx512_float_cols(yc, ldy, n_rows, tile, xc, x_stride, n, 4);
            break;
        case 5:
            tile_avx512_float_cols(yc, ldy, n_rows, tile, xc, x_stride, n, 5);
            break;
        default:
            tile_avx512_float_cols(yc, ldy, n_rows, tile, xc, x_stride, n, 6);
            break;
        }
    }
}

HK_TILE_EACH(hk_tile_float__avx512, tile_avx512_float)
