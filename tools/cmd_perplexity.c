/* hearth perplexity: how well a model predicts a text.
 *
 *     tokens  | window 0: ctx tokens | window 1 | ... | short tail, dropped |
 *
 * Windows do not overlap and nothing is prepended. In a window every position but the last predicts
 * the next token: windows * (ctx - 1) predictions.
 *
 *     nll = mean of -log softmax(logits)[next]        ppl = exp(nll)
 *
 * --save-base keeps all log-probabilities, --base compares with them (divergence.h). */
#include "client.h"
#include "commands.h"
#include "divergence.h"
#include "json_out.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct perplexity_settings {
    struct hc_common common;
    const char *f;
    const char *tokens;
    int32_t token_width;
    int32_t ctx;
    int32_t batch;
    const char *type_k;
    const char *type_v;
    const char *save_base;
    const char *base;
};

/* ---- tokens ---- */

/* Little-endian ids of 2 or 4 bytes. */
static int perplexity_read_ids(const struct perplexity_settings *s, const struct hc_model *m,
                               struct hc_tokens *tokens)
{
    size_t width = (size_t)s->token_width / 8;
    struct hc_text raw;
    int rc = hc_text_read(s->tokens, &raw);
    if (rc != HC_OK)
        return rc;
    tokens->ids = malloc((raw.len / width + 1) * sizeof *tokens->ids);
    if (!tokens->ids)
        rc = hc_fail(HC_LIMIT, s->tokens, "no memory for %zu ids", raw.len / width);
    else if (raw.len % width != 0)
        rc = hc_fail(HC_REFUSED, s->tokens, "%zu bytes; a multiple of %zu is accepted", raw.len,
                     width);
    for (size_t i = 0; rc == HC_OK && i < raw.len / width; i++) {
        const unsigned char *p = (const unsigned char *)raw.bytes + i * width;
        uint32_t id = (uint32_t)p[0] | (uint32_t)p[1] << 8;
        if (width == 4)
            id |= (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        if (id >= (uint32_t)m->info.vocab_size)
            rc = hc_fail(HC_REFUSED, s->tokens, "id %u at place %zu; ids below %d are accepted", id,
                         i, (int)m->info.vocab_size);
        tokens->ids[i] = (int32_t)id;
        tokens->n = i + 1;
    }
    free(raw.bytes);
    return rc;
}

static int perplexity_take_tokens(const struct perplexity_settings *s, const struct hc_model *m,
                                  struct hc_tokens *tokens)
{
    *tokens = (struct hc_tokens){0};
    if (s->tokens)
        return perplexity_read_ids(s, m, tokens);
    struct hc_text text;
    int rc = hc_text_read(s->f, &text);
    if (rc == HC_OK)
        rc = hc_tokenize(m, &text, 0, tokens);
    free(text.bytes);
    return rc;
}

/* ---- one window ---- */

/* -log softmax(x)[target]. Terms in float, sums in double over four chains. */
static double perplexity_nll(const float *x, size_t n, size_t target)
{
    float max = x[0];
    for (size_t i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    double sum[4] = {0, 0, 0, 0};
    for (size_t i = 0; i < n; i++)
        sum[i & 3] += (double)expf(x[i] - max);
    return log((sum[0] + sum[1]) + (sum[2] + sum[3])) - ((double)x[target] - (double)max);
}

struct perplexity_run {
    hearth_session *session;
    hearth_item *items; /* [batch] */
    size_t batch;
    size_t vocab;
    double nll; /* sum */
    uint64_t n;
    struct hc_divergence *divergence; /* or NULL */
};

static int perplexity_row(struct perplexity_run *r, const float *logits, size_t next)
{
    r->nll += perplexity_nll(logits, r->vocab, next);
    r->n++;
    return r->divergence ? hc_divergence_row(r->divergence, logits, next) : HC_OK;
}

/* Every position but the last wants its scores. */
static int perplexity_window(struct perplexity_run *r, const int32_t *ids, size_t ctx)
{
    hearth_error err = {0};
    hearth_session_reset(r->session);
    for (size_t done = 0; done < ctx;) {
        size_t n = ctx - done < r->batch ? ctx - done : r->batch;
        for (size_t i = 0; i < n; i++)
            r->items[i] = (hearth_item){ids[done + i], 0, done + i + 1 < ctx};
        hearth_status status = hearth_session_step(r->session, r->items, n, &err);
        if (status != HEARTH_OK)
            return hc_fail_status(HC_FAILED, "perplexity", status, &err);
        for (size_t i = 0; i < n && done + i + 1 < ctx; i++) {
            int rc = perplexity_row(r, hearth_session_logits(r->session, i), (size_t)ids[done + i + 1]);
            if (rc != HC_OK)
                return rc;
        }
        done += n;
    }
    return HC_OK;
}

static int perplexity_windows(struct perplexity_run *r, const struct hc_tokens *tokens, size_t ctx)
{
    bool terminal = isatty(STDERR_FILENO) != 0;
    size_t windows = tokens->n / ctx;
    for (size_t w = 0; w < windows; w++) {
        int rc = perplexity_window(r, tokens->ids + w * ctx, ctx);
        if (terminal)
            fprintf(stderr, "\r\033[K%s", w + 1 < windows ? "" : "\r");
        if (rc != HC_OK)
            return rc;
        if (terminal && w + 1 < windows)
            fprintf(stderr, "window %zu of %zu: %.4f", w + 1, windows, exp(r->nll / (double)r->n));
    }
    return HC_OK;
}

/* ---- the run ---- */

/* Rows of scores kept at a time: a chunk's, at most 64 MiB. */
static int32_t perplexity_batch(const struct perplexity_settings *s, const struct hc_model *m,
                                int32_t ctx)
{
    int32_t most = (int32_t)(((int64_t)64 << 20) / ((int64_t)m->info.vocab_size * 4));
    int32_t batch = s->batch ? s->batch : most < 512 ? most : 512;
    batch = batch < ctx ? batch : ctx;
    return batch < 1 ? 1 : batch;
}

static void perplexity_json_kl(struct hj *j, const struct hc_divergence_result *kl)
{
    hj_open(j, "kl", '{');
    hj_real(j, "mean", kl->mean);
    hj_real(j, "mean_error", kl->mean_error);
    hj_real(j, "median", kl->median);
    hj_real(j, "p99", kl->p99);
    hj_real(j, "max", kl->max);
    hj_real(j, "same_top", kl->same_top);
    hj_real(j, "ln_ppl_ratio", kl->ln_ratio);
    hj_real(j, "ln_ppl_ratio_error", kl->ln_ratio_error);
    hj_close(j, '}');
}

static int perplexity_print(const struct perplexity_settings *s, const struct perplexity_run *r)
{
    double nll = r->nll / (double)r->n;
    struct hc_divergence_result kl;
    if (s->base)
        hc_divergence_end(r->divergence, &kl);
    if (s->common.json) {
        struct hj j = {.file = stdout};
        hj_open(&j, NULL, '{');
        hj_real(&j, "ppl", exp(nll));
        hj_real(&j, "nll", nll);
        hj_uint(&j, "n", r->n);
        if (s->base)
            perplexity_json_kl(&j, &kl);
        hj_close(&j, '}');
        fputc('\n', stdout);
    } else {
        printf("perplexity %.4f over %llu predictions, nll %.6f\n", exp(nll),
               (unsigned long long)r->n, nll);
        if (s->base)
            printf("beside %s: KL divergence %.6f +- %.6f, median %.6f, p99 %.6f, max %.6f; same likeliest token %.2f %%; "
                   "perplexity %+.3f +- %.3f %%\n", s->base, kl.mean, kl.mean_error, kl.median, kl.p99, kl.max,
                   100 * kl.same_top, 100 * expm1(kl.ln_ratio), 100 * kl.ln_ratio_error);
    }
    return hc_finish_output();
}

static int perplexity_with_model(const struct perplexity_settings *s, const struct hc_model *m,
                                 const struct hc_tokens *tokens)
{
    int32_t ctx = s->ctx ? s->ctx : m->info.n_ctx_train;
    if (tokens->n < (size_t)ctx)
        return hc_fail(HC_USAGE, s->tokens ? s->tokens : s->f,
                       "%zu tokens; at least one window of %d (-c) is needed", tokens->n, (int)ctx);
    int32_t batch = perplexity_batch(s, m, ctx);
    hearth_session_config config = {.n_ctx = ctx,
                                    .n_batch = batch,
                                    .n_logits = batch,
                                    .kv_type_k = s->type_k,
                                    .kv_type_v = s->type_v};
    struct hc_session hs;
    struct perplexity_run r = {.batch = (size_t)batch, .vocab = (size_t)m->info.vocab_size};
    int rc = hc_session_open(&s->common, m, &config, &hs);
    r.session = hs.session;
    r.items = calloc(r.batch, sizeof *r.items);
    if (rc == HC_OK && !r.items)
        rc = hc_fail(HC_LIMIT, "perplexity", "no memory for %zu items", r.batch);
    struct hc_divergence divergence = {0};
    uint64_t rows = tokens->n / (size_t)ctx * ((uint64_t)ctx - 1);
    if (rc == HC_OK && (s->save_base || s->base)) {
        r.divergence = &divergence;
        rc = s->base ? hc_divergence_compare(&divergence, s->base, r.vocab, (size_t)ctx, rows, tokens)
                     : hc_divergence_save(&divergence, s->save_base, r.vocab, (size_t)ctx, rows, tokens);
    }
    uint64_t t0 = hc_now_ns();
    if (rc == HC_OK) {
        hc_interrupt_to(hs.session);
        rc = perplexity_windows(&r, tokens, (size_t)ctx);
    }
    if (rc == HC_OK) {
        double seconds = hc_ms_since(t0) / 1000;
        fprintf(stderr, "%zu windows of %d tokens in %.1f s (%.0f tokens/s)\n",
                tokens->n / (size_t)ctx, (int)ctx, seconds, (double)r.n / seconds);
        rc = perplexity_print(s, &r);
    }
    int closed = hc_divergence_close(&divergence);
    rc = rc == HC_OK ? closed : rc;
    free(r.items);
    hc_session_close(&hs);
    return rc;
}

static int perplexity_run(const void *settings)
{
    const struct perplexity_settings *s = settings;
    if (!s->f == !s->tokens)
        return hc_fail(HC_USAGE, "-f", "%s; either a text or --tokens with a file of ids is needed",
                       s->f ? "given with --tokens" : "not given");
    if (s->token_width != 16 && s->token_width != 32)
        return hc_fail(HC_USAGE, "--token-width", "%d; 16 and 32 are accepted",
                       (int)s->token_width);
    if (s->save_base && s->base)
        return hc_fail(HC_USAGE, "--base", "given with --save-base; one of them is accepted");
    if (s->ctx == 1)
        return hc_fail(HC_USAGE, "-c", "1; a window of 2 or more predicts something");
    struct hc_model model = {0};
    struct hc_tokens tokens = {0};
    int rc = hc_model_open(&s->common, 0, &model);
    if (rc == HC_OK)
        rc = perplexity_take_tokens(s, &model, &tokens);
    if (rc == HC_OK)
        rc = perplexity_with_model(s, &model, &tokens);
    free(tokens.ids);
    hc_model_close(&model);
    return rc;
}

#define FIELD(name) offsetof(struct perplexity_settings, name)
static const struct hc_option perplexity_options[] = {
    {"-f", HC_TEXT, FIELD(f), 0, 0, "TEXT", "a file with the text; - for standard input"},
    {"--tokens", HC_TEXT, FIELD(tokens), 0, 0, "FILE", "a file of little-endian token ids instead"},
    {"--token-width", HC_INT, FIELD(token_width), 16, 32, "BITS", "of these ids: 16 or 32 (16)"},
    {"-c", HC_INT, FIELD(ctx), 1, INT32_MAX, "CTX", "tokens in a window; default: the model's own"},
    {"-b", HC_INT, FIELD(batch), 1, INT32_MAX, "CHUNK", "tokens in one step"},
    {"--ctk", HC_TEXT, FIELD(type_k), 0, 0, "TYPE", "type of the key cache (f16)"},
    {"--ctv", HC_TEXT, FIELD(type_v), 0, 0, "TYPE", "type of the value cache (f16)"},
    {"--save-base", HC_TEXT, FIELD(save_base), 0, 0, "FILE", "keep all log-probabilities, 4 bytes each"},
    {"--base", HC_TEXT, FIELD(base), 0, 0, "FILE", "compare with them: KL divergence, likeliest tokens"},
    HC_OPTIONS_END,
};

static const struct perplexity_settings perplexity_defaults = {.token_width = 16};

const struct hc_command hc_command_perplexity = {
    .name = "perplexity",
    .synopsis = "-m FILE (-f TEXT | --tokens FILE) [-c CTX]",
    .text = "Windows of CTX tokens from the start, not overlapping, nothing prepended, a short tail\n"
            "dropped; every position of a window but its last predicts the next. nll is the mean in\n"
            "nats, ppl its exponential. (llama-perplexity scores the second half of each window.)",
    .options = perplexity_options,
    .settings_size = sizeof(struct perplexity_settings),
    .defaults = &perplexity_defaults,
    .run = perplexity_run,
};
