/* Heap sort of indices (Williams, CACM 7, 1964): keys and names come from strangers, so the worst
 * case has to be as good as the usual one. */
#include "gguf/hg_gguf.h"

static void sort_sift(uint32_t *order, size_t root, size_t n, hg_less_fn *less, const void *ctx)
{
    uint32_t moving = order[root];
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && less(ctx, order[child], order[child + 1]))
            child++;
        if (!less(ctx, moving, order[child]))
            break;
        order[root] = order[child];
    }
    order[root] = moving;
}

void hg_sort(uint32_t *order, size_t n, hg_less_fn *less, const void *ctx)
{
    for (size_t i = n / 2; i-- > 0;)
        sort_sift(order, i, n, less, ctx);
    for (size_t last = n; last-- > 1;) {
        uint32_t top = order[0];
        order[0] = order[last];
        order[last] = top;
        sort_sift(order, 0, last, less, ctx);
    }
}
