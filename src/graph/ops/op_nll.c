/* nll: negative log likelihood of classes: (log p [N][C][d..], class [N][d..], [weight [C]]). */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"

static hearth_status nll_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_nll *p = s->params;
    int64_t dim[HT_MAX_RANK];
    for (uint32_t i = 0; i < s->n_in && i < 3; i++)
        HB_TRY(ht_dense(b, s, i, err));
    const struct ht_tensor *x = s->in[0], *t = s->in[1], *w = s->n_in > 2 ? s->in[2] : NULL;
    bool fits = x->rank >= 2 && t->rank == x->rank - 1 && ht_is_float(x->type) && !ht_is_float(t->type);
    for (int d = 0, at = 0; d < x->rank && fits; d++)
        if (d != 1) {
            dim[at] = x->dim[d];
            fits = t->dim[at++] == x->dim[d];
        }
    if (!fits || (w && (w->rank != 1 || w->dim[0] != x->dim[1])))
        return ht_bad_shape(s, "wants scores [N][C].., classes [N].. and weights [C]", err);
    return ht_out(b, s, 0, (enum hk_qtype)x->type, p->reduce == HT_NLL_NONE ? t->rank : 0, dim, -1, err);
}

static int64_t nll_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)s, (void)run;
    return 1;
}

static hearth_status nll_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                             int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_nll *p = s->params;
    const struct ht_tensor *x = s->in[0], *t = s->in[1], *y = s->out[0];
    const struct ht_tensor *w = s->n_in > 2 ? s->in[2] : NULL;
    int64_t n = ht_elements(t), inner = 1, classes = x->dim[1];
    double sum = 0, weights = 0;
    (void)run, (void)scratch, (void)begin, (void)end;
    for (int d = 2; d < x->rank; d++)
        inner *= x->dim[d];
    for (int64_t i = 0; i < n; i++) {
        int64_t c = ht_get_i64(t, i);
        double v = 0, weight = 0;
        if (!p->has_ignore || c != p->ignore) {
            if (c < 0 || c >= classes)
                return hb_fail(err, HEARTH_E_RANGE, "%s (nll): class %lld; 0 to %lld are accepted",
                               s->name, (long long)c, (long long)classes - 1);
            weight = w ? ht_get_f64(w, c) : 1;
            v = -ht_get_f64(x, (i / inner * classes + c) * inner + i % inner) * weight;
        }
        sum += v;
        weights += weight;
        if (p->reduce == HT_NLL_NONE)
            ht_put_f64(y->type, y->data + i * (int64_t)ht_size_of(y->type), v);
    }
    if (p->reduce != HT_NLL_NONE)
        ht_put_f64(y->type, y->data, p->reduce == HT_NLL_MEAN ? sum / weights : sum);
    return HEARTH_OK;
}

const struct ht_op ht_op_nll = {"nll", sizeof(struct ht_nll), nll_plan, nll_units, nll_run, 0, 0};
