/* IQ4_NL with AVX2 and AVX-VNNI. */
#define HK_VNNI
#include "kernels/quant/iq4_nl_avx2.c"
