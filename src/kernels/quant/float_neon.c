/* Float weights at neon: the templates over its vectors. Weights are loaded as bytes: they may have
 * any alignment. */
#include "kernels/hk_vec_neon.h"
#include "kernels/quant/float_vec.h"

#define FLOAT_NAME    f32
#define FLOAT_BYTES   4
#define FLOAT_LOAD(p) vreinterpretq_f32_u8(vld1q_u8(p))
#include "kernels/quant/float_vec_tmpl.c"

#define FLOAT_NAME    f16
#define FLOAT_BYTES   2
#define FLOAT_LOAD(p) vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)))
#include "kernels/quant/float_vec_tmpl.c"

#define FLOAT_NAME    bf16
#define FLOAT_BYTES   2
#define FLOAT_LOAD(p) vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16))
#include "kernels/quant/float_vec_tmpl.c"
