/* Q5_0 with AVX-512. */
#include "kernels/quant/hk_avx512.h"

static const HB_ALIGNAS(64) int16_t hk_q5_0_nibbles[32] = HK512_NIBBLES(11, 3);
/* Bits of k 0..15 of the four blocks, of k 16..31, scales. */
static const HB_ALIGNAS(64) int16_t hk_q5_0_others[32] = {
    HK512_EACH(11, 1),
    HK512_EACH(11, 2),
    HK512_EACH(11, 0),
};

HB_INLINE __m512i hk512_four_q5_0(__m512i z[2], const uint8_t *blocks)
{
    struct hk512_four v = hk512_four_blocks(blocks, 11);
    __m512i nibbles = hk512_pick(v, hk_q5_0_nibbles), others = hk512_pick(v, hk_q5_0_others);
    __m128i bits = _mm512_castsi512_si128(others);
    __m512i a = hk512_low(nibbles), b = hk512_high(nibbles), bit = _mm512_set1_epi8(16);
    z[0] = _mm512_mask_add_epi8(a, (__mmask64)_mm_cvtsi128_si64(bits), a, bit);
    z[1] = _mm512_mask_add_epi8(b, (__mmask64)_mm_extract_epi64(bits, 1), b, bit);
    return others;
}

HB_INLINE void hk512_row_q5_0(__m512i z[4], uint16_t *d, uint16_t *m, const uint8_t *blocks)
{
    __m512i v = hk512_four_q5_0(z, blocks), u = hk512_four_q5_0(z + 2, blocks + 4 * HK_BYTES_Q5_0);
    _mm_store_si128((__m128i *)d, _mm512_extracti32x4_epi32(_mm512_unpacklo_epi64(v, u), 1));
    (void)m;
}

#define HK_T  q5_0
#define HK_ID Q5_0
#include "kernels/quant/b32_avx512_tmpl.c"
