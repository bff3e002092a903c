/* If, Loop, Scan: bodies become graphs that capture. */
#include "onnx/hx_import.h"
#include <string.h>

static hearth_status flow_emit(struct hx_import *im, const struct hx_node *node, const struct ht_op *op,
                               const void *params, const struct ht_graph *const *sub, uint32_t n_sub)
{
    ht_id in[64], out[64];
    if (node->n_inputs > 64 || node->n_outputs > 64)
        return hb_fail(im->err, HEARTH_E_LIMIT, "%s: more than 64 inputs or outputs", im->what);
    for (uint32_t i = 0; i < node->n_inputs; i++)
        in[i] = hx_in(im, node, i);
    HB_TRY(ht_graph_emit_flow(im->g, op, im->what, params, in, node->n_inputs, out, node->n_outputs, sub,
                              n_sub, im->err));
    for (uint32_t i = 0; i < node->n_outputs; i++)
        HB_TRY(hx_out(im, node, i, out[i]));
    return HEARTH_OK;
}

/* Exporters leave conditions behind that are constants: then only one branch is part of the graph, and the
 * graph can be planned as a whole. */
static hearth_status if_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_graph *sub[2];
    const struct ht_value *condition = &im->g->values[hx_in(im, node, 0)];
    if (condition->kind == HT_VALUE_CONST && condition->type == HK_BOOL &&
        (condition->rank == 0 || (condition->rank == 1 && condition->dim[0] == 1)))
        return hx_inline(im, node, *(const uint8_t *)condition->data ? "then_branch" : "else_branch");
    HB_TRY(hx_body(im, node, "then_branch", &sub[0]));
    HB_TRY(hx_body(im, node, "else_branch", &sub[1]));
    return flow_emit(im, node, &ht_op_if, NULL, sub, 2);
}

const struct hx_op hx_op_if = {1, 1, 1, 64, if_lower, 0};

static hearth_status loop_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_graph *sub;
    HB_TRY(hx_body(im, node, "body", &sub));
    return flow_emit(im, node, &ht_op_loop, NULL, &sub, 1);
}

const struct hx_op hx_op_loop = {0, 64, 1, 64, loop_lower, 0};

static hearth_status scan_list(struct hx_import *im, const struct hx_node *node, const char *name,
                               int64_t *out)
{
    int n;
    return hx_attr_ints(im, node, name, 64, out, &n);
}

static hearth_status scan_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_scan p = {.n_scan_in = (int)hx_attr_int(im, node, "num_scan_inputs", 0)};
    const struct ht_graph *sub;
    HB_TRY(scan_list(im, node, "scan_input_axes", p.in_axis));
    HB_TRY(scan_list(im, node, "scan_output_axes", p.out_axis));
    HB_TRY(scan_list(im, node, "scan_input_directions", p.in_reverse));
    HB_TRY(scan_list(im, node, "scan_output_directions", p.out_reverse));
    HB_TRY(hx_body(im, node, "body", &sub));
    return flow_emit(im, node, &ht_op_scan, &p, &sub, 1);
}

const struct hx_op hx_op_scan = {1, 64, 1, 64, scan_lower, 0};
