/* The table of ONNX ops, expanded from onnx_ops.def. */
#include "onnx/hx_import.h"
#include <string.h>

#define HX_OP(domain, name, since, symbol) extern const struct hx_op hx_op_##symbol;
#include "onnx/onnx_ops.def"
#undef HX_OP

static const struct {
    const char *domain, *name;
    int64_t since;
    const struct hx_op *op;
} ops_rows[] = {
#define HX_OP(domain, name, since, symbol) {domain, #name, since, &hx_op_##symbol},
#include "onnx/onnx_ops.def"
#undef HX_OP
};

const struct hx_op *hx_find_op(const char *domain, const char *op_type, int64_t opset)
{
    const struct hx_op *best = NULL;
    int64_t since = -1;
    for (size_t i = 0; i < HB_COUNT(ops_rows); i++)
        if (ops_rows[i].since <= opset && ops_rows[i].since > since &&
            strcmp(ops_rows[i].name, op_type) == 0 && strcmp(ops_rows[i].domain, domain) == 0) {
            best = ops_rows[i].op;
            since = ops_rows[i].since;
        }
    return best;
}

bool hx_op_exists(const char *domain, const char *op_type)
{
    for (size_t i = 0; i < HB_COUNT(ops_rows); i++)
        if (strcmp(ops_rows[i].name, op_type) == 0 && strcmp(ops_rows[i].domain, domain) == 0)
            return true;
    return false;
}
