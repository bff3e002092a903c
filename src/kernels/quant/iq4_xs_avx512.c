/* IQ4_XS with AVX-512. A lane holds half a sub-block. */
#include "kernels/quant/hk_avx512.h"

static const uint8_t hk_iq4_xs_table[16] = {HK_IQ4_CODES};

HB_INLINE void hk512_codes_iq4_xs(__m512i z[4], const uint8_t *block)
{
    const __m512i codes = hk512_table(hk_iq4_xs_table);
    __m512i a = hk512_load(block + 8), b = hk512_load(block + 72);
    z[0] = _mm512_shuffle_epi8(codes, hk512_low(a));
    z[1] = _mm512_shuffle_epi8(codes, hk512_high(a));
    z[2] = _mm512_shuffle_epi8(codes, hk512_low(b));
    z[3] = _mm512_shuffle_epi8(codes, hk512_high(b));
}

HB_INLINE __m128i hk512_scales_iq4_xs(__m128i *mins, const uint8_t *block)
{
    (void)mins;
    const __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i low =
        _mm256_srlv_epi32(_mm256_set1_epi32((int)hk_load32(block + 4)), _mm256_slli_epi32(at, 2));
    __m256i high =
        _mm256_srlv_epi32(_mm256_set1_epi32(hk_load16(block + 2)), _mm256_slli_epi32(at, 1));
    low = _mm256_and_si256(low, _mm256_set1_epi32(15));
    high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
    return _mm256_cvtepi32_epi8(
        _mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32)));
}

#define HK_T    iq4_xs
#define HK_ID   IQ4_XS
#define HK_SUB  32
#define HK_DMIN 0
#define HK_D_AT 0
#define HK_WIDE
#define HK_START(z, lane) (128 * ((z) / 2) + 32 * (lane) + (z) % 2 * 16)
#include "kernels/quant/k_avx512_tmpl.c"
