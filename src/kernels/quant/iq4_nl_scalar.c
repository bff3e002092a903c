/* IQ4_NL: 4-bit indexes into a table of 16 signed bytes, times a half scale. */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_iq4_nl(uint8_t u[32], float *d, float *m, const void *block)
{
    struct hk_block_iq4_nl b;
    memcpy(&b, block, sizeof b);
    static const uint8_t codes[16] = {HK_IQ4_CODES};
    *d = hk_block_half(b.d);
    (void)m;
    hk_block_nibbles(u, b.nibbles);
    for (int i = 0; i < 32; i++)
        u[i] = codes[u[i]];
}

#define HK_T  iq4_nl
#define HK_ID IQ4_NL
#include "kernels/quant/b32_scalar_tmpl.c"
