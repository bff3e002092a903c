/* Q5_0: 5-bit codes minus 16 times a half scale. */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_q5_0(uint8_t u[32], float *d, float *m, const void *block)
{
    struct hk_block_q5_0 b;
    memcpy(&b, block, sizeof b);
    *d = hk_block_half(b.d);
    (void)m;
    hk_block_nibbles(u, b.nibbles);
    for (int i = 0; i < 32; i++)
        u[i] = (uint8_t)(u[i] | (b.high[i / 8] >> i % 8 & 1) << 4);
}

#define HK_T  q5_0
#define HK_ID Q5_0
#include "kernels/quant/b32_scalar_tmpl.c"
