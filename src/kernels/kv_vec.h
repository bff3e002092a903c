/* What the two storage types of kv_vec_tmpl.c share: sizes of the register blocks, ranges. */
#ifndef HK_KV_VEC_H
#define HK_KV_VEC_H

#define KV_FEW        8   /* up to here pages come from memory rather than from cache */
#define KV_PART       128 /* dimensions converted at a time: 8 KiB of floats per page */
#define KV_VALUE_PART 64  /* columns converted at a time: 16 KiB of floats per stretch */

#if HK_VL == 16 /* 32 registers; the broadcast of a query or weight is a memory operand */
#define KV_MAX_ROWS        12
#define KV_WIDEN_ROWS      12
#define KV_SCORES_PREFETCH 0
#define KV_VALUE_ROWS      6
#define KV_VALUE_FEW       6
#define KV_ROW_CASES                                                                               \
    KV_CASE(1)                                                                                     \
    KV_CASE(2)                                                                                     \
    KV_CASE(3)                                                                                     \
    KV_CASE(4)                                                                                     \
    KV_CASE(5) KV_CASE(6) KV_CASE(7) KV_CASE(8) KV_CASE(9) KV_CASE(10) KV_CASE(11) KV_CASE(12)
#define KV_VALUE_CASES                                                                             \
    KV_CASE(1, 8) KV_CASE(2, 8) KV_CASE(3, 8) KV_CASE(4, 4) KV_CASE(5, 4) KV_CASE(6, 4)
#elif HK_VL == 4 /* 32 registers of 4 lanes */
#define KV_MAX_ROWS        6
#define KV_WIDEN_ROWS      12
#define KV_SCORES_PREFETCH 1
#define KV_VALUE_ROWS      6
#define KV_VALUE_FEW       2
#define KV_ROW_CASES       KV_CASE(1) KV_CASE(2) KV_CASE(3) KV_CASE(4) KV_CASE(5) KV_CASE(6)
#define KV_VALUE_CASES                                                                             \
    KV_CASE(1, 8) KV_CASE(2, 8) KV_CASE(3, 4) KV_CASE(4, 4) KV_CASE(5, 4) KV_CASE(6, 4)
#else /* 16 registers of 8 lanes */
#define KV_MAX_ROWS        6
#define KV_WIDEN_ROWS      12
#define KV_SCORES_PREFETCH 1
#define KV_VALUE_ROWS      6
#define KV_VALUE_FEW       2
#define KV_ROW_CASES       KV_CASE(1) KV_CASE(2) KV_CASE(3) KV_CASE(4) KV_CASE(5) KV_CASE(6)
#define KV_VALUE_CASES                                                                             \
    KV_CASE(1, 8) KV_CASE(2, 4) KV_CASE(3, 2) KV_CASE(4, 2) KV_CASE(5, 2) KV_CASE(6, 2)
#endif

#define HK_BODY_OF(name) HK_BODY_HERE(name)

HB_INLINE hk_vf hk_v_load_f16_n(const uint16_t *p, size_t n)
{
    uint16_t first[HK_VL] = {0};
    memcpy(first, p, n * sizeof *first);
    return hk_v_load_f16(first);
}

/* From an address to the same place of the next page, or 0. Several passes over a page look like
 * scattered lines to the hardware; asking for the next one hides what it would miss. */
HB_INLINE uintptr_t kv_to_next(const void *page, const void *next)
{
    return next ? (uintptr_t)next - (uintptr_t)page : 0;
}

HB_INLINE void kv_prefetch(const void *p, uintptr_t to_next)
{
    HB_PREFETCH((const void *)((uintptr_t)p + to_next));
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
    size_t begin, positions, ld, n;
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

#endif
