/* The slots that work along a row of floats at avx2: the templates over its vectors. */
#include "kernels/hk_vec_avx2.h"
#include "kernels/hk_math_vec.h"

#include "kernels/elementwise_vec_tmpl.c"
#include "kernels/finish_vec_tmpl.c"
#include "kernels/norm_vec_tmpl.c"
#include "kernels/quantize_u8_vec_tmpl.c"
#include "kernels/rope_vec_tmpl.c"
