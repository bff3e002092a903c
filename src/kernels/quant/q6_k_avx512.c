/* Q6_K with AVX-512. Codes come out in their natural order. */
#include "kernels/quant/hk_avx512.h"

HB_INLINE void hk512_codes_q6_k(__m512i z[4], const uint8_t *block)
{
    const __m512i all = _mm512_set1_epi8(63);
    HK_UNROLL(2)
    for (int i = 0; i < 2; i++) {
        __m512i low = hk512_load(block + 64 * i);
        __m512i high = hk512_two_shifts(block + 128 + 32 * i, 2); /* bits 0, 1; then 4, 5 */
        z[2 * i] = _mm512_and_si512(all, hk512_select(15, low, _mm512_slli_epi16(high, 4)));
        z[2 * i + 1] = _mm512_and_si512(all, hk512_select(15, _mm512_srli_epi16(low, 4), high));
    }
}

HB_INLINE __m128i hk512_scales_q6_k(__m128i *mins, const uint8_t *block)
{
    (void)mins;
    return _mm_loadu_si128((const __m128i *)(block + 192));
}

#define HK_T              q6_k
#define HK_ID             Q6_K
#define HK_SUB            16
#define HK_DMIN           0
#define HK_D_AT           208
#define HK_START(z, lane) (64 * (z) + 16 * (lane))
#include "kernels/quant/k_avx512_tmpl.c"
