/* MXFP4 with AVX-512. */
#include "kernels/quant/hk_avx512.h"

static const uint8_t hk_mxfp4_table[16] = {HK_MXFP4_CODES};

HB_INLINE void hk512_row_mxfp4(__m512i z[4], uint16_t *d, uint16_t *m, const uint8_t *blocks)
{
    const __m512i codes = hk512_table(hk_mxfp4_table);
    (void)m;
    HK_UNROLL(8)
    for (int b = 0; b < 8; b++)
        d[b] = blocks[b * HK_BYTES_MXFP4];
    HK_UNROLL(2)
    for (int i = 0; i < 4; i += 2, blocks += 4 * HK_BYTES_MXFP4) {
        __m512i nibbles = hk512_load4x16(blocks + 1, HK_BYTES_MXFP4);
        z[i] = _mm512_shuffle_epi8(codes, hk512_low(nibbles));
        z[i + 1] = _mm512_shuffle_epi8(codes, hk512_high(nibbles));
    }
}

#define HK_T  mxfp4
#define HK_ID MXFP4
#define HK_E8M0
#include "kernels/quant/b32_avx512_tmpl.c"
