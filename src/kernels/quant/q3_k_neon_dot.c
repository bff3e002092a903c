/* Q3_K with the dot product instructions: the bodies of neon, as hk_neon.h says. */
#include "kernels/quant/q3_k_neon.c"
