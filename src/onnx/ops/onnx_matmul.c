/* MatMul and Gemm. */
#include "onnx/hx_import.h"

#define MATMUL_LOOK_BACK 64 /* nodes: query, key and value share the rows of their input */

static hearth_status matmul_rows(struct hx_import *im, ht_id a, ht_id packed, ht_id *rows)
{
    const ht_id in[2] = {a, packed};
    const struct ht_graph *g = im->g;
    for (uint32_t n = g->n_nodes; n > 0 && g->n_nodes - n < MATMUL_LOOK_BACK; n--)
        if (g->nodes[n - 1].op == &ht_op_rows_q8 && g->nodes[n - 1].in[0] == a) {
            *rows = g->nodes[n - 1].out[0];
            return HEARTH_OK;
        }
    return hx_op(im, &ht_op_rows_q8, NULL, in, 2, rows, 1);
}

hearth_status hx_gemm(struct hx_import *im, const struct ht_gemm *p, ht_id a, ht_id b, ht_id c, ht_id *out)
{
    const struct ht_value *w = b != HT_NONE ? &im->g->values[b] : NULL;
    const struct ht_pack pack = {.trans_b = p->trans_b, .form = p->trans_a ? HT_PACK_F32 : im->weights};
    ht_id in[5] = {a, b, c, HT_NONE, HT_NONE}, packed[2];
    if (w && w->kind == HT_VALUE_CONST && w->type == HK_F32 && w->rank == 2) {
        HB_TRY(hx_op(im, &ht_op_pack, &pack, &b, 1, packed, 2));
        in[3] = packed[0];
        if (pack.form == HT_PACK_Q8_0)
            HB_TRY(matmul_rows(im, a, in[3], &in[4]));
    }
    return hx_op(im, &ht_op_gemm, p, in, 5, out, 1);
}

static hearth_status matmul_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_gemm p = {.alpha = 1, .beta = 1, .act = HT_MAP_COPY};
    ht_id y;
    HB_TRY(hx_gemm(im, &p, hx_in(im, node, 0), hx_in(im, node, 1), HT_NONE, &y));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_matmul = {2, 2, 1, 1, matmul_lower, 0};

static hearth_status gemm_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_gemm p = {.trans_a = hx_attr_int(im, node, "transA", 0) != 0,
                              .trans_b = hx_attr_int(im, node, "transB", 0) != 0,
                              .alpha = hx_attr_float(im, node, "alpha", 1),
                              .beta = hx_attr_float(im, node, "beta", 1),
                              .act = HT_MAP_COPY};
    ht_id y;
    HB_TRY(hx_gemm(im, &p, hx_in(im, node, 0), hx_in(im, node, 1), hx_in(im, node, 2), &y));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_gemm = {2, 3, 1, 1, gemm_lower, 0};
