/* Convolutions and pools. */
#include "onnx/hx_import.h"
#include <string.h>

static hearth_status window_attrs(struct hx_import *im, const struct hx_node *node,
                                  struct ht_window *p)
{
    static const char *const pads[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    const char *text = hx_attr_text(im, node, "auto_pad", "NOTSET");
    p->auto_pad = 255;
    for (unsigned i = 0; i < HB_COUNT(pads); i++)
        if (strcmp(text, pads[i]) == 0)
            p->auto_pad = (uint8_t)i;
    if (p->auto_pad == 255)
        return hx_unsupported(im, "auto_pad; NOTSET, SAME_UPPER, SAME_LOWER and VALID are known");
    p->group = hx_attr_int(im, node, "group", 1);
    p->ceil = hx_attr_int(im, node, "ceil_mode", 0) != 0;
    p->count_pad = hx_attr_int(im, node, "count_include_pad", 0) != 0;
    p->columns = hx_attr_int(im, node, "storage_order", 0) != 0;
    p->lp = hx_attr_int(im, node, "p", 2);
    HB_TRY(hx_attr_ints(im, node, "kernel_shape", HT_MAX_RANK, p->kernel, &p->n_kernel));
    HB_TRY(hx_attr_ints(im, node, "strides", HT_MAX_RANK, p->strides, &p->n_strides));
    HB_TRY(hx_attr_ints(im, node, "dilations", HT_MAX_RANK, p->dilations, &p->n_dilations));
    HB_TRY(hx_attr_ints(im, node, "output_padding", HT_MAX_RANK, p->output_padding,
                        &p->n_output_padding));
    HB_TRY(hx_attr_ints(im, node, "output_shape", HT_MAX_RANK, p->output_shape, &p->n_output_shape));
    return hx_attr_ints(im, node, "pads", 2 * HT_MAX_RANK, p->pads, &p->n_pads);
}

static hearth_status conv_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_window p = {0};
    HB_TRY(window_attrs(im, node, &p));
    return hx_emit(im, hx_row(im, node)->param ? &ht_op_conv_transpose : &ht_op_conv, node, &p);
}

const struct hx_op hx_op_conv = {2, 3, 1, 1, conv_lower, 0};
const struct hx_op hx_op_conv_transpose = {2, 3, 1, 1, conv_lower, 1};

static hearth_status conv_int_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_window p = {0};
    ht_id in[9], y;
    HB_TRY(window_attrs(im, node, &p));
    for (uint32_t i = 0; i < 9; i++)
        in[i] = HT_NONE;
    if (strcmp(node->op_type, "QLinearConv") == 0) {
        for (uint32_t i = 0; i < 9; i++)
            in[i] = hx_in(im, node, i);
    } else {
        static const uint8_t to[4] = {0, 3, 2, 5};
        for (uint32_t i = 0; i < 4; i++)
            in[to[i]] = hx_in(im, node, i);
    }
    HB_TRY(hx_op(im, &ht_op_conv_int, &p, in, 9, &y, 1));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_conv_integer = {2, 4, 1, 1, conv_int_lower, 0};
const struct hx_op hx_op_qlinear_conv = {8, 9, 1, 1, conv_int_lower, 0};

static hearth_status pool_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_window p = {.pool = (uint8_t)hx_row(im, node)->param};
    HB_TRY(window_attrs(im, node, &p));
    return hx_emit(im, &ht_op_pool, node, &p);
}

const struct hx_op hx_op_max_pool = {1, 1, 1, 2, pool_lower, HT_POOL_MAX};
const struct hx_op hx_op_average_pool = {1, 1, 1, 1, pool_lower, HT_POOL_MEAN};
const struct hx_op hx_op_lp_pool = {1, 1, 1, 1, pool_lower, HT_POOL_LP};

/* Over all of space: a reduction from the third dimension on, whatever the rank. */
static hearth_status global_pool_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_reduce p = {.kind = (uint8_t)hx_row(im, node)->param, .keep = true};
    return hx_emit(im, &ht_op_reduce_space, node, &p);
}

const struct hx_op hx_op_global_average_pool = {1, 1, 1, 1, global_pool_lower, HT_MEAN};
const struct hx_op hx_op_global_max_pool = {1, 1, 1, 1, global_pool_lower, HT_RMAX};
