/* Narrowing to 16-bit floats. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_fma.h"
#include "kernels/hk_half.h"

void hk_f32_to_f16__scalar(uint16_t *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hk_f32_to_f16(x[i]);
}

void hk_f32_to_bf16__scalar(uint16_t *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hk_f32_to_bf16(x[i]);
}
