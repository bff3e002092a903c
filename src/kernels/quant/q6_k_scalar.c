/* Q6_K: 6-bit codes minus 32; signed byte scale per 16. */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_q6_k(struct hk_superblock *sb, const void *block)
{
    struct hk_block_q6_k b;
    memcpy(&b, block, sizeof b);
    sb->d = hk_block_half(b.d);
    memcpy(sb->sc, b.scales, 16);
    for (int i = 0; i < 256; i++) {
        int low = b.low[i / 128 * 64 + i % 64] >> i % 128 / 64 * 4 & 15;
        int high = b.high[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
        sb->u[i] = (uint8_t)(low | high << 4);
    }
}

#define HK_T   q6_k
#define HK_ID  Q6_K
#define HK_SUB 16
#include "kernels/quant/k_scalar_tmpl.c"
