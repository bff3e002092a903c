/* Encoders: floats to the blocks of one type. encoders.def lists them. */
#ifndef HQ_ENCODE_H
#define HQ_ENCODE_H

#include "kernels/kernels.h"
#include "tools/quantize/fit.h"

/* x [n], a whole number of blocks, no element beyond HQ_MOST_WEIGHT (past it sums of squares are no floats). importance [n]: mean squares of the inputs that
 * meet these elements, all >= 0; NULL: unknown. */
#define HQ_MOST_WEIGHT 1e9f
typedef void hq_encode_fn(void *blocks, const float *x, const float *importance, size_t n);

#define HQ_ENCODER(id, name) hq_encode_fn hq_encode_##name;
#include "tools/quantize/encoders.def"
#undef HQ_ENCODER

/* NULL for a type that is not written. */
hq_encode_fn *hq_encoder(enum hk_qtype type);

/* Weights for the searches: the importance, or 1. Weights that grow with the element were tried and cost perplexity
 * on both texts (docs/quantize.md). */
void hq_weights(float *w, const float *importance, int n);

/* A scale as it is stored, at most the largest half; returns what it reads as. */
float hq_put_half(uint8_t at[2], float x);

/* The values of the 4-bit codes of IQ4_NL and IQ4_XS. */
void hq_grid_iq4(struct hq_grid *grid);

#endif
