/* Cases and benches for attention and the KV cache. The pages come from the reference table's put
 * functions, so one set of cases serves every storage type; c->qtype is the type's row. */
#include "check.h"

#define AS(type, f) ((type *)(f))
#define PAGES       4
#define STRETCH     HK_KV_STRETCH

static const size_t head_dims[] = {1,  2,  3,  4,  7,  8,  15,  16,  17,  24,  32, 33,
                                   48, 63, 64, 65, 80, 96, 100, 128, 129, 192, 256};
static const size_t query_rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 24, 31, 33};

static enum hk_kvtype kv_type(const struct ck *c)
{
#define HK_KVTYPE(id, name)                                                                        \
    if (c->qtype == &hk_qtype_info[HK_##id])                                                       \
        return HK_KV_##id;
#include "kernels/kvtypes.def"
#undef HK_KVTYPE
    return HK_KVTYPE_COUNT;
}

static size_t page_bytes(const struct ck *c, size_t d)
{
    return hk_kv_page_bytes(kv_type(c), d);
}

/* Pages and what is in them: an element, or a 16-bit scale. */
static size_t elem_bytes(const struct ck *c)
{
    return hk_kv_is_block(kv_type(c)) ? 2 : c->qtype->block_bytes;
}

/* 4 pages of d elements per position, some of them missing; `missing` is a bit mask. */
static void make_pages(struct ck *c, const void *pages[2 * PAGES], size_t d, enum ck_data data,
                       unsigned missing, bool is_k)
{
    const struct hk_kv *kv = &c->ref_table->kv[kv_type(c)];
    static float row[4096];
    memset(pages, 0, 2 * PAGES * sizeof *pages);
    for (size_t p = 0; p < PAGES; p++) {
        void *page = NULL;
        if (!(missing >> p & 1)) {
            page = ck_buffer(c, page_bytes(c, d), elem_bytes(c));
            for (size_t slot = 0; slot < HK_KV_PAGE; slot++) {
                ck_fill(c, row, d, data);
                (is_k ? kv->put_k : kv->put_v)(page, slot, 1, row, d, d);
            }
        }
        pages[p] = page;
        if (ck_below(c, 2)) /* what comes next is asked for, whatever it is */
            pages[PAGES + p] = page;
    }
}

/* n query rows as the type wants them, *stride bytes apart. */
static void *make_queries(struct ck *c, size_t n, size_t d, enum ck_data data, size_t *stride)
{
    static float row[4096];
    size_t e = hk_kv_elements(kv_type(c), d), bytes = hk_kv_query_bytes(kv_type(c), d);
    bool block = hk_kv_is_block(kv_type(c));
    *stride = bytes + (block ? 64 : sizeof(float)) * ck_below(c, 3);
    uint8_t *q = ck_buffer(c, (n - 1) * *stride + bytes, block ? 64 : 4);
    for (size_t i = 0; i < n; i++) {
        ck_fill(c, row, d, data);
        memset(row + d, 0, (e - d) * sizeof *row);
        if (block)
            c->ref_table->act_quantize(q + i * *stride, row, e, HK_STRETCH_B32);
        else
            memcpy(q + i * *stride, row, bytes);
    }
    return q;
}

/* lo and hi: everything, nothing, causal ends, windows; never a missing page. */
static void make_ranges(struct ck *c, uint8_t *lo, uint8_t *hi, size_t n, unsigned missing)
{
    size_t first = 0, end = STRETCH;
    while (missing & 1)
        missing >>= 1, first += HK_KV_PAGE;
    if (missing)
        for (end = first; !(missing & 1); missing >>= 1)
            end += HK_KV_PAGE;
    size_t style = ck_below(c, 4);
    for (size_t i = 0; i < n; i++) {
        size_t a = first + ck_below(c, end - first + 1), b = first + ck_below(c, end - first + 1);
        lo[i] = (uint8_t)(style == 0 ? first : a < b ? a : b);
        hi[i] = (uint8_t)(style == 0 ? end : a < b ? b : a);
        if (style == 1)
            lo[i] = (uint8_t)first;
    }
}

/* Bit masks of missing pages that leave one run of pages. */
static const unsigned missing_pages[] = {0, 0, 0x8, 0xC, 0xE, 0x1, 0x3, 0x7, 0x9};

static void case_scores(struct ck *c, size_t n_q, size_t d, enum ck_data data)
{
    const void *pages[2 * PAGES];
    size_t stride;
    unsigned missing = missing_pages[ck_below(c, HB_COUNT(missing_pages))];
    make_pages(c, pages, d, data, missing, true);
    void *q = make_queries(c, n_q, d, data, &stride);
    float *a = ck_buffer(c, n_q * STRETCH * 4, 4), *b = ck_copy(c, a, n_q * STRETCH * 4, 4);
    AS(hk_attn_scores_fn, c->ref)(a, q, stride, n_q, pages, d);
    AS(hk_attn_scores_fn, c->fn)(b, q, stride, n_q, pages, d);
    ck_same_floats(c, "s", a, b, n_q * STRETCH, NULL);
}

static void case_values(struct ck *c, size_t n_q, size_t d, enum ck_data data)
{
    const void *pages[2 * PAGES];
    unsigned missing = missing_pages[ck_below(c, HB_COUNT(missing_pages))];
    make_pages(c, pages, d, data, missing, false);
    uint8_t *lo = ck_buffer(c, n_q, 1), *hi = ck_buffer(c, n_q, 1);
    make_ranges(c, lo, hi, n_q, missing);
    float *w = ck_floats(c, n_q * STRETCH, CK_RANDOM), *alpha = ck_floats(c, n_q, CK_RANDOM);
    for (size_t i = 0; i < n_q; i++)
        for (size_t p = 0; p < STRETCH; p++)
            if (p < lo[i] || p >= hi[i])
                w[i * STRETCH + p] = 0.0f;
    float *a = ck_floats(c, n_q * d, data), *b = ck_copy(c, a, n_q * d * 4, 4);
    AS(hk_attn_values_fn, c->ref)(a, alpha, w, n_q, lo, hi, pages, d);
    AS(hk_attn_values_fn, c->fn)(b, alpha, w, n_q, lo, hi, pages, d);
    ck_same_floats(c, "o", a, b, n_q * d, NULL);
}

static void each_shape(struct ck *c, void (*run)(struct ck *, size_t, size_t, enum ck_data))
{
    static const enum ck_data kinds[] = {CK_RANDOM,  CK_RANDOM,    CK_SPECIAL, CK_ALTERNATING,
                                         CK_LARGEST, CK_DENORMALS, CK_WIDE};
    size_t k = 0;
    for (size_t i = 0; i < HB_COUNT(head_dims); i++)
        for (size_t j = 0; j < HB_COUNT(query_rows); j++)
            for (c->place = 0; c->place < 2; c->place++) {
                enum ck_data data = kinds[k++ % HB_COUNT(kinds)];
                if (head_dims[i] > 64 && query_rows[j] > 8 && (k & 7) > 1)
                    continue; /* the scalar side would take seconds */
                ck_case(c, "d=%zu, %zu query rows, %s data, place %d", head_dims[i], query_rows[j],
                        ck_data_name(data), c->place);
                run(c, query_rows[j], head_dims[i], data);
                ck_guards(c);
            }
    c->place = 0;
}

static void check_scores(struct ck *c)
{
    each_shape(c, case_scores);
}

static void check_values(struct ck *c)
{
    each_shape(c, case_values);
}

/* Decode reads pages from memory once; prefill reads one stretch from cache many times. */
#define BENCH_D     128
#define BENCH_PAGES 8192

static uint8_t *bench_pages(const struct ck *c, const void **pages)
{
    size_t bytes = page_bytes(c, BENCH_D);
    uint8_t *block = aligned_alloc(4096, bytes * BENCH_PAGES);
    memset(block, 0, bytes * BENCH_PAGES);
    for (size_t i = 0; i < BENCH_PAGES; i++)
        pages[i] = block + i * bytes;
    return block;
}

/* The next 256 pages, round and round. */
static const void *const *bench_next(const void **pages)
{
    static size_t at;
    at = (at + 256) % BENCH_PAGES;
    return pages + at;
}

static void bench_attn(struct ck *c, bool scores)
{
    static const size_t rows[] = {1, 2, 3, 4, 8, 16, 64, 96};
    static const void *pages[BENCH_PAGES + 256 + PAGES];
    static uint8_t lo[96], hi[96];
    static float o[96 * BENCH_D], s[96 * STRETCH], alpha[96];
    uint8_t *block = bench_pages(c, pages);
    size_t stride;
    ck_case(c, "bench");
    void *q = make_queries(c, 96, BENCH_D, CK_RANDOM, &stride);
    memset(hi, STRETCH, sizeof hi);
    ck_fill(c, o, HB_COUNT(o), CK_RANDOM);
    ck_fill(c, s, HB_COUNT(s), CK_RANDOM);
    for (size_t i = 0; i < HB_COUNT(alpha); i++)
        alpha[i] = i % 4 ? 1.0f : 0.5f;
    for (size_t i = 0; i < HB_COUNT(rows); i++) {
        size_t n = rows[i], count = n > 8 ? PAGES : 256;
        double per_call = (double)(count / PAGES);
        char shape[64];
        snprintf(shape, sizeof shape, "d=%d, n_q=%zu, %s", BENCH_D, n,
                 n > 8 ? "one stretch" : "from memory");
        double bytes = per_call * PAGES * (double)page_bytes(c, BENCH_D);
        double ops = per_call * STRETCH * BENCH_D * 2.0 * (double)n;
        const void *const *at = pages;
        if (scores)
            CK_BENCH(c, shape, bytes, ops, at = n > 8 ? pages : bench_next(pages);
                     for (size_t p = 0; p < count; p += PAGES)
                         AS(hk_attn_scores_fn, c->fn)(s, q, stride, n, at + p, BENCH_D));
        else
            CK_BENCH(c, shape, bytes, ops, at = n > 8 ? pages : bench_next(pages);
                     for (size_t p = 0; p < count; p += PAGES)
                         AS(hk_attn_values_fn, c->fn)(o, alpha, s, n, lo, hi, at + p, BENCH_D));
    }
    free(block);
}

static void bench_scores(struct ck *c)
{
    bench_attn(c, true);
}

static void bench_values(struct ck *c)
{
    bench_attn(c, false);
}

const struct ck_type ck_hk_attn_scores_fn = {check_scores, bench_scores};
const struct ck_type ck_hk_attn_values_fn = {check_values, bench_values};

/* ---- softmax of a stretch ---- */

static void case_attn_softmax(struct ck *c, size_t n_q, enum ck_data data, float softcap,
                              bool fresh)
{
    uint8_t *lo = ck_buffer(c, n_q, 1), *hi = ck_buffer(c, n_q, 1);
    make_ranges(c, lo, hi, n_q, 0);
    size_t s_bytes = n_q * STRETCH * 4, l_bytes = n_q * 16 * 4;
    float *s_a = ck_floats(c, n_q * STRETCH, data), *m_a = ck_floats(c, n_q, CK_RANDOM);
    float *l_a = ck_floats(c, n_q * 16, CK_RANDOM);
    for (size_t i = 0; i < n_q; i++) {
        if (fresh || ck_below(c, 5) == 0)
            m_a[i] = -INFINITY, memset(l_a + i * 16, 0, 64);
        if (ck_below(c, 9) == 0) /* an additive mask */
            for (size_t p = 0; p < STRETCH; p++)
                s_a[i * STRETCH + p] = -INFINITY;
        if (ck_below(c, 5) == 0)
            for (size_t p = 0; p < STRETCH; p++)
                s_a[i * STRETCH + p] *= 1e30f;
    }
    float *s_b = ck_copy(c, s_a, s_bytes, 4), *m_b = ck_copy(c, m_a, n_q * 4, 4);
    float *l_b = ck_copy(c, l_a, l_bytes, 4);
    float *alpha_a = ck_buffer(c, n_q * 4, 4), *alpha_b = ck_buffer(c, n_q * 4, 4);
    AS(hk_attn_softmax_fn, c->ref)(s_a, n_q, lo, hi, softcap, m_a, l_a, alpha_a);
    AS(hk_attn_softmax_fn, c->fn)(s_b, n_q, lo, hi, softcap, m_b, l_b, alpha_b);
    ck_same_floats(c, "alpha", alpha_a, alpha_b, n_q, NULL);
    ck_same_floats(c, "m", m_a, m_b, n_q, NULL);
    ck_same_floats(c, "s", s_a, s_b, n_q * STRETCH, NULL);
    ck_same_floats(c, "l", l_a, l_b, n_q * 16, NULL);
}

static void check_attn_softmax(struct ck *c)
{
    static const float caps[] = {0.0f, 30.0f, 50.0f};
    for (int k = 0; k < 400; k++) {
        enum ck_data data = (enum ck_data)(k % CK_DATA_COUNT);
        size_t n_q = 1 + ck_below(c, 9);
        float cap = caps[ck_below(c, 3)];
        c->place = k & 1;
        ck_case(c, "case %d: %zu rows, %s data, softcap %g", k, n_q, ck_data_name(data),
                (double)cap);
        case_attn_softmax(c, n_q, data, cap, k % 3 == 0);
        ck_guards(c);
    }
    c->place = 0;
}

static void bench_attn_softmax(struct ck *c)
{
    static uint8_t lo[64], hi[64];
    static float s[64 * STRETCH], m[64], l[64 * 16], alpha[64];
    memset(hi, STRETCH, sizeof hi);
    CK_BENCH(c, "64 rows of 64", 64 * STRETCH * 8.0, 64 * STRETCH,
             AS(hk_attn_softmax_fn, c->fn)(s, 64, lo, hi, 0.0f, m, l, alpha));
    CK_BENCH(c, "64 rows of 64, softcap", 64 * STRETCH * 8.0, 64 * STRETCH,
             AS(hk_attn_softmax_fn, c->fn)(s, 64, lo, hi, 30.0f, m, l, alpha));
}

const struct ck_type ck_hk_attn_softmax_fn = {check_attn_softmax, bench_attn_softmax};

/* ---- folding of states ---- */

static void case_attn_merge(struct ck *c, size_t n, enum ck_data data)
{
    float ms[] = {-INFINITY, 0.0f, -3.5f, 2.0f, 1e30f, -1e30f, NAN};
    float *o_a = ck_floats(c, n, data), *o_b = ck_floats(c, n, data);
    float *l_a = ck_floats(c, 16, CK_RANDOM), *l_b = ck_floats(c, 16, CK_RANDOM);
    float *m_a = ck_floats(c, 1, CK_RANDOM), m_b = ms[ck_below(c, HB_COUNT(ms))];
    *m_a = ms[ck_below(c, HB_COUNT(ms))];
    float *o = ck_copy(c, o_a, n * 4, 4), *l = ck_copy(c, l_a, 64, 4), *m = ck_copy(c, m_a, 4, 4);
    AS(hk_attn_merge_fn, c->ref)(o_a, m_a, l_a, o_b, m_b, l_b, n);
    AS(hk_attn_merge_fn, c->fn)(o, m, l, o_b, m_b, l_b, n);
    ck_same_floats(c, "m", m_a, m, 1, NULL);
    ck_same_floats(c, "l", l_a, l, 16, NULL);
    ck_same_floats(c, "o", o_a, o, n, NULL);
}

static void check_attn_merge(struct ck *c)
{
    for (int i = 0; i < 4; i++)
        ck_each_length(c, case_attn_merge);
}

static void bench_attn_merge(struct ck *c)
{
    float *o = ck_floats(c, 128, CK_ZEROS), *p = ck_floats(c, 128, CK_ZEROS);
    float *l = ck_floats(c, 16, CK_ZEROS), *l_b = ck_floats(c, 16, CK_ZEROS), m = 0;
    CK_BENCH(c, "d=128", 128 * 12.0, 128 * 3.0,
             AS(hk_attn_merge_fn, c->fn)(o, &m, l, p, 0.0f, l_b, 128));
}

const struct ck_type ck_hk_attn_merge_fn = {check_attn_merge, bench_attn_merge};

/* ---- rotation ---- */

static void check_hadamard(struct ck *c)
{
    for (size_t block = 1; block <= HK_HADAMARD_MAX; block *= 2)
        for (int k = 0; k < 3 * CK_DATA_COUNT; k++) {
            enum ck_data data = (enum ck_data)(k % CK_DATA_COUNT);
            size_t n = block * ck_below(c, 4);
            c->place = k & 1;
            ck_case(c, "%zu elements in blocks of %zu, %s data", n, block, ck_data_name(data));
            float *a = ck_floats(c, n, data), *b = ck_copy(c, a, n * 4, 4);
            AS(hk_hadamard_fn, c->ref)(a, n, block);
            AS(hk_hadamard_fn, c->fn)(b, n, block);
            ck_same_floats(c, "x", a, b, n, NULL);
            ck_guards(c);
        }
    c->place = 0;
}

static void bench_hadamard(struct ck *c)
{
    float *x = ck_floats(c, 128, CK_ZEROS);
    CK_BENCH(c, "128", 128 * 8.0, 128 * 7.0, AS(hk_hadamard_fn, c->fn)(x, 128, 128));
}

const struct ck_type ck_hk_hadamard_fn = {check_hadamard, bench_hadamard};

/* ---- putting positions into a page (K or V: the case does not care) ---- */

static void case_put(struct ck *c, size_t d, enum ck_data data)
{
    size_t slot = ck_below(c, HK_KV_PAGE), n = 1 + ck_below(c, HK_KV_PAGE - slot);
    size_t ldx = d + ck_below(c, 3), bytes = page_bytes(c, d);
    if (ck_below(c, 3) == 0)
        slot = 0, n = HK_KV_PAGE;
    float *x = ck_floats(c, n * ldx - (ldx - d), data);
    void *a = ck_buffer(c, bytes, elem_bytes(c)), *b = ck_buffer(c, bytes, elem_bytes(c));
    AS(hk_kv_put_fn, c->ref)(a, slot, n, x, ldx, d);
    AS(hk_kv_put_fn, c->fn)(b, slot, n, x, ldx, d);
    ck_same_bytes(c, "page", a, b, bytes);
}

static void check_put(struct ck *c)
{
    for (int i = 0; i < 4; i++)
        ck_each_length(c, case_put);
}

static void bench_put(struct ck *c)
{
    float *x = ck_floats(c, HK_KV_PAGE * BENCH_D, CK_RANDOM);
    void *page = ck_buffer(c, page_bytes(c, BENCH_D), 64);
    double bytes = BENCH_D * 4.0 + (double)page_bytes(c, BENCH_D) / HK_KV_PAGE;
    CK_BENCH(c, "d=128, 1 position", bytes, BENCH_D,
             AS(hk_kv_put_fn, c->fn)(page, 3, 1, x, BENCH_D, BENCH_D));
    CK_BENCH(c, "d=128, 16 positions", 16 * bytes, 16.0 * BENCH_D,
             AS(hk_kv_put_fn, c->fn)(page, 0, HK_KV_PAGE, x, BENCH_D, BENCH_D));
}

const struct ck_type ck_hk_kv_put_fn = {check_put, bench_put};
