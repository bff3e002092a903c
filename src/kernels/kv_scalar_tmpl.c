/* The four functions of one storage type of the KV cache; included by kv_scalar.c with
 *   KV_NAME   the row of kvtypes.def      KV_ELEM   type of a stored element
 *   KV_LOAD   element to float            KV_STORE  float to element
 * Pages and arithmetic: kernels.h. */
#define KV_CAT_(a, b, c) a##b##c
#define KV_CAT(a, b, c)  KV_CAT_(a, b, c)
#define KV_BODY(prefix)  KV_CAT(prefix, KV_NAME, __scalar)

void KV_BODY(hk_attn_scores_)(float *restrict s, const void *restrict q, size_t q_stride,
                              size_t n_q, const void *const k_pages[8], size_t d_k)
{
    for (size_t p = 0; p < HK_KV_STRETCH; p++) {
        const KV_ELEM *k = k_pages[p / HK_KV_PAGE];
        for (size_t i = 0; k && i < n_q; i++) {
            const float *row = (const float *)(const void *)((const uint8_t *)q + i * q_stride);
            float dot = 0.0f;
            for (size_t d = 0; d < d_k; d++)
                dot = hk_fma(row[d], KV_LOAD(k[d * HK_KV_PAGE + p % HK_KV_PAGE]), dot);
            s[i * HK_KV_STRETCH + p] = dot;
        }
    }
}

void KV_BODY(hk_attn_values_)(float *restrict o, const float *restrict alpha,
                              const float *restrict w, size_t n_q, const uint8_t *restrict lo,
                              const uint8_t *restrict hi, const void *const v_pages[8], size_t d_v)
{
    for (size_t i = 0; i < n_q; i++, o += d_v, w += HK_KV_STRETCH) {
        for (size_t j = 0; j < d_v; j++)
            o[j] = o[j] * alpha[i];
        for (size_t p = lo[i]; p < hi[i]; p++) {
            const KV_ELEM *v = (const KV_ELEM *)v_pages[p / HK_KV_PAGE] + p % HK_KV_PAGE * d_v;
            for (size_t j = 0; j < d_v; j++)
                o[j] = hk_fma(w[p], KV_LOAD(v[j]), o[j]);
        }
    }
}

void KV_BODY(hk_kv_put_k_)(void *restrict page, size_t slot, size_t n, const float *restrict x,
                           size_t ldx, size_t d)
{
    KV_ELEM *k = page;
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < d; i++)
            k[i * HK_KV_PAGE + slot + p] = KV_STORE(x[p * ldx + i]);
}

void KV_BODY(hk_kv_put_v_)(void *restrict page, size_t slot, size_t n, const float *restrict x,
                           size_t ldx, size_t d)
{
    KV_ELEM *v = (KV_ELEM *)page + slot * d;
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < d; i++)
            v[p * d + i] = KV_STORE(x[p * ldx + i]);
}

#undef KV_CAT_
#undef KV_CAT
#undef KV_BODY
#undef KV_NAME
#undef KV_ELEM
#undef KV_LOAD
#undef KV_STORE
