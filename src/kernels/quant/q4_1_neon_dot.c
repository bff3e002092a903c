/* Q4_1 with the dot product instructions: the bodies of neon, as hk_neon.h says. */
#include "kernels/quant/q4_1_neon.c"
