/* Integer matmul of tensors with NEON, at neon and neon_dot (hk_neon.h). Both multiply signed bytes:
 * the left side enters as a - 128, and 128 times the sum of a column comes back at the end. At neon
 * the products of two bytes are widened at once, as (-128)^2 + (-128)^2 leaves int16. */
#include "kernels/quant/hk_neon.h"

#define I8_VECTORS (HK_I8_COLS / 4)

#if defined(__ARM_FEATURE_DOTPROD)
#define I8_BODY      hk_gemm_i8__neon_dot
#define I8_ROW_BLOCK 3
#else
#define I8_BODY      hk_gemm_i8__neon
#define I8_ROW_BLOCK 1
#endif

/* 128 * the sums of the columns */
static void i8_column_sums(int32x4_t fix[I8_VECTORS], const int8_t *tile, size_t k4)
{
    HB_UNROLL for (size_t v = 0; v < I8_VECTORS; v++) fix[v] = vdupq_n_s32(0);
    for (size_t p = 0; p < k4; p++)
        HB_UNROLL for (size_t v = 0; v < I8_VECTORS; v++) fix[v] =
            vpadalq_s16(fix[v], vpaddlq_s8(vld1q_s8(tile + (p * I8_VECTORS + v) * 16)));
    HB_UNROLL for (size_t v = 0; v < I8_VECTORS; v++) fix[v] = vshlq_n_s32(fix[v], 7);
}

/* Four k of a row, in every lane. */
HB_INLINE int8x16_t i8_four(const uint8_t *a)
{
    return vreinterpretq_s8_u32(vdupq_n_u32(hk_load32(a) ^ 0x80808080u));
}

HB_INLINE void i8_rows(int32_t *y, size_t ldy, const uint8_t *a, size_t lda, const int8_t *tile,
                       const size_t rows, size_t k4, const int32x4_t fix[I8_VECTORS])
{
#if defined(__ARM_FEATURE_DOTPROD)
    int32x4_t acc[I8_ROW_BLOCK][I8_VECTORS];
    HB_UNROLL for (size_t r = 0; r < rows; r++) HB_UNROLL for (size_t v = 0; v < I8_VECTORS; v++)
        acc[r][v] = fix[v];
    for (size_t p = 0; p < k4; p++) {
        int8x16_t x[I8_ROW_BLOCK];
        HB_UNROLL for (size_t r = 0; r < rows; r++) x[r] = i8_four(a + r * lda + 4 * p);
        HB_UNROLL for (size_t v = 0; v < I8_VECTORS; v++)
        {
            int8x16_t w = vld1q_s8(tile + (p * I8_VECTORS + v) * 16);
            HB_UNROLL for (size_t r = 0; r < rows; r++) acc[r][v] =
                vdotq_s32(acc[r][v], w, x[r]);
        }
    }
    HB_UNROLL for (size_t r = 0; r < rows; r++) HB_UNROLL for (size_t v = 0; v < I8_VECTORS; v++)
        vst1q_s32(y + r * ldy + 4 * v, acc[r][v]);
#else
    (void)ldy, (void)lda, (void)rows;
    int32x4_t acc[I8_VECTORS][2]; /* of two columns each: k 0 and 1, k 2 and 3 */
    HB_UNROLL for (size_t v = 0; v < I8_VECTORS; v++) acc[v][0] = acc[v][1] = vdupq_n_s32(0);
    for (size_t p = 0; p < k4; p++) {
        int8x16_t x = i8_four(a + 4 * p);
        HB_UNROLL for (size_t v = 0; v < I8_VECTORS; v++)
        {
            int8x16_t w = vld1q_s8(tile + (p * I8_VECTORS + v) * 16);
            acc[v][0] = vpadalq_s16(acc[v][0], vmull_s8(vget_low_s8(w), vget_low_s8(x)));
            acc[v][1] = vpadalq_s16(acc[v][1], vmull_high_s8(w, x));
        }
    }
    HB_UNROLL for (size_t v = 0; v < I8_VECTORS; v++)
        vst1q_s32(y + 4 * v, vaddq_s32(fix[v], vpaddq_s32(acc[v][0], acc[v][1])));
#endif
}

void I8_BODY(int32_t *restrict y, size_t ldy, const uint8_t *restrict a, size_t lda,
             const int8_t *restrict tile, size_t m, size_t k4)
{
    int32x4_t fix[I8_VECTORS];
    i8_column_sums(fix, tile, k4);
    size_t i = 0;
    for (; i + I8_ROW_BLOCK <= m; i += I8_ROW_BLOCK)
        i8_rows(y + i * ldy, ldy, a + i * lda, lda, tile, I8_ROW_BLOCK, k4, fix);
    for (; i < m; i++)
        i8_rows(y + i * ldy, ldy, a + i * lda, lda, tile, 1, k4, fix);
}
