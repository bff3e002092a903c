/* A kernel table from outside, for check_kernels --plugin and for its own tests: one right slot, one
 * that is a unit in the last place off, one that writes past its end. */
#include "kernels/hk_fma.h"
#include "kernels/kernels.h"

static void sample_add(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void sample_mul(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float p = a[i] * b[i];
        y[i] = p > 0.0f && p < 1e30f ? hk_from_bits(hk_to_bits(p) + 1) : p;
    }
}

static void sample_scale(float *y, const float *x, float s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * s;
    y[n] = 0.0f;
}

extern const struct hk_table hk_plugin_table;
const struct hk_table hk_plugin_table = {
    .level = "sample", .add_f32 = sample_add, .mul_f32 = sample_mul, .scale_f32 = sample_scale};
