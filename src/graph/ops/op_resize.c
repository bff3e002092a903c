/* resize: samples of a tensor at other positions: nearest, linear in any number of dimensions, cubic, with
 * ONNX's coordinate transformations, antialiasing and aspect policies.
 * inputs: (x, region of interest or none, scales or none, sizes or none). Source: ONNX operator Resize-19.
 *
 * The weights of each dimension are computed apart; an output element is the sum over the product. */
#include "graph/ht_math.h"
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include <string.h>

#define RESIZE_TAPS 64

struct resize_plan {
    double scale[HT_MAX_RANK], start[HT_MAX_RANK], end[HT_MAX_RANK];
    int64_t wanted[HT_MAX_RANK]; /* size by which coordinates are transformed */
    uint8_t axis[HT_MAX_RANK];   /* dimensions that are resized */
    int n_axes;
};

static hearth_status resize_floats(const struct ht_step *s, uint32_t i, int max, double *out, int *n,
                                   hearth_error *err)
{
    const struct ht_tensor *t = i < s->n_in ? s->in[i] : NULL;
    *n = 0;
    if (!t || ht_elements(t) == 0)
        return HEARTH_OK;
    if (t->rank != 1 || t->dim[0] > max)
        return ht_bad_shape(s, "wants one number per dimension", err);
    for (*n = 0; *n < t->dim[0]; (*n)++)
        out[*n] = ht_get_f64(t, *n * t->stride[0]);
    return HEARTH_OK;
}

static hearth_status resize_axes(struct ht_step *s, struct resize_plan *r, hearth_error *err)
{
    const struct ht_resize *p = s->params;
    r->n_axes = p->n_axes ? p->n_axes : s->in[0]->rank;
    for (int i = 0; i < r->n_axes; i++) {
        int64_t a = p->n_axes ? p->axes[i] : i;
        HB_TRY(ht_axis(s, &a, s->in[0]->rank, err));
        r->axis[i] = (uint8_t)a;
    }
    return HEARTH_OK;
}

static hearth_status resize_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_resize *p = s->params;
    const struct ht_tensor *x = s->in[0];
    double scales[HT_MAX_RANK], sizes[HT_MAX_RANK], roi[2 * HT_MAX_RANK];
    int64_t dim[HT_MAX_RANK];
    int n_scales, n_sizes, n_roi;
    for (uint32_t i = 1; i < s->n_in; i++) {
        bool ok;
        HB_TRY(ht_need(b, s, i, &ok, err));
        if (!ok)
            return HEARTH_OK;
    }
    if (ht_class_of(x->type) == HT_NO_CLASS)
        return ht_bad_shape(s, "wants numbers", err);
    HB_TRY(ht_step_private(b, s, sizeof(struct resize_plan), err));
    struct resize_plan *r = s->plan;
    HB_TRY(resize_axes(s, r, err));
    HB_TRY(resize_floats(s, 1, 2 * HT_MAX_RANK, roi, &n_roi, err));
    HB_TRY(resize_floats(s, 2, HT_MAX_RANK, scales, &n_scales, err));
    HB_TRY(resize_floats(s, 3, HT_MAX_RANK, sizes, &n_sizes, err));
    if ((n_scales == r->n_axes) == (n_sizes == r->n_axes) || (n_roi && n_roi != 2 * r->n_axes))
        return ht_bad_shape(s, "wants either scales or sizes, one per resized dimension", err);
    double keep = 0;
    for (int i = 0; i < r->n_axes && n_sizes && p->policy != HT_ASPECT_STRETCH; i++) {
        double v = sizes[i] / (double)x->dim[r->axis[i]];
        keep = i == 0 || (p->policy == HT_ASPECT_SMALLER ? v < keep : v > keep) ? v : keep;
    }
    memcpy(dim, x->dim, sizeof dim);
    for (int d = 0; d < x->rank; d++) {
        r->scale[d] = 1;
        r->end[d] = 1;
        r->wanted[d] = dim[d];
    }
    for (int i = 0; i < r->n_axes; i++) {
        int a = r->axis[i];
        double n = (double)x->dim[a], v = n_sizes ? sizes[i] : ht_floor(n * scales[i]);
        if (n_roi) {
            r->start[a] = roi[i];
            r->end[a] = roi[i + r->n_axes];
        }
        if (n_roi && n_scales && p->coordinates == HT_COORD_CROP)
            v = ht_floor(n * (r->end[a] - r->start[a]) * scales[i]);
        if (keep > 0) /* half up */
            v = ht_floor(n * keep + 0.5);
        if (!(v >= 0 && v <= 0x1p31) || (v > 0 && x->dim[a] == 0))
            return ht_bad_shape(s, "a dimension is out of range", err);
        r->scale[a] = keep > 0 ? keep : n_sizes ? v / n : scales[i];
        if (!(r->scale[a] > 0) && v > 0)
            return ht_bad_shape(s, "a scale is not above 0", err);
        r->wanted[a] = dim[a] = (int64_t)v;
        if (p->antialias && 4 / r->scale[a] + 4 > RESIZE_TAPS)
            return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s (resize): antialiasing by less than 1/15", s->name);
    }
    return ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, dim, -1, err);
}

static double resize_coordinate(const struct ht_resize *p, const struct resize_plan *r, int d, int64_t n,
                                int64_t i)
{
    double in = (double)n, out = in * r->scale[d], x = (double)i, whole = (double)r->wanted[d];
    switch (p->coordinates) {
    case HT_COORD_ASYMMETRIC: return x / r->scale[d];
    case HT_COORD_CORNERS: return whole == 1 ? 0 : x * (in - 1) / (out - 1);
    case HT_COORD_PYTORCH: return whole > 1 ? (x + 0.5) / r->scale[d] - 0.5 : 0;
    case HT_COORD_CROP:
        return whole > 1 ? r->start[d] * (in - 1) + x * (r->end[d] - r->start[d]) * (in - 1) / (whole - 1)
                         : 0.5 * (r->start[d] + r->end[d]) * (in - 1);
    case HT_COORD_HALF_SYMMETRIC: {
        double adjust = whole / out, centre = in / 2, off = centre * (1 - adjust);
        return off + (x + 0.5) / r->scale[d] - 0.5;
    }
    default: return (x + 0.5) / r->scale[d] - 0.5;
    }
}

struct resize_taps {
    int n;
    int64_t at[RESIZE_TAPS];
    double w[RESIZE_TAPS];
    bool outside;
};

static double resize_cubic(double t, double a)
{
    t = ht_abs(t);
    if (t <= 1)
        return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

static int64_t resize_nearest(unsigned mode, double x)
{
    double low = ht_floor(x);
    switch (mode) {
    case HT_NEAREST_FLOOR: return (int64_t)low;
    case HT_NEAREST_CEIL: return (int64_t)ht_ceil(x);
    case HT_NEAREST_UP: return (int64_t)ht_floor(x + 0.5);
    default: return (int64_t)ht_ceil(x - 0.5);
    }
}

static void resize_taps(const struct ht_resize *p, const struct resize_plan *r, int d, int64_t n, int64_t i,
                        struct resize_taps *t)
{
    double x = resize_coordinate(p, r, d, n, i), sum = 0;
    double shrink = p->antialias && r->scale[d] < 1 ? r->scale[d] : 1;
    double reach = p->mode == HT_RESIZE_CUBIC ? 2 / shrink : 1 / shrink;
    t->n = 0;
    t->outside = p->coordinates == HT_COORD_CROP && (x < 0 || x > (double)(n - 1));
    if (p->mode == HT_RESIZE_NEAREST) {
        int64_t k = r->scale[d] == 1 && p->coordinates != HT_COORD_CROP ? i : resize_nearest(p->nearest, x);
        t->at[0] = k < 0 ? 0 : k > n - 1 ? n - 1 : k;
        t->w[0] = 1;
        t->n = 1;
        return;
    }
    for (int64_t k = (int64_t)ht_floor(x - reach) + 0; k <= (int64_t)ht_ceil(x + reach) && t->n < RESIZE_TAPS; k++) {
        double u = ((double)k - x) * shrink;
        double w = p->mode == HT_RESIZE_CUBIC ? resize_cubic(u, p->cubic) : ht_abs(u) < 1 ? 1 - ht_abs(u) : 0;
        bool out = k < 0 || k >= n;
        if (w == 0 || (out && p->exclude_outside))
            continue;
        t->at[t->n] = k < 0 ? 0 : k >= n ? n - 1 : k;
        t->w[t->n++] = w;
        sum += w;
    }
    for (int k = 0; k < t->n && sum != 0; k++)
        t->w[k] /= sum;
}

static int64_t resize_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)run;
    return ht_elements(s->out[0]) > 0;
}

static double resize_sum(const struct ht_tensor *x, const struct resize_taps *t, int d, int64_t off)
{
    double sum = 0;
    if (d == x->rank)
        return ht_get_f64(x, off);
    for (int k = 0; k < t[d].n; k++)
        sum += t[d].w[k] * resize_sum(x, t, d + 1, off + t[d].at[k] * x->stride[d]);
    return sum;
}

static hearth_status resize_run(const struct ht_step *s, const struct ht_run *run, void *scratch, int64_t begin,
                                int64_t end, hearth_error *err)
{
    const struct ht_resize *p = s->params;
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    struct resize_taps t[HT_MAX_RANK];
    int64_t at[HT_MAX_RANK] = {0}, n = ht_elements(y);
    size_t size = ht_size_of(y->type);
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    for (int d = 0; d < y->rank; d++)
        resize_taps(p, s->plan, d, x->dim[d], 0, &t[d]);
    for (int64_t e = 0; e < n; e++) {
        bool outside = false;
        for (int d = 0; d < y->rank; d++)
            outside = outside || t[d].outside;
        double v = outside ? (double)p->extrapolation : resize_sum(x, t, 0, 0);
        if (!ht_is_float(y->type))
            v = ht_round_even(v);
        ht_put_f64(y->type, y->data + e * (int64_t)size, v);
        for (int d = y->rank - 1; d >= 0; d--) {
            bool wrap = ++at[d] == y->dim[d];
            at[d] = wrap ? 0 : at[d];
            resize_taps(p, s->plan, d, x->dim[d], at[d], &t[d]);
            if (!wrap)
                break;
        }
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_resize = {"resize", sizeof(struct ht_resize), resize_plan, resize_units, resize_run, 0, 0};
