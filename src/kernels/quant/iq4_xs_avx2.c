/* IQ4_XS with AVX2. */
#include "kernels/quant/hk_avx2.h"

static const uint8_t hk_iq4_xs_table[16] = {HK_IQ4_CODES};

HB_INLINE void hk256_codes_iq4_xs(__m256i z[8], const uint8_t *block)
{
    const __m256i codes = hk256_table(hk_iq4_xs_table);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        __m128i v = hk256_load16(block + 8 + 16 * i);
        __m256i nibbles = _mm256_set_m128i(_mm_srli_epi16(v, 4), v);
        z[i] = _mm256_shuffle_epi8(codes, hk256_low(nibbles));
    }
}

HB_INLINE __m128i hk256_scales_iq4_xs(__m128i *mins, const uint8_t *block)
{
    (void)mins;
    const __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i low =
        _mm256_srlv_epi32(_mm256_set1_epi32((int)hk_load32(block + 4)), _mm256_slli_epi32(at, 2));
    __m256i high =
        _mm256_srlv_epi32(_mm256_set1_epi32(hk_load16(block + 2)), _mm256_slli_epi32(at, 1));
    low = _mm256_and_si256(low, _mm256_set1_epi32(15));
    high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
    low = _mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32));
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    return _mm_packs_epi16(words, words);
}

#define HK_T    iq4_xs
#define HK_ID   IQ4_XS
#define HK_SUB  32
#define HK_D_AT 0
#include "kernels/quant/k_avx2_tmpl.c"
