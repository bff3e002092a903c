/* Tiles at neon_i8mm: two rows times two columns of eight k is one instruction. A register then holds
 * row a, row b of column 0 and 1 in turns. */
#define HK_TILE_BODY(prefix) prefix##__neon_i8mm
#define TILE_LINKAGE         static
#include "kernels/hk_tile_neon.h"

/* Eight k of columns c and c + 1; an odd last column is its own neighbour. */
HB_INLINE int8x16_t tile_two(const uint8_t *q, size_t stride, int c, int n_cols)
{
    uint8x8_t a = vld1_u8(q + (size_t)c * stride);
    uint8x8_t b = c + 1 < n_cols ? vld1_u8(q + (size_t)(c + 1) * stride) : a;
    return vreinterpretq_s8_u8(vcombine_u8(a, b));
}

HB_INLINE void tile_dots(int32x4_t (*dot)[4], const uint8_t *u, const size_t n_groups,
                         const uint8_t *q, size_t stride, const bool wide, const int n_cols)
{
    int32x4_t s[2][8];
    const int pairs = (n_cols + 1) / 2;
    HB_UNROLL for (int c = 0; c < pairs; c++) HB_UNROLL for (int i = 0; i < 8; i++) s[c][i] =
        vdupq_n_s32(0);
    HB_UNROLL for (size_t g = 0; g < n_groups; g += 2)
    {
        int8x16_t x[2];
        HB_UNROLL for (int c = 0; c < pairs; c++) x[c] = tile_two(q + 4 * g, stride, 2 * c, n_cols);
        HB_UNROLL for (int v = 0; v < 4; v++)
        {
            uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(u + 64 * g + 16 * v));
            uint32x4_t b = vreinterpretq_u32_u8(vld1q_u8(u + 64 * g + 64 + 16 * v));
            int8x16_t lo = hkn_signed(vreinterpretq_u8_u32(vzip1q_u32(a, b)), wide);
            int8x16_t hi = hkn_signed(vreinterpretq_u8_u32(vzip2q_u32(a, b)), wide);
            HB_UNROLL for (int c = 0; c < pairs; c++)
            {
                s[c][2 * v] = vmmlaq_s32(s[c][2 * v], lo, x[c]);
                s[c][2 * v + 1] = vmmlaq_s32(s[c][2 * v + 1], hi, x[c]);
            }
        }
    }
    HB_UNROLL for (int c = 0; c < n_cols; c++) HB_UNROLL for (int v = 0; v < 4; v++)
    {
        int32x4_t a = s[c / 2][2 * v], b = s[c / 2][2 * v + 1];
        dot[c][v] = vaddq_s32(dot[c][v], c % 2 ? vuzp2q_s32(a, b) : vuzp1q_s32(a, b));
    }
}

#include "kernels/tile_neon_tmpl.c"
