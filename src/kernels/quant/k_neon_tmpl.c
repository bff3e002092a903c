/* NEON bodies of one K32 or K16 type, at the level HK_NEON (hk_neon.h). Before including: HK_T, HK_ID,
 * HK_SUB (32 or 16), HK_D_AT, HK_DMIN_AT (if the type has mins), and
 *
 *     HB_INLINE void hkn_codes_<t>(uint8x16_t z[16], const uint8_t *block)
 *     HB_INLINE int8x16_t hkn_scales_<t>(int8x16_t *mins, const uint8_t *block)
 *                         scales (and mins) of the sub-blocks; K32: the first 8 bytes */
#include "kernels/hk_tile_neon.h"

#define K_OFFSET  HK_PASTE(HK_OFFSET_, HK_ID)
#define K_HAS_MIN HK_PASTE(HK_HAS_MIN_, HK_ID)
#define K_BYTES   HK_PASTE(HK_BYTES_, HK_ID)
#define K_CODES   HK_PASTE(hkn_codes_, HK_T)
#define K_SCALES  HK_PASTE(hkn_scales_, HK_T)
#define K_SUBS    (256 / HK_SUB)
#define K_WIDE    (K_OFFSET == 128)

#ifndef HK_DMIN_AT
#define HK_DMIN_AT HK_D_AT
#endif

/* K_STEP: sum += scale * dot of sub-block j. */
#if HK_SUB == 32
#define K_STRETCH HK_PASTE(hk_tile_k32_stretch__, HK_NEON)
#define K_DOT(j)                                                                                   \
    hkn_dot32(vdupq_n_s32(0), hkn_signed(z[2 * (j)], K_WIDE), hkn_signed(z[2 * (j) + 1], K_WIDE),  \
              vld1q_s8(q + 32 * (j)), vld1q_s8(q + 32 * (j) + 16), K_WIDE)
#else
#define K_STRETCH HK_PASTE(hk_tile_k16_stretch__, HK_NEON)
#define K_DOT(j)                                                                                   \
    hkn_dot16(vdupq_n_s32(0), hkn_signed(z[j], K_WIDE), vld1q_s8(q + 16 * (j)))
#endif
#define K_STEP(j, scale, lane) sum = vmlaq_laneq_s32(sum, K_DOT(j), scale, lane);
#define K_FOUR(j, scale)                                                                           \
    K_STEP(j, scale, 0) K_STEP(j + 1, scale, 1) K_STEP(j + 2, scale, 2) K_STEP(j + 3, scale, 3)

/* sum a[j] b[j] over the sub-blocks as four int32; K32 has 8 in the first of each */
HB_INLINE int32x4_t k_weighted(const int16x8_t a[2], const int16x8_t b[2])
{
    int32x4_t v = hkn_dot_s16(a[0], b[0]);
    return HK_SUB == 32 ? v : vaddq_s32(v, hkn_dot_s16(a[1], b[1]));
}

/* Four int32 each whose sums are isum and imin of one row. `sums`: those of q per sub-block. */
HB_INLINE void k_row(int32x4_t *isum, int32x4_t *imin, const uint8_t *block, const int8_t *q,
                     const int16x8_t sums[2])
{
    uint8x16_t z[16];
    int8x16_t mn = vdupq_n_s8(0), sc = K_SCALES(&mn, block);
    int16x8_t sc16[2] = {vmovl_s8(vget_low_s8(sc)), vmovl_high_s8(sc)};
    int32x4_t sum = vdupq_n_s32(0);
    K_CODES(z, block);
    int32x4_t scale[4] = {
        vmovl_s16(vget_low_s16(sc16[0])), vmovl_high_s16(sc16[0]),
        vmovl_s16(vget_low_s16(sc16[1])), vmovl_high_s16(sc16[1])};
    K_FOUR(0, scale[0])
    K_FOUR(4, scale[1])
#if HK_SUB == 16
    K_FOUR(8, scale[2])
    K_FOUR(12, scale[3])
#endif
    if (!K_HAS_MIN && !K_WIDE)
        sum = vmlaq_n_s32(sum, k_weighted(sc16, sums), -K_OFFSET);
    *isum = sum;
    if (K_HAS_MIN) {
        int16x8_t mn16[2] = {vmovl_s8(vget_low_s8(mn)), vmovl_high_s8(mn)};
        *imin = k_weighted(mn16, sums);
    }
}

void HK_BODY(stream, HK_NEON)(float *restrict y, const void *restrict w, size_t row_bytes,
                              size_t n_rows, const void *restrict x, size_t n)
{
    const int8_t *q = x;
    const float *scale = (const float *)((const uint8_t *)x + hk_act_scale_off(n));
    const int16_t *sum = (const int16_t *)((const uint8_t *)x + hk_act_sum_off(n, HK_STRETCH));
    for (size_t r0 = 0; r0 < n_rows; r0 += 4) {
        const uint8_t *row[4];
        hkn_rows(row, (const uint8_t *)w + r0 * row_bytes, row_bytes, n_rows - r0);
        float32x4_t acc = vdupq_n_f32(0.0f);
        for (size_t s = 0; s < n / 256; s++) {
            int16x8_t sums[2] = {vld1q_s16(sum + 16 * s), vld1q_s16(sum + 16 * s + 8)};
            if (HK_SUB == 32)
                sums[0] = vpaddq_s16(sums[0], sums[1]);
            int32x4_t isum[4], imin[4];
            for (size_t r = 0; r < 4; r++)
                k_row(&isum[r], &imin[r], row[r], q + 256 * s, sums);
            float32x4_t t = vmulq_f32(hkn_halves(row, HK_D_AT), vcvtq_f32_s32(hkn_sum4(isum)));
            if (K_HAS_MIN)
                t = vfmsq_f32(t, hkn_halves(row, HK_DMIN_AT), vcvtq_f32_s32(hkn_sum4(imin)));
            acc = vfmaq_n_f32(acc, t, scale[s]);
            HB_UNROLL for (int r = 0; r < 4; r++) row[r] += K_BYTES;
        }
        hkn_store_rows(y + r0, acc, n_rows - r0);
    }
}

/* One stretch of up to 16 rows to the parts of a tile. */
HB_INLINE void k_pack_stretch(uint8_t *u, int8_t *sc, int8_t *mn, float *d, float *dmin,
                              const uint8_t *rows, size_t row_bytes, size_t n_rows)
{
    int8_t scs[16][16] = {{0}}, mns[16][16] = {{0}};
    for (size_t r0 = 0; r0 < HK_TILE_ROWS; r0 += 4) {
        const uint8_t *row[4];
        size_t left = r0 < n_rows ? n_rows - r0 : 0;
        uint32x4_t there = hkn_lanes_below(left);
        hkn_rows(row, rows + (left ? r0 : 0) * row_bytes, row_bytes, left ? left : 1);
        uint8x16_t z[4][16];
        for (size_t r = 0; r < 4; r++) {
            int8x16_t mins = vdupq_n_s8(0), scales = K_SCALES(&mins, row[r]);
            if (r < left) {
                vst1q_s8(scs[r0 + r], scales);
                vst1q_s8(mns[r0 + r], mins);
            }
            K_CODES(z[r], row[r]);
        }
        for (size_t i = 0; i < 16; i++) {
            const uint8x16_t column[4] = {z[0][i], z[1][i], z[2][i], z[3][i]};
            hkn_pack16(u + 256 * i + 4 * r0, column, there);
        }
        vst1q_f32(d + r0, hkn_where(there, hkn_halves(row, HK_D_AT)));
        if (K_HAS_MIN)
            vst1q_f32(dmin + r0, hkn_where(there, hkn_halves(row, HK_DMIN_AT)));
    }
    for (size_t j = 0; j < K_SUBS; j++)
        for (size_t r = 0; r < 16; r++) {
            sc[16 * j + r] = scs[r][j];
            if (K_HAS_MIN)
                mn[16 * j + r] = mns[r][j];
        }
}

void HK_BODY(few, HK_NEON)(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                           size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                           size_t n)
{
    HB_ALIGNAS(64) uint8_t u[4096];
    HB_ALIGNAS(64) int8_t sc[256], mn[256];
    HB_ALIGNAS(64) float d[16], dmin[16];
    for (size_t r0 = 0; r0 < n_rows; r0 += 16) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        size_t n_group = n_rows - r0 < 16 ? n_rows - r0 : 16;
        float acc[16][16] = {{0}};
        for (size_t b = 0; b < n / 256; b++) {
            k_pack_stretch(u, sc, mn, d, dmin, rows + b * K_BYTES, row_bytes, n_group);
            K_STRETCH(acc, u, sc, mn, d, dmin, hkn_cols_at(x, x_stride, n, b, HK_STRETCH), n_cols,
                      K_OFFSET, K_HAS_MIN);
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
    int8_t *sc = (int8_t *)(u + at.scales), *mn = (int8_t *)(u + at.mins);
    float *d = (float *)(u + at.d), *dmin = (float *)(u + at.dmin);
    for (size_t b = 0; b < n / 256; b++)
        k_pack_stretch(u + b * 4096, sc + b * K_SUBS * 16, mn + b * K_SUBS * 16, d + b * 16,
                       dmin + b * 16, (const uint8_t *)w + b * K_BYTES, row_bytes, n_rows);
}

void HK_BODY(unpack, HK_NEON)(float *restrict y, const void *restrict blocks, size_t n)
{
    const uint8_t *block = blocks;
    for (size_t b = 0; b < n / 256; b++, block += K_BYTES) {
        uint8x16_t z[16];
        int8x16_t mins = vdupq_n_s8(0), scales = K_SCALES(&mins, block);
        int8_t sc[16], mn[16];
        float d = hk_block_half(block + HK_D_AT), dmin = hk_block_half(block + HK_DMIN_AT);
        vst1q_s8(sc, scales);
        vst1q_s8(mn, mins);
        K_CODES(z, block);
        for (size_t i = 0; i < 16; i++) {
            size_t j = HK_SUB == 32 ? i / 2 : i;
            hkn_unpack16(y + 256 * b + 16 * i, z[i], K_OFFSET, vdupq_n_f32(d * (float)sc[j]),
                         K_HAS_MIN, vdupq_n_f32(dmin * (float)mn[j]));
        }
    }
}
#endif
