/* AVX-512 bodies of one B32 type. Before including: HK_T, HK_ID, and
 *
 *     HB_INLINE void hk512_codes_<t>(__m512i z[4], const uint8_t *blocks)
 *
 * which gives the codes of 8 blocks, reading nothing beyond them, in the order
 *
 *     z[0], z[1]  k 0..15 and 16..31 of blocks 0..3, a block per lane
 *     z[2], z[3]  the same of blocks 4..7
 *
 * and HK_D_AT, HK_M_AT: where scale and min are in a block. HK_E8M0: the scale is an exponent byte. */
#include "kernels/hk_tile_avx512.h"

#define B32_OFFSET  HK_PASTE(HK_OFFSET_, HK_ID)
#define B32_HAS_MIN HK_PASTE(HK_HAS_MIN_, HK_ID)
#define B32_BYTES   HK_PASTE(HK_BYTES_, HK_ID)
#define B32_CODES   HK_PASTE(hk512_codes_, HK_T)

#ifndef HK_M_AT
#define HK_M_AT 0
#endif

/* Scales of 16 rows: collected as they are stored, converted 16 at a time. */
#ifdef HK_E8M0
typedef uint8_t b32_scale;
HB_INLINE b32_scale b32_scale_at(const uint8_t *block, int at)
{
    return block[at];
}

HB_INLINE __m512 b32_scales(const b32_scale *e)
{
    __m512i x = _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)e)), one = _mm512_set1_epi32(1);
    __m512i big = _mm512_slli_epi32(_mm512_sub_epi32(x, one), 23);
    __m512i small = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), x);
    return _mm512_castsi512_ps(_mm512_mask_blend_epi32(_mm512_cmpgt_epi32_mask(x, one), small, big));
}
#else
typedef uint16_t b32_scale;
HB_INLINE b32_scale b32_scale_at(const uint8_t *block, int at)
{
    return hk_load16(block + at);
}

HB_INLINE __m512 b32_scales(const b32_scale *h)
{
    return hk512_halves(h);
}
#endif

struct b32_stretch_scales {
    HB_ALIGNAS(64) b32_scale d[8][16], m[8][16];
};

HB_INLINE void b32_collect(struct b32_stretch_scales *to, const uint8_t *blocks, size_t r)
{
    HK_UNROLL(8)
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

void HK_BODY(stream, avx512)(float *restrict y, const void *restrict w, size_t row_bytes,
                             size_t n_rows, const void *restrict x, size_t n)
{
    const uint8_t *q = x;
    const float *scale = (const float *)(q + hk_act_scale_off(n));
    const int16_t *sum = (const int16_t *)(q + hk_act_sum_off(n));
    HB_ALIGNAS(64) __m512i dots[16][2];
    struct b32_stretch_scales scales;
    uint8_t spare[8 * B32_BYTES] = {0};
    memset(dots, 0, sizeof dots);
    memset(&scales, 0, sizeof scales);
    for (size_t r0 = 0; r0 < n_rows; r0 += 16) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        const uint8_t *ahead = rows + 16 * row_bytes;
        size_t n_group = n_rows - r0 < 16 ? n_rows - r0 : 16;
        __m512 acc = _mm512_setzero_ps();
        for (size_t s = 0; s * 8 < n / 32; s++) {
            size_t n_blocks = n / 32 - 8 * s < 8 ? n / 32 - 8 * s : 8;
            __m512i xq[4], nat[4] = {_mm512_setzero_si512()};
            HB_ALIGNAS(64) float sums[8];
            for (size_t i = 0; i < 4; i++) {
                __mmask64 there = n_blocks >= 2 * i + 2 ? ~(__mmask64)0
                                  : n_blocks > 2 * i    ? 0xFFFFFFFFu
                                                        : 0;
                nat[i] = _mm512_maskz_loadu_epi8(there, q + 256 * s + 64 * i);
            }
            for (int i = 0; i < 4; i += 2) {
                xq[i] = _mm512_shuffle_i32x4(nat[i], nat[i + 1], 0x88);
                xq[i + 1] = _mm512_shuffle_i32x4(nat[i], nat[i + 1], 0xDD);
            }
            __m256i sum32 = _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)(sum + 16 * s)),
                                              _mm256_set1_epi16(B32_HAS_MIN ? 1 : -B32_OFFSET));
            _mm256_store_ps(sums, _mm256_cvtepi32_ps(sum32));
            /* -offset * sum of block b in dword 0 of its lane */
            __m512i start0 = _mm512_setzero_si512(), start1 = start0;
            if (!B32_HAS_MIN) {
                __m512i wide = _mm512_castsi256_si512(sum32), at = _mm512_set_epi32(0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0);
                start0 = _mm512_maskz_permutexvar_epi32(0x1111, at, wide);
                start1 = _mm512_maskz_permutexvar_epi32(0x1111, _mm512_add_epi32(at, _mm512_set1_epi32(4)), wide);
            }
            for (size_t r = 0; r < n_group; r++) {
                const uint8_t *blocks =
                    b32_blocks(spare, rows + r * row_bytes + s * 8 * B32_BYTES, n_blocks);
                __m512i z[4];
                B32_CODES(z, blocks);
                dots[r][0] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(start0, z[0], xq[0]), z[1], xq[1]);
                dots[r][1] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(start1, z[2], xq[2]), z[3], xq[3]);
                b32_collect(&scales, blocks, r);
                hk512_prefetch(ahead + (s * 16 + r) * 8 * B32_BYTES, 8 * B32_BYTES);
            }
            __m512 p = _mm512_setzero_ps();
            for (size_t h = 0; h < 2 && 4 * h < n_blocks; h++) {
                __m512i t[4], dot[4];
                HK_UNROLL(4)
                for (size_t g = 0; g < 4; g++)
                    t[g] = hk512_sum4(dots[4 * g][h], dots[4 * g + 1][h], dots[4 * g + 2][h],
                                      dots[4 * g + 3][h]);
                hk512_transpose_lanes(dot, t[0], t[1], t[2], t[3]);
                HK_UNROLL(4)
                for (size_t i = 0; i < 4; i++) {
                    size_t b = 4 * h + i;
                    if (b >= n_blocks)
                        break;
                    p = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i]), b32_scales(scales.d[b]), p);
                    if (B32_HAS_MIN)
                        p = _mm512_fmadd_ps(_mm512_set1_ps(sums[b]), b32_scales(scales.m[b]), p);
                }
            }
            acc = _mm512_fmadd_ps(p, _mm512_set1_ps(scale[s]), acc);
        }
        _mm512_mask_storeu_ps(y + r0, (__mmask16)((1u << n_group) - 1), acc);
    }
}

/* One stretch of up to 16 rows to the parts of a tile. */
HB_INLINE void b32_pack_stretch(uint8_t *u, float *d, float *m, const uint8_t *rows, size_t row_bytes,
                                size_t n_rows, size_t n_blocks)
{
    HB_ALIGNAS(64) uint8_t codes[16][256];
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
        __m512i z[4];
        B32_CODES(z, blocks);
        HK_UNROLL(4)
        for (int i = 0; i < 4; i++)
            _mm512_store_si512(codes[r] + 64 * i, z[i]);
        b32_collect(&scales, blocks, r);
        hk512_prefetch(rows + r * row_bytes + 2 * 8 * B32_BYTES, 8 * B32_BYTES);
    }
    uint8_t last[512];
    for (size_t z = 0; z < 4 && z / 2 * 4 < n_blocks; z++) {
        /* dword i: block z / 2 * 4 + i / 4, and of its 8 groups of four k number z % 2 * 4 + i % 4 */
#define B32_OUT(i)                                                                                 \
    (z / 2 * 4 + (size_t)((i) / 4) < n_blocks                                                      \
         ? (void *)(u + (z / 2 * 32 + (size_t)((i) / 4) * 8 + z % 2 * 4 + (size_t)((i) % 4)) * 64) \
         : (void *)(((uintptr_t)last + 63) & ~(uintptr_t)63))
        HK512_TRANSPOSE16(codes[0] + 64 * z, B32_OUT);
    }
    __mmask16 there = (__mmask16)((1u << n_rows) - 1); /* an exponent of 0 is not a scale of 0 */
    for (size_t b = 0; b < n_blocks; b++) {
        _mm512_store_ps(d + 16 * b, _mm512_maskz_mov_ps(there, b32_scales(scales.d[b])));
        if (B32_HAS_MIN)
            _mm512_store_ps(m + 16 * b, _mm512_maskz_mov_ps(there, b32_scales(scales.m[b])));
    }
}

void HK_BODY(pack, avx512)(void *restrict tile, const void *restrict w, size_t row_bytes,
                           size_t n_rows, size_t n)
{
    struct hk_tile_layout at = hk_tile_layout(&hk_qtype_info[HK_PASTE(HK_, HK_ID)], n);
    uint8_t *u = tile;
    float *d = (float *)(u + at.scales), *m = (float *)(u + at.mins);
    for (size_t b = 0; b < n / 32; b += 8)
        b32_pack_stretch(u + b * 512, d + b * 16, m + b * 16, (const uint8_t *)w + b * B32_BYTES,
                         row_bytes, n_rows, n / 32 - b < 8 ? n / 32 - b : 8);
}

void HK_BODY(few, avx512)(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                          size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                          size_t n)
{
    HB_ALIGNAS(64) uint8_t u[4096];
    HB_ALIGNAS(64) float d[8 * 16], m[8 * 16];
    for (size_t r0 = 0; r0 < n_rows; r0 += 16) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        size_t n_group = n_rows - r0 < 16 ? n_rows - r0 : 16;
        __m512 acc[16];
        for (size_t c = 0; c < 16; c++)
            acc[c] = _mm512_setzero_ps();
        for (size_t b = 0; b < n / 32; b += 8) {
            size_t n_blocks = n / 32 - b < 8 ? n / 32 - b : 8;
            b32_pack_stretch(u, d, m, rows + b * B32_BYTES, row_bytes, n_group, n_blocks);
            hk_tile_b32_stretch__avx512(acc, u, d, m, n_blocks, hk512_cols_at(x, x_stride, n, b / 8), n_cols,
                              B32_OFFSET, B32_HAS_MIN);
        }
        hk512_store_cols(y + r0, ldy, n_group, acc, n_cols);
    }
}
