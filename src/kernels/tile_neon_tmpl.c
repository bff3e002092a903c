/* Tiles times columns with NEON: four columns at a time, 16 rows in four registers. Before including:
 * HK_TILE_BODY(prefix), the name of a body of this level, TILE_LINKAGE of its stretches (static if no
 * other file calls them), and
 *
 *     HB_INLINE void tile_dots(int32x4_t (*dot)[4], const uint8_t *u, const size_t n_groups,
 *                              const uint8_t *q, size_t stride, const bool wide, const int n_cols)
 *
 * dot[c][v] += the products of n_groups (4 or 8) groups of four k of rows 4 v .. 4 v + 3 and column c.
 * Codes are multiplied as they are, wide ones as value; hk_neon.h says what fits. */
#include "kernels/hk_tile_neon.h"

#define TILE_EACH(n_cols)                                                                          \
    HB_UNROLL for (int c = 0; c < n_cols; c++) HB_UNROLL for (int v = 0; v < 4; v++)

HB_INLINE void tile_finish(float *acc, const float32x4_t p[4], const struct hkn_cols *x, int c)
{
    float scale = hk_load_float(x->scale + (size_t)c * x->stride);
    HB_UNROLL for (int v = 0; v < 4; v++)
        vst1q_f32(acc + 4 * v, vfmaq_n_f32(vld1q_f32(acc + 4 * v), p[v], scale));
}

/* The 16 sums of column c. */
HB_INLINE void tile_sums(int16x8_t sums[2], const struct hkn_cols *x, int c)
{
    sums[0] = hkn_load_s16(x->sums + (size_t)c * x->stride);
    sums[1] = hkn_load_s16(x->sums + (size_t)c * x->stride + 16);
}

HB_INLINE void tile_b32(float (*acc)[16], const uint8_t *u, const float *d, const float *m,
                        size_t n_blocks, struct hkn_cols x, int offset, const bool has_min,
                        const bool wide, const int n_cols)
{
    int32_t start[4][8]; /* -offset * sum of block */
    float sum[4][8], scale[4][8] = {{0}};
    float32x4_t p[4][4];
    int32_t factor = has_min || wide ? 0 : -offset;
    HB_UNROLL for (int c = 0; c < n_cols; c++)
    {
        int16x8_t s[2];
        tile_sums(s, &x, c);
        memcpy(scale[c], x.scale + (size_t)c * x.stride, n_blocks * sizeof(float));
        HB_UNROLL for (int h = 0; h < 2; h++)
        {
            int32x4_t blocks = vpaddlq_s16(s[h]);
            vst1q_s32(start[c] + 4 * h, vmulq_n_s32(blocks, factor));
            vst1q_f32(sum[c] + 4 * h, vcvtq_f32_s32(blocks));
        }
    }
    TILE_EACH(n_cols) p[c][v] = vld1q_f32(acc[c] + 4 * v);
    for (size_t b = 0; b < n_blocks; b++) {
        int32x4_t dot[4][4];
        TILE_EACH(n_cols) dot[c][v] = vdupq_n_s32(start[c][b]);
        tile_dots(dot, u + 512 * b, 8, x.q + 32 * b, x.stride, wide, n_cols);
        TILE_EACH(n_cols)
        {
            float32x4_t da = vmulq_n_f32(vld1q_f32(d + 16 * b + 4 * v), scale[c][b]);
            p[c][v] = vfmaq_f32(p[c][v], vcvtq_f32_s32(dot[c][v]), da);
            if (has_min) {
                float32x4_t ma = vmulq_n_f32(vld1q_f32(m + 16 * b + 4 * v), scale[c][b]);
                p[c][v] = vfmaq_n_f32(p[c][v], ma, sum[c][b]);
            }
        }
    }
    TILE_EACH(n_cols) vst1q_f32(acc[c] + 4 * v, p[c][v]);
}

/* 16 int8 of the rows as int32 */
HB_INLINE void tile_widen(int32x4_t out[4], const int8_t *p)
{
    int8x16_t v = vld1q_s8(p);
    int16x8_t lo = vmovl_s8(vget_low_s8(v)), hi = vmovl_high_s8(v);
    out[0] = vmovl_s16(vget_low_s16(lo));
    out[1] = vmovl_high_s16(lo);
    out[2] = vmovl_s16(vget_low_s16(hi));
    out[3] = vmovl_high_s16(hi);
}

HB_INLINE void tile_k(float (*acc)[16], const uint8_t *u, const int8_t *sc, const int8_t *mn,
                      const float *d, const float *dmin, struct hkn_cols x, int offset,
                      const bool has_min, const bool wide, const int sub, const int n_cols)
{
    const size_t n_sub = 256 / (size_t)sub;
    int32_t sums[4][16]; /* of a sub-block; times -offset if there is no min */
    int32x4_t isum[4][4], imin[4][4];
    int32_t factor = has_min ? 1 : wide ? 0 : -offset;
    HB_UNROLL for (int c = 0; c < n_cols; c++)
    {
        int16x8_t s[2];
        tile_sums(s, &x, c);
        HB_UNROLL for (int h = 0; h < 2; h++)
        {
            if (sub == 32) {
                vst1q_s32(sums[c] + 4 * h, vmulq_n_s32(vpaddlq_s16(s[h]), factor));
            } else {
                vst1q_s32(sums[c] + 8 * h, vmulq_n_s32(vmovl_s16(vget_low_s16(s[h])), factor));
                vst1q_s32(sums[c] + 8 * h + 4, vmulq_n_s32(vmovl_high_s16(s[h]), factor));
            }
        }
    }
    TILE_EACH(n_cols) isum[c][v] = imin[c][v] = vdupq_n_s32(0);
    for (size_t j = 0; j < n_sub; j++) {
        int32x4_t dot[4][4], scale[4];
        TILE_EACH(n_cols) dot[c][v] = vdupq_n_s32(has_min ? 0 : sums[c][j]);
        tile_dots(dot, u + 16 * (size_t)sub * j, (size_t)sub / 4, x.q + (size_t)sub * j, x.stride,
                  wide, n_cols);
        tile_widen(scale, sc + 16 * j);
        TILE_EACH(n_cols) isum[c][v] = vmlaq_s32(isum[c][v], dot[c][v], scale[v]);
        if (!has_min)
            continue;
        tile_widen(scale, mn + 16 * j);
        TILE_EACH(n_cols) imin[c][v] = vmlaq_n_s32(imin[c][v], scale[v], sums[c][j]);
    }
    HB_UNROLL for (int c = 0; c < n_cols; c++)
    {
        float32x4_t t[4];
        HB_UNROLL for (int v = 0; v < 4; v++)
        {
            t[v] = vmulq_f32(vld1q_f32(d + 4 * v), vcvtq_f32_s32(isum[c][v]));
            if (has_min)
                t[v] = vfmsq_f32(t[v], vld1q_f32(dmin + 4 * v), vcvtq_f32_s32(imin[c][v]));
        }
        tile_finish(acc[c], t, &x, c);
    }
}

/* Columns by fours, then the rest. CALL(width). */
#define TILE_COLUMNS(CALL)                                                                         \
    for (size_t c = 0; c < n_cols;) {                                                              \
        size_t width = n_cols - c < 4 ? n_cols - c : 4;                                            \
        switch (width) {                                                                           \
        case 4: CALL(4); break;                                                                    \
        case 3: CALL(3); break;                                                                    \
        case 2: CALL(2); break;                                                                    \
        default: CALL(1); break;                                                                   \
        }                                                                                          \
        c += width, acc += width;                                                                  \
        x.q += width * x.stride, x.sums += width * x.stride, x.scale += width * x.stride;          \
    }

#define TILE_B32 HK_TILE_BODY(hk_tile_b32_stretch)

TILE_LINKAGE void TILE_B32(float (*acc)[16], const uint8_t *u, const float *d, const float *m,
                           size_t n_blocks, struct hkn_cols x, size_t n_cols, int offset,
                           bool has_min)
{
#define CALL_MIN(w)    tile_b32(acc, u, d, m, n_blocks, x, 0, true, false, w)
#define CALL_WIDE(w)   tile_b32(acc, u, d, m, n_blocks, x, offset, false, true, w)
#define CALL_OFFSET(w) tile_b32(acc, u, d, m, n_blocks, x, offset, false, false, w)
    if (has_min)
        TILE_COLUMNS(CALL_MIN)
    else if (offset == 128)
        TILE_COLUMNS(CALL_WIDE)
    else
        TILE_COLUMNS(CALL_OFFSET)
#undef CALL_MIN
#undef CALL_WIDE
#undef CALL_OFFSET
}

#define CALL_K(sub, min, wide, w) tile_k(acc, u, sc, mn, d, dmin, x, offset, min, wide, sub, w)
#define CALL_MIN_32(w)    CALL_K(32, true, false, w)
#define CALL_WIDE_32(w)   CALL_K(32, false, true, w)
#define CALL_OFFSET_32(w) CALL_K(32, false, false, w)
#define CALL_MIN_16(w)    CALL_K(16, true, false, w)
#define CALL_WIDE_16(w)   CALL_K(16, false, true, w)
#define CALL_OFFSET_16(w) CALL_K(16, false, false, w)
#define TILE_K(name, sub)                                                                          \
    TILE_LINKAGE void HK_TILE_BODY(name)(float (*acc)[16], const uint8_t *u, const int8_t *sc,     \
                                         const int8_t *mn, const float *d, const float *dmin,      \
                                         struct hkn_cols x, size_t n_cols, int offset,             \
                                         bool has_min)                                             \
    {                                                                                              \
        if (has_min)                                                                               \
            TILE_COLUMNS(CALL_MIN_##sub)                                                           \
        else if (offset == 128)                                                                    \
            TILE_COLUMNS(CALL_WIDE_##sub)                                                          \
        else                                                                                       \
            TILE_COLUMNS(CALL_OFFSET_##sub)                                                        \
    }

TILE_K(hk_tile_k32_stretch, 32)
TILE_K(hk_tile_k16_stretch, 16)

static void tile_one_b32(float *restrict y, size_t ldy, size_t n_rows,
                               const void *restrict tile, const void *restrict x, size_t x_stride,
                               size_t n_cols, size_t n, const struct hk_qtype_info *info)
{
    struct hk_tile_layout at = hk_tile_layout(info, n);
    const uint8_t *u = tile;
    const float *d = (const float *)(u + at.scales), *m = (const float *)(u + at.mins);
    for (size_t c = 0; c < n_cols; c += 4) {
        size_t width = n_cols - c < 4 ? n_cols - c : 4;
        const uint8_t *xc = (const uint8_t *)x + c * x_stride;
        float acc[4][16] = {{0}};
        for (size_t b = 0; b < n / 32; b += 8)
            TILE_B32(acc, u + b * 512, d + b * 16, m + b * 16, n / 32 - b < 8 ? n / 32 - b : 8,
                     hkn_cols_at(xc, x_stride, n, b / 8, HK_STRETCH_B32), width, info->offset,
                     info->has_min);
        hkn_store_cols(y + c * ldy, ldy, n_rows, acc, width);
    }
}

HK_TILE_EACH(HK_TILE_BODY(hk_tile_b32), tile_one_b32)

static void tile_superblocks(float *restrict y, size_t ldy, size_t n_rows,
                             const uint8_t *restrict tile, const uint8_t *restrict x,
                             size_t x_stride, size_t n_cols, size_t n,
                             const struct hk_qtype_info *info, size_t n_sub,
                             hkn_k_stretch_fn *stretch)
{
    struct hk_tile_layout at = hk_tile_layout(info, n);
    const int8_t *sc = (const int8_t *)(tile + at.scales), *mn = (const int8_t *)(tile + at.mins);
    const float *d = (const float *)(tile + at.d), *dmin = (const float *)(tile + at.dmin);
    for (size_t c = 0; c < n_cols; c += 4) {
        size_t width = n_cols - c < 4 ? n_cols - c : 4;
        float acc[4][16] = {{0}};
        for (size_t b = 0; b < n / 256; b++)
            stretch(acc, tile + b * 4096, sc + b * n_sub * 16, mn + b * n_sub * 16, d + b * 16,
                    dmin + b * 16, hkn_cols_at(x + c * x_stride, x_stride, n, b, HK_STRETCH),
                    width, info->offset, info->has_min);
        hkn_store_cols(y + c * ldy, ldy, n_rows, acc, width);
    }
}

static void tile_one_k32(float *restrict y, size_t ldy, size_t n_rows,
                               const void *restrict tile, const void *restrict x, size_t x_stride,
                               size_t n_cols, size_t n, const struct hk_qtype_info *info)
{
    tile_superblocks(y, ldy, n_rows, tile, x, x_stride, n_cols, n, info, 8,
                     HK_TILE_BODY(hk_tile_k32_stretch));
}

HK_TILE_EACH(HK_TILE_BODY(hk_tile_k32), tile_one_k32)

static void tile_one_k16(float *restrict y, size_t ldy, size_t n_rows,
                               const void *restrict tile, const void *restrict x, size_t x_stride,
                               size_t n_cols, size_t n, const struct hk_qtype_info *info)
{
    tile_superblocks(y, ldy, n_rows, tile, x, x_stride, n_cols, n, info, 16,
                     HK_TILE_BODY(hk_tile_k16_stretch));
}

HK_TILE_EACH(HK_TILE_BODY(hk_tile_k16), tile_one_k16)
