/* Ops on positions and orders: Pad, Tile, Trilu, OneHot, CumSum, TopK, NonZero, Compress, EyeLike,
 * ReverseSequence, DepthToSpace; and the losses. */
#include "onnx/hx_import.h"
#include <string.h>

static hearth_status pad_kind(struct hx_import *im, const struct hx_node *node, struct ht_pad *p)
{
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    const char *mode = hx_attr_text(im, node, "mode", "constant");
    for (unsigned i = 0; i < HB_COUNT(modes); i++)
        if (strcmp(mode, modes[i]) == 0) {
            p->kind = (uint8_t)i;
            return HEARTH_OK;
        }
    return hx_unsupported(im, "mode; constant, reflect, edge and wrap are known");
}

static hearth_status pad_2_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_pad p = {0};
    int64_t pads[2 * HT_MAX_RANK];
    int n;
    ht_id in[3] = {hx_in(im, node, 0)}, y;
    HB_TRY(pad_kind(im, node, &p));
    HB_TRY(hx_attr_ints(im, node, "pads", 2 * HT_MAX_RANK, pads, &n));
    HB_TRY(hx_list_i64(im, pads, n, &in[1]));
    HB_TRY(hx_scalar_f32(im, hx_attr_float(im, node, "value", 0), &in[2]));
    HB_TRY(hx_op(im, &ht_op_pad, &p, in, 3, &y, 1));
    return hx_out(im, node, 0, y);
}

static hearth_status pad_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_pad p = {0};
    HB_TRY(pad_kind(im, node, &p));
    return hx_emit(im, &ht_op_pad, node, &p);
}

const struct hx_op hx_op_pad_2 = {1, 1, 1, 1, pad_2_lower, 0};
const struct hx_op hx_op_pad = {2, 4, 1, 1, pad_lower, 0};

static hearth_status tile_lower(struct hx_import *im, const struct hx_node *node)
{
    return hx_emit(im, &ht_op_tile, node, NULL);
}

const struct hx_op hx_op_tile = {2, 2, 1, 1, tile_lower, 0};

static hearth_status trilu_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_axis_params p = {hx_attr_int(im, node, "upper", 1)};
    return hx_emit(im, &ht_op_trilu, node, &p);
}

const struct hx_op hx_op_trilu = {1, 2, 1, 1, trilu_lower, 0};

static hearth_status one_hot_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_axis_params p = {hx_attr_int(im, node, "axis", -1)};
    return hx_emit(im, &ht_op_one_hot, node, &p);
}

const struct hx_op hx_op_one_hot = {3, 3, 1, 1, one_hot_lower, 0};

static hearth_status cumsum_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_cumsum p = {.exclusive = hx_attr_int(im, node, "exclusive", 0) != 0,
                                .reverse = hx_attr_int(im, node, "reverse", 0) != 0};
    return hx_emit(im, &ht_op_cumsum, node, &p);
}

const struct hx_op hx_op_cumsum = {2, 2, 1, 1, cumsum_lower, 0};

static hearth_status topk_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_topk p = {.axis = hx_attr_int(im, node, "axis", -1),
                              .largest = hx_attr_int(im, node, "largest", 1) != 0};
    return hx_emit(im, &ht_op_topk, node, &p);
}

const struct hx_op hx_op_topk = {2, 2, 2, 2, topk_lower, 0};

static hearth_status nonzero_lower(struct hx_import *im, const struct hx_node *node)
{
    return hx_emit(im, &ht_op_nonzero, node, NULL);
}

const struct hx_op hx_op_nonzero = {1, 1, 1, 1, nonzero_lower, 0};

static hearth_status compress_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_compress p = {.axis = hx_attr_int(im, node, "axis", 0),
                                  .flat = hx_attr(node, "axis") == NULL};
    return hx_emit(im, &ht_op_compress, node, &p);
}

const struct hx_op hx_op_compress = {2, 2, 1, 1, compress_lower, 0};

static hearth_status eye_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_eye p = {.k = hx_attr_int(im, node, "k", 0)};
    enum hk_qtype type;
    if (hx_attr(node, "dtype")) {
        HB_TRY(hx_storage_type(im, hx_attr_int(im, node, "dtype", 0), &type));
        p.has_type = true;
        p.type = (uint8_t)type;
    }
    return hx_emit(im, &ht_op_eye, node, &p);
}

const struct hx_op hx_op_eye_like = {1, 1, 1, 1, eye_lower, 0};

static hearth_status reverse_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_reverse p = {.batch_axis = hx_attr_int(im, node, "batch_axis", 1),
                                 .time_axis = hx_attr_int(im, node, "time_axis", 0)};
    return hx_emit(im, &ht_op_reverse_sequence, node, &p);
}

const struct hx_op hx_op_reverse_sequence = {2, 2, 1, 1, reverse_lower, 0};

/* [N][C][H][W]: reshape, transpose, reshape; 0 in a reshape copies, so batch and -1 need no shape. */
static hearth_status depth_space_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_depth_space p = {.block = hx_attr_int(im, node, "blocksize", 0),
                                     .to_depth = hx_row(im, node)->param != 0,
                                     .crd = strcmp(hx_attr_text(im, node, "mode", "DCR"), "CRD") == 0};
    return hx_emit(im, &ht_op_depth_space, node, &p);
}

const struct hx_op hx_op_depth_to_space = {1, 1, 1, 1, depth_space_lower, 0};
const struct hx_op hx_op_space_to_depth = {1, 1, 1, 1, depth_space_lower, 1};

/* ---- losses ---- */

static hearth_status loss_params(struct hx_import *im, const struct hx_node *node, struct ht_nll *p)
{
    const char *reduction = hx_attr_text(im, node, "reduction", "mean");
    p->has_ignore = hx_attr(node, "ignore_index") != NULL;
    p->ignore = hx_attr_int(im, node, "ignore_index", 0);
    p->reduce = strcmp(reduction, "mean") == 0  ? HT_NLL_MEAN
                : strcmp(reduction, "sum") == 0 ? HT_NLL_SUM
                                                : HT_NLL_NONE;
    if (p->reduce == HT_NLL_NONE && strcmp(reduction, "none") != 0)
        return hx_unsupported(im, "reduction; none, sum and mean are known");
    return HEARTH_OK;
}

static hearth_status nll_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_nll p = {0};
    HB_TRY(loss_params(im, node, &p));
    return hx_emit(im, &ht_op_nll, node, &p);
}

const struct hx_op hx_op_nll_loss = {2, 3, 1, 1, nll_lower, 0};

static hearth_status sce_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_nll p = {0};
    const struct ht_softmax soft = {.kind = HT_LOG_SOFTMAX, .axis = 1};
    ht_id in[3] = {hx_in(im, node, 0), hx_in(im, node, 1), hx_in(im, node, 2)}, y;
    HB_TRY(loss_params(im, node, &p));
    HB_TRY(hx_op(im, &ht_op_softmax, &soft, in, 1, &in[0], 1));
    HB_TRY(hx_op(im, &ht_op_nll, &p, in, 3, &y, 1));
    HB_TRY(hx_out(im, node, 0, y));
    return hx_out(im, node, 1, in[0]);
}

const struct hx_op hx_op_softmax_cross_entropy_loss = {2, 3, 1, 2, sce_lower, 0};
