/* Float matmul of tensors at avx2: 6 rows of a times two vectors of columns in registers. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_unroll.h"
#include <immintrin.h>

#define GEMM_ROW_BLOCK 6

HB_INLINE void gemm_block(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                          const float *restrict b, size_t ldb, const size_t rows, size_t k,
                          bool add)
{
    __m256 lo[GEMM_ROW_BLOCK], hi[GEMM_ROW_BLOCK];
    HK_UNROLL(6)
    for (size_t i = 0; i < rows; i++) {
        lo[i] = add ? _mm256_loadu_ps(y + i * ldy) : _mm256_setzero_ps();
        hi[i] = add ? _mm256_loadu_ps(y + i * ldy + 8) : _mm256_setzero_ps();
    }
    for (size_t p = 0; p < k; p++) {
        __m256 b0 = _mm256_loadu_ps(b + p * ldb), b1 = _mm256_loadu_ps(b + p * ldb + 8);
        HK_UNROLL(6)
        for (size_t i = 0; i < rows; i++) {
            __m256 x = _mm256_broadcast_ss(a + i * lda + p);
            lo[i] = _mm256_fmadd_ps(x, b0, lo[i]);
            hi[i] = _mm256_fmadd_ps(x, b1, hi[i]);
        }
    }
    HK_UNROLL(6)
    for (size_t i = 0; i < rows; i++) {
        _mm256_storeu_ps(y + i * ldy, lo[i]);
        _mm256_storeu_ps(y + i * ldy + 8, hi[i]);
    }
}

/* Fewer than 16 columns. */
static void gemm_narrow(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                        const float *restrict b, size_t ldb, size_t m, size_t n, size_t k, bool add)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float sum = add ? y[i * ldy + j] : 0.0f;
            for (size_t p = 0; p < k; p++)
                sum = __builtin_fmaf(a[i * lda + p], b[p * ldb + j], sum);
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

void hk_gemm_f32__avx2(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                       const float *restrict b, size_t ldb, size_t m, size_t n, size_t k, bool add)
{
    size_t j = 0;
    for (; j + 16 <= n; j += 16)
        gemm_wide(y + j, ldy, a, lda, b + j, ldb, m, k, add);
    if (j < n)
        gemm_narrow(y + j, ldy, a, lda, b + j, ldb, m, n - j, k, add);
}
