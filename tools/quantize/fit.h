/* Numbers to codes: the searches that all block formats share.
 *
 *   symmetric   x ~ d * v(q)           v(q) = q, or table[q]
 *   affine      x ~ d * q - m          m of any sign, or not below 0
 *
 * Each minimises sum w (x - value)^2, w > 0 being how much an element matters. Codes and scale depend on
 * each other: the search starts from several scales, and from the best of them codes and the least-squares
 * scale of these codes are found in turn until neither changes (Lloyd, "Least squares quantization in PCM", 1982).
 * Sums run in 8 chains, so every compiler and machine writes the same file. */
#ifndef HQ_FIT_H
#define HQ_FIT_H

#include <stdint.h>

#define HQ_MOST 32 /* elements in one call, a multiple of 8 */

/* Values that codes stand for: lo..hi themselves, or where n_table > 0 ascending ones to look up. */
struct hq_grid {
    int lo, hi;
    int n_table;
    int8_t table[16];
};

/* d of the best codes; 0 if all x are 0. */
float hq_fit_symmetric(const float *x, const float *w, int n, const struct hq_grid *grid);
/* The codes for a given d, as stored: q[i] in lo..hi, or a place in the table. Returns sum w (x - d v)^2. */
float hq_codes_symmetric(const float *x, const float *w, int n, const struct hq_grid *grid, float d, int8_t *q);

/* d >= 0 and m of x ~ d q - m, q in 0..hi. any_sign: m may be below 0. */
float hq_fit_affine(const float *x, const float *w, int n, int hi, int any_sign, float *m);
float hq_codes_affine(const float *x, const float *w, int n, int hi, float d, float m, int8_t *q);

#endif
