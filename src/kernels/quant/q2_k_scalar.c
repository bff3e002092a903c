/* Q2_K: 2-bit codes; 4-bit scale and min per 16. */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_q2_k(struct hk_superblock *sb, const void *block)
{
    struct hk_block_q2_k b;
    memcpy(&b, block, sizeof b);
    sb->d = hk_block_half(b.d);
    sb->dmin = hk_block_half(b.dmin);
    for (int j = 0; j < 16; j++) {
        sb->sc[j] = b.scales[j] & 15;
        sb->mn[j] = (int8_t)(b.scales[j] >> 4);
    }
    for (int i = 0; i < 256; i++)
        sb->u[i] = b.qs[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

#define HK_T   q2_k
#define HK_ID  Q2_K
#define HK_SUB 16
#include "kernels/quant/k_scalar_tmpl.c"
