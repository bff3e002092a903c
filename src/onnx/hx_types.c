/* Element types by number. */
#include "onnx/hx_model.h"

static const struct {
    const char *name;
    uint8_t size;
} types_list[] = {
    [HX_UNDEFINED] = {"undefined", 0},       [HX_FLOAT] = {"float", 4},
    [HX_UINT8] = {"uint8", 1},               [HX_INT8] = {"int8", 1},
    [HX_UINT16] = {"uint16", 2},             [HX_INT16] = {"int16", 2},
    [HX_INT32] = {"int32", 4},               [HX_INT64] = {"int64", 8},
    [HX_STRING] = {"string", 0},             [HX_BOOL] = {"bool", 1},
    [HX_FLOAT16] = {"float16", 2},           [HX_DOUBLE] = {"double", 8},
    [HX_UINT32] = {"uint32", 4},             [HX_UINT64] = {"uint64", 8},
    [HX_COMPLEX64] = {"complex64", 8},       [HX_COMPLEX128] = {"complex128", 16},
    [HX_BFLOAT16] = {"bfloat16", 2},         [HX_FLOAT8E4M3FN] = {"float8e4m3fn", 1},
    [HX_FLOAT8E4M3FNUZ] = {"float8e4m3fnuz", 1}, [HX_FLOAT8E5M2] = {"float8e5m2", 1},
    [HX_FLOAT8E5M2FNUZ] = {"float8e5m2fnuz", 1}, [HX_UINT4] = {"uint4", 0},
    [HX_INT4] = {"int4", 0},                 [HX_FLOAT4E2M1] = {"float4e2m1", 0},
};

size_t hx_type_size(int32_t type)
{
    return type >= 0 && (size_t)type < HB_COUNT(types_list) ? types_list[type].size : 0;
}

const char *hx_type_name(int32_t type)
{
    return type >= 0 && (size_t)type < HB_COUNT(types_list) ? types_list[type].name : "unknown";
}
