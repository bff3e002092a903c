/* AVX2 bodies of one K32 or K16 type. Before including: HK_T, HK_ID, HK_SUB (32 or 16), HK_D_AT,
 * HK_DMIN_AT (if the type has mins), and
 *
 *     HB_INLINE void hk256_codes_<t>(__m256i z[8], const uint8_t *block)       natural order
 *     HB_INLINE __m128i hk256_scales_<t>(__m128i *mins, const uint8_t *block)
 *                         int8 scales (and mins) of the sub-blocks, in the low bytes */
#include "kernels/quant/hk_avx2.h"

#define K_OFFSET  HK_PASTE(HK_OFFSET_, HK_ID)
#define K_HAS_MIN HK_PASTE(HK_HAS_MIN_, HK_ID)
#define K_BYTES   HK_PASTE(HK_BYTES_, HK_ID)
#define K_CODES   HK_PASTE(hk256_codes_, HK_T)
#define K_SCALES  HK_PASTE(hk256_scales_, HK_T)
#define K_SUBS    (256 / HK_SUB)
#define K_WIDE    (K_OFFSET == 128)

#ifndef HK_DMIN_AT
#define HK_DMIN_AT HK_D_AT
#endif

/* Sums of the sub-blocks; K32 has 8 in the low half. */
HB_INLINE __m256i k_sums(const int16_t *sums)
{
    __m256i v = hk256_load(sums);
    if (HK_SUB == 16)
        return v;
    v = _mm256_madd_epi16(v, _mm256_set1_epi16(1));
    v = _mm256_packs_epi32(v, v);
    return _mm256_permute4x64_epi64(v, 0xD8);
}

#define K_PICK(j) 2 * (j), 2 * (j) + 1
#define K_PICK8(j)                                                                                 \
    K_PICK(j), K_PICK(j), K_PICK(j), K_PICK(j), K_PICK(j), K_PICK(j), K_PICK(j), K_PICK(j)
/* Bytes that spread word j of a lane over one lane: the scale(s) of 32 k. */
static const HB_ALIGNAS(32) uint8_t k_spread[8][16] = {
    {K_PICK8(0)}, {K_PICK8(1)}, {K_PICK8(2)}, {K_PICK8(3)},
    {K_PICK8(4)}, {K_PICK8(5)}, {K_PICK8(6)}, {K_PICK8(7)},
};

/* 8 int32 whose sum is isum, 4 whose sum is imin. */
HB_INLINE void k_row(__m256i *isum, __m128i *imin, const __m256i z[8], __m128i sc, __m128i mn,
                     const int8_t *q, __m256i sums)
{
    __m256i sc16 = _mm256_cvtepi8_epi16(sc);
    __m256i low = _mm256_permute4x64_epi64(sc16, 0x44), high = _mm256_permute4x64_epi64(sc16, 0xEE);
    __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        __m256i spread = HK_SUB == 32 ? _mm256_broadcastsi128_si256(hk256_load16(k_spread[i]))
                                      : hk256_load(k_spread[i % 4 * 2]);
        __m256i scale = _mm256_shuffle_epi8(HK_SUB == 16 && i >= 4 ? high : low, spread);
        __m256i products = hk256_mul(z[i], hk256_load(q + 32 * i), K_WIDE);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, scale));
    }
    if (!K_HAS_MIN && !K_WIDE)
        sum = _mm256_add_epi32(
            sum, _mm256_mullo_epi32(_mm256_madd_epi16(sc16, sums), _mm256_set1_epi32(-K_OFFSET)));
    *isum = sum;
    if (K_HAS_MIN && HK_SUB == 32) {
        *imin = _mm_madd_epi16(_mm_cvtepi8_epi16(mn), _mm256_castsi256_si128(sums));
    } else if (K_HAS_MIN) {
        __m256i v = _mm256_madd_epi16(_mm256_cvtepi8_epi16(mn), sums);
        *imin = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    }
}

struct k_halves {
    HB_ALIGNAS(32) uint16_t d[16], dmin[16];
};

HB_INLINE void k_collect(struct k_halves *h, const uint8_t *block, size_t r)
{
    h->d[r] = hk_load16(block + HK_D_AT);
    if (K_HAS_MIN)
        h->dmin[r] = hk_load16(block + HK_DMIN_AT);
}

/* acc = fma(d * isum - dmin * imin, a, acc) for 8 rows. */
HB_INLINE __m256 k_fold(__m256 acc, const __m256i *isum, const __m128i *imin,
                        const struct k_halves *h, float a)
{
    __m256 t = _mm256_mul_ps(hk256_halves(h->d), _mm256_cvtepi32_ps(hk256_sum8(isum)));
    if (K_HAS_MIN) {
        __m256i mins =
            hk256_sum4(_mm256_set_m128i(imin[4], imin[0]), _mm256_set_m128i(imin[5], imin[1]),
                       _mm256_set_m128i(imin[6], imin[2]), _mm256_set_m128i(imin[7], imin[3]));
        t = _mm256_fnmadd_ps(hk256_halves(h->dmin), _mm256_cvtepi32_ps(mins), t);
    }
    return _mm256_fmadd_ps(t, _mm256_set1_ps(a), acc);
}

void HK_BODY(stream, avx2)(float *restrict y, const void *restrict w, size_t row_bytes,
                           size_t n_rows, const void *restrict x, size_t n)
{
    const int8_t *q = x;
    const float *scale = (const float *)((const uint8_t *)x + hk_act_scale_off(n));
    const int16_t *sum = (const int16_t *)((const uint8_t *)x + hk_act_sum_off(n, HK_STRETCH));
    __m256i isum[8];
    __m128i imin[8];
    struct k_halves h;
    memset(isum, 0, sizeof isum);
    memset(imin, 0, sizeof imin);
    memset(&h, 0, sizeof h);
    for (size_t r0 = 0; r0 < n_rows; r0 += 8) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        const uint8_t *ahead = rows + 8 * row_bytes;
        size_t n_group = n_rows - r0 < 8 ? n_rows - r0 : 8;
        __m256 acc = _mm256_setzero_ps();
        for (size_t s = 0; s < n / 256; s++) {
            __m256i sums = k_sums(sum + 16 * s);
            for (size_t r = 0; r < n_group; r++) {
                const uint8_t *block = rows + r * row_bytes + s * K_BYTES;
                __m256i z[8];
                __m128i mn = _mm_setzero_si128(), sc = K_SCALES(&mn, block);
                K_CODES(z, block);
                k_row(&isum[r], &imin[r], z, sc, mn, q + 256 * s, sums);
                k_collect(&h, block, r);
                hk256_prefetch(ahead + (s * 8 + r) * K_BYTES, K_BYTES);
            }
            acc = k_fold(acc, isum, imin, &h, scale[s]);
        }
        if (n_group == 8)
            _mm256_storeu_ps(y + r0, acc);
        else
            _mm256_maskstore_ps(y + r0, hk256_lanes_below(n_group), acc);
    }
}

/* A row's codes are taken apart once for all columns, the rest is stream. (A tile of the group, packed and
 * multiplied stretch by stretch, was slower at any number of columns up to 16.) */
void HK_BODY(few, avx2)(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                        size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                        size_t n)
{
    __m256i isum[16][8], sums[16];
    __m128i imin[16][8];
    struct k_halves h;
    size_t sum_off = hk_act_sum_off(n, HK_STRETCH), scale_off = hk_act_scale_off(n);
    memset(isum, 0, sizeof isum);
    memset(imin, 0, sizeof imin);
    memset(&h, 0, sizeof h);
    for (size_t r0 = 0; r0 < n_rows; r0 += 8) {
        const uint8_t *rows = (const uint8_t *)w + r0 * row_bytes;
        const uint8_t *ahead = rows + 8 * row_bytes;
        size_t n_group = n_rows - r0 < 8 ? n_rows - r0 : 8;
        __m256 acc[16];
        for (size_t c = 0; c < n_cols; c++)
            acc[c] = _mm256_setzero_ps();
        for (size_t s = 0; s < n / 256; s++) {
            for (size_t c = 0; c < n_cols; c++)
                sums[c] =
                    k_sums((const int16_t *)((const uint8_t *)x + c * x_stride + sum_off) + 16 * s);
            for (size_t r = 0; r < n_group; r++) {
                const uint8_t *block = rows + r * row_bytes + s * K_BYTES;
                __m256i z[8];
                __m128i mn = _mm_setzero_si128(), sc = K_SCALES(&mn, block);
                K_CODES(z, block);
                for (size_t c = 0; c < n_cols; c++)
                    k_row(&isum[c][r], &imin[c][r], z, sc, mn,
                          (const int8_t *)x + c * x_stride + 256 * s, sums[c]);
                k_collect(&h, block, r);
                hk256_prefetch(ahead + (s * 8 + r) * K_BYTES, K_BYTES);
            }
            for (size_t c = 0; c < n_cols; c++)
                acc[c] =
                    k_fold(acc[c], isum[c], imin[c], &h,
                           ((const float *)((const uint8_t *)x + c * x_stride + scale_off))[s]);
        }
        for (size_t c = 0; c < n_cols; c++)
            _mm256_maskstore_ps(y + c * ldy + r0, hk256_lanes_below(n_group), acc[c]);
    }
}

/* One stretch of up to 16 rows to the parts of a tile. */
HB_INLINE void k_pack_stretch(uint8_t *u, int8_t *sc, int8_t *mn, float *d, float *dmin,
                              const uint8_t *rows, size_t row_bytes, size_t n_rows)
{
    HB_ALIGNAS(32) uint8_t codes[16][256];
    HB_ALIGNAS(32) int8_t scs[16][16], mns[16][16];
    struct k_halves h;
    if (n_rows < 16) {
        memset(codes, 0, sizeof codes);
        memset(scs, 0, sizeof scs);
        memset(mns, 0, sizeof mns);
        memset(&h, 0, sizeof h);
    }
    for (size_t r = 0; r < n_rows; r++) {
        const uint8_t *block = rows + r * row_bytes;
        __m256i z[8];
        __m128i mins = _mm_setzero_si128();
        _mm_store_si128((__m128i *)scs[r], K_SCALES(&mins, block));
        _mm_store_si128((__m128i *)mns[r], mins);
        K_CODES(z, block);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            _mm256_store_si256((__m256i *)(codes[r] + 32 * i), z[i]);
        k_collect(&h, block, r);
    }
    for (size_t z = 0; z < 8; z++)
        for (size_t half = 0; half < 2; half++) {
            __m256i out[8];
            hk256_transpose8(out, codes[8 * half] + 32 * z);
            for (size_t i = 0; i < 8; i++)
                _mm256_store_si256((__m256i *)(u + (8 * z + i) * 64 + 32 * half), out[i]);
        }
    for (size_t j = 0; j < K_SUBS; j++)
        for (size_t r = 0; r < 16; r++) {
            sc[16 * j + r] = scs[r][j];
            if (K_HAS_MIN)
                mn[16 * j + r] = mns[r][j];
        }
    for (size_t half = 0; half < 2; half++) {
        _mm256_store_ps(d + 8 * half, hk256_halves(h.d + 8 * half));
        if (K_HAS_MIN)
            _mm256_store_ps(dmin + 8 * half, hk256_halves(h.dmin + 8 * half));
    }
}

void HK_BODY(pack, avx2)(void *restrict tile, const void *restrict w, size_t row_bytes,
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
