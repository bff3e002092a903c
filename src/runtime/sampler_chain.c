/* The set of candidates and the stages that cut it.
 *
 * The set begins as all tokens in the order of their ids and is sorted only as far as a stage needs: it
 * is made a heap by (logit, lower id first), which is linear, and only what is kept is popped. Stages
 * never change a candidate's logit; the temperature is a number of the set. Sums run in the order of the
 * set in double, so equal logits give equal sets on every machine.
 *
 * Every stage keeps at least min_keep candidates. */
#include "runtime/hr_chain.h"
#include "kernels/hk_math.h"
#include <string.h>

#define CHAIN_MIN_TEMPERATURE 1e-6f /* where the entropy asks for less */

/* ---- order ---- */

static bool chain_before(struct hr_candidate a, struct hr_candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void chain_sift(struct hr_candidate *heap, int32_t n, int32_t i)
{
    struct hr_candidate x = heap[i];
    for (int32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && chain_before(heap[child + 1], heap[child]))
            child++;
        if (!chain_before(heap[child], x))
            break;
        heap[i] = heap[child];
    }
    heap[i] = x;
}

static void chain_heapify(struct hr_candidate *heap, int32_t n)
{
    for (int32_t i = n / 2; i-- > 0;)
        chain_sift(heap, n, i);
}

/* Pop the largest to the end of the heap's own array: popped candidates stand behind the heap, largest
 * last. */
static struct hr_candidate chain_pop(struct hr_candidate *heap, int32_t *n)
{
    struct hr_candidate top = heap[0];
    heap[0] = heap[--*n];
    chain_sift(heap, *n, 0);
    heap[*n] = top;
    return top;
}

/* Of n, keep the ones popped until `left` remained, largest first. */
static void chain_keep_popped(struct hr_set *set, int32_t left)
{
    int32_t kept = set->n - left;
    for (int32_t i = 0, j = kept - 1; i < j; i++, j--) {
        struct hr_candidate x = set->c[left + i];
        set->c[left + i] = set->c[left + j];
        set->c[left + j] = x;
    }
    memmove(set->c, set->c + left, (size_t)kept * sizeof *set->c);
    set->n = kept;
    set->sorted = true;
}

static void chain_keep_largest(struct hr_set *set, int32_t k)
{
    int32_t left = set->n;
    if (k >= set->n)
        return;
    if (set->sorted) {
        set->n = k;
        return;
    }
    chain_heapify(set->c, set->n);
    while (set->n - left < k)
        chain_pop(set->c, &left);
    chain_keep_popped(set, left);
}

/* ---- the set ---- */

static void chain_find_max(struct hr_set *set)
{
    set->max = -HK_INFINITY;
    for (int32_t i = 0; i < set->n; i++)
        if (set->c[i].logit > set->max)
            set->max = set->c[i].logit;
}

void hr_set_fill(hearth_sampler *s, struct hr_set *set)
{
    *set = (struct hr_set){.c = s->heap, .temperature = 1};
    for (int32_t i = 0; i < s->n_vocab; i++)
        if (s->logits[i] > -HK_INFINITY)
            set->c[set->n++] = (struct hr_candidate){s->logits[i], i};
    chain_find_max(set);
}

float hr_set_weight(const struct hr_set *set, int32_t i)
{
    return hk_exp((set->c[i].logit - set->max) / set->temperature);
}

static double chain_total(const struct hr_set *set)
{
    double total = 0;
    for (int32_t i = 0; i < set->n; i++)
        total += (double)hr_set_weight(set, i);
    return total;
}

void hr_set_likeliest(struct hr_set *set, int32_t n)
{
    if (n >= set->n)
        return;
    chain_keep_largest(set, n);
    set->total = chain_total(set);
}

static double chain_entropy(const struct hr_set *set, double total)
{
    double log_total = hk_log_f64(total), sum = 0;
    for (int32_t i = 0; i < set->n; i++) {
        double w = (double)hr_set_weight(set, i);
        if (w > 0)
            sum += w * (log_total - (double)((set->c[i].logit - set->max) / set->temperature));
    }
    return sum / total;
}

/* Drop what is below `floor`, order kept; too few left: the min_keep largest. */
static void chain_keep_from(const hearth_sampler *s, struct hr_set *set, double floor)
{
    int32_t n = 0, kept = 0;
    for (int32_t i = 0; i < set->n; i++)
        n += (double)set->c[i].logit >= floor;
    if (n < s->config.min_keep) {
        chain_keep_largest(set, s->config.min_keep);
        return;
    }
    for (int32_t i = 0; i < set->n; i++)
        if ((double)set->c[i].logit >= floor)
            set->c[kept++] = set->c[i];
    set->n = kept;
}

/* ---- stages ---- */

typedef void chain_stage_fn(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws);

/* Source: Tang et al., "Top-n-sigma: not all logits are you need", 2024. */
static void chain_top_n_sigma(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws)
{
    double sum = 0, squares = 0;
    (void)draws;
    if (s->config.top_n_sigma <= 0 || set->n < 2)
        return;
    for (int32_t i = 0; i < set->n; i++)
        sum += (double)set->c[i].logit;
    double mean = sum / set->n;
    for (int32_t i = 0; i < set->n; i++) {
        double d = (double)set->c[i].logit - mean;
        squares += d * d;
    }
    double sigma = (double)hk_sqrt((float)(squares / set->n));
    chain_keep_from(s, set, (double)set->max - (double)s->config.top_n_sigma * sigma);
}

static void chain_top_k(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws)
{
    (void)draws;
    if (s->config.top_k > 0)
        chain_keep_largest(set, s->config.top_k > s->config.min_keep ? s->config.top_k
                                                                     : s->config.min_keep);
}

/* Surprise is -log p; its mean is the entropy. While the set is ordered by the distance between the
 * two, the distance stands in the place of the logit.
 * Source: Meister et al., "Locally typical sampling", 2022. */
static void chain_typical(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws)
{
    (void)draws;
    if (s->config.typical_p >= 1 || set->n < 2)
        return;
    double total = chain_total(set), log_total = hk_log_f64(total), mass = 0;
    double entropy = chain_entropy(set, total);
    for (int32_t i = 0; i < set->n; i++) {
        double surprise = log_total - (double)((set->c[i].logit - set->max) / set->temperature);
        set->c[i].logit = -hk_abs((float)(surprise - entropy));
    }
    int32_t left = set->n;
    chain_heapify(set->c, set->n);
    while (left > 0 && (mass < (double)s->config.typical_p * total ||
                        set->n - left < s->config.min_keep)) {
        float logit = s->logits[chain_pop(set->c, &left).id];
        mass += (double)hk_exp((logit - set->max) / set->temperature);
    }
    chain_keep_popped(set, left);
    set->sorted = false;
    for (int32_t i = 0; i < set->n; i++)
        set->c[i].logit = s->logits[set->c[i].id];
    chain_find_max(set);
}

static void chain_top_p(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws)
{
    (void)draws;
    if (s->config.top_p >= 1)
        return;
    double want = chain_total(set) * (double)s->config.top_p, mass = 0;
    int32_t left = set->n, i = 0;
    if (!set->sorted)
        chain_heapify(set->c, set->n);
    for (; i < set->n && (mass < want || i < s->config.min_keep); i++) {
        float logit = set->sorted ? set->c[i].logit : chain_pop(set->c, &left).logit;
        mass += (double)hk_exp((logit - set->max) / set->temperature);
    }
    if (set->sorted)
        set->n = i;
    else
        chain_keep_popped(set, left);
}

static void chain_min_p(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws)
{
    (void)draws;
    if (s->config.min_p <= 0)
        return;
    double below = hk_log_f64((double)s->config.min_p) * (double)set->temperature;
    chain_keep_from(s, set, (double)set->max + below);
}

/* Of the candidates at least as likely as the threshold only the least likely stays. The coin is
 * thrown whenever the stage is on, so that the number of draws does not depend on the logits.
 * Source: p-e-w, "Exclude Top Choices", text-generation-webui pull request 6335. */
static void chain_xtc(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws)
{
    const hearth_sampler_config *c = &s->config;
    if (c->xtc_probability <= 0 || c->xtc_threshold > 0.5f)
        return;
    if (hr_draw(draws) >= (double)c->xtc_probability)
        return;
    double floor = chain_total(set) * (double)c->xtc_threshold;
    int32_t likely = 0, last = -1, kept = 0;
    for (int32_t i = 0; i < set->n; i++)
        if ((double)hr_set_weight(set, i) >= floor) {
            likely++;
            if (last < 0 || chain_before(set->c[last], set->c[i]))
                last = i;
        }
    if (likely < 2 || set->n - (likely - 1) < c->min_keep)
        return;
    struct hr_candidate stays = set->c[last];
    for (int32_t i = 0; i < set->n; i++)
        if (!chain_before(set->c[i], stays))
            set->c[kept++] = set->c[i];
    set->n = kept;
    set->max = stays.logit;
}

/* With a range, the temperature moves between temperature - range and temperature + range with the
 * entropy, which is 1 where all candidates are equally likely.
 * Source: kalomaze's dynamic temperature, as in "DynaTemp" of KoboldCpp. */
static void chain_temperature(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws)
{
    const hearth_sampler_config *c = &s->config;
    float t = c->temperature;
    (void)draws;
    if (c->dynatemp_range > 0 && set->n > 1) {
        double low = (double)(t > c->dynatemp_range ? t - c->dynatemp_range : 0);
        double high = (double)(t + c->dynatemp_range);
        double e = chain_entropy(set, chain_total(set)) / hk_log_f64((double)set->n);
        e = e < 0 ? 0 : e > 1 ? 1 : e;
        if (c->dynatemp_exponent != 1 && e > 0)
            e = hk_pow_f64(e, (double)c->dynatemp_exponent);
        t = (float)(low + (high - low) * e);
        t = t < CHAIN_MIN_TEMPERATURE ? CHAIN_MIN_TEMPERATURE : t;
    }
    set->temperature *= t;
}

/* Version 2: drop what would surprise more than mu, which sampler.c moves after every token.
 * Source: Basu et al., "Mirostat: a neural text decoding algorithm that directly controls
 * perplexity", 2021. */
static void chain_mirostat(hearth_sampler *s, struct hr_set *set)
{
    double floor = hk_log_f64(chain_total(set)) - s->mu * 0.69314718055994530942;
    chain_keep_from(s, set, (double)set->max + floor * (double)set->temperature);
}

static void chain_scores(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws)
{
    (void)s, (void)set, (void)draws; /* ran before there was a set */
}
#define chain_penalties chain_scores
#define chain_dry       chain_scores

void hr_set_cut(hearth_sampler *s, struct hr_set *set, struct hr_draws *draws)
{
    static chain_stage_fn *const stage[HR_STAGE_COUNT] = {
#define HR_STAGE(id, name, kind, text) chain_##id,
#include "runtime/sampler_stages.def"
#undef HR_STAGE
    };
    if (s->config.mirostat == 2) {
        chain_temperature(s, set, draws);
        chain_mirostat(s, set);
    } else {
        for (int32_t i = 0; i < s->n_stages && set->n > 0; i++)
            stage[s->stage[i]](s, set, draws);
    }
    set->total = chain_total(set);
}
