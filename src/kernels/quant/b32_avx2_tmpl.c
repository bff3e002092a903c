/* AVX2 bodies of one B32 type, of the level avx2_vnni where HK_VNNI is defined. Before including: HK_T, HK_ID, and
 *
 *     HB_INLINE void hk256_codes_<t>(__m256i z[8], const uint8_t *blocks)
 *
 * which gives the codes of 8 blocks in the order of hk_avx2.h, reading nothing beyond them, and
 * HK_D_AT, HK_M_AT: where scale and min are in a block. HK_E8M0: the scale is an exponent byte. */
#include "kernels/quant/hk_avx2.h"

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
    __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)e)),
            one = _mm256_set1_epi32(1);
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

/* The blocks of a stretch; those of a short row are moved to where 8 blocks may be read. */
HB_INLINE const uint8_t *b32_blocks(uint8_t *spare, const uint8_t *blocks, size_t n_blocks)
{
    if (HB_LIKELY(n_blocks == 8))
        return blocks;
    memcpy(spare, blocks, n_blocks * B32_BYTES);
    return spare;
}

/* The activations of a stretch in the order of the codes, and what the sums of blocks start from. */
struct b32_stretch {
    __m256i q[8];
    __m256i start[4]; /* -offset * sum in the first dword of a block's lane */
    HB_ALIGNAS(32) float sum[8];
};

HB_INLINE void b32_stretch_make(struct b32_stretch *to, const int8_t *q, const int16_t *sums,
                                size_t n_blocks)
{
    HB_ALIGNAS(32) int8_t spare[256];
    if (HB_UNLIKELY(n_blocks < 8)) {
        memset(spare, 0, sizeof spare);
        memcpy(spare, q, 32 * n_blocks);
        q = spare;
    }
    __m256i sum = _mm256_madd_epi16(hk256_load(sums), _mm256_set1_epi16(1));
    __m256i start = _mm256_mullo_epi32(sum, _mm256_set1_epi32(-B32_OFFSET));
    const __m256i first = _mm256_setr_epi32(-1, 0, 0, 0, -1, 0, 0, 0);
    _mm256_store_ps(to->sum, _mm256_cvtepi32_ps(sum));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m256i a = hk256_load(q + 64 * i), b = hk256_load(q + 64 * i + 32);
        to->q[2 * i] = _mm256_permute2x128_si256(a, b, 0x20);
        to->q[2 * i + 1] = _mm256_permute2x128_si256(a, b, 0x31);
        __m256i at = _mm256_setr_epi32(2 * i, 0, 0, 0, 2 * i + 1, 0, 0, 0);
        to->start[i] = _mm256_and_si256(_mm256_permutevar8x32_epi32(start, at), first);
    }
}

/* Four parts of the dots of blocks 2 i (lower lane) and 2 i + 1 of 8 rows. */
struct b32_dots {
    __m256i part[4][8];
};

HB_INLINE void b32_dot(struct b32_dots *to, size_t r, const __m256i *z, const struct b32_stretch *x)
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
#ifdef HK_VNNI
        to->part[i][r] = hk256_dot(hk256_dot(x->start[i], z[2 * i], x->q[2 * i]), z[2 * i + 1],
                                   x->q[2 * i + 1]);
#else
        const __m256i one = _mm256_set1_epi16(1);
        __m256i a = hk256_mul(z[2 * i], x->q[2 * i], B32_WIDE), dot;
        __m256i b = hk256_mul(z[2 * i + 1], x->q[2 * i + 1], B32_WIDE);
        if (B32_WIDE)
            dot = _mm256_add_epi32(_mm256_madd_epi16(a, one), _mm256_madd_epi16(b, one));
        else
            dot = _mm256_madd_epi16(_mm256_add_epi16(a, b), one);
        if (!B32_WIDE && !B32_HAS_MIN)
            dot = _mm256_add_epi32(dot, x->start[i]);
        to->part[i][r] = dot;
#endif
    }
}

/* The float chain over the blocks of a stretch for 8 rows. */
HB_INLINE __m256 b32_fold(__m256 acc, const struct b32_dots *dots,
                          const struct b32_stretch_scales *scales, const float *sums,
                          const float *a, struct hk_b32_piece p)
{
    a += p.block;
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        const __m256i *v = dots->part[i];
        __m256i t0 = hk256_sum4(v[0], v[1], v[2], v[3]), t1 = hk256_sum4(v[4], v[5], v[6], v[7]);
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
            size_t b = 2 * i + h;
            if (b < p.first)
                continue;
            if (b >= p.n_blocks)
                break;
            __m256i dot = h ? _mm256_permute2x128_si256(t0, t1, 0x31)
                            : _mm256_permute2x128_si256(t0, t1, 0x20);
            __m256 ab = _mm256_set1_ps(a[b]), d = _mm256_mul_ps(b32_scales(scales->d[b]), ab);
            acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), d, acc);
            if (B32_HAS_MIN)
                acc = _mm256_fmadd_ps(_mm256_set1_ps(sums[b]),
                                      _mm256_mul_ps(b32_scales(scales->m[b]), ab), acc);
        }
    }
    return acc;
}

/* What the rows of a group leave for the fold of a stretch. It is folded after the rows of the next
 * stretch have been started: their arithmetic does not wait for it, nor it for their stores. */
struct b32_pending {
    struct b32_dots dots;
    struct b32_stretch_scales scales;
    HB_ALIGNAS(32) float sum[8];
};

void HK_BODY(stream, HK_AVX2_LEVEL)(float *restrict y, const void *restrict w, size_t row_bytes,
                           size_t n_rows, const void *restrict x, size_t n)
{
    const uint8_t *q = x;
    const float *scale = (const float *)(q + hk_act_scale_off(n));
    const int16_t *sum = (const int16_t *)(q + hk_act_sum_off(n, HK_STRETCH_B32));
    struct b32_pending pending[2];
    uint8_t spare[8 * B32_BYTES] = {0};
    memset(pending, 0, sizeof pending);
    __m256 acc = _mm256_setzero_ps();
    size_t n_stretches = (n / 32 + 7) / 8, turn = 0;
    if (n_rows == 0 || n_stretches == 0) {
        memset(y, 0, n_rows * sizeof *y);
        return;
    }
    const struct hk_b32_piece last = hk_b32_piece_of(n_stretches - 1, n / 32);
    for (size_t r0 = 0; r0 < n_rows; r0 += 8) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        const uint8_t *ahead = rows + 8 * row_bytes;
        size_t n_group = n_rows - r0 < 8 ? n_rows - r0 : 8;
        for (size_t s = 0; s < n_stretches; s++, turn ^= 1) {
            const struct hk_b32_piece p = hk_b32_piece_of(s, n / 32);
            struct b32_pending *to = &pending[turn], *from = &pending[turn ^ 1];
            struct b32_stretch xs;
            b32_stretch_make(&xs, (const int8_t *)q + 32 * p.block, sum + 2 * p.block, p.n_blocks);
            memcpy(to->sum, xs.sum, sizeof to->sum);
            for (size_t r = 0; r < n_group; r++) {
                const uint8_t *blocks =
                    b32_blocks(spare, rows + r * row_bytes + p.block * B32_BYTES, p.n_blocks);
                __m256i z[8];
                B32_CODES(z, blocks);
                b32_dot(&to->dots, r, z, &xs);
                b32_collect(&to->scales, blocks, r);
                hk256_prefetch(ahead + (s * 8 + r) * 8 * B32_BYTES, 8 * B32_BYTES);
            }
            if (s > 0) {
                acc = b32_fold(acc, &from->dots, &from->scales, from->sum, scale,
                               hk_b32_piece_of(s - 1, n / 32));
            } else if (r0 > 0) {
                acc = b32_fold(acc, &from->dots, &from->scales, from->sum, scale, last);
                _mm256_storeu_ps(y + r0 - 8, acc);
                acc = _mm256_setzero_ps();
            }
        }
    }
    const struct b32_pending *from = &pending[turn ^ 1];
    size_t r0 = (n_rows - 1) / 8 * 8;
    acc = b32_fold(acc, &from->dots, &from->scales, from->sum, scale, last);
    _mm256_maskstore_ps(y + r0, hk256_lanes_below(n_rows - r0), acc);
}

/* A row's codes are taken apart once for all columns, the rest is stream. (A tile of the group, packed and
 * multiplied stretch by stretch, was slower at any number of columns up to 16.) */
void HK_BODY(few, HK_AVX2_LEVEL)(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                        size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                        size_t n)
{
    struct b32_stretch xs[16];
    struct b32_dots dots[16];
    struct b32_stretch_scales scales;
    uint8_t spare[8 * B32_BYTES] = {0};
    size_t sum_off = hk_act_sum_off(n, HK_STRETCH_B32), scale_off = hk_act_scale_off(n);
    memset(&scales, 0, sizeof scales);
    for (size_t c = 0; c < n_cols; c++)
        memset(&dots[c], 0, sizeof dots[c]);
    for (size_t r0 = 0; r0 < n_rows; r0 += 8) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        const uint8_t *ahead = rows + 8 * row_bytes;
        size_t n_group = n_rows - r0 < 8 ? n_rows - r0 : 8;
        __m256 acc[16];
        for (size_t c = 0; c < n_cols; c++)
            acc[c] = _mm256_setzero_ps();
        for (size_t s = 0; s * 8 < n / 32; s++) {
            const struct hk_b32_piece p = hk_b32_piece_of(s, n / 32);
            for (size_t c = 0; c < n_cols; c++) {
                const uint8_t *col = (const uint8_t *)x + c * x_stride;
                b32_stretch_make(&xs[c], (const int8_t *)col + 32 * p.block,
                                 (const int16_t *)(col + sum_off) + 2 * p.block, p.n_blocks);
            }
            for (size_t r = 0; r < n_group; r++) {
                const uint8_t *blocks =
                    b32_blocks(spare, rows + r * row_bytes + p.block * B32_BYTES, p.n_blocks);
                __m256i z[8];
                B32_CODES(z, blocks);
                for (size_t c = 0; c < n_cols; c++)
                    b32_dot(&dots[c], r, z, &xs[c]);
                b32_collect(&scales, blocks, r);
                hk256_prefetch(ahead + (s * 8 + r) * 8 * B32_BYTES, 8 * B32_BYTES);
            }
            for (size_t c = 0; c < n_cols; c++) {
                const uint8_t *col = (const uint8_t *)x + c * x_stride;
                acc[c] = b32_fold(acc[c], &dots[c], &scales, xs[c].sum,
                                  (const float *)(col + scale_off), p);
            }
        }
        for (size_t c = 0; c < n_cols; c++)
            _mm256_maskstore_ps(y + c * ldy + r0, hk256_lanes_below(n_group), acc[c]);
    }
}

#ifndef HK_VNNI /* packing has no products */
/* One stretch of up to 16 rows to the parts of a tile. */
HB_INLINE void b32_pack_stretch(uint8_t *u, float *d, float *m, const uint8_t *rows,
                                size_t row_bytes, size_t n_rows, size_t n_blocks)
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
            for (size_t i = 0; i < 8;
                 i++) { /* block 2 (z / 2) + i / 4, its group z % 2 * 4 + i % 4 */
                size_t b = z / 2 * 2 + i / 4;
                if (b < n_blocks)
                    _mm256_store_si256((__m256i *)(u + (8 * b + z % 2 * 4 + i % 4) * 64 + 32 * h),
                                       out[i]);
            }
        }
    }
    for (size_t b = 0; b < n_blocks; b++)
        for (size_t h = 0; h < 2; h++) { /* an exponent of 0 is not a scale of 0: missing rows */
            __m256 there =
                _mm256_castsi256_ps(hk256_lanes_below(n_rows < 8 * h ? 0 : n_rows - 8 * h));
            _mm256_store_ps(d + 16 * b + 8 * h,
                            _mm256_and_ps(there, b32_scales(scales.d[b] + 8 * h)));
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
    for (size_t s = 0; s * 8 < n / 32; s++) {
        const struct hk_b32_piece p = hk_b32_piece_of(s, n / 32);
        b32_pack_stretch(u + p.block * 512, d + p.block * 16, m + p.block * 16,
                         (const uint8_t *)w + p.block * B32_BYTES, row_bytes, n_rows, p.n_blocks);
    }
}
#endif
