/* Q5_1 with AVX2 and AVX-VNNI. */
#define HK_VNNI
#include "kernels/quant/q5_1_avx2.c"
