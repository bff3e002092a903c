/* pool: largest, mean or p-norm of windows over space; the largest also with its position. */
#include "graph/ht_window.h"
#include "graph/ht_math.h"
#include <string.h>

struct pool_plan {
    struct ht_window_plan w;
    int64_t planes;
};

static hearth_status pool_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_window *p = s->params;
    int64_t dim[HT_MAX_RANK];
    HB_TRY(ht_dense(b, s, 0, err));
    const struct ht_tensor *x = s->in[0];
    if (x->rank < 3 || p->n_kernel != x->rank - 2)
        return ht_bad_shape(s, "kernel_shape does not fit the number of space dimensions", err);
    if (ht_class_of(x->type) == HT_NO_CLASS || (p->pool != HT_POOL_MAX && !ht_is_float(x->type)))
        return ht_bad_shape(s, "wants floats", err);
    HB_TRY(ht_step_private(b, s, sizeof(struct pool_plan), err));
    struct pool_plan *q = s->plan;
    HB_TRY(ht_window_make(s, p, x, p->kernel, &q->w, err));
    q->planes = x->dim[0] * x->dim[1];
    dim[0] = x->dim[0];
    dim[1] = x->dim[1];
    memcpy(dim + 2, q->w.out, sizeof dim[0] * (size_t)q->w.n);
    HB_TRY(ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, dim, -1, err));
    return s->n_out > 1 ? ht_out(b, s, 1, HK_I64, x->rank, dim, -1, err) : HEARTH_OK;
}

static int64_t pool_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct pool_plan *q = s->plan;
    (void)run;
    int64_t per = q->planes / HT_MAX_UNITS + 1;
    return (q->planes + per - 1) / per;
}

/* Positions count column by column when storage_order is 1. */
static int64_t pool_index(const struct ht_window_plan *w, int64_t off, bool columns)
{
    int64_t at[HT_MAX_RANK], r = 0;
    if (!columns)
        return off;
    ht_coords(off, w->n, w->in, at);
    for (int d = w->n - 1; d >= 0; d--)
        r = r * w->in[d] + at[d];
    return r;
}

/* How many positions of the window lie in the padded input: the divisor when padding counts. */
static int64_t pool_padded(const struct ht_window_plan *w, const int64_t *at)
{
    int64_t n = 1;
    for (int d = 0; d < w->n; d++) {
        int64_t hits = 0;
        for (int64_t k = 0; k < w->kernel[d]; k++) {
            int64_t i = at[d] * w->stride[d] - w->pad[d] + k * w->dilation[d];
            hits += i < w->in[d] + w->pad_end[d];
        }
        n *= hits;
    }
    return n;
}

static void pool_one(const struct ht_step *s, int64_t plane, int64_t pos)
{
    const struct pool_plan *q = s->plan;
    const struct ht_window *p = s->params;
    const struct ht_window_plan *w = &q->w;
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    int64_t at[HT_MAX_RANK], k[HT_MAX_RANK], count = 0, best_at = 0, best_int = 0;
    double sum = 0, best = 0;
    bool floats = ht_is_float(x->type);
    ht_coords(pos, w->n, w->out, at);
    for (int64_t i = 0; i < w->kernel_size; i++) {
        ht_coords(i, w->n, w->kernel, k);
        int64_t off = ht_window_at(w, at, k);
        if (off < 0)
            continue;
        double v = x->type == HK_F32 ? (double)((const float *)(const void *)x->data)[plane * w->in_size + off]
                                     : ht_get_f64(x, plane * w->in_size + off);
        if (p->pool == HT_POOL_LP)
            sum += ht_pow(ht_abs(v), (double)p->lp);
        else
            sum += v;
        if (count++ == 0 || v > best || (v != v && best == best)) {
            best = v;
            best_int = floats ? 0 : ht_get_i64(x, plane * w->in_size + off);
            best_at = off;
        }
    }
    int64_t e = plane * w->out_size + pos;
    uint8_t *to = y->data + e * (int64_t)ht_size_of(y->type);
    if (p->pool == HT_POOL_MAX) {
        if (floats)
            ht_put_f64(y->type, to, count ? best : -HT_INF);
        else
            ht_put_i64(y->type, to, best_int);
        if (s->n_out > 1 && s->out[1])
            ((int64_t *)(void *)s->out[1]->data)[e] =
                plane * w->in_size + pool_index(w, best_at, p->columns);
    } else if (p->pool == HT_POOL_LP) {
        ht_put_f64(y->type, to, ht_pow(sum, 1 / (double)p->lp));
    } else {
        int64_t n = p->count_pad ? pool_padded(w, at) : count;
        ht_put_f64(y->type, to, n ? sum / (double)n : 0);
    }
}

static hearth_status pool_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                              int64_t begin, int64_t end, hearth_error *err)
{
    const struct pool_plan *q = s->plan;
    int64_t per = q->planes / HT_MAX_UNITS + 1;
    (void)run, (void)scratch, (void)err;
    for (int64_t plane = begin * per; plane < end * per && plane < q->planes; plane++)
        for (int64_t pos = 0; pos < q->w.out_size; pos++)
            pool_one(s, plane, pos);
    return HEARTH_OK;
}

const struct ht_op ht_op_pool = {"pool", sizeof(struct ht_window), pool_plan, pool_units, pool_run, 0, 0};
