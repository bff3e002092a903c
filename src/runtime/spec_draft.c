/* Guesses of a draft model: a small model with the same vocabulary and a session of its own, whose
 * sequence follows the history and is taken back where a guess was wrong.
 *
 * The draft is told the end of the text, not all of it: DRAFT_WINDOW tokens when it begins, or when it
 * has fallen further behind than that. A long prompt would otherwise cost more in the draft than its
 * guesses give back, and what a draft knows is mostly near. */
#include "runtime/hr_spec.h"
#include "runtime/hr_session.h"
#include "kernels/hk_math.h"
#include "base/os/hb_os.h"
#include <string.h>

#define DRAFT_WINDOW   16
#define DRAFT_CATCH_UP 0.3 /* cost of a token in a step of several, in guesses */

/* ---- opening ---- */

static hearth_status draft_same_token(const hearth_model *a, const hearth_model *b, int32_t id,
                                      hearth_error *err)
{
    const char *x = "", *y = "";
    size_t nx = 0, ny = 0;
    HB_TRY(hearth_token_bytes(a, id, 1, &x, &nx, err));
    HB_TRY(hearth_token_bytes(b, id, 1, &y, &ny, err));
    if (nx == ny && memcmp(x, y, nx) == 0)
        return HEARTH_OK;
    return hb_fail(err, HEARTH_E_MISMATCH,
                   "draft: its token %d is \"%.*s\", the model's \"%.*s\"; a draft with the same "
                   "vocabulary is accepted",
                   id, ny < 32 ? (int)ny : 32, y, nx < 32 ? (int)nx : 32, x);
}

hearth_status hr_draft_open(struct hr_spec *spec, const hearth_model *model, hearth_error *err)
{
    struct hr_spec_draft *d = &spec->draft;
    hearth_session_info info = {.struct_size = sizeof info};
    if (spec->config.draft == spec->target)
        return hb_fail(err, HEARTH_E_ARGUMENT, "draft: it needs a session of its own");
    d->session = spec->config.draft;
    d->model = hr_session_model(d->session);
    d->seq = spec->config.draft_seq;
    hearth_session_get_info(d->session, &info);
    d->n_ctx = info.n_ctx;
    d->n_batch = info.n_batch;
    if (d->model->info.kind != HEARTH_MODEL_GENERATIVE)
        return hb_fail(err, HEARTH_E_ARGUMENT, "draft: its model generates no text");
    if (d->model->info.vocab_size != model->info.vocab_size)
        return hb_fail(err, HEARTH_E_MISMATCH,
                       "draft: its vocabulary has %d tokens, the model's %d; a draft with the same "
                       "vocabulary is accepted",
                       d->model->info.vocab_size, model->info.vocab_size);
    if (d->model->tokenizer && model->tokenizer)
        for (int32_t id = 0; id < model->info.vocab_size; id++)
            HB_TRY(draft_same_token(model, d->model, id, err));
    if (d->session->kv.window)
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "draft: its sequences are windows, which give back nothing; a session without "
                       "one is accepted");
    if (spec->account->draft != d->model) { /* what was learned is about another one */
        spec->account->draft = d->model;
        spec->account->draft_rate = (struct hr_rate){0};
        spec->account->guess_ns = 0;
        memset(spec->account->rate, 0, HR_SPEC_DRAFT_BUCKETS * sizeof(struct hr_rate));
    }
    if (hearth_seq_length(d->session, d->seq) != 0)
        return hb_fail(err, HEARTH_E_STATE,
                       "draft: sequence %d has %d positions; an empty one is accepted", d->seq,
                       hearth_seq_length(d->session, d->seq));
    return HEARTH_OK;
}

void hr_draft_close(struct hr_spec *spec)
{
    if (spec->draft.session)
        hearth_seq_trim(spec->draft.session, spec->draft.seq, 0, NULL);
}

/* ---- following the history ---- */

void hr_draft_follow(struct hr_spec *spec)
{
    struct hr_spec_draft *d = &spec->draft;
    int32_t n = spec->n_history > d->start ? spec->n_history - d->start : 0;
    if (!d->session)
        return;
    for (int32_t i = 0; i < d->fed && d->known < n; i++) {
        if (spec->history[d->start + d->known] != spec->guess[i].token)
            break;
        d->known++;
    }
    d->fed = 0;
    if (d->known > n)
        d->known = n;
    if (n - d->known > DRAFT_WINDOW || d->known == 0) {
        d->known = 0;
        d->start = spec->n_history > DRAFT_WINDOW ? spec->n_history - DRAFT_WINDOW : 0;
    }
    hearth_seq_trim(d->session, d->seq, d->known, NULL);
}

static bool draft_step(struct hr_spec *spec, const hearth_item *items, int32_t n)
{
    struct hr_spec_draft *d = &spec->draft;
    if (atomic_load(&spec->target->cancel))
        return false;
    hearth_status status = hearth_session_step(d->session, items, (size_t)n, NULL);
    d->failed = status != HEARTH_OK && status != HEARTH_E_CANCELLED;
    return status == HEARTH_OK;
}

/* Tell it the tokens that it does not know. At least one, the pending one; its row is then there. */
static bool draft_catch_up(struct hr_spec *spec)
{
    struct hr_spec_draft *d = &spec->draft;
    hearth_item items[DRAFT_WINDOW];
    const int32_t total = spec->n_history - d->start;
    while (d->known < total) {
        int32_t n = total - d->known, most = d->n_batch < DRAFT_WINDOW ? d->n_batch : DRAFT_WINDOW;
        n = n < most ? n : most;
        for (int32_t i = 0; i < n; i++)
            items[i] = (hearth_item){spec->history[d->start + d->known + i], d->seq,
                                     d->known + i + 1 == total};
        if (!draft_step(spec, items, n))
            return false;
        d->known += n;
    }
    return true;
}

/* ---- guessing ---- */

/* The likeliest token and its probability. */
static float draft_largest(const float *logits, int32_t n, int32_t *token)
{
    double total = 0;
    *token = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[*token])
            *token = i;
    for (int32_t i = 0; i < n; i++)
        total += (double)hk_exp(logits[i] - logits[*token]);
    return (float)(1 / total);
}

/* Guess i from the row there is. Returns the probability that the draft gives it; below 0: none. */
static float draft_one(struct hr_spec *spec, hearth_sampler *sampler, int32_t i)
{
    struct hr_guess *g = &spec->guess[i];
    const float *logits = hearth_session_logits(spec->draft.session, 0);
    int32_t largest;
    float p = draft_largest(logits, spec->draft.model->info.vocab_size, &largest);
    if (!sampler) {
        g->token = largest;
        g->n = 0;
        return p;
    }
    if (hr_sampler_guess(sampler, logits, g, NULL) != HEARTH_OK)
        return -1;
    for (int32_t k = 0; k < g->n; k++)
        if (g->id[k] == g->token)
            p = g->p[k];
    return p;
}

static uint8_t draft_bucket(float p)
{
    int32_t b = (int32_t)(p * HR_SPEC_DRAFT_BUCKETS);
    return (uint8_t)(b < HR_SPEC_DRAFT_BUCKETS ? b : HR_SPEC_DRAFT_BUCKETS - 1);
}

static void draft_all(struct hr_spec *spec, hearth_sampler *sampler, int32_t most)
{
    struct hr_spec_draft *d = &spec->draft;
    int32_t guessed = 0;
    double p = 1;
    for (int32_t i = 0; i < most; i++) {
        float own = draft_one(spec, sampler, i);
        if (own < 0)
            break;
        guessed++;
        spec->bucket[i] = draft_bucket(own);
        p *= hr_spec_rate(&spec->account->rate[spec->bucket[i]]);
        if (!hr_spec_keeps(spec, i, p))
            break;
        spec->n_guess++;
        const hearth_item item = {spec->guess[i].token, d->seq, 1};
        if (i + 1 == most || !draft_step(spec, &item, 1))
            break;
        d->fed++;
    }
    if (sampler)
        hr_sampler_rewind(sampler, guessed);
}

/* Time of a guess: as measured, or as the weights of both models have it. */
static double draft_cost(const struct hr_spec *spec)
{
    const struct hr_spec_account *a = spec->account;
    const hearth_model_info *target = &hr_session_model(spec->target)->info;
    if (a->guess_ns > 0)
        return a->guess_ns;
    return a->pass_ns[1] * (double)spec->draft.model->info.weight_bytes / (double)target->weight_bytes;
}

/* Tokens that it must be told beyond the one that a guess begins with. */
static int32_t draft_behind(const struct hr_spec *spec)
{
    int32_t n = spec->n_history - spec->draft.start - spec->draft.known - 1;
    return n > DRAFT_WINDOW - 1 ? DRAFT_WINDOW - 1 : n > 0 ? n : 0;
}

void hr_draft_guess(struct hr_spec *spec, hearth_sampler *sampler, int32_t most)
{
    struct hr_spec_draft *d = &spec->draft;
    struct hr_spec_account *a = spec->account;
    if (!d->session || d->failed || d->full)
        return;
    double each = draft_cost(spec);
    most = hr_spec_worth(spec, &a->draft_rate, each, draft_behind(spec) * each * DRAFT_CATCH_UP, most);
    if (most == 0)
        return;
    int32_t room = d->n_ctx - (spec->n_history - d->start);
    if (room < 1) {
        d->full = true;
        return;
    }
    if (!draft_catch_up(spec))
        return;
    uint64_t start_ns = hb_os_now_ns();
    draft_all(spec, sampler, most < room ? most : room);
    double ns = (double)(hb_os_now_ns() - start_ns) / (spec->n_guess + 1);
    a->guess_ns = a->guess_ns > 0 ? a->guess_ns + 0.1 * (ns - a->guess_ns) : ns;
}
