/* Resize and Upsample. */
#include "onnx/hx_import.h"
#include <string.h>

static hearth_status resize_choice(struct hx_import *im, const struct hx_node *node, const char *attr,
                                   const char *const *names, unsigned n, unsigned otherwise, uint8_t *out)
{
    const char *text = hx_attr_text(im, node, attr, names[otherwise]);
    for (unsigned i = 0; i < n; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (uint8_t)i;
            return HEARTH_OK;
        }
    return hb_fail(im->err, HEARTH_E_UNSUPPORTED, "%s: %s '%s'", im->what, attr, text);
}

static hearth_status resize_emit(struct hx_import *im, const struct hx_node *node, struct ht_resize *p,
                                 uint32_t first, uint32_t n)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    ht_id in[4] = {hx_in(im, node, 0), HT_NONE, HT_NONE, HT_NONE}, y;
    HB_TRY(resize_choice(im, node, "mode", modes, 3, 0, &p->mode));
    for (uint32_t i = 0; i < n; i++)
        in[first + i] = hx_in(im, node, 1 + i);
    if (n == 0) {
        const struct hx_attr *scales = hx_attr(node, "scales");
        const int64_t dim = scales ? scales->n : 0;
        if (!scales || scales->type != HX_ATTR_FLOATS)
            return hb_fail(im->err, HEARTH_E_NOT_FOUND, "%s: has no scales", im->what);
        HB_TRY(hx_const(im, HK_F32, 1, &dim, scales->floats, &in[2]));
    }
    HB_TRY(hx_op(im, &ht_op_resize, p, in, 4, &y, 1));
    return hx_out(im, node, 0, y);
}

/* Before opset 11: positions are divided by the scales, nearest rounds down. */
static hearth_status resize_10_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_resize p = {.coordinates = HT_COORD_ASYMMETRIC, .nearest = HT_NEAREST_FLOOR};
    return resize_emit(im, node, &p, 2, hx_row(im, node)->param ? 1 : 0);
}

const struct hx_op hx_op_upsample_7 = {1, 1, 1, 1, resize_10_lower, 0};
const struct hx_op hx_op_resize_10 = {2, 2, 1, 1, resize_10_lower, 1};

static hearth_status resize_lower(struct hx_import *im, const struct hx_node *node)
{
    static const char *const coordinates[] = {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel",
                                              "tf_crop_and_resize", "half_pixel_symmetric"};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
    struct ht_resize p = {.cubic = (double)hx_attr_float(im, node, "cubic_coeff_a", -0.75f),
                          .exclude_outside = hx_attr_int(im, node, "exclude_outside", 0) != 0,
                          .antialias = hx_attr_int(im, node, "antialias", 0) != 0,
                          .extrapolation = hx_attr_float(im, node, "extrapolation_value", 0)};
    HB_TRY(resize_choice(im, node, "coordinate_transformation_mode", coordinates, 6, 0, &p.coordinates));
    HB_TRY(resize_choice(im, node, "nearest_mode", nearest, 4, 0, &p.nearest));
    HB_TRY(resize_choice(im, node, "keep_aspect_ratio_policy", policies, 3, 0, &p.policy));
    HB_TRY(hx_attr_ints(im, node, "axes", HT_MAX_RANK, p.axes, &p.n_axes));
    return resize_emit(im, node, &p, 1, 3);
}

const struct hx_op hx_op_resize = {1, 4, 1, 1, resize_lower, 0};
