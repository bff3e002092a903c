/* What a session has learned about speculation. */
#ifndef HR_ACCOUNT_H
#define HR_ACCOUNT_H

#include "base/hb_port.h"

#define HR_MAX_GUESS 64

/* Guesses of one kind share a rate of success: those of a draft by its own probability, those of a
 * lookup by how long the two places read alike, a caller's all together. */
enum {
    HR_SPEC_DRAFT_BUCKETS = 8,
    HR_SPEC_LOOKUP_BUCKETS = 8,
    HR_SPEC_FIRST_LOOKUP = HR_SPEC_DRAFT_BUCKETS,
    HR_SPEC_CALLER = HR_SPEC_FIRST_LOOKUP + HR_SPEC_LOOKUP_BUCKETS,
    HR_SPEC_BUCKETS
};

struct hr_rate {
    double right, tried; /* decaying counts */
};

/* What passes cost and gave, in ns, and whether guessing goes on (spec.c). It belongs to the session, so
 * that a text begins with what the texts before it have learned. */
struct hr_spec_account {
    double pass_ns[HR_MAX_GUESS + 2]; /* [items] mean time of a step, 0: not seen */
    double guess_ns;                  /* per guess of the draft */
    double earned_ns;                 /* tokens chosen, at the price of a plain pass */
    double debt_ns;                   /* what guessing cost more than it gave */
    int32_t plain_passes;
    int32_t since_plain;              /* passes since pass_ns[1] was measured last */
    int32_t pause, waited;            /* tokens to wait before the next trial, and waited so far */
    double prompt_ns;                 /* least time of a prompt's token in a large step */
    const void *draft;                /* the model that draft_rate is about */
    struct hr_rate rate[HR_SPEC_BUCKETS], draft_rate;
};

#endif
