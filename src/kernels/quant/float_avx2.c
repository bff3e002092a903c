/* Float weights at avx2: the templates over its vectors. */
#include "kernels/hk_vec_avx2.h"
#include "kernels/quant/float_vec.h"

#define FLOAT_NAME    f32
#define FLOAT_BYTES   4
#define FLOAT_LOAD(p) hk_v_load((const float *)(p))
#include "kernels/quant/float_vec_tmpl.c"

#define FLOAT_NAME    f16
#define FLOAT_BYTES   2
#define FLOAT_LOAD(p) hk_v_load_f16((const uint16_t *)(p))
#include "kernels/quant/float_vec_tmpl.c"

#define FLOAT_NAME    bf16
#define FLOAT_BYTES   2
#define FLOAT_LOAD(p) hk_v_load_bf16((const uint16_t *)(p))
#include "kernels/quant/float_vec_tmpl.c"
