/* Q5_0 with the dot product instructions: the bodies of neon, as hk_neon.h says. */
#include "kernels/quant/q5_0_neon.c"
