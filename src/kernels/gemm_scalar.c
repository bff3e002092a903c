/* Float matmul of tensors: y[m][n] = sum over k ascending of a[m][k] * b[k][n], one chain per output.
 * Lanes of faster levels are outputs, so every level adds in this order. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_fma.h"

void hk_gemm_f32__scalar(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                         const float *restrict b, size_t ldb, size_t m, size_t n, size_t k,
                         bool add)
{
    for (size_t i = 0; i < m; i++) {
        if (!add)
            for (size_t j = 0; j < n; j++)
                y[i * ldy + j] = 0.0f;
        for (size_t p = 0; p < k; p++)
            for (size_t j = 0; j < n; j++)
                y[i * ldy + j] = hk_fma(a[i * lda + p], b[p * ldb + j], y[i * ldy + j]);
    }
}
