/* Float weight types with AVX-512. A register holds the 16 chains of a row (element k belongs to chain
 * k mod 16), so rows are read as they stand. Folding chains in ascending order is done for 16 rows at
 * once after a transpose. */
#include "kernels/hk_tile_avx512.h"

/* 16 x 16 floats, transposed: v[i] becomes element i of all 16. */
HB_INLINE void float_avx512_transpose(__m512i v[16])
{
    __m512i t[16];
    HK_UNROLL(4)
    for (int g = 0; g < 16; g += 4) {
        __m512i ab = _mm512_unpacklo_epi32(v[g], v[g + 1]),
                cd = _mm512_unpacklo_epi32(v[g + 2], v[g + 3]);
        __m512i ef = _mm512_unpackhi_epi32(v[g], v[g + 1]),
                gh = _mm512_unpackhi_epi32(v[g + 2], v[g + 3]);
        t[g] = _mm512_unpacklo_epi64(ab, cd);
        t[g + 1] = _mm512_unpackhi_epi64(ab, cd);
        t[g + 2] = _mm512_unpacklo_epi64(ef, gh);
        t[g + 3] = _mm512_unpackhi_epi64(ef, gh);
    }
    HK_UNROLL(4)
    for (int i = 0; i < 4; i++) {
        __m512i d[4];
        hk512_transpose_lanes(d, t[i], t[4 + i], t[8 + i], t[12 + i]);
        HK_UNROLL(4)
        for (int l = 0; l < 4; l++)
            v[4 * l + i] = d[l];
    }
}

/* Chains of 16 rows to their 16 sums. */
static __m512 float_avx512_fold(const __m512 *chains)
{
    __m512i v[16];
    HK_UNROLL(16)
    for (int r = 0; r < 16; r++)
        v[r] = _mm512_castps_si512(chains[r]);
    float_avx512_transpose(v);
    __m512 sum = _mm512_castsi512_ps(v[0]);
    HK_UNROLL(15)
    for (int i = 1; i < 16; i++)
        sum = _mm512_add_ps(sum, _mm512_castsi512_ps(v[i]));
    return sum;
}

HB_INLINE __mmask16 float_avx512_tail(size_t n)
{
    return (__mmask16)((1u << n % 16) - 1);
}

HB_INLINE __m512 float_avx512_f32(const uint8_t *p, __mmask16 there)
{
    return _mm512_maskz_loadu_ps(there, p);
}

HB_INLINE __m512 float_avx512_f16(const uint8_t *p, __mmask16 there)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(there, p));
}

HB_INLINE __m512 float_avx512_bf16(const uint8_t *p, __mmask16 there)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, p)), 16));
}

#define FLOAT_ROWS 4

#define FLOAT_T    f32
#define FLOAT_SIZE 4
#include "kernels/quant/float_avx512_tmpl.c"

#define FLOAT_T    f16
#define FLOAT_SIZE 2
#include "kernels/quant/float_avx512_tmpl.c"

#define FLOAT_T    bf16
#define FLOAT_SIZE 2
#include "kernels/quant/float_avx512_tmpl.c"
