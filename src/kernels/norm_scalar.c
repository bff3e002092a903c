/* rmsnorm and layernorm. Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019, eq. 4;
 * Ba, Kiros and Hinton, "Layer Normalization", 2016, eq. 4 (the variance in a second pass over
 * x - mean, so that a large mean does not cancel it away). */
#include "kernels/hk_bodies.h"
#include "kernels/hk_norm.h"

void hk_rmsnorm_f32__scalar(float *restrict y, const float *restrict x, const float *restrict w,
                            size_t n, float eps)
{
    float scale = hk_norm_retry(hk_norm_sum_sq(x, n, 1.0f, 0.0f), n, eps);
    hk_rmsnorm_scaled(y, x, w, n, eps, scale);
}

void hk_layernorm_f32__scalar(float *restrict y, const float *restrict x, const float *restrict w,
                              const float *restrict b, size_t n, float eps)
{
    float mean = hk_norm_mean(x, n, 1.0f);
    float scale = hk_norm_retry(hk_norm_sum_sq(x, n, 1.0f, mean), n, eps);
    hk_layernorm_scaled(y, x, w, b, n, eps, scale);
}
