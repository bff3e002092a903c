/* IQ4_XS: 4-bit indexes into the table of IQ4_NL; signed 6-bit scale per 32. */
#include "kernels/quant/hk_blocks.h"

static void hk_decode_iq4_xs(struct hk_superblock *sb, const void *block)
{
    struct hk_block_iq4_xs b;
    memcpy(&b, block, sizeof b);
    static const uint8_t codes[16] = {HK_IQ4_CODES};
    sb->d = hk_block_half(b.d);
    for (int j = 0; j < 8; j++) {
        int low = b.scales_l[j / 2] >> j % 2 * 4 & 15;
        int high = (b.scales_h[0] | b.scales_h[1] << 8) >> 2 * j & 3;
        sb->sc[j] = (int8_t)((low | high << 4) - 32);
        hk_block_nibbles(sb->u + 32 * j, b.qs + 16 * j);
    }
    for (int i = 0; i < 256; i++)
        sb->u[i] = codes[sb->u[i]];
}

#define HK_T   iq4_xs
#define HK_ID  IQ4_XS
#define HK_SUB 32
#include "kernels/quant/k_scalar_tmpl.c"
