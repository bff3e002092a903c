/* Integer matmul of tensors, and the quantisation of its left side; the layout is in kernels.h. */
#include "kernels/hk_bodies.h"

void hk_gemm_i8__scalar(int32_t *restrict y, size_t ldy, const uint8_t *restrict a, size_t lda,
                        const int8_t *restrict tile, size_t m, size_t k4)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < HK_I8_COLS; j++) {
            int32_t sum = 0;
            for (size_t p = 0; p < k4; p++)
                for (size_t q = 0; q < 4; q++)
                    sum += (int32_t)a[i * lda + p * 4 + q] * tile[(p * HK_I8_COLS + j) * 4 + q];
            y[i * ldy + j] = sum;
        }
}

void hk_range_f32__scalar(float *restrict range, const float *restrict x, size_t n)
{
    float low = 0.0f, high = 0.0f;
    for (size_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    range[0] = low;
    range[1] = high;
}

void hk_quantize_u8__scalar(uint8_t *restrict y, const float *restrict x, float scale, float zero,
                            size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float v = x[i] / scale;
        v = v > -300.0f ? v : -300.0f; /* NaN too */
        v = v < 300.0f ? v : 300.0f;
        v = ((v + 0x1.8p23f) - 0x1.8p23f) + zero; /* to nearest even */
        v = v > 0.0f ? v : 0.0f;
        y[i] = (uint8_t)(v < 255.0f ? v : 255.0f);
    }
}
