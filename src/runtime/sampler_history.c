/* Scores of tokens that were seen before: the history, the penalties on its last tokens, and DRY.
 *
 * DRY ("don't repeat yourself") looks at the longest repetition that a token would continue:
 *
 *     ... a b c X ... a b c ?        X is penalised by multiplier * base ^ (3 - allowed length)
 *
 * A breaker (line end, colon, quote, star unless told otherwise) ends what counts as one repetition. The
 * lengths are the Z function of the reversed history, so a step is linear in the window.
 * Source: p-e-w, "DRY: A modern repetition penalty", text-generation-webui pull request 5677. */
#include "runtime/hr_chain.h"
#include <string.h>

#define HISTORY_MAX_PENALTY 1e30f /* keeps logits finite */

/* ---- history ---- */

/* The i-th token from the end; 0 is the last. */
static int32_t history_back(const struct hr_history *h, int64_t i)
{
    return h->ring[(h->n - 1 - i) % h->capacity];
}

void hr_history_add(struct hr_history *h, int32_t token)
{
    if (h->n >= h->window)
        h->count[history_back(h, h->window - 1)]--;
    h->ring[h->n++ % h->capacity] = token;
    h->count[token]++;
}

void hr_history_rewind(struct hr_history *h, int32_t n)
{
    for (; n > 0 && h->n > 0; n--) {
        h->count[history_back(h, 0)]--;
        h->n--;
        if (h->n >= h->window)
            h->count[history_back(h, h->window - 1)]++;
    }
}

/* ---- penalties ---- */

/* On every token of the window, once each. */
void hr_stage_penalties(hearth_sampler *s)
{
    const hearth_sampler_config *c = &s->config;
    struct hr_history *h = &s->history;
    int64_t n = h->n < h->window ? h->n : h->window;
    if (c->repeat_penalty == 1 && c->presence_penalty == 0 && c->frequency_penalty == 0)
        return;
    for (int64_t i = 0; i < n; i++) {
        int32_t token = history_back(h, i), seen = h->count[token];
        if (seen <= 0)
            continue; /* done already */
        float *l = &s->logits[token];
        *l = *l > 0 ? *l / c->repeat_penalty : *l * c->repeat_penalty;
        *l -= (float)seen * c->frequency_penalty + c->presence_penalty;
        *l = hr_score(*l);
        h->count[token] = -seen;
    }
    for (int64_t i = 0; i < n; i++) {
        int32_t *seen = &h->count[history_back(h, i)];
        if (*seen < 0)
            *seen = -*seen;
    }
}

/* ---- DRY ---- */

/* Tokens since the last breaker: no repetition is longer. */
static int32_t history_unbroken(const hearth_sampler *s, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (s->dry.breaker[history_back(&s->history, i)])
            return i;
    return n;
}

/* z[i]: how many tokens before position i from the end equal those before the end. */
static void history_lengths(const struct hr_history *h, int32_t *z, int32_t n)
{
    int32_t left = 0, right = 0; /* the match that reaches furthest */
    z[0] = n;
    for (int32_t i = 1; i < n; i++) {
        int32_t len = 0;
        if (i < right)
            len = z[i - left] < right - i ? z[i - left] : right - i;
        while (i + len < n && history_back(h, len) == history_back(h, i + len))
            len++;
        z[i] = len;
        if (i + len > right) {
            left = i;
            right = i + len;
        }
    }
}

static float history_power(float base, int32_t n)
{
    float p = 1;
    for (int32_t i = 0; i < n && p < HISTORY_MAX_PENALTY && base > 1; i++)
        p *= base;
    return p;
}

void hr_stage_dry(hearth_sampler *s)
{
    const hearth_sampler_config *c = &s->config;
    struct hr_dry *d = &s->dry;
    int32_t n = (int32_t)(s->history.n < d->last_n ? s->history.n : d->last_n);
    if (c->dry_multiplier == 0 || n == 0)
        return;
    int32_t limit = history_unbroken(s, n);
    if (limit < c->dry_allowed_length)
        return;
    history_lengths(&s->history, d->z, n);
    for (int32_t i = 1; i < n; i++) {
        int32_t len = d->z[i] < limit ? d->z[i] : limit, *max = &d->length[history_back(&s->history, i - 1)];
        if (len >= c->dry_allowed_length && len > *max)
            *max = len;
    }
    for (int32_t i = 0; i < n; i++) {
        int32_t token = history_back(&s->history, i), len = d->length[token];
        d->length[token] = 0;
        if (len == 0)
            continue;
        float penalty = c->dry_multiplier * history_power(c->dry_base, len - c->dry_allowed_length);
        s->logits[token] -= penalty < HISTORY_MAX_PENALTY ? penalty : HISTORY_MAX_PENALTY;
    }
}
