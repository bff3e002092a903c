/* Sums, products, the largest magnitude. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_fma.h"

void hk_add_f32__scalar(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

void hk_mul_f32__scalar(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

void hk_scale_f32__scalar(float *y, const float *x, float s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * s;
}

/* As integers, magnitudes order like the floats, with infinity and then NaN on top. */
uint32_t hk_max_abs_bits__scalar(const float *x, size_t n)
{
    uint32_t m = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t a = hk_to_bits(x[i]) & 0x7FFFFFFFu;
        m = a > m ? a : m;
    }
    return m;
}
