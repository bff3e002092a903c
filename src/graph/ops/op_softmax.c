/* softmax, log-softmax and hardmax along one axis, or over all dimensions from an axis on.
 * float32 rows that lie together go through the kernel; everything else is computed in double. */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include "graph/ht_math.h"

struct softmax_plan {
    int64_t n, rows, inner; /* elements of a group, `inner` apart */
    int64_t per_unit;
};

static hearth_status softmax_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_softmax *p = s->params;
    int64_t axis = p->axis;
    if (!ht_is_float(s->in[0]->type))
        return ht_bad_shape(s, "wants floats", err);
    if (!(p->flat && axis == s->in[0]->rank) && !(s->in[0]->rank == 0 && axis >= -1 && axis <= 0))
        HB_TRY(ht_axis(s, &axis, s->in[0]->rank, err));
    HB_TRY(ht_dense(b, s, 0, err));
    const struct ht_tensor *x = s->in[0];
    HB_TRY(ht_step_private(b, s, sizeof(struct softmax_plan), err));
    struct softmax_plan *m = s->plan;
    m->n = m->rows = m->inner = 1;
    for (int d = 0; d < x->rank; d++)
        *(d < axis ? &m->rows : d == axis || p->flat ? &m->n : &m->inner) *= x->dim[d];
    m->per_unit = 1 + 4096 / (m->n + 1);
    if (m->rows * m->inner / m->per_unit >= HT_MAX_UNITS)
        m->per_unit = m->rows * m->inner / HT_MAX_UNITS + 1;
    return ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, x->dim, -1, err);
}

static int64_t softmax_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct softmax_plan *m = s->plan;
    (void)run;
    return m->n ? (m->rows * m->inner + m->per_unit - 1) / m->per_unit : 0;
}

static double softmax_at(const struct ht_tensor *t, int64_t i)
{
    return t->type == HK_F32 ? (double)((const float *)(const void *)t->data)[i] : ht_get_f64(t, i);
}

static void softmax_row(const struct ht_step *s, const struct softmax_plan *m, int64_t first)
{
    const struct ht_softmax *p = s->params;
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    size_t size = ht_size_of(x->type);
    double max = -HT_INF, sum = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < m->n; i++) {
        double v = softmax_at(x, first + i * m->inner);
        if (v > max || v != v) {
            max = v;
            at = i;
        }
    }
    if (p->kind != HT_HARDMAX)
        for (int64_t i = 0; i < m->n; i++)
            sum += max == -HT_INF ? 0 : ht_exp(softmax_at(x, first + i * m->inner) - max);
    double log_sum = p->kind == HT_LOG_SOFTMAX ? ht_log(sum) : 0;
    for (int64_t i = 0; i < m->n; i++) {
        int64_t e = first + i * m->inner;
        double v = softmax_at(x, e);
        double r = p->kind == HT_HARDMAX       ? i == at
                   : p->kind == HT_LOG_SOFTMAX ? v - max - log_sum
                   : max == -HT_INF            ? 0
                                               : ht_exp(v - max) / sum;
        ht_put_f64(y->type, y->data + e * (int64_t)size, r);
    }
}

static hearth_status softmax_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                 int64_t begin, int64_t end, hearth_error *err)
{
    const struct softmax_plan *m = s->plan;
    const struct ht_softmax *p = s->params;
    int64_t total = m->rows * m->inner;
    int64_t stop = end * m->per_unit < total ? end * m->per_unit : total;
    bool direct = p->kind == HT_SOFTMAX && m->inner == 1 && s->in[0]->type == HK_F32;
    (void)scratch, (void)err;
    for (int64_t r = begin * m->per_unit; r < stop; r++) {
        int64_t first = r / m->inner * m->n * m->inner + r % m->inner;
        if (direct)
            run->kernels->softmax_f32((float *)(void *)s->out[0]->data + first,
                                      (const float *)(const void *)s->in[0]->data + first,
                                      (size_t)m->n);
        else
            softmax_row(s, m, first);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_softmax = {"softmax", sizeof(struct ht_softmax), softmax_plan,
                                    softmax_units, softmax_run, 0, 0};
