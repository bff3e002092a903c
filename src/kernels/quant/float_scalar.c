/* Weights in float, half and bfloat16. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_fold.h"
#include "kernels/hk_fma.h"
#include "kernels/hk_half.h"

#define FLOAT_NAME    f32
#define FLOAT_ELEM    float
#define FLOAT_LOAD(e) (e)
#include "kernels/quant/float_scalar_tmpl.c"

#define FLOAT_NAME    f16
#define FLOAT_ELEM    uint16_t
#define FLOAT_LOAD(e) hk_f16_to_f32(e)
#include "kernels/quant/float_scalar_tmpl.c"

#define FLOAT_NAME    bf16
#define FLOAT_ELEM    uint16_t
#define FLOAT_LOAD(e) hk_bf16_to_f32(e)
#include "kernels/quant/float_scalar_tmpl.c"
