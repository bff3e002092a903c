/* Ops on positions: pad, tile, trilu, one_hot, cumsum, topk, nonzero, compress, reverse_sequence, eye. Plain
 * loops, one unit each but where rows are many. */
#include "graph/ht_exec.h"
#include "graph/ht_math.h"
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include "base/hb_check.h"
#include <string.h>

static int64_t index_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)s, (void)run;
    return 1;
}

static void index_copy(const struct ht_tensor *y, int64_t to, const struct ht_tensor *x, int64_t from)
{
    size_t size = ht_size_of(x->type);
    memcpy(y->data + to * (int64_t)size, x->data + from * (int64_t)size, size);
}

/* ---- pad: (x, pads, [value], [axes]) ---- */

static hearth_status pad_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0];
    int64_t v[2 * HT_MAX_RANK], axes[HT_MAX_RANK], dim[HT_MAX_RANK];
    int n, n_axes = x->rank;
    bool ok, ok2 = true;
    HB_TRY(ht_need(b, s, 1, &ok, err));
    HB_TRY(ht_need(b, s, 3, &ok2, err));
    if (!ok || !ok2)
        return HEARTH_OK;
    HB_TRY(ht_ints(s, 1, 2 * HT_MAX_RANK, v, &n, err));
    for (int d = 0; d < x->rank; d++)
        axes[d] = d;
    if (s->n_in > 3 && s->in[3])
        HB_TRY(ht_ints(s, 3, HT_MAX_RANK, axes, &n_axes, err));
    if (n != 2 * n_axes)
        return ht_bad_shape(s, "wants two pads per axis", err);
    if (s->n_in > 2 && s->in[2] && (s->in[2]->type != x->type || ht_elements(s->in[2]) != 1))
        return ht_bad_shape(s, "the value wants one element of the type of the data", err);
    HB_TRY(ht_step_private(b, s, sizeof(int64_t) * HT_MAX_RANK, err));
    int64_t *begin = s->plan;
    memcpy(dim, x->dim, sizeof dim);
    for (int i = 0; i < n_axes; i++) {
        const int64_t most = (int64_t)1 << 40;
        HB_TRY(ht_axis(s, &axes[i], x->rank, err));
        if (v[i] > most || v[i] < -most || v[i + n_axes] > most || v[i + n_axes] < -most)
            return ht_bad_shape(s, "a pad is out of range", err);
        begin[axes[i]] = v[i];
        dim[axes[i]] += v[i] + v[i + n_axes];
        if (dim[axes[i]] < 0)
            return ht_bad_shape(s, "the pads take away more than there is", err);
        if (((const struct ht_pad *)s->params)->kind != HT_PAD_CONSTANT && x->dim[axes[i]] == 0 &&
            dim[axes[i]] > 0)
            return ht_bad_shape(s, "nothing to repeat", err);
    }
    return ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, dim, -1, err);
}

static int64_t pad_source(unsigned kind, int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    switch (kind) {
    case HT_PAD_EDGE: return i < 0 ? 0 : n - 1;
    case HT_PAD_WRAP: return (i % n + n) % n;
    case HT_PAD_REFLECT: {
        int64_t period = 2 * (n - 1);
        if (period == 0)
            return 0;
        i = (i % period + period) % period;
        return i < n ? i : period - i;
    }
    default: return -1;
    }
}

static hearth_status pad_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                             int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_pad *p = s->params;
    const int64_t *first = s->plan;
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    static uint64_t zero;
    struct ht_tensor none = {.type = x->type, .data = (uint8_t *)&zero};
    const struct ht_tensor *value = s->n_in > 2 && s->in[2] ? s->in[2] : &none;
    int64_t n = ht_elements(y), at[HT_MAX_RANK] = {0};
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    for (int64_t e = 0; e < n; e++) {
        int64_t off = 0;
        bool inside = true;
        for (int d = 0; d < y->rank; d++) {
            int64_t i = pad_source(p->kind, at[d] - first[d], x->dim[d]);
            inside = inside && i >= 0;
            off += i * x->stride[d];
        }
        index_copy(y, e, inside ? x : value, inside ? off : 0);
        for (int d = y->rank - 1; d >= 0 && ++at[d] == y->dim[d]; d--)
            at[d] = 0;
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_pad = {"pad", sizeof(struct ht_pad), pad_plan, index_units, pad_run, 0, 0};

/* ---- tile: (x, repeats) ---- */

static hearth_status tile_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0];
    int64_t v[HT_MAX_RANK], dim[HT_MAX_RANK];
    int n;
    bool ok;
    HB_TRY(ht_need(b, s, 1, &ok, err));
    if (!ok)
        return HEARTH_OK;
    HB_TRY(ht_ints(s, 1, HT_MAX_RANK, v, &n, err));
    if (n != x->rank)
        return ht_bad_shape(s, "wants one number of repeats per dimension", err);
    for (int d = 0; d < n; d++)
        if (!hb_mul_dim(x->dim[d], v[d], &dim[d]))
            return ht_bad_shape(s, "repeats are negative or the size overflows", err);
    return ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, dim, -1, err);
}

static hearth_status tile_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                              int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    int64_t n = ht_elements(y), at[HT_MAX_RANK] = {0};
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    for (int64_t e = 0; e < n; e++) {
        int64_t off = 0;
        for (int d = 0; d < y->rank; d++)
            off += at[d] % x->dim[d] * x->stride[d];
        index_copy(y, e, x, off);
        for (int d = y->rank - 1; d >= 0 && ++at[d] == y->dim[d]; d--)
            at[d] = 0;
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_tile = {"tile", sizeof(struct ht_no_params), tile_plan, index_units, tile_run,
                                 0, 0};

/* ---- trilu: (x, [k]) ---- */

static hearth_status trilu_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0];
    if (x->rank < 2)
        return ht_bad_shape(s, "wants a matrix", err);
    if (s->n_in > 1 && s->in[1] && (ht_elements(s->in[1]) != 1 || s->in[1]->type != HK_I64))
        return ht_bad_shape(s, "k wants one int64", err);
    return ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, x->dim, -1, err);
}

static hearth_status trilu_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                               int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_axis_params *p = s->params; /* axis: 1 = upper */
    const struct ht_tensor *y = s->out[0];
    int64_t k = s->n_in > 1 && s->in[1] ? ht_get_i64(s->in[1], 0) : 0;
    int64_t rows = y->dim[y->rank - 2], cols = y->dim[y->rank - 1], n = ht_elements(y);
    size_t size = ht_size_of(y->type);
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    ht_copy_between(y, s->in[0]);
    k = k > cols ? cols : k < -rows ? -rows : k;
    for (int64_t e = 0; e < n; e++) {
        int64_t r = e / cols % rows, c = e % cols;
        if (p->axis ? c < r + k : c > r + k)
            memset(y->data + e * (int64_t)size, 0, size);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_trilu = {"trilu", sizeof(struct ht_axis_params), trilu_plan, index_units,
                                  trilu_run, 0, 0};

/* ---- one_hot: (indices, depth, values [2]) ---- */

static hearth_status one_hot_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_axis_params *p = s->params;
    int64_t axis = p->axis, dim[HT_MAX_RANK + 1];
    bool ok;
    HB_TRY(ht_need(b, s, 1, &ok, err));
    if (!ok)
        return HEARTH_OK;
    HB_TRY(ht_dense(b, s, 0, err));
    HB_TRY(ht_dense(b, s, 2, err));
    const struct ht_tensor *x = s->in[0];
    if (x->rank >= HT_MAX_RANK || ht_elements(s->in[2]) != 2 || ht_elements(s->in[1]) != 1)
        return ht_bad_shape(s, "wants indices, one depth and two values", err);
    HB_TRY(ht_axis(s, &axis, x->rank + 1, err));
    int64_t depth = ht_get_i64(s->in[1], 0);
    if (depth < 0 || depth > (int64_t)1 << 40)
        return hb_fail(err, HEARTH_E_RANGE, "%s (one_hot): depth %lld", s->name, (long long)depth);
    for (int d = 0, from = 0; d <= x->rank; d++)
        dim[d] = d == axis ? depth : x->dim[from++];
    return ht_out(b, s, 0, (enum hk_qtype)s->in[2]->type, x->rank + 1, dim, -1, err);
}

static hearth_status one_hot_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                 int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_axis_params *p = s->params;
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    int64_t axis = p->axis < 0 ? p->axis + y->rank : p->axis, inner = 1, n = ht_elements(x);
    int64_t depth = y->dim[axis], all = ht_elements(y);
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    for (int d = (int)axis + 1; d < y->rank; d++)
        inner *= y->dim[d];
    for (int64_t e = 0; e < all; e++)
        index_copy(y, e, s->in[2], 0);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = ht_get_i64(x, i);
        at = at < 0 ? at + depth : at;
        if (at >= 0 && at < depth) /* others are off everywhere */
            index_copy(y, (i / inner * depth + at) * inner + i % inner, s->in[2], 1);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_one_hot = {"one_hot", sizeof(struct ht_axis_params), one_hot_plan,
                                    index_units, one_hot_run, 0, 0};

/* ---- cumsum: (x, axis) ---- */

static hearth_status cumsum_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    bool ok;
    int n;
    HB_TRY(ht_need(b, s, 1, &ok, err));
    if (!ok)
        return HEARTH_OK;
    HB_TRY(ht_dense(b, s, 0, err));
    HB_TRY(ht_step_private(b, s, sizeof(int64_t), err));
    HB_TRY(ht_ints(s, 1, 1, s->plan, &n, err));
    HB_TRY(ht_axis(s, s->plan, s->in[0]->rank, err));
    return ht_out(b, s, 0, (enum hk_qtype)s->in[0]->type, s->in[0]->rank, s->in[0]->dim, -1, err);
}

static hearth_status cumsum_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_cumsum *p = s->params;
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    int64_t axis = *(const int64_t *)s->plan, inner = 1, n = x->dim[axis], all = ht_elements(x);
    size_t size = ht_size_of(x->type);
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    for (int d = (int)axis + 1; d < x->rank; d++)
        inner *= x->dim[d];
    for (int64_t g = 0; n && g < all / n; g++) {
        double sum = 0;
        uint64_t isum = 0;
        for (int64_t i = 0; i < n; i++) {
            int64_t e = g / inner * n * inner + (p->reverse ? n - 1 - i : i) * inner + g % inner;
            double before = sum;
            uint64_t ibefore = isum;
            uint8_t *to = y->data + e * (int64_t)size;
            if (ht_is_float(x->type)) {
                sum += ht_get_f64(x, e);
                ht_put_f64(y->type, to, p->exclusive ? before : sum);
            } else {
                isum += (uint64_t)ht_get_i64(x, e);
                ht_strip_store(y->type, to, 1, p->exclusive ? &ibefore : &isum, 1);
            }
        }
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_cumsum = {"cumsum", sizeof(struct ht_cumsum), cumsum_plan, index_units,
                                   cumsum_run, 0, 0};

/* ---- topk: (x, k) -> values, indices. Equal values keep the order of their indices. ---- */

static hearth_status topk_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_topk *p = s->params;
    int64_t axis = p->axis, k = 0, dim[HT_MAX_RANK];
    int n;
    bool ok;
    HB_TRY(ht_need(b, s, 1, &ok, err));
    if (!ok)
        return HEARTH_OK;
    HB_TRY(ht_dense(b, s, 0, err));
    HB_TRY(ht_ints(s, 1, 1, &k, &n, err));
    HB_TRY(ht_axis(s, &axis, s->in[0]->rank, err));
    memcpy(dim, s->in[0]->dim, sizeof dim);
    if (k < 0 || k > dim[axis])
        return hb_fail(err, HEARTH_E_RANGE, "%s (topk): k %lld of %lld", s->name, (long long)k,
                       (long long)dim[axis]);
    ht_want_scratch(b, (size_t)dim[axis] * sizeof(int64_t) * 2);
    dim[axis] = k;
    HB_TRY(ht_out(b, s, 0, (enum hk_qtype)s->in[0]->type, s->in[0]->rank, dim, -1, err));
    return ht_out(b, s, 1, HK_I64, s->in[0]->rank, dim, -1, err);
}

/* Does a stand before b? NaN is larger than all numbers. */
static bool topk_before(const struct ht_tensor *x, int64_t a, int64_t b, bool largest)
{
    if (ht_is_float(x->type)) {
        double u = ht_get_f64(x, a), v = ht_get_f64(x, b);
        if (u == v || (u != u && v != v))
            return a < b;
        bool above = u != u || u > v;
        return v != v ? !largest : above == largest;
    }
    int64_t u = ht_get_i64(x, a), v = ht_get_i64(x, b);
    if (u == v)
        return a < b;
    return (x->type == HK_U64 ? (uint64_t)u > (uint64_t)v : u > v) == largest;
}

static void topk_sort(int64_t *v, int64_t *tmp, int64_t n, const struct ht_tensor *x, bool largest)
{
    for (int64_t w = 1; w < n; w *= 2) { /* merge sort, from runs of w to runs of 2 w */
        for (int64_t lo = 0; lo < n; lo += 2 * w) {
            int64_t mid = lo + w < n ? lo + w : n, hi = lo + 2 * w < n ? lo + 2 * w : n;
            for (int64_t i = lo, j = mid, o = lo; o < hi; o++)
                tmp[o] = i < mid && (j >= hi || topk_before(x, v[i], v[j], largest)) ? v[i++] : v[j++];
        }
        memcpy(v, tmp, (size_t)n * sizeof *v);
    }
}

static hearth_status topk_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                              int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_topk *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t axis = p->axis < 0 ? p->axis + x->rank : p->axis, inner = 1, n = x->dim[axis];
    int64_t k = s->out[0] ? s->out[0]->dim[axis] : s->out[1]->dim[axis], *v = scratch;
    (void)run, (void)begin, (void)end, (void)err;
    for (int d = (int)axis + 1; d < x->rank; d++)
        inner *= x->dim[d];
    for (int64_t g = 0; n && g < ht_elements(x) / n; g++) {
        int64_t base = g / inner * n * inner + g % inner;
        for (int64_t i = 0; i < n; i++)
            v[i] = base + i * inner;
        topk_sort(v, v + n, n, x, p->largest);
        for (int64_t i = 0; i < k; i++) {
            int64_t e = g / inner * k * inner + i * inner + g % inner;
            if (s->out[0])
                index_copy(s->out[0], e, x, v[i]);
            if (s->out[1])
                ((int64_t *)(void *)s->out[1]->data)[e] = (v[i] - base) / inner;
        }
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_topk = {"topk", sizeof(struct ht_topk), topk_plan, index_units, topk_run, 0, 0};

/* ---- nonzero: (x) -> i64 [rank][n]; the data decide the shape ---- */

static bool nonzero_at(const struct ht_tensor *x, int64_t i)
{
    int64_t e = 0;
    for (int d = x->rank - 1; d >= 0; d--) {
        e += i % x->dim[d] * x->stride[d];
        i /= x->dim[d];
    }
    return ht_is_float(x->type) ? ht_get_f64(x, e) != 0 : ht_get_i64(x, e) != 0;
}

static hearth_status nonzero_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    bool ok;
    HB_TRY(ht_need(b, s, 0, &ok, err));
    if (!ok)
        return HEARTH_OK;
    int64_t dim[2] = {s->in[0]->rank, 0};
    for (int64_t e = 0; e < ht_elements(s->in[0]); e++)
        dim[1] += nonzero_at(s->in[0], e);
    return ht_out(b, s, 0, HK_I64, 2, dim, -1, err);
}

static hearth_status nonzero_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                 int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0];
    int64_t *y = (int64_t *)(void *)s->out[0]->data, n = s->out[0]->dim[1], at = 0;
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    for (int64_t e = 0; e < ht_elements(x); e++) {
        if (!nonzero_at(x, e))
            continue;
        int64_t rest = e;
        for (int d = x->rank - 1; d >= 0; d--) {
            y[d * n + at] = rest % x->dim[d];
            rest /= x->dim[d];
        }
        at++;
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_nonzero = {"nonzero", sizeof(struct ht_no_params), nonzero_plan, index_units,
                                    nonzero_run, 0, 0};

/* ---- compress: (x, condition) along an axis, or flat ---- */

static hearth_status compress_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_compress *p = s->params;
    int64_t axis = p->axis, dim[HT_MAX_RANK], kept = 0;
    bool ok;
    HB_TRY(ht_need(b, s, 1, &ok, err));
    if (!ok)
        return HEARTH_OK;
    HB_TRY(ht_dense(b, s, 0, err));
    const struct ht_tensor *x = s->in[0], *c = s->in[1];
    if (c->rank != 1 || c->type != HK_BOOL)
        return ht_bad_shape(s, "the condition wants a list of bool", err);
    if (p->flat) {
        dim[0] = ht_elements(x);
        axis = 0;
    } else {
        HB_TRY(ht_axis(s, &axis, x->rank, err));
        memcpy(dim, x->dim, sizeof dim);
    }
    if (c->dim[0] > dim[axis])
        return ht_bad_shape(s, "the condition is longer than the data", err);
    for (int64_t i = 0; i < c->dim[0]; i++)
        kept += c->data[i * c->stride[0]] != 0;
    dim[axis] = kept;
    return ht_out(b, s, 0, (enum hk_qtype)x->type, p->flat ? 1 : x->rank, dim, -1, err);
}

static hearth_status compress_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                  int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_compress *p = s->params;
    const struct ht_tensor *x = s->in[0], *c = s->in[1];
    int64_t axis = p->axis < 0 ? p->axis + x->rank : p->axis, outer = 1, inner = 1, to = 0;
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    for (int d = 0; d < x->rank && !p->flat; d++)
        *(d < axis ? &outer : d > axis ? &inner : &to) *= x->dim[d];
    to = 0;
    int64_t n = p->flat ? ht_elements(x) : x->dim[axis];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < n && i < c->dim[0]; i++)
            for (int64_t k = 0; k < inner && c->data[i * c->stride[0]]; k++)
                index_copy(s->out[0], to++, x, (o * n + i) * inner + k);
    return HEARTH_OK;
}

const struct ht_op ht_op_compress = {"compress", sizeof(struct ht_compress), compress_plan, index_units,
                                     compress_run, 0, 0};

/* ---- eye: (x) -> ones on diagonal k of a matrix of x's shape ---- */

static hearth_status eye_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_eye *p = s->params;
    if (s->in[0]->rank != 2)
        return ht_bad_shape(s, "wants a matrix", err);
    return ht_out(b, s, 0, p->has_type ? (enum hk_qtype)p->type : (enum hk_qtype)s->in[0]->type, 2,
                  s->in[0]->dim, -1, err);
}

static hearth_status eye_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                             int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_eye *p = s->params;
    const struct ht_tensor *y = s->out[0];
    size_t size = ht_size_of(y->type);
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    for (int64_t e = 0; e < ht_elements(y); e++)
        ht_put_i64(y->type, y->data + e * (int64_t)size,
                   e % y->dim[1] - e / y->dim[1] == p->k);
    return HEARTH_OK;
}

const struct ht_op ht_op_eye = {"eye", sizeof(struct ht_eye), eye_plan, index_units, eye_run,
                                HT_OP_SHAPE_ONLY, 0};

/* ---- reverse_sequence: (x, lengths) ---- */

static hearth_status reverse_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_reverse *p = s->params;
    HB_TRY(ht_dense(b, s, 0, err));
    HB_TRY(ht_dense(b, s, 1, err));
    const struct ht_tensor *x = s->in[0];
    if (x->rank < 2 || p->batch_axis == p->time_axis || p->batch_axis < 0 || p->batch_axis > 1 ||
        p->time_axis < 0 || p->time_axis > 1 || s->in[1]->type != HK_I64 ||
        ht_elements(s->in[1]) != x->dim[p->batch_axis])
        return ht_bad_shape(s, "wants axes 0 and 1, and one length per batch", err);
    return ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, x->dim, -1, err);
}

static hearth_status reverse_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                 int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_reverse *p = s->params;
    const struct ht_tensor *x = s->in[0];
    (void)run, (void)scratch, (void)begin, (void)end;
    for (int64_t e = 0; e < ht_elements(x); e++) {
        int64_t at[2] = {e / x->stride[0], e / x->stride[1] % x->dim[1]};
        int64_t t = at[p->time_axis], len = ht_get_i64(s->in[1], at[p->batch_axis]);
        if (len < 0 || len > x->dim[p->time_axis])
            return hb_fail(err, HEARTH_E_RANGE, "%s (reverse_sequence): length %lld of %lld", s->name,
                           (long long)len, (long long)x->dim[p->time_axis]);
        int64_t from = t < len ? e + (len - 1 - 2 * t) * x->stride[p->time_axis] : e;
        index_copy(s->out[0], e, x, from);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_reverse_sequence = {"reverse_sequence", sizeof(struct ht_reverse), reverse_plan,
                                             index_units, reverse_run, 0, 0};
