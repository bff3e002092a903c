/* A generation as a machine that is pulled: it says which items it wants to run next (a chunk of its
 * prompt, or one token and guesses of what follows), somebody runs a step with them, and it takes the
 * step's rows of logits.
 * hearth_generation_prompt and _next are loops over this; whoever drives several generations in one step
 * (batch.c) calls the same three functions for each:
 *
 *     while (generations are left) {
 *         for each g:  take pieces with hearth_generation_next while hr_generation_ready(g)
 *         for each g:  hr_generation_want(g, items + n, ...)
 *         status = hearth_session_step(session, items, n, err)
 *         for each g that wanted:  hr_generation_take(g, status, its first row, 0)
 *     }
 *
 * Rows are looked at when a piece is asked for, not before: the sampler, the sequence and the text are
 * then at every piece what they are without guesses. So pieces are taken before the session's next step.
 *
 *     sequence  | confirmed | guesses that ran with the last token |
 *                             ^ row_at of them were right so far
 *
 * `pending` is the token chosen last. It is not confirmed: it runs with the next step, or it is in the
 * sequence already as a guess that was right, which counts when the row behind it is used. So whenever
 * the text ends, cutting the sequence to `confirmed` leaves what a text without guesses leaves. */
#ifndef HR_GENERATION_H
#define HR_GENERATION_H

#include "runtime/hr_memory.h"
#include "runtime/hr_sampler.h"

struct hr_spec;

#define GENERATION_MAX_STOPS     16
#define GENERATION_MAX_STOP_LEN  256
#define GENERATION_PIECE_BYTES   (HV_MAX_PIECE + 16)
#define GENERATION_TAIL_BYTES    (GENERATION_PIECE_BYTES + GENERATION_MAX_STOP_LEN)

struct hr_stop {
    char text[GENERATION_MAX_STOP_LEN];
    size_t len;
};

/* The text on its way out; what may still become a stop string is held back (generation_text.c). */
struct hr_tail {
    struct hr_stop stop[GENERATION_MAX_STOPS];
    size_t n_stop;
    hearth_detokenizer detok;
    size_t handed, held; /* [0, handed) was given, [handed, held) is there */
    char text[GENERATION_TAIL_BYTES];
};

hearth_status hr_tail_stops(struct hr_tail *tail, const char *const *stop, size_t n,
                            hearth_error *err);
/* Add a token's text and point *text at what is safe to hand out, until the next call. token -1: the
 * end, everything goes. *stopped: a stop string is complete, and the text ends in front of it. */
hearth_status hr_tail_add(struct hr_tail *tail, const hearth_model *model, int32_t token,
                          const char **text, size_t *len, bool *stopped, hearth_error *err);
bool hr_tail_holds(const struct hr_tail *tail);

struct hearth_generation {
    hearth_session *session;
    const hearth_model *model;
    hearth_generation_config config;
    struct hr_call own, *call; /* the memory it lives in */
    int32_t n_ctx;
    const int32_t *prompt;   /* borrowed until it is in the sequence; NULL: none */
    size_t prompt_n, prompt_done;
    int32_t before_prompt;   /* length of the sequence then, and the pending token */
    int32_t before_pending;
    int32_t pending;         /* the token chosen last; -1: none */
    int32_t confirmed;       /* positions whose tokens were given or chosen, pending not included */
    size_t wanted;           /* items of the step that was asked for and not taken yet */
    size_t row;              /* of the session's logits: the first of this generation's */
    int32_t n_rows, row_at;  /* rows there, and the next to be used */
    int32_t n_guess;         /* guesses in the step that was asked for, or whose rows are there */
    bool refused;            /* a step with guesses failed: the next has none */
    uint64_t passes;         /* steps that gave rows */
    struct hr_spec *spec;    /* NULL: no speculation */
    struct hr_constrained *constrained; /* hr_grammar.h; NULL: no grammar */
    int32_t n_generated;     /* since the last prompt */
    hearth_finish finish;
    bool over;               /* the last piece was given */
    struct hr_tail tail;
    float logprob;           /* of the token chosen last, and of the likeliest ones */
    hearth_logprob top[HR_MAX_LOGPROBS];
};

/* Set a prompt, which goes behind the pending token; `tokens` is borrowed until its last chunk was
 * taken. Starts the next turn when the text before is over. */
hearth_status hr_generation_start(hearth_generation *g, const int32_t *tokens, size_t n,
                                  hearth_error *err);
/* The same when the sequence holds the first `there` tokens of the prompt already. */
hearth_status hr_generation_begin(hearth_generation *g, const int32_t *tokens, size_t n,
                                  size_t there, hearth_error *err);
/* A piece can be had without a step. */
bool hr_generation_ready(const hearth_generation *g);
/* The items of the next step: at most `capacity`, of which at most n_rows want logits (both at least
 * 1). *n is 0 when a piece is ready. Calls config.poll. */
hearth_status hr_generation_want(hearth_generation *g, hearth_item *items, size_t capacity,
                                 size_t n_rows, size_t *n, hearth_error *err);
/* The step with those items ended with `status`; `row` is the first of their rows, ns the time the
 * step took on their account, 0 if unknown. Returns what the generation makes of it: the status where
 * it cannot go on, HEARTH_OK after a cancelled one, whose text ends. */
hearth_status hr_generation_take(hearth_generation *g, hearth_status status, size_t row,
                                 uint64_t ns);
/* No row is looked at any more: what the sequence holds of guesses goes. Due before a sequence is given
 * away while its generation still has rows. */
void hr_generation_settle(hearth_generation *g);

#endif
