/* What the two storage types of kv_vec_tmpl.c share: sizes of the register blocks, ranges. */
#ifndef HK_KV_VEC_H
#define HK_KV_VEC_H

#define KV_PART 128 /* dimensions converted at a time: 8 KiB of floats per page */

#if HK_VL == 16 /* 32 registers; the broadcast of a query or weight is a memory operand */
#define KV_MAX_ROWS   12
#define KV_FEW_ROWS   3
#define KV_VALUE_ROWS 6
#define KV_ROW_CASES                                                                               \
    KV_CASE(1)                                                                                     \
    KV_CASE(2) KV_CASE(3) KV_CASE(4) KV_CASE(5) KV_CASE(6) KV_CASE(7) KV_CASE(8) KV_CASE(9)        \
        KV_CASE(10) KV_CASE(11) KV_CASE(12)
#define KV_VALUE_CASES                                                                             \
    KV_CASE(1, 8) KV_CASE(2, 8) KV_CASE(3, 8) KV_CASE(4, 4) KV_CASE(5, 4) KV_CASE(6, 4)
#else /* 16 registers of 8 lanes */
#define KV_MAX_ROWS   6
#define KV_FEW_ROWS   2
#define KV_VALUE_ROWS 6
#define KV_ROW_CASES  KV_CASE(1) KV_CASE(2) KV_CASE(3) KV_CASE(4) KV_CASE(5) KV_CASE(6)
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

/* Rows of the next block when n are left: equal blocks rather than a full one and a crumb. */
HB_INLINE size_t kv_rows(size_t n, size_t max)
{
    size_t blocks = (n + max - 1) / max;
    return (n + blocks - 1) / blocks;
}

/* A bound of a range of the stretch as a position of one page, 0 to 16. */
HB_INLINE size_t kv_in_page(size_t p, size_t page)
{
    size_t begin = page * HK_KV_PAGE;
    return p <= begin ? 0 : p - begin < HK_KV_PAGE ? p - begin : HK_KV_PAGE;
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
