/* Q4_0: 4-bit codes minus 8 times a half scale. */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_q4_0(uint8_t u[32], float *d, float *m, const void *block)
{
    struct hk_block_q4_0 b;
    memcpy(&b, block, sizeof b);
    *d = hk_block_half(b.d);
    (void)m;
    hk_block_nibbles(u, b.nibbles);
}

#define HK_T  q4_0
#define HK_ID Q4_0
#include "kernels/quant/b32_scalar_tmpl.c"
