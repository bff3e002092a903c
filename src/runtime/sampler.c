/* Choosing a token from logits: bias and penalties, then greedy or a chain of stages and one draw. The
 * order of the stages is the one documented in hearth.h. */
#include "runtime/hr_chain.h"
#include "runtime/hr_rng.h"
#include "base/hb_check.h"
#include "kernels/hk_math.h"
#include <string.h>

#define SAMPLER_DRAFT_SEED 0x6A09E667F3BCC908u /* sets the draws of a draft apart */

/* ---- opening and closing ---- */

static hearth_status sampler_bytes(const hearth_sampler_config *c, size_t vocab, size_t *bytes,
                                   hearth_error *err)
{
    size_t bias_bytes;
    size_t ring = (size_t)(c->penalty_window > c->dry_last_n ? c->penalty_window : c->dry_last_n);
    size_t sum = sizeof(hearth_sampler) + vocab * (sizeof(float) + sizeof(struct hr_candidate) + 4) +
                 (ring + HR_MAX_GUESS) * 4 + 1024;
    *bytes = 0;
    if (c->dry_last_n)
        sum += vocab * 5 + (size_t)c->dry_last_n * 4;
    if (!hb_mul_size(c->n_bias, sizeof *c->bias, &bias_bytes) ||
        !hb_add_size(sum, bias_bytes, bytes))
        return hb_fail(err, HEARTH_E_MEMORY, "sampler: %zu biases overflow", c->n_bias);
    return HEARTH_OK;
}

static hearth_status sampler_tables(hearth_sampler *s, struct hb_arena *a, hearth_error *err)
{
    const hearth_sampler_config *c = &s->config;
    size_t vocab = (size_t)s->n_vocab;
    struct hr_history *h = &s->history;
    h->window = c->penalty_window;
    h->capacity = (h->window > c->dry_last_n ? h->window : c->dry_last_n) + HR_MAX_GUESS;
    HB_TRY(HB_ARENA_NEW(a, hearth_logit_bias, c->n_bias, &s->bias, err));
    HB_TRY(HB_ARENA_NEW(a, struct hr_candidate, vocab, &s->heap, err));
    HB_TRY(HB_ARENA_NEW(a, float, vocab, &s->logits, err));
    HB_TRY(HB_ARENA_NEW(a, int32_t, vocab, &h->count, err));
    HB_TRY(HB_ARENA_NEW(a, int32_t, (size_t)h->capacity, &h->ring, err));
    s->dry.last_n = c->dry_last_n;
    if (c->dry_last_n == 0)
        return HEARTH_OK;
    HB_TRY(HB_ARENA_NEW(a, int32_t, vocab, &s->dry.length, err));
    HB_TRY(HB_ARENA_NEW(a, int32_t, (size_t)c->dry_last_n, &s->dry.z, err));
    return HB_ARENA_NEW(a, uint8_t, vocab, &s->dry.breaker, err);
}

hearth_status hearth_sampler_open(const hearth_model *model, const hearth_sampler_config *config,
                                  hearth_sampler **sampler, hearth_error *err)
{
    hearth_sampler_config c = {.struct_size = sizeof c};
    uint8_t stage[HR_STAGE_COUNT];
    int32_t n_stages;
    struct hb_alloc hooks;
    struct hb_arena a;
    hearth_sampler *s;
    size_t bytes;
    if (config)
        memcpy(&c, config, config->struct_size < sizeof c ? config->struct_size : sizeof c);
    HB_TRY(hr_hooks(&c.allocator, &hooks, err));
    HB_TRY(hr_sampler_settings(&c, model, stage, &n_stages, err));
    HB_TRY(sampler_bytes(&c, (size_t)model->info.vocab_size, &bytes, err));
    void *block = hooks.alloc(hooks.user, bytes);
    if (!block)
        return hb_fail(err, HEARTH_E_MEMORY, "sampler: the allocator refused %zu bytes", bytes);
    hb_arena_init_fixed(&a, block, bytes);
    hearth_status status = hb_arena_take(&a, sizeof *s, 16, (void **)&s, err);
    if (status == HEARTH_OK) {
        s->config = c;
        s->hooks = hooks;
        s->bytes = bytes;
        s->model = model;
        s->n_vocab = model->info.vocab_size;
        s->n_stages = n_stages;
        memcpy(s->stage, stage, sizeof stage);
        status = sampler_tables(s, &a, err);
    }
    if (status != HEARTH_OK) {
        hooks.free(hooks.user, block, bytes);
        return status;
    }
    for (size_t i = 0; i < c.n_bias; i++)
        s->bias[i] = c.bias[i];
    if (c.dry_last_n)
        hr_sampler_breakers(model, &c, s->dry.breaker);
    s->config.bias = NULL; /* the caller's; what they hold was copied */
    s->config.dry_breakers = NULL;
    s->config.order = NULL;
    hearth_sampler_reset(s);
    *sampler = s;
    return HEARTH_OK;
}

void hearth_sampler_close(hearth_sampler *s)
{
    if (s)
        s->hooks.free(s->hooks.user, s, s->bytes);
}

void hearth_sampler_reset(hearth_sampler *s)
{
    memset(s->history.count, 0, (size_t)s->n_vocab * sizeof *s->history.count);
    s->history.n = 0;
    s->mu = 2 * (double)s->config.mirostat_tau;
    s->draws = (struct hr_draws){s->config.seed, s->config.stream, 0};
    s->draft_draws = (struct hr_draws){s->config.seed ^ SAMPLER_DRAFT_SEED, s->config.stream, 0};
}

/* ---- history and constraint ---- */

void hearth_sampler_accept(hearth_sampler *s, int32_t token)
{
    if (token >= 0 && token < s->n_vocab)
        hr_history_add(&s->history, token);
}

void hr_sampler_rewind(hearth_sampler *s, int32_t n)
{
    hr_history_rewind(&s->history, n);
}

void hr_sampler_constrain(hearth_sampler *s, const struct hr_constraint *constraint)
{
    s->constraint = constraint ? *constraint : (struct hr_constraint){0};
}

void hr_sampler_chosen(hearth_sampler *s, int32_t token)
{
    hearth_sampler_accept(s, token);
    if (s->constraint.accept)
        s->constraint.accept(s->constraint.user, token);
}

static void sampler_mask(hearth_sampler *s)
{
    const struct hr_constraint *c = &s->constraint;
    if (c->mask) {
        c->mask(c->user, s->logits, s->n_vocab);
        return;
    }
    for (int32_t i = 0; i < s->n_vocab; i++)
        if (s->logits[i] > -HK_INFINITY && !c->allow(c->user, i))
            s->logits[i] = -HK_INFINITY;
}

/* ---- scores ---- */

static bool sampler_has(const hearth_sampler *s, enum hr_stage_id id)
{
    for (int32_t i = 0; i < s->n_stages; i++)
        if (s->stage[i] == id)
            return true;
    return false;
}

/* The logits with bias, penalties and DRY. */
static hearth_status sampler_load(hearth_sampler *s, const float *logits, hearth_error *err)
{
    for (int32_t i = 0; i < s->n_vocab; i++) {
        if (logits[i] != logits[i] || logits[i] == HK_INFINITY)
            return hb_fail(err, HEARTH_E_NUMERIC, "sampler: logit of token %d is %g", i,
                           (double)logits[i]);
        s->logits[i] = logits[i];
    }
    for (size_t i = 0; i < s->config.n_bias; i++) {
        float *l = &s->logits[s->bias[i].token];
        *l = hr_score(*l + s->bias[i].bias);
    }
    if (sampler_has(s, HR_STAGE_penalties))
        hr_stage_penalties(s);
    if (sampler_has(s, HR_STAGE_dry))
        hr_stage_dry(s);
    return HEARTH_OK;
}

/* ---- choosing ---- */

double hr_draw(struct hr_draws *d)
{
    return hr_uniform(d->seed, d->stream, d->n++);
}

static hearth_status sampler_banned(hearth_error *err)
{
    return hb_fail(err, HEARTH_E_NUMERIC, "sampler: every token is banned");
}

static hearth_status sampler_greedy(const hearth_sampler *s, int32_t *token, hearth_error *err)
{
    int32_t best = 0;
    for (int32_t i = 1; i < s->n_vocab; i++)
        if (s->logits[i] > s->logits[best])
            best = i;
    if (s->logits[best] == -HK_INFINITY)
        return sampler_banned(err);
    *token = best;
    return HEARTH_OK;
}

static hearth_status sampler_set(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws,
                                 hearth_error *err)
{
    hr_set_fill(s, set);
    if (set->n == 0)
        return sampler_banned(err);
    hr_set_cut(s, set, draws);
    return HEARTH_OK;
}

hearth_status hr_sampler_set(hearth_sampler *s, const float *logits, struct hr_set *set,
                             hearth_error *err)
{
    HB_TRY(sampler_load(s, logits, err));
    return sampler_set(s, set, &s->draws, err);
}

/* The candidate at which the running sum of weights passes a random mark. */
static int32_t sampler_draw(const struct hr_set *set, struct hr_draws *draws)
{
    double mark = hr_draw(draws) * set->total, sum = 0;
    for (int32_t i = 0; i < set->n - 1; i++) {
        sum += (double)hr_set_weight(set, i);
        if (mark < sum)
            return i;
    }
    return set->n - 1;
}

static void sampler_move_mu(hearth_sampler *s, const struct hr_set *set, int32_t i)
{
    double p = (double)hr_set_weight(set, i) / set->total;
    double surprise = p > 0 ? -hk_log_f64(p) / 0.69314718055994530942 : 0;
    if (s->config.mirostat)
        s->mu -= (double)s->config.mirostat_eta * (surprise - (double)s->config.mirostat_tau);
}

static hearth_status sampler_pick(hearth_sampler *s, int32_t *token, hearth_error *err)
{
    struct hr_set set;
    if (s->config.temperature <= 0)
        return sampler_greedy(s, token, err);
    HB_TRY(sampler_set(s, &set, &s->draws, err));
    int32_t i = sampler_draw(&set, &s->draws);
    sampler_move_mu(s, &set, i);
    *token = set.c[i].id;
    return HEARTH_OK;
}

hearth_status hearth_sampler_sample(hearth_sampler *s, const float *logits, int32_t *token,
                                    hearth_error *err)
{
    int32_t pick;
    double mu = s->mu;
    HB_TRY(sampler_load(s, logits, err));
    HB_TRY(sampler_pick(s, &pick, err));
    if (s->constraint.allow && !s->constraint.allow(s->constraint.user, pick)) {
        sampler_mask(s);
        s->mu = mu;
        HB_TRY(sampler_pick(s, &pick, err));
    }
    *token = pick;
    return HEARTH_OK;
}

/* ---- guessing and verifying ---- */

hearth_status hr_sampler_guess(hearth_sampler *s, const float *logits, struct hr_guess *guess,
                               hearth_error *err)
{
    struct hr_set set;
    guess->n = 0;
    HB_TRY(sampler_load(s, logits, err));
    if (s->config.temperature <= 0) {
        HB_TRY(sampler_greedy(s, &guess->token, err));
    } else {
        HB_TRY(sampler_set(s, &set, &s->draft_draws, err));
        hr_set_likeliest(&set, HR_GUESS_CANDIDATES);
        guess->token = set.c[sampler_draw(&set, &s->draft_draws)].id;
        guess->n = set.n;
        for (int32_t i = 0; i < set.n; i++) {
            guess->id[i] = set.c[i].id;
            guess->p[i] = (float)((double)hr_set_weight(&set, i) / set.total);
        }
    }
    hr_history_add(&s->history, guess->token);
    return HEARTH_OK;
}

static double sampler_guess_p(const struct hr_guess *guess, int32_t id)
{
    for (int32_t i = 0; i < guess->n; i++)
        if (guess->id[i] == id)
            return (double)guess->p[i];
    return 0;
}

static double sampler_residual(const struct hr_set *set, const struct hr_guess *guess, int32_t i)
{
    double d = (double)hr_set_weight(set, i) / set->total - sampler_guess_p(guess, set->c[i].id);
    return d > 0 ? d : 0;
}

/* The candidate of p that follows a guess: the guess itself, or one of the residual. */
static int32_t sampler_accept_or_draw(hearth_sampler *s, const struct hr_set *set,
                                      const struct hr_guess *guess)
{
    double q = sampler_guess_p(guess, guess->token), total = 0, sum = 0;
    int32_t at = -1, last = -1;
    for (int32_t i = 0; i < set->n && at < 0; i++)
        if (set->c[i].id == guess->token)
            at = i;
    double p = at < 0 ? 0 : (double)hr_set_weight(set, at) / set->total;
    if (hr_draw(&s->draws) * q < p)
        return at;
    for (int32_t i = 0; i < set->n; i++)
        total += sampler_residual(set, guess, i);
    double mark = hr_draw(&s->draws) * total;
    for (int32_t i = 0; i < set->n; i++) {
        double r = sampler_residual(set, guess, i);
        last = r > 0 ? i : last;
        sum += r;
        if (mark < sum)
            return i;
    }
    return last >= 0 ? last : sampler_draw(set, &s->draws); /* p = q but for rounding */
}

hearth_status hr_sampler_verify(hearth_sampler *s, const float *logits,
                                const struct hr_guess *guess, int32_t *token, hearth_error *err)
{
    struct hr_set set;
    if (guess->n == 0 || s->config.temperature <= 0 || s->constraint.allow)
        return hearth_sampler_sample(s, logits, token, err);
    HB_TRY(hr_sampler_set(s, logits, &set, err));
    int32_t i = sampler_accept_or_draw(s, &set, guess);
    sampler_move_mu(s, &set, i);
    *token = set.c[i].id;
    return HEARTH_OK;
}
