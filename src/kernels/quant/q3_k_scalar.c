/* Q3_K: 3-bit codes minus 4; signed 6-bit scale per 16. */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_q3_k(struct hk_superblock *sb, const void *block)
{
    struct hk_block_q3_k b;
    memcpy(&b, block, sizeof b);
    sb->d = hk_block_half(b.d);
    for (int j = 0; j < 16; j++) {
        int low = j < 8 ? b.scales[j] & 15 : b.scales[j - 8] >> 4;
        int high = b.scales[8 + j % 4] >> j / 4 * 2 & 3;
        sb->sc[j] = (int8_t)((low | high << 4) - 32);
    }
    for (int i = 0; i < 256; i++)
        sb->u[i] = b.qs[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
    for (int i = 0; i < 256; i++)
        sb->u[i] = (uint8_t)(sb->u[i] | (b.high[i % 32] >> i / 32 & 1) << 2);
}

#define HK_T   q3_k
#define HK_ID  Q3_K
#define HK_SUB 16
#include "kernels/quant/k_scalar_tmpl.c"
