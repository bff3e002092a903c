/* f32 row to an int8 activation row (kernels.h) with AVX-512: 64 elements a step. */
#include "kernels/quant/hk_avx512.h"

static float act_quantize_avx512_stretch(int8_t *restrict q, int16_t *restrict sum,
                                         const float *restrict x, size_t n)
{
    /* |x| orders as its bits do; elements beyond n are +0 */
    __m512i bits = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16)
        bits = _mm512_max_epu32(
            bits, _mm512_and_si512(_mm512_loadu_si512(x + i), _mm512_set1_epi32(0x7FFFFFFF)));
    uint32_t top = _mm512_reduce_max_epu32(bits);
    float amax = hk_from_bits(top);
    bool finite = top < 0x7F800000u, tiny = finite && amax < 0x1p-100f;
    if (!finite || tiny) {
        memset(q, 0, n);
        memset(sum, 0, n / 16 * sizeof *sum);
        return finite ? 0 : hk_from_bits(0x7FC00000u);
    }
    const __m512 inverse = _mm512_set1_ps(127.0f / amax);
    for (size_t i = 0; i < n; i += 64) {
        __m512i v[4];
        for (size_t j = 0; j < 4; j++) {
            __mmask16 there = i + 16 * j < n ? 0xFFFF : 0;
            v[j] = _mm512_cvtps_epi32(
                _mm512_mul_ps(_mm512_maskz_loadu_ps(there, x + i + 16 * j), inverse));
            _mm_mask_storeu_epi8(q + i + 16 * j, there, _mm512_cvtepi32_epi8(v[j]));
        }
        __m512i s = hk512_sum4(v[0], v[1], v[2], v[3]); /* dword j of a lane: part of v[j] */
        __m256i h = _mm256_add_epi32(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));
        __m128i t = _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
        t = _mm_packs_epi32(t, t);
        memcpy(sum + i / 16, &t, i + 64 <= n ? 8 : 4);
    }
    return amax / 127.0f;
}

void hk_act_quantize__avx512(void *restrict row, const float *restrict x, size_t n,
                              size_t stretch)
{
    int8_t *q = row;
    float *scale = (float *)((uint8_t *)row + hk_act_scale_off(n));
    int16_t *sum = (int16_t *)((uint8_t *)row + hk_act_sum_off(n, stretch));
    for (size_t k = 0; k < n; k += stretch)
        scale[k / stretch] = act_quantize_avx512_stretch(
            q + k, sum + k / 16, x + k, stretch);
}
