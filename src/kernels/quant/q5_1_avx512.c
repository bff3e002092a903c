/* Q5_1 with AVX-512. */
#include "kernels/quant/hk_avx512.h"

HB_INLINE void hk512_codes_q5_1(__m512i z[4], const uint8_t *blocks)
{
    for (int i = 0; i < 4; i += 2, blocks += 4 * HK_BYTES_Q5_1) {
        __m512i nibbles = hk512_load4x16(blocks + 8, HK_BYTES_Q5_1);
        /* bit 4 of k 0..15 and of k 16..31 of the four blocks */
        uint32_t h0 = hk_load32(blocks + 4), h1 = hk_load32(blocks + 4 + HK_BYTES_Q5_1);
        uint32_t h2 = hk_load32(blocks + 4 + 2 * HK_BYTES_Q5_1), h3 = hk_load32(blocks + 4 + 3 * HK_BYTES_Q5_1);
        uint64_t low = ((h0 & 0xFFFF) | h1 << 16) | (uint64_t)((h2 & 0xFFFF) | h3 << 16) << 32;
        uint64_t top = (h0 >> 16 | (h1 & 0xFFFF0000u)) | (uint64_t)(h2 >> 16 | (h3 & 0xFFFF0000u)) << 32;
        __m512i bit = _mm512_set1_epi8(16), a = hk512_low(nibbles), b = hk512_high(nibbles);
        z[i] = _mm512_mask_add_epi8(a, low, a, bit);
        z[i + 1] = _mm512_mask_add_epi8(b, top, b, bit);
    }
}

#define HK_T    q5_1
#define HK_ID   Q5_1
#define HK_D_AT 0
#define HK_M_AT 2
#include "kernels/quant/b32_avx512_tmpl.c"
