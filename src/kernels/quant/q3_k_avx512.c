/* Q3_K with AVX-512. Register z holds the 2-bit fields at bit 2 z of all bytes. */
#include "kernels/quant/hk_avx512.h"

HB_INLINE void hk512_codes_q3_k(__m512i z[4], const uint8_t *block)
{
    __m512i v = hk512_load(block + 32);
    __m512i high = hk512_two_shifts(block, 4); /* bit z is that of z[z] */
    const __m512i all = _mm512_set1_epi8(7);
    z[0] = _mm512_and_si512(all, hk512_select(3, v, _mm512_slli_epi16(high, 2)));
    z[1] =
        _mm512_and_si512(all, hk512_select(3, _mm512_srli_epi16(v, 2), _mm512_slli_epi16(high, 1)));
    z[2] = _mm512_and_si512(all, hk512_select(3, _mm512_srli_epi16(v, 4), high));
    z[3] =
        _mm512_and_si512(all, hk512_select(3, _mm512_srli_epi16(v, 6), _mm512_srli_epi16(high, 1)));
}

HB_INLINE __m128i hk512_scales_q3_k(__m128i *mins, const uint8_t *block)
{
    (void)mins;
    uint64_t l;
    memcpy(&l, block + 96, sizeof l);
    __m128i low = _mm_set_epi64x((int64_t)(l >> 4), (int64_t)l);
    __m128i high =
        _mm_srlv_epi32(_mm_set1_epi32((int)hk_load32(block + 104)), _mm_setr_epi32(0, 2, 4, 6));
    high = _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4);
    low = _mm_and_si128(low, _mm_set1_epi8(15));
    return _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
}

#define HK_T              q3_k
#define HK_ID             Q3_K
#define HK_SUB            16
#define HK_DMIN           0
#define HK_D_AT           108
#define HK_START(z, lane) ((lane) / 2 * 128 + 32 * (z) + (lane) % 2 * 16)
#include "kernels/quant/k_avx512_tmpl.c"
