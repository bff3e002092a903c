/* Q5_1: 5-bit codes times a half scale, plus a half minimum. */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_q5_1(uint8_t u[32], float *d, float *m, const void *block)
{
    struct hk_block_q5_1 b;
    memcpy(&b, block, sizeof b);
    *d = hk_block_half(b.d);
    *m = hk_block_half(b.m);
    hk_block_nibbles(u, b.nibbles);
    for (int i = 0; i < 32; i++)
        u[i] = (uint8_t)(u[i] | (b.high[i / 8] >> i % 8 & 1) << 4);
}

#define HK_T  q5_1
#define HK_ID Q5_1
#include "kernels/quant/b32_scalar_tmpl.c"
