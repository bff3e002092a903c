/* norm: RMS or layer normalisation of each row, or of each group (head) inside a row. */
#include "graph/ht_plan.h"
#include "graph/ht_ops.h"

static hearth_status norm_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_norm *p = s->params;
    const struct ht_tensor *x = s->in[0], *w = s->in[1], *bias = s->in[2];
    if (x->rank != 2 || x->type != HK_F32 || x->stride[1] != 1)
        return ht_bad_shape(s, "wants an f32 matrix", err);
    int64_t group = p->group ? p->group : x->dim[1];
    if (group <= 0 || x->dim[1] % group != 0)
        return ht_bad_shape(s, "the row is no whole number of groups", err);
    if ((w && (w->type != HK_F32 || w->rank != 1 || w->dim[0] != group)) ||
        (bias && (bias->type != HK_F32 || bias->rank != 1 || bias->dim[0] != group)))
        return ht_bad_shape(s, "weight and bias want one f32 per element of a group", err);
    return ht_out(b, s, 0, HK_F32, 2, x->dim, x->rows_sym, err);
}

static int64_t norm_units(const struct ht_step *s, const struct ht_run *run)
{
    return ht_rows(s->in[0], run);
}

static hearth_status norm_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                              int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_norm *p = s->params;
    const struct ht_tensor *x = s->in[0];
    const float *w = s->in[1] ? (const float *)(const void *)s->in[1]->data : NULL;
    const float *bias = s->in[2] ? (const float *)(const void *)s->in[2]->data : NULL;
    int64_t group = p->group ? p->group : x->dim[1];
    (void)scratch, (void)err;
    for (int64_t i = begin; i < end; i++)
        for (int64_t g = 0; g < x->dim[1]; g += group) {
            float *y = ht_row_f32(s->out[0], i) + g;
            const float *row = ht_row_f32(x, i) + g;
            if (p->layer)
                run->kernels->layernorm_f32(y, row, w, bias, (size_t)group, p->eps);
            else
                run->kernels->rmsnorm_f32(y, row, w, (size_t)group, p->eps);
        }
    return HEARTH_OK;
}

const struct ht_op ht_op_norm = {"norm", sizeof(struct ht_norm), norm_plan, norm_units, norm_run, 0, 0};
