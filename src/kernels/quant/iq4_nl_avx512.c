/* IQ4_NL with AVX-512. */
#include "kernels/quant/hk_avx512.h"

static const uint8_t hk_iq4_nl_table[16] = {HK_IQ4_CODES};
static const HB_ALIGNAS(64) int16_t hk_iq4_nl_nibbles[32] = HK512_NIBBLES(9, 1);
static const HB_ALIGNAS(64) int16_t hk_iq4_nl_scales[32] = {
    0, 9, 18, 27, 32, 41, 50, 59,
};

HB_INLINE void hk512_row_iq4_nl(__m512i z[4], uint16_t *d, uint16_t *m, const uint8_t *blocks)
{
    struct hk512_four v = hk512_four_blocks(blocks, 9), u = hk512_four_blocks(blocks + 72, 9);
    __m512i a = hk512_pick(v, hk_iq4_nl_nibbles), b = hk512_pick(u, hk_iq4_nl_nibbles);
    __m512i scales = _mm512_permutex2var_epi16(v.a, _mm512_load_si512(hk_iq4_nl_scales), u.a);
    const __m512i codes = hk512_table(hk_iq4_nl_table);
    z[0] = _mm512_shuffle_epi8(codes, hk512_low(a));
    z[1] = _mm512_shuffle_epi8(codes, hk512_high(a));
    z[2] = _mm512_shuffle_epi8(codes, hk512_low(b));
    z[3] = _mm512_shuffle_epi8(codes, hk512_high(b));
    _mm_store_si128((__m128i *)d, _mm512_castsi512_si128(scales));
    (void)m;
}

#define HK_T  iq4_nl
#define HK_ID IQ4_NL
#include "kernels/quant/b32_avx512_tmpl.c"
