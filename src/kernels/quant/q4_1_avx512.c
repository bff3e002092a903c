/* Q4_1 with AVX-512. */
#include "kernels/quant/hk_avx512.h"

static const HB_ALIGNAS(64) int16_t hk_q4_1_nibbles[32] = HK512_NIBBLES(10, 2);
static const HB_ALIGNAS(64) int16_t hk_q4_1_scales[32] = {
    0, 10, 20, 30, 32, 42, 52, 62, 1, 11, 21, 31, 33, 43, 53, 63,
};

HB_INLINE void hk512_row_q4_1(__m512i z[4], uint16_t *d, uint16_t *m, const uint8_t *blocks)
{
    struct hk512_four v = hk512_four_blocks(blocks, 10), u = hk512_four_blocks(blocks + 80, 10);
    __m512i a = hk512_pick(v, hk_q4_1_nibbles), b = hk512_pick(u, hk_q4_1_nibbles);
    __m512i scales = _mm512_permutex2var_epi16(v.a, _mm512_load_si512(hk_q4_1_scales), u.a);
    z[0] = hk512_low(a);
    z[1] = hk512_high(a);
    z[2] = hk512_low(b);
    z[3] = hk512_high(b);
    _mm_store_si128((__m128i *)d, _mm512_castsi512_si128(scales));
    _mm_store_si128((__m128i *)m, _mm512_extracti32x4_epi32(scales, 1));
}

#define HK_T  q4_1
#define HK_ID Q4_1
#include "kernels/quant/b32_avx512_tmpl.c"
