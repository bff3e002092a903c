/* MXFP4 with the dot product instructions: the bodies of neon, as hk_neon.h says. */
#include "kernels/quant/mxfp4_neon.c"
