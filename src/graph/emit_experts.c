/* A feed-forward layer of experts as graph ops:
 *
 *   logits ─► route ─► expert_order ─┬───────────┬──────────────────────────────┬─────────┐
 *   x ─► act_quantize ─► expert_rows ─► expert_matmul (gate, up) ─► act ─► expert_matmul (down) ─► expert_sum
 */
#include "graph/ht_ops.h"

static hearth_status experts_emit_matmul(struct ht_graph *g, const struct ht_expert_order *params,
                                         const char *name, ht_id x, ht_id order, const ht_id *w,
                                         const ht_id *bias, uint32_t n_w, ht_id *out, hearth_error *err)
{
    ht_id in[HT_EXPERT_INPUTS] = {x, order, w[0], HT_NONE, bias[0], HT_NONE};
    if (n_w == 2) {
        in[3] = w[1];
        in[5] = bias[1];
    }
    return ht_graph_emit(g, &ht_op_expert_matmul, name, params, in, HT_EXPERT_INPUTS, out, n_w, err);
}

/* One matmul for both where they share an activation form, else two. */
static hearth_status experts_gate_up(struct ht_graph *g, const struct ht_expert_mlp *mlp,
                                     const struct ht_expert_order *params, ht_id x, ht_id order,
                                     ht_id out[2], hearth_error *err)
{
    const ht_id w[2] = {mlp->gate, mlp->up}, bias[2] = {mlp->gate_bias, mlp->up_bias};
    uint32_t n = ht_same_matmul_class(g, w[0], w[1]) ? 2 : 1;
    for (uint32_t i = 0; i < 2; i += n) {
        ht_id rows;
        HB_TRY(ht_emit_act_rows(g, x, (enum hk_qtype)g->values[w[i]].type, 0, &rows, err));
        const ht_id in[2] = {rows, order};
        HB_TRY(ht_graph_emit(g, &ht_op_expert_rows, "expert_rows", params, in, 2, &rows, 1, err));
        HB_TRY(experts_emit_matmul(g, params, "experts_gate_up", rows, order, w + i, bias + i, n, out + i,
                                   err));
    }
    return HEARTH_OK;
}

hearth_status ht_emit_experts(struct ht_graph *g, const struct ht_expert_mlp *mlp, ht_id x, ht_id logits,
                              ht_id residual, ht_id *out, hearth_error *err)
{
    const struct ht_route route = {mlp->n_used};
    const struct ht_expert_order params = {mlp->n_experts, mlp->n_used};
    const struct ht_value *down = &g->values[mlp->down];
    ht_id picks[2], order, pair[2], y, rows;
    HB_TRY(ht_graph_emit(g, &ht_op_route, "route", &route, &logits, 1, picks, 2, err));
    HB_TRY(ht_graph_emit(g, &ht_op_expert_order, "expert_order", &params, picks, 1, &order, 1, err));
    HB_TRY(experts_gate_up(g, mlp, &params, x, order, pair, err));
    HB_TRY(ht_emit_binary(g, mlp->act, pair[0], pair[1], &y, err));
    HB_TRY(ht_emit_act_rows(g, y, (enum hk_qtype)down->type, (int32_t)down->dim[2], &rows, err));
    HB_TRY(experts_emit_matmul(g, &params, "experts_down", rows, order, &mlp->down, &mlp->down_bias, 1, &y,
                               err));
    const ht_id in[4] = {y, order, picks[1], residual};
    return ht_graph_emit(g, &ht_op_expert_sum, "expert_sum", &params, in, 4, out, 1, err);
}
