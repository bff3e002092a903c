/* The vector vocabulary of the float templates in AVX-512: 16 lanes. hk_vec_avx2.h says what the
 * names mean. */
#ifndef HK_VEC_H
#define HK_VEC_H

#include "kernels/hk_bodies.h"
#include "kernels/hk_math.h"
#include <immintrin.h>

#define HK_BODY_HERE(name) name##__avx512

#define HK_VL 16
#define HK_VN 1

typedef __m512 hk_vf;
typedef __mmask16 hk_vmask;

HB_INLINE hk_vf hk_v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

HB_INLINE void hk_v_store(float *p, hk_vf v)
{
    _mm512_storeu_ps(p, v);
}

HB_INLINE __mmask16 hk_v_first(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

HB_INLINE hk_vf hk_v_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(hk_v_first(n), p);
}

HB_INLINE void hk_v_store_n(float *p, hk_vf v, size_t n)
{
    _mm512_mask_storeu_ps(p, hk_v_first(n), v);
}

HB_INLINE hk_vf hk_v_set(float x)
{
    return _mm512_set1_ps(x);
}

HB_INLINE hk_vf hk_v_add(hk_vf a, hk_vf b)
{
    return _mm512_add_ps(a, b);
}

HB_INLINE hk_vf hk_v_sub(hk_vf a, hk_vf b)
{
    return _mm512_sub_ps(a, b);
}

HB_INLINE hk_vf hk_v_mul(hk_vf a, hk_vf b)
{
    return _mm512_mul_ps(a, b);
}

HB_INLINE hk_vf hk_v_div(hk_vf a, hk_vf b)
{
    return _mm512_div_ps(a, b);
}

HB_INLINE hk_vf hk_v_fma(hk_vf a, hk_vf b, hk_vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

HB_INLINE hk_vf hk_v_min(hk_vf a, hk_vf b)
{
    return _mm512_min_ps(a, b);
}

HB_INLINE hk_vf hk_v_max(hk_vf a, hk_vf b)
{
    return _mm512_max_ps(a, b);
}

HB_INLINE hk_vmask hk_v_gt(hk_vf a, hk_vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}

HB_INLINE hk_vmask hk_v_lt(hk_vf a, hk_vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

HB_INLINE hk_vf hk_v_select(hk_vmask mask, hk_vf a, hk_vf b)
{
    return _mm512_mask_blend_ps(mask, b, a);
}

HB_INLINE hk_vf hk_v_abs(hk_vf x)
{
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x);
}

HB_INLINE hk_vf hk_v_neg(hk_vf x)
{
    return _mm512_xor_ps(_mm512_set1_ps(-0.0f), x);
}

HB_INLINE hk_vf hk_v_copysign(hk_vf magnitude, hk_vf sign)
{
    /* 0xE2: the mask picks bit by bit */
    __m512i m = _mm512_set1_epi32(0x7FFFFFFF);
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(magnitude), m,
                                                         _mm512_castps_si512(sign), 0xE2));
}

/* The instruction scales exactly and rounds once, as the two steps of hk_exp do. */
HB_INLINE hk_vf hk_v_scale_pow2(hk_vf p, hk_vf t)
{
    return _mm512_scalef_ps(p, _mm512_sub_ps(t, _mm512_set1_ps(HK_ROUND)));
}

HB_INLINE hk_vf hk_v_scale_pow2_mid(hk_vf p, hk_vf t)
{
    return hk_v_scale_pow2(p, t);
}

HB_INLINE float hk_v_largest(hk_vf v)
{
    return _mm512_reduce_max_ps(v);
}

HB_INLINE hk_vmask hk_v_in_range(int begin, int lo, int hi)
{
    uint64_t below = ((uint64_t)1 << lo) - 1,
             until = hi == 64 ? ~(uint64_t)0 : ((uint64_t)1 << hi) - 1;
    return (hk_vmask)((until & ~below) >> begin);
}

HB_INLINE void hk_v_unzip(hk_vf *a, hk_vf *b, hk_vf lo, hk_vf hi)
{
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    *a = _mm512_permutex2var_ps(lo, even, hi);
    *b = _mm512_permutex2var_ps(lo, odd, hi);
}

HB_INLINE void hk_v_zip(hk_vf *lo, hk_vf *hi, hk_vf a, hk_vf b)
{
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    *lo = _mm512_permutex2var_ps(a, first, b);
    *hi = _mm512_permutex2var_ps(a, second, b);
}

HB_INLINE hk_vf hk_v_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

HB_INLINE void hk_v_store_f16(uint16_t *p, hk_vf v)
{
    _mm256_storeu_si256((__m256i *)p,
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

HB_INLINE void hk_v_store_bf16(uint16_t *p, hk_vf v)
{
    __m512i bits = _mm512_castps_si512(v), upper = _mm512_srli_epi32(bits, 16);
    __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
    __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    __m512i y = _mm512_srli_epi32(rounded, 16);
    y = _mm512_mask_or_epi32(y, nan, upper, _mm512_set1_epi32(0x40));
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(y));
}

/* Integers 0..255 as bytes. */
HB_INLINE void hk_v_store_u8(uint8_t *p, hk_vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(v)));
}

HB_INLINE hk_vf hk_v_max_abs_bits(hk_vf m, hk_vf x)
{
    return _mm512_castsi512_ps(
        _mm512_max_epu32(_mm512_castps_si512(m), _mm512_castps_si512(hk_v_abs(x))));
}

HB_INLINE hk_vf hk_v_load_bf16(const uint16_t *p)
{
    __m512i y = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(y, 16));
}

/* HK_VL vectors as the rows of a square matrix, transposed in place */
HB_INLINE void hk_v_transpose(hk_vf v[HK_VL])
{
    hk_vf a[16], b[16];
    HB_UNROLL for (int i = 0; i < 16; i += 2)
    {
        a[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    HB_UNROLL for (int i = 0; i < 16; i += 4) /* b[i + j]: element j of each lane, rows i..i+3 */
    {
        b[i] = _mm512_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm512_shuffle_ps(a[i], a[i + 2], 0xEE);
        b[i + 2] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0xEE);
    }
    HB_UNROLL for (int i = 0; i < 4; i++)
    {
        hk_vf lo = _mm512_shuffle_f32x4(b[i], b[i + 4], 0x44);
        hk_vf hi = _mm512_shuffle_f32x4(b[i], b[i + 4], 0xEE);
        hk_vf lo2 = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0x44);
        hk_vf hi2 = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0xEE);
        v[i] = _mm512_shuffle_f32x4(lo, lo2, 0x88);
        v[i + 4] = _mm512_shuffle_f32x4(lo, lo2, 0xDD);
        v[i + 8] = _mm512_shuffle_f32x4(hi, hi2, 0x88);
        v[i + 12] = _mm512_shuffle_f32x4(hi, hi2, 0xDD);
    }
}

#endif
