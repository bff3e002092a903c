/* f32 row to an int8 activation row (kernels.h) with AVX2: 32 elements a step. */
#include "kernels/quant/hk_avx2.h"

static float act_quantize_avx2_stretch(int8_t *restrict q, int16_t *restrict sum,
                                       const float *restrict x, size_t n)
{
    __m256i bits = _mm256_setzero_si256(); /* |x| orders as its bits do */
    for (size_t i = 0; i < n; i += 8)
        bits = _mm256_max_epu32(bits,
                                _mm256_and_si256(hk256_load(x + i), _mm256_set1_epi32(0x7FFFFFFF)));
    uint32_t parts[8], top = 0;
    memcpy(parts, &bits, sizeof parts);
    for (int i = 0; i < 8; i++)
        top = parts[i] > top ? parts[i] : top;
    float amax = hk_from_bits(top);
    bool finite = top < 0x7F800000u, tiny = finite && amax < 0x1p-100f;
    if (!finite || tiny) {
        memset(q, 0, n);
        memset(sum, 0, n / 16 * sizeof *sum);
        return finite ? 0 : hk_from_bits(0x7FC00000u);
    }
    const __m256 inverse = _mm256_set1_ps(127.0f / amax);
    const __m256i sorted = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (size_t i = 0; i < n; i += 32) {
        __m256i v[4];
        for (size_t j = 0; j < 4; j++)
            v[j] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i + 8 * j), inverse));
        __m256i bytes =
            _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
        _mm256_storeu_si256((__m256i *)(q + i), _mm256_permutevar8x32_epi32(bytes, sorted));
        __m256i a = _mm256_add_epi32(v[0], v[1]), b = _mm256_add_epi32(v[2], v[3]);
        __m256i s = hk256_sum4(a, b, a, b); /* dword 0, 1 of both lanes: parts of the two sums */
        __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
        t = _mm_packs_epi32(t, t);
        memcpy(sum + i / 16, &t, 4);
    }
    return amax / 127.0f;
}

void hk_act_quantize__avx2(void *restrict row, const float *restrict x, size_t n, size_t stretch)
{
    int8_t *q = row;
    float *scale = (float *)((uint8_t *)row + hk_act_scale_off(n));
    int16_t *sum = (int16_t *)((uint8_t *)row + hk_act_sum_off(n, stretch));
    for (size_t k = 0; k < n; k += stretch)
        scale[k / stretch] = act_quantize_avx2_stretch(q + k, sum + k / 16, x + k, stretch);
}
