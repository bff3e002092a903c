/* What the rest of the runtime asks of a sampler beyond hearth.h: constraints, and distributions for
 * accepting or rejecting what somebody guessed. */
#ifndef HR_SAMPLER_H
#define HR_SAMPLER_H

#include "runtime/hr_account.h"
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

/* Logarithms of the probabilities that logits [n] are: of one token, and of the n_top largest, largest
 * first, which are at most n. */
#define HR_MAX_LOGPROBS 64
float hr_logprobs(const float *logits, int32_t n, int32_t token, hearth_logprob *top, int32_t n_top);

/* ---- distributions ---- */

struct hr_candidate {
    float logit;
    int32_t id;
};

/* What a chain left over. The probability of c[i] is hr_set_weight(set, i) / set->total. */
struct hr_set {
    struct hr_candidate *c; /* the sampler's, until it is used again */
    int32_t n;
    bool sorted;            /* largest first, lower id first among equals */
    float max;
    float temperature;
    double total;
};

float hr_set_weight(const struct hr_set *set, int32_t i);

/* The distribution that a token would be drawn from. Throws XTC's coin; for temperatures above 0. */
hearth_status hr_sampler_set(hearth_sampler *sampler, const float *logits, struct hr_set *set,
                             hearth_error *err);

/* A token somebody guessed, and the distribution it was drawn from: the likeliest candidates of the
 * guesser's chain, by id. n = 0: it was not drawn, the guess is certain. */
#define HR_GUESS_CANDIDATES 64
struct hr_guess {
    int32_t token;
    int32_t n;
    int32_t id[HR_GUESS_CANDIDATES];
    float p[HR_GUESS_CANDIDATES];
};

/* Guess from the logits of a draft, by the same chain and history, with random numbers of its own, and
 * add the guess to the history; mirostat's state is not touched. Constraints are not asked. */
hearth_status hr_sampler_guess(hearth_sampler *sampler, const float *logits,
                               struct hr_guess *guess, hearth_error *err);
/* Take the last n tokens out of the history again: those that were guessed. */
void hr_sampler_rewind(hearth_sampler *sampler, int32_t n);

/* Choose the token that follows, as hearth_sampler_sample would, giving the guess a chance to be it.
 * The token has exactly the distribution p of the chain, whatever the guess's q was: it is the guess with
 * probability min(1, p/q), and else drawn from max(p - q, 0), normalised (Leviathan, Kalman, Matias,
 * "Fast inference from transformers via speculative decoding", 2023, appendix A.1). A certain guess is
 * compared with a token drawn from p, which is the same rule for q = 1 and also gives the same token as
 * hearth_sampler_sample; greedy and constrained samplers always do that. */
hearth_status hr_sampler_verify(hearth_sampler *sampler, const float *logits,
                                const struct hr_guess *guess, int32_t *token, hearth_error *err);

#endif
