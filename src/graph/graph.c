/* Building graphs: growing arrays in the model's arena, and the helpers loaders emit with. */
#include "graph/ht_lm.h"
#include "graph/ht_plan.h"
#include "base/hb_check.h"
#include <string.h>

hearth_status ht_graph_init(struct ht_graph *g, struct hb_arena *arena, hearth_error *err)
{
    (void)err;
    *g = (struct ht_graph){.arena = arena};
    return HEARTH_OK;
}

/* Room for one more element; the old array stays behind in the arena. */
static hearth_status graph_grow(struct hb_arena *arena, void **array, uint32_t n, uint32_t *cap,
                                size_t elem_size, hearth_error *err)
{
    if (n < *cap)
        return HEARTH_OK;
    uint32_t want = *cap ? *cap * 2 : 64;
    void *bigger;
    HB_TRY(hb_arena_take_array(arena, want, elem_size, 16, &bigger, err));
    if (n)
        memcpy(bigger, *array, n * elem_size);
    *array = bigger;
    *cap = want;
    return HEARTH_OK;
}

hearth_status ht_graph_symbol(struct ht_graph *g, const char *name, bool counted, int64_t *dim,
                              hearth_error *err)
{
    for (uint32_t i = 0; i < g->n_symbols; i++)
        if (strcmp(g->symbol_name[i], name) == 0) {
            *dim = HT_SYM(i);
            return HEARTH_OK;
        }
    if (g->n_symbols == HT_MAX_SYMBOLS)
        return hb_fail(err, HEARTH_E_LIMIT, "graph: more than %d symbolic dimensions",
                       HT_MAX_SYMBOLS);
    HB_TRY(hb_arena_text(g->arena, name, strlen(name), &g->symbol_name[g->n_symbols], err));
    g->symbol_counted[g->n_symbols] = counted;
    *dim = HT_SYM(g->n_symbols++);
    return HEARTH_OK;
}

static hearth_status graph_value(struct ht_graph *g, const struct ht_value *v, ht_id *out,
                                 hearth_error *err)
{
    HB_TRY(graph_grow(g->arena, (void **)&g->values, g->n_values, &g->cap_values,
                      sizeof *g->values, err));
    *out = g->n_values;
    g->values[g->n_values++] = *v;
    return HEARTH_OK;
}

static hearth_status graph_named(struct ht_graph *g, const char *name, enum ht_value_kind kind,
                                 enum hk_qtype type, int rank, const int64_t *dim,
                                 const void *data, ht_id *out, hearth_error *err)
{
    if (rank < 0 || rank > HT_MAX_RANK)
        return hb_fail(err, HEARTH_E_LIMIT, "%s: rank %d; 0 to %d are accepted", name, rank,
                       HT_MAX_RANK);
    struct ht_value v = {.kind = (uint8_t)kind, .type = (uint8_t)type, .rank = (uint8_t)rank,
                         .data = data};
    if (name)
        HB_TRY(hb_arena_text(g->arena, name, strlen(name), &v.name, err));
    for (int i = 0; i < rank; i++)
        v.dim[i] = dim[i];
    return graph_value(g, &v, out, err);
}

hearth_status ht_graph_input(struct ht_graph *g, const char *name, enum hk_qtype type, int rank,
                             const int64_t *dim, ht_id *out, hearth_error *err)
{
    ht_id *wider;
    HB_TRY(graph_named(g, name, HT_VALUE_INPUT, type, rank, dim, NULL, out, err));
    HB_TRY(HB_ARENA_NEW(g->arena, ht_id, g->n_inputs + 1, &wider, err));
    if (g->n_inputs)
        memcpy(wider, g->inputs, g->n_inputs * sizeof *wider);
    wider[g->n_inputs++] = *out;
    g->inputs = wider;
    return HEARTH_OK;
}

hearth_status ht_graph_const(struct ht_graph *g, const char *name, enum hk_qtype type, int rank,
                             const int64_t *dim, const void *data, ht_id *out, hearth_error *err)
{
    return graph_named(g, name, HT_VALUE_CONST, type, rank, dim, data, out, err);
}

hearth_status ht_graph_output(struct ht_graph *g, ht_id value, const char *name, hearth_error *err)
{
    ht_id *wider;
    HB_TRY(HB_ARENA_NEW(g->arena, ht_id, g->n_outputs + 1, &wider, err));
    if (g->n_outputs)
        memcpy(wider, g->outputs, g->n_outputs * sizeof *wider);
    wider[g->n_outputs++] = value;
    g->outputs = wider;
    if (name && !g->values[value].name)
        HB_TRY(hb_arena_text(g->arena, name, strlen(name), &g->values[value].name, err));
    return HEARTH_OK;
}

hearth_status ht_graph_emit(struct ht_graph *g, const struct ht_op *op, const char *name,
                            const void *params, const ht_id *in, uint32_t n_in, ht_id *out,
                            uint32_t n_out, hearth_error *err)
{
    struct ht_node node = {.op = op, .n_in = n_in, .n_out = n_out};
    void *copy;
    ht_id *ids;
    HB_TRY(hb_arena_take(g->arena, op->params_size, 16, &copy, err));
    if (params)
        memcpy(copy, params, op->params_size);
    node.params = copy;
    HB_TRY(HB_ARENA_NEW(g->arena, ht_id, (size_t)n_in + n_out, &ids, err));
    for (uint32_t i = 0; i < n_in; i++)
        ids[i] = in[i];
    for (uint32_t i = 0; i < n_out; i++) {
        struct ht_value v = {.kind = HT_VALUE_NODE};
        HB_TRY(graph_value(g, &v, &ids[n_in + i], err));
        out[i] = ids[n_in + i];
    }
    node.in = ids;
    node.out = ids + n_in;
    if (name)
        HB_TRY(hb_arena_text(g->arena, name, strlen(name), &node.name, err));
    HB_TRY(graph_grow(g->arena, (void **)&g->nodes, g->n_nodes, &g->cap_nodes, sizeof *g->nodes,
                      err));
    g->nodes[g->n_nodes++] = node;
    return HEARTH_OK;
}

hearth_status ht_graph_emit_flow(struct ht_graph *g, const struct ht_op *op, const char *name,
                                 const void *params, const ht_id *in, uint32_t n_in, ht_id *out,
                                 uint32_t n_out, const struct ht_graph *const *sub, uint32_t n_sub,
                                 hearth_error *err)
{
    const struct ht_graph **list;
    HB_TRY(HB_ARENA_NEW(g->arena, const struct ht_graph *, n_sub, &list, err));
    for (uint32_t i = 0; i < n_sub; i++)
        list[i] = sub[i];
    HB_TRY(ht_graph_emit(g, op, name, params, in, n_in, out, n_out, err));
    g->nodes[g->n_nodes - 1].sub = list;
    g->nodes[g->n_nodes - 1].n_sub = n_sub;
    return HEARTH_OK;
}

hearth_status ht_graph_capture(struct ht_graph *g, ht_id outer, ht_id *inner, hearth_error *err)
{
    for (uint32_t i = 0; i < g->n_captures; i++)
        if (g->captures[i].outer == outer) {
            *inner = g->captures[i].inner;
            return HEARTH_OK;
        }
    struct ht_value v = {.kind = HT_VALUE_CAPTURE};
    HB_TRY(graph_value(g, &v, inner, err));
    HB_TRY(graph_grow(g->arena, (void **)&g->captures, g->n_captures, &g->cap_captures,
                      sizeof *g->captures, err));
    g->captures[g->n_captures++] = (struct ht_capture){outer, *inner};
    return HEARTH_OK;
}

bool ht_dense_bytes(enum hk_qtype type, int rank, const int64_t *dim, size_t *bytes)
{
    const struct hk_qtype_info *info = &hk_qtype_info[type];
    int64_t n = 1;
    for (int i = 0; i < rank; i++)
        if (!hb_mul_dim(n, dim[i], &n))
            return false;
    if (n % info->block_elements != 0 || (uint64_t)n > SIZE_MAX)
        return false;
    return hb_mul_size((size_t)n / info->block_elements, info->block_bytes, bytes);
}

/* ---- emitting ---- */

hearth_status ht_emit_norm(struct ht_graph *g, const char *name, ht_id x, ht_id weight, ht_id bias,
                           const struct ht_norm *params, ht_id *out, hearth_error *err)
{
    const ht_id in[3] = {x, weight, bias};
    return ht_graph_emit(g, &ht_op_norm, name, params, in, 3, out, 1, err);
}

bool ht_same_matmul_class(const struct ht_graph *g, ht_id a, ht_id b)
{
    const struct hk_qtype_info *ia = &hk_qtype_info[g->values[a].type];
    const struct hk_qtype_info *ib = &hk_qtype_info[g->values[b].type];
    bool floats = ia->family == HK_FAMILY_FLOAT;
    return floats == (ib->family == HK_FAMILY_FLOAT) &&
           (floats || hk_act_stretch(ia) == hk_act_stretch(ib));
}

hearth_status ht_emit_act_rows(struct ht_graph *g, ht_id x, enum hk_qtype weight, int32_t group, ht_id *out,
                               hearth_error *err)
{
    const struct hk_qtype_info *info = &hk_qtype_info[weight];
    const struct ht_act_quantize params = {(int32_t)hk_act_stretch(info), group};
    *out = x;
    if (info->family == HK_FAMILY_FLOAT)
        return HEARTH_OK;
    for (uint32_t i = g->n_nodes; i-- > 0;) {
        const struct ht_node *n = &g->nodes[i];
        const struct ht_act_quantize *p = n->params;
        if (n->op == &ht_op_act_quantize && n->in[0] == x && p->stretch == params.stretch &&
            p->group == group) {
            *out = n->out[0];
            return HEARTH_OK;
        }
    }
    return ht_graph_emit(g, &ht_op_act_quantize, "act_quantize", &params, &x, 1, out, 1, err);
}

hearth_status ht_emit_matmul(struct ht_graph *g, const char *name, ht_id x, const ht_id *w,
                             const ht_id *bias, uint32_t n_w, ht_id residual, float scale,
                             ht_id *out, hearth_error *err)
{
    ht_id in[HT_MATMUL_INPUTS];
    for (int i = 0; i < HT_MATMUL_INPUTS; i++)
        in[i] = HT_NONE;
    if (n_w < 1 || n_w > 3)
        return hb_fail(err, HEARTH_E_INTERNAL, "%s: %u weights in one matmul", name, n_w);
    for (uint32_t i = 0; i < n_w; i++) {
        if (!ht_same_matmul_class(g, w[0], w[i]))
            return hb_fail(err, HEARTH_E_INTERNAL, "%s: weights of several activation forms in one matmul",
                           name);
        in[1 + i] = w[i];
        in[4 + i] = bias ? bias[i] : HT_NONE;
    }
    HB_TRY(ht_emit_act_rows(g, x, (enum hk_qtype)g->values[w[0]].type, 0, &in[0], err));
    in[7] = residual;
    const struct ht_matmul params = {scale};
    return ht_graph_emit(g, &ht_op_matmul, name, &params, in, HT_MATMUL_INPUTS, out, 1, err);
}

hearth_status ht_emit_binary(struct ht_graph *g, enum ht_binary_kind kind, ht_id a, ht_id b,
                             ht_id *out, hearth_error *err)
{
    const struct ht_binary params = {(uint8_t)kind};
    const ht_id in[2] = {a, b};
    return ht_graph_emit(g, &ht_op_binary, NULL, &params, in, 2, out, 1, err);
}

hearth_status ht_emit_unary(struct ht_graph *g, enum ht_unary_kind kind, float value, ht_id x,
                            ht_id *out, hearth_error *err)
{
    const struct ht_unary params = {(uint8_t)kind, value};
    return ht_graph_emit(g, &ht_op_unary, NULL, &params, &x, 1, out, 1, err);
}

hearth_status ht_emit_attention(struct ht_graph *g, const struct ht_attention *params, ht_id q,
                                ht_id k, ht_id v, ht_id sinks, ht_id *out, hearth_error *err)
{
    const struct ht_kv_op put = {params->layer, params->n_kv_heads};
    const ht_id kv[2] = {k, v};
    const ht_id in[2] = {q, sinks};
    ht_id parts[3] = {HT_NONE, HT_NONE, sinks};
    HB_TRY(ht_graph_emit(g, &ht_op_kv_put, "kv_put", &put, kv, 2, NULL, 0, err));
    HB_TRY(ht_graph_emit(g, &ht_op_attention, "attention", params, in, 2, parts, 2, err));
    return ht_graph_emit(g, &ht_op_attention_fold, "attention_fold", params, parts, 3, out, 1,
                         err);
}

hearth_status ht_emit_columns(struct ht_graph *g, ht_id x, int64_t first, int64_t n, ht_id *out,
                              hearth_error *err)
{
    const struct ht_columns params = {first, n};
    return ht_graph_emit(g, &ht_op_columns, NULL, &params, &x, 1, out, 1, err);
}

hearth_status ht_lm_begin(struct ht_lm *lm, struct hb_arena *arena, hearth_error *err)
{
    int64_t tokens, rows, context;
    HB_TRY(ht_graph_init(&lm->graph, arena, err));
    HB_TRY(ht_graph_symbol(&lm->graph, "tokens", true, &tokens, err));
    HB_TRY(ht_graph_symbol(&lm->graph, "rows", true, &rows, err));
    HB_TRY(ht_graph_symbol(&lm->graph, "context", false, &context, err));
    HB_TRY(ht_graph_input(&lm->graph, "tokens", HK_I32, 1, &tokens, &lm->tokens, err));
    HB_TRY(ht_graph_input(&lm->graph, "positions", HK_I32, 1, &tokens, &lm->positions, err));
    return ht_graph_input(&lm->graph, "out_rows", HK_I32, 1, &rows, &lm->out_rows, err);
}
