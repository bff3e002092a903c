/* Views: the same elements under another shape. No step is left of them when a plan is made; only
 * reshape may need a copy before it. */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include "base/hb_check.h"
#include <string.h>

/* ---- reshape, flatten, squeeze, unsqueeze ---- */

/* Strides of `x` under the shape dim, when its elements can be seen so without a copy: groups of
 * dimensions with equal products are matched, and each group of x must be dense in itself. */
static bool view_strides(const struct ht_tensor *x, int rank, const int64_t *dim, int64_t *stride)
{
    int64_t old_dim[HT_MAX_RANK], old_stride[HT_MAX_RANK];
    int n = 0, i = 0, j = 0;
    for (int d = 0; d < x->rank; d++)
        if (x->dim[d] != 1) {
            old_dim[n] = x->dim[d];
            old_stride[n++] = x->stride[d];
        }
    while (i < n && j < rank) {
        int i1 = i + 1, j1 = j + 1;
        int64_t a = old_dim[i], c = dim[j];
        while (a != c) {
            if (a < c) {
                if (i1 >= n)
                    return false;
                a *= old_dim[i1++];
            } else {
                if (j1 >= rank)
                    return false;
                c *= dim[j1++];
            }
        }
        for (int k = i; k + 1 < i1; k++)
            if (old_stride[k] != old_stride[k + 1] * old_dim[k + 1])
                return false;
        stride[j1 - 1] = old_stride[i1 - 1];
        for (int k = j1 - 1; k > j; k--)
            stride[k - 1] = stride[k] * dim[k];
        i = i1;
        j = j1;
    }
    for (; j < rank; j++)
        stride[j] = 1;
    return i == n;
}

static hearth_status view_reshape(struct ht_bind *b, struct ht_step *s, int rank,
                                  const int64_t *dim, hearth_error *err)
{
    int64_t stride[HT_MAX_RANK], n = 1;
    for (int d = 0; d < rank; d++)
        if (!hb_mul_dim(n, dim[d], &n))
            return ht_bad_shape(s, "the size of its output overflows", err);
    if (n != ht_elements(s->in[0]))
        return hb_fail(err, HEARTH_E_MISMATCH, "%s (%s): %lld elements into a shape of %lld",
                       s->name, s->op->name, (long long)ht_elements(s->in[0]), (long long)n);
    if (n == 0 || ht_is_dense(s->in[0]) || !view_strides(s->in[0], rank, dim, stride)) {
        HB_TRY(ht_dense(b, s, 0, err));
        int64_t step = 1;
        for (int d = rank - 1; d >= 0; d--) {
            stride[d] = step;
            step *= dim[d];
        }
    }
    return ht_out_view(b, s, 0, s->in[0], 0, rank, dim, stride, err);
}

static hearth_status reshape_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_reshape *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t dim[HT_MAX_RANK], known = 1;
    int n = p->rank, free_dim = -1;
    bool ok;
    if (s->n_in > 1 && s->in[1]) {
        HB_TRY(ht_need(b, s, 1, &ok, err));
        if (!ok)
            return HEARTH_OK;
        HB_TRY(ht_ints(s, 1, HT_MAX_RANK, dim, &n, err));
    } else {
        memcpy(dim, p->dim, sizeof dim);
    }
    for (int d = 0; d < n; d++) {
        if (dim[d] == 0 && !p->allow_zero) {
            if (d >= x->rank)
                return ht_bad_shape(s, "a 0 stands where the input has no dimension", err);
            dim[d] = x->dim[d];
        }
        if (dim[d] == -1) {
            if (free_dim >= 0)
                return ht_bad_shape(s, "the new shape has two -1", err);
            free_dim = d;
        } else if (dim[d] < 0 || !hb_mul_dim(known, dim[d], &known)) {
            return hb_fail(err, HEARTH_E_MISMATCH, "%s (reshape): dimension %lld", s->name,
                           (long long)dim[d]);
        }
    }
    if (free_dim >= 0) {
        int64_t all = ht_elements(x);
        if (known == 0 || all % known != 0)
            return hb_fail(err, HEARTH_E_MISMATCH,
                           "%s (reshape): %lld elements do not divide by %lld", s->name,
                           (long long)all, (long long)known);
        dim[free_dim] = all / known;
    }
    return view_reshape(b, s, n, dim, err);
}

const struct ht_op ht_op_reshape = {"reshape", sizeof(struct ht_reshape), reshape_plan, 0, 0, 0, 0};

static hearth_status flatten_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_axis_params *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t axis = p->axis, dim[2] = {1, 1};
    if (axis < -x->rank || axis > x->rank)
        return ht_axis(s, &axis, x->rank, err);
    if (axis < 0)
        axis += x->rank;
    for (int d = 0; d < x->rank; d++)
        dim[d >= axis] *= x->dim[d];
    return view_reshape(b, s, 2, dim, err);
}

const struct ht_op ht_op_flatten = {"flatten", sizeof(struct ht_axis_params), flatten_plan,
                                    0, 0, 0, 0};

/* The axes of a squeeze or unsqueeze as a set. */
static hearth_status view_axes(struct ht_bind *b, struct ht_step *s, int rank, uint32_t *set, int *n,
                               bool *ok, hearth_error *err)
{
    const struct ht_axes *p = s->params;
    int64_t axes[HT_MAX_RANK];
    *n = p->n;
    *ok = true;
    *set = 0;
    memcpy(axes, p->axes, sizeof axes);
    if (s->n_in > 1 && s->in[1]) {
        HB_TRY(ht_need(b, s, 1, ok, err));
        if (!*ok)
            return HEARTH_OK;
        HB_TRY(ht_ints(s, 1, HT_MAX_RANK, axes, n, err));
    }
    if (p->insert)
        rank += *n;
    for (int i = 0; i < *n; i++) {
        HB_TRY(ht_axis(s, &axes[i], rank, err));
        if (*set & 1u << axes[i])
            return ht_bad_shape(s, "an axis is named twice", err);
        *set |= 1u << axes[i];
    }
    return HEARTH_OK;
}

static hearth_status axes_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_axes *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t dim[HT_MAX_RANK], stride[HT_MAX_RANK];
    uint32_t set;
    int n, rank = 0, from = 0;
    bool ok;
    HB_TRY(view_axes(b, s, x->rank, &set, &n, &ok, err));
    if (!ok)
        return HEARTH_OK;
    if (p->insert) {
        if (x->rank + n > HT_MAX_RANK)
            return ht_bad_shape(s, "the rank would pass 8", err);
        for (rank = 0; rank < x->rank + n; rank++) {
            bool one = set >> rank & 1;
            dim[rank] = one ? 1 : x->dim[from];
            stride[rank] = one ? 0 : x->stride[from];
            from += !one;
        }
        return ht_out_view(b, s, 0, x, 0, rank, dim, stride, err);
    }
    for (int d = 0; d < x->rank; d++) {
        bool drop = n ? set >> d & 1 : x->dim[d] == 1;
        if (drop && x->dim[d] != 1)
            return hb_fail(err, HEARTH_E_MISMATCH, "%s (squeeze): dimension %d is %lld, not 1",
                           s->name, d, (long long)x->dim[d]);
        if (drop)
            continue;
        dim[rank] = x->dim[d];
        stride[rank++] = x->stride[d];
    }
    return ht_out_view(b, s, 0, x, 0, rank, dim, stride, err);
}

const struct ht_op ht_op_axes = {"axes", sizeof(struct ht_axes), axes_plan, 0, 0, 0, 0};

/* ---- transpose, expand ---- */

static hearth_status transpose_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_axes *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t dim[HT_MAX_RANK], stride[HT_MAX_RANK];
    uint32_t set = 0;
    if (p->n != 0 && p->n != x->rank)
        return hb_fail(err, HEARTH_E_MISMATCH, "%s (transpose): %d axes for rank %d", s->name, p->n,
                       x->rank);
    for (int d = 0; d < x->rank; d++) {
        int64_t a = p->n ? p->axes[d] : x->rank - 1 - d;
        HB_TRY(ht_axis(s, &a, x->rank, err));
        if (set >> a & 1)
            return ht_bad_shape(s, "perm is no permutation", err);
        set |= 1u << a;
        dim[d] = x->dim[a];
        stride[d] = x->stride[a];
    }
    return ht_out_view(b, s, 0, x, 0, x->rank, dim, stride, err);
}

const struct ht_op ht_op_transpose = {"transpose", sizeof(struct ht_axes), transpose_plan,
                                      0, 0, 0, 0};

static hearth_status expand_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0];
    struct ht_tensor want = {.rank = 0};
    int64_t dim[HT_MAX_RANK], stride[HT_MAX_RANK], total = 1;
    int n, rank = 0;
    bool ok;
    HB_TRY(ht_need(b, s, 1, &ok, err));
    if (!ok)
        return HEARTH_OK;
    HB_TRY(ht_ints(s, 1, HT_MAX_RANK, want.dim, &n, err));
    want.rank = (uint8_t)n;
    for (int i = 0; i < n; i++)
        if (want.dim[i] < 0 || !hb_mul_dim(total, want.dim[i] ? want.dim[i] : 1, &total))
            return ht_bad_shape(s, "a dimension is negative or the size overflows", err);
    if (!ht_broadcast(&rank, dim, x) || !ht_broadcast(&rank, dim, &want))
        return ht_bad_shape(s, "the shape cannot be broadcast", err);
    for (int d = 0; d < rank; d++) {
        int from = d - (rank - x->rank);
        stride[d] = from >= 0 && x->dim[from] == dim[d] ? x->stride[from] : 0;
    }
    return ht_out_view(b, s, 0, x, 0, rank, dim, stride, err);
}

const struct ht_op ht_op_expand = {"expand", sizeof(struct ht_no_params), expand_plan, 0, 0, 0, 0};

/* ---- slice, split ---- */

/* start and count along one dimension, by ONNX's clamping rules. */
static void slice_range(int64_t n, int64_t start, int64_t end, int64_t step, int64_t *first,
                        int64_t *count)
{
    if (start < 0)
        start += n; /* n >= 0: no overflow */
    if (end < 0)
        end += n;
    if (step > 0) {
        start = start < 0 ? 0 : start > n ? n : start;
        end = end < 0 ? 0 : end > n ? n : end;
        *count = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
        start = start < 0 ? 0 : start;
        start = start > n - 1 ? n - 1 : start; /* -1 of an empty dimension: nothing */
        end = end < -1 ? -1 : end > n - 1 ? n - 1 : end;
        *count = start > end && start >= 0
                     ? (int64_t)((uint64_t)(start - end - 1) / (0u - (uint64_t)step)) + 1 : 0;
    }
    *first = *count ? start : 0;
}

static hearth_status slice_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_slice *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t v[4][HT_MAX_RANK]; /* starts, ends, axes, steps */
    int64_t dim[HT_MAX_RANK], stride[HT_MAX_RANK], off = 0;
    int n[4] = {p->n, p->n, p->n_axes, 0};
    memcpy(v[0], p->starts, sizeof v[0]);
    memcpy(v[1], p->ends, sizeof v[1]);
    memcpy(v[2], p->axes, sizeof v[2]);
    for (uint32_t i = 1; i < s->n_in && i < 5; i++) {
        bool ok;
        HB_TRY(ht_need(b, s, i, &ok, err));
        if (!ok)
            return HEARTH_OK;
        if (s->in[i])
            HB_TRY(ht_ints(s, i, HT_MAX_RANK, v[i - 1], &n[i - 1], err));
    }
    if (n[1] != n[0] || (n[2] && n[2] != n[0]) || (n[3] && n[3] != n[0]) ||
        (!n[2] && n[0] > x->rank))
        return ht_bad_shape(s, "starts, ends, axes and steps differ in length", err);
    memcpy(dim, x->dim, sizeof dim);
    memcpy(stride, x->stride, sizeof stride);
    uint32_t set = 0;
    for (int i = 0; i < n[0]; i++) {
        int64_t a = n[2] ? v[2][i] : i, step = n[3] ? v[3][i] : 1, first;
        HB_TRY(ht_axis(s, &a, x->rank, err));
        if (step == 0 || set >> a & 1)
            return ht_bad_shape(s, "a step is 0 or an axis is named twice", err);
        set |= 1u << a;
        slice_range(x->dim[a], v[0][i], v[1][i], step, &first, &dim[a]);
        off += first * x->stride[a];
        stride[a] = dim[a] > 1 ? x->stride[a] * step : x->stride[a];
    }
    return ht_out_view(b, s, 0, x, (size_t)off * ht_size_of(x->type), x->rank, dim, stride, err);
}

const struct ht_op ht_op_slice = {"slice", sizeof(struct ht_slice), slice_plan, 0, 0, 0, 0};

static hearth_status split_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_split *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t axis = p->axis, size[HT_MAX_INTS], dim[HT_MAX_RANK], at = 0;
    int n = p->n;
    bool ok;
    HB_TRY(ht_axis(s, &axis, x->rank, err));
    memcpy(size, p->size, sizeof size);
    if (s->n_in > 1 && s->in[1]) {
        HB_TRY(ht_need(b, s, 1, &ok, err));
        if (!ok)
            return HEARTH_OK;
        HB_TRY(ht_ints(s, 1, HT_MAX_INTS, size, &n, err));
    }
    if (s->n_out > HT_MAX_INTS || (n && (uint32_t)n != s->n_out))
        return ht_bad_shape(s, "as many sizes as outputs are wanted", err);
    int64_t part = ((x->dim[axis] + (int64_t)s->n_out - 1) / (int64_t)s->n_out);
    if (!n && !p->uneven && part * (int64_t)s->n_out != x->dim[axis])
        return ht_bad_shape(s, "the dimension does not divide by the number of outputs", err);
    memcpy(dim, x->dim, sizeof dim);
    for (uint32_t i = 0; i < s->n_out; i++) {
        int64_t left = x->dim[axis] - at;
        dim[axis] = n ? size[i] : part < left ? part : left;
        if (dim[axis] < 0 || dim[axis] > left)
            return ht_bad_shape(s, "the sizes do not add up to the dimension", err);
        HB_TRY(ht_out_view(b, s, i, x, (size_t)(at * x->stride[axis]) * ht_size_of(x->type), x->rank,
                           dim, x->stride, err));
        at += dim[axis];
    }
    if (at != x->dim[axis])
        return ht_bad_shape(s, "the sizes do not add up to the dimension", err);
    return HEARTH_OK;
}

const struct ht_op ht_op_split = {"split", sizeof(struct ht_split), split_plan, 0, 0, 0, 0};

/* align: (a, b) -> b with dimensions of 1 behind, so that its first stands at a's axis: the broadcasting
 * of old opsets. */
static hearth_status align_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_axis_params *p = s->params;
    const struct ht_tensor *a = s->in[0], *x = s->in[1];
    int64_t axis = p->axis, dim[HT_MAX_RANK], stride[HT_MAX_RANK];
    HB_TRY(ht_axis(s, &axis, a->rank, err));
    int rank = a->rank - (int)axis;
    if (rank < x->rank)
        return ht_bad_shape(s, "the second input reaches past the first", err);
    for (int d = 0; d < rank; d++) {
        dim[d] = d < x->rank ? x->dim[d] : 1;
        stride[d] = d < x->rank ? x->stride[d] : 0;
    }
    return ht_out_view(b, s, 0, x, 0, rank, dim, stride, err);
}

const struct ht_op ht_op_align = {"align", sizeof(struct ht_axis_params), align_plan, 0, 0, 0, 0};
