/* AVX-512 bodies of one B32 type. Before including: HK_T, HK_ID, and
 *
 *     HB_INLINE void hk512_row_<t>(__m512i z[4], uint16_t *d, uint16_t *m, const uint8_t *blocks)
 *
 * which takes 8 blocks apart, reading nothing beyond them: scales (and mins) as they are stored to
 * d[8] (m[8]), codes in the order
 *
 *     z[0], z[1]  k 0..15 and 16..31 of blocks 0..3, a block per lane
 *     z[2], z[3]  the same of blocks 4..7
 *
 * HK_E8M0: a scale is an exponent byte. */
#include "kernels/hk_tile_avx512.h"

#define B32_OFFSET  HK_PASTE(HK_OFFSET_, HK_ID)
#define B32_HAS_MIN HK_PASTE(HK_HAS_MIN_, HK_ID)
#define B32_BYTES   HK_PASTE(HK_BYTES_, HK_ID)
#define B32_ROW     HK_PASTE(hk512_row_, HK_T)

/* The scales of one block of 16 rows. */
HB_INLINE __m512 b32_scales(__m256i stored)
{
#ifdef HK_E8M0
    __m512i x = _mm512_cvtepu16_epi32(stored), one = _mm512_set1_epi32(1);
    __m512i big = _mm512_slli_epi32(_mm512_sub_epi32(x, one), 23);
    __m512i small = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), x);
    return _mm512_castsi512_ps(
        _mm512_mask_blend_epi32(_mm512_cmpgt_epi32_mask(x, one), small, big));
#else
    return _mm512_cvtph_ps(stored);
#endif
}

struct b32_stored {
    HB_ALIGNAS(64) uint16_t d[16][8], m[16][8];
};

/* The blocks of a stretch; those of a short row are moved to where 8 blocks may be read. */
HB_INLINE const uint8_t *b32_blocks(uint8_t *spare, const uint8_t *blocks, size_t n_blocks)
{
    if (HB_LIKELY(n_blocks == 8))
        return blocks;
    memcpy(spare, blocks, n_blocks * B32_BYTES);
    return spare;
}

/* One activation stretch as the rows of a group need it. */
struct b32_stretch {
    __m512i q[4];
    __m512i start[2]; /* -offset * sum of a block in the first dword of its lane */
};

/* Sums of 32, times -offset if the type has no min. */
HB_INLINE __m256i b32_sums(const int16_t *sums)
{
    return _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)sums),
                             _mm256_set1_epi16(B32_HAS_MIN ? 1 : -B32_OFFSET));
}

HB_INLINE struct b32_stretch b32_stretch_of(const uint8_t *q, const int16_t *sums, size_t n_blocks)
{
    struct b32_stretch x;
    __m512i v[4];
    HK_UNROLL(4)
    for (size_t i = 0; i < 4; i++) {
        __mmask64 there = n_blocks >= 2 * i + 2 ? ~(__mmask64)0
                          : n_blocks > 2 * i    ? 0xFFFFFFFFu
                                                : 0;
        v[i] = _mm512_maskz_loadu_epi8(there, q + 64 * i);
    }
    x.q[0] = _mm512_shuffle_i32x4(v[0], v[1], 0x88);
    x.q[1] = _mm512_shuffle_i32x4(v[0], v[1], 0xDD);
    x.q[2] = _mm512_shuffle_i32x4(v[2], v[3], 0x88);
    x.q[3] = _mm512_shuffle_i32x4(v[2], v[3], 0xDD);
    __m512i sum = _mm512_castsi256_si512(b32_sums(sums));
    const __m512i at = _mm512_setr_epi32(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0);
    __mmask16 first = B32_HAS_MIN ? 0 : 0x1111;
    x.start[0] = _mm512_maskz_permutexvar_epi32(first, at, sum);
    x.start[1] =
        _mm512_maskz_permutexvar_epi32(first, _mm512_add_epi32(at, _mm512_set1_epi32(4)), sum);
    return x;
}

/* Four parts of the dots of blocks 0..3 and 4..7 of 16 rows. */
struct b32_dots {
    HB_ALIGNAS(64) __m512i part[2][16];
};

HB_INLINE void b32_dot(struct b32_dots *to, size_t r, const __m512i z[4],
                       const struct b32_stretch *x)
{
    to->part[0][r] =
        _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(x->start[0], z[0], x->q[0]), z[1], x->q[1]);
    to->part[1][r] =
        _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(x->start[1], z[2], x->q[2]), z[3], x->q[3]);
}

struct b32_floats {
    __m512 d[8], m[8];
};

HB_INLINE void b32_floats_of(struct b32_floats *to, const struct b32_stored *stored)
{
    __m256i words[8];
    hk512_transpose_words(words, stored->d);
    HK_UNROLL(8)
    for (int b = 0; b < 8; b++)
        to->d[b] = b32_scales(words[b]);
    if (B32_HAS_MIN) {
        hk512_transpose_words(words, stored->m);
        HK_UNROLL(8)
        for (int b = 0; b < 8; b++)
            to->m[b] = b32_scales(words[b]);
    }
}

/* The float chain over the blocks of a stretch for 16 rows. */
HB_INLINE __m512 b32_fold(__m512 acc, const struct b32_dots *from, const struct b32_floats *f,
                          const int16_t *sums, const float *a, struct hk_b32_piece p)
{
    HB_ALIGNAS(64) float sum[8];
    sums += 2 * p.block;
    a += p.block;
    if (B32_HAS_MIN)
        _mm256_store_ps(sum, _mm256_cvtepi32_ps(b32_sums(sums)));
    HK_UNROLL(2)
    for (size_t h = 0; h < 2; h++) {
        __m512i t[4], dot[4];
        HK_UNROLL(4)
        for (size_t g = 0; g < 4; g++)
            t[g] = hk512_sum4(from->part[h][4 * g], from->part[h][4 * g + 1],
                              from->part[h][4 * g + 2], from->part[h][4 * g + 3]);
        hk512_transpose_lanes(dot, t[0], t[1], t[2], t[3]);
        HK_UNROLL(4)
        for (size_t i = 0; i < 4; i++) {
            size_t b = 4 * h + i;
            if (b < p.first)
                continue;
            if (b >= p.n_blocks)
                break;
            __m512 ab = _mm512_set1_ps(a[b]);
            acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i]), _mm512_mul_ps(f->d[b], ab), acc);
            if (B32_HAS_MIN)
                acc = _mm512_fmadd_ps(_mm512_set1_ps(sum[b]), _mm512_mul_ps(f->m[b], ab), acc);
        }
    }
    return acc;
}

/* ---- stream ----
 *
 * Four rows side by side to their end, then the next four: what is read lies close together, and the
 * fetching ahead is one line after the other. Four sums of blocks are added in registers before they are
 * stored, so that a piece of 16 rows fits the first cache beside what was fetched. The float chains of the
 * 16 rows follow behind. A piece is a whole row up to STREAM_PIECE stretches.
 *
 * A core drops prefetches while about 64 lines are on their way, and this memory needs that many. So they are
 * spread over the rows, and every line is asked for twice: what was dropped far ahead is not missed later. */
#define STREAM_PIECE 20
#define STREAM_FAR  8192 /* bytes beyond the four rows that come next */
#define STREAM_NEAR 2048

struct b32_acts {
    HB_ALIGNAS(64) __m512i q[STREAM_PIECE][4];
    HB_ALIGNAS(64) int32_t sum[STREAM_PIECE][8]; /* b32_sums */
};

struct b32_sums4 {
    HB_ALIGNAS(64) __m512i dot[STREAM_PIECE][2][4]; /* lane: block; dword: row of the four; then fours */
    HB_ALIGNAS(64) uint16_t d[STREAM_PIECE][16][8], m[STREAM_PIECE][16][8];
};

HB_INLINE void b32_acts_of(struct b32_acts *to, const uint8_t *q, const int16_t *sums, size_t n_blocks,
                           size_t first, size_t n)
{
    for (size_t s = 0; s < n; s++) {
        const struct hk_b32_piece p = hk_b32_piece_of(first + s, n_blocks);
        const struct b32_stretch x =
            b32_stretch_of(q + 32 * p.block, sums + 2 * p.block, p.n_blocks);
        HK_UNROLL(4)
        for (size_t i = 0; i < 4; i++)
            to->q[s][i] = x.q[i];
        _mm256_store_si256((__m256i *)to->sum[s], b32_sums(sums + 2 * p.block));
    }
}

/* Stretch s of rows 4 g.. 4 g + 3. */
HB_INLINE void b32_four(struct b32_sums4 *to, size_t s, size_t g, const uint8_t *const rows[4],
                        size_t at, const __m512i x[4], const uint8_t *ahead)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i part[2][4];
    HK_UNROLL(4)
    for (size_t r = 0; r < 4; r++) {
        __m512i z[4];
        B32_ROW(z, to->d[s][4 * g + r], to->m[s][4 * g + r], rows[r] + at);
        HK_UNROLL(5)
        for (size_t i = r * 8 * B32_BYTES / 64; i < (r + 1) * 8 * B32_BYTES / 64; i++) {
            _mm_prefetch((const char *)ahead + STREAM_FAR + 64 * i, _MM_HINT_T0);
            _mm_prefetch((const char *)ahead + STREAM_NEAR + 64 * i, _MM_HINT_T0);
        }
        part[0][r] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, z[0], x[0]), z[1], x[1]);
        part[1][r] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, z[2], x[2]), z[3], x[3]);
    }
    HK_UNROLL(2)
    for (int h = 0; h < 2; h++)
        to->dot[s][h][g] = hk512_sum4(part[h][0], part[h][1], part[h][2], part[h][3]);
}

/* The float chain of 16 rows over stretch s. */
HB_INLINE __m512 b32_chain(__m512 acc, const struct b32_sums4 *from, size_t s, const int32_t *sum,
                           const float *a, struct hk_b32_piece p)
{
    __m256i d[8], m[8];
    hk512_transpose_words(d, from->d[s]);
    if (B32_HAS_MIN)
        hk512_transpose_words(m, from->m[s]);
    HK_UNROLL(2)
    for (size_t h = 0; h < 2; h++) {
        const __m512i *t = from->dot[s][h];
        __m512i dot[4];
        hk512_transpose_lanes(dot, t[0], t[1], t[2], t[3]);
        HK_UNROLL(4)
        for (size_t i = 0; i < 4; i++) {
            size_t b = 4 * h + i;
            if (b < p.first)
                continue;
            if (b >= p.n_blocks)
                break;
            __m512 ab = _mm512_set1_ps(a[p.block + b]);
            __m512i fix = _mm512_set1_epi32(sum[b]);
            __m512i v = B32_HAS_MIN ? dot[i] : _mm512_add_epi32(dot[i], fix);
            acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), _mm512_mul_ps(b32_scales(d[b]), ab), acc);
            if (B32_HAS_MIN)
                acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(fix),
                                      _mm512_mul_ps(b32_scales(m[b]), ab), acc);
        }
    }
    return acc;
}

/* Up to FEW_DIRECT columns: a row's codes are taken apart once, the rest is stream. Through a tile that
 * would cost more, for the transposition alone takes as long as three columns. The number of columns is
 * a constant, so that their activations stay in registers. */
#define FEW_DIRECT 3
#define FEW_COLS   HK_UNROLL(4) for (size_t c = 0; c < n_cols; c++)

HB_INLINE void b32_few_direct(float *restrict y, size_t ldy, const void *restrict w,
                              size_t row_bytes, size_t n_rows, const void *restrict x,
                              size_t x_stride, const size_t n_cols, size_t n)
{
    struct b32_stretch xs[FEW_DIRECT];
    struct b32_dots dots[FEW_DIRECT];
    struct b32_stored stored;
    struct b32_floats floats;
    uint8_t spare[8 * B32_BYTES] = {0};
    size_t sum_off = hk_act_sum_off(n, HK_STRETCH_B32), scale_off = hk_act_scale_off(n);
    memset(&stored, 0, sizeof stored);
    FEW_COLS memset(&dots[c], 0, sizeof dots[c]);
    for (size_t r0 = 0; r0 < n_rows; r0 += 16) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        const uint8_t *ahead = rows + 16 * row_bytes;
        size_t n_group = n_rows - r0 < 16 ? n_rows - r0 : 16;
        __m512 acc[FEW_DIRECT];
        FEW_COLS acc[c] = _mm512_setzero_ps();
        for (size_t s = 0; s * 8 < n / 32; s++) {
            const struct hk_b32_piece p = hk_b32_piece_of(s, n / 32);
            FEW_COLS
            {
                const uint8_t *col = (const uint8_t *)x + c * x_stride;
                xs[c] = b32_stretch_of(col + 32 * p.block,
                                       (const int16_t *)(col + sum_off) + 2 * p.block, p.n_blocks);
            }
            for (size_t r = 0; r < n_group; r++) {
                const uint8_t *blocks =
                    b32_blocks(spare, rows + r * row_bytes + p.block * B32_BYTES, p.n_blocks);
                __m512i z[4];
                B32_ROW(z, stored.d[r], stored.m[r], blocks);
                FEW_COLS b32_dot(&dots[c], r, z, &xs[c]);
                hk512_prefetch(ahead + (s * 16 + r) * 8 * B32_BYTES, 8 * B32_BYTES);
            }
            b32_floats_of(&floats, &stored);
            FEW_COLS
            {
                const uint8_t *col = (const uint8_t *)x + c * x_stride;
                acc[c] = b32_fold(acc[c], &dots[c], &floats, (const int16_t *)(col + sum_off),
                                  (const float *)(col + scale_off), p);
            }
        }
        hk512_store_cols(y + r0, ldy, n_group, acc, n_cols);
    }
}

void HK_BODY(stream, avx512)(float *restrict y, const void *restrict w, size_t row_bytes,
                             size_t n_rows, const void *restrict x, size_t n)
{
    const uint8_t *q = x;
    const float *scale = (const float *)(q + hk_act_scale_off(n));
    const int16_t *sum = (const int16_t *)(q + hk_act_sum_off(n, HK_STRETCH_B32));
    size_t n_blocks = n / 32, n_stretches = (n_blocks + 7) / 8;
    size_t n_pieces = (n_stretches + STREAM_PIECE - 1) / STREAM_PIECE;
    size_t piece = n_pieces ? (n_stretches + n_pieces - 1) / n_pieces : 0;
    struct b32_acts acts;
    struct b32_sums4 sums;
    if (n_blocks < 8) {
        b32_few_direct(y, n_rows, w, row_bytes, n_rows, x, 0, 1, n);
        return;
    }
    if (n_pieces == 1)
        b32_acts_of(&acts, q, sum, n_blocks, 0, piece);
    for (size_t r0 = 0; r0 < n_rows; r0 += 16) {
        size_t n_group = n_rows - r0 < 16 ? n_rows - r0 : 16;
        __m512 acc = _mm512_setzero_ps();
        for (size_t from = 0; from < n_stretches; from += piece) {
            size_t n_now = n_stretches - from < piece ? n_stretches - from : piece;
            if (n_pieces > 1)
                b32_acts_of(&acts, q, sum, n_blocks, from, n_now);
            const uint8_t *first = (const uint8_t *)w + r0 * row_bytes;
            for (size_t g = 0; g < 4; g++) {
                const uint8_t *rows[4], *at_row = first;
                for (size_t r = 0; r < 4; r++) { /* rows that are missing: the last one again */
                    rows[r] = at_row;
                    at_row += 4 * g + r + 1 < n_group ? row_bytes : 0;
                }
                first = at_row;
                const uint8_t *ahead = rows[0] + 4 * row_bytes;
                for (size_t s = 0; s < n_now; s++) {
                    size_t at = hk_b32_piece_of(from + s, n_blocks).block * B32_BYTES;
                    b32_four(&sums, s, g, rows, at, acts.q[s],
                             ahead + (from + s) * 32 * B32_BYTES);
                }
            }
            for (size_t s = 0; s < n_now; s++)
                acc = b32_chain(acc, &sums, s, acts.sum[s], scale, hk_b32_piece_of(from + s, n_blocks));
        }
        _mm512_mask_storeu_ps(y + r0, (__mmask16)((1u << n_group) - 1), acc);
    }
}

/* One stretch of up to 16 rows to the parts of a tile. While row r is read, what is at ahead + r * ahead_step
 * is fetched, and with `again` what is two stretches further on, in case that was dropped when it was asked for
 * first. */
HB_INLINE void b32_pack_stretch(uint8_t *u, float *d, float *m, const uint8_t *rows,
                                size_t row_bytes, size_t n_rows, size_t n_blocks,
                                const uint8_t *ahead, size_t ahead_step, const bool again)
{
    HB_ALIGNAS(64) uint8_t codes[16][256];
    struct b32_stored stored;
    uint8_t spare[8 * B32_BYTES];
    if (n_rows < 16) {
        memset(codes, 0, sizeof codes);
        memset(&stored, 0, sizeof stored);
    }
    if (n_blocks < 8)
        memset(spare, 0, sizeof spare);
    for (size_t r = 0; r < n_rows; r++) {
        const uint8_t *blocks = b32_blocks(spare, rows + r * row_bytes, n_blocks);
        __m512i z[4];
        B32_ROW(z, stored.d[r], stored.m[r], blocks);
        HK_UNROLL(4)
        for (int i = 0; i < 4; i++)
            _mm512_store_si512(codes[r] + 64 * i, z[i]);
        hk512_prefetch(ahead + r * ahead_step, 8 * B32_BYTES);
        if (again)
            hk512_prefetch(rows + r * row_bytes + 16 * B32_BYTES, 8 * B32_BYTES);
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
    __m256i ds[8], ms[8];
    hk512_transpose_words(ds, stored.d);
    if (B32_HAS_MIN)
        hk512_transpose_words(ms, stored.m);
    for (size_t b = 0; b < n_blocks; b++) {
        _mm512_store_ps(d + 16 * b, _mm512_maskz_mov_ps(there, b32_scales(ds[b])));
        if (B32_HAS_MIN)
            _mm512_store_ps(m + 16 * b, _mm512_maskz_mov_ps(there, b32_scales(ms[b])));
    }
}

/* The rows ahead are those of the next group: the tile that is made here is multiplied before. */
void HK_BODY(pack, avx512)(void *restrict tile, const void *restrict w, size_t row_bytes,
                           size_t n_rows, size_t n)
{
    struct hk_tile_layout at = hk_tile_layout(&hk_qtype_info[HK_PASTE(HK_, HK_ID)], n);
    uint8_t *u = tile;
    float *d = (float *)(u + at.scales), *m = (float *)(u + at.mins);
    for (size_t s = 0; s * 8 < n / 32; s++) {
        const struct hk_b32_piece p = hk_b32_piece_of(s, n / 32);
        const uint8_t *rows = (const uint8_t *)w + p.block * B32_BYTES;
        b32_pack_stretch(u + p.block * 512, d + p.block * 16, m + p.block * 16, rows, row_bytes,
                         n_rows, p.n_blocks,
                         (const uint8_t *)w + 16 * (HK_TILE_GROUP * row_bytes + 8 * s * B32_BYTES),
                         8 * B32_BYTES, true);
    }
}

void HK_BODY(few, avx512)(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                          size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                          size_t n)
{
    switch (n_cols) {
    case 2:
        b32_few_direct(y, ldy, w, row_bytes, n_rows, x, x_stride, 2, n);
        return;
    case 3:
        b32_few_direct(y, ldy, w, row_bytes, n_rows, x, x_stride, 3, n);
        return;
    default:
        break;
    }
    struct {
        HB_ALIGNAS(64) uint8_t u[4096];
        float d[8 * 16], m[8 * 16];
    } tile[HK512_TILES];
    HB_ALIGNAS(64) hk512_sums16 acc[16];
    for (size_t r0 = 0; r0 < n_rows; r0 += 16 * HK512_TILES) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        size_t n_group = n_rows - r0 < 16 * HK512_TILES ? n_rows - r0 : 16 * HK512_TILES;
        memset(acc, 0, n_cols * sizeof *acc);
        for (size_t s = 0; s * 8 < n / 32; s++) {
            const struct hk_b32_piece p = hk_b32_piece_of(s, n / 32);
            for (size_t t = 0; 16 * t < n_group; t++) {
                const uint8_t *at = rows + 16 * t * row_bytes;
                b32_pack_stretch(tile[t].u, tile[t].d, tile[t].m, at + p.block * B32_BYTES,
                                 row_bytes, n_group - 16 * t < 16 ? n_group - 16 * t : 16,
                                 p.n_blocks,
                                 at + 16 * (HK512_TILES * row_bytes + 8 * s * B32_BYTES),
                                 8 * B32_BYTES, false);
            }
            hk_tile_b32_stretch__avx512(acc, tile->u + 512 * p.first, tile->d + 16 * p.first,
                                        tile->m + 16 * p.first, n_group > 16 ? sizeof *tile : 0,
                                        p.n_blocks - p.first,
                                        hk512_cols_at(x, x_stride, n, s, HK_STRETCH_B32), n_cols,
                                        B32_OFFSET, B32_HAS_MIN);
        }
        hk512_store_sums(y + r0, ldy, n_group, acc, n_cols);
    }
}
