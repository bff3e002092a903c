/* Integer matmul at avx512: 12 rows times two vectors of 16 columns, four products a step. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_unroll.h"
#include <immintrin.h>
#include <string.h>

#define I8_ROWS 12

HB_INLINE void gemm_i8_block(int32_t *restrict y, size_t ldy, const uint8_t *restrict a, size_t lda,
                             const int8_t *restrict tile, const size_t rows, size_t k4)
{
    __m512i lo[I8_ROWS], hi[I8_ROWS];
    HK_UNROLL(12)
    for (size_t i = 0; i < rows; i++)
        lo[i] = hi[i] = _mm512_setzero_si512();
    for (size_t p = 0; p < k4; p++) {
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
    for (; m >= I8_ROWS; m -= I8_ROWS) {
        gemm_i8_block(y, ldy, a, lda, tile, I8_ROWS, k4);
        y += I8_ROWS * ldy;
        a += I8_ROWS * lda;
    }
    switch (m) {
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
    default:
        break;
    }
}

void hk_dynamic_quantize_u8__avx512(uint8_t *restrict y, float *restrict scale,
                                    uint8_t *restrict zero, const float *restrict x, size_t n)
{
    __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) { /* min(x, low) keeps low where x is NaN */
        __m512 v = _mm512_loadu_ps(x + i);
        low = _mm512_min_ps(v, low);
        high = _mm512_max_ps(v, high);
    }
    if (i < n) {
        __m512 v = _mm512_maskz_loadu_ps((__mmask16)((1u << (n - i)) - 1), x + i);
        low = _mm512_min_ps(v, low);
        high = _mm512_max_ps(v, high);
    }
    float l = _mm512_reduce_min_ps(low), h = _mm512_reduce_max_ps(high);
    l = l == 0.0f ? 0.0f : l;
    h = h == 0.0f ? 0.0f : h;
    float s = (h - l) / 255.0f;
    float z = 0.0f;
    if (s > 0.0f && s < __builtin_inff())
        z = (-l / s + 0x1.8p23f) - 0x1.8p23f;
    z = z < 0.0f ? 0.0f : z > 255.0f ? 255.0f : z;
    *scale = s > 0.0f ? s : 1.0f;
    *zero = (uint8_t)z;
    if (!y)
        return;
    __m512 by = _mm512_set1_ps(*scale), add = _mm512_set1_ps(z);
    for (i = 0; i < n; i += 16) {
        __mmask16 m = (__mmask16)(n - i >= 16 ? 0xFFFFu : (1u << (n - i)) - 1);
        __m512 v = _mm512_div_ps(_mm512_maskz_loadu_ps(m, x + i), by);
        v = _mm512_max_ps(v, _mm512_set1_ps(-300.0f)); /* NaN gives -300 */
        v = _mm512_min_ps(v, _mm512_set1_ps(300.0f));
        v = _mm512_add_ps(_mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), add);
        v = _mm512_max_ps(v, _mm512_setzero_ps());
        __m512i q = _mm512_cvtps_epi32(_mm512_min_ps(v, _mm512_set1_ps(255.0f)));
        _mm_mask_storeu_epi8(y + i, m, _mm512_cvtepi32_epi8(q));
    }
}
