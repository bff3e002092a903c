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

/* ---- few columns, straight from the stored blocks ----
 *
 * Four rows side by side to the end of a piece, then the next four: what is read lies close together, the
 * fetching ahead is one line after the other, and codes are taken apart once for all columns. Four sums of
 * blocks are added in registers before they are stored, so that a piece of 16 rows fits the first cache
 * beside what was fetched. The float chains of the 16 rows follow behind. With one column a piece is a whole
 * row up to DIRECT_MOST stretches.
 *
 * A core drops prefetches while about 64 lines are on their way, and this memory needs that many. So they are
 * spread over the rows, and every line is asked for twice: what was dropped far ahead is not missed later.
 *
 * From DIRECT_COLS columns on the tile is cheaper, though its transposition takes as long as some columns.
 * The number of columns is a constant for the compiler. */
#define DIRECT_COLS  6
#define DIRECT_MOST  20 /* stretches of a piece */
#define DIRECT_SLOTS 40 /* those of all columns */
#define DIRECT_FAR   8192 /* bytes beyond the four rows that come next */
#define DIRECT_NEAR  2048
#define DIRECT_EACH  HK_UNROLL(6) for (size_t c = 0; c < n_cols; c++)

struct b32_direct { /* slot: stretch * n_cols + column */
    HB_ALIGNAS(64) __m512i q[DIRECT_SLOTS][4];
    HB_ALIGNAS(64) __m512i dot[DIRECT_SLOTS][2][4]; /* lane: block; dword: row of the four; then fours */
    HB_ALIGNAS(64) uint16_t d[DIRECT_MOST][16][8], m[DIRECT_MOST][16][8];
    HB_ALIGNAS(64) int32_t sum[DIRECT_SLOTS][8]; /* b32_sums */
};

/* Sums of 32, times -offset if the type has no min. */
HB_INLINE __m256i b32_sums(const int16_t *sums)
{
    return _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)sums),
                             _mm256_set1_epi16(B32_HAS_MIN ? 1 : -B32_OFFSET));
}

/* The activations of n stretches from `first` on. */
HB_INLINE void b32_direct_acts(struct b32_direct *v, const uint8_t *x, size_t x_stride, size_t n_elements,
                               size_t first, size_t n, const size_t n_cols)
{
    for (size_t s = 0; s < n; s++) {
        size_t block = hk_b32_piece_of(first + s, n_elements / 32).block;
        for (size_t c = 0; c < n_cols; c++) {
            const uint8_t *q = x + c * x_stride + 32 * block;
            const uint8_t *sums = x + c * x_stride + hk_act_sum_off(n_elements, HK_STRETCH_B32);
            __m512i *to = v->q[s * n_cols + c], u[4];
            HK_UNROLL(4)
            for (size_t i = 0; i < 4; i++)
                u[i] = _mm512_loadu_si512(q + 64 * i);
            to[0] = _mm512_shuffle_i32x4(u[0], u[1], 0x88);
            to[1] = _mm512_shuffle_i32x4(u[0], u[1], 0xDD);
            to[2] = _mm512_shuffle_i32x4(u[2], u[3], 0x88);
            to[3] = _mm512_shuffle_i32x4(u[2], u[3], 0xDD);
            _mm256_store_si256((__m256i *)v->sum[s * n_cols + c],
                               b32_sums((const int16_t *)sums + 2 * block));
        }
    }
}

/* A column's activations, loaded once for four rows: loads are what these loops have least of. */
HB_INLINE void b32_column(__m512i x[4], const __m512i *from)
{
    HK_UNROLL(4)
    for (size_t i = 0; i < 4; i++)
        x[i] = hk512_load(&from[i]);
}

/* A row's products with one column, four parts of a block in a lane. */
HB_INLINE void b32_dot(__m512i part[2][4], size_t r, const __m512i z[4], const __m512i *x)
{
    const __m512i zero = _mm512_setzero_si512();
    part[0][r] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, z[0], x[0]), z[1], x[1]);
    part[1][r] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, z[2], x[2]), z[3], x[3]);
}

/* Stretch s of rows 4 g.. 4 g + 3. One column is multiplied as soon as a row is there, several when all four
 * are. */
HB_INLINE void b32_four(struct b32_direct *v, size_t s, size_t g, const uint8_t *const rows[4],
                        size_t at, const uint8_t *ahead, const size_t n_cols)
{
    __m512i z[4][4], x[4], part[2][4];
    if (n_cols == 1)
        b32_column(x, v->q[s]);
    HK_UNROLL(4)
    for (size_t r = 0; r < 4; r++) {
        B32_ROW(z[r], v->d[s][4 * g + r], v->m[s][4 * g + r], rows[r] + at);
        HK_UNROLL(5)
        for (size_t i = r * 8 * B32_BYTES / 64; i < (r + 1) * 8 * B32_BYTES / 64; i++) {
            _mm_prefetch((const char *)ahead + DIRECT_FAR + 64 * i, _MM_HINT_T0);
            _mm_prefetch((const char *)ahead + DIRECT_NEAR + 64 * i, _MM_HINT_T0);
        }
        if (n_cols == 1)
            b32_dot(part, r, z[r], x);
    }
    DIRECT_EACH
    {
        if (n_cols > 1)
            b32_column(x, v->q[s * n_cols + c]);
        HK_UNROLL(4)
        for (size_t r = 0; r < 4 && n_cols > 1; r++)
            b32_dot(part, r, z[r], x);
        HK_UNROLL(2)
        for (int h = 0; h < 2; h++)
            v->dot[s * n_cols + c][h][g] =
                hk512_sum4(part[h][0], part[h][1], part[h][2], part[h][3]);
    }
}

/* The float chains of 16 rows over stretch s. */
HB_INLINE void b32_chain(__m512 *acc, const struct b32_direct *v, size_t s, const uint8_t *scale,
                         size_t x_stride, struct hk_b32_piece p, const size_t n_cols)
{
    __m256i d[8], m[8];
    hk512_transpose_words(d, v->d[s]);
    if (B32_HAS_MIN)
        hk512_transpose_words(m, v->m[s]);
    HK_UNROLL(2)
    for (size_t h = 0; h < 2; h++) {
        __m512i dot[DIRECT_COLS][4];
        DIRECT_EACH
        {
            const __m512i *t = v->dot[s * n_cols + c][h];
            hk512_transpose_lanes(dot[c], t[0], t[1], t[2], t[3]);
        }
        HK_UNROLL(4)
        for (size_t i = 0; i < 4; i++) {
            size_t b = 4 * h + i;
            if (b < p.first)
                continue;
            __m512 db = b32_scales(d[b]), mb = B32_HAS_MIN ? b32_scales(m[b]) : db;
            DIRECT_EACH
            {
                float a;
                memcpy(&a, scale + c * x_stride + (p.block + b) * sizeof a, sizeof a);
                __m512 ab = _mm512_set1_ps(a);
                __m512i fix = _mm512_set1_epi32(v->sum[s * n_cols + c][b]);
                __m512i sum = B32_HAS_MIN ? dot[c][i] : _mm512_add_epi32(dot[c][i], fix);
                acc[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(db, ab), acc[c]);
                if (B32_HAS_MIN)
                    acc[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(fix), _mm512_mul_ps(mb, ab), acc[c]);
            }
        }
    }
}

/* Stretches [from, from + n_now) of 16 rows, or of n_group. */
HB_INLINE void b32_direct_piece(struct b32_direct *v, const uint8_t *group, size_t row_bytes,
                                size_t n_group, size_t n_blocks, size_t from, size_t n_now,
                                bool whole, const size_t n_cols)
{
    for (size_t g = 0; g < 4; g++) {
        const uint8_t *rows[4], *ahead = group;
        for (size_t r = 0; r < 4; r++) { /* rows that are missing: the last one again */
            rows[r] = group;
            group += 4 * g + r + 1 < n_group ? row_bytes : 0;
        }
        ahead += (whole ? 4 : 16) * row_bytes + from * 32 * B32_BYTES;
        ahead -= whole ? 0 : DIRECT_NEAR; /* the next 16 rows, not those that are nearly there */
        for (size_t s = 0; s < n_now; s++, ahead += 32 * B32_BYTES)
            b32_four(v, s, g, rows, hk_b32_piece_of(from + s, n_blocks).block * B32_BYTES,
                     ahead, n_cols);
    }
}

HB_INLINE void b32_direct(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                          size_t n_rows, const void *restrict x, size_t x_stride, size_t n,
                          const size_t n_cols)
{
    const size_t most = DIRECT_SLOTS / n_cols < DIRECT_MOST ? DIRECT_SLOTS / n_cols : DIRECT_MOST;
    const uint8_t *scale = (const uint8_t *)x + hk_act_scale_off(n);
    size_t n_blocks = n / 32, n_stretches = (n_blocks + 7) / 8;
    size_t n_pieces = (n_stretches + most - 1) / most;
    size_t piece = (n_stretches + n_pieces - 1) / n_pieces;
    struct b32_direct v;
    if (n_pieces == 1)
        b32_direct_acts(&v, x, x_stride, n, 0, piece, n_cols);
    for (size_t r0 = 0; r0 < n_rows; r0 += 16) {
        size_t n_group = n_rows - r0 < 16 ? n_rows - r0 : 16;
        __m512 acc[DIRECT_COLS];
        DIRECT_EACH acc[c] = _mm512_setzero_ps();
        for (size_t from = 0; from < n_stretches; from += piece) {
            size_t n_now = n_stretches - from < piece ? n_stretches - from : piece;
            if (n_pieces > 1)
                b32_direct_acts(&v, x, x_stride, n, from, n_now, n_cols);
            b32_direct_piece(&v, (const uint8_t *)w + r0 * row_bytes, row_bytes, n_group, n_blocks,
                             from, n_now, n_pieces == 1, n_cols);
            for (size_t s = 0; s < n_now; s++)
                b32_chain(acc, &v, s, scale, x_stride, hk_b32_piece_of(from + s, n_blocks), n_cols);
        }
        hk512_store_cols(y + r0, ldy, n_group, acc, n_cols);
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

HB_INLINE void b32_few_tiles(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                          size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                          size_t n)
{
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

void HK_BODY(few, avx512)(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                          size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                          size_t n)
{
    switch (n < 256 ? 0 : n_cols) { /* b32_direct reads eight blocks of a row */
#define FEW_CASE(cols)                                                                             \
    case cols:                                                                                     \
        b32_direct(y, ldy, w, row_bytes, n_rows, x, x_stride, n, cols);                            \
        break;
        FEW_CASE(2)
        FEW_CASE(3)
        FEW_CASE(4)
        FEW_CASE(5)
        FEW_CASE(6)
#undef FEW_CASE
    default:
        b32_few_tiles(y, ldy, w, row_bytes, n_rows, x, x_stride, n_cols, n);
        break;
    }
}

void HK_BODY(stream, avx512)(float *restrict y, const void *restrict w, size_t row_bytes,
                             size_t n_rows, const void *restrict x, size_t n)
{
    if (n < 256)
        HK_BODY(few, avx512)(y, n_rows, w, row_bytes, n_rows, x, 0, 1, n);
    else
        b32_direct(y, n_rows, w, row_bytes, n_rows, x, 0, n, 1);
}
