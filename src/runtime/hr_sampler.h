/* What the rest of the runtime asks of a sampler beyond hearth.h. */
#ifndef HR_SAMPLER_H
#define HR_SAMPLER_H

#include "runtime/hr_model.h"

/* Something that allows only some tokens, such as a grammar. It is asked lazily: a token is chosen
 * first, and only if that one is not allowed does the whole vocabulary get masked, with the scores after
 * bias and penalties, and the chain runs again on what is left. When nothing is left, sampling fails
 * with HEARTH_E_NUMERIC. */
struct hr_constraint {
    bool (*allow)(void *user, int32_t token);
    /* Set logits[i] = -infinity for each i below n that allow would refuse. NULL: allow is asked for
     * each that is above -infinity. */
    void (*mask)(void *user, float *logits, int32_t n);
    void (*accept)(void *user, int32_t token); /* a chosen token; never one of a prompt */
    void *user;
};

/* Copied; NULL takes it away. What `user` points at must outlive the sampler's use. */
void hr_sampler_constrain(hearth_sampler *sampler, const struct hr_constraint *constraint);

/* hearth_sampler_accept for a token that was chosen: tells the constraint too. */
void hr_sampler_chosen(hearth_sampler *sampler, int32_t token);

#endif
