/* concat: inputs one after the other along an axis. One unit per input. */
#include "graph/ht_ops.h"
#include "graph/ht_exec.h"
#include "graph/ht_strip.h"

static hearth_status concat_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_axis_params *p = s->params;
    const struct ht_tensor *x = s->in[0];
    int64_t axis = p->axis, dim[HT_MAX_RANK];
    HB_TRY(ht_axis(s, &axis, x->rank, err));
    for (int d = 0; d < x->rank; d++)
        dim[d] = x->dim[d];
    for (uint32_t i = 1; i < s->n_in; i++) {
        const struct ht_tensor *t = s->in[i];
        if (!t || t->rank != x->rank || t->type != x->type)
            return hb_fail(err, HEARTH_E_MISMATCH, "%s (concat): input %u differs in rank or type",
                           s->name, i);
        for (int d = 0; d < x->rank; d++)
            if (d != axis && t->dim[d] != x->dim[d])
                return hb_fail(err, HEARTH_E_MISMATCH, "%s (concat): dimension %d of input %u is "
                               "%lld; the first has %lld", s->name, d, i, (long long)t->dim[d],
                               (long long)x->dim[d]);
        dim[axis] += t->dim[axis];
    }
    return ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, dim, -1, err);
}

static int64_t concat_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)run;
    return s->n_in;
}

static hearth_status concat_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_axis_params *p = s->params;
    int rank = s->in[0]->rank;
    int64_t axis = p->axis < 0 ? p->axis + rank : p->axis, at = 0;
    (void)run, (void)scratch, (void)err;
    for (int64_t i = 0; i < end; i++) {
        const struct ht_tensor *t = s->in[i];
        struct ht_tensor part = *s->out[0];
        part.data += at * part.stride[axis] * (int64_t)ht_size_of(part.type);
        part.dim[axis] = t->dim[axis];
        if (i >= begin)
            ht_copy_between(&part, t);
        at += t->dim[axis];
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_concat = {"concat", sizeof(struct ht_axis_params), concat_plan,
                                   concat_units, concat_run, 0, 0};
