/* Speculation's memory, statistics, and account: how many guesses are worth their cost.
 *
 * With T(n) the time of a step of n items, d the time of a guess, and a the rate at which guesses are
 * right, k guesses give E(k) = 1 + a + ... + a^k tokens in T(k + 1) + k d. The k with the most tokens per
 * second is taken; all of it is measured as it goes, T(1) in plain passes first.
 *
 * Trying costs too, so it has a budget: what passes with guesses cost above the plain price of the tokens
 * they gave is a debt, and while the debt is over ACCOUNT_SHARE of all time plus half a pass, nothing
 * is guessed. So a text costs at most about that much more than a plain one, whatever guesses are worth.
 * Before anything is known, the cost of a prompt's token in a large step says what an item costs at least,
 * and the sizes of the weights what a draft costs. */
#include "runtime/hr_spec.h"
#include "runtime/hr_session.h"
#include "base/os/hb_os.h"
#include <string.h>

#define SPEC_DEFAULT_GUESSES 16
#define ACCOUNT_SHARE        0.01
#define ACCOUNT_START        0.5  /* and this many passes more */
#define ACCOUNT_KNOWN        8    /* guesses after which a rate counts as known */
#define ACCOUNT_PLAIN        3    /* plain passes before the first guess */
#define ACCOUNT_REMEASURE    96   /* passes after which T(1) is measured again */
#define ACCOUNT_GAIN         1.02 /* what guessing must promise */
#define ACCOUNT_SLOPE        0.15 /* T(n) / T(1) - 1 per item, where nothing is known */
#define ACCOUNT_PAUSE        16
#define ACCOUNT_MAX_PAUSE    1024
#define RATE_DECAY           0.98
#define RATE_RIGHT           2.4  /* before anything is known: 0.6, with the weight of 4 guesses */
#define RATE_TRIED           4.0

/* ---- opening ---- */

static hearth_status spec_config(const hearth_generation_config *config, hearth_session *session,
                                 hearth_speculation_config *c, hearth_error *err)
{
    const hearth_speculation_config *in = config->speculation;
    *c = (hearth_speculation_config){.struct_size = sizeof *c};
    memcpy(c, in, in->struct_size < sizeof *c ? in->struct_size : sizeof *c);
    if (!c->draft && !c->lookup && !c->guess)
        return hb_fail(err, HEARTH_E_ARGUMENT,
                       "speculation: nobody guesses; a draft, lookup or a function is needed");
    if (c->max_guesses == 0)
        c->max_guesses = SPEC_DEFAULT_GUESSES;
    if (c->max_guesses < 1 || c->max_guesses > HR_MAX_GUESS)
        return hb_fail(err, HEARTH_E_RANGE, "speculation: max_guesses %d; 1 to %d are accepted",
                       c->max_guesses, HR_MAX_GUESS);
    if (session->kv.window)
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "speculation: the session's sequences are windows, which give back nothing; "
                       "a session without one is accepted");
    if (session->config.n_logits < 2)
        return hb_fail(err, HEARTH_E_LIMIT,
                       "speculation: the session keeps %d row of logits; one more than max_guesses "
                       "are needed",
                       session->config.n_logits);
    return HEARTH_OK;
}

hearth_status hr_spec_open(const hearth_generation_config *config, hearth_session *session,
                           struct hb_arena *arena, struct hr_spec **out, hearth_error *err)
{
    hearth_speculation_config c;
    struct hr_spec *spec;
    HB_TRY(spec_config(config, session, &c, err));
    HB_TRY(HB_ARENA_NEW(arena, struct hr_spec, 1, &spec, err));
    HB_TRY(HB_ARENA_NEW(arena, struct hr_guess, (size_t)c.max_guesses, &spec->guess, err));
    spec->n_ctx = session->config.n_ctx;
    HB_TRY(HB_ARENA_NEW(arena, int32_t, (size_t)spec->n_ctx, &spec->history, err));
    spec->config = c;
    spec->target = session;
    spec->account = &session->speculation;
    if (spec->account->pause == 0)
        spec->account->pause = ACCOUNT_PAUSE;
    spec->stats.off = "";
    if (c.draft)
        HB_TRY(hr_draft_open(spec, hr_session_model(session), err));
    *out = spec;
    return HEARTH_OK;
}

void hr_spec_close(struct hr_spec *spec)
{
    hr_draft_close(spec);
}

/* ---- history ---- */

void hr_spec_push(struct hr_spec *spec, int32_t token)
{
    if (spec->n_history < spec->n_ctx)
        spec->history[spec->n_history++] = token;
}

void hr_spec_forget(struct hr_spec *spec)
{
    spec->n_history = 0;
    hr_draft_follow(spec);
}

/* ---- the account ---- */

double hr_spec_rate(const struct hr_rate *rate)
{
    return (rate->right + RATE_RIGHT) / (rate->tried + RATE_TRIED);
}

static void account_rate(struct hr_rate *rate, bool right)
{
    rate->right = rate->right * RATE_DECAY + right;
    rate->tried = rate->tried * RATE_DECAY + 1;
}

/* T(n): as measured, between or behind measured ones along a line. */
static double account_pass(const struct hr_spec_account *a, int32_t n)
{
    int32_t below = n, above = n + 1;
    if (a->pass_ns[n] > 0)
        return a->pass_ns[n];
    while (below > 1 && a->pass_ns[below] == 0)
        below--;
    while (above < HR_MAX_GUESS + 2 && a->pass_ns[above] == 0)
        above++;
    double low = a->pass_ns[below], slope = ACCOUNT_SLOPE * a->pass_ns[1];
    slope = a->prompt_ns > slope ? a->prompt_ns : slope;
    if (above < HR_MAX_GUESS + 2)
        slope = (a->pass_ns[above] - low) / (above - below);
    else if (below > 1)
        slope = (low - a->pass_ns[1]) / (below - 1);
    return low + (slope > 0 ? slope : 0) * (n - below);
}

static double account_value(const struct hr_spec_account *a, double rate, double guess_ns, int32_t k)
{
    double tokens = 1, p = 1;
    for (int32_t i = 0; i < k; i++)
        tokens += p *= rate;
    return tokens / (account_pass(a, k + 1) + k * guess_ns);
}

/* What may still be lost. */
static double account_budget(const struct hr_spec_account *a)
{
    return ACCOUNT_SHARE * a->earned_ns + ACCOUNT_START * a->pass_ns[1] - a->debt_ns;
}

/* What k guesses lose when the first of them is wrong. */
static double account_risk(const struct hr_spec_account *a, double guess_ns, double start_ns, int32_t k)
{
    return account_pass(a, k + 1) + k * guess_ns + start_ns - a->pass_ns[1];
}

/* A trial now and then, of one guess, for rates and costs may have changed. */
static int32_t account_trial(struct hr_spec *spec, double risk)
{
    struct hr_spec_account *a = spec->account;
    spec->stats.off = "guesses cost more than they give";
    if (a->waited < a->pause || risk > account_budget(a))
        return 0;
    a->waited = 0;
    a->pause = a->pause * 2 < ACCOUNT_MAX_PAUSE ? a->pause * 2 : ACCOUNT_MAX_PAUSE;
    return 1;
}

int32_t hr_spec_worth(struct hr_spec *spec, const struct hr_rate *rate, double guess_ns, double start_ns,
                      int32_t most)
{
    struct hr_spec_account *a = spec->account;
    int32_t best = 0;
    if ((spec->config.flags & HEARTH_SPECULATION_STEADY) || most == 0)
        return most;
    if (a->plain_passes < ACCOUNT_PLAIN || a->since_plain > ACCOUNT_REMEASURE)
        return 0;
    if (a->pass_ns[1] == 0) /* nobody says what steps cost */
        return most < 4 ? most : 4;
    double value = account_value(a, hr_spec_rate(rate), guess_ns, 0) * ACCOUNT_GAIN;
    for (int32_t k = 1; k <= most; k++) {
        double v = account_value(a, hr_spec_rate(rate), guess_ns, k);
        if (v > value) {
            value = v;
            best = k;
        }
    }
    if (rate->tried < ACCOUNT_KNOWN) /* a rate that nobody knows yet: no more than may be lost */
        while (best > 1 && account_risk(a, guess_ns, start_ns, best) > account_budget(a))
            best--;
    double risk = account_risk(a, guess_ns, start_ns, 1);
    if (best == 0 || account_budget(a) < 0 || (rate->tried < ACCOUNT_KNOWN && risk > account_budget(a)))
        return account_trial(spec, risk);
    spec->stats.off = "";
    a->pause = ACCOUNT_PAUSE;
    return best;
}

bool hr_spec_keeps(const struct hr_spec *spec, int32_t n, double p)
{
    const struct hr_spec_account *a = spec->account;
    if ((spec->config.flags & HEARTH_SPECULATION_STEADY) || a->pass_ns[1] == 0 || n == 0)
        return true;
    double more = (account_pass(a, n + 2) - a->pass_ns[1]) / (n + 1);
    return p * a->pass_ns[1] > more;
}

/* Settle the pass before: what it cost, what it gave. */
static void account_settle(struct hr_spec *spec)
{
    struct hr_spec_account *a = spec->account;
    double plain = a->pass_ns[1], ns = (double)spec->pass_ns + (double)spec->guess_ns;
    int32_t tokens = spec->n_right + 1;
    if (spec->pass_ns == 0 || plain == 0)
        return;
    a->earned_ns += tokens * plain;
    a->waited += tokens;
    if (spec->n_guess > 0 || spec->guess_ns > 0)
        a->debt_ns += (spec->n_guess > 0 ? ns : (double)spec->guess_ns + plain) - tokens * plain;
    if (a->debt_ns < -plain)
        a->debt_ns = -plain;
}

void hr_spec_ran(struct hr_spec *spec, uint64_t ns)
{
    struct hr_spec_account *a = spec->account;
    double *mean = &a->pass_ns[spec->n_guess + 1], now = (double)ns;
    spec->stats.drafted += (uint64_t)spec->n_guess;
    spec->pass_ns = ns;
    a->plain_passes += spec->n_guess == 0;
    a->since_plain = spec->n_guess ? a->since_plain + 1 : 0;
    if (ns == 0)
        return;
    if (*mean == 0 || now < *mean * 0.5)
        *mean = now;
    else /* a step that lost its processor says little: it counts as twice the mean at most */
        *mean += 0.15 * ((now < 2 * *mean ? now : 2 * *mean) - *mean);
}

void hr_spec_saw(struct hr_spec *spec, size_t n, uint64_t ns)
{
    struct hr_spec_account *a = spec->account;
    double each = (double)ns / (double)n;
    if (n >= 16 && ns > 0 && (a->prompt_ns == 0 || each < a->prompt_ns))
        a->prompt_ns = each;
}

void hr_spec_verified(struct hr_spec *spec, bool right)
{
    uint8_t bucket = spec->bucket[spec->n_right];
    account_rate(&spec->account->rate[bucket], right);
    if (bucket < HR_SPEC_DRAFT_BUCKETS)
        account_rate(&spec->account->draft_rate, right);
    spec->n_right += right;
    spec->stats.accepted += right;
    spec->wrong = !right;
}

/* ---- guessing ---- */

static void spec_caller_guess(struct hr_spec *spec, int32_t most)
{
    int32_t tokens[HR_MAX_GUESS], n_vocab = hr_session_model(spec->target)->info.vocab_size;
    struct hr_rate *rate = &spec->account->rate[HR_SPEC_CALLER];
    most = hr_spec_worth(spec, rate, spec->account->guess_ns, 0, most);
    if (most == 0)
        return;
    uint64_t start_ns = hb_os_now_ns();
    int32_t n = spec->config.guess(spec->config.guess_user, spec->history,
                                   (size_t)spec->n_history, tokens, most);
    double ns = (double)(hb_os_now_ns() - start_ns);
    for (int32_t i = 0; i < n && i < most && tokens[i] >= 0 && tokens[i] < n_vocab; i++) {
        spec->guess[i].token = tokens[i];
        spec->guess[i].n = 0;
        spec->bucket[i] = HR_SPEC_CALLER;
        spec->n_guess++;
    }
    if (spec->n_guess > 0)
        spec->account->guess_ns += (spec->account->guess_ns > 0 ? 0.1 : 1) *
                                  (ns / spec->n_guess - spec->account->guess_ns);
}

void hr_spec_guess(struct hr_spec *spec, hearth_sampler *sampler, int32_t most)
{
    account_settle(spec);
    hr_draft_follow(spec);
    most = most < spec->config.max_guesses ? most : spec->config.max_guesses;
    spec->n_guess = spec->n_right = 0;
    spec->wrong = false;
    spec->pass_ns = spec->guess_ns = 0;
    if (most < 1)
        return;
    uint64_t start_ns = hb_os_now_ns();
    if (spec->config.lookup)
        hr_lookup_guess(spec, most);
    if (spec->n_guess == 0 && spec->config.guess)
        spec_caller_guess(spec, most);
    if (spec->n_guess == 0)
        hr_draft_guess(spec, sampler, most);
    spec->guess_ns = hb_os_now_ns() - start_ns;
    if (spec->draft.full)
        spec->stats.off = "the draft's context is full";
    if (spec->draft.failed)
        spec->stats.off = "a step of the draft failed";
}
