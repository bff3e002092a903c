/* The sort is a heap sort: no recursion and no worst case. */
#include "tokenizer/hv_prefix.h"
#include <string.h>

static int prefix_compare(const struct hv_text *texts, uint32_t a, uint32_t b)
{
    const struct hv_text *x = &texts[a], *y = &texts[b];
    int order = memcmp(x->bytes, y->bytes, x->len < y->len ? x->len : y->len);
    if (order)
        return order;
    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return a < b ? -1 : a > b;
}

static void prefix_sift(const struct hv_text *texts, uint32_t *order, size_t i, size_t n)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && prefix_compare(texts, order[child], order[child + 1]) < 0)
            child++;
        if (prefix_compare(texts, order[i], order[child]) >= 0)
            return;
        uint32_t t = order[i];
        order[i] = order[child];
        order[child] = t;
        i = child;
    }
}

void hv_sort_texts(const struct hv_text *texts, uint32_t *order, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        prefix_sift(texts, order, i, n);
    for (size_t end = n; end-- > 1;) {
        uint32_t t = order[0];
        order[0] = order[end];
        order[end] = t;
        prefix_sift(texts, order, 0, end);
    }
}

hearth_status hv_prefix_build(struct hv_prefix *p, const struct hv_text *texts, size_t n,
                              struct hb_arena *arena, hearth_error *err)
{
    *p = (struct hv_prefix){.texts = texts};
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, n, &p->order, err));
    for (size_t i = 0; i < n; i++) {
        if (texts[i].len == 0)
            continue;
        p->order[p->n++] = (uint32_t)i;
        p->first[(uint8_t)texts[i].bytes[0] + 1]++;
    }
    for (size_t b = 0; b < 256; b++)
        p->first[b + 1] += p->first[b];
    hv_sort_texts(texts, p->order, p->n);
    return HEARTH_OK;
}

/* In [lo, hi), whose texts are longer than depth: the first with a byte of at least `byte` there. */
static uint32_t prefix_bisect(const struct hv_prefix *p, uint32_t lo, uint32_t hi, size_t depth,
                              uint32_t byte)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if ((uint8_t)p->texts[p->order[mid]].bytes[depth] < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool hv_prefix_step(const struct hv_prefix *p, struct hv_prefix_walk *w, uint8_t byte,
                    int32_t *found)
{
    *found = -1;
    if (w->depth == 0) {
        w->lo = p->first[byte];
        w->hi = p->first[byte + 1u];
    } else {
        w->lo = prefix_bisect(p, w->lo, w->hi, w->depth, byte);
        w->hi = prefix_bisect(p, w->lo, w->hi, w->depth, byte + 1u);
    }
    w->depth++;
    for (; w->lo < w->hi && p->texts[p->order[w->lo]].len == w->depth; w->lo++)
        *found = (int32_t)p->order[w->lo];
    return w->lo < w->hi || *found >= 0;
}
