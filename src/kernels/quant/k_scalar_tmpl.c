/* Scalar bodies of one K32 or K16 type from its decoder. Before including: HK_T, HK_ID, HK_SUB (32 or
 * 16 elements per sub-block), and
 *
 *     static void hk_decode_<t>(struct hk_superblock *sb, const void *block)
 *
 * which fills codes, sub-block scales, d and, if the type has them, mins and dmin. */
#include "kernels/quant/hk_tmpl.h"

#define K_OFFSET  HK_PASTE(HK_OFFSET_, HK_ID)
#define K_HAS_MIN HK_PASTE(HK_HAS_MIN_, HK_ID)
#define K_BYTES   HK_PASTE(HK_BYTES_, HK_ID)
#define K_SUBS    (256 / HK_SUB)

_Static_assert(sizeof(HK_BLOCK) == K_BYTES, "qtypes.def and hk_blocks.h disagree");

void HK_BODY(unpack, scalar)(float *restrict y, const void *restrict blocks, size_t n)
{
    const uint8_t *p = blocks;
    for (size_t b = 0; b < n / 256; b++, p += K_BYTES) {
        struct hk_superblock sb;
        HK_DECODE(&sb, p);
        for (size_t j = 0; j < K_SUBS; j++) {
            float d = sb.d * (float)sb.sc[j], m = K_HAS_MIN ? sb.dmin * (float)sb.mn[j] : 0;
            for (size_t i = HK_SUB * j; i < HK_SUB * (j + 1); i++) {
                float v = d * (float)(sb.u[i] - K_OFFSET);
                y[256 * b + i] = K_HAS_MIN ? v - m : v;
            }
        }
    }
}

void HK_BODY(stream, scalar)(float *restrict y, const void *restrict w, size_t row_bytes,
                             size_t n_rows, const void *restrict x, size_t n)
{
    const int8_t *qs = x;
    const float *scale = (const float *)((const uint8_t *)x + hk_act_scale_off(n));
    const int16_t *sums = (const int16_t *)((const uint8_t *)x + hk_act_sum_off(n, HK_STRETCH));
    for (size_t r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)w + r * row_bytes;
        float acc = 0;
        for (size_t b = 0; b < n / 256; b++) {
            const int8_t *q = qs + 256 * b;
            const int16_t *sum = sums + 16 * b;
            struct hk_superblock sb;
            HK_DECODE(&sb, row + b * K_BYTES);
            int32_t isum = 0, imin = 0;
            for (size_t j = 0; j < K_SUBS; j++) {
                int32_t dot = 0;
                for (size_t i = HK_SUB * j; i < HK_SUB * (j + 1); i++)
                    dot += (sb.u[i] - K_OFFSET) * q[i];
                isum += sb.sc[j] * dot;
                if (K_HAS_MIN)
                    imin += sb.mn[j] * (HK_SUB == 32 ? sum[2 * j] + sum[2 * j + 1] : sum[j]);
            }
            float t = sb.d * (float)isum;
            if (K_HAS_MIN)
                t = hk_fma(-sb.dmin, (float)imin, t);
            acc = hk_fma(t, scale[b], acc);
        }
        y[r] = acc;
    }
}

void HK_BODY(pack, scalar)(void *restrict tile, const void *restrict w, size_t row_bytes,
                           size_t n_rows, size_t n)
{
    struct hk_tile_layout at = hk_tile_layout(&hk_qtype_info[HK_PASTE(HK_, HK_ID)], n);
    uint8_t *codes = tile;
    int8_t *scs = (int8_t *)(codes + at.scales), *mns = (int8_t *)(codes + at.mins);
    float *ds = (float *)(codes + at.d), *dmins = (float *)(codes + at.dmin);
    memset(tile, 0, at.bytes);
    for (size_t r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)w + r * row_bytes;
        for (size_t b = 0; b < n / 256; b++) {
            struct hk_superblock sb;
            HK_DECODE(&sb, row + b * K_BYTES);
            for (size_t i = 0; i < 64; i++)
                memcpy(codes + ((64 * b + i) * HK_TILE_ROWS + r) * 4, sb.u + 4 * i, 4);
            for (size_t j = 0; j < K_SUBS; j++) {
                scs[(K_SUBS * b + j) * HK_TILE_ROWS + r] = sb.sc[j];
                if (K_HAS_MIN)
                    mns[(K_SUBS * b + j) * HK_TILE_ROWS + r] = sb.mn[j];
            }
            ds[b * HK_TILE_ROWS + r] = sb.d;
            if (K_HAS_MIN)
                dmins[b * HK_TILE_ROWS + r] = sb.dmin;
        }
    }
}
