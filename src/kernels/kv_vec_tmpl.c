/* The KV cache over vectors; included by a level's file once per storage type with
 *   KV_NAME        the row of kvtypes.def       KV_ELEM            type of a stored element
 *   KV_LOAD(p)     HK_VL elements to floats     KV_LOAD_N(p, n)    the first n, the rest 0
 *   KV_WIDEN       1 if elements must be converted
 *
 * Scores: rows of queries x positions are kept in registers over the whole of d. Many rows go
 * against one page, few rows against several pages, so that enough chains run side by side.
 * Values: rows x a stretch of columns are kept in registers over the positions.
 * If several blocks of rows meet pages that need converting, they are converted once, a part at a
 * time. */
#define KV_CAT_(a, b, c) a##b##c
#define KV_CAT(a, b, c)  KV_CAT_(a, b, c)
#define KV_FN(name)      KV_CAT(kv_, KV_NAME, name)
#define KV_BODY(prefix)  HK_BODY_OF(KV_CAT(prefix, KV_NAME, ))

/* ---- scores ---- */

/* s[r][page * 16 ..] = q[r] . K over n_d dimensions, continuing what s holds unless `first`. */
HB_INLINE void KV_FN(_scores_block)(float *restrict s, const float *restrict q, size_t q_stride,
                                    const size_t rows, const KV_ELEM *const *k,
                                    const size_t n_pages, size_t n_d, uintptr_t to_next, bool first)
{
    hk_vf acc[KV_MAX_ROWS][4 * HK_VN];
    HB_UNROLL for (size_t r = 0; r < rows; r++)
        HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++) acc[r][v] =
            first ? hk_v_set(0.0f) : hk_v_load(s + r * HK_KV_STRETCH + v * HK_VL);
    for (size_t d = 0; d < n_d; d++) {
        hk_vf kd[4 * HK_VN];
        if (KV_SCORES_PREFETCH)
            kv_prefetch(k[0] + d * HK_KV_PAGE, to_next);
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
                                size_t rows, const KV_ELEM *k, size_t n_d, uintptr_t to_next,
                                bool first)
{
    switch (rows) {
#define KV_CASE(n)                                                                                 \
    case n:                                                                                        \
        KV_FN(_scores_block)(s, q, q_stride, n, &k, 1, n_d, to_next, first);                       \
        break;
        KV_ROW_CASES
#undef KV_CASE
    }
}

void KV_BODY(hk_attn_scores_)(float *restrict s, const float *restrict q, size_t q_stride,
                              size_t n_q, const void *const k_pages[4], size_t d_k)
{
    const KV_ELEM *k[4] = {k_pages[0], k_pages[1], k_pages[2], k_pages[3]};
    if (n_q == 1 && k[0] && k[1] && k[2] && k[3]) {
        KV_FN(_scores_block)(s, q, q_stride, 1, k, 4, d_k, 0, true);
        return;
    }
    for (size_t p = 0; p < 4; p++) {
        if (!k[p])
            continue;
        uintptr_t to_next = kv_to_next(k[p], p < 3 ? k[p + 1] : NULL);
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
                                   n_d, 0, d == 0);
            }
        }
        if (n_q > KV_MAX_ROWS)
            continue;
#endif
        for (size_t i = 0, n; i < n_q; i += n) {
            n = kv_rows(n_q - i, KV_MAX_ROWS);
            KV_FN(_scores_page)
            (sp + i * HK_KV_STRETCH, q + i * q_stride, q_stride, n, k[p], d_k, to_next, true);
        }
    }
}

/* ---- values ----
 *
 * Positions are counted from the first of the pages `v` that a call is given: all four with many
 * rows, so that a block of o stays in registers for 64 positions; one by one with few rows, so that
 * memory is read page after page. */

/* o[r][j ..] over `columns` vectors, positions lo <= p < hi; rows of a page are ldv apart. */
HB_INLINE void KV_FN(_values_block)(float *restrict o, size_t d_v, const float *restrict w,
                                    const size_t rows, const size_t columns,
                                    const KV_ELEM *const *v, size_t j, size_t ldv, size_t lo,
                                    size_t hi, uintptr_t to_next)
{
    hk_vf acc[KV_VALUE_ROWS][8];
    HB_UNROLL for (size_t r = 0; r < rows; r++) HB_UNROLL for (size_t c = 0; c < columns; c++)
        acc[r][c] = hk_v_load(o + r * d_v + j + c * HK_VL);
    for (size_t p = lo; p < hi;) {
        size_t end = (p / HK_KV_PAGE + 1) * HK_KV_PAGE;
        const KV_ELEM *row = v[p / HK_KV_PAGE] + p % HK_KV_PAGE * ldv + j;
        for (end = end < hi ? end : hi; p < end; p++, row += ldv) {
            hk_vf vp[8];
            HB_UNROLL for (size_t c = 0; c < columns; c++)
            {
                vp[c] = KV_LOAD(row + c * HK_VL);
                if (c * HK_VL * sizeof *row % HB_CACHELINE == 0)
                    kv_prefetch(row + c * HK_VL, to_next);
            }
            HB_UNROLL for (size_t r = 0; r < rows; r++)
            {
                hk_vf wp = hk_v_set(w[r * HK_KV_STRETCH + p]);
                HB_UNROLL for (size_t c = 0; c < columns; c++) acc[r][c] =
                    hk_v_fma(wp, vp[c], acc[r][c]);
            }
        }
    }
    HB_UNROLL for (size_t r = 0; r < rows; r++) HB_UNROLL for (size_t c = 0; c < columns; c++)
        hk_v_store(o + r * d_v + j + c * HK_VL, acc[r][c]);
}

/* The last n < HK_VL columns. */
static void KV_FN(_values_tail)(float *restrict o, size_t d_v, const float *restrict w, size_t rows,
                                size_t n, const KV_ELEM *const *v, size_t j, size_t ldv, size_t lo,
                                size_t hi)
{
    for (size_t r = 0; r < rows; r++) {
        hk_vf acc = hk_v_load_n(o + r * d_v + j, n);
        for (size_t p = lo; p < hi; p++) {
            const KV_ELEM *row = v[p / HK_KV_PAGE] + p % HK_KV_PAGE * ldv + j;
            acc = hk_v_fma(hk_v_set(w[r * HK_KV_STRETCH + p]), KV_LOAD_N(row, n), acc);
        }
        hk_v_store_n(o + r * d_v + j, acc, n);
    }
}

HB_INLINE void KV_FN(_values_rows)(float *restrict o, size_t d_v, const float *restrict w,
                                   const size_t rows, const size_t columns,
                                   const struct kv_pages *v, size_t lo, size_t hi,
                                   uintptr_t to_next)
{
    const KV_ELEM *const *pages = (const KV_ELEM *const *)v->page;
    size_t j = 0;
    for (; j + columns * HK_VL <= v->n; j += columns * HK_VL)
        KV_FN(_values_block)(o, d_v, w, rows, columns, pages, j, v->ld, lo, hi, to_next);
    for (; j + HK_VL <= v->n; j += HK_VL)
        KV_FN(_values_block)(o, d_v, w, rows, 1, pages, j, v->ld, lo, hi, to_next);
    if (j < v->n)
        KV_FN(_values_tail)(o, d_v, w, rows, v->n - j, pages, j, v->ld, lo, hi);
}

/* Rows that see the same positions. */
static void KV_FN(_values_same)(float *restrict o, size_t d_v, const float *restrict w, size_t rows,
                                const struct kv_pages *v, size_t lo, size_t hi, uintptr_t to_next)
{
    if (lo >= hi)
        return;
    switch (rows) {
#define KV_CASE(r, c)                                                                              \
    case r:                                                                                        \
        KV_FN(_values_rows)(o, d_v, w, r, c, v, lo, hi, to_next);                                  \
        break;
        KV_VALUE_CASES
#undef KV_CASE
    }
}

/* A block of rows: what all of them see together, what stands before and after it row by row. */
static void KV_FN(_values_ranges)(float *restrict o, size_t d_v, const float *restrict w,
                                  size_t rows, const uint8_t *lo, const uint8_t *hi,
                                  const struct kv_pages *v, uintptr_t to_next)
{
    size_t from[KV_VALUE_ROWS], to[KV_VALUE_ROWS];
    size_t a = 0, b = v->positions, first = b, end = 0;
    for (size_t r = 0; r < rows; r++) {
        from[r] = kv_within(lo[r], v->begin, v->positions);
        to[r] = kv_within(hi[r], v->begin, v->positions);
        a = from[r] > a ? from[r] : a;
        b = to[r] < b ? to[r] : b;
        first = from[r] < first ? from[r] : first;
        end = to[r] > end ? to[r] : end;
    }
    b = b > a ? b : a;
    for (size_t r = 0; first < a && r < rows; r++)
        KV_FN(_values_same)
        (o + r * d_v, d_v, w + r * HK_KV_STRETCH, 1, v, from[r], to[r] < a ? to[r] : a, 0);
    KV_FN(_values_same)(o, d_v, w, rows, v, a, b, to_next);
    for (size_t r = 0; b < end && r < rows; r++)
        KV_FN(_values_same)
        (o + r * d_v, d_v, w + r * HK_KV_STRETCH, 1, v, from[r] > b ? from[r] : b, to[r], 0);
}

static void KV_FN(_values_all_rows)(float *restrict o, size_t d_v, const float *restrict w,
                                    size_t n_q, const uint8_t *lo, const uint8_t *hi,
                                    const struct kv_pages *v, uintptr_t to_next)
{
    size_t most = n_q <= KV_FEW ? KV_VALUE_FEW : KV_VALUE_ROWS;
    for (size_t i = 0, rows; i < n_q; i += rows) {
        rows = kv_rows(n_q - i, most);
        KV_FN(_values_ranges)
        (o + i * d_v, d_v, w + i * HK_KV_STRETCH + v->begin, rows, lo + i, hi + i, v,
         i == 0 ? to_next : 0);
    }
}

#if KV_WIDEN
/* Many rows: the visible positions are converted, a part of the columns at a time. */
static void KV_FN(_values_widened)(float *restrict o, const float *restrict w, size_t n_q,
                                   const uint8_t *lo, const uint8_t *hi,
                                   const void *const v_pages[4], size_t d_v, size_t first,
                                   size_t end)
{
    HB_ALIGNAS(64) float part[HK_KV_STRETCH * KV_VALUE_PART];
    struct kv_pages v = {.positions = HK_KV_STRETCH, .ld = KV_VALUE_PART};
    for (size_t p = 0; p < 4; p++)
        v.page[p] = part + p * HK_KV_PAGE * KV_VALUE_PART;
    for (size_t j = 0; j < d_v; j += KV_VALUE_PART) {
        v.n = d_v - j < KV_VALUE_PART ? d_v - j : KV_VALUE_PART;
        for (size_t p = first; p < end; p++) {
            const KV_ELEM *page = v_pages[p / HK_KV_PAGE];
            if (!page)
                continue;
            const KV_ELEM *row = page + p % HK_KV_PAGE * d_v + j;
            float *to = part + p * KV_VALUE_PART;
            size_t i = 0;
            for (; i + HK_VL <= v.n; i += HK_VL)
                hk_v_store(to + i, KV_LOAD(row + i));
            if (i < v.n)
                hk_v_store_n(to + i, KV_LOAD_N(row + i, v.n - i), v.n - i);
        }
        kv_f32_values_all_rows(o + j, d_v, w, n_q, lo, hi, &v, 0);
    }
}
#endif

void KV_BODY(hk_attn_values_)(float *restrict o, const float *restrict alpha,
                              const float *restrict w, size_t n_q, const uint8_t *restrict lo,
                              const uint8_t *restrict hi, const void *const v_pages[4], size_t d_v)
{
    for (size_t i = 0; i < n_q; i++)
        if (alpha[i] != 1.0f)
            HK_BODY_HERE(hk_scale_f32)(o + i * d_v, o + i * d_v, alpha[i], d_v);
    size_t first, end;
    kv_union(lo, hi, n_q, &first, &end);
#if KV_WIDEN
    if (n_q > KV_WIDEN_ROWS) {
        KV_FN(_values_widened)(o, w, n_q, lo, hi, v_pages, d_v, first, end);
        return;
    }
#endif
    size_t step = n_q <= KV_FEW ? 1 : 4;
    for (size_t p = first / HK_KV_PAGE / step * step; p * HK_KV_PAGE < end; p += step) {
        struct kv_pages v = {
            .begin = p * HK_KV_PAGE, .positions = step * HK_KV_PAGE, .ld = d_v, .n = d_v};
        for (size_t k = 0; k < step; k++)
            v.page[k] = v_pages[p + k];
        bool more = step == 1 && (p + 1) * HK_KV_PAGE < end && v_pages[p];
        uintptr_t to_next = more ? kv_to_next(v_pages[p], v_pages[p + 1]) : 0;
        KV_FN(_values_all_rows)(o, d_v, w, n_q, lo, hi, &v, to_next);
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
