/* reduce: sums, means, extremes and their positions over some axes. One output element is one unit of
 * work; its terms are added in ascending index order in double (floats) or in wrapping 64-bit
 * integers, so results depend on shapes alone. */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include "graph/ht_math.h"
#include <string.h>

struct reduce_plan {
    struct ht_walk out, in; /* kept dimensions; reduced dimensions */
    struct ht_pieces pieces; /* over output elements */
    int64_t terms;
};

static bool reduce_arg(const struct ht_reduce *p)
{
    return p->kind == HT_ARGMAX || p->kind == HT_ARGMIN;
}

static hearth_status reduce_axes(struct ht_bind *b, struct ht_step *s, uint32_t *set, bool *ok,
                                 hearth_error *err)
{
    const struct ht_reduce *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t axes[HT_MAX_RANK];
    int n = p->n;
    *ok = true;
    *set = 0;
    memcpy(axes, p->axes, sizeof axes);
    if (s->n_in > 1 && s->in[1]) {
        HB_TRY(ht_need(b, s, 1, ok, err));
        if (!*ok)
            return HEARTH_OK;
        HB_TRY(ht_ints(s, 1, HT_MAX_RANK, axes, &n, err));
    }
    for (int i = 0; i < n; i++) {
        HB_TRY(ht_axis(s, &axes[i], x->rank, err));
        *set |= 1u << axes[i];
    }
    if (s->op == &ht_op_reduce_space)
        *set = ((1u << x->rank) - 1) & ~3u;
    else if (n == 0 && !p->noop)
        *set = (1u << x->rank) - 1;
    return HEARTH_OK;
}

static hearth_status reduce_make(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_reduce *p = s->params;
    const struct ht_tensor *x = s->in[0];
    struct ht_tensor kept = {.rank = 0}, gone = {.rank = 0};
    int64_t dim[HT_MAX_RANK], outputs = 1;
    int rank = 0;
    uint32_t set;
    bool ok;
    HB_TRY(reduce_axes(b, s, &set, &ok, err));
    if (!ok)
        return HEARTH_OK;
    HB_TRY(ht_step_private(b, s, sizeof(struct reduce_plan), err));
    struct reduce_plan *r = s->plan;
    r->terms = 1;
    for (int d = 0; d < x->rank; d++) {
        struct ht_tensor *t = set >> d & 1 ? &gone : &kept;
        t->dim[t->rank] = x->dim[d];
        t->stride[t->rank++] = x->stride[d];
        if (!(set >> d & 1) || p->keep)
            dim[rank++] = set >> d & 1 ? 1 : x->dim[d];
        *(set >> d & 1 ? &r->terms : &outputs) *= x->dim[d];
    }
    if (reduce_arg(p) && r->terms == 0)
        return ht_bad_shape(s, "looks for an extreme of nothing", err);
    const struct ht_tensor *k = &kept, *g = &gone;
    ht_walk_make(&r->out, kept.rank, kept.dim, &k, 1);
    ht_walk_make(&r->in, gone.rank, gone.dim, &g, 1);
    r->pieces = ht_pieces_make(1, outputs, 1, 1 + 8192 / (r->terms + 1));
    return ht_out(b, s, 0, reduce_arg(p) ? HK_I64 : (enum hk_qtype)x->type, rank, dim, -1, err);
}

static hearth_status reduce_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    if (ht_class_of(s->in[0]->type) == HT_NO_CLASS)
        return ht_bad_shape(s, "wants numbers", err);
    return reduce_make(b, s, err);
}

static int64_t reduce_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)run;
    return ((const struct reduce_plan *)s->plan)->pieces.units;
}

struct reduce_state {
    double sum, best;
    int64_t isum, ibest, at, index;
};

static void reduce_floats(const struct ht_reduce *p, struct reduce_state *st, const void *v,
                          bool is_f32, int64_t n)
{
    for (int64_t i = 0; i < n; i++, st->at++) {
        double x = is_f32 ? (double)((const float *)v)[i] : ((const double *)v)[i];
        switch (p->kind) {
        case HT_SUM: case HT_MEAN: case HT_LOG_SUM: st->sum += x; break;
        case HT_PROD: st->sum *= x; break;
        case HT_L1: st->sum += ht_abs(x); break;
        case HT_L2: case HT_SUM_SQUARE: st->sum += x * x; break;
        case HT_LOG_SUM_EXP: /* sum relative to the largest so far */
            if (x > st->best) {
                st->sum = st->sum * ht_exp(st->best - x) + 1;
                st->best = x;
            } else {
                st->sum += x == -HT_INF ? 0 : ht_exp(x - st->best);
            }
            break;
        case HT_RMAX: if (x > st->best || x != x || st->at == 0) st->best = st->best != st->best ? st->best : x; break;
        case HT_RMIN: if (x < st->best || x != x || st->at == 0) st->best = st->best != st->best ? st->best : x; break;
        default:
            if (st->at == 0 || (p->kind == HT_ARGMAX ? x > st->best : x < st->best) ||
                (p->last && x == st->best)) {
                st->best = x;
                st->index = st->at;
            }
        }
    }
}

static void reduce_ints(const struct ht_reduce *p, struct reduce_state *st, const int64_t *v,
                        bool is_unsigned, int64_t n)
{
    for (int64_t i = 0; i < n; i++, st->at++) {
        int64_t x = v[i];
        uint64_t u = (uint64_t)x, flip = is_unsigned ? (uint64_t)1 << 63 : 0;
        int64_t a = (int64_t)(u ^ flip), b = (int64_t)((uint64_t)st->ibest ^ flip);
        switch (p->kind) {
        case HT_SUM: case HT_MEAN: case HT_LOG_SUM: st->isum = (int64_t)((uint64_t)st->isum + u); break;
        case HT_PROD: st->isum = (int64_t)((uint64_t)st->isum * u); break;
        case HT_L1: st->isum = (int64_t)((uint64_t)st->isum + (x < 0 && !is_unsigned ? 0u - u : u)); break;
        case HT_L2: case HT_SUM_SQUARE: st->isum = (int64_t)((uint64_t)st->isum + u * u); break;
        case HT_LOG_SUM_EXP: st->sum += ht_exp((double)x); break;
        case HT_RMAX: if (st->at == 0 || a > b) st->ibest = x; break;
        case HT_RMIN: if (st->at == 0 || a < b) st->ibest = x; break;
        default:
            if (st->at == 0 || (p->kind == HT_ARGMAX ? a > b : a < b) || (p->last && a == b)) {
                st->ibest = x;
                st->index = st->at;
            }
        }
    }
}

static void reduce_put(const struct ht_step *s, const struct reduce_plan *r,
                       const struct reduce_state *st, uint8_t *dst)
{
    const struct ht_reduce *p = s->params;
    unsigned type = s->out[0]->type;
    if (reduce_arg(p)) {
        ht_put_i64(type, dst, st->index);
        return;
    }
    if (!ht_is_float(s->in[0]->type)) {
        int64_t v = p->kind == HT_RMAX || p->kind == HT_RMIN ? st->ibest : st->isum;
        if (p->kind == HT_MEAN)
            v = r->terms ? v / r->terms : 0;
        if (p->kind == HT_L2)
            v = ht_to_i64(ht_sqrt((double)v));
        if (p->kind == HT_LOG_SUM)
            v = ht_to_i64(ht_log((double)v));
        if (p->kind == HT_LOG_SUM_EXP)
            v = ht_to_i64(ht_log(st->sum));
        ht_strip_store(type, dst, 1, &v, 1);
        return;
    }
    double v = st->sum;
    switch (p->kind) {
    case HT_MEAN: v = v / (double)r->terms; break;
    case HT_L2: v = ht_sqrt(v); break;
    case HT_LOG_SUM: v = ht_log(v); break;
    case HT_LOG_SUM_EXP: v = r->terms ? ht_log(v) + (st->best > -HT_INF ? st->best : 0) : -HT_INF; break;
    case HT_RMAX: v = r->terms ? st->best : -HT_INF; break;
    case HT_RMIN: v = r->terms ? st->best : HT_INF; break;
    default: break;
    }
    ht_put_f64(type, dst, v);
}

static hearth_status reduce_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                int64_t begin, int64_t end, hearth_error *err)
{
    const struct reduce_plan *r = s->plan;
    const struct ht_reduce *p = s->params;
    const struct ht_tensor *x = s->in[0];
    size_t size = ht_size_of(x->type), out_size = ht_size_of(s->out[0]->type);
    int64_t stride = r->in.stride[0][r->in.rank - 1];
    int64_t out_stride = r->out.stride[0][r->out.rank - 1];
    bool floats = ht_is_float(x->type);
    union ht_strip room;
    (void)run, (void)scratch, (void)err;
    int64_t stop = end * r->pieces.per_unit < r->pieces.total ? end * r->pieces.per_unit
                                                              : r->pieces.total;
    for (int64_t o = begin * r->pieces.per_unit; o < stop; o++) {
        struct reduce_state st = {.sum = p->kind == HT_PROD, .isum = p->kind == HT_PROD,
                                  .best = p->kind == HT_LOG_SUM_EXP ? -HT_INF : 0};
        int64_t base = ht_walk_offset(&r->out, 0, o / r->out.row_length) +
                       o % r->out.row_length * out_stride;
        for (int64_t row = 0; r->terms && row < r->in.rows; row++) {
            int64_t off = base + ht_walk_offset(&r->in, 0, row);
            for (int64_t at = 0; at < r->in.row_length; at += HT_STRIP) {
                int64_t n = r->in.row_length - at < HT_STRIP ? r->in.row_length - at : HT_STRIP;
                const void *v = ht_strip_load(
                    &room, x->type, x->data + (off + at * stride) * (int64_t)size, stride, n);
                if (floats)
                    reduce_floats(p, &st, v, x->type != HK_F64, n);
                else
                    reduce_ints(p, &st, v, x->type == HK_U64, n);
            }
        }
        reduce_put(s, r, &st, s->out[0]->data + (size_t)o * out_size);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_reduce = {"reduce", sizeof(struct ht_reduce), reduce_plan, reduce_units,
                                   reduce_run, 0, 0};
const struct ht_op ht_op_reduce_space = {"reduce_space", sizeof(struct ht_reduce), reduce_plan,
                                         reduce_units, reduce_run, 0, 0};
