/* Online softmax over stretches of 64 positions, and folding of partial states; the formulas and
 * their order are in kernels.h. Milakov and Gimelshein, "Online normalizer calculation for
 * softmax", 2018; Dao et al., "FlashAttention", 2022, algorithm 1.
 *
 * A stretch whose visible scores are all -inf (an additive mask) counts as not seen: w = 0,
 * alpha = 1. A NaN score becomes a NaN weight and so reaches the row's result. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_math.h"

/* The maximum of -0 and +0 would depend on their order: + 0 makes it +0. */
static float attn_scalar_max(float *restrict s, size_t lo, size_t hi, float softcap, float m)
{
    for (size_t p = lo; p < hi; p++) {
        if (softcap != 0.0f)
            s[p] = softcap * hk_tanh(s[p] / softcap);
        m = s[p] > m ? s[p] : m;
    }
    return m + 0.0f;
}

void hk_attn_softmax__scalar(float *restrict s, size_t n_q, const uint8_t *restrict lo,
                             const uint8_t *restrict hi, float softcap, float *restrict m,
                             float *restrict l, float *restrict alpha)
{
    for (size_t i = 0; i < n_q; i++, s += HK_KV_STRETCH, l += 16) {
        float m_new = attn_scalar_max(s, lo[i], hi[i], softcap, m[i]);
        bool empty = m_new == -HK_INFINITY;
        alpha[i] = empty || lo[i] == hi[i] ? 1.0f : hk_exp(m[i] - m_new);
        for (size_t p = 0; p < HK_KV_STRETCH; p++) {
            bool visible = p >= lo[i] && p < hi[i];
            float w = empty ? (s[p] == s[p] ? 0.0f : s[p]) : hk_exp(s[p] - m_new);
            s[p] = visible ? w : 0.0f;
        }
        for (size_t j = 0; j < 16; j++) {
            l[j] = l[j] * alpha[i];
            for (size_t p = j; p < HK_KV_STRETCH; p += 16)
                l[j] = l[j] + s[p];
        }
        m[i] = m_new;
    }
}

/* Two empty states fold to an empty state: factors 1 instead of exp(-inf - -inf). */
void hk_attn_merge__scalar(float *restrict o_a, float *restrict m_a, float *restrict l_a,
                           const float *restrict o_b, float m_b, const float *restrict l_b,
                           size_t d_v)
{
    float m = m_b > *m_a ? m_b : *m_a;
    bool empty = m == -HK_INFINITY;
    float alpha = empty ? 1.0f : hk_exp(*m_a - m), beta = empty ? 1.0f : hk_exp(m_b - m);
    for (size_t j = 0; j < 16; j++)
        l_a[j] = hk_fma(l_b[j], beta, l_a[j] * alpha);
    for (size_t j = 0; j < d_v; j++)
        o_a[j] = hk_fma(o_b[j], beta, o_a[j] * alpha);
    *m_a = m;
}
