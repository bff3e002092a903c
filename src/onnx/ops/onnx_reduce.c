/* Reductions, ArgMax and ArgMin. Axes are an attribute before opset 13 (ReduceSum) or 18, then an input. */
#include "onnx/hx_import.h"

static hearth_status reduce_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_reduce p = {.kind = (uint8_t)hx_row(im, node)->param,
                          .keep = hx_attr_int(im, node, "keepdims", 1) != 0,
                          .noop = hx_attr_int(im, node, "noop_with_empty_axes", 0) != 0};
    HB_TRY(hx_attr_ints(im, node, "axes", HT_MAX_RANK, p.axes, &p.n));
    return hx_emit(im, &ht_op_reduce, node, &p);
}

#define REDUCE(name, kind) const struct hx_op hx_op_##name = {1, 2, 1, 1, reduce_lower, kind};
REDUCE(reduce_sum, HT_SUM)
REDUCE(reduce_mean, HT_MEAN)
REDUCE(reduce_max, HT_RMAX)
REDUCE(reduce_min, HT_RMIN)
REDUCE(reduce_prod, HT_PROD)
REDUCE(reduce_l1, HT_L1)
REDUCE(reduce_l2, HT_L2)
REDUCE(reduce_log_sum, HT_LOG_SUM)
REDUCE(reduce_log_sum_exp, HT_LOG_SUM_EXP)
REDUCE(reduce_sum_square, HT_SUM_SQUARE)

static hearth_status arg_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_reduce p = {.kind = (uint8_t)hx_row(im, node)->param,
                          .keep = hx_attr_int(im, node, "keepdims", 1) != 0,
                          .last = hx_attr_int(im, node, "select_last_index", 0) != 0,
                          .n = 1};
    p.axes[0] = hx_attr_int(im, node, "axis", 0);
    return hx_emit(im, &ht_op_reduce, node, &p);
}

const struct hx_op hx_op_arg_max = {1, 1, 1, 1, arg_lower, HT_ARGMAX};
const struct hx_op hx_op_arg_min = {1, 1, 1, 1, arg_lower, HT_ARGMIN};
