/* Scalar bodies of one B32 type from its decoder. Before including: HK_T (name in qtypes.def), HK_ID,
 * and
 *
 *     static void hk_decode_<t>(uint8_t u[32], float *d, float *m, const void *block)
 *
 * which gives codes (value + offset), scale and, if the type has one, min. */
#include "kernels/quant/hk_tmpl.h"

#define B32_OFFSET  HK_PASTE(HK_OFFSET_, HK_ID)
#define B32_HAS_MIN HK_PASTE(HK_HAS_MIN_, HK_ID)
#define B32_BYTES   HK_PASTE(HK_BYTES_, HK_ID)

_Static_assert(sizeof(HK_BLOCK) == B32_BYTES, "qtypes.def and hk_blocks.h disagree");

void HK_BODY(unpack, scalar)(float *restrict y, const void *restrict blocks, size_t n)
{
    const uint8_t *p = blocks;
    for (size_t b = 0; b < n / 32; b++, p += B32_BYTES) {
        uint8_t u[32];
        float d, m = 0;
        HK_DECODE(u, &d, &m, p);
        for (size_t i = 0; i < 32; i++) {
            float v = d * (float)(u[i] - B32_OFFSET);
            y[32 * b + i] = B32_HAS_MIN ? v + m : v;
        }
    }
}

void HK_BODY(stream, scalar)(float *restrict y, const void *restrict w, size_t row_bytes,
                             size_t n_rows, const void *restrict x, size_t n)
{
    const int8_t *q = x;
    const float *scale = (const float *)((const uint8_t *)x + hk_act_scale_off(n));
    const int16_t *sum = (const int16_t *)((const uint8_t *)x + hk_act_sum_off(n, HK_STRETCH_B32));
    for (size_t r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)w + r * row_bytes;
        float acc = 0;
        for (size_t b = 0; b < n / 32; b++) {
            uint8_t u[32];
            float d, m = 0;
            HK_DECODE(u, &d, &m, row + b * B32_BYTES);
            int32_t dot = 0;
            for (size_t i = 0; i < 32; i++)
                dot += (u[i] - B32_OFFSET) * q[32 * b + i];
            acc = hk_fma((float)dot, d * scale[b], acc);
            if (B32_HAS_MIN)
                acc = hk_fma((float)(sum[2 * b] + sum[2 * b + 1]), m * scale[b], acc);
        }
        y[r] = acc;
    }
}

void HK_BODY(pack, scalar)(void *restrict tile, const void *restrict w, size_t row_bytes,
                           size_t n_rows, size_t n)
{
    struct hk_tile_layout at = hk_tile_layout(&hk_qtype_info[HK_PASTE(HK_, HK_ID)], n);
    uint8_t *codes = tile;
    float *ds = (float *)(codes + at.scales), *ms = (float *)(codes + at.mins);
    memset(tile, 0, at.bytes);
    for (size_t r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)w + r * row_bytes;
        for (size_t b = 0; b < n / 32; b++) {
            uint8_t u[32];
            float d, m = 0;
            HK_DECODE(u, &d, &m, row + b * B32_BYTES);
            for (size_t i = 0; i < 8; i++)
                memcpy(codes + ((8 * b + i) * HK_TILE_ROWS + r) * 4, u + 4 * i, 4);
            ds[b * HK_TILE_ROWS + r] = d;
            if (B32_HAS_MIN)
                ms[b * HK_TILE_ROWS + r] = m;
        }
    }
}
