/* What a generation step brings along besides tensors: which tokens belong to which sequence, and
 * where the KV cache keeps that sequence's pages. Filled by the runtime, which owns the pages; read
 * by kv_put and attention.
 *
 * A layer's part of a page is [kv head][ K page | V page ]; where the parts stand is the owner's matter
 * (runtime/hr_kv.h). Page layouts: kernels.h. */
#ifndef HT_BATCH_H
#define HT_BATCH_H

#include "kernels/kernels.h"

struct ht_kv_layer_view {
    uint8_t *base;
    size_t head_stride; /* from one KV head to the next */
    size_t page_stride; /* from one page to the next */
    size_t v_off;       /* of the V part inside a page */
};

struct ht_kv_view {
    const struct ht_kv_layer_view *layers;
    uint8_t type_k, type_v; /* enum hk_kvtype */
    bool rotate_k;          /* keys are kept rotated (hk_kv_rotation) */
};

/* Consecutive items of one sequence. A sequence with a window sees its first `sink` positions and,
 * behind a hole, from ht_window_first on; the table has no pages for `dropped` positions of the hole. */
struct ht_segment {
    int32_t first, n;       /* items */
    int32_t pos;            /* position of the first item */
    const uint32_t *pages;  /* see ht_seg_page */
    int32_t sink, dropped;  /* whole pages */
    int32_t window;         /* 0: everything is seen */
};

struct ht_batch {
    const struct ht_segment *segments;
    int32_t n_segments;
    int32_t n_items;
    int32_t max_pos; /* largest position in the step */
    const struct ht_kv_view *kv;
};

/* First position of the window of a row at position pos: a whole stretch, so that a hole never begins
 * and ends in one. */
HB_INLINE int32_t ht_window_first(int32_t window, int32_t pos)
{
    int32_t first = pos + 1 - window;
    return window == 0 || first < 0 ? 0 : first / HK_KV_STRETCH * HK_KV_STRETCH;
}

/* The page of a position that is held. */
HB_INLINE uint32_t ht_seg_page(const struct ht_segment *seg, int32_t pos)
{
    return seg->pages[(pos < seg->sink ? pos : pos - seg->dropped) / HK_KV_PAGE];
}

HB_INLINE uint8_t *ht_kv_page(const struct ht_kv_layer_view *l, int32_t head, uint32_t page)
{
    return l->base + (size_t)head * l->head_stride + (size_t)page * l->page_stride;
}

#endif
