/* Q5_K with AVX-512. A register holds sub-blocks 4 i + h and 4 i + 2 + h, h the
 * nibble. */
#include "kernels/quant/hk_avx512.h"

HB_INLINE void hk512_codes_q5_k(__m512i z[4], const uint8_t *block)
{
    __m512i a = hk512_load(block + 48), b = hk512_load(block + 112);
    __m512i high = hk512_two_shifts(block + 16, 2); /* bits 0, 1, 4, 5 are those of z[0..3] */
    const __m512i all = _mm512_set1_epi8(31);
    z[0] = _mm512_and_si512(all, hk512_select(15, a, _mm512_slli_epi16(high, 4)));
    z[1] = _mm512_and_si512(all,
                            hk512_select(15, _mm512_srli_epi16(a, 4), _mm512_slli_epi16(high, 3)));
    z[2] = _mm512_and_si512(all, hk512_select(15, b, high));
    z[3] = _mm512_and_si512(all,
                            hk512_select(15, _mm512_srli_epi16(b, 4), _mm512_srli_epi16(high, 1)));
}

HB_INLINE __m128i hk512_scales_q5_k(__m128i *mins, const uint8_t *block)
{
    (void)mins;
    return hk512_scales_k4(block + 4);
}

#define HK_T              q5_k
#define HK_ID             Q5_K
#define HK_SUB            32
#define HK_DMIN           1
#define HK_D_AT           0
#define HK_START(z, lane) ((z) / 2 * 128 + (lane) / 2 * 64 + (z) % 2 * 32 + (lane) % 2 * 16)
#include "kernels/quant/k_avx512_tmpl.c"
