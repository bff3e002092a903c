/* The inside of a sampler, shared by sampler.c (opening, choosing), sampler_history.c (scores of tokens
 * seen before) and sampler_chain.c (the set of candidates). */
#ifndef HR_CHAIN_H
#define HR_CHAIN_H

#include "runtime/hr_sampler.h"

enum hr_stage_id {
#define HR_STAGE(id, name, kind, text) HR_STAGE_##id,
#include "runtime/sampler_stages.def"
#undef HR_STAGE
    HR_STAGE_COUNT
};

/* The last tokens, longest window and what a draft may add and take back again. */
struct hr_history {
    int32_t *ring;   /* [capacity] */
    int32_t capacity;
    int64_t n;       /* tokens ever; the i-th is ring[i % capacity] */
    int32_t window;  /* of the penalties */
    int32_t *count;  /* [n_vocab] occurrences in the window */
};

struct hr_dry {
    int32_t last_n;     /* 0: off */
    uint8_t *breaker;   /* [n_vocab] tokens whose text holds a breaker */
    int32_t *length;    /* [n_vocab] zero between calls */
    int32_t *z;         /* [last_n] */
};

/* Random numbers of one purpose. */
struct hr_draws {
    uint64_t seed, stream, n;
};

struct hearth_sampler {
    hearth_sampler_config config; /* defaults filled in */
    struct hb_alloc hooks;
    size_t bytes;
    const hearth_model *model;
    int32_t n_vocab;
    hearth_logit_bias *bias;
    float *logits;              /* [n_vocab] after bias and penalties */
    struct hr_candidate *heap;  /* [n_vocab] the set's memory */
    struct hr_history history;
    struct hr_dry dry;
    uint8_t stage[HR_STAGE_COUNT];
    int32_t n_stages;
    double mu;                  /* mirostat: the surprise that is let through, in bits */
    struct hr_draws draws, draft_draws;
    struct hr_constraint constraint; /* allow NULL: none */
};

double hr_draw(struct hr_draws *draws); /* the next number, in [0, 1) */

/* ---- scores: sampler_history.c ---- */

/* Biases and penalties may be as large as they like; the score stays one that can be subtracted. */
HB_INLINE float hr_score(float x)
{
    return x > 1e37f ? 1e37f : x;
}

void hr_history_add(struct hr_history *h, int32_t token);
void hr_history_rewind(struct hr_history *h, int32_t n);
void hr_stage_penalties(hearth_sampler *s);
void hr_stage_dry(hearth_sampler *s);

/* ---- settings: sampler_config.c ---- */

/* Fill in defaults and check every field; *stage receives the order. */
hearth_status hr_sampler_settings(hearth_sampler_config *c, const hearth_model *model,
                                  uint8_t stage[HR_STAGE_COUNT], int32_t *n_stages,
                                  hearth_error *err);
/* Mark the tokens whose text holds one of the breakers. */
void hr_sampler_breakers(const hearth_model *model, const hearth_sampler_config *c,
                         uint8_t *breaker);

/* ---- candidates: sampler_chain.c ---- */

/* All tokens above -infinity; logits are those of s->logits, and the set's own temperature is kept
 * apart from them. */
void hr_set_fill(hearth_sampler *s, struct hr_set *set);
/* Keep the n likeliest, with their total. */
void hr_set_likeliest(struct hr_set *set, int32_t n);
/* Run the SET stages of the chain, or mirostat's. */
void hr_set_cut(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws);

#endif
