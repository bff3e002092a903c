/* MXFP4: E2M1 floats under one power of two: doubled they are the integers 0 1 2 3 4 6 8 12 and their
 * negatives, so a block is a table of 16 small integers times 2^(e - 128). */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_mxfp4(uint8_t u[32], float *d, float *m, const void *block)
{
    struct hk_block_mxfp4 b;
    memcpy(&b, block, sizeof b);
    static const uint8_t codes[16] = {HK_MXFP4_CODES};
    *d = hk_block_e8m0(b.e);
    (void)m;
    hk_block_nibbles(u, b.nibbles);
    for (int i = 0; i < 32; i++)
        u[i] = codes[u[i]];
}

#define HK_T  mxfp4
#define HK_ID MXFP4
#include "kernels/quant/b32_scalar_tmpl.c"
