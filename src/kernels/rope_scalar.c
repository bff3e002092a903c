/* Rotary position embedding: each pair (a, b) turned by its angle.
 * Su et al., "RoFormer", 2021, eq. 34. `pair`: neighbours, `half`: element i with i + n/2. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_fma.h"

HB_INLINE void rope_turn(float *a, float *b, const float cs[2])
{
    float x = *a, y = *b;
    *a = hk_fma(x, cs[0], -(y * cs[1]));
    *b = hk_fma(y, cs[0], x * cs[1]);
}

void hk_rope_pair_f32__scalar(float *restrict x, const float *restrict cs, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        rope_turn(&x[i], &x[i + 1], &cs[i]);
}

void hk_rope_half_f32__scalar(float *restrict x, const float *restrict cs, size_t n)
{
    for (size_t i = 0; i < n / 2; i++)
        rope_turn(&x[i], &x[i + n / 2], &cs[2 * i]);
}
