/* Softmax and its kind, and normalisations.
 * Softmax before opset 13 flattens to two dimensions at axis, default 1. */
#include "onnx/hx_import.h"

static hearth_status softmax_1_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_softmax p = {.kind = (uint8_t)hx_row(im, node)->param, .flat = true,
                                 .axis = hx_attr_int(im, node, "axis", 1)};
    return hx_emit(im, &ht_op_softmax, node, &p);
}

static hearth_status softmax_13_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_softmax p = {.kind = (uint8_t)hx_row(im, node)->param,
                                 .axis = hx_attr_int(im, node, "axis", -1)};
    return hx_emit(im, &ht_op_softmax, node, &p);
}

const struct hx_op hx_op_softmax_1 = {1, 1, 1, 1, softmax_1_lower, HT_SOFTMAX};
const struct hx_op hx_op_softmax_13 = {1, 1, 1, 1, softmax_13_lower, HT_SOFTMAX};
const struct hx_op hx_op_log_softmax_1 = {1, 1, 1, 1, softmax_1_lower, HT_LOG_SOFTMAX};
const struct hx_op hx_op_log_softmax_13 = {1, 1, 1, 1, softmax_13_lower, HT_LOG_SOFTMAX};
const struct hx_op hx_op_hardmax_1 = {1, 1, 1, 1, softmax_1_lower, HT_HARDMAX};
const struct hx_op hx_op_hardmax_13 = {1, 1, 1, 1, softmax_13_lower, HT_HARDMAX};

static hearth_status layer_norm_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_layer_norm p = {.axis = hx_attr_int(im, node, "axis", -1),
                                    .eps = hx_attr_float(im, node, "epsilon", 1e-5f),
                                    .rms = hx_row(im, node)->param != 0};
    return hx_emit(im, &ht_op_layer_norm, node, &p);
}

const struct hx_op hx_op_layer_normalization = {2, 3, 1, 3, layer_norm_lower, 0};
const struct hx_op hx_op_rms_normalization = {2, 2, 1, 1, layer_norm_lower, 1};

/* Statistics of training are accepted as outputs only when nobody asks for them. */
static hearth_status batch_norm_lower(struct hx_import *im, const struct hx_node *node)
{
    ht_id in[5], y;
    const struct ht_norm_stats p = {.eps = hx_attr_float(im, node, "epsilon", 1e-5f)};
    if (hx_attr_int(im, node, "training_mode", 0))
        return hx_unsupported(im, "training_mode");
    if (node->n_outputs > 1)
        return hx_unsupported(im, "statistics as outputs");
    for (uint32_t i = 0; i < 5; i++)
        in[i] = hx_in(im, node, i);
    HB_TRY(hx_op(im, &ht_op_batch_norm, &p, in, 5, &y, 1));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_batch_normalization = {5, 5, 1, 5, batch_norm_lower, 0};

/* Instance and group normalisation: groups of channels times space, then scale and bias by channel. */
static hearth_status group_norm_lower(struct hx_import *im, const struct hx_node *node)
{
    int per_channel = hx_row(im, node)->param;
    const struct ht_norm_stats p = {.eps = hx_attr_float(im, node, "epsilon", 1e-5f),
                                    .groups = per_channel ? 0 : hx_attr_int(im, node, "num_groups", 1)};
    return hx_emit(im, &ht_op_group_norm, node, &p);
}

const struct hx_op hx_op_instance_normalization = {3, 3, 1, 1, group_norm_lower, 1};
const struct hx_op hx_op_group_normalization = {3, 3, 1, 1, group_norm_lower, 0};
