/* The vector vocabulary of the float templates (*_vec_tmpl.c, hk_math_vec.h) in AVX2: 8 lanes.
 * Each level that uses the templates has such a header with the same names:
 *
 *   HK_VL lanes per vector, HK_VN vectors per 16 lanes (the chains of the order contract)
 *   min(a, b) is a < b ? a : b and max(a, b) is a > b ? a : b, lane by lane, also for NaN
 *   load_n and store_n touch the first n < HK_VL elements only; the other lanes are 0 */
#ifndef HK_VEC_H
#define HK_VEC_H

#include "kernels/hk_bodies.h"
#include "kernels/hk_math.h"
#include <immintrin.h>

#define HK_BODY_HERE(name) name##__avx2

#define HK_VL 8
#define HK_VN 2

typedef __m256 hk_vf;
typedef __m256 hk_vmask;

HB_INLINE hk_vf hk_v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

HB_INLINE void hk_v_store(float *p, hk_vf v)
{
    _mm256_storeu_ps(p, v);
}

HB_INLINE __m256i hk_v_first(size_t n)
{
    static const int32_t ones_then_zeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(ones_then_zeros + 8 - n));
}

HB_INLINE hk_vf hk_v_load_n(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, hk_v_first(n));
}

HB_INLINE void hk_v_store_n(float *p, hk_vf v, size_t n)
{
    _mm256_maskstore_ps(p, hk_v_first(n), v);
}

HB_INLINE hk_vf hk_v_set(float x)
{
    return _mm256_set1_ps(x);
}

HB_INLINE hk_vf hk_v_add(hk_vf a, hk_vf b)
{
    return _mm256_add_ps(a, b);
}

HB_INLINE hk_vf hk_v_sub(hk_vf a, hk_vf b)
{
    return _mm256_sub_ps(a, b);
}

HB_INLINE hk_vf hk_v_mul(hk_vf a, hk_vf b)
{
    return _mm256_mul_ps(a, b);
}

HB_INLINE hk_vf hk_v_div(hk_vf a, hk_vf b)
{
    return _mm256_div_ps(a, b);
}

HB_INLINE hk_vf hk_v_fma(hk_vf a, hk_vf b, hk_vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

HB_INLINE hk_vf hk_v_min(hk_vf a, hk_vf b)
{
    return _mm256_min_ps(a, b);
}

HB_INLINE hk_vf hk_v_max(hk_vf a, hk_vf b)
{
    return _mm256_max_ps(a, b);
}

HB_INLINE hk_vmask hk_v_gt(hk_vf a, hk_vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}

HB_INLINE hk_vmask hk_v_lt(hk_vf a, hk_vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}

/* mask ? a : b */
HB_INLINE hk_vf hk_v_select(hk_vmask mask, hk_vf a, hk_vf b)
{
    return _mm256_blendv_ps(b, a, mask);
}

HB_INLINE hk_vf hk_v_abs(hk_vf x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

HB_INLINE hk_vf hk_v_neg(hk_vf x)
{
    return _mm256_xor_ps(_mm256_set1_ps(-0.0f), x);
}

HB_INLINE hk_vf hk_v_copysign(hk_vf magnitude, hk_vf sign)
{
    hk_vf s = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(s, magnitude), _mm256_and_ps(s, sign));
}

/* p * 2^n where t = n + HK_ROUND: any n of hk_exp, rounded once */
HB_INLINE hk_vf hk_v_scale_pow2(hk_vf p, hk_vf t)
{
    const __m256i bias = _mm256_set1_epi32(127);
    __m256i n = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_set1_epi32((int)HK_ROUND_BITS));
    __m256i half = _mm256_srai_epi32(n, 1);
    __m256i s1 = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i s2 = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(s1)), _mm256_castsi256_ps(s2));
}

/* the same for n of hk_exp_mid */
HB_INLINE hk_vf hk_v_scale_pow2_mid(hk_vf p, hk_vf t)
{
    __m256i s = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    s = _mm256_add_epi32(s, _mm256_set1_epi32(0x3F800000));
    return _mm256_mul_ps(p, _mm256_castsi256_ps(s));
}

/* largest lane; no NaN */
HB_INLINE float hk_v_largest(hk_vf v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    return _mm_cvtss_f32(m);
}

/* lanes begin .. begin + 7 are in [lo, hi) */
HB_INLINE hk_vmask hk_v_in_range(int begin, int lo, int hi)
{
    __m256i i =
        _mm256_add_epi32(_mm256_set1_epi32(begin), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(lo), i);
    __m256i inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(hi), i);
    return _mm256_castsi256_ps(_mm256_andnot_si256(below, inside));
}

/* a and b in turns: a0 b0 a1 b1 ... and back */
HB_INLINE void hk_v_unzip(hk_vf *a, hk_vf *b, hk_vf lo, hk_vf hi)
{
    __m256 p = _mm256_permute2f128_ps(lo, hi, 0x20), q = _mm256_permute2f128_ps(lo, hi, 0x31);
    *a = _mm256_shuffle_ps(p, q, 0x88);
    *b = _mm256_shuffle_ps(p, q, 0xDD);
}

HB_INLINE void hk_v_zip(hk_vf *lo, hk_vf *hi, hk_vf a, hk_vf b)
{
    __m256 p = _mm256_unpacklo_ps(a, b), q = _mm256_unpackhi_ps(a, b);
    *lo = _mm256_permute2f128_ps(p, q, 0x20);
    *hi = _mm256_permute2f128_ps(p, q, 0x31);
}

HB_INLINE hk_vf hk_v_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

HB_INLINE void hk_v_store_f16(uint16_t *p, hk_vf v)
{
    _mm_storeu_si128((__m128i *)p,
                     _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

HB_INLINE void hk_v_store_bf16(uint16_t *p, hk_vf v)
{
    __m256i bits = _mm256_castps_si256(v), upper = _mm256_srli_epi32(bits, 16);
    __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
    __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    __m256i y = _mm256_blendv_epi8(_mm256_srli_epi32(rounded, 16), quiet, nan);
    y = _mm256_permute4x64_epi64(_mm256_packus_epi32(y, y), 0x08);
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(y));
}

/* lanewise maximum of the bits of |x|, as unsigned integers */
/* Integers 0..255 as bytes. */
HB_INLINE void hk_v_store_u8(uint8_t *p, hk_vf v)
{
    __m256i i = _mm256_cvttps_epi32(v);
    __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(h, h));
}

HB_INLINE hk_vf hk_v_max_abs_bits(hk_vf m, hk_vf x)
{
    return _mm256_castsi256_ps(
        _mm256_max_epu32(_mm256_castps_si256(m), _mm256_castps_si256(hk_v_abs(x))));
}

HB_INLINE hk_vf hk_v_load_bf16(const uint16_t *p)
{
    __m256i y = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(y, 16));
}

/* HK_VL vectors as the rows of a square matrix, transposed in place */
HB_INLINE void hk_v_transpose(hk_vf v[HK_VL])
{
    hk_vf a[8], b[8];
    HB_UNROLL for (int i = 0; i < 8; i += 2)
    {
        a[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    HB_UNROLL for (int i = 0; i < 8; i += 4)
    {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xEE);
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xEE);
    }
    HB_UNROLL for (int i = 0; i < 4; i++)
    {
        v[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        v[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}

#endif
