/* IQ4_XS with the dot product instructions: the bodies of neon, as hk_neon.h says. */
#include "kernels/quant/iq4_xs_neon.c"
