/* Float matmul of tensors at neon: 6 rows of a times four vectors of columns in registers. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_fma.h"
#include <arm_neon.h>

#define GEMM_ROW_BLOCK 6

/* 16 columns */
HB_INLINE void gemm_block(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                          const float *restrict b, size_t ldb, const size_t rows, size_t k,
                          bool add)
{
    float32x4_t acc[GEMM_ROW_BLOCK][4];
    HB_UNROLL for (size_t i = 0; i < rows; i++) HB_UNROLL for (size_t v = 0; v < 4; v++)
        acc[i][v] = add ? vld1q_f32(y + i * ldy + 4 * v) : vdupq_n_f32(0.0f);
    for (size_t p = 0; p < k; p++) {
        float32x4_t bp[4];
        HB_UNROLL for (size_t v = 0; v < 4; v++) bp[v] = vld1q_f32(b + p * ldb + 4 * v);
        HB_UNROLL for (size_t i = 0; i < rows; i++) HB_UNROLL for (size_t v = 0; v < 4; v++)
            acc[i][v] = vfmaq_n_f32(acc[i][v], bp[v], a[i * lda + p]);
    }
    HB_UNROLL for (size_t i = 0; i < rows; i++) HB_UNROLL for (size_t v = 0; v < 4; v++)
        vst1q_f32(y + i * ldy + 4 * v, acc[i][v]);
}

/* Fewer than 16 columns. */
static void gemm_narrow(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                        const float *restrict b, size_t ldb, size_t m, size_t n, size_t k, bool add)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float sum = add ? y[i * ldy + j] : 0.0f;
            for (size_t p = 0; p < k; p++)
                sum = hk_fma(a[i * lda + p], b[p * ldb + j], sum);
            y[i * ldy + j] = sum;
        }
}

#define GEMM_ROWS_CASE(r)                                                                          \
    case r:                                                                                        \
        gemm_block(yi, ldy, ai, lda, b, ldb, r, k, add);                                           \
        break

static void gemm_wide(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                      const float *restrict b, size_t ldb, size_t m, size_t k, bool add)
{
    for (size_t i = 0; i < m; i += GEMM_ROW_BLOCK) {
        float *yi = y + i * ldy;
        const float *ai = a + i * lda;
        switch (m - i) {
            GEMM_ROWS_CASE(1);
            GEMM_ROWS_CASE(2);
            GEMM_ROWS_CASE(3);
            GEMM_ROWS_CASE(4);
            GEMM_ROWS_CASE(5);
        default:
            gemm_block(yi, ldy, ai, lda, b, ldb, GEMM_ROW_BLOCK, k, add);
        }
    }
}

void hk_gemm_f32__neon(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                       const float *restrict b, size_t ldb, size_t m, size_t n, size_t k, bool add)
{
    size_t j = 0;
    for (; j + 16 <= n; j += 16)
        gemm_wide(y + j, ldy, a, lda, b + j, ldb, m, k, add);
    if (j < n)
        gemm_narrow(y + j, ldy, a, lda, b + j, ldb, m, n - j, k, add);
}
