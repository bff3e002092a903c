/* Q8_0 with AVX2 and AVX-VNNI. */
#define HK_VNNI
#include "kernels/quant/q8_0_avx2.c"
