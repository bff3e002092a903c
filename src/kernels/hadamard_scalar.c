/* Hadamard rotation (kernels.h): every stage pairs neighbours and puts sums in front of differences, so
 * all stages look alike. Source: Pease, "An adaptation of the fast Fourier transform for parallel
 * processing", 1968, for this geometry. */
#include "kernels/hk_bodies.h"
#include <string.h>

void hk_hadamard_f32__scalar(float *restrict x, size_t n, size_t block)
{
    float y[HK_HADAMARD_MAX];
    for (size_t b = 0; b < n; b += block, x += block)
        for (size_t stage = 1; stage < block; stage *= 2) {
            for (size_t i = 0; i < block / 2; i++) {
                y[i] = x[2 * i] + x[2 * i + 1];
                y[i + block / 2] = x[2 * i] - x[2 * i + 1];
            }
            memcpy(x, y, block * sizeof *x);
        }
}
