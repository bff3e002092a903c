/* act_quantize: f32 rows to int8 activation rows (kernels.h), as bytes [T][hk_act_row_bytes(n, stretch)]. */
#include "graph/ht_plan.h"
#include "graph/ht_ops.h"

static int64_t act_group(const struct ht_step *s)
{
    int32_t group = ((const struct ht_act_quantize *)s->params)->group;
    return group ? group : s->in[0]->dim[1];
}

static hearth_status act_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_act_quantize *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t group = act_group(s);
    if (x->rank != 2 || x->type != HK_F32 || x->stride[1] != 1 || x->dim[1] % group != 0 ||
        group % p->stretch != 0)
        return ht_bad_shape(s, "wants f32 rows of whole stretches", err);
    int64_t row = (int64_t)hk_act_row_bytes((size_t)group, (size_t)p->stretch);
    const int64_t dim[2] = {x->dim[0], x->dim[1] / group * row};
    return ht_out(b, s, 0, HK_U8, 2, dim, x->rows_sym, err);
}

static int64_t act_units(const struct ht_step *s, const struct ht_run *run)
{
    return ht_rows(s->in[0], run);
}

static hearth_status act_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                             int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_act_quantize *p = s->params;
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    int64_t group = act_group(s), n = x->dim[1] / group, row = y->dim[1] / n;
    (void)scratch, (void)err;
    for (int64_t i = begin; i < end; i++)
        for (int64_t j = 0; j < n; j++)
            run->kernels->act_quantize(y->data + i * y->stride[0] + j * row,
                                       ht_row_f32(x, i) + j * group, (size_t)group,
                                       (size_t)p->stretch);
    return HEARTH_OK;
}

const struct ht_op ht_op_act_quantize = {"act_quantize", sizeof(struct ht_act_quantize), act_plan,
                                         act_units, act_run, 0, 0};
