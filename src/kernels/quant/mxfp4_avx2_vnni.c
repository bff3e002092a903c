/* MXFP4 with AVX2 and AVX-VNNI. */
#define HK_VNNI
#include "kernels/quant/mxfp4_avx2.c"
