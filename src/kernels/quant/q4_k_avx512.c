/* Q4_K with AVX-512. A register holds sub-blocks 4 i + h and 4 i + 2 + h, h the
 * nibble. */
#include "kernels/quant/hk_avx512.h"

HB_INLINE void hk512_codes_q4_k(__m512i z[4], const uint8_t *block)
{
    __m512i a = hk512_load(block + 16), b = hk512_load(block + 80);
    z[0] = hk512_low(a);
    z[1] = hk512_high(a);
    z[2] = hk512_low(b);
    z[3] = hk512_high(b);
}

HB_INLINE __m128i hk512_scales_q4_k(__m128i *mins, const uint8_t *block)
{
    (void)mins;
    return hk512_scales_k4(block + 4);
}

#define HK_T              q4_k
#define HK_ID             Q4_K
#define HK_SUB            32
#define HK_DMIN           1
#define HK_D_AT           0
#define HK_START(z, lane) ((z) / 2 * 128 + (lane) / 2 * 64 + (z) % 2 * 32 + (lane) % 2 * 16)
#include "kernels/quant/k_avx512_tmpl.c"
