/* What the templates of the KV cache share: sizes of the register blocks, pages, ranges. */
#ifndef HK_KV_VEC_H
#define HK_KV_VEC_H

#include "kernels/hk_kv_block.h"

#define KV_FEW        8   /* up to here pages come from memory rather than from cache */
#define KV_AHEAD      16  /* dimensions between requests for what comes next */
#define KV_PART       128 /* dimensions converted at a time: 8 KiB of floats per page */
#define KV_VALUE_PART 64  /* columns converted at a time: 16 KiB of floats per stretch */
#define KV_WIDEN_ROWS 12

/* Blocks of scores are rows x pages, of values rows x columns. */
#define KV_CASES_3(n) KV_CASE(1, n) KV_CASE(2, n) KV_CASE(3, n)
#define KV_CASES_6(n) KV_CASES_3(n) KV_CASE(4, n) KV_CASE(5, n) KV_CASE(6, n)
#define KV_CASES_12(n)                                                                             \
    KV_CASES_6(n)                                                                                  \
    KV_CASE(7, n) KV_CASE(8, n) KV_CASE(9, n) KV_CASE(10, n) KV_CASE(11, n) KV_CASE(12, n)

#if HK_VL == 16 /* 32 registers; the broadcast of a query or weight is a memory operand */
#define KV_MAX_ROWS    12
#define KV_MANY_PAGES  2
#define KV_SCORE_CASES KV_CASES_12(1) KV_CASES_12(2) KV_CASES_3(4)
#define KV_I_PRELOAD   1
#define KV_I_MAX_ROWS  6
#define KV_I_CASES     KV_CASES_6(1) KV_CASES_6(2) KV_CASES_6(4)
#define KV_VALUE_ROWS  6
#define KV_VALUE_FEW   6
#define KV_VALUE_CASES                                                                             \
    KV_CASE(1, 8) KV_CASE(2, 8) KV_CASE(3, 4) KV_CASE(4, 4) KV_CASE(5, 4) KV_CASE(6, 4)
#elif HK_VL == 4 /* 32 registers of 4 lanes */
#define KV_MAX_ROWS    6
#define KV_MANY_PAGES  1
#define KV_SCORE_CASES KV_CASES_6(1) KV_CASES_3(2) KV_CASE(1, 4)
#define KV_I_PRELOAD   0
#define KV_I_MAX_ROWS  6
#define KV_I_CASES     KV_SCORE_CASES
#define KV_VALUE_ROWS  6
#define KV_VALUE_FEW   2
#define KV_VALUE_CASES                                                                             \
    KV_CASE(1, 8) KV_CASE(2, 8) KV_CASE(3, 4) KV_CASE(4, 4) KV_CASE(5, 4) KV_CASE(6, 4)
#else /* 16 registers of 8 lanes */
#define KV_MAX_ROWS    6
#define KV_MANY_PAGES  1
#define KV_SCORE_CASES KV_CASES_6(1) KV_CASE(1, 2) KV_CASE(2, 2) KV_CASE(1, 4)
#define KV_I_PRELOAD   0
#define KV_I_MAX_ROWS  4
#define KV_I_CASES     KV_CASES_3(1) KV_CASE(4, 1) KV_CASE(1, 2) KV_CASE(2, 2) KV_CASE(1, 4)
#define KV_VALUE_ROWS  6
#define KV_VALUE_FEW   2
#define KV_VALUE_CASES                                                                             \
    KV_CASE(1, 8) KV_CASE(2, 4) KV_CASE(3, 2) KV_CASE(4, 2) KV_CASE(5, 2) KV_CASE(6, 2)
#endif

/* Pages that blocks of so many rows take at a time. */
HB_INLINE size_t kv_pages_for(size_t n_q)
{
    if (HK_VL == 16)
        return n_q <= 3 ? 4 : 2;
    return n_q == 1 ? 4 : n_q == 2 ? 2 : 1;
}

HB_INLINE size_t kv_i_pages_for(size_t n_q)
{
    return HK_VL == 16 || n_q == 1 ? 4 : n_q <= (HK_VL == 4 ? 3 : 2) ? 2 : 1;
}

#define HK_BODY_OF(name) HK_BODY_HERE(name)

/* The first n elements of a row, the rest 0. */
HB_INLINE hk_vf kv_load_f16_n(const uint16_t *p, size_t n)
{
    uint16_t first[HK_VL] = {0};
    memcpy(first, p, n * sizeof *first);
    return hk_v_load_f16(first);
}

HB_INLINE hk_vf kv_load_bf16_n(const uint16_t *p, size_t n)
{
    uint16_t first[HK_VL] = {0};
    memcpy(first, p, n * sizeof *first);
    return hk_v_load_bf16(first);
}

/* Pages of K that are there, where their scores go, and what to ask memory for meanwhile. */
struct kv_keys {
    const void *page[4];
    const uint8_t *ahead[4]; /* may be NULL */
    size_t to[4];
};

HB_INLINE size_t kv_keys_of(const void *const pages[8], bool ask, struct kv_keys *k)
{
    size_t n = 0;
    for (size_t p = 0; p < 4; p++)
        if (pages[p]) {
            k->page[n] = pages[p];
            k->ahead[n] = ask ? pages[4 + p] : NULL;
            k->to[n++] = p * HK_KV_PAGE;
        }
    return n;
}

HB_INLINE void kv_keys_from(struct kv_keys *to, const struct kv_keys *k, size_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to->page[i] = k->page[first + i];
        to->ahead[i] = k->ahead[first + i];
        to->to[i] = k->to[first + i];
    }
}

/* Ask for bytes [from, to) of the pages ahead. */
HB_INLINE void kv_ask(const struct kv_keys *k, size_t n_pages, size_t from, size_t to)
{
    for (size_t i = 0; i < n_pages; i++)
        for (size_t at = from; k->ahead[i] && at < to; at += HB_CACHELINE)
            HB_PREFETCH(k->ahead[i] + at);
}

HB_INLINE void kv_ask_row(const uint8_t *page, size_t row, size_t row_bytes)
{
    for (size_t at = 0; at < row_bytes; at += HB_CACHELINE)
        HB_PREFETCH(page + row * row_bytes + at);
}

/* ---- int8 query rows of e elements ---- */

HB_INLINE float kv_query_scale(const uint8_t *row, size_t e, size_t b)
{
    float a;
    memcpy(&a, row + hk_act_scale_off(e) + b * sizeof a, sizeof a);
    return a;
}

/* The two int16 sums of block b, as they lie. */
HB_INLINE int32_t kv_query_sums(const uint8_t *row, size_t e, size_t b)
{
    int32_t pair;
    memcpy(&pair, row + hk_act_sum_off(e, HK_STRETCH_B32) + b * sizeof pair, sizeof pair);
    return pair;
}

/* Rows of the next block when n are left: equal blocks rather than a full one and a crumb. */
HB_INLINE size_t kv_rows(size_t n, size_t max)
{
    size_t blocks = (n + max - 1) / max;
    return (n + blocks - 1) / blocks;
}

/* Pages of V from position `begin` of the stretch on, rows `ld` apart, n columns. */
struct kv_pages {
    const void *page[4];
    const uint8_t *ahead[4]; /* may be NULL */
    size_t begin, positions, ld, n, row_bytes;
};

/* A bound of a range of the stretch, counted from `begin`, at most n. */
HB_INLINE size_t kv_within(size_t p, size_t begin, size_t n)
{
    return p <= begin ? 0 : p - begin < n ? p - begin : n;
}

/* The smallest range that holds all that is not empty. */
HB_INLINE void kv_union(const uint8_t *lo, const uint8_t *hi, size_t n, size_t *first, size_t *end)
{
    *first = HK_KV_STRETCH;
    *end = 0;
    for (size_t i = 0; i < n; i++)
        if (lo[i] < hi[i]) {
            *first = lo[i] < *first ? lo[i] : *first;
            *end = hi[i] > *end ? hi[i] : *end;
        }
}

/* Bytes of a position in V, with its share of the scales. */
HB_INLINE size_t kv_row_bytes(enum hk_kvtype type, size_t d)
{
    return hk_kv_page_bytes(type, d) / HK_KV_PAGE;
}

#endif
