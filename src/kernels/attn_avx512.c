/* Attention and the KV cache at avx512: the templates over its vectors. */
#include "kernels/hk_vec_avx512.h"
#include "kernels/hk_math_vec.h"
#include "kernels/hk_half.h"
#include "kernels/kv_vec.h"
#include "kernels/hadamard_vec_tmpl.c"

#include "kernels/attn_types_vec_tmpl.c"

/* ---- the integer vocabulary of the block types: 16 positions ---- */

typedef __m512i kv_vi;
typedef __m512i kv_codes; /* unsigned, as stored */

HB_INLINE hk_vf kv_to_float(kv_vi v)
{
    return _mm512_cvtepi32_ps(v);
}

HB_INLINE kv_vi kv_dot(kv_vi acc, kv_codes k, int32_t dword)
{
    return _mm512_dpbusd_epi32(acc, k, _mm512_set1_epi32(dword));
}

/* What the offset of the codes adds: -offset times the sum of both int16. */
HB_INLINE kv_vi kv_start(int32_t sums, int minus_offset)
{
    return _mm512_dpwssd_epi32(_mm512_setzero_si512(), _mm512_set1_epi16((short)minus_offset),
                               _mm512_set1_epi32(sums));
}

HB_INLINE kv_codes kv_codes_q4_0(const uint8_t *p, size_t half)
{
    __m512i x = _mm512_loadu_si512(p);
    return _mm512_and_si512(half ? _mm512_srli_epi16(x, 4) : x, _mm512_set1_epi8(15));
}

/* Rounded to even, to HK_VL signed bytes. */
HB_INLINE void kv_round(int8_t *q, hk_vf x)
{
    _mm_storeu_si128((__m128i *)q, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
}

/* A bf16 scale in every lane: both halves of a lane hold it, the shift drops one. */
HB_INLINE hk_vf kv_scale(const uint8_t *p)
{
    int16_t bits;
    memcpy(&bits, p, sizeof bits);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_set1_epi16(bits), 16));
}

HB_INLINE hk_vf kv_signed_bytes(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

/* One half of HK_VL bytes, minus 8: a permutation looks at the low 4 bits only. */
HB_INLINE hk_vf kv_half_bytes(const uint8_t *p, int shift)
{
    const __m512 values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    __m512i x = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm512_permutexvar_ps(_mm512_srl_epi32(x, _mm_cvtsi32_si128(shift)), values);
}

#include "kernels/kv_block_values.h"

#define KV_NAME               q8_0
#define KV_HALVES             1
#define KV_CODES(p, half)     _mm512_loadu_si512(p)
#define KV_DOT(acc, k, dword) kv_dot(acc, k, dword)
#define KV_START(sums)        kv_start(sums, -128)
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
#define KV_DOT(acc, k, dword) kv_dot(acc, k, dword)
#define KV_START(sums)        kv_start(sums, -8)
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
