/* Q4_0 with AVX2 and AVX-VNNI. */
#define HK_VNNI
#include "kernels/quant/q4_0_avx2.c"
