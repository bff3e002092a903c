/* IQ4_NL with AVX-512. */
#include "kernels/quant/hk_avx512.h"

static const uint8_t hk_iq4_table[16] = {HK_IQ4_CODES};

HB_INLINE void hk512_codes_iq4_nl(__m512i z[4], const uint8_t *blocks)
{
    const __m512i codes = hk512_table(hk_iq4_table);
    for (int i = 0; i < 4; i += 2, blocks += 4 * HK_BYTES_IQ4_NL) {
        __m512i nibbles = hk512_load4x16(blocks + 2, HK_BYTES_IQ4_NL);
        z[i] = _mm512_shuffle_epi8(codes, hk512_low(nibbles));
        z[i + 1] = _mm512_shuffle_epi8(codes, hk512_high(nibbles));
    }
}

#define HK_T    iq4_nl
#define HK_ID   IQ4_NL
#define HK_D_AT 0
#include "kernels/quant/b32_avx512_tmpl.c"
