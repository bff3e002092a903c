/* AVX2 bodies of one B32 type. Before including: HK_T, HK_ID, and
 *
 *     HB_INLINE void hk256_codes_<t>(__m256i z[8], const uint8_t *blocks)
 *
 * which gives the codes of 8 blocks in the order of hk_avx2.h, reading nothing beyond them, and
 * HK_D_AT, HK_M_AT: where scale and min are in a block. HK_E8M0: the scale is an exponent byte. */
#include "kernels/hk_tile_avx2.h"

#define B32_OFFSET  HK_PASTE(HK_OFFSET_, HK_ID)
#define B32_HAS_MIN HK_PASTE(HK_HAS_MIN_, HK_ID)
#define B32_BYTES   HK_PASTE(HK_BYTES_, HK_ID)
#define B32_CODES   HK_PASTE(hk256_codes_, HK_T)
#define B32_WIDE    (B32_OFFSET == 128)

#ifndef HK_M_AT
#define HK_M_AT 0
#endif

/* Scales of 8 rows: collected as they are stored, converted 8 at a time. */
#ifdef HK_E8M0
typedef uint8_t b32_scale;
HB_INLINE b32_scale b32_scale_at(const uint8_t *block, int at)
{
    return block[at];
}

HB_INLINE __m256 b32_scales(const b32_scale *e)
{
    __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)e)), one = _mm256_set1_epi32(1);
    __m256i big = _mm256_slli_epi32(_mm256_sub_epi32(x, one), 23);
    __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), x);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(small, big, _mm256_cmpgt_epi32(x, one)));
}
#else
typedef uint16_t b32_scale;
HB_INLINE b32_scale b32_scale_at(const uint8_t *block, int at)
{
    return hk_load16(block + at);
}

HB_INLINE __m256 b32_scales(const b32_scale *h)
{
    return hk256_halves(h);
}
#endif

struct b32_stretch_scales {
    HB_ALIGNAS(32) b32_scale d[8][16], m[8][16];
};

HB_INLINE void b32_collect(struct b32_stretch_scales *to, const uint8_t *blocks, size_t r)
{
#pragma GCC unroll 8
    for (int b = 0; b < 8; b++) {
        to->d[b][r] = b32_scale_at(blocks + b * B32_BYTES, HK_D_AT);
        if (B32_HAS_MIN)
            to->m[b][r] = b32_scale_at(blocks + b * B32_BYTES, HK_M_AT);
    }
}

/* The blocks of a stretch; a short last one is moved to where 8 blocks may be read. */
HB_INLINE const uint8_t *b32_blocks(uint8_t *spare, const uint8_t *blocks, size_t n_blocks)
{
    if (HB_LIKELY(n_blocks == 8))
        return blocks;
    memcpy(spare, blocks, n_blocks * B32_BYTES);
    return spare;
}

/* The activations of a stretch in the order of the codes, and what the sums of blocks start from. */
struct b32_stretch {
    HB_ALIGNAS(32) int8_t q[256];
    HB_ALIGNAS(32) int32_t start[8][4]; /* -offset * sum of block b, 0, 0, 0 */
    float sum[8];
};

HB_INLINE void b32_stretch_make(struct b32_stretch *to, const int8_t *q, const int16_t *sum,
                                size_t n_blocks)
{
    memset(to, 0, sizeof *to);
    for (size_t b = 0; b < n_blocks; b++) {
        memcpy(to->q + b / 2 * 64 + b % 2 * 16, q + 32 * b, 16);
        memcpy(to->q + b / 2 * 64 + b % 2 * 16 + 32, q + 32 * b + 16, 16);
        int32_t s = sum[2 * b] + sum[2 * b + 1];
        to->start[b][0] = B32_HAS_MIN || B32_WIDE ? 0 : -B32_OFFSET * s;
        to->sum[b] = (float)s;
    }
}

/* dots[i]: four int32 each whose sum is the dot of block 2 i (lower lane) and 2 i + 1. */
HB_INLINE void b32_row(__m256i *dots, const __m256i *z, const struct b32_stretch *x)
{
    const __m256i one = _mm256_set1_epi16(1);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m256i a = hk256_mul(z[2 * i], hk256_load(x->q + 64 * i), B32_WIDE);
        __m256i b = hk256_mul(z[2 * i + 1], hk256_load(x->q + 64 * i + 32), B32_WIDE);
        if (B32_WIDE)
            dots[i] = _mm256_add_epi32(_mm256_madd_epi16(a, one), _mm256_madd_epi16(b, one));
        else
            dots[i] = _mm256_madd_epi16(_mm256_add_epi16(a, b), one);
        if (!B32_WIDE && !B32_HAS_MIN)
            dots[i] = _mm256_add_epi32(dots[i], hk256_load(x->start[2 * i]));
    }
}

/* The float chain over the blocks of a stretch for 8 rows. */
HB_INLINE __m256 b32_fold(__m256 acc, __m256i (*dots)[4], const struct b32_stretch_scales *scales,
                          const struct b32_stretch *x, size_t n_blocks, float a)
{
    __m256 p = _mm256_setzero_ps();
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        __m256i t0 = hk256_sum4(dots[0][i], dots[1][i], dots[2][i], dots[3][i]);
        __m256i t1 = hk256_sum4(dots[4][i], dots[5][i], dots[6][i], dots[7][i]);
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
            size_t b = 2 * i + h;
            if (b >= n_blocks)
                break;
            __m256i dot = h ? _mm256_permute2x128_si256(t0, t1, 0x31)
                            : _mm256_permute2x128_si256(t0, t1, 0x20);
            p = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), b32_scales(scales->d[b]), p);
            if (B32_HAS_MIN)
                p = _mm256_fmadd_ps(_mm256_set1_ps(x->sum[b]), b32_scales(scales->m[b]), p);
        }
    }
    return _mm256_fmadd_ps(p, _mm256_set1_ps(a), acc);
}

void HK_BODY(stream, avx2)(float *restrict y, const void *restrict w, size_t row_bytes,
                           size_t n_rows, const void *restrict x, size_t n)
{
    const uint8_t *q = x;
    const float *scale = (const float *)(q + hk_act_scale_off(n));
    const int16_t *sum = (const int16_t *)(q + hk_act_sum_off(n));
    __m256i dots[8][4];
    struct b32_stretch_scales scales;
    uint8_t spare[8 * B32_BYTES] = {0};
    memset(dots, 0, sizeof dots);
    memset(&scales, 0, sizeof scales);
    for (size_t r0 = 0; r0 < n_rows; r0 += 8) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        const uint8_t *ahead = rows + 8 * row_bytes;
        size_t n_group = n_rows - r0 < 8 ? n_rows - r0 : 8;
        __m256 acc = _mm256_setzero_ps();
        for (size_t s = 0; s * 8 < n / 32; s++) {
            size_t n_blocks = n / 32 - 8 * s < 8 ? n / 32 - 8 * s : 8;
            struct b32_stretch xs;
            b32_stretch_make(&xs, (const int8_t *)q + 256 * s, sum + 16 * s, n_blocks);
            for (size_t r = 0; r < n_group; r++) {
                const uint8_t *blocks =
                    b32_blocks(spare, rows + r * row_bytes + s * 8 * B32_BYTES, n_blocks);
                __m256i z[8];
                B32_CODES(z, blocks);
                b32_row(dots[r], z, &xs);
                b32_collect(&scales, blocks, r);
                hk256_prefetch(ahead + (s * 8 + r) * 8 * B32_BYTES, 8 * B32_BYTES);
            }
            acc = b32_fold(acc, dots, &scales, &xs, n_blocks, scale[s]);
        }
        if (n_group == 8)
            _mm256_storeu_ps(y + r0, acc);
        else
            _mm256_maskstore_ps(y + r0, hk256_lanes_below(n_group), acc);
    }
}

/* One stretch of up to 16 rows to the parts of a tile. */
HB_INLINE void b32_pack_stretch(uint8_t *u, float *d, float *m, const uint8_t *rows, size_t row_bytes,
                                size_t n_rows, size_t n_blocks)
{
    HB_ALIGNAS(32) uint8_t codes[16][256];
    struct b32_stretch_scales scales;
    uint8_t spare[8 * B32_BYTES];
    if (n_rows < 16) {
        memset(codes, 0, sizeof codes);
        memset(&scales, 0, sizeof scales);
    }
    if (n_blocks < 8)
        memset(spare, 0, sizeof spare);
    for (size_t r = 0; r < n_rows; r++) {
        const uint8_t *blocks = b32_blocks(spare, rows + r * row_bytes, n_blocks);
        __m256i z[8];
        B32_CODES(z, blocks);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            _mm256_store_si256((__m256i *)(codes[r] + 32 * i), z[i]);
        b32_collect(&scales, blocks, r);
    }
    for (size_t z = 0; z < 8; z++) {
        for (size_t h = 0; h < 2; h++) {
            __m256i out[8];
            hk256_transpose8(out, codes[8 * h] + 32 * z);
            for (size_t i = 0; i < 8; i++) { /* block 2 (z / 2) + i / 4, its group z % 2 * 4 + i % 4 */
                size_t b = z / 2 * 2 + i / 4;
                if (b < n_blocks)
                    _mm256_store_si256((__m256i *)(u + (8 * b + z % 2 * 4 + i % 4) * 64 + 32 * h),
                                       out[i]);
            }
        }
    }
    for (size_t b = 0; b < n_blocks; b++)
        for (size_t h = 0; h < 2; h++) { /* an exponent of 0 is not a scale of 0: missing rows */
            __m256 there = _mm256_castsi256_ps(
                hk256_lanes_below(n_rows < 8 * h ? 0 : n_rows - 8 * h));
            _mm256_store_ps(d + 16 * b + 8 * h, _mm256_and_ps(there, b32_scales(scales.d[b] + 8 * h)));
            if (B32_HAS_MIN)
                _mm256_store_ps(m + 16 * b + 8 * h, b32_scales(scales.m[b] + 8 * h));
        }
}

void HK_BODY(pack, avx2)(void *restrict tile, const void *restrict w, size_t row_bytes,
                         size_t n_rows, size_t n)
{
    struct hk_tile_layout at = hk_tile_layout(&hk_qtype_info[HK_PASTE(HK_, HK_ID)], n);
    uint8_t *u = tile;
    float *d = (float *)(u + at.scales), *m = (float *)(u + at.mins);
    for (size_t b = 0; b < n / 32; b += 8)
        b32_pack_stretch(u + b * 512, d + b * 16, m + b * 16, (const uint8_t *)w + b * B32_BYTES,
                         row_bytes, n_rows, n / 32 - b < 8 ? n / 32 - b : 8);
}

void HK_BODY(few, avx2)(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
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
            hk_tile_b32_stretch__avx2(acc, u, d, m, n_blocks, hk256_cols_at(x, x_stride, n, b / 8),
                                      n_cols, B32_OFFSET, B32_HAS_MIN);
        }
        hk256_store_cols(y + r0, ldy, n_group, acc, n_cols);
    }
}
