/* softmax of a row. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_fold.h"
#include "kernels/hk_math.h"

/* NaN takes no part in the maximum but reaches every element through the sum. If everything is
 * -inf (fully masked), the row becomes 0. */
void hk_softmax_f32__scalar(float *y, const float *x, size_t n)
{
    float m = -HK_INFINITY, c[HK_CHAINS] = {0};
    for (size_t i = 0; i < n; i++)
        m = x[i] > m ? x[i] : m;
    if (m == -HK_INFINITY) {
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] == x[i] ? 0.0f : x[i];
        return;
    }
    for (size_t i = 0; i < n; i++) {
        y[i] = hk_exp(x[i] - m);
        c[i % HK_CHAINS] = c[i % HK_CHAINS] + y[i];
    }
    float r = 1.0f / hk_fold(c);
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] * r;
}

void hk_soft_scores_f32__scalar(float *restrict s, const float *restrict mask, float scale,
                                unsigned flags, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s[i] = flags & HK_SOFT_DIVIDE ? s[i] / scale : s[i] * scale;
        s[i] = mask ? s[i] + mask[i] : s[i];
    }
    hk_softmax_f32__scalar(s, s, n);
    for (size_t i = 0; i < n && (flags & HK_SOFT_NO_NAN); i++)
        s[i] = s[i] == s[i] ? s[i] : 0.0f;
}
