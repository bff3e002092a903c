/* NEON bodies of one B32 type, at the level HK_NEON (hk_neon.h). Before including: HK_T, HK_ID, and
 *
 *     HB_INLINE void hkn_codes_<t>(uint8x16_t z[2], const uint8_t *block)
 *
 * and HK_D_AT, HK_M_AT: where scale and min are in a block. HK_E8M0: the scale is an exponent byte. */
#include "kernels/hk_tile_neon.h"

#define B32_OFFSET  HK_PASTE(HK_OFFSET_, HK_ID)
#define B32_HAS_MIN HK_PASTE(HK_HAS_MIN_, HK_ID)
#define B32_BYTES   HK_PASTE(HK_BYTES_, HK_ID)
#define B32_CODES   HK_PASTE(hkn_codes_, HK_T)
#define B32_STRETCH HK_PASTE(hk_tile_b32_stretch__, HK_NEON)
#define B32_WIDE    (B32_OFFSET == 128)

#ifndef HK_M_AT
#define HK_M_AT 0
#endif

HB_INLINE float32x4_t b32_scales(const uint8_t *const row[4])
{
#ifdef HK_E8M0
    float d[4];
    HB_UNROLL for (int r = 0; r < 4; r++) d[r] = hk_block_e8m0(row[r][HK_D_AT]);
    return vld1q_f32(d);
#else
    return hkn_halves(row, HK_D_AT);
#endif
}

/* Dot products of one block of four rows. */
HB_INLINE int32x4_t b32_dots(const uint8_t *const row[4], const int8_t *q)
{
    int8x16_t q0 = vld1q_s8(q), q1 = vld1q_s8(q + 16);
    int32x4_t dot[4];
    HB_UNROLL for (int r = 0; r < 4; r++)
    {
        uint8x16_t z[2];
        B32_CODES(z, row[r]);
        dot[r] = hkn_dot32(vdupq_n_s32(0), hkn_signed(z[0], B32_WIDE), hkn_signed(z[1], B32_WIDE),
                           q0, q1, B32_WIDE);
    }
    return hkn_sum4(dot);
}

void HK_BODY(stream, HK_NEON)(float *restrict y, const void *restrict w, size_t row_bytes,
                              size_t n_rows, const void *restrict x, size_t n)
{
    const int8_t *q = x;
    const float *scale = (const float *)((const uint8_t *)x + hk_act_scale_off(n));
    const int16_t *sum =
        (const int16_t *)((const uint8_t *)x + hk_act_sum_off(n, HK_STRETCH_B32));
    for (size_t r0 = 0; r0 < n_rows; r0 += 4) {
        const uint8_t *row[4];
        hkn_rows(row, (const uint8_t *)w + r0 * row_bytes, row_bytes, n_rows - r0);
        float32x4_t acc = vdupq_n_f32(0.0f);
        for (size_t b = 0; b < n / 32; b++) {
            int32x4_t dot = b32_dots(row, q + 32 * b);
            int32_t of_q = sum[2 * b] + sum[2 * b + 1];
            if (!B32_HAS_MIN && !B32_WIDE)
                dot = vaddq_s32(dot, vdupq_n_s32(-B32_OFFSET * of_q));
            acc = vfmaq_f32(acc, vcvtq_f32_s32(dot), vmulq_n_f32(b32_scales(row), scale[b]));
            if (B32_HAS_MIN) {
                float32x4_t m = vmulq_n_f32(hkn_halves(row, HK_M_AT), scale[b]);
                acc = vfmaq_n_f32(acc, m, (float)of_q);
            }
            HB_UNROLL for (int r = 0; r < 4; r++) row[r] += B32_BYTES;
        }
        hkn_store_rows(y + r0, acc, n_rows - r0);
    }
}

/* Up to 8 blocks of up to 16 rows to the parts of a tile. */
HB_INLINE void b32_pack_stretch(uint8_t *u, float *d, float *m, const uint8_t *rows, size_t row_bytes,
                                size_t n_rows, size_t n_blocks)
{
    for (size_t r0 = 0; r0 < HK_TILE_ROWS; r0 += 4) {
        const uint8_t *row[4];
        size_t left = r0 < n_rows ? n_rows - r0 : 0;
        uint32x4_t there = hkn_lanes_below(left);
        hkn_rows(row, rows + (left ? r0 : 0) * row_bytes, row_bytes, left ? left : 1);
        for (size_t b = 0; b < n_blocks; b++) {
            uint8x16_t low[4], high[4];
            HB_UNROLL for (int r = 0; r < 4; r++)
            {
                uint8x16_t z[2];
                B32_CODES(z, row[r]);
                low[r] = z[0];
                high[r] = z[1];
            }
            hkn_pack16(u + 512 * b + 4 * r0, low, there);
            hkn_pack16(u + 512 * b + 256 + 4 * r0, high, there);
            vst1q_f32(d + 16 * b + r0, hkn_where(there, b32_scales(row)));
            if (B32_HAS_MIN)
                vst1q_f32(m + 16 * b + r0, hkn_where(there, hkn_halves(row, HK_M_AT)));
            HB_UNROLL for (int r = 0; r < 4; r++) row[r] += B32_BYTES;
        }
    }
}

void HK_BODY(few, HK_NEON)(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                           size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                           size_t n)
{
    HB_ALIGNAS(64) uint8_t u[4096];
    HB_ALIGNAS(64) float d[8 * 16], m[8 * 16];
    for (size_t r0 = 0; r0 < n_rows; r0 += 16) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        size_t n_group = n_rows - r0 < 16 ? n_rows - r0 : 16;
        float acc[16][16] = {{0}};
        for (size_t b = 0; b < n / 32; b += 8) {
            size_t n_blocks = n / 32 - b < 8 ? n / 32 - b : 8;
            b32_pack_stretch(u, d, m, rows + b * B32_BYTES, row_bytes, n_group, n_blocks);
            B32_STRETCH(acc, u, d, m, n_blocks,
                        hkn_cols_at(x, x_stride, n, b / 8, HK_STRETCH_B32), n_cols, B32_OFFSET,
                        B32_HAS_MIN);
        }
        hkn_store_cols(y + r0, ldy, n_group, acc, n_cols);
    }
}

#if !defined(__ARM_FEATURE_DOTPROD) /* without products neon_dot has nothing to add */
void HK_BODY(pack, HK_NEON)(void *restrict tile, const void *restrict w, size_t row_bytes,
                            size_t n_rows, size_t n)
{
    struct hk_tile_layout at = hk_tile_layout(&hk_qtype_info[HK_PASTE(HK_, HK_ID)], n);
    uint8_t *u = tile;
    float *d = (float *)(u + at.scales), *m = (float *)(u + at.mins);
    for (size_t b = 0; b < n / 32; b += 8)
        b32_pack_stretch(u + b * 512, d + b * 16, m + b * 16, (const uint8_t *)w + b * B32_BYTES,
                         row_bytes, n_rows, n / 32 - b < 8 ? n / 32 - b : 8);
}

void HK_BODY(unpack, HK_NEON)(float *restrict y, const void *restrict blocks, size_t n)
{
    const uint8_t *block = blocks;
    for (size_t b = 0; b < n / 32; b++, block += B32_BYTES) {
        const uint8_t *const row[4] = {block, block, block, block};
        float32x4_t d = b32_scales(row), m = vnegq_f32(hkn_halves(row, HK_M_AT));
        uint8x16_t z[2];
        B32_CODES(z, block);
        hkn_unpack16(y + 32 * b, z[0], B32_OFFSET, d, B32_HAS_MIN, m);
        hkn_unpack16(y + 32 * b + 16, z[1], B32_OFFSET, d, B32_HAS_MIN, m);
    }
}
#endif
