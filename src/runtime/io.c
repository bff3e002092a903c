/* Element types by their public numbers, and what a model declares of its inputs and outputs. */
#include "runtime/hr_infer.h"
#include <string.h>

static const struct {
    const char *name;
    uint8_t qtype;
} io_dtypes[] = {
    [HEARTH_DTYPE_F32] = {"f32", HK_F32 + 1}, [HEARTH_DTYPE_U8] = {"u8", HK_U8 + 1},
    [HEARTH_DTYPE_I8] = {"i8", HK_I8 + 1},    [HEARTH_DTYPE_U16] = {"u16", HK_U16 + 1},
    [HEARTH_DTYPE_I16] = {"i16", HK_I16 + 1}, [HEARTH_DTYPE_I32] = {"i32", HK_I32 + 1},
    [HEARTH_DTYPE_I64] = {"i64", HK_I64 + 1}, [HEARTH_DTYPE_BOOL] = {"bool", HK_BOOL + 1},
    [HEARTH_DTYPE_F16] = {"f16", HK_F16 + 1}, [HEARTH_DTYPE_F64] = {"f64", HK_F64 + 1},
    [HEARTH_DTYPE_U32] = {"u32", HK_U32 + 1}, [HEARTH_DTYPE_U64] = {"u64", HK_U64 + 1},
    [HEARTH_DTYPE_BF16] = {"bf16", HK_BF16 + 1},
};

bool hr_dtype_known(hearth_dtype type)
{
    return (size_t)type < HB_COUNT(io_dtypes) && io_dtypes[type].qtype;
}

const char *hearth_dtype_name(hearth_dtype type)
{
    return hr_dtype_known(type) ? io_dtypes[type].name : "none";
}

size_t hearth_dtype_size(hearth_dtype type)
{
    return hr_dtype_known(type) ? hk_qtype_info[io_dtypes[type].qtype - 1].block_bytes : 0;
}

hearth_dtype hr_dtype_of(unsigned qtype)
{
    for (unsigned i = 0; i < HB_COUNT(io_dtypes); i++)
        if (io_dtypes[i].qtype == qtype + 1)
            return (hearth_dtype)i;
    return HEARTH_DTYPE_NONE;
}

unsigned hr_dtype_qtype(hearth_dtype type)
{
    return io_dtypes[type].qtype - 1u;
}

/* ---- what a model declares ---- */

size_t hearth_model_input_count(const hearth_model *model)
{
    return model->graph ? model->graph->n_inputs : 0;
}

size_t hearth_model_output_count(const hearth_model *model)
{
    return model->graph ? model->graph->n_outputs : 0;
}

static hearth_status io_info(const hearth_io_info *list, size_t n, const char *what, size_t index,
                              hearth_io_info *info, hearth_error *err)
{
    if (index >= n)
        return hb_fail(err, HEARTH_E_RANGE, "%s %zu: the model has %zu", what, index, n);
    uint32_t size = info->struct_size;
    memcpy(info, &list[index], size < sizeof *info ? size : sizeof *info);
    info->struct_size = size;
    return HEARTH_OK;
}

hearth_status hearth_model_input(const hearth_model *model, size_t index, hearth_io_info *info,
                                 hearth_error *err)
{
    return io_info(model->inputs, hearth_model_input_count(model), "input", index, info, err);
}

hearth_status hearth_model_output(const hearth_model *model, size_t index, hearth_io_info *info,
                                  hearth_error *err)
{
    return io_info(model->outputs, hearth_model_output_count(model), "output", index, info, err);
}
