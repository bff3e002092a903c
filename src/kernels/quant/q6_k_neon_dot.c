/* Q6_K with the dot product instructions: the bodies of neon, as hk_neon.h says. */
#include "kernels/quant/q6_k_neon.c"
