/* Float matmul of tensors at avx512: 12 rows of a times two vectors of columns in registers. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_unroll.h"
#include <immintrin.h>

#define GEMM_ROW_BLOCK 12
#define GEMM_AHEAD     16 /* rows of b that are asked for before their use: weights come from far away */

/* Four pointers, three rows from each, because twelve do not fit the integer registers; the compiler must not
 * turn them into twelve again. whole: all 32 columns, m0 and m1 are not looked at. */
HB_INLINE void gemm_block(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                          const float *restrict b, size_t ldb, const size_t rows, size_t k,
                          bool add, const bool whole, __mmask16 m0, __mmask16 m1)
{
    __m512 lo[GEMM_ROW_BLOCK], hi[GEMM_ROW_BLOCK];
    const float *from[4] = {a, a + 3 * lda, a + 6 * lda, a + 9 * lda};
    HK_UNROLL(12)
    for (size_t i = 0; i < rows; i++) {
        lo[i] = add ? _mm512_maskz_loadu_ps(m0, y + i * ldy) : _mm512_setzero_ps();
        hi[i] = add ? _mm512_maskz_loadu_ps(m1, y + i * ldy + 16) : _mm512_setzero_ps();
    }
    for (size_t p = 0; p < k; p++) {
        __m512 b0 = whole ? _mm512_loadu_ps(b) : _mm512_maskz_loadu_ps(m0, b);
        __m512 b1 = whole ? _mm512_loadu_ps(b + 16) : _mm512_maskz_loadu_ps(m1, b + 16);
        uintptr_t next = (uintptr_t)b + GEMM_AHEAD * ldb * sizeof *b;
        _mm_prefetch((const char *)next, _MM_HINT_T0);
        _mm_prefetch((const char *)(next + 64), _MM_HINT_T0);
        HK_UNROLL(12)
        for (size_t i = 0; i < rows; i++) {
            __m512 x = _mm512_set1_ps(from[i / 3][i % 3 * lda]);
            lo[i] = _mm512_fmadd_ps(x, b0, lo[i]);
            hi[i] = _mm512_fmadd_ps(x, b1, hi[i]);
        }
        b += ldb;
        from[0]++, from[1]++, from[2]++, from[3]++;
        HK_OPAQUE4(from[0], from[1], from[2], from[3]);
    }
    HK_UNROLL(12)
    for (size_t i = 0; i < rows; i++) {
        _mm512_mask_storeu_ps(y + i * ldy, m0, lo[i]);
        _mm512_mask_storeu_ps(y + i * ldy + 16, m1, hi[i]);
    }
}

#define GEMM_ROWS_CASE(r)                                                                          \
    case r:                                                                                        \
        gemm_block(y, ldy, a, lda, b, ldb, r, k, add, whole, m0, m1);                              \
        break

HB_INLINE void gemm_rows(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                         const float *restrict b, size_t ldb, size_t m, size_t k, bool add,
                         const bool whole, __mmask16 m0, __mmask16 m1)
{
    for (size_t blocks = (m + GEMM_ROW_BLOCK - 1) / GEMM_ROW_BLOCK; blocks > 0; blocks--) {
        size_t rows = (m + blocks - 1) / blocks; /* about as many in each */
        switch (rows) {
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
            GEMM_ROWS_CASE(12);
        default:
            break;
        }
        y += rows * ldy;
        a += rows * lda;
        m -= rows;
    }
}

void hk_gemm_f32__avx512(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                         const float *restrict b, size_t ldb, size_t m, size_t n, size_t k,
                         bool add)
{
    __mmask16 m0 = (__mmask16)(n >= 16 ? 0xFFFFu : (1u << n) - 1);
    __mmask16 m1 = (__mmask16)(n >= 32 ? 0xFFFFu : n > 16 ? (1u << (n - 16)) - 1 : 0);
    if (n == 32)
        gemm_rows(y, ldy, a, lda, b, ldb, m, k, add, true, m0, m1);
    else
        gemm_rows(y, ldy, a, lda, b, ldb, m, k, add, false, m0, m1);
}
