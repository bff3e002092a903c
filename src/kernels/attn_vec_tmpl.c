/* attn_scalar.c over vectors. */

#define ATTN_VECTORS (HK_KV_STRETCH / HK_VL)
#define ATTN_EACH    HB_UNROLL for (size_t v = 0; v < ATTN_VECTORS; v++)

/* One row with lo < hi. Returns false, with s as it was, if nothing visible is above -inf. */
HB_INLINE bool attn_row(float *restrict s, int lo, int hi, float softcap, float *restrict m,
                        float *restrict l, float *restrict alpha)
{
    hk_vf x[ATTN_VECTORS], top = hk_v_set(-HK_INFINITY), cap = hk_v_set(softcap);
    ATTN_EACH x[v] = hk_v_load(s + v * HK_VL);
    if (softcap != 0.0f)
        ATTN_EACH x[v] = hk_v_mul(cap, hk_v_tanh(hk_v_div(x[v], cap)));
    ATTN_EACH
    {
        hk_vmask seen = hk_v_in_range((int)(v * HK_VL), lo, hi);
        x[v] = hk_v_select(seen, x[v], hk_v_set(-HK_INFINITY));
        top = hk_v_max(x[v], top);
    }
    float largest = hk_v_largest(top), m_new = (largest > *m ? largest : *m) + 0.0f;
    if (HB_UNLIKELY(m_new == -HK_INFINITY))
        return false;
    *alpha = hk_exp(*m - m_new);
    *m = m_new;
    top = hk_v_set(m_new);
    ATTN_EACH
    {
        hk_vmask seen = hk_v_in_range((int)(v * HK_VL), lo, hi);
        x[v] = hk_v_select(seen, hk_v_exp(hk_v_sub(x[v], top)), hk_v_set(0.0f));
        hk_v_store(s + v * HK_VL, x[v]);
    }
    HB_UNROLL for (size_t v = 0; v < HK_VN; v++)
    {
        hk_vf sum = hk_v_mul(hk_v_load(l + v * HK_VL), hk_v_set(*alpha));
        HB_UNROLL for (size_t u = v; u < ATTN_VECTORS; u += HK_VN) sum = hk_v_add(sum, x[u]);
        hk_v_store(l + v * HK_VL, sum);
    }
    return true;
}

void HK_BODY_HERE(hk_attn_softmax)(float *restrict s, size_t n_q, const uint8_t *restrict lo,
                                   const uint8_t *restrict hi, float softcap, float *restrict m,
                                   float *restrict l, float *restrict alpha)
{
    for (size_t i = 0; i < n_q; i++, s += HK_KV_STRETCH, l += 16) {
        if (lo[i] == hi[i] || !attn_row(s, lo[i], hi[i], softcap, &m[i], l, &alpha[i]))
            hk_attn_softmax__scalar(s, 1, lo + i, hi + i, softcap, m + i, l, alpha + i);
    }
}

void HK_BODY_HERE(hk_attn_merge)(float *restrict o_a, float *restrict m_a, float *restrict l_a,
                                 const float *restrict o_b, float m_b, const float *restrict l_b,
                                 size_t d_v)
{
    float m = m_b > *m_a ? m_b : *m_a;
    bool empty = m == -HK_INFINITY;
    float alpha = empty ? 1.0f : hk_exp(*m_a - m), beta = empty ? 1.0f : hk_exp(m_b - m);
    hk_vf va = hk_v_set(alpha), vb = hk_v_set(beta);
    for (size_t j = 0; j < 16; j += HK_VL)
        hk_v_store(l_a + j, hk_v_fma(hk_v_load(l_b + j), vb, hk_v_mul(hk_v_load(l_a + j), va)));
    size_t j = 0;
    for (; j + HK_VL <= d_v; j += HK_VL)
        hk_v_store(o_a + j, hk_v_fma(hk_v_load(o_b + j), vb, hk_v_mul(hk_v_load(o_a + j), va)));
    for (; j < d_v; j++)
        o_a[j] = hk_fma(o_b[j], beta, o_a[j] * alpha);
    *m_a = m;
}
