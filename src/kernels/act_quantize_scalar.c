/* f32 row to an int8 activation row (kernels.h). */
#include "kernels/hk_bodies.h"
#include "kernels/hk_fma.h"

/* To the nearest integer, ties to even, |x| <= 2^22: the sum leaves no fraction bits. */
static float act_quantize_rint(float x)
{
    return (x + 0x1.8p23f) - 0x1.8p23f;
}

static float act_quantize_stretch(int8_t *restrict q, const float *restrict x, size_t n)
{
    uint32_t bits = 0; /* |x| orders as its bits do, NaN above infinity */
    for (size_t i = 0; i < n; i++) {
        uint32_t b = hk_to_bits(x[i]) & 0x7FFFFFFFu;
        bits = b > bits ? b : bits;
    }
    float amax = hk_from_bits(bits);
    bool finite = bits < 0x7F800000u, tiny = finite && amax < 0x1p-100f;
    float inverse = !finite || tiny ? 0 : 127.0f / amax;
    for (size_t i = 0; i < n; i++)
        q[i] = inverse == 0 ? 0 : (int8_t)act_quantize_rint(x[i] * inverse);
    if (!finite)
        return hk_from_bits(0x7FC00000u);
    return tiny ? 0 : amax / 127.0f;
}

void hk_act_quantize__scalar(void *restrict row, const float *restrict x, size_t n,
                              size_t stretch)
{
    int8_t *q = row;
    float *scale = (float *)((uint8_t *)row + hk_act_scale_off(n));
    int16_t *sum = (int16_t *)((uint8_t *)row + hk_act_sum_off(n, stretch));
    for (size_t k = 0; k < n; k += stretch)
        scale[k / stretch] =
            act_quantize_stretch(q + k, x + k, stretch);
    for (size_t k = 0; k < n; k++)
        sum[k / 16] = (int16_t)((k % 16 ? sum[k / 16] : 0) + q[k]);
}
