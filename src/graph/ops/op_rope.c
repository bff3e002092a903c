/* Rotary positions (Su et al., "RoFormer", 2021). rope_table computes cos and sin once per step for
 * all layers; rope rotates the heads of q or k with them. */
#include "graph/ht_plan.h"
#include "graph/ht_ops.h"
#include "kernels/hk_math.h"
#include <string.h>

struct rope_table_plan {
    const float *frequency;
    float mscale;
};

static hearth_status rope_table_plan_fn(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_rope_table *p = s->params;
    const struct ht_tensor *pos = s->in[0], *freq = s->in[1], *longer = s->in[2];
    if (pos->rank != 1 || pos->type != HK_I32 || freq->rank != 1 || freq->type != HK_F32)
        return ht_bad_shape(s, "wants i32 positions and f32 frequencies", err);
    if (longer && (longer->rank != 1 || longer->dim[0] != freq->dim[0] || longer->type != HK_F32))
        return ht_bad_shape(s, "the long frequencies do not match the short ones", err);
    HB_TRY(ht_step_private(b, s, sizeof(struct rope_table_plan), err));
    struct rope_table_plan *t = s->plan;
    bool use_long = longer && ht_symbol_max(b, 2) > p->original_ctx; /* symbol "context" */
    t->frequency = (const float *)(const void *)(use_long ? longer : freq)->data;
    t->mscale = use_long ? p->long_mscale : p->mscale;
    const int64_t dim[2] = {pos->dim[0], 2 * freq->dim[0]};
    return ht_out(b, s, 0, HK_F32, 2, dim, pos->rows_sym, err);
}

static int64_t rope_table_units(const struct ht_step *s, const struct ht_run *run)
{
    return ht_rows(s->in[0], run);
}

static hearth_status rope_table_run(const struct ht_step *s, const struct ht_run *run,
                                    void *scratch, int64_t begin, int64_t end, hearth_error *err)
{
    const struct rope_table_plan *t = s->plan;
    const int32_t *pos = (const int32_t *)(const void *)s->in[0]->data;
    (void)run, (void)scratch, (void)err;
    for (int64_t i = begin; i < end; i++) {
        float *row = ht_row_f32(s->out[0], i);
        for (int64_t j = 0; j < s->out[0]->dim[1] / 2; j++) {
            float sin, cos;
            hk_sincos((float)pos[i] * t->frequency[j], &sin, &cos);
            row[2 * j] = cos * t->mscale;
            row[2 * j + 1] = sin * t->mscale;
        }
    }
    return HEARTH_OK;
}

static hearth_status rope_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_rope *p = s->params;
    const struct ht_tensor *x = s->in[0], *table = s->in[1];
    if (x->rank != 2 || x->type != HK_F32 || x->stride[1] != 1 || p->head_dim <= 0 ||
        x->dim[1] % p->head_dim != 0)
        return ht_bad_shape(s, "wants f32 rows of whole heads", err);
    if (table->rank != 2 || table->type != HK_F32 || table->dim[1] > p->head_dim)
        return ht_bad_shape(s, "rotates more elements than a head has", err);
    return ht_out(b, s, 0, HK_F32, 2, x->dim, x->rows_sym, err);
}

static int64_t rope_units(const struct ht_step *s, const struct ht_run *run)
{
    return ht_rows(s->in[0], run);
}

static hearth_status rope_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                              int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_rope *p = s->params;
    const struct ht_tensor *x = s->in[0];
    hk_rope_fn *rotate = p->halves ? run->kernels->rope_half_f32 : run->kernels->rope_pair_f32;
    size_t n = (size_t)x->dim[1], n_rot = (size_t)s->in[1]->dim[1];
    (void)scratch, (void)err;
    for (int64_t i = begin; i < end; i++) {
        const float *cs = ht_row_f32(s->in[1], i);
        float *y = ht_row_f32(s->out[0], i);
        memcpy(y, ht_row_f32(x, i), n * sizeof *y);
        for (size_t h = 0; h < n; h += (size_t)p->head_dim)
            rotate(y + h, cs, n_rot);
        if (p->scale != 1)
            run->kernels->scale_f32(y, y, p->scale, n);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_rope_table = {"rope_table", sizeof(struct ht_rope_table),
                                       rope_table_plan_fn, rope_table_units, rope_table_run, 0, 0};
const struct ht_op ht_op_rope = {"rope", sizeof(struct ht_rope), rope_plan, rope_units, rope_run, 0, 0};
