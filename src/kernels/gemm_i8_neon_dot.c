/* Integer matmul of tensors with the dot product instructions: gemm_i8_neon.c at the next level. */
#include "kernels/gemm_i8_neon.c"
