/* The KV cache over vectors; included by a level's file once per storage type with
 *   KV_NAME        the row of kvtypes.def       KV_ELEM            type of a stored element
 *   KV_LOAD(p)     HK_VL elements to floats     KV_LOAD_N(p, n)    the first n, the rest 0
 *   KV_WIDEN       1 if elements must be converted
 *
 * Scores: rows of queries x positions are kept in registers over the whole of d. Many rows go
 * against one page, few rows against several pages, so that enough chains run side by side.
 * Values: rows x a stretch of columns are kept in registers over the positions of a page.
 * If several blocks of rows meet a page that needs converting, it is converted once, a part at a
 * time. */
#define KV_CAT_(a, b, c) a##b##c
#define KV_CAT(a, b, c)  KV_CAT_(a, b, c)
#define KV_FN(name)      KV_CAT(kv_, KV_NAME, name)
#define KV_BODY(prefix)  HK_BODY_OF(KV_CAT(prefix, KV_NAME, ))

/* ---- scores ---- */

/* s[r][page * 16 ..] = q[r] . K over n_d dimensions, continuing what s holds unless `first`. */
HB_INLINE void KV_FN(_scores_block)(float *restrict s, const float *restrict q, size_t q_stride,
                                    const size_t rows, const KV_ELEM *const *k,
                                    const size_t n_pages, size_t n_d, bool first)
{
    hk_vf acc[KV_MAX_ROWS][4 * HK_VN];
    HB_UNROLL for (size_t r = 0; r < rows; r++)
        HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++) acc[r][v] =
            first ? hk_v_set(0.0f) : hk_v_load(s + r * HK_KV_STRETCH + v * HK_VL);
    for (size_t d = 0; d < n_d; d++) {
        hk_vf kd[4 * HK_VN];
        HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++) kd[v] =
            KV_LOAD(k[v / HK_VN] + d * HK_KV_PAGE + v % HK_VN * HK_VL);
        HB_UNROLL for (size_t r = 0; r < rows; r++)
        {
            hk_vf qd = hk_v_set(q[r * q_stride + d]);
            HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++) acc[r][v] =
                hk_v_fma(qd, kd[v], acc[r][v]);
        }
    }
    HB_UNROLL for (size_t r = 0; r < rows; r++)
        HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++)
            hk_v_store(s + r * HK_KV_STRETCH + v * HK_VL, acc[r][v]);
}

static void KV_FN(_scores_page)(float *restrict s, const float *restrict q, size_t q_stride,
                                size_t rows, const KV_ELEM *k, size_t n_d, bool first)
{
    switch (rows) {
#define KV_CASE(n)                                                                                 \
    case n:                                                                                        \
        KV_FN(_scores_block)(s, q, q_stride, n, &k, 1, n_d, first);                                \
        break;
        KV_ROW_CASES
#undef KV_CASE
    }
}

/* All four pages, n_q <= KV_FEW_ROWS. */
static void KV_FN(_scores_few)(float *restrict s, const float *restrict q, size_t q_stride,
                               size_t n_q, const KV_ELEM *const *k, size_t d_k)
{
    if (n_q == 1) {
        KV_FN(_scores_block)(s, q, q_stride, 1, k, 4, d_k, true);
    } else if (HK_VL == 16 && n_q == 2) {
        KV_FN(_scores_block)(s, q, q_stride, 2, k, 4, d_k, true);
    } else if (HK_VL == 16) {
        KV_FN(_scores_block)(s, q, q_stride, 3, k, 4, d_k, true);
    } else {
        KV_FN(_scores_block)(s, q, q_stride, 2, k, 2, d_k, true);
        KV_FN(_scores_block)(s + 2 * HK_KV_PAGE, q, q_stride, 2, k + 2, 2, d_k, true);
    }
}

void KV_BODY(hk_attn_scores_)(float *restrict s, const float *restrict q, size_t q_stride,
                              size_t n_q, const void *const k_pages[4], size_t d_k)
{
    const KV_ELEM *k[4] = {k_pages[0], k_pages[1], k_pages[2], k_pages[3]};
    if (n_q <= KV_FEW_ROWS && k[0] && k[1] && k[2] && k[3]) {
        KV_FN(_scores_few)(s, q, q_stride, n_q, k, d_k);
        return;
    }
    for (size_t p = 0; p < 4; p++) {
        if (!k[p])
            continue;
        float *sp = s + p * HK_KV_PAGE;
#if KV_WIDEN
        for (size_t d = 0; n_q > KV_MAX_ROWS && d < d_k; d += KV_PART) {
            HB_ALIGNAS(64) float part[KV_PART * HK_KV_PAGE];
            size_t n_d = d_k - d < KV_PART ? d_k - d : KV_PART;
            for (size_t i = 0; i < n_d * HK_KV_PAGE; i += HK_VL)
                hk_v_store(part + i, KV_LOAD(k[p] + d * HK_KV_PAGE + i));
            for (size_t i = 0, n; i < n_q; i += n) {
                n = kv_rows(n_q - i, KV_MAX_ROWS);
                kv_f32_scores_page(sp + i * HK_KV_STRETCH, q + i * q_stride + d, q_stride, n, part,
                                   n_d, d == 0);
            }
        }
        if (n_q > KV_MAX_ROWS)
            continue;
#endif
        for (size_t i = 0, n; i < n_q; i += n) {
            n = kv_rows(n_q - i, KV_MAX_ROWS);
            KV_FN(_scores_page)
            (sp + i * HK_KV_STRETCH, q + i * q_stride, q_stride, n, k[p], d_k, true);
        }
    }
}

/* ---- values ---- */

/* o[r][j ..] over `columns` vectors, positions lo <= p < hi of a page whose rows are ldv apart. */
HB_INLINE void KV_FN(_values_block)(float *restrict o, size_t d_v, const float *restrict w,
                                    const size_t rows, const size_t columns, const KV_ELEM *v,
                                    size_t ldv, size_t lo, size_t hi)
{
    hk_vf acc[KV_MAX_ROWS][8];
    HB_UNROLL for (size_t r = 0; r < rows; r++) HB_UNROLL for (size_t c = 0; c < columns; c++)
        acc[r][c] = hk_v_load(o + r * d_v + c * HK_VL);
    for (size_t p = lo; p < hi; p++) {
        hk_vf vp[8];
        HB_UNROLL for (size_t c = 0; c < columns; c++) vp[c] = KV_LOAD(v + p * ldv + c * HK_VL);
        HB_UNROLL for (size_t r = 0; r < rows; r++)
        {
            hk_vf wp = hk_v_set(w[r * HK_KV_STRETCH + p]);
            HB_UNROLL for (size_t c = 0; c < columns; c++) acc[r][c] =
                hk_v_fma(wp, vp[c], acc[r][c]);
        }
    }
    HB_UNROLL for (size_t r = 0; r < rows; r++) HB_UNROLL for (size_t c = 0; c < columns; c++)
        hk_v_store(o + r * d_v + c * HK_VL, acc[r][c]);
}

/* The last n < HK_VL columns. */
static void KV_FN(_values_tail)(float *restrict o, size_t d_v, const float *restrict w, size_t rows,
                                size_t n, const KV_ELEM *v, size_t ldv, size_t lo, size_t hi)
{
    for (size_t r = 0; r < rows; r++) {
        hk_vf acc = hk_v_load_n(o + r * d_v, n);
        for (size_t p = lo; p < hi; p++)
            acc = hk_v_fma(hk_v_set(w[r * HK_KV_STRETCH + p]), KV_LOAD_N(v + p * ldv, n), acc);
        hk_v_store_n(o + r * d_v, acc, n);
    }
}

HB_INLINE void KV_FN(_values_rows)(float *restrict o, size_t d_v, const float *restrict w,
                                   const size_t rows, const size_t columns, const KV_ELEM *v,
                                   size_t ldv, size_t n, size_t lo, size_t hi)
{
    size_t j = 0;
    for (; j + columns * HK_VL <= n; j += columns * HK_VL)
        KV_FN(_values_block)(o + j, d_v, w, rows, columns, v + j, ldv, lo, hi);
    for (; j + HK_VL <= n; j += HK_VL)
        KV_FN(_values_block)(o + j, d_v, w, rows, 1, v + j, ldv, lo, hi);
    if (j < n)
        KV_FN(_values_tail)(o + j, d_v, w, rows, n - j, v + j, ldv, lo, hi);
}

/* n columns of a page for rows that see the same positions */
static void KV_FN(_values_page)(float *restrict o, size_t d_v, const float *restrict w, size_t rows,
                                const KV_ELEM *v, size_t ldv, size_t n, size_t lo, size_t hi)
{
    if (lo >= hi)
        return;
    switch (rows) {
#define KV_CASE(r, c)                                                                              \
    case r:                                                                                        \
        KV_FN(_values_rows)(o, d_v, w, r, c, v, ldv, n, lo, hi);                                   \
        break;
        KV_VALUE_CASES
#undef KV_CASE
    }
}

/* A block of rows: what all of them see together, what stands before and after it row by row. */
static void KV_FN(_values_ranges)(float *restrict o, size_t d_v, const float *restrict w,
                                  size_t rows, const uint8_t *lo, const uint8_t *hi, size_t page,
                                  const KV_ELEM *v, size_t ldv, size_t n)
{
    size_t from[KV_VALUE_ROWS], to[KV_VALUE_ROWS], a = 0, b = HK_KV_PAGE;
    for (size_t r = 0; r < rows; r++) {
        from[r] = kv_in_page(lo[r], page);
        to[r] = kv_in_page(hi[r], page);
        a = from[r] > a ? from[r] : a;
        b = to[r] < b ? to[r] : b;
    }
    b = b > a ? b : a;
    for (size_t r = 0; r < rows; r++)
        KV_FN(_values_page)
        (o + r * d_v, d_v, w + r * HK_KV_STRETCH, 1, v, ldv, n, from[r], to[r] < a ? to[r] : a);
    KV_FN(_values_page)(o, d_v, w, rows, v, ldv, n, a, b);
    for (size_t r = 0; r < rows; r++)
        KV_FN(_values_page)
        (o + r * d_v, d_v, w + r * HK_KV_STRETCH, 1, v, ldv, n, from[r] > b ? from[r] : b, to[r]);
}

static void KV_FN(_values_all_rows)(float *restrict o, size_t d_v, const float *restrict w,
                                    size_t n_q, const uint8_t *lo, const uint8_t *hi, size_t page,
                                    const KV_ELEM *v, size_t ldv, size_t n)
{
    for (size_t i = 0, rows; i < n_q; i += rows) {
        rows = kv_rows(n_q - i, KV_VALUE_ROWS);
        KV_FN(_values_ranges)
        (o + i * d_v, d_v, w + i * HK_KV_STRETCH, rows, lo + i, hi + i, page, v, ldv, n);
    }
}

void KV_BODY(hk_attn_values_)(float *restrict o, const float *restrict alpha,
                              const float *restrict w, size_t n_q, const uint8_t *restrict lo,
                              const uint8_t *restrict hi, const void *const v_pages[4], size_t d_v)
{
    for (size_t i = 0; i < n_q; i++)
        if (alpha[i] != 1.0f)
            HK_BODY_HERE(hk_scale_f32)(o + i * d_v, o + i * d_v, alpha[i], d_v);
    size_t first, end;
    kv_union(lo, hi, n_q, &first, &end);
    for (size_t p = first / HK_KV_PAGE; p * HK_KV_PAGE < end; p++) {
        const KV_ELEM *v = v_pages[p];
        const float *wp = w + p * HK_KV_PAGE;
        if (!v)
            continue;
#if KV_WIDEN
        size_t a = kv_in_page(first, p), b = kv_in_page(end, p);
        for (size_t j = 0; n_q > KV_VALUE_ROWS && j < d_v; j += KV_PART) {
            HB_ALIGNAS(64) float part[HK_KV_PAGE * KV_PART];
            size_t n = d_v - j < KV_PART ? d_v - j : KV_PART;
            for (size_t r = a; r < b; r++) {
                size_t i = 0;
                for (; i + HK_VL <= n; i += HK_VL)
                    hk_v_store(part + r * KV_PART + i, KV_LOAD(v + r * d_v + j + i));
                if (i < n)
                    hk_v_store_n(part + r * KV_PART + i, KV_LOAD_N(v + r * d_v + j + i, n - i),
                                 n - i);
            }
            kv_f32_values_all_rows(o + j, d_v, wp, n_q, lo, hi, p, part, KV_PART, n);
        }
        if (n_q > KV_VALUE_ROWS)
            continue;
#endif
        KV_FN(_values_all_rows)(o, d_v, wp, n_q, lo, hi, p, v, d_v, d_v);
    }
}

#undef KV_CAT_
#undef KV_CAT
#undef KV_FN
#undef KV_BODY
#undef KV_NAME
#undef KV_ELEM
#undef KV_LOAD
#undef KV_LOAD_N
#undef KV_WIDEN
