/* norm_scalar.c and softmax_scalar.c over vectors. HK_VN vectors are the 16 chains; lanes past the
 * end of a row add +0 to their chain, which changes nothing. */
#include "kernels/hk_norm.h"

#define NORM_EACH HB_UNROLL for (size_t v = 0; v < HK_VN; v++)

/* elements i + v * HK_VL .. of a row of n, for the last i of the row */
HB_INLINE hk_vf norm_tail(const float *x, size_t i, size_t n)
{
    return i + HK_VL <= n ? hk_v_load(x + i) : i < n ? hk_v_load_n(x + i, n - i) : hk_v_set(0.0f);
}

HB_INLINE float norm_fold(const hk_vf c[HK_VN])
{
    float lanes[HK_CHAINS];
    NORM_EACH hk_v_store(lanes + v * HK_VL, c[v]);
    return hk_fold(lanes);
}

static float norm_sum_sq(const float *x, size_t n)
{
    hk_vf c[HK_VN];
    size_t i = 0;
    NORM_EACH c[v] = hk_v_set(0.0f);
    for (; i + HK_CHAINS <= n; i += HK_CHAINS)
        NORM_EACH
        {
            hk_vf d = hk_v_load(x + i + v * HK_VL);
            c[v] = hk_v_fma(d, d, c[v]);
        }
    NORM_EACH
    {
        hk_vf d = norm_tail(x, i + v * HK_VL, n);
        c[v] = hk_v_fma(d, d, c[v]);
    }
    return norm_fold(c);
}

void HK_BODY_HERE(hk_rmsnorm_f32)(float *restrict y, const float *restrict x,
                                  const float *restrict w, size_t n, float eps)
{
    float sum_sq = norm_sum_sq(x, n), scale = hk_norm_retry(sum_sq, n, eps);
    if (HB_UNLIKELY(scale != 1.0f)) {
        hk_rmsnorm_scaled(y, x, w, n, eps, scale);
        return;
    }
    hk_vf r = hk_v_set(hk_norm_factor(sum_sq, n, eps));
    size_t i = 0;
    for (; i + HK_VL <= n; i += HK_VL)
        hk_v_store(y + i, hk_v_mul(hk_v_mul(hk_v_load(x + i), r), hk_v_load(w + i)));
    if (i < n)
        hk_v_store_n(y + i,
                     hk_v_mul(hk_v_mul(hk_v_load_n(x + i, n - i), r), hk_v_load_n(w + i, n - i)),
                     n - i);
}

static float norm_mean(const float *x, size_t n)
{
    hk_vf c[HK_VN];
    size_t i = 0;
    NORM_EACH c[v] = hk_v_set(0.0f);
    for (; i + HK_CHAINS <= n; i += HK_CHAINS)
        NORM_EACH c[v] = hk_v_add(c[v], hk_v_load(x + i + v * HK_VL));
    NORM_EACH c[v] = hk_v_add(c[v], norm_tail(x, i + v * HK_VL, n));
    return norm_fold(c) / (float)n;
}

static float norm_variance_sum(const float *x, size_t n, float mean)
{
    hk_vf c[HK_VN], m = hk_v_set(mean);
    size_t i = 0;
    NORM_EACH c[v] = hk_v_set(0.0f);
    for (; i + HK_CHAINS <= n; i += HK_CHAINS)
        NORM_EACH
        {
            hk_vf d = hk_v_sub(hk_v_load(x + i + v * HK_VL), m);
            c[v] = hk_v_fma(d, d, c[v]);
        }
    float lanes[HK_CHAINS];
    NORM_EACH hk_v_store(lanes + v * HK_VL, c[v]);
    for (size_t j = 0; i + j < n; j++) {
        float d = x[i + j] - mean;
        lanes[j] = hk_fma(d, d, lanes[j]);
    }
    return hk_fold(lanes);
}

void HK_BODY_HERE(hk_layernorm_f32)(float *restrict y, const float *restrict x,
                                    const float *restrict w, const float *restrict b, size_t n,
                                    float eps)
{
    float mean = norm_mean(x, n), sum_sq = norm_variance_sum(x, n, mean);
    float scale = hk_norm_retry(sum_sq, n, eps);
    if (HB_UNLIKELY(scale != 1.0f)) {
        hk_layernorm_scaled(y, x, w, b, n, eps, scale);
        return;
    }
    hk_vf r = hk_v_set(hk_norm_factor(sum_sq, n, eps)), m = hk_v_set(mean);
    hk_vf one = hk_v_set(1.0f), zero = hk_v_set(0.0f);
    size_t i = 0;
    for (; i + HK_VL <= n; i += HK_VL) {
        hk_vf d = hk_v_mul(hk_v_sub(hk_v_load(x + i), m), r);
        hk_v_store(y + i, hk_v_fma(d, w ? hk_v_load(w + i) : one, b ? hk_v_load(b + i) : zero));
    }
    if (i < n) {
        size_t k = n - i;
        hk_vf d = hk_v_mul(hk_v_sub(hk_v_load_n(x + i, k), m), r);
        d = hk_v_fma(d, w ? hk_v_load_n(w + i, k) : one, b ? hk_v_load_n(b + i, k) : zero);
        hk_v_store_n(y + i, d, k);
    }
}

/* ---- softmax ---- */

static float norm_max(const float *x, size_t n)
{
    hk_vf m[4];
    for (size_t k = 0; k < 4; k++)
        m[k] = hk_v_set(-HK_INFINITY);
    size_t i = 0;
    for (; i + 4 * HK_VL <= n; i += 4 * HK_VL) {
        m[0] = hk_v_max(hk_v_load(x + i), m[0]);
        m[1] = hk_v_max(hk_v_load(x + i + HK_VL), m[1]);
        m[2] = hk_v_max(hk_v_load(x + i + 2 * HK_VL), m[2]);
        m[3] = hk_v_max(hk_v_load(x + i + 3 * HK_VL), m[3]);
    }
    for (; i + HK_VL <= n; i += HK_VL)
        m[0] = hk_v_max(hk_v_load(x + i), m[0]);
    float largest = hk_v_largest(hk_v_max(hk_v_max(m[0], m[1]), hk_v_max(m[2], m[3])));
    for (; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* exp(x - m) / sum, m the largest */
HB_INLINE void norm_softmax(float *y, const float *x, float m, size_t n)
{
    if (HB_UNLIKELY(m == -HK_INFINITY)) {
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] == x[i] ? 0.0f : x[i];
        return;
    }
    hk_vf c[HK_VN], top = hk_v_set(m);
    size_t i = 0;
    NORM_EACH c[v] = hk_v_set(0.0f);
    for (; i + HK_CHAINS <= n; i += HK_CHAINS)
        NORM_EACH
        {
            hk_vf e = hk_v_exp(hk_v_sub(hk_v_load(x + i + v * HK_VL), top));
            hk_v_store(y + i + v * HK_VL, e);
            c[v] = hk_v_add(c[v], e);
        }
    float lanes[HK_CHAINS];
    NORM_EACH hk_v_store(lanes + v * HK_VL, c[v]);
    for (size_t j = 0; i + j < n; j += HK_VL) {
        size_t k = n - i - j < HK_VL ? n - i - j : HK_VL;
        float e[HK_VL];
        hk_v_store(e, hk_v_exp(hk_v_sub(norm_tail(x, i + j, n), top)));
        for (size_t l = 0; l < k; l++) {
            y[i + j + l] = e[l];
            lanes[j + l] = lanes[j + l] + e[l];
        }
    }
    float r = 1.0f / hk_fold(lanes);
    HK_BODY_HERE(hk_scale_f32)(y, y, r, n);
}

void HK_BODY_HERE(hk_softmax_f32)(float *y, const float *x, size_t n)
{
    norm_softmax(y, x, norm_max(x, n), n);
}

HB_INLINE hk_vf norm_score(hk_vf x, hk_vf mask, hk_vf scale, const bool divide, const bool masked)
{
    x = divide ? hk_v_div(x, scale) : hk_v_mul(x, scale);
    return masked ? hk_v_add(x, mask) : x;
}

/* The scores as softmax takes them, and their maximum. */
HB_INLINE float norm_scores(float *restrict s, const float *restrict mask, float scale, size_t n,
                            const bool divide, const bool masked)
{
    hk_vf by = hk_v_set(scale), zero = hk_v_set(0.0f), top[2];
    size_t i = 0;
    top[0] = top[1] = hk_v_set(-HK_INFINITY);
    for (; i + 2 * HK_VL <= n; i += 2 * HK_VL) {
        hk_vf a = norm_score(hk_v_load(s + i), masked ? hk_v_load(mask + i) : zero, by, divide, masked);
        hk_vf b = norm_score(hk_v_load(s + i + HK_VL), masked ? hk_v_load(mask + i + HK_VL) : zero,
                             by, divide, masked);
        hk_v_store(s + i, a);
        hk_v_store(s + i + HK_VL, b);
        top[0] = hk_v_max(a, top[0]);
        top[1] = hk_v_max(b, top[1]);
    }
    float largest = hk_v_largest(hk_v_max(top[0], top[1]));
    for (; i < n; i++) {
        s[i] = divide ? s[i] / scale : s[i] * scale;
        s[i] = masked ? s[i] + mask[i] : s[i];
        largest = s[i] > largest ? s[i] : largest;
    }
    return largest;
}

void HK_BODY_HERE(hk_soft_scores_f32)(float *restrict s, const float *restrict mask, float scale,
                                      unsigned flags, size_t n)
{
    bool divide = flags & HK_SOFT_DIVIDE;
    float m = divide ? mask ? norm_scores(s, mask, scale, n, true, true)
                            : norm_scores(s, mask, scale, n, true, false)
              : mask ? norm_scores(s, mask, scale, n, false, true)
                     : norm_scores(s, mask, scale, n, false, false);
    norm_softmax(s, s, m, n);
    bool some = n > 0 && (m == -HK_INFINITY || s[0] != s[0]); /* else one NaN makes all of them NaN */
    for (size_t i = 0; i < n && some && (flags & HK_SOFT_NO_NAN); i++)
        s[i] = s[i] == s[i] ? s[i] : 0.0f;
}
