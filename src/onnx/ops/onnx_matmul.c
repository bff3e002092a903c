/* MatMul and Gemm. */
#include "onnx/hx_import.h"

static hearth_status matmul_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_gemm p = {.alpha = 1, .beta = 1, .act = HT_MAP_COPY};
    return hx_emit(im, &ht_op_gemm, node, &p);
}

const struct hx_op hx_op_matmul = {2, 2, 1, 1, matmul_lower, 0};

static hearth_status gemm_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_gemm p = {.trans_a = hx_attr_int(node, "transA", 0) != 0,
                              .trans_b = hx_attr_int(node, "transB", 0) != 0,
                              .alpha = hx_attr_float(node, "alpha", 1),
                              .beta = hx_attr_float(node, "beta", 1),
                              .act = HT_MAP_COPY};
    return hx_emit(im, &ht_op_gemm, node, &p);
}

const struct hx_op hx_op_gemm = {2, 3, 1, 1, gemm_lower, 0};
