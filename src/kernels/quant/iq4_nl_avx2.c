/* IQ4_NL with AVX2. */
#include "kernels/quant/hk_avx2.h"

static const uint8_t hk_iq4_nl_table[16] = {HK_IQ4_CODES};

HB_INLINE void hk256_codes_iq4_nl(__m256i z[8], const uint8_t *blocks)
{
    const __m256i codes = hk256_table(hk_iq4_nl_table);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2, blocks += 2 * HK_BYTES_IQ4_NL) {
        __m256i nibbles = hk256_load2x16(blocks + 2, HK_BYTES_IQ4_NL);
        z[i] = _mm256_shuffle_epi8(codes, hk256_low(nibbles));
        z[i + 1] = _mm256_shuffle_epi8(codes, hk256_high(nibbles));
    }
}

#define HK_T    iq4_nl
#define HK_ID   IQ4_NL
#define HK_D_AT 0
#include "kernels/quant/b32_avx2_tmpl.c"
