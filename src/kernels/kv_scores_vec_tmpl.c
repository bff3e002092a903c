/* Scores against float keys over vectors; included by a level's file once per storage type with
 *   KV_NAME     the row of kvtypes.def     KV_ELEM    type of a stored element
 *   KV_LOAD(p)  HK_VL elements to floats   KV_WIDEN   1 if elements must be converted
 *
 * Rows of queries x pages are kept in registers over the whole of d: many rows against one or two
 * pages, few rows against up to four, so that enough chains run side by side. If several blocks of rows
 * meet pages that need converting, these are converted once, a part at a time. */
#define KV_CAT_(a, b, c) a##b##c
#define KV_CAT(a, b, c)  KV_CAT_(a, b, c)
#define KV_FN(name)      HK_BODY_OF(KV_CAT(kv_, KV_NAME, name))
#define KV_BODY(prefix)  HK_BODY_OF(KV_CAT(prefix, KV_NAME, ))

/* s[r][to[i] ..] = q[r] . K of page i over n_d dimensions, continuing what s holds unless `first`. */
HB_INLINE void KV_FN(_scores_block)(float *restrict s, const float *restrict q, size_t q_stride,
                                    const size_t rows, const struct kv_keys *k, const size_t n_pages,
                                    size_t n_d, bool first)
{
    hk_vf acc[KV_MAX_ROWS][4 * HK_VN];
    const KV_ELEM *page[4];
    HB_UNROLL for (size_t i = 0; i < n_pages; i++) page[i] = k->page[i];
    HB_UNROLL for (size_t r = 0; r < rows; r++)
        HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++) acc[r][v] =
            first ? hk_v_set(0.0f)
                  : hk_v_load(s + r * HK_KV_STRETCH + k->to[v / HK_VN] + v % HK_VN * HK_VL);
    for (size_t d = 0; d < n_d;) {
        size_t end = n_d - d < KV_AHEAD ? n_d : d + KV_AHEAD;
        kv_ask(k, n_pages, d * HK_KV_PAGE * sizeof(KV_ELEM), end * HK_KV_PAGE * sizeof(KV_ELEM));
        for (; d < end; d++) {
            hk_vf kd[4 * HK_VN];
            HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++) kd[v] =
                KV_LOAD(page[v / HK_VN] + d * HK_KV_PAGE + v % HK_VN * HK_VL);
            HB_UNROLL for (size_t r = 0; r < rows; r++)
            {
                hk_vf qd = hk_v_set(q[r * q_stride + d]);
                HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++) acc[r][v] =
                    hk_v_fma(qd, kd[v], acc[r][v]);
            }
        }
    }
    HB_UNROLL for (size_t r = 0; r < rows; r++)
        HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++)
            hk_v_store(s + r * HK_KV_STRETCH + k->to[v / HK_VN] + v % HK_VN * HK_VL, acc[r][v]);
}

/* The first n of k's pages; n is 1, 2 or 4 and small enough for so many rows (kv_pages_for). */
static void KV_FN(_scores_pages)(float *restrict s, const float *restrict q, size_t q_stride,
                                 size_t rows, const struct kv_keys *k, size_t n, size_t n_d,
                                 bool first)
{
#define KV_CASE(r, p)                                                                              \
    case r * 8 + p:                                                                                \
        KV_FN(_scores_block)(s, q, q_stride, r, k, p, n_d, first);                                 \
        break;
    switch (rows * 8 + n) {
        KV_SCORE_CASES
    }
#undef KV_CASE
}

#if KV_WIDEN
static void KV_FN(_scores_widened)(float *restrict s, const float *restrict q, size_t q_stride,
                                   size_t n_q, const struct kv_keys *k, size_t n_pages, size_t d_k)
{
    HB_ALIGNAS(64) float part[KV_MANY_PAGES * KV_PART * HK_KV_PAGE];
    struct kv_keys wide = *k;
    for (size_t i = 0; i < n_pages; i++)
        wide.page[i] = part + i * KV_PART * HK_KV_PAGE;
    for (size_t d = 0; d < d_k; d += KV_PART) {
        size_t n_d = d_k - d < KV_PART ? d_k - d : KV_PART;
        for (size_t p = 0; p < n_pages; p++)
            for (size_t i = 0; i < n_d * HK_KV_PAGE; i += HK_VL)
                hk_v_store(part + p * KV_PART * HK_KV_PAGE + i,
                           KV_LOAD((const KV_ELEM *)k->page[p] + d * HK_KV_PAGE + i));
        for (size_t i = 0, n; i < n_q; i += n) {
            n = kv_rows(n_q - i, KV_MAX_ROWS);
            HK_BODY_OF(kv_f32_scores_pages)(s + i * HK_KV_STRETCH, q + i * q_stride + d, q_stride, n, &wide,
                                n_pages, n_d, d == 0);
        }
    }
}
#endif

void KV_BODY(hk_attn_scores_)(float *restrict s, const void *restrict q, size_t q_stride,
                              size_t n_q, const void *const k_pages[8], size_t d_k)
{
    struct kv_keys all, k;
    size_t present = kv_keys_of(k_pages, n_q <= KV_FEW, &all), stride = q_stride / sizeof(float);
    size_t most = kv_pages_for(n_q);
    for (size_t p = 0, n; p < present; p += n) {
        n = present - p >= most ? most : present - p >= 2 && most >= 2 ? 2 : 1;
        kv_keys_from(&k, &all, p, n);
#if KV_WIDEN
        if (n_q > KV_MAX_ROWS) {
            KV_FN(_scores_widened)(s, q, stride, n_q, &k, n, d_k);
            continue;
        }
#endif
        for (size_t i = 0, rows; i < n_q; i += rows) {
            rows = kv_rows(n_q - i, KV_MAX_ROWS);
            KV_FN(_scores_pages)
            (s + i * HK_KV_STRETCH, (const float *)q + i * stride, stride, rows, &k, n, d_k, true);
        }
    }
}

#undef KV_CAT_
#undef KV_CAT
#undef KV_FN
#undef KV_BODY
#undef KV_NAME
#undef KV_ELEM
#undef KV_LOAD
#undef KV_WIDEN
