/* Integer matmul at avx512: 12 rows times two vectors of 16 columns, four products a step. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_unroll.h"
#include <immintrin.h>
#include <string.h>

#define I8_ROWS  12
#define I8_AHEAD 2048 /* bytes of the tile that are asked for before their use */

HB_INLINE void gemm_i8_block(int32_t *restrict y, size_t ldy, const uint8_t *restrict a, size_t lda,
                             const int8_t *restrict tile, const size_t rows, size_t k4)
{
    __m512i lo[I8_ROWS], hi[I8_ROWS];
    HK_UNROLL(12)
    for (size_t i = 0; i < rows; i++)
        lo[i] = hi[i] = _mm512_setzero_si512();
    for (size_t p = 0; p < k4; p++) {
        _mm_prefetch((const char *)((uintptr_t)tile + p * 128 + I8_AHEAD), _MM_HINT_T0);
        _mm_prefetch((const char *)((uintptr_t)tile + p * 128 + I8_AHEAD + 64), _MM_HINT_T0);
        __m512i b0 = _mm512_loadu_si512(tile + p * 128), b1 = _mm512_loadu_si512(tile + p * 128 + 64);
        HK_UNROLL(12)
        for (size_t i = 0; i < rows; i++) {
            int32_t four;
            memcpy(&four, a + i * lda + p * 4, 4);
            __m512i x = _mm512_set1_epi32(four);
            lo[i] = _mm512_dpbusd_epi32(lo[i], x, b0);
            hi[i] = _mm512_dpbusd_epi32(hi[i], x, b1);
        }
    }
    HK_UNROLL(12)
    for (size_t i = 0; i < rows; i++) {
        _mm512_storeu_si512(y + i * ldy, lo[i]);
        _mm512_storeu_si512(y + i * ldy + 16, hi[i]);
    }
}

#define I8_CASE(r)                                                                                 \
    case r:                                                                                        \
        gemm_i8_block(y, ldy, a, lda, tile, r, k4);                                                \
        break

void hk_gemm_i8__avx512(int32_t *restrict y, size_t ldy, const uint8_t *restrict a, size_t lda,
                        const int8_t *restrict tile, size_t m, size_t k4)
{
    for (size_t blocks = (m + I8_ROWS - 1) / I8_ROWS; blocks > 0; blocks--) {
        size_t rows = (m + blocks - 1) / blocks; /* about as many in each */
        switch (rows) {
            I8_CASE(1);
            I8_CASE(2);
            I8_CASE(3);
            I8_CASE(4);
            I8_CASE(5);
            I8_CASE(6);
            I8_CASE(7);
            I8_CASE(8);
            I8_CASE(9);
            I8_CASE(10);
            I8_CASE(11);
            I8_CASE(12);
        default:
            break;
        }
        y += rows * ldy;
        a += rows * lda;
        m -= rows;
    }
}
