/* A build that generates text only (HEARTH_TENSORS=OFF): no model of it has a graph of tensors, so no
 * session of one is ever made. */
#include "runtime/hr_infer.h"

uint64_t hr_infer_default_budget(void)
{
    return 0;
}

hearth_status hr_infer_create(const struct hearth_model *model, const struct hk_table *kernels,
                              struct ht_pool *pool, _Atomic uint32_t *cancel, uint32_t flags,
                              struct hb_arena *arena, struct hr_infer **out, hearth_error *err)
{
    (void)model, (void)kernels, (void)pool, (void)cancel, (void)flags, (void)arena, (void)out;
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "session: this build generates text only");
}

hearth_status hr_infer_run(struct hr_infer *f, const hearth_tensor *inputs, size_t n_inputs,
                           hearth_tensor *outputs, size_t n_outputs, hearth_error *err)
{
    (void)f, (void)inputs, (void)n_inputs, (void)outputs, (void)n_outputs;
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "infer: this build generates text only");
}

int32_t hr_infer_converted(const struct hr_infer *f, float *error)
{
    (void)f;
    *error = 0;
    return 0;
}

size_t hr_infer_high(const struct hr_infer *f)
{
    (void)f;
    return 0;
}

uint32_t hr_infer_plans(const struct hr_infer *f, uint64_t *made)
{
    (void)f;
    *made = 0;
    return 0;
}
