/* Importance matrices: how much the inputs of each matrix matter, as other tools measure it. Two forms are read:
 *
 *   GGUF     tensors NAME.in_sum2 [matrices][inputs] and NAME.counts [matrices]
 *   legacy   i32 entries; each: i32 length, name, i32 calls, i32 n, f32 sums[n]; little-endian
 *
 * Importance is the sum of squares of an input over the calls. */
#ifndef HQ_IMATRIX_H
#define HQ_IMATRIX_H

#include "gguf/hg_gguf.h"

struct hq_imatrix_entry {
    const char *name; /* of the weight tensor */
    const float *mean; /* [n] squares of inputs; matrices of experts one after another */
    size_t n;
};

struct hq_imatrix {
    struct hq_imatrix_entry *entries;
    size_t n;
};

/* What is kept comes from the arena. */
hearth_status hq_imatrix_read(const void *bytes, size_t size, struct hb_arena *arena, struct hq_imatrix *out,
                              hearth_error *err);
/* [n_inputs] for each of n_matrices, or one for all; NULL: the tensor is not in it. HEARTH_E_MISMATCH: it is there with
 * another size. *per_matrix: floats from one matrix to the next, 0 for one for all. */
hearth_status hq_imatrix_find(const struct hq_imatrix *m, const char *name, size_t n_inputs, size_t n_matrices,
                              const float **mean, size_t *per_matrix, hearth_error *err);

#endif
