/* Q8_0: signed bytes times a half scale. Codes are moved up by 128 to be unsigned in tiles. */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_q8_0(uint8_t u[32], float *d, float *m, const void *block)
{
    struct hk_block_q8_0 b;
    memcpy(&b, block, sizeof b);
    *d = hk_block_half(b.d);
    (void)m;
    for (int i = 0; i < 32; i++)
        u[i] = (uint8_t)(b.codes[i] + 128);
}

#define HK_T  q8_0
#define HK_ID Q8_0
#include "kernels/quant/b32_scalar_tmpl.c"
