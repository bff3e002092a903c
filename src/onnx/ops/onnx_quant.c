/* Quantisation: linear ops, dynamic quantisation, integer matmul. */
#include "onnx/hx_import.h"
#include <string.h>

static hearth_status quantize_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_quantize p = {.axis = hx_attr_int(im, node, "axis", 1),
                            .block = hx_attr_int(im, node, "block_size", 0), .type = HK_U8};
    int64_t type = hx_attr_int(im, node, "output_dtype", 0);
    int64_t precision = hx_attr_int(im, node, "precision", 0);
    enum hk_qtype out = HK_U8;
    if (type && hx_row(im, node)->param) /* the result has the type of the scale here */
        return hx_unsupported(im, "output_dtype");
    if (precision && precision != HX_FLOAT)
        return hx_unsupported(im, "a precision other than float");
    if (type)
        HB_TRY(hx_storage_type(im, type, &out));
    p.type = (uint8_t)out;
    return hx_emit(im, hx_row(im, node)->param ? &ht_op_dequantize : &ht_op_quantize, node, &p);
}

const struct hx_op hx_op_quantize_linear = {2, 3, 1, 1, quantize_lower, 0};
const struct hx_op hx_op_dequantize_linear = {2, 3, 1, 1, quantize_lower, 1};

/* Codes, scale and zero point of x by its own range. */
static hearth_status dynamic_codes(struct hx_import *im, ht_id x, ht_id q[3])
{
    ht_id in[2] = {x, HT_NONE};
    HB_TRY(hx_op(im, &ht_op_dynamic_range, NULL, &x, 1, &in[1], 1));
    return hx_op(im, &ht_op_dynamic_quantize, NULL, in, 2, q, 3);
}

static hearth_status dynamic_lower(struct hx_import *im, const struct hx_node *node)
{
    ht_id q[3];
    HB_TRY(dynamic_codes(im, hx_in(im, node, 0), q));
    for (uint32_t i = 0; i < 3; i++)
        HB_TRY(hx_out(im, node, i, q[i]));
    return HEARTH_OK;
}

const struct hx_op hx_op_dynamic_quantize_linear = {1, 1, 3, 3, dynamic_lower, 0};

hearth_status hx_int_gemm(struct hx_import *im, ht_id a, ht_id b, ht_id a_zero, ht_id b_zero,
                          ht_id *out)
{
    const struct ht_int_gemm p = {.act = HT_MAP_COPY};
    ht_id in[5] = {a, b, a_zero, b_zero, HT_NONE};
    HB_TRY(hx_op(im, &ht_op_pack_i8, NULL, &b, 1, &in[4], 1));
    return hx_op(im, &ht_op_int_gemm, &p, in, 5, out, 1);
}

static hearth_status matmul_integer_lower(struct hx_import *im, const struct hx_node *node)
{
    ht_id y;
    HB_TRY(hx_int_gemm(im, hx_in(im, node, 0), hx_in(im, node, 1), hx_in(im, node, 2),
                       hx_in(im, node, 3), &y));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_matmul_integer = {2, 4, 1, 1, matmul_integer_lower, 0};

/* a, a scale, a zero, b, b scale, b zero, y scale, y zero: exact int32, then requantised. */
static hearth_status qlinear_matmul_lower(struct hx_import *im, const struct hx_node *node)
{
    ht_id sum, scale, y, in[3];
    struct ht_quantize p = {.axis = -1};
    HB_TRY(hx_int_gemm(im, hx_in(im, node, 0), hx_in(im, node, 3), hx_in(im, node, 2),
                       hx_in(im, node, 5), &sum));
    HB_TRY(hx_cast(im, sum, HK_F32, &sum));
    ht_id a_scale, b_scale; /* float16 scales are multiplied in float32 */
    HB_TRY(hx_cast(im, hx_in(im, node, 1), HK_F32, &a_scale));
    HB_TRY(hx_cast(im, hx_in(im, node, 4), HK_F32, &b_scale));
    HB_TRY(hx_map2(im, HT_MAP_MUL, a_scale, b_scale, &scale));
    HB_TRY(hx_map2(im, HT_MAP_MUL, sum, scale, &in[0]));
    in[1] = hx_in(im, node, 6);
    in[2] = hx_in(im, node, 7);
    HB_TRY(hx_op(im, &ht_op_quantize, &p, in, 3, &y, 1));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_qlinear_matmul = {8, 8, 1, 1, qlinear_matmul_lower, 0};

/* com.microsoft MatMulIntegerToFloat: (a, b, a scale, b scale, a zero, b zero, bias). */
static hearth_status integer_to_float(struct hx_import *im, const struct hx_node *node, ht_id a,
                                      ht_id b, ht_id a_scale, ht_id b_scale, ht_id a_zero,
                                      ht_id b_zero, ht_id bias)
{
    ht_id y, scale;
    HB_TRY(hx_int_gemm(im, a, b, a_zero, b_zero, &y));
    HB_TRY(hx_cast(im, y, HK_F32, &y));
    HB_TRY(hx_map2(im, HT_MAP_MUL, a_scale, b_scale, &scale));
    HB_TRY(hx_map2(im, HT_MAP_MUL, y, scale, &y));
    if (bias != HT_NONE)
        HB_TRY(hx_map2(im, HT_MAP_ADD, y, bias, &y));
    return hx_out(im, node, 0, y);
}

static hearth_status to_float_lower(struct hx_import *im, const struct hx_node *node)
{
    return integer_to_float(im, node, hx_in(im, node, 0), hx_in(im, node, 1), hx_in(im, node, 2),
                            hx_in(im, node, 3), hx_in(im, node, 4), hx_in(im, node, 5),
                            hx_in(im, node, 6));
}

const struct hx_op hx_op_ms_matmul_integer_to_float = {4, 7, 1, 1, to_float_lower, 0};

/* com.microsoft DynamicQuantizeMatMul: (a f32, b, b scale, b zero, bias). */
static hearth_status dynamic_matmul_lower(struct hx_import *im, const struct hx_node *node)
{
    ht_id q[3];
    HB_TRY(dynamic_codes(im, hx_in(im, node, 0), q));
    return integer_to_float(im, node, q[0], hx_in(im, node, 1), q[1], hx_in(im, node, 2), q[2],
                            hx_in(im, node, 3), hx_in(im, node, 4));
}

const struct hx_op hx_op_ms_dynamic_quantize_matmul = {3, 5, 1, 1, dynamic_matmul_lower, 0};
