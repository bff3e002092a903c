/* Q2_K with AVX-512. Register z holds the 2-bit fields at bit 2 z of all bytes. */
#include "kernels/quant/hk_avx512.h"

HB_INLINE void hk512_codes_q2_k(__m512i z[4], const uint8_t *block)
{
    __m512i v = hk512_load(block + 16);
    const __m512i all = _mm512_set1_epi8(3);
    z[0] = _mm512_and_si512(all, v);
    z[1] = _mm512_and_si512(all, _mm512_srli_epi16(v, 2));
    z[2] = _mm512_and_si512(all, _mm512_srli_epi16(v, 4));
    z[3] = _mm512_and_si512(all, _mm512_srli_epi16(v, 6));
}

HB_INLINE __m128i hk512_scales_q2_k(__m128i *mins, const uint8_t *block)
{
    __m128i v = _mm_loadu_si128((const __m128i *)block), low = _mm_set1_epi8(15);
    *mins = _mm_and_si128(_mm_srli_epi16(v, 4), low);
    return _mm_and_si128(v, low);
}

#define HK_T              q2_k
#define HK_ID             Q2_K
#define HK_SUB            16
#define HK_DMIN           1
#define HK_D_AT           80
#define HK_START(z, lane) ((lane) / 2 * 128 + 32 * (z) + (lane) % 2 * 16)
#include "kernels/quant/k_avx512_tmpl.c"
