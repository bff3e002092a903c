/* Choosing a token from logits; the order of the stages is the one documented in hearth.h.
 *
 * Candidates are kept in a max-heap by (logit, lower id first): building it is linear, and only the
 * candidates that top-k, top-p and min-p let through are popped. All three cut a suffix of the same
 * descending order, so the survivors are a prefix of it. */
#include "runtime/hr_sampler.h"
#include "runtime/hr_rng.h"
#include "base/hb_check.h"
#include "kernels/hk_math.h"
#include <string.h>

#define SAMPLER_DEFAULT_WINDOW 64
#define SAMPLER_MAX_WINDOW     (1 << 20)

struct sampler_candidate {
    float logit;
    int32_t id;
};

struct hearth_sampler {
    hearth_sampler_config config;
    struct hb_alloc hooks;
    size_t bytes;
    int32_t n_vocab;
    hearth_logit_bias *bias;
    struct sampler_candidate *heap; /* [n_vocab] */
    float *logits;                  /* [n_vocab] after bias and penalties */
    int32_t *count;                 /* [n_vocab] occurrences in the window */
    int32_t *window;                /* ring of the last tokens */
    int32_t window_n, window_next;
    uint64_t draws;
    struct hr_constraint constraint; /* allow NULL: none */
};

static hearth_status sampler_real(const char *what, float v, float min, float max,
                                  hearth_error *err)
{
    if (!(v >= min && v <= max))
        return hb_fail(err, HEARTH_E_RANGE, "sampler: %s %g; %g to %g are accepted", what,
                       (double)v, (double)min, (double)max);
    return HEARTH_OK;
}

static hearth_status sampler_check(hearth_sampler_config *c, int32_t n_vocab, hearth_error *err)
{
    c->top_p = c->top_p == 0 ? 1 : c->top_p;
    c->repeat_penalty = c->repeat_penalty == 0 ? 1 : c->repeat_penalty;
    c->penalty_window = c->penalty_window == 0 ? SAMPLER_DEFAULT_WINDOW : c->penalty_window;
    HB_TRY(sampler_real("temperature", c->temperature, -1e6f, 1e6f, err));
    HB_TRY(sampler_real("top_p", c->top_p, 1e-9f, 1, err));
    HB_TRY(sampler_real("min_p", c->min_p, 0, 1, err));
    HB_TRY(sampler_real("repeat_penalty", c->repeat_penalty, 1e-3f, 1e3f, err));
    HB_TRY(sampler_real("presence_penalty", c->presence_penalty, -1e3f, 1e3f, err));
    HB_TRY(sampler_real("frequency_penalty", c->frequency_penalty, -1e3f, 1e3f, err));
    if (c->top_k < 0)
        return hb_fail(err, HEARTH_E_RANGE, "sampler: top_k %d; 0 (off) or more is accepted",
                       c->top_k);
    if (c->penalty_window < 0 || c->penalty_window > SAMPLER_MAX_WINDOW)
        return hb_fail(err, HEARTH_E_RANGE, "sampler: penalty_window %d; 0 to %d are accepted",
                       c->penalty_window, SAMPLER_MAX_WINDOW);
    for (size_t i = 0; i < c->n_bias; i++) {
        if (c->bias[i].token < 0 || c->bias[i].token >= n_vocab)
            return hb_fail(err, HEARTH_E_RANGE, "sampler: bias for token %d; the vocabulary has %d",
                           c->bias[i].token, n_vocab);
        if (c->bias[i].bias != c->bias[i].bias || c->bias[i].bias == HK_INFINITY)
            return hb_fail(err, HEARTH_E_RANGE,
                           "sampler: bias of token %d is NaN or +infinity; finite numbers and "
                           "-infinity are accepted",
                           c->bias[i].token);
    }
    return HEARTH_OK;
}

hearth_status hearth_sampler_open(const hearth_model *model, const hearth_sampler_config *config,
                                  hearth_sampler **sampler, hearth_error *err)
{
    hearth_sampler_config c = {.struct_size = sizeof c};
    struct hb_alloc hooks;
    struct hb_arena a;
    hearth_sampler *s;
    size_t vocab = (size_t)model->info.vocab_size, bytes, bias_bytes;
    if (config)
        memcpy(&c, config, config->struct_size < sizeof c ? config->struct_size : sizeof c);
    HB_TRY(hr_hooks(&c.allocator, &hooks, err));
    HB_TRY(sampler_check(&c, model->info.vocab_size, err));
    if (!hb_mul_size(c.n_bias, sizeof *c.bias, &bias_bytes) ||
        !hb_add_size(sizeof *s + vocab * 16 + (size_t)c.penalty_window * 4 + 512, bias_bytes,
                     &bytes))
        return hb_fail(err, HEARTH_E_MEMORY, "sampler: %zu biases overflow", c.n_bias);
    void *block = hooks.alloc(hooks.user, bytes);
    if (!block)
        return hb_fail(err, HEARTH_E_MEMORY, "sampler: the allocator refused %zu bytes", bytes);
    hb_arena_init_fixed(&a, block, bytes);
    hearth_status status = hb_arena_take(&a, sizeof *s, 16, (void **)&s, err);
    if (status == HEARTH_OK) {
        s->config = c;
        s->hooks = hooks;
        s->bytes = bytes;
        s->n_vocab = (int32_t)vocab;
        status = HB_ARENA_NEW(&a, hearth_logit_bias, c.n_bias, &s->bias, err);
    }
    if (status == HEARTH_OK)
        status = HB_ARENA_NEW(&a, struct sampler_candidate, vocab, &s->heap, err);
    if (status == HEARTH_OK)
        status = HB_ARENA_NEW(&a, float, vocab, &s->logits, err);
    if (status == HEARTH_OK)
        status = HB_ARENA_NEW(&a, int32_t, vocab, &s->count, err);
    if (status == HEARTH_OK)
        status = HB_ARENA_NEW(&a, int32_t, (size_t)c.penalty_window, &s->window, err);
    if (status != HEARTH_OK) {
        hooks.free(hooks.user, block, bytes);
        return status;
    }
    for (size_t i = 0; i < c.n_bias; i++)
        s->bias[i] = c.bias[i];
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
    memset(s->count, 0, (size_t)s->n_vocab * sizeof *s->count);
    s->window_n = s->window_next = 0;
    s->draws = 0;
}

void hearth_sampler_accept(hearth_sampler *s, int32_t token)
{
    if (token < 0 || token >= s->n_vocab || s->config.penalty_window == 0)
        return;
    if (s->window_n == s->config.penalty_window)
        s->count[s->window[s->window_next]]--;
    else
        s->window_n++;
    s->window[s->window_next] = token;
    s->window_next = (s->window_next + 1) % s->config.penalty_window;
    s->count[token]++;
}

/* Bias, then penalties on every token of the window, once each. */
static void sampler_adjust(hearth_sampler *s)
{
    const hearth_sampler_config *c = &s->config;
    for (size_t i = 0; i < c->n_bias; i++)
        s->logits[s->bias[i].token] += s->bias[i].bias;
    if (c->repeat_penalty == 1 && c->presence_penalty == 0 && c->frequency_penalty == 0)
        return;
    for (int32_t i = 0; i < s->window_n; i++) {
        int32_t token = s->window[i], n = s->count[token];
        if (n <= 0)
            continue; /* done already */
        float *l = &s->logits[token];
        *l = *l > 0 ? *l / c->repeat_penalty : *l * c->repeat_penalty;
        *l -= (float)n * c->frequency_penalty + c->presence_penalty;
        s->count[token] = -n;
    }
    for (int32_t i = 0; i < s->window_n; i++)
        if (s->count[s->window[i]] < 0)
            s->count[s->window[i]] = -s->count[s->window[i]];
}

static hearth_status sampler_load(hearth_sampler *s, const float *logits, hearth_error *err)
{
    for (int32_t i = 0; i < s->n_vocab; i++) {
        if (logits[i] != logits[i] || logits[i] == HK_INFINITY)
            return hb_fail(err, HEARTH_E_NUMERIC, "sampler: logit of token %d is %g", i,
                           (double)logits[i]);
        s->logits[i] = logits[i];
    }
    sampler_adjust(s);
    return HEARTH_OK;
}

static bool sampler_before(struct sampler_candidate a, struct sampler_candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void sampler_sift(struct sampler_candidate *heap, int32_t n, int32_t i)
{
    struct sampler_candidate x = heap[i];
    for (int32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && sampler_before(heap[child + 1], heap[child]))
            child++;
        if (!sampler_before(heap[child], x))
            break;
        heap[i] = heap[child];
    }
    heap[i] = x;
}

/* All finite candidates as a heap; returns their number. */
static int32_t sampler_heap(hearth_sampler *s)
{
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_vocab; i++)
        if (s->logits[i] > -HK_INFINITY)
            s->heap[n++] = (struct sampler_candidate){s->logits[i], i};
    for (int32_t i = n / 2; i-- > 0;)
        sampler_sift(s->heap, n, i);
    return n;
}

/* Pop the largest to the end of the heap's own array: popped candidates stand behind the heap,
 * largest last. */
static struct sampler_candidate sampler_pop(struct sampler_candidate *heap, int32_t *n)
{
    struct sampler_candidate top = heap[0];
    heap[0] = heap[--*n];
    sampler_sift(heap, *n, 0);
    heap[*n] = top;
    return top;
}

/* Sum of exp(logit - max) over the candidates that top-p looks at: all, or the top k, which it
 * therefore has to pop first. */
static int32_t sampler_cut(hearth_sampler *s, int32_t n)
{
    const hearth_sampler_config *c = &s->config;
    struct sampler_candidate *heap = s->heap;
    int32_t left = n, kept = 0, limit = c->top_k > 0 && c->top_k < n ? c->top_k : n;
    float max = heap[0].logit;
    double total = 0, mass = 0;
    bool want_mass = c->top_p < 1;
    if (want_mass && limit < n) {
        for (; kept < limit; kept++)
            total += (double)hk_exp(sampler_pop(heap, &left).logit - max);
    } else if (want_mass) {
        for (int32_t i = 0; i < n; i++)
            total += (double)hk_exp(heap[i].logit - max);
    }
    for (int32_t i = 0; i < limit; i++) {
        float logit = i < kept ? heap[n - 1 - i].logit : sampler_pop(heap, &left).logit;
        float weight = hk_exp(logit - max);
        if (i > 0 && weight < c->min_p)
            return i;
        mass += (double)weight;
        if (want_mass && mass >= (double)c->top_p * total)
            return i + 1;
    }
    return limit;
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

static hearth_status sampler_pick(hearth_sampler *s, int32_t *token, hearth_error *err)
{
    if (s->config.temperature <= 0)
        return sampler_greedy(s, token, err);
    int32_t n = sampler_heap(s);
    if (n == 0)
        return sampler_banned(err);
    float max = s->heap[0].logit;
    int32_t kept = sampler_cut(s, n);
    double total = 0;
    for (int32_t i = 0; i < kept; i++)
        total += (double)hk_exp((s->heap[n - 1 - i].logit - max) / s->config.temperature);
    double mark = hr_uniform(s->config.seed, s->config.stream, s->draws++) * total, sum = 0;
    for (int32_t i = 0; i < kept; i++) {
        *token = s->heap[n - 1 - i].id;
        sum += (double)hk_exp((s->heap[n - 1 - i].logit - max) / s->config.temperature);
        if (mark < sum)
            break;
    }
    return HEARTH_OK;
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

hearth_status hearth_sampler_sample(hearth_sampler *s, const float *logits, int32_t *token,
                                    hearth_error *err)
{
    int32_t pick;
    HB_TRY(sampler_load(s, logits, err));
    HB_TRY(sampler_pick(s, &pick, err));
    if (s->constraint.allow && !s->constraint.allow(s->constraint.user, pick)) {
        sampler_mask(s);
        HB_TRY(sampler_pick(s, &pick, err));
    }
    *token = pick;
    return HEARTH_OK;
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
