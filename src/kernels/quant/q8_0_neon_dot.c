/* Q8_0 with the dot product instructions: the bodies of neon, as hk_neon.h says. */
#include "kernels/quant/q8_0_neon.c"
