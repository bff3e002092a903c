/* Q8_0 with AVX-512. */
#include "kernels/quant/hk_avx512.h"

HB_INLINE void hk512_row_q8_0(__m512i z[4], uint16_t *d, uint16_t *m, const uint8_t *blocks)
{
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    (void)m;
    HK_UNROLL(8)
    for (int b = 0; b < 8; b++)
        d[b] = hk_load16(blocks + b * HK_BYTES_Q8_0);
    HK_UNROLL(2)
    for (int i = 0; i < 4; i += 2, blocks += 4 * HK_BYTES_Q8_0) {
        z[i] = _mm512_xor_si512(hk512_load4x16(blocks + 2, HK_BYTES_Q8_0), sign);
        z[i + 1] = _mm512_xor_si512(hk512_load4x16(blocks + 18, HK_BYTES_Q8_0), sign);
    }
}

#define HK_T  q8_0
#define HK_ID Q8_0
#include "kernels/quant/b32_avx512_tmpl.c"
