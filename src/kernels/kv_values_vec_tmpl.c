/* Weighted sums of values over vectors; included by a level's file once per storage type with
 *   KV_NAME                    the row of kvtypes.def
 *   KV_V(page, p, ld, j, c)    vector c of the columns from j on of position p of a page, to floats
 *   KV_V_N(page, p, ld, j, n)  the first n of vector 0; other lanes do not matter
 *   KV_ROW_BYTES(d)            of a position, with its share of the scales
 *   KV_WIDEN                   1 if elements must be converted
 * ld: columns of a page (elements of a row). j is a multiple of the columns of a call, so that these
 * share a block of 32 or are whole blocks.
 *
 * Rows x a stretch of columns are kept in registers over the positions. Positions are counted from the
 * first of the pages `v` that a call is given: all four with many rows, so that a block of o stays in
 * registers for 64 positions; one by one with few rows, so that memory is read page after page. */
#define KV_CAT_(a, b, c) a##b##c
#define KV_CAT(a, b, c)  KV_CAT_(a, b, c)
#define KV_FN(name)      HK_BODY_OF(KV_CAT(kv_, KV_NAME, name))
#define KV_BODY(prefix)  HK_BODY_OF(KV_CAT(prefix, KV_NAME, ))

/* o[r][j ..] over `columns` vectors, positions lo <= p < hi. `ask`: for the
 * page that comes next. */
HB_INLINE void KV_FN(_values_block)(float *restrict o, size_t d_v, const float *restrict w,
                                    const size_t rows, const size_t columns,
                                    const struct kv_pages *v, size_t j, size_t lo, size_t hi,
                                    bool ask)
{
    hk_vf acc[KV_VALUE_ROWS][8];
    const size_t ld = v->ld;
    HB_UNROLL for (size_t r = 0; r < rows; r++) HB_UNROLL for (size_t c = 0; c < columns; c++)
        acc[r][c] = hk_v_load(o + r * d_v + j + c * HK_VL);
    for (size_t p = lo; p < hi;) {
        size_t end = (p / HK_KV_PAGE + 1) * HK_KV_PAGE;
        const void *page = v->page[p / HK_KV_PAGE];
        const uint8_t *next = ask ? v->ahead[p / HK_KV_PAGE] : NULL;
        for (end = end < hi ? end : hi; p < end; p++) {
            hk_vf vp[8];
            if (next)
                kv_ask_row(next, p % HK_KV_PAGE, v->row_bytes);
            HB_UNROLL for (size_t c = 0; c < columns; c++) vp[c] =
                KV_V(page, p % HK_KV_PAGE, ld, j, c);
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
                                const struct kv_pages *v, size_t j, size_t lo, size_t hi)
{
    size_t n = v->n - j;
    for (size_t r = 0; r < rows; r++) {
        hk_vf acc = hk_v_load_n(o + r * d_v + j, n);
        for (size_t p = lo; p < hi; p++) {
            hk_vf vp = KV_V_N(v->page[p / HK_KV_PAGE], p % HK_KV_PAGE, v->ld, j, n);
            acc = hk_v_fma(hk_v_set(w[r * HK_KV_STRETCH + p]), vp, acc);
        }
        hk_v_store_n(o + r * d_v + j, acc, n);
    }
}

HB_INLINE void KV_FN(_values_rows)(float *restrict o, size_t d_v, const float *restrict w,
                                   const size_t rows, const size_t columns,
                                   const struct kv_pages *v, size_t lo, size_t hi, bool ask)
{
    size_t j = 0;
    for (; j + columns * HK_VL <= v->n; j += columns * HK_VL)
        KV_FN(_values_block)(o, d_v, w, rows, columns, v, j, lo, hi, ask && j == 0);
    for (; columns > 4 && j + 4 * HK_VL <= v->n; j += 4 * HK_VL)
        KV_FN(_values_block)(o, d_v, w, rows, 4, v, j, lo, hi, ask && j == 0);
    for (; j + HK_VL <= v->n; j += HK_VL)
        KV_FN(_values_block)(o, d_v, w, rows, 1, v, j, lo, hi, ask && j == 0);
    if (j < v->n)
        KV_FN(_values_tail)(o, d_v, w, rows, v, j, lo, hi);
}

/* Rows that see the same positions. */
static void KV_FN(_values_same)(float *restrict o, size_t d_v, const float *restrict w, size_t rows,
                                const struct kv_pages *v, size_t lo, size_t hi, bool ask)
{
    if (lo >= hi)
        return;
    switch (rows) {
#define KV_CASE(r, c)                                                                              \
    case r:                                                                                        \
        KV_FN(_values_rows)(o, d_v, w, r, c, v, lo, hi, ask);                                      \
        break;
        KV_VALUE_CASES
#undef KV_CASE
    }
}

/* A block of rows: what all of them see together, what stands before and after it row by row. */
static void KV_FN(_values_ranges)(float *restrict o, size_t d_v, const float *restrict w,
                                  size_t rows, const uint8_t *lo, const uint8_t *hi,
                                  const struct kv_pages *v, bool ask)
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
        (o + r * d_v, d_v, w + r * HK_KV_STRETCH, 1, v, from[r], to[r] < a ? to[r] : a, false);
    KV_FN(_values_same)(o, d_v, w, rows, v, a, b, ask);
    for (size_t r = 0; b < end && r < rows; r++)
        KV_FN(_values_same)
        (o + r * d_v, d_v, w + r * HK_KV_STRETCH, 1, v, from[r] > b ? from[r] : b, to[r], false);
}

static void KV_FN(_values_all_rows)(float *restrict o, size_t d_v, const float *restrict w,
                                    size_t n_q, const uint8_t *lo, const uint8_t *hi,
                                    const struct kv_pages *v, bool ask)
{
    size_t most = n_q <= KV_FEW ? KV_VALUE_FEW : KV_VALUE_ROWS;
    for (size_t i = 0, rows; i < n_q; i += rows) {
        rows = kv_rows(n_q - i, most);
        KV_FN(_values_ranges)
        (o + i * d_v, d_v, w + i * HK_KV_STRETCH + v->begin, rows, lo + i, hi + i, v,
         ask && i == 0);
    }
}

#if KV_WIDEN
/* Many rows: the visible positions are converted, a part of the columns at a time. */
static void KV_FN(_values_widened)(float *restrict o, const float *restrict w, size_t n_q,
                                   const uint8_t *lo, const uint8_t *hi,
                                   const void *const v_pages[8], size_t d_v, size_t first,
                                   size_t end)
{
    HB_ALIGNAS(64) float part[HK_KV_STRETCH * KV_VALUE_PART];
    struct kv_pages v = {.positions = HK_KV_STRETCH, .ld = KV_VALUE_PART};
    for (size_t p = 0; p < 4; p++)
        v.page[p] = part + p * HK_KV_PAGE * KV_VALUE_PART;
    for (size_t j = 0; j < d_v; j += KV_VALUE_PART) {
        v.n = d_v - j < KV_VALUE_PART ? d_v - j : KV_VALUE_PART;
        for (size_t p = first; p < end; p++) {
            const void *page = v_pages[p / HK_KV_PAGE];
            if (!page)
                continue;
            float *to = part + p * KV_VALUE_PART;
            size_t i = 0;
            for (; i + HK_VL <= v.n; i += HK_VL)
                hk_v_store(to + i, KV_V(page, p % HK_KV_PAGE, d_v, j + i, 0));
            if (i < v.n)
                hk_v_store_n(to + i, KV_V_N(page, p % HK_KV_PAGE, d_v, j + i, v.n - i), v.n - i);
        }
        HK_BODY_OF(kv_f32_values_all_rows)(o + j, d_v, w, n_q, lo, hi, &v, false);
    }
}
#endif

void KV_BODY(hk_attn_values_)(float *restrict o, const float *restrict alpha,
                              const float *restrict w, size_t n_q, const uint8_t *restrict lo,
                              const uint8_t *restrict hi, const void *const v_pages[8], size_t d_v)
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
        struct kv_pages v = {.begin = p * HK_KV_PAGE,
                             .positions = step * HK_KV_PAGE,
                             .ld = d_v,
                             .n = d_v,
                             .row_bytes = KV_ROW_BYTES(d_v)};
        for (size_t k = 0; k < step; k++) {
            v.page[k] = v_pages[p + k];
            v.ahead[k] = step == 1 ? v_pages[4 + p + k] : NULL;
        }
        KV_FN(_values_all_rows)(o, d_v, w, n_q, lo, hi, &v, step == 1 && v.ahead[0]);
    }
}

#undef KV_CAT_
#undef KV_CAT
#undef KV_FN
#undef KV_BODY
#undef KV_NAME
#undef KV_V
#undef KV_V_N
#undef KV_ROW_BYTES
#undef KV_WIDEN
