/* Which experts see which tokens.
 *
 *   route         the n_used largest router logits of each token, best first, lowest index among equals,
 *                 and their softmax: the weights with which the experts' outputs are summed
 *   expert_order  the (token, rank) pairs of a step sorted by expert, tokens ascending, as *slots*, so
 *                 that the columns of one expert lie together and its weights are read once
 *
 * The order is one i32 vector; `ht_expert_order` says what lies where:
 *
 *   n_active | active[E] | start[E + 1] | token[T * n_used] | slot[T * n_used]
 *
 * active lists the experts somebody wants, ascending; expert e has the slots start[e] .. start[e + 1);
 * token[s] is the row of slot s, slot[t * n_used + rank] the way back. */
#include "graph/ht_experts.h"
#include "graph/ht_plan.h"
#include "graph/ht_ops.h"
#include <string.h>

static int32_t *route_i32(const struct ht_tensor *t, int64_t row)
{
    return (int32_t *)(void *)t->data + row * t->stride[0];
}

static hearth_status route_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_route *p = s->params;
    const struct ht_tensor *x = s->in[0];
    if (x->rank != 2 || x->type != HK_F32 || x->stride[1] != 1 || x->dim[1] > HT_MAX_EXPERTS ||
        p->n_used < 1 || p->n_used > x->dim[1])
        return ht_bad_shape(s, "wants f32 logits of at least as many experts as are used", err);
    const int64_t dim[2] = {x->dim[0], p->n_used};
    HB_TRY(ht_out(b, s, 0, HK_I32, 2, dim, x->rows_sym, err));
    return ht_out(b, s, 1, HK_F32, 2, dim, x->rows_sym, err);
}

static int64_t route_units(const struct ht_step *s, const struct ht_run *run)
{
    return ht_rows(s->in[0], run);
}

/* NaN is larger than nothing, so it is picked only where nothing else is left, or first; the softmax
 * then carries it into the output. The picks are distinct in any case. */
static void route_pick(const float *logits, int64_t n_experts, int32_t n_used, int32_t *pick,
                       float *weight)
{
    uint64_t taken[HT_MAX_EXPERTS / 64] = {0};
    for (int32_t j = 0; j < n_used; j++) {
        int64_t best = -1;
        for (int64_t e = 0; e < n_experts; e++)
            if (!(taken[e / 64] >> e % 64 & 1) && (best < 0 || logits[e] > logits[best]))
                best = e;
        taken[best / 64] |= (uint64_t)1 << best % 64;
        pick[j] = (int32_t)best;
        weight[j] = logits[best];
    }
}

static hearth_status route_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                               int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_route *p = s->params;
    (void)scratch, (void)err;
    for (int64_t t = begin; t < end; t++) {
        float *weight = ht_row_f32(s->out[1], t);
        route_pick(ht_row_f32(s->in[0], t), s->in[0]->dim[1], p->n_used, route_i32(s->out[0], t),
                   weight);
        run->kernels->softmax_f32(weight, weight, (size_t)p->n_used);
    }
    return HEARTH_OK;
}

static hearth_status order_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_expert_order *p = s->params;
    const struct ht_tensor *pick = s->in[0];
    if (pick->rank != 2 || pick->type != HK_I32 || pick->dim[1] != p->n_used ||
        p->n_experts > HT_MAX_EXPERTS || pick->dim[0] > INT32_MAX / 2 / p->n_used)
        return ht_bad_shape(s, "wants the picks of route", err);
    const int64_t dim[1] = {2 + 2 * (int64_t)p->n_experts + 2 * pick->dim[0] * p->n_used};
    return ht_out(b, s, 0, HK_I32, 1, dim, -1, err);
}

static int64_t order_units(const struct ht_step *s, const struct ht_run *run)
{
    return ht_rows(s->in[0], run) > 0;
}

/* A counting sort; the starts are their own counters. */
static hearth_status order_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                               int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_expert_order *p = s->params;
    struct ht_order o = ht_order(s->out[0], p->n_experts);
    int64_t pairs = ht_rows(s->in[0], run) * p->n_used;
    const int32_t *pick = route_i32(s->in[0], 0); /* dense */
    (void)scratch, (void)begin, (void)end, (void)err;
    *o.n_active = 0;
    for (int32_t e = 0; e <= p->n_experts; e++)
        o.start[e] = 0;
    for (int64_t i = 0; i < pairs; i++)
        o.start[pick[i] + 1]++;
    for (int32_t e = 0; e < p->n_experts; e++) {
        if (o.start[e + 1])
            o.active[(*o.n_active)++] = e;
        o.start[e + 1] += o.start[e];
    }
    for (int64_t i = 0; i < pairs; i++) {
        int32_t slot = o.start[pick[i]]++;
        o.token[slot] = (int32_t)(i / p->n_used);
        o.slot[i] = slot;
    }
    for (int32_t e = p->n_experts; e > 0; e--) /* each stands at its end now, where the next one starts */
        o.start[e] = o.start[e - 1];
    o.start[0] = 0;
    return HEARTH_OK;
}

const struct ht_op ht_op_route = {"route", sizeof(struct ht_route), route_plan, route_units, route_run,
                                  0, 0};
const struct ht_op ht_op_expert_order = {"expert_order", sizeof(struct ht_expert_order), order_plan,
                                         order_units, order_run, 0, 0};
