/* Q4_K: 4-bit codes; 6-bit scale and min per 32. */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_q4_k(struct hk_superblock *sb, const void *block)
{
    struct hk_block_q4_k b;
    memcpy(&b, block, sizeof b);
    sb->d = hk_block_half(b.d);
    sb->dmin = hk_block_half(b.dmin);
    hk_block_scales_k4(sb->sc, sb->mn, b.scales);
    for (int i = 0; i < 256; i++)
        sb->u[i] = b.qs[i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15;
}

#define HK_T   q4_k
#define HK_ID  Q4_K
#define HK_SUB 32
#include "kernels/quant/k_scalar_tmpl.c"
