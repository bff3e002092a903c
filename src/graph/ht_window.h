/* Sliding windows over the space dimensions of [batch][channels][space..]: convolutions and pools. */
#ifndef HT_WINDOW_H
#define HT_WINDOW_H

#include "graph/ht_ops.h"
#include "graph/ht_strip.h"

struct ht_window_plan {
    int n; /* space dimensions */
    int64_t in[HT_MAX_RANK], out[HT_MAX_RANK], kernel[HT_MAX_RANK], stride[HT_MAX_RANK];
    int64_t dilation[HT_MAX_RANK], pad[HT_MAX_RANK], pad_end[HT_MAX_RANK];
    int64_t in_size, out_size, kernel_size; /* products */
};

/* Fill from parameters, the input's shape and the kernel's dimensions; computes out[]. */
hearth_status ht_window_make(const struct ht_step *s, const struct ht_window *p,
                             const struct ht_tensor *x, const int64_t *kernel,
                             struct ht_window_plan *w, hearth_error *err);
/* Split a number into coordinates of a shape. */
HB_INLINE void ht_coords(int64_t i, int n, const int64_t *dim, int64_t *at)
{
    for (int d = n - 1; d >= 0; d--) {
        at[d] = i % dim[d];
        i /= dim[d];
    }
}
/* Offset in the input's space of kernel position k for the window at `at`; -1 in the padding. */
HB_INLINE int64_t ht_window_at(const struct ht_window_plan *w, const int64_t *at, const int64_t *k)
{
    int64_t off = 0;
    for (int d = 0; d < w->n; d++) {
        int64_t i = at[d] * w->stride[d] - w->pad[d] + k[d] * w->dilation[d];
        if (i < 0 || i >= w->in[d])
            return -1;
        off = off * w->in[d] + i;
    }
    return off;
}

#endif
