/* Sessions over graphs of tensors: plans by input shape, run by the interpreter. */
#ifndef HR_INFER_H
#define HR_INFER_H

#include "graph/ht_exec.h"
#include "runtime/hr_model.h"

struct hr_infer;

/* Public element types (io.c) and those of kernels.h. qtype: known types only. */
bool hr_dtype_known(hearth_dtype type);
unsigned hr_dtype_qtype(hearth_dtype type);
hearth_dtype hr_dtype_of(unsigned qtype); /* HEARTH_DTYPE_NONE if there is none */

/* The smaller of 2 GiB and a quarter of what memory this process may use. */
uint64_t hr_infer_default_budget(void);
/* Everything that is left in the arena becomes plans and activations. */
hearth_status hr_infer_create(const struct hearth_model *model, const struct hk_table *kernels,
                              struct ht_pool *pool, _Atomic uint32_t *cancel, uint32_t flags,
                              struct hb_arena *arena, struct hr_infer **out, hearth_error *err);
hearth_status hr_infer_run(struct hr_infer *f, const hearth_tensor *inputs, size_t n_inputs,
                           hearth_tensor *outputs, size_t n_outputs, hearth_error *err);
/* Matrices that were converted ahead, and the largest difference of a weight. */
int32_t hr_infer_converted(const struct hr_infer *f, float *error);
size_t hr_infer_high(const struct hr_infer *f); /* most bytes of activations so far */

/* Plans that are kept now, and that were made so far. */
uint32_t hr_infer_plans(const struct hr_infer *f, uint64_t *made);

#endif
