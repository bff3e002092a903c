/* Elementwise functions of hk_math.h. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_math.h"

void hk_silu_mul_f32__scalar(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hk_silu(a[i]) * b[i];
}

void hk_swiglu_clamp_f32__scalar(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hk_swiglu_clamp(a[i], b[i]);
}

void hk_gelu_mul_f32__scalar(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hk_gelu_tanh(a[i]) * b[i];
}

void hk_gelu_erf_f32__scalar(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hk_gelu_erf(x[i]);
}

void hk_gelu_tanh_f32__scalar(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hk_gelu_tanh(x[i]);
}

void hk_silu_f32__scalar(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hk_silu(x[i]);
}

void hk_softcap_f32__scalar(float *y, const float *x, float s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = s * hk_tanh(x[i] / s);
}

void hk_exp_f32__scalar(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hk_exp(x[i]);
}

void hk_tanh_f32__scalar(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hk_tanh(x[i]);
}

void hk_erf_f32__scalar(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hk_erf(x[i]);
}
