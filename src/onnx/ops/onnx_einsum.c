/* Einsum. */
#include "onnx/hx_import.h"
#include <string.h>

static hearth_status einsum_lower(struct hx_import *im, const struct hx_node *node)
{
    struct ht_einsum p = {0};
    const char *equation = hx_attr_text(im, node, "equation", "");
    if (strlen(equation) >= sizeof p.equation)
        return hb_fail(im->err, HEARTH_E_LIMIT, "%s: an equation of %zu characters; at most %zu", im->what,
                       strlen(equation), sizeof p.equation - 1);
    memcpy(p.equation, equation, strlen(equation));
    return hx_emit(im, &ht_op_einsum, node, &p);
}

const struct hx_op hx_op_einsum = {1, 8, 1, 1, einsum_lower, 0};
