/* Tiles at neon. Products are added as int16 while they fit: all of a (sub-)block, or two groups of
 * wide codes; then widened. Half of the rows at a time, so that the sums stay in registers. */
#define HK_TILE_BODY(prefix) prefix##__neon
#define TILE_LINKAGE
#include "kernels/hk_tile_neon.h"

/* Rows 8 half .. 8 half + 7 of two or four columns: p[c][i] holds rows 2 i and 2 i + 1. */
HB_INLINE void tile_half(int32x4_t (*dot)[4], const uint8_t *u, const size_t half,
                         const size_t n_groups, const uint8_t *q, size_t stride, const bool wide,
                         const int n_cols)
{
    const size_t flush = wide ? 2 : n_groups;
    int32x4_t s[4][4];
    HB_UNROLL for (size_t g = 0; g < n_groups; g += flush)
    {
        int16x8_t p[4][4];
        HB_UNROLL for (size_t f = 0; f < flush; f++)
        {
            const uint8_t *at = u + 64 * (g + f) + 32 * half;
            int8x16_t w0 = hkn_signed(vld1q_u8(at), wide);
            int8x16_t w1 = hkn_signed(vld1q_u8(at + 16), wide);
            HB_UNROLL for (int c = 0; c < n_cols; c++)
            {
                int8x16_t v = vreinterpretq_s8_u32(
                    vdupq_n_u32(hk_load32(q + (size_t)c * stride + 4 * (g + f))));
                int8x8_t h = vget_low_s8(v);
                p[c][0] = f ? vmlal_s8(p[c][0], vget_low_s8(w0), h) : vmull_s8(vget_low_s8(w0), h);
                p[c][1] = f ? vmlal_high_s8(p[c][1], w0, v) : vmull_high_s8(w0, v);
                p[c][2] = f ? vmlal_s8(p[c][2], vget_low_s8(w1), h) : vmull_s8(vget_low_s8(w1), h);
                p[c][3] = f ? vmlal_high_s8(p[c][3], w1, v) : vmull_high_s8(w1, v);
            }
        }
        HB_UNROLL for (int c = 0; c < n_cols; c++) HB_UNROLL for (int i = 0; i < 4; i++)
            s[c][i] = g ? vpadalq_s16(s[c][i], p[c][i]) : vpaddlq_s16(p[c][i]);
    }
    HB_UNROLL for (int c = 0; c < n_cols; c++) HB_UNROLL for (size_t i = 0; i < 2; i++)
        dot[c][2 * half + i] =
            vaddq_s32(dot[c][2 * half + i], vpaddq_s32(s[c][2 * i], s[c][2 * i + 1]));
}

HB_INLINE void tile_dots(int32x4_t (*dot)[4], const uint8_t *u, const size_t n_groups,
                         const uint8_t *q, size_t stride, const bool wide, const int n_cols)
{
    const int step = wide ? 2 : 4;
    HB_UNROLL for (int c = 0; c < n_cols; c += step) HB_UNROLL for (size_t h = 0; h < 2; h++)
        tile_half(dot + c, u, h, n_groups, q + (size_t)c * stride, stride, wide,
                  n_cols - c < step ? n_cols - c : step);
}

#include "kernels/tile_neon_tmpl.c"
