/* The parts of the norms that all levels share: from sums to factors, and the rare rows whose
 * squares leave the range of float.
 *
 * If the sum of squares overflows, or mean square + eps is below 2^-96 (squares underflow, eps is
 * nearly 0), the row is done again from x * 2^-96 or x * 2^96, eps scaled alike; the norm does not
 * change. A row of zeros with eps = 0 gives 0 (layernorm: b). */
#ifndef HK_NORM_H
#define HK_NORM_H

#include "kernels/hk_fold.h"
#include "kernels/hk_math.h"

/* 1 if sum of squares / n + eps is a number to work with, else the power of two for another try */
HB_INLINE float hk_norm_retry(float sum_sq, size_t n, float eps)
{
    if (!(sum_sq < HK_INFINITY))
        return 0x1p-96f;
    return sum_sq / (float)n + eps < 0x1p-96f ? 0x1p+96f : 1.0f;
}

HB_INLINE float hk_norm_factor(float sum_sq, size_t n, float eps)
{
    float v = sum_sq / (float)n + eps;
    return v == 0.0f ? 0.0f : 1.0f / hk_sqrt(v);
}

HB_INLINE float hk_norm_sum_sq(const float *x, size_t n, float scale, float mean)
{
    float c[HK_CHAINS] = {0};
    for (size_t i = 0; i < n; i++) {
        float d = x[i] * scale - mean;
        c[i % HK_CHAINS] = hk_fma(d, d, c[i % HK_CHAINS]);
    }
    return hk_fold(c);
}

HB_INLINE float hk_norm_mean(const float *x, size_t n, float scale)
{
    float c[HK_CHAINS] = {0};
    for (size_t i = 0; i < n; i++)
        c[i % HK_CHAINS] = c[i % HK_CHAINS] + x[i] * scale;
    return hk_fold(c) / (float)n;
}

HB_INLINE void hk_rmsnorm_scaled(float *restrict y, const float *restrict x,
                                 const float *restrict w, size_t n, float eps, float scale)
{
    float r = hk_norm_factor(hk_norm_sum_sq(x, n, scale, 0.0f), n, eps * scale * scale);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * scale * r * w[i];
}

HB_INLINE void hk_layernorm_scaled(float *restrict y, const float *restrict x,
                                   const float *restrict w, const float *restrict b, size_t n,
                                   float eps, float scale)
{
    float mean = hk_norm_mean(x, n, scale);
    float r = hk_norm_factor(hk_norm_sum_sq(x, n, scale, mean), n, eps * scale * scale);
    for (size_t i = 0; i < n; i++)
        y[i] = hk_fma((x[i] * scale - mean) * r, w ? w[i] : 1.0f, b ? b[i] : 0.0f);
}

#endif
