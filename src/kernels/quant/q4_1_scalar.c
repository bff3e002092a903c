/* Q4_1: 4-bit codes times a half scale, plus a half minimum. */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_q4_1(uint8_t u[32], float *d, float *m, const void *block)
{
    struct hk_block_q4_1 b;
    memcpy(&b, block, sizeof b);
    *d = hk_block_half(b.d);
    *m = hk_block_half(b.m);
    hk_block_nibbles(u, b.nibbles);
}

#define HK_T  q4_1
#define HK_ID Q4_1
#include "kernels/quant/b32_scalar_tmpl.c"
