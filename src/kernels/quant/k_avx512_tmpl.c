/* AVX-512 bodies of one K32 or K16 type. Before including: HK_T, HK_ID, HK_SUB (32 or 16), HK_D_AT
 * (where d is), HK_DMIN (1: dmin follows d), and
 *
 *     HK_START(z, lane)   the first of the 16 k that stand in a lane of z[0..3]; a constant expression
 *     HB_INLINE void hk512_codes_<t>(__m512i z[4], const uint8_t *block)
 *     HB_INLINE __m128i hk512_scales_<t>(__m128i *mins, const uint8_t *block)
 *                         int8 scales of the sub-blocks; K32: mins in the upper 8 bytes,
 *                         K16: mins in *mins
 *
 * With codes below 64 the four products that fall into one dword of vpdpbusd fit 16 bits, so two
 * registers are packed and multiplied by their scales with one vpdpwssd. HK_WIDE (codes up to 255):
 * a sub-block of 32 is z[0] and z[1] (or z[2] and z[3]) in one lane, scales multiply dwords. */
#include "kernels/hk_tile_avx512.h"

#define K_OFFSET  HK_PASTE(HK_OFFSET_, HK_ID)
#define K_HAS_MIN HK_PASTE(HK_HAS_MIN_, HK_ID)
#define K_BYTES   HK_PASTE(HK_BYTES_, HK_ID)
#define K_CODES   HK_PASTE(hk512_codes_, HK_T)
#define K_SCALES  HK_PASTE(hk512_scales_, HK_T)
#define K_SUBS    (256 / HK_SUB)

/* One activation stretch as the rows of a group need it. */
struct k_stretch {
    __m512i q[4];
    __m256i sums; /* int16 of 16 k each (K16); of 32 k each in the half where the mins are (K32) */
};

HB_INLINE __m512i k_pick(const uint8_t *q, int z)
{
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(q + HK_START(z, 0))));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(q + HK_START(z, 1))), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(q + HK_START(z, 2))), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(q + HK_START(z, 3))), 3);
}

HB_INLINE struct k_stretch k_stretch_of(const uint8_t *q, const int16_t *sums)
{
    struct k_stretch x = {{k_pick(q, 0), k_pick(q, 1), k_pick(q, 2), k_pick(q, 3)},
                          _mm256_loadu_si256((const __m256i *)sums)};
    if (HK_SUB == 32) {
        __m128i s = _mm256_cvtepi32_epi16(_mm256_madd_epi16(x.sums, _mm256_set1_epi16(1)));
        x.sums = K_HAS_MIN ? _mm256_inserti128_si256(_mm256_setzero_si256(), s, 1)
                           : _mm256_zextsi128_si256(s);
    }
    return x;
}

#ifndef HK_WIDE
#define K_LANE(z, l)                                                                               \
    HK_START(z, l) / HK_SUB, HK_START(z, l) / HK_SUB, HK_START(z, l) / HK_SUB,                     \
        HK_START(z, l) / HK_SUB
#define K_INDEX(a, b)                                                                              \
    {                                                                                              \
        K_LANE(a, 0), K_LANE(b, 0), K_LANE(a, 1), K_LANE(b, 1), K_LANE(a, 2), K_LANE(b, 2),        \
            K_LANE(a, 3), K_LANE(b, 3)                                                             \
    }
/* Which scale each word of two packed registers has. */
static const HB_ALIGNAS(64) int16_t k_index[2][32] = {K_INDEX(0, 1), K_INDEX(2, 3)};
#endif

/* 16 int32 whose sum is isum, 4 whose sum is imin. */
HB_INLINE void k_row(__m512i *isum, __m128i *imin, const __m512i z[4], __m128i sc, __m128i mn,
                     const struct k_stretch *x)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m256i sc16 = _mm256_cvtepi8_epi16(sc);
#ifdef HK_WIDE
    __m256i sc32 = _mm256_cvtepi8_epi32(sc);
    __m512i a = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, z[0], x->q[0]), z[1], x->q[1]);
    __m512i b = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, z[2], x->q[2]), z[3], x->q[3]);
    const __m512i at = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    const __m512i at4 = _mm512_add_epi32(at, _mm512_set1_epi32(4));
    __m512i wide = _mm512_castsi256_si512(sc32);
    __m512i sum = _mm512_add_epi32(_mm512_mullo_epi32(a, _mm512_permutexvar_epi32(at, wide)),
                                   _mm512_mullo_epi32(b, _mm512_permutexvar_epi32(at4, wide)));
    __m128i correction = _mm_mullo_epi32(
        _mm_madd_epi16(_mm256_castsi256_si128(sc16), _mm256_castsi256_si128(x->sums)),
        _mm_set1_epi32(-K_OFFSET));
    *isum = _mm512_add_epi32(sum, _mm512_zextsi128_si512(correction));
#else
    __m512i dot[4];
    HK_UNROLL(4)
    for (int i = 0; i < 4; i++)
        dot[i] = _mm512_dpbusd_epi32(zero, z[i], x->q[i]);
    __m512i wide = _mm512_castsi256_si512(sc16);
    __m512i sum = _mm512_madd_epi16(_mm512_packs_epi32(dot[0], dot[1]),
                                    _mm512_permutexvar_epi16(_mm512_load_si512(k_index[0]), wide));
    sum = _mm512_dpwssd_epi32(sum, _mm512_packs_epi32(dot[2], dot[3]),
                              _mm512_permutexvar_epi16(_mm512_load_si512(k_index[1]), wide));
    if (!K_HAS_MIN) {
        __m256i correction =
            _mm256_mullo_epi32(_mm256_madd_epi16(sc16, x->sums), _mm256_set1_epi32(-K_OFFSET));
        sum = _mm512_add_epi32(sum, _mm512_zextsi256_si512(correction));
    }
    *isum = sum;
#endif
    if (K_HAS_MIN && HK_SUB == 32) {
        *imin = _mm256_extracti128_si256(_mm256_madd_epi16(sc16, x->sums), 1);
    } else if (K_HAS_MIN) {
        __m256i v = _mm256_madd_epi16(_mm256_cvtepi8_epi16(mn), x->sums);
        *imin = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    }
}

/* d of 16 rows, and with it dmin where there is one, as stored. */
#if HK_DMIN
typedef uint32_t k_stored;
HB_INLINE k_stored k_stored_at(const uint8_t *block)
{
    return hk_load32(block + HK_D_AT);
}

HB_INLINE void k_floats(__m512 *d, __m512 *dmin, const k_stored *stored)
{
    __m512i v = _mm512_load_si512(stored);
    *d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
    *dmin = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16)));
}
#else
typedef uint16_t k_stored;
HB_INLINE k_stored k_stored_at(const uint8_t *block)
{
    return hk_load16(block + HK_D_AT);
}

HB_INLINE void k_floats(__m512 *d, __m512 *dmin, const k_stored *stored)
{
    *d = *dmin = hk512_halves(stored);
}
#endif

/* The sums of 16 x 4 int32. */
HB_INLINE __m512i k_sum_mins(const __m128i *mins)
{
    __m512i t[4];
    HK_UNROLL(4)
    for (int g = 0; g < 4; g++) { /* lane l: row 4 g + l */
        __m512i v = _mm512_load_si512(mins + 4 * g);
        v = _mm512_add_epi32(v, _mm512_shuffle_epi32(v, 0x4E));
        t[g] = _mm512_add_epi32(v, _mm512_shuffle_epi32(v, 0xB1));
    }
    __m512i a = _mm512_unpacklo_epi32(t[0], t[1]), b = _mm512_unpacklo_epi32(t[2], t[3]);
    __m512i c = _mm512_unpacklo_epi64(a, b); /* lane l: rows l, 4 + l, 8 + l, 12 + l */
    return _mm512_permutexvar_epi32(
        _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0), c);
}

/* acc = fma(d * isum - dmin * imin, a, acc) for 16 rows. */
HB_INLINE __m512 k_fold(__m512 acc, const __m512i *isum, const __m128i *imin,
                        const k_stored *stored, float a)
{
    __m512 d, dmin;
    k_floats(&d, &dmin, stored);
    __m512 t = _mm512_mul_ps(d, _mm512_cvtepi32_ps(hk512_sum16(isum, 1)));
    if (K_HAS_MIN)
        t = _mm512_fnmadd_ps(dmin, _mm512_cvtepi32_ps(k_sum_mins(imin)), t);
    return _mm512_fmadd_ps(t, _mm512_set1_ps(a), acc);
}

/* What the rows of a group leave for the fold of a stretch. It is folded after the rows of the next
 * stretch have been started: their arithmetic does not wait for it, nor it for their stores. */
struct k_pending {
    HB_ALIGNAS(64) __m512i isum[16];
    HB_ALIGNAS(64) __m128i imin[16];
    HB_ALIGNAS(64) k_stored stored[16];
};

void HK_BODY(stream, avx512)(float *restrict y, const void *restrict w, size_t row_bytes,
                             size_t n_rows, const void *restrict x, size_t n)
{
    const uint8_t *q = x;
    const float *scale = (const float *)(q + hk_act_scale_off(n));
    const int16_t *sum = (const int16_t *)(q + hk_act_sum_off(n, HK_STRETCH));
    struct k_pending pending[2];
    memset(pending, 0, sizeof pending);
    __m512 acc = _mm512_setzero_ps();
    size_t n_stretches = n / 256, turn = 0;
    if (n_rows == 0 || n_stretches == 0) {
        memset(y, 0, n_rows * sizeof *y);
        return;
    }
    for (size_t r0 = 0; r0 < n_rows; r0 += 16) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        const uint8_t *ahead = rows + 16 * row_bytes;
        size_t n_group = n_rows - r0 < 16 ? n_rows - r0 : 16;
        for (size_t s = 0; s < n_stretches; s++, turn ^= 1) {
            const struct k_stretch xs = k_stretch_of(q + 256 * s, sum + 16 * s);
            struct k_pending *to = &pending[turn], *last = &pending[turn ^ 1];
            for (size_t r = 0; r < n_group; r++) {
                const uint8_t *block = rows + r * row_bytes + s * K_BYTES;
                __m512i z[4];
                __m128i mn = _mm_setzero_si128(), sc = K_SCALES(&mn, block);
                K_CODES(z, block);
                k_row(&to->isum[r], &to->imin[r], z, sc, mn, &xs);
                to->stored[r] = k_stored_at(block);
                hk512_prefetch(ahead + (s * 16 + r) * K_BYTES, K_BYTES);
            }
            if (s > 0) {
                acc = k_fold(acc, last->isum, last->imin, last->stored, scale[s - 1]);
            } else if (r0 > 0) {
                acc = k_fold(acc, last->isum, last->imin, last->stored, scale[n_stretches - 1]);
                _mm512_storeu_ps(y + r0 - 16, acc);
                acc = _mm512_setzero_ps();
            }
        }
    }
    const struct k_pending *last = &pending[turn ^ 1];
    size_t r0 = (n_rows - 1) / 16 * 16;
    acc = k_fold(acc, last->isum, last->imin, last->stored, scale[n_stretches - 1]);
    _mm512_mask_storeu_ps(y + r0, (__mmask16)((1u << (n_rows - r0)) - 1), acc);
}

/* Up to FEW_DIRECT columns: a row's codes are taken apart once, the rest is stream. Through a tile that
 * would cost more, for the transposition alone takes as long as three columns. The number of columns is
 * a constant, so that their activations stay in registers. */
#define FEW_DIRECT 4
#define FEW_COLS   HK_UNROLL(4) for (size_t c = 0; c < n_cols; c++)

HB_INLINE void k_few_direct(float *restrict y, size_t ldy, const void *restrict w,
                            size_t row_bytes, size_t n_rows, const void *restrict x,
                            size_t x_stride, const size_t n_cols, size_t n)
{
    struct k_stretch xs[FEW_DIRECT];
    HB_ALIGNAS(64) __m512i isum[FEW_DIRECT][16];
    HB_ALIGNAS(64) __m128i imin[FEW_DIRECT][16];
    HB_ALIGNAS(64) k_stored stored[16];
    size_t sum_off = hk_act_sum_off(n, HK_STRETCH), scale_off = hk_act_scale_off(n);
    memset(stored, 0, sizeof stored);
    FEW_COLS
    {
        memset(isum[c], 0, sizeof isum[c]);
        memset(imin[c], 0, sizeof imin[c]);
    }
    for (size_t r0 = 0; r0 < n_rows; r0 += 16) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        const uint8_t *ahead = rows + 16 * row_bytes;
        size_t n_group = n_rows - r0 < 16 ? n_rows - r0 : 16;
        __m512 acc[FEW_DIRECT];
        FEW_COLS acc[c] = _mm512_setzero_ps();
        for (size_t s = 0; s < n / 256; s++) {
            FEW_COLS
            {
                const uint8_t *col = (const uint8_t *)x + c * x_stride;
                xs[c] = k_stretch_of(col + 256 * s, (const int16_t *)(col + sum_off) + 16 * s);
            }
            for (size_t r = 0; r < n_group; r++) {
                const uint8_t *block = rows + r * row_bytes + s * K_BYTES;
                __m512i z[4];
                __m128i mn = _mm_setzero_si128(), sc = K_SCALES(&mn, block);
                K_CODES(z, block);
                FEW_COLS k_row(&isum[c][r], &imin[c][r], z, sc, mn, &xs[c]);
                stored[r] = k_stored_at(block);
                hk512_prefetch(ahead + (s * 16 + r) * K_BYTES, K_BYTES);
            }
            FEW_COLS
            {
                const uint8_t *col = (const uint8_t *)x + c * x_stride;
                acc[c] =
                    k_fold(acc[c], isum[c], imin[c], stored, ((const float *)(col + scale_off))[s]);
            }
        }
        hk512_store_cols(y + r0, ldy, n_group, acc, n_cols);
    }
}

/* One stretch of up to 16 rows to the parts of a tile. While row r is read, what is at ahead + r * ahead_step
 * is fetched, and with `again` what is two blocks further on, in case that was dropped when it was asked for
 * first. */
HB_INLINE void k_pack_stretch(uint8_t *u, int8_t *sc, int8_t *mn, float *d, float *dmin,
                              const uint8_t *rows, size_t row_bytes, size_t n_rows,
                              const uint8_t *ahead, size_t ahead_step, const bool again)
{
    HB_ALIGNAS(64) uint8_t codes[16][256];
    HB_ALIGNAS(64) int8_t scs[16][16], mns[16][16];
    HB_ALIGNAS(64) k_stored stored[16];
    if (n_rows < 16) {
        memset(codes, 0, sizeof codes);
        memset(scs, 0, sizeof scs);
        memset(mns, 0, sizeof mns);
        memset(stored, 0, sizeof stored);
    }
    for (size_t r = 0; r < n_rows; r++) {
        const uint8_t *block = rows + r * row_bytes;
        __m512i z[4];
        __m128i mins = _mm_setzero_si128();
        _mm_store_si128((__m128i *)scs[r], K_SCALES(&mins, block));
        _mm_store_si128((__m128i *)mns[r], mins);
        K_CODES(z, block);
        HK_UNROLL(4)
        for (int i = 0; i < 4; i++)
            _mm512_store_si512(codes[r] + 64 * i, z[i]);
        stored[r] = k_stored_at(block);
        hk512_prefetch(ahead + r * ahead_step, K_BYTES);
        if (again)
            hk512_prefetch(block + 2 * K_BYTES, K_BYTES);
    }
#define K_OUT0(i)      K_OUT_AT(0, i)
#define K_OUT1(i)      K_OUT_AT(1, i)
#define K_OUT2(i)      K_OUT_AT(2, i)
#define K_OUT3(i)      K_OUT_AT(3, i)
#define K_OUT_AT(z, i) (u + (HK_START(z, (i) / 4) / 4 + (i) % 4) * 64)
    HK512_TRANSPOSE16(codes[0], K_OUT0);
    HK512_TRANSPOSE16(codes[0] + 64, K_OUT1);
    HK512_TRANSPOSE16(codes[0] + 128, K_OUT2);
    HK512_TRANSPOSE16(codes[0] + 192, K_OUT3);
    __m512i columns[4];
    hk512_transpose_bytes(columns, scs[0]);
    HK_UNROLL(4)
    for (int i = 0; i < 4; i++) { /* K32: eight of scales, eight of mins */
        if (HK_SUB == 16 || i < 2)
            _mm512_store_si512(sc + 64 * i, columns[i]);
        else if (K_HAS_MIN)
            _mm512_store_si512(mn + 64 * (i - 2), columns[i]);
    }
    if (K_HAS_MIN && HK_SUB == 16) {
        hk512_transpose_bytes(columns, mns[0]);
        HK_UNROLL(4)
        for (int i = 0; i < 4; i++)
            _mm512_store_si512(mn + 64 * i, columns[i]);
    }
    __m512 ds, dmins;
    k_floats(&ds, &dmins, stored);
    _mm512_store_ps(d, ds);
    if (K_HAS_MIN)
        _mm512_store_ps(dmin, dmins);
}

/* The rows ahead are those of the next group: the tile that is made here is multiplied before. */
void HK_BODY(pack, avx512)(void *restrict tile, const void *restrict w, size_t row_bytes,
                           size_t n_rows, size_t n)
{
    struct hk_tile_layout at = hk_tile_layout(&hk_qtype_info[HK_PASTE(HK_, HK_ID)], n);
    uint8_t *u = tile;
    int8_t *sc = (int8_t *)(u + at.scales), *mn = (int8_t *)(u + at.mins);
    float *d = (float *)(u + at.d), *dmin = (float *)(u + at.dmin);
    for (size_t b = 0; b < n / 256; b++) {
        const uint8_t *rows = (const uint8_t *)w + b * K_BYTES;
        k_pack_stretch(u + b * 4096, sc + b * K_SUBS * 16, mn + b * K_SUBS * 16, d + b * 16,
                       dmin + b * 16, rows, row_bytes, n_rows,
                       (const uint8_t *)w + 16 * (HK_TILE_GROUP * row_bytes + b * K_BYTES), K_BYTES,
                       true);
    }
}

void HK_BODY(few, avx512)(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                          size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                          size_t n)
{
    switch (n_cols) {
    case 2:
        k_few_direct(y, ldy, w, row_bytes, n_rows, x, x_stride, 2, n);
        return;
    case 3:
        k_few_direct(y, ldy, w, row_bytes, n_rows, x, x_stride, 3, n);
        return;
    case 4:
        k_few_direct(y, ldy, w, row_bytes, n_rows, x, x_stride, 4, n);
        return;
    default:
        break;
    }
    struct {
        HB_ALIGNAS(64) uint8_t u[4096];
        int8_t sc[256], mn[256];
        float d[16], dmin[16];
    } tile[HK512_TILES];
    HB_ALIGNAS(64) hk512_sums16 acc[16];
    hk512_k_stretch_fn *stretch =
        HK_SUB == 32 ? hk_tile_k32_stretch__avx512 : hk_tile_k16_stretch__avx512;
    for (size_t r0 = 0; r0 < n_rows; r0 += 16 * HK512_TILES) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        size_t n_group = n_rows - r0 < 16 * HK512_TILES ? n_rows - r0 : 16 * HK512_TILES;
        memset(acc, 0, n_cols * sizeof *acc);
        for (size_t b = 0; b < n / 256; b++) {
            for (size_t t = 0; 16 * t < n_group; t++) {
                const uint8_t *at = rows + 16 * t * row_bytes;
                k_pack_stretch(tile[t].u, tile[t].sc, tile[t].mn, tile[t].d, tile[t].dmin,
                               at + b * K_BYTES, row_bytes,
                               n_group - 16 * t < 16 ? n_group - 16 * t : 16,
                               at + 16 * (HK512_TILES * row_bytes + b * K_BYTES), K_BYTES, false);
            }
            stretch(acc, tile->u, tile->sc, tile->mn, tile->d, tile->dmin,
                    n_group > 16 ? sizeof *tile : 0, hk512_cols_at(x, x_stride, n, b, HK_STRETCH),
                    n_cols, K_OFFSET, K_HAS_MIN);
        }
        hk512_store_sums(y + r0, ldy, n_group, acc, n_cols);
    }
}
