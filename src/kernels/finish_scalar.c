/* What comes behind a matmul of tensors: bias and activation, and from exact int32 sums to floats. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_math.h"

static float finish_act(float x, enum hk_act act)
{
    switch (act) {
    case HK_ACT_RELU: return x < 0.0f ? 0.0f : x;
    case HK_ACT_GELU: return hk_gelu_erf(x);
    case HK_ACT_GELU_TANH: return hk_gelu_tanh(x);
    case HK_ACT_TANH: return hk_tanh(x);
    default: return x;
    }
}

void hk_finish_f32__scalar(float *y, size_t ldy, const float *bias, size_t m, size_t n,
                           enum hk_act act)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            y[i * ldy + j] = finish_act(bias ? y[i * ldy + j] + bias[j] : y[i * ldy + j], act);
}

void hk_finish_i8__scalar(float *restrict y, size_t ldy, const int32_t *restrict v,
                          const int32_t *restrict sums, const struct hk_i8_columns *restrict c,
                          size_t m, size_t n, enum hk_act act)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            uint32_t off = (uint32_t)c->fix[j] + (uint32_t)c->zero[j] * (uint32_t)sums[i];
            int32_t exact = (int32_t)((uint32_t)v[i * HK_I8_COLS + j] - off);
            float scaled = (float)exact * c->scale[j];
            y[i * ldy + j] = finish_act(scaled + c->bias[j], act);
        }
}
