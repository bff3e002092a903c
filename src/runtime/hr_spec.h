/* Speculation: somebody guesses the tokens that follow, the model runs them in one step beside the token
 * it has to run anyway, and those that it would have chosen itself cost nothing more.
 *
 *   spec.c         memory, statistics, and how many guesses are worth their cost
 *   spec_draft.c   guesses of a small model with a session of its own
 *   spec_lookup.c  guesses from an earlier place of the text that reads like its end
 *
 * A generation tells it every token (`history`), asks for guesses, and reports what became of them. What
 * is chosen never depends on this file: guesses only say which rows of logits exist. */
#ifndef HR_SPEC_H
#define HR_SPEC_H

#include "runtime/hr_account.h"
#include "runtime/hr_sampler.h"

/* The session of a draft model, in lock-step with the history:
 *
 *   history   | start ...  known ... | what it must still be told | pending |
 *   draft     |            known     |
 *
 * behind which the guesses of the last pass may still stand. */
struct hr_spec_draft {
    hearth_session *session; /* NULL: none */
    const hearth_model *model;
    int32_t seq, n_ctx, n_batch;
    int32_t start;  /* index in the history of its first position */
    int32_t known;  /* positions that hold history */
    int32_t fed;    /* guesses behind them */
    bool full;      /* its context has no room left */
    bool failed;    /* a step of it failed; it is not used again */
};

struct hr_spec {
    hearth_speculation_config config; /* defaults filled in */
    hearth_session *target;           /* whose cancellation ends a draft early */
    int32_t *history;     /* [n_ctx] tokens of the sequence since the generation was opened */
    int32_t n_history, n_ctx;
    struct hr_guess *guess; /* [max_guesses] of the pass that runs, or ran last */
    uint8_t bucket[HR_MAX_GUESS];
    int32_t n_guess, n_right; /* n_right: found right so far */
    bool wrong;               /* and then one was wrong */
    uint64_t pass_ns, guess_ns; /* of that pass; 0: unknown */
    struct hr_spec_account *account; /* the session's */
    struct hr_spec_draft draft;
    hearth_generation_stats stats;
};

/* Memory from the arena; config->speculation is not NULL. */
hearth_status hr_spec_open(const hearth_generation_config *config, hearth_session *session,
                           struct hb_arena *arena, struct hr_spec **spec, hearth_error *err);
void hr_spec_close(struct hr_spec *spec); /* empties the draft's sequence */

void hr_spec_push(struct hr_spec *spec, int32_t token);
void hr_spec_forget(struct hr_spec *spec); /* the history; what follows is another text */
/* Guess at most `most` tokens that follow the history; their number is spec->n_guess. */
void hr_spec_guess(struct hr_spec *spec, hearth_sampler *sampler, int32_t most);
/* The step with the last token and the guesses ran, in ns. */
void hr_spec_ran(struct hr_spec *spec, uint64_t ns);
/* A step with n tokens of a prompt ran, in ns. */
void hr_spec_saw(struct hr_spec *spec, size_t n, uint64_t ns);
/* The next guess of it was looked at. */
void hr_spec_verified(struct hr_spec *spec, bool right);

/* ---- between the files of this part ---- */

/* How many of at most `most` guesses are worth making, when they are right as `rate` says, cost guess_ns
 * each, and start_ns before the first. 0 also while a trial has to wait. */
int32_t hr_spec_worth(struct hr_spec *spec, const struct hr_rate *rate, double guess_ns, double start_ns,
                      int32_t most);
/* Is a guess worth its place in a pass when it is right, with all before it, with probability p? */
bool hr_spec_keeps(const struct hr_spec *spec, int32_t n, double p);
double hr_spec_rate(const struct hr_rate *rate);

hearth_status hr_draft_open(struct hr_spec *spec, const hearth_model *model, hearth_error *err);
void hr_draft_close(struct hr_spec *spec);
/* Take back what the last pass left in the draft's sequence and the history does not bear out. */
void hr_draft_follow(struct hr_spec *spec);
void hr_draft_guess(struct hr_spec *spec, hearth_sampler *sampler, int32_t most);
void hr_lookup_guess(struct hr_spec *spec, int32_t most);

#endif
