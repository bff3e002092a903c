/* Ops that make tensors of numbers known early: shape, fill, range. */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include "graph/ht_math.h"
#include "base/hb_check.h"
#include <string.h>

/* ---- shape: (x) -> i64 [n]; with `size`, the number of elements as a scalar ---- */

static hearth_status shape_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_shape *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t first = p->start, end = p->has_end ? p->end : x->rank;
    first = first < 0 ? first + x->rank : first;
    end = end < 0 ? end + x->rank : end;
    first = first < 0 ? 0 : first > x->rank ? x->rank : first;
    end = end < first ? first : end > x->rank ? x->rank : end;
    int64_t n = end - first;
    HB_TRY(ht_step_private(b, s, sizeof(int64_t) * (HT_MAX_RANK + 1), err));
    int64_t *v = s->plan;
    v[0] = n;
    memcpy(v + 1, x->dim + first, sizeof(int64_t) * (size_t)n);
    if (!p->size)
        return ht_out(b, s, 0, HK_I64, 1, &n, -1, err);
    v[0] = 1;
    v[1] = ht_elements(x);
    return ht_out(b, s, 0, HK_I64, 0, NULL, -1, err);
}

static int64_t shape_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)s, (void)run;
    return 1;
}

static hearth_status shape_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                               int64_t begin, int64_t end, hearth_error *err)
{
    const int64_t *v = s->plan;
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    memcpy(s->out[0]->data, v + 1, sizeof(int64_t) * (size_t)v[0]);
    return HEARTH_OK;
}

const struct ht_op ht_op_shape = {"shape", sizeof(struct ht_shape), shape_plan, shape_units,
                                  shape_run, HT_OP_SHAPE_ONLY, 0};

/* ---- fill: (shape i64 [n]) -> a scalar constant spread over it, as a view without steps ---- */

static hearth_status fill_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    int64_t dim[HT_MAX_RANK], stride[HT_MAX_RANK] = {0}, total = 1;
    int n;
    bool ok;
    HB_TRY(ht_need(b, s, 0, &ok, err));
    if (!ok)
        return HEARTH_OK;
    HB_TRY(ht_ints(s, 0, HT_MAX_RANK, dim, &n, err));
    for (int i = 0; i < n; i++)
        if (dim[i] < 0 || !hb_mul_dim(total, dim[i] ? dim[i] : 1, &total) || total > INT64_MAX / 64)
            return ht_bad_shape(s, "a dimension is negative or the size overflows", err);
    return ht_out_view(b, s, 0, s->in[1], 0, n, dim, stride, err);
}

const struct ht_op ht_op_fill = {"fill", sizeof(struct ht_no_params), fill_plan, 0, 0, 0, 0};

/* ---- range: (start, limit, delta) -> [n] ---- */

static hearth_status range_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    int64_t n;
    for (uint32_t i = 0; i < 3; i++) {
        bool ok;
        HB_TRY(ht_need(b, s, i, &ok, err));
        if (!ok)
            return HEARTH_OK;
        if (s->in[i]->type != s->in[0]->type || ht_elements(s->in[i]) != 1)
            return ht_bad_shape(s, "wants three scalars of one type", err);
    }
    if (ht_is_float(s->in[0]->type)) {
        double from = ht_get_f64(s->in[0], 0), to = ht_get_f64(s->in[1], 0),
               step = ht_get_f64(s->in[2], 0), count = ht_ceil((to - from) / step);
        if (!(count <= 0x1p40) || step == 0)
            return ht_bad_shape(s, "the number of elements has no bound", err);
        n = count > 0 ? (int64_t)count : 0;
    } else {
        int64_t from = ht_get_i64(s->in[0], 0), to = ht_get_i64(s->in[1], 0),
                step = ht_get_i64(s->in[2], 0);
        if (step == 0)
            return ht_bad_shape(s, "delta is 0", err);
        uint64_t span = step > 0 ? (uint64_t)to - (uint64_t)from : (uint64_t)from - (uint64_t)to;
        uint64_t by = step > 0 ? (uint64_t)step : 0u - (uint64_t)step;
        bool none = step > 0 ? to <= from : to >= from;
        uint64_t count = none ? 0 : (span - 1) / by + 1;
        if (count > (uint64_t)1 << 40)
            return ht_bad_shape(s, "more than 2^40 elements", err);
        n = (int64_t)count;
    }
    return ht_out(b, s, 0, (enum hk_qtype)s->in[0]->type, 1, &n, -1, err);
}

static hearth_status range_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                               int64_t begin, int64_t end, hearth_error *err)
{
    struct ht_tensor *y = s->out[0];
    size_t size = ht_size_of(y->type);
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    for (int64_t i = 0; i < y->dim[0]; i++)
        if (ht_is_float(y->type))
            ht_put_f64(y->type, y->data + (size_t)i * size,
                       ht_get_f64(s->in[0], 0) + (double)i * ht_get_f64(s->in[2], 0));
        else
            ht_put_i64(y->type, y->data + (size_t)i * size,
                       (int64_t)((uint64_t)ht_get_i64(s->in[0], 0) +
                                 (uint64_t)i * (uint64_t)ht_get_i64(s->in[2], 0)));
    return HEARTH_OK;
}

const struct ht_op ht_op_range = {"range", sizeof(struct ht_no_params), range_plan, shape_units,
                                  range_run, 0, 0};
