/* Gathering and scattering by index tensors: whole slices along an axis, single elements, and slices
 * named by index tuples. Indices may count from the end; anything else out of range is an error of
 * the run. */
#include "graph/ht_ops.h"
#include "graph/ht_exec.h"
#include "graph/ht_strip.h"
#include "graph/ht_math.h"
#include <string.h>

static hearth_status gather_index(const struct ht_step *s, const struct ht_tensor *indices,
                                  int64_t at, int64_t n, int64_t *out, hearth_error *err)
{
    int64_t i = indices->type == HK_I64   ? ((const int64_t *)(const void *)indices->data)[at]
                : indices->type == HK_I32 ? ((const int32_t *)(const void *)indices->data)[at]
                                          : ht_get_i64(indices, at);
    if (HB_UNLIKELY(i < -n || i >= n))
        return hb_fail(err, HEARTH_E_RANGE, "%s (%s): index %lld; %lld to %lld are accepted",
                       s->name, s->op->name, (long long)i, (long long)-n, (long long)n - 1);
    *out = i < 0 ? i + n : i;
    return HEARTH_OK;
}

static hearth_status gather_check(const struct ht_step *s, hearth_error *err)
{
    if (s->in[1]->type != HK_I64 && s->in[1]->type != HK_I32)
        return hb_fail(err, HEARTH_E_MISMATCH, "%s (%s): indices have type %s; int32 and int64 are "
                       "accepted", s->name, s->op->name, hk_qtype_info[s->in[1]->type].name);
    return HEARTH_OK;
}

struct gather_plan {
    int64_t outer, inner_bytes, n, axis; /* n: size of the dimension that is indexed */
    int64_t count;                       /* indices */
    int64_t tuple;                       /* gather_nd */
    int64_t batch;
    int64_t stride[HT_MAX_RANK];
};

static int64_t gather_split(int64_t count)
{
    return count / 4096 + 1;
}

static int64_t gather_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct gather_plan *g = s->plan;
    (void)run;
    int64_t per = gather_split(g->count);
    return g->outer > 0 ? (g->count + per - 1) / per : 0;
}

static hearth_status gather_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_gather *p = s->params;
    int64_t axis = p->axis, dim[2 * HT_MAX_RANK];
    int rank = 0;
    HB_TRY(gather_check(s, err));
    HB_TRY(ht_axis(s, &axis, s->in[0]->rank, err));
    HB_TRY(ht_dense(b, s, 0, err));
    HB_TRY(ht_dense(b, s, 1, err));
    const struct ht_tensor *x = s->in[0], *ix = s->in[1];
    HB_TRY(ht_step_private(b, s, sizeof(struct gather_plan), err));
    struct gather_plan *g = s->plan;
    g->outer = 1;
    g->inner_bytes = (int64_t)ht_size_of(x->type);
    g->n = x->dim[axis];
    g->count = ht_elements(ix);
    for (int d = 0; d < axis; d++)
        g->outer *= dim[rank++] = x->dim[d];
    for (int d = 0; d < ix->rank; d++)
        dim[rank++] = ix->dim[d];
    for (int64_t d = axis + 1; d < x->rank; d++)
        g->inner_bytes *= dim[rank++] = x->dim[d];
    if (rank > HT_MAX_RANK)
        return ht_bad_shape(s, "the rank would pass 8", err);
    return ht_out(b, s, 0, (enum hk_qtype)x->type, rank, dim, -1, err);
}

static hearth_status gather_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                int64_t begin, int64_t end, hearth_error *err)
{
    const struct gather_plan *g = s->plan;
    int64_t per = gather_split(g->count), stop = end * per < g->count ? end * per : g->count;
    (void)run, (void)scratch;
    for (int64_t o = 0; o < g->outer; o++)
        for (int64_t i = begin * per; i < stop; i++) {
            int64_t at = 0;
            HB_TRY(gather_index(s, s->in[1], i, g->n, &at, err));
            memcpy(s->out[0]->data + (o * g->count + i) * g->inner_bytes,
                   s->in[0]->data + (o * g->n + at) * g->inner_bytes, (size_t)g->inner_bytes);
        }
    return HEARTH_OK;
}

const struct ht_op ht_op_gather = {"gather", sizeof(struct ht_gather), gather_plan, gather_units,
                                   gather_run, 0, 0};

/* ---- single elements: out[i..] = x[.., index[i..], ..] ---- */

static int64_t gather_one(const struct ht_step *s, const struct ht_run *run)
{
    (void)run;
    return ht_elements(s->in[1]) > 0 || s->op != &ht_op_gather_elements;
}

static hearth_status elements_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_gather *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t axis = p->axis;
    HB_TRY(gather_check(s, err));
    HB_TRY(ht_axis(s, &axis, x->rank, err));
    if (s->in[1]->rank != x->rank)
        return ht_bad_shape(s, "indices want the rank of the data", err);
    for (int d = 0; d < x->rank; d++)
        if (d != axis && s->in[1]->dim[d] > x->dim[d])
            return ht_bad_shape(s, "the indices are larger than the data", err);
    HB_TRY(ht_dense(b, s, 1, err));
    return ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, s->in[1]->dim, -1, err);
}

/* Offset in x of the element that index number i of a dense index tensor names. */
static hearth_status elements_offset(const struct ht_step *s, const struct ht_tensor *x,
                                     int64_t axis, int64_t i, int64_t *off, hearth_error *err)
{
    const struct ht_tensor *ix = s->in[1];
    int64_t at = 0, rest = i;
    HB_TRY(gather_index(s, ix, i, x->dim[axis], &at, err));
    *off = at * x->stride[axis];
    for (int d = ix->rank - 1; d >= 0; d--) {
        if (d != axis)
            *off += rest % ix->dim[d] * x->stride[d];
        rest /= ix->dim[d];
    }
    return HEARTH_OK;
}

static hearth_status elements_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                  int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_gather *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t axis = p->axis < 0 ? p->axis + x->rank : p->axis, n = ht_elements(s->in[1]);
    size_t size = ht_size_of(x->type);
    (void)run, (void)scratch, (void)begin, (void)end;
    for (int64_t i = 0; i < n; i++) {
        int64_t off = 0;
        HB_TRY(elements_offset(s, x, axis, i, &off, err));
        memcpy(s->out[0]->data + (size_t)i * size, x->data + off * (int64_t)size, size);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_gather_elements = {"gather_elements", sizeof(struct ht_gather),
                                            elements_plan, gather_one, elements_run, 0, 0};

/* ---- index tuples ---- */

/* Shapes of the nd pair. x dense [batch.., indexed.., inner..], indices dense [batch.., .., tuple]. */
static hearth_status nd_plan(struct ht_step *s, int64_t batch, struct gather_plan *g,
                             hearth_error *err)
{
    const struct ht_tensor *x = s->in[0], *ix = s->in[1];
    if (ix->rank < 1 || batch < 0 || batch >= ix->rank || batch > x->rank ||
        ix->dim[ix->rank - 1] < 1 || ix->dim[ix->rank - 1] > x->rank - batch)
        return ht_bad_shape(s, "index tuples are longer than the data's rank", err);
    g->batch = batch;
    g->tuple = ix->dim[ix->rank - 1];
    g->outer = 1;
    for (int64_t d = 0; d < batch; d++) {
        if (ix->dim[d] != x->dim[d])
            return ht_bad_shape(s, "batch dimensions differ", err);
        g->outer *= x->dim[d];
    }
    g->count = ht_elements(ix) / g->tuple;
    g->inner_bytes = (int64_t)ht_size_of(x->type);
    for (int64_t d = batch + g->tuple; d < x->rank; d++)
        g->inner_bytes *= x->dim[d];
    return HEARTH_OK;
}

static hearth_status nd_offset(const struct ht_step *s, const struct ht_tensor *x, int64_t i,
                               int64_t *bytes, hearth_error *err)
{
    const struct gather_plan *g = s->plan;
    int64_t per_batch = g->outer ? g->count / g->outer : 0;
    int64_t off = 0;
    if (g->batch)
        off = i / per_batch * x->stride[g->batch - 1];
    for (int64_t k = 0; k < g->tuple; k++) {
        int64_t at = 0;
        HB_TRY(gather_index(s, s->in[1], i * g->tuple + k, x->dim[g->batch + k], &at, err));
        off += at * x->stride[g->batch + k];
    }
    *bytes = off * (int64_t)ht_size_of(x->type);
    return HEARTH_OK;
}

static hearth_status gather_nd_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_gather *p = s->params;
    int64_t dim[2 * HT_MAX_RANK];
    int rank = 0;
    HB_TRY(gather_check(s, err));
    HB_TRY(ht_dense(b, s, 0, err));
    HB_TRY(ht_dense(b, s, 1, err));
    HB_TRY(ht_step_private(b, s, sizeof(struct gather_plan), err));
    struct gather_plan *g = s->plan;
    HB_TRY(nd_plan(s, p->axis, g, err));
    for (int d = 0; d + 1 < s->in[1]->rank; d++)
        dim[rank++] = s->in[1]->dim[d];
    for (int64_t d = g->batch + g->tuple; d < s->in[0]->rank; d++)
        dim[rank++] = s->in[0]->dim[d];
    if (rank > HT_MAX_RANK)
        return ht_bad_shape(s, "the rank would pass 8", err);
    return ht_out(b, s, 0, (enum hk_qtype)s->in[0]->type, rank, dim, -1, err);
}

static hearth_status gather_nd_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                   int64_t begin, int64_t end, hearth_error *err)
{
    const struct gather_plan *g = s->plan;
    (void)run, (void)scratch, (void)begin, (void)end;
    for (int64_t i = 0; i < g->count; i++) {
        int64_t off = 0;
        HB_TRY(nd_offset(s, s->in[0], i, &off, err));
        memcpy(s->out[0]->data + i * g->inner_bytes, s->in[0]->data + off, (size_t)g->inner_bytes);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_gather_nd = {"gather_nd", sizeof(struct ht_gather), gather_nd_plan,
                                      gather_one, gather_nd_run, 0, 0};

/* ---- scatter ---- */

static void scatter_put(unsigned type, unsigned kind, uint8_t *to, const uint8_t *from, int64_t n)
{
    size_t size = ht_size_of(type);
    if (kind == HT_SCATTER_SET) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    for (int64_t i = 0; i < n; i++, to += size, from += size) {
        struct ht_tensor a = {.data = to, .type = (uint8_t)type};
        struct ht_tensor b = {.data = (uint8_t *)(uintptr_t)from, .type = (uint8_t)type};
        if (ht_is_float(type)) {
            double x = ht_get_f64(&a, 0), y = ht_get_f64(&b, 0);
            ht_put_f64(type, to, kind == HT_SCATTER_ADD   ? x + y
                                 : kind == HT_SCATTER_MUL ? x * y
                                 : kind == HT_SCATTER_MIN ? (y < x || y != y ? y : x)
                                                          : (y > x || y != y ? y : x));
        } else {
            int64_t x = ht_get_i64(&a, 0), y = ht_get_i64(&b, 0);
            int64_t v = kind == HT_SCATTER_ADD   ? (int64_t)((uint64_t)x + (uint64_t)y)
                        : kind == HT_SCATTER_MUL ? (int64_t)((uint64_t)x * (uint64_t)y)
                        : kind == HT_SCATTER_MIN ? (y < x ? y : x)
                                                 : (y > x ? y : x);
            ht_strip_store(type, to, 1, &v, 1);
        }
    }
}

static hearth_status scatter_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_scatter *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t axis = p->axis;
    HB_TRY(gather_check(s, err));
    if (!s->in[2] || s->in[2]->type != x->type)
        return ht_bad_shape(s, "updates want the type of the data", err);
    HB_TRY(ht_dense(b, s, 1, err));
    HB_TRY(ht_dense(b, s, 2, err));
    if (s->op == &ht_op_scatter_nd) {
        HB_TRY(ht_step_private(b, s, sizeof(struct gather_plan), err));
        struct gather_plan *g = s->plan;
        HB_TRY(nd_plan(s, 0, g, err));
        if (ht_elements(s->in[2]) * (int64_t)ht_size_of(x->type) != g->count * g->inner_bytes)
            return ht_bad_shape(s, "updates have another size than the slices", err);
    } else {
        HB_TRY(ht_axis(s, &axis, x->rank, err));
        if (s->in[1]->rank != x->rank || s->in[2]->rank != x->rank)
            return ht_bad_shape(s, "indices and updates want the rank of the data", err);
        for (int d = 0; d < x->rank; d++)
            if (s->in[1]->dim[d] != s->in[2]->dim[d] ||
                (d != axis && s->in[1]->dim[d] > x->dim[d]))
                return ht_bad_shape(s, "indices and updates differ in shape", err);
    }
    return ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, x->dim, -1, err);
}

static hearth_status scatter_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                 int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_scatter *p = s->params;
    const struct ht_tensor *y = s->out[0];
    size_t size = ht_size_of(y->type);
    (void)run, (void)scratch, (void)begin, (void)end;
    ht_copy_between(y, s->in[0]);
    if (s->op == &ht_op_scatter_nd) {
        const struct gather_plan *g = s->plan;
        for (int64_t i = 0; i < g->count; i++) {
            int64_t off = 0;
            HB_TRY(nd_offset(s, y, i, &off, err));
            scatter_put(y->type, p->kind, y->data + off, s->in[2]->data + i * g->inner_bytes,
                        g->inner_bytes / (int64_t)size);
        }
        return HEARTH_OK;
    }
    int64_t axis = p->axis < 0 ? p->axis + y->rank : p->axis, n = ht_elements(s->in[1]);
    for (int64_t i = 0; i < n; i++) {
        int64_t off = 0;
        HB_TRY(elements_offset(s, y, axis, i, &off, err));
        scatter_put(y->type, p->kind, y->data + off * (int64_t)size, s->in[2]->data + (size_t)i * size,
                    1);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_scatter = {"scatter", sizeof(struct ht_scatter), scatter_plan, gather_one,
                                    scatter_run, 0, 0};
const struct ht_op ht_op_scatter_nd = {"scatter_nd", sizeof(struct ht_scatter), scatter_plan,
                                       gather_one, scatter_run, 0, 0};
