/* MXFP4 with AVX2. */
#include "kernels/quant/hk_avx2.h"

static const uint8_t hk_mxfp4_table[16] = {HK_MXFP4_CODES};

HB_INLINE void hk256_codes_mxfp4(__m256i z[8], const uint8_t *blocks)
{
    const __m256i codes = hk256_table(hk_mxfp4_table);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2, blocks += 2 * HK_BYTES_MXFP4) {
        __m256i nibbles = hk256_load2x16(blocks + 1, HK_BYTES_MXFP4);
        z[i] = _mm256_shuffle_epi8(codes, hk256_low(nibbles));
        z[i + 1] = _mm256_shuffle_epi8(codes, hk256_high(nibbles));
    }
}

#define HK_T    mxfp4
#define HK_ID   MXFP4
#define HK_D_AT 0
#define HK_E8M0
#include "kernels/quant/b32_avx2_tmpl.c"
