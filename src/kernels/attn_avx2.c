/* Attention and the KV cache at avx2: the templates over its vectors. */
#include "kernels/hk_vec_avx2.h"
#include "kernels/hk_math_vec.h"
#include "kernels/hk_half.h"
#include "kernels/kv_vec.h"
#include "kernels/hadamard_vec_tmpl.c"

#include "kernels/attn_types_vec_tmpl.c"

/* ---- the integer vocabulary of the block types: 8 positions ---- */

typedef __m256i kv_vi;

/* 16-bit sums of pairs must not saturate, so codes of a byte go in as magnitude and sign. */
typedef struct kv_codes {
    __m256i magnitude, sign;
} kv_codes;

HB_INLINE hk_vf kv_to_float(kv_vi v)
{
    return _mm256_cvtepi32_ps(v);
}

HB_INLINE kv_vi kv_dot_unsigned(kv_vi acc, __m256i k, __m256i q)
{
    __m256i pairs = _mm256_maddubs_epi16(k, q);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

HB_INLINE kv_vi kv_dot_q8_0(kv_vi acc, kv_codes k, int32_t dword)
{
    return kv_dot_unsigned(acc, k.magnitude, _mm256_sign_epi8(_mm256_set1_epi32(dword), k.sign));
}

HB_INLINE kv_vi kv_dot_q4_0(kv_vi acc, kv_codes k, int32_t dword)
{
    return kv_dot_unsigned(acc, k.magnitude, _mm256_set1_epi32(dword));
}

HB_INLINE kv_codes kv_codes_q8_0(const uint8_t *p, size_t half)
{
    __m256i x = _mm256_loadu_si256((const __m256i *)p);
    (void)half;
    x = _mm256_xor_si256(x, _mm256_set1_epi8(-128));
    return (kv_codes){_mm256_abs_epi8(x), x};
}

HB_INLINE kv_codes kv_codes_q4_0(const uint8_t *p, size_t half)
{
    __m256i x = _mm256_loadu_si256((const __m256i *)p);
    x = _mm256_and_si256(half ? _mm256_srli_epi16(x, 4) : x, _mm256_set1_epi8(15));
    return (kv_codes){x, x};
}

/* Rounded to even, to HK_VL signed bytes. */
HB_INLINE void kv_round(int8_t *q, hk_vf x)
{
    __m256i v = _mm256_cvtps_epi32(x);
    __m128i w = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64((__m128i *)q, _mm_packs_epi16(w, w));
}

HB_INLINE hk_vf kv_scale(const uint8_t *p)
{
    return hk_v_set(hk_kv_load_scale(p));
}

HB_INLINE hk_vf kv_signed_bytes(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

/* One half of HK_VL bytes, minus 8. */
HB_INLINE hk_vf kv_half_bytes(const uint8_t *p, int shift)
{
    __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
    x = _mm256_and_si256(_mm256_srl_epi32(x, _mm_cvtsi32_si128(shift)), _mm256_set1_epi32(15));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(x, _mm256_set1_epi32(8)));
}

#include "kernels/kv_block_values.h"

#define KV_NAME               q8_0
#define KV_HALVES             1
#define KV_CODES(p, half)     kv_codes_q8_0(p, half)
#define KV_DOT(acc, k, dword) kv_dot_q8_0(acc, k, dword)
#define KV_START(sums)        ((void)(sums), _mm256_setzero_si256())
#define KV_LARGEST            127
#define KV_PACK_K             hk_kv_pack_k_q8_0
#define KV_PACK_V             hk_kv_pack_v_q8_0
#include "kernels/kv_block_vec_tmpl.c"

#define KV_NAME                   q8_0
#define KV_V(page, p, ld, j, c)   kv_v_q8_0(page, p, ld, j, c)
#define KV_V_N(page, p, ld, j, n) kv_v_q8_0(page, p, ld, j, 0)
#define KV_ROW_BYTES(d)           kv_row_bytes(HK_KV_Q8_0, d)
#define KV_WIDEN                  1
#include "kernels/kv_values_vec_tmpl.c"

#define KV_NAME               q4_0
#define KV_HALVES             2
#define KV_CODES(p, half)     kv_codes_q4_0(p, half)
#define KV_DOT(acc, k, dword) kv_dot_q4_0(acc, k, dword)
#define KV_START(sums)        _mm256_madd_epi16(_mm256_set1_epi32(sums), _mm256_set1_epi16(-8))
#define KV_LARGEST            7
#define KV_PACK_K             hk_kv_pack_k_q4_0
#define KV_PACK_V             hk_kv_pack_v_q4_0
#include "kernels/kv_block_vec_tmpl.c"

#define KV_NAME                   q4_0
#define KV_V(page, p, ld, j, c)   kv_v_q4_0(page, p, ld, j, c)
#define KV_V_N(page, p, ld, j, n) kv_v_q4_0(page, p, ld, j, 0)
#define KV_ROW_BYTES(d)           kv_row_bytes(HK_KV_Q4_0, d)
#define KV_WIDEN                  1
#include "kernels/kv_values_vec_tmpl.c"
