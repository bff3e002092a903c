/* Float matmul of tensors at avx512: 12 rows of a times two vectors of columns in registers. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_unroll.h"
#include <immintrin.h>

#define GEMM_ROW_BLOCK 12

HB_INLINE void gemm_block(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                          const float *restrict b, size_t ldb, const size_t rows, size_t k,
                          bool add, __mmask16 m0, __mmask16 m1)
{
    __m512 lo[GEMM_ROW_BLOCK], hi[GEMM_ROW_BLOCK];
    HK_UNROLL(12)
    for (size_t i = 0; i < rows; i++) {
        lo[i] = add ? _mm512_maskz_loadu_ps(m0, y + i * ldy) : _mm512_setzero_ps();
        hi[i] = add ? _mm512_maskz_loadu_ps(m1, y + i * ldy + 16) : _mm512_setzero_ps();
    }
    for (size_t p = 0; p < k; p++) {
        __m512 b0 = _mm512_maskz_loadu_ps(m0, b + p * ldb);
        __m512 b1 = _mm512_maskz_loadu_ps(m1, b + p * ldb + 16);
        HK_UNROLL(12)
        for (size_t i = 0; i < rows; i++) {
            __m512 x = _mm512_set1_ps(a[i * lda + p]);
            lo[i] = _mm512_fmadd_ps(x, b0, lo[i]);
            hi[i] = _mm512_fmadd_ps(x, b1, hi[i]);
        }
    }
    HK_UNROLL(12)
    for (size_t i = 0; i < rows; i++) {
        _mm512_mask_storeu_ps(y + i * ldy, m0, lo[i]);
        _mm512_mask_storeu_ps(y + i * ldy + 16, m1, hi[i]);
    }
}

#define GEMM_ROWS_CASE(r)                                                                          \
    case r:                                                                                        \
        gemm_block(y, ldy, a, lda, b, ldb, r, k, add, m0, m1);                                     \
        break

void hk_gemm_f32__avx512(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                         const float *restrict b, size_t ldb, size_t m, size_t n, size_t k,
                         bool add)
{
    __mmask16 m0 = (__mmask16)(n >= 16 ? 0xFFFFu : (1u << n) - 1);
    __mmask16 m1 = (__mmask16)(n >= 32 ? 0xFFFFu : n > 16 ? (1u << (n - 16)) - 1 : 0);
    for (; m >= GEMM_ROW_BLOCK; m -= GEMM_ROW_BLOCK) {
        gemm_block(y, ldy, a, lda, b, ldb, GEMM_ROW_BLOCK, k, add, m0, m1);
        y += GEMM_ROW_BLOCK * ldy;
        a += GEMM_ROW_BLOCK * lda;
    }
    switch (m) {
        GEMM_ROWS_CASE(1);
        GEMM_ROWS_CASE(2);
        GEMM_ROWS_CASE(3);
        GEMM_ROWS_CASE(4);
        GEMM_ROWS_CASE(5);
        GEMM_ROWS_CASE(6);
        GEMM_ROWS_CASE(7);
        GEMM_ROWS_CASE(8);
        GEMM_ROWS_CASE(9);
        GEMM_ROWS_CASE(10);
        GEMM_ROWS_CASE(11);
    default:
        break;
    }
}
