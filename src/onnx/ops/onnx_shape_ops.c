/* Ops that move or name elements: Reshape, Transpose, Slice, Concat, Split, Squeeze, Expand, Shape,
 * Constant and their kind. */
#include "onnx/hx_import.h"
#include <string.h>

static hearth_status constant_lower(struct hx_import *im, const struct hx_node *node)
{
    ht_id id;
    int64_t n;
    if (node->n_attrs != 1)
        return hb_fail(im->err, HEARTH_E_FORMAT, "%s: %u attributes; one value is accepted",
                       im->what, node->n_attrs);
    const struct hx_attr *a = &node->attrs[0];
    n = a->n;
    if (strcmp(a->name, "value") == 0 && a->type == HX_ATTR_TENSOR && a->tensor)
        HB_TRY(hx_tensor_value(im, a->tensor, true, &id));
    else if (strcmp(a->name, "value_float") == 0)
        HB_TRY(hx_const(im, HK_F32, 0, NULL, &a->f, &id));
    else if (strcmp(a->name, "value_int") == 0)
        HB_TRY(hx_const(im, HK_I64, 0, NULL, &a->i, &id));
    else if (strcmp(a->name, "value_floats") == 0)
        HB_TRY(hx_const(im, HK_F32, 1, &n, a->floats, &id));
    else if (strcmp(a->name, "value_ints") == 0)
        HB_TRY(hx_const(im, HK_I64, 1, &n, a->ints, &id));
    else
        return hb_fail(im->err, HEARTH_E_UNSUPPORTED, "%s: attribute %s", im->what, a->name);
    return hx_out(im, node, 0, id);
}

const struct hx_op hx_op_constant = {0, 0, 1, 1, constant_lower, 0};

static hearth_status constant_of_shape_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct hx_attr *a = hx_attr(node, "value");
    ht_id in[2] = {hx_in(im, node, 0), HT_NONE}, y;
    if (a && a->tensor) {
        struct hx_tensor one = *a->tensor;
        if (one.rank > 1 || (one.rank == 1 && one.dim[0] != 1))
            return hb_fail(im->err, HEARTH_E_MISMATCH, "%s: value wants one element", im->what);
        one.rank = 0;
        HB_TRY(hx_tensor_value(im, &one, true, &in[1]));
    } else {
        HB_TRY(hx_scalar_f32(im, 0, &in[1]));
    }
    HB_TRY(hx_op(im, &ht_op_fill, NULL, in, 2, &y, 1));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_constant_of_shape = {1, 1, 1, 1, constant_of_shape_lower, 0};

static hearth_status shape_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_shape p = {.start = hx_attr_int(im, node, "start", 0),
                               .has_end = hx_attr(node, "end") != NULL,
                               .end = hx_attr_int(im, node, "end", 0),
                               .size = strcmp(node->op_type, "Size") == 0};
    return hx_emit(im, &ht_op_shape, node, &p);
}

const struct hx_op hx_op_shape = {1, 1, 1, 1, shape_lower, 0};
const struct hx_op hx_op_size = {1, 1, 1, 1, shape_lower, 0};

static hearth_status reshape_1_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_reshape p = {0};
    HB_TRY(hx_attr_ints(im, node, "shape", HT_MAX_RANK, p.dim, &p.rank));
    return hx_emit(im, &ht_op_reshape, node, &p);
}

static hearth_status reshape_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_reshape p = {.allow_zero = hx_attr_int(im, node, "allowzero", 0) != 0};
    return hx_emit(im, &ht_op_reshape, node, &p);
}

const struct hx_op hx_op_reshape_1 = {1, 1, 1, 1, reshape_1_lower, 0};
const struct hx_op hx_op_reshape = {2, 2, 1, 1, reshape_lower, 0};

static hearth_status flatten_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_axis_params p = {hx_attr_int(im, node, "axis", 1)};
    return hx_emit(im, &ht_op_flatten, node, &p);
}

const struct hx_op hx_op_flatten = {1, 1, 1, 1, flatten_lower, 0};

static hearth_status axes_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_axes p = {.insert = strcmp(node->op_type, "Unsqueeze") == 0};
    HB_TRY(hx_attr_ints(im, node, "axes", HT_MAX_RANK, p.axes, &p.n));
    return hx_emit(im, &ht_op_axes, node, &p);
}

const struct hx_op hx_op_squeeze = {1, 2, 1, 1, axes_lower, 0};
const struct hx_op hx_op_unsqueeze = {1, 2, 1, 1, axes_lower, 0};

static hearth_status transpose_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_axes p = {0};
    HB_TRY(hx_attr_ints(im, node, "perm", HT_MAX_RANK, p.axes, &p.n));
    return hx_emit(im, &ht_op_transpose, node, &p);
}

const struct hx_op hx_op_transpose = {1, 1, 1, 1, transpose_lower, 0};

static hearth_status expand_lower(struct hx_import *im, const struct hx_node *node)
{
    return hx_emit(im, &ht_op_expand, node, NULL);
}

const struct hx_op hx_op_expand = {2, 2, 1, 1, expand_lower, 0};

static hearth_status slice_1_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_slice p = {0};
    int n_ends;
    HB_TRY(hx_attr_ints(im, node, "starts", HT_MAX_RANK, p.starts, &p.n));
    HB_TRY(hx_attr_ints(im, node, "ends", HT_MAX_RANK, p.ends, &n_ends));
    HB_TRY(hx_attr_ints(im, node, "axes", HT_MAX_RANK, p.axes, &p.n_axes));
    if (n_ends != p.n)
        return hb_fail(im->err, HEARTH_E_MISMATCH, "%s: %d starts and %d ends", im->what, p.n,
                       n_ends);
    return hx_emit(im, &ht_op_slice, node, &p);
}

static hearth_status slice_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_slice p = {0};
    return hx_emit(im, &ht_op_slice, node, &p);
}

const struct hx_op hx_op_slice_1 = {1, 1, 1, 1, slice_1_lower, 0};
const struct hx_op hx_op_slice = {3, 5, 1, 1, slice_lower, 0};

static hearth_status split_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_split p = {.axis = hx_attr_int(im, node, "axis", 0),
                         .uneven = hx_attr(node, "num_outputs") != NULL};
    HB_TRY(hx_attr_ints(im, node, "split", 64, p.size, &p.n));
    return hx_emit(im, &ht_op_split, node, &p);
}

const struct hx_op hx_op_split = {1, 2, 1, 64, split_lower, 0};

static hearth_status concat_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_axis_params p = {hx_attr_int(im, node, "axis", 1)};
    if (!hx_attr(node, "axis"))
        return hb_fail(im->err, HEARTH_E_NOT_FOUND, "%s: attribute 'axis' is missing", im->what);
    return hx_emit(im, &ht_op_concat, node, &p);
}

const struct hx_op hx_op_concat = {1, 255, 1, 1, concat_lower, 0};

static hearth_status range_lower(struct hx_import *im, const struct hx_node *node)
{
    if (hx_attr_int(im, node, "stash_type", HX_FLOAT) != HX_FLOAT) /* from opset 27 */
        return hx_unsupported(im, "a stash_type other than float");
    return hx_emit(im, &ht_op_range, node, NULL);
}

const struct hx_op hx_op_range = {3, 3, 1, 1, range_lower, 0};

/* ---- by index ---- */

static hearth_status gather_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_gather p = {hx_attr_int(im, node, "axis", 0)};
    bool elements = strcmp(node->op_type, "GatherElements") == 0;
    return hx_emit(im, elements ? &ht_op_gather_elements : &ht_op_gather, node, &p);
}

const struct hx_op hx_op_gather = {2, 2, 1, 1, gather_lower, 0};
const struct hx_op hx_op_gather_elements = {2, 2, 1, 1, gather_lower, 0};

static hearth_status gather_nd_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_gather p = {hx_attr_int(im, node, "batch_dims", 0)};
    return hx_emit(im, &ht_op_gather_nd, node, &p);
}

const struct hx_op hx_op_gather_nd = {2, 2, 1, 1, gather_nd_lower, 0};

static hearth_status scatter_lower(struct hx_import *im, const struct hx_node *node)
{
    static const char *const names[] = {"none", "add", "mul", "min", "max"};
    const char *reduction = hx_attr_text(im, node, "reduction", "none");
    struct ht_scatter p = {.axis = hx_attr_int(im, node, "axis", 0), .kind = 255};
    for (unsigned i = 0; i < HB_COUNT(names); i++)
        if (strcmp(reduction, names[i]) == 0)
            p.kind = (uint8_t)i;
    if (p.kind == 255)
        return hx_unsupported(im, "reduction; none, add, mul, min and max are known");
    bool nd = strcmp(node->op_type, "ScatterND") == 0;
    return hx_emit(im, nd ? &ht_op_scatter_nd : &ht_op_scatter, node, &p);
}

const struct hx_op hx_op_scatter = {3, 3, 1, 1, scatter_lower, 0};
const struct hx_op hx_op_scatter_nd = {3, 3, 1, 1, scatter_lower, 0};
