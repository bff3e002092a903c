/* Dropout at inference: the input as it is, and a mask of ones. Training is refused unless the ratio is a
 * constant 0. */
#include "onnx/hx_import.h"

static hearth_status dropout_lower(struct hx_import *im, const struct hx_node *node)
{
    ht_id x = hx_in(im, node, 0), training = hx_in(im, node, 2), mask;
    if (training != HT_NONE) {
        const struct ht_value *v = &im->g->values[training];
        if (v->kind != HT_VALUE_CONST || *(const uint8_t *)v->data != 0)
            return hx_unsupported(im, "training mode");
    }
    HB_TRY(hx_out(im, node, 0, x));
    if (node->n_outputs < 2 || !node->outputs[1][0])
        return HEARTH_OK;
    const uint8_t one = 1;
    ht_id in[2];
    const struct ht_shape p = {0};
    HB_TRY(hx_op(im, &ht_op_shape, &p, &x, 1, &in[0], 1));
    HB_TRY(hx_const(im, HK_BOOL, 0, NULL, &one, &in[1]));
    HB_TRY(hx_op(im, &ht_op_fill, NULL, in, 2, &mask, 1));
    return hx_out(im, node, 1, mask);
}

const struct hx_op hx_op_dropout = {1, 3, 1, 2, dropout_lower, 0};
