/* Ops that are one elementwise function of the interpreter. The row's param is its kind.
 * Source: ONNX operators; since-versions that only add types share a row. */
#include "onnx/hx_import.h"
#include <string.h>

/* p and q of the function: attribute names with defaults, "" for none. */
struct map_attrs {
    const char *p, *q;
    float p_default, q_default;
};

static hearth_status map_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_map params = {.kind = (uint8_t)hx_row(im, node)->param, .p = 1};
    return hx_emit(im, &ht_op_map, node, &params);
}

#define MAP1(name, kind)                                                                           \
    const struct hx_op hx_op_##name = {1, 1, 1, 1, map_lower, HT_MAP_##kind};
#define MAP2(name, kind)                                                                           \
    const struct hx_op hx_op_##name = {2, 2, 1, 1, map_lower, HT_MAP_##kind};

MAP1(abs, ABS)
MAP1(neg, NEG)
MAP1(sign, SIGN)
MAP1(ceil, CEIL)
MAP1(floor, FLOOR)
MAP1(round, ROUND)
MAP1(sqrt, SQRT)
MAP1(reciprocal, RECIP)
MAP1(exp, EXP)
MAP1(log, LOG)
MAP1(sin, SIN)
MAP1(cos, COS)
MAP1(tan, TAN)
MAP1(asin, ASIN)
MAP1(acos, ACOS)
MAP1(atan, ATAN)
MAP1(sinh, SINH)
MAP1(cosh, COSH)
MAP1(tanh, TANH)
MAP1(asinh, ASINH)
MAP1(acosh, ACOSH)
MAP1(atanh, ATANH)
MAP1(erf, ERF)
MAP1(sigmoid, SIGMOID)
MAP1(relu, RELU)
MAP1(softplus, SOFTPLUS)
MAP1(softsign, SOFTSIGN)
MAP1(hard_swish, HARDSWISH)
MAP1(mish, MISH)
MAP1(is_nan, ISNAN)
MAP1(not, NOT)
MAP1(bitwise_not, BITNOT)
MAP2(add, ADD)
MAP2(sub, SUB)
MAP2(mul, MUL)
MAP2(div, DIV)
MAP2(pow, POW)
MAP2(prelu, PRELU)
MAP2(and, AND)
MAP2(or, OR)
MAP2(xor, XOR)
MAP2(bitwise_and, BITAND)
MAP2(bitwise_or, BITOR)
MAP2(bitwise_xor, BITXOR)
MAP2(equal, EQ)
MAP2(less, LT)
MAP2(greater, GT)
MAP2(less_or_equal, LE)
MAP2(greater_or_equal, GE)
const struct hx_op hx_op_where = {3, 3, 1, 1, map_lower, HT_MAP_WHERE};

/* ---- with attributes ---- */

static const struct map_attrs map_alpha[HT_MAP_COUNT] = {
    [HT_MAP_LEAKY] = {"alpha", "", 0.01f, 0},
    [HT_MAP_ELU] = {"alpha", "", 1, 0},
    [HT_MAP_SELU] = {"alpha", "gamma", 1.67326319217681884765625f, 1.05070102214813232421875f},
    [HT_MAP_CELU] = {"alpha", "", 1, 0},
    [HT_MAP_HARDSIGMOID] = {"alpha", "beta", 0.2f, 0.5f},
    [HT_MAP_THRESHOLDED] = {"alpha", "", 1, 0},
    [HT_MAP_SHRINK] = {"lambd", "bias", 0.5f, 0},
    [HT_MAP_SILU] = {"alpha", "", 1, 0},
};

static hearth_status map_attr_lower(struct hx_import *im, const struct hx_node *node)
{
    int kind = hx_row(im, node)->param;
    const struct map_attrs *a = &map_alpha[kind];
    const struct ht_map params = {.kind = (uint8_t)kind,
                                  .p = (double)hx_attr_float(im, node, a->p, a->p_default),
                                  .q = (double)hx_attr_float(im, node, a->q, a->q_default)};
    return hx_emit(im, &ht_op_map, node, &params);
}

#define MAP_ATTR(name, kind)                                                                       \
    const struct hx_op hx_op_##name = {1, 1, 1, 1, map_attr_lower, HT_MAP_##kind};
MAP_ATTR(leaky_relu, LEAKY)
MAP_ATTR(elu, ELU)
MAP_ATTR(selu, SELU)
MAP_ATTR(celu, CELU)
MAP_ATTR(hard_sigmoid, HARDSIGMOID)
MAP_ATTR(thresholded_relu, THRESHOLDED)
MAP_ATTR(shrink, SHRINK)
MAP_ATTR(quick_gelu, SILU)
MAP_ATTR(swish, SILU)

static hearth_status gelu_lower(struct hx_import *im, const struct hx_node *node)
{
    bool tanh = strcmp(hx_attr_text(im, node, "approximate", "none"), "tanh") == 0;
    const struct ht_map params = {.kind = tanh ? HT_MAP_GELU_TANH : HT_MAP_GELU};
    return hx_emit(im, &ht_op_map, node, &params);
}

const struct hx_op hx_op_gelu = {1, 1, 1, 1, gelu_lower, 0};

static hearth_status is_inf_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_map params = {.kind = HT_MAP_ISINF,
                                  .p = (double)hx_attr_int(im, node, "detect_negative", 1),
                                  .q = (double)hx_attr_int(im, node, "detect_positive", 1)};
    return hx_emit(im, &ht_op_map, node, &params);
}

const struct hx_op hx_op_is_inf = {1, 1, 1, 1, is_inf_lower, 0};

static hearth_status mod_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_map params = {.kind = hx_attr_int(im, node, "fmod", 0) ? HT_MAP_FMOD : HT_MAP_MOD};
    return hx_emit(im, &ht_op_map, node, &params);
}

const struct hx_op hx_op_mod = {2, 2, 1, 1, mod_lower, 0};

static hearth_status bit_shift_lower(struct hx_import *im, const struct hx_node *node)
{
    const char *direction = hx_attr_text(im, node, "direction", "");
    bool left = strcmp(direction, "LEFT") == 0;
    if (!left && strcmp(direction, "RIGHT") != 0)
        return hx_unsupported(im, "direction; LEFT and RIGHT are known");
    const struct ht_map params = {.kind = left ? HT_MAP_SHL : HT_MAP_SHR};
    return hx_emit(im, &ht_op_map, node, &params);
}

const struct hx_op hx_op_bit_shift = {2, 2, 1, 1, bit_shift_lower, 0};

/* ---- before opset 7: broadcast = 1 with axis aligns the second input there ---- */

static hearth_status old_binary_lower(struct hx_import *im, const struct hx_node *node)
{
    ht_id in[2] = {hx_in(im, node, 0), hx_in(im, node, 1)}, y;
    const struct hx_attr *axis = hx_attr(node, "axis");
    if (hx_attr_int(im, node, "broadcast", 0) && axis) {
        const struct ht_axis_params params = {axis->i};
        HB_TRY(hx_op(im, &ht_op_align, &params, in, 2, &in[1], 1));
    }
    HB_TRY(hx_map2(im, (unsigned)hx_row(im, node)->param, in[0], in[1], &y));
    return hx_out(im, node, 0, y);
}

#define OLD2(name, kind)                                                                           \
    const struct hx_op hx_op_##name = {2, 2, 1, 1, old_binary_lower, HT_MAP_##kind};
OLD2(add_1, ADD)
OLD2(sub_1, SUB)
OLD2(mul_1, MUL)
OLD2(div_1, DIV)
OLD2(pow_1, POW)

/* PRelu before opset 7: slopes belong to the second dimension. */
static hearth_status prelu_1_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_axis_params params = {1};
    ht_id in[2] = {hx_in(im, node, 0), hx_in(im, node, 1)}, y;
    HB_TRY(hx_op(im, &ht_op_align, &params, in, 2, &in[1], 1));
    HB_TRY(hx_map2(im, HT_MAP_PRELU, in[0], in[1], &y));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_prelu_1 = {2, 2, 1, 1, prelu_1_lower, 0};

/* ---- any number of inputs ---- */

static hearth_status fold_lower(struct hx_import *im, const struct hx_node *node)
{
    int kind = hx_row(im, node)->param;
    ht_id y = hx_in(im, node, 0);
    if (node->n_inputs == 1)
        HB_TRY(hx_map1(im, HT_MAP_COPY, y, 0, 0, &y));
    for (uint32_t i = 1; i < node->n_inputs; i++)
        HB_TRY(hx_map2(im, (unsigned)kind, y, hx_in(im, node, i), &y));
    if (strcmp(node->op_type, "Mean") == 0)
        HB_TRY(hx_map1(im, HT_MAP_AFFINE, y, 1.0 / node->n_inputs, 0, &y));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_sum = {1, 255, 1, 1, fold_lower, HT_MAP_ADD};
const struct hx_op hx_op_mean = {1, 255, 1, 1, fold_lower, HT_MAP_ADD};
const struct hx_op hx_op_min = {1, 255, 1, 1, fold_lower, HT_MAP_MIN};
const struct hx_op hx_op_max = {1, 255, 1, 1, fold_lower, HT_MAP_MAX};

/* ---- clip, cast, identity ---- */

static hearth_status clip_6_lower(struct hx_import *im, const struct hx_node *node)
{
    ht_id in[3] = {hx_in(im, node, 0), HT_NONE, HT_NONE}, y;
    const struct ht_map params = {.kind = HT_MAP_CLIP};
    if (hx_attr(node, "min"))
        HB_TRY(hx_scalar_f32(im, hx_attr_float(im, node, "min", 0), &in[1]));
    if (hx_attr(node, "max"))
        HB_TRY(hx_scalar_f32(im, hx_attr_float(im, node, "max", 0), &in[2]));
    HB_TRY(hx_op(im, &ht_op_map, &params, in, 3, &y, 1));
    return hx_out(im, node, 0, y);
}

static hearth_status clip_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_map params = {.kind = HT_MAP_CLIP};
    return hx_emit(im, &ht_op_map, node, &params);
}

const struct hx_op hx_op_clip_6 = {1, 1, 1, 1, clip_6_lower, 0};
const struct hx_op hx_op_clip = {1, 3, 1, 1, clip_lower, 0};

static hearth_status cast_lower(struct hx_import *im, const struct hx_node *node)
{
    enum hk_qtype type;
    ht_id y;
    HB_TRY(hx_storage_type(im, hx_attr_int(im, node, "to", 0), &type));
    HB_TRY(hx_cast(im, hx_in(im, node, 0), type, &y));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_cast = {1, 1, 1, 1, cast_lower, 0};

static hearth_status cast_like_lower(struct hx_import *im, const struct hx_node *node)
{
    return hx_emit(im, &ht_op_cast_like, node, NULL);
}

const struct hx_op hx_op_cast_like = {2, 2, 1, 1, cast_like_lower, 0};

static hearth_status identity_lower(struct hx_import *im, const struct hx_node *node)
{
    return hx_out(im, node, 0, hx_in(im, node, 0));
}

const struct hx_op hx_op_identity = {1, 1, 1, 1, identity_lower, 0};
