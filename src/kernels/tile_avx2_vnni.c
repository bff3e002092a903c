/* Tiles times columns with AVX2 and AVX-VNNI. */
#define HK_VNNI
#include "kernels/tile_avx2.c"
