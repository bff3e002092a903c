/* Integer matmul at avx2: bytes widened to 16 bits, whose products in pairs are exact; 2 rows times 32
 * columns. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_unroll.h"
#include <immintrin.h>
#include <string.h>

HB_INLINE void gemm_i8_row(int32_t *restrict y, const uint8_t *restrict a,
                           const int8_t *restrict tile, size_t k4)
{
    __m256i acc[8]; /* pairs of sums of four columns each */
    HK_UNROLL(8)
    for (int c = 0; c < 8; c++)
        acc[c] = _mm256_setzero_si256();
    for (size_t p = 0; p < k4; p++) {
        int32_t four;
        memcpy(&four, a + p * 4, 4);
        __m256i x = _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
        HK_UNROLL(8)
        for (int c = 0; c < 8; c++) {
            __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(tile + p * 128 + c * 16));
            acc[c] = _mm256_add_epi32(acc[c], _mm256_madd_epi16(x, _mm256_cvtepi8_epi16(b)));
        }
    }
    HK_UNROLL(4)
    for (int c = 0; c < 4; c++) { /* add the pairs, put the lanes in order */
        __m256i s = _mm256_hadd_epi32(acc[2 * c], acc[2 * c + 1]);
        _mm256_storeu_si256((__m256i *)(void *)(y + 8 * c), _mm256_permute4x64_epi64(s, 0xD8));
    }
}

void hk_gemm_i8__avx2(int32_t *restrict y, size_t ldy, const uint8_t *restrict a, size_t lda,
                      const int8_t *restrict tile, size_t m, size_t k4)
{
    for (size_t i = 0; i < m; i++)
        gemm_i8_row(y + i * ldy, a + i * lda, tile, k4);
}
