/* A binary min-heap of 64-bit keys: merge order in the upper half, position in the lower, so that
 * of equal merges the leftmost comes first. */
#ifndef HV_HEAP_H
#define HV_HEAP_H

#include "base/hb_port.h"

struct hv_heap {
    uint64_t *keys;
    size_t n;
};

HB_INLINE void hv_heap_push(struct hv_heap *h, uint64_t key)
{
    size_t i = h->n++;
    while (i > 0 && h->keys[(i - 1) / 2] > key) {
        h->keys[i] = h->keys[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->keys[i] = key;
}

HB_INLINE uint64_t hv_heap_pop(struct hv_heap *h)
{
    uint64_t top = h->keys[0], key = h->keys[--h->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->keys[child + 1] < h->keys[child])
            child++;
        if (h->keys[child] >= key)
            break;
        h->keys[i] = h->keys[child];
        i = child;
    }
    h->keys[i] = key;
    return top;
}

/* A symbol of a long word; nodes lie in text order, the list runs over those that are left. The
 * rank of the pair that a node makes with its right neighbour tells stale heap entries. */
struct hv_node {
    uint32_t prev, next; /* HV_NODE_END: none */
    int32_t id;
    uint32_t rank;
};
#define HV_NODE_END UINT32_MAX

#endif
