/* Running a generation from the command line: see generating.h. */
#include "generating.h"
#include "json_out.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool hc_grow(void **ptr, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity)
        return true;
    size_t n = need * 2 + 256;
    void *grown = realloc(*ptr, n * size);
    if (!grown)
        return false;
    *ptr = grown;
    *capacity = n;
    return true;
}

void hc_result_free(struct hc_result *r)
{
    free(r->text);
    free(r->tokens);
    free(r->logprobs);
    *r = (struct hc_result){0};
}

/* ---- the run ---- */

/* Between chunks and tokens: Ctrl-C, and a progress line when a prefill is long enough to wonder. */
static int generating_poll(void *user, size_t done, size_t total)
{
    struct hc_run *run = user;
    if (run->terminal && done < total && hc_ms_since(run->started_ns) > 500) {
        fprintf(stderr, "\rprompt %zu of %zu tokens", done, total);
        run->shown = true;
    } else if (run->shown) {
        fputs("\r\033[K", stderr);
        run->shown = false;
    }
    return hc_interrupted();
}

/* "42+1.5", "42-inf" */
static int generating_bias(const char *text, hearth_logit_bias *bias)
{
    char *end;
    errno = 0;
    long id = strtol(text, &end, 10);
    bool ok = end > text && (*end == '+' || *end == '-') && errno == 0 && id >= 0 && id <= INT32_MAX;
    const char *number = end;
    float value = ok ? strtof(number, &end) : 0;
    if (!ok || end == number + 1 || *end || value != value || value == INFINITY)
        return hc_fail(HC_USAGE, "--logit-bias", "\"%s\"; ID+X or ID-X is accepted, X a number, or "
                       "inf behind a minus", text);
    *bias = (hearth_logit_bias){(int32_t)id, value};
    return HC_OK;
}

static int generating_sampler(const struct hc_generating *g, const struct hc_model *m,
                              struct hc_run *run)
{
    static const char *const none[] = {""};
    hearth_error err = {0};
    hearth_logit_bias bias[HC_MOST_VALUES];
    hearth_sampler_config config = g->more;
    config.struct_size = sizeof config;
    config.temperature = g->temperature;
    config.top_k = g->top_k;
    config.top_p = g->top_p;
    config.min_p = g->min_p;
    config.repeat_penalty = g->repeat_penalty;
    config.seed = g->seed.value;
    config.bias = bias;
    config.n_bias = g->bias.n;
    config.dry_breakers = g->dry_breakers.item;
    config.n_dry_breakers = g->dry_breakers.n;
    if (g->dry_breakers.n == 1 && strcmp(g->dry_breakers.item[0], "none") == 0)
        config.dry_breakers = none;
    for (size_t i = 0; i < g->bias.n; i++) {
        int rc = generating_bias(g->bias.item[i], &bias[i]);
        if (rc != HC_OK)
            return rc;
    }
    if (!g->seed.given) {
        config.seed = hc_random_seed();
        run->untold_seed = g->temperature > 0 ? config.seed : 0;
    }
    hearth_status status = hearth_sampler_open(m->model, &config, &run->sampler, &err);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_USAGE, "sampling", status, &err);
}

/* The draft shares threads and memory with the model. Prompts reach it in small pieces. */
static int generating_draft(const struct hc_common *common, const struct hc_generating *g,
                            const struct hc_model *m, struct hc_run *run)
{
    hearth_error err = {0};
    struct hc_common own = *common;
    own.model = g->draft;
    int rc = hc_model_open(&own, 0, &run->draft_model);
    if (rc != HC_OK)
        return rc;
    if (run->draft_model.info.kind != HEARTH_MODEL_GENERATIVE)
        return hc_fail(HC_REFUSED, g->draft, "no model that generates text; one is needed as a draft");
    const hearth_session_config config = {.struct_size = sizeof config,
                                          .n_batch = 64,
                                          .pool = run->session.pool,
                                          .level = common->level,
                                          .memory = m->memory};
    hearth_status status =
        hearth_session_open(run->draft_model.model, &config, &run->draft, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_USAGE, g->draft, status, &err);
    run->draft_info.struct_size = sizeof run->draft_info;
    hearth_session_get_info(run->draft, &run->draft_info);
    return HC_OK;
}

uint64_t hc_run_planned_bytes(const struct hc_model *m, const struct hc_run *run)
{
    uint64_t bytes = hc_planned_bytes(m, &run->session);
    if (run->draft)
        bytes += run->draft_model.file_bytes + run->draft_model.info.model_bytes +
                 run->draft_info.planned_bytes;
    return bytes;
}

static int generating_grammar(const struct hc_generating *g, const struct hc_model *m,
                              hearth_grammar **grammar)
{
    hearth_error err = {0};
    struct hc_text text;
    const char *path = g->grammar ? g->grammar : g->json_schema;
    if (!path)
        return HC_OK;
    if (g->grammar && g->json_schema)
        return hc_fail(HC_USAGE, "--grammar and --json-schema", "both given; one of them is accepted");
    int rc = hc_text_read(path, &text);
    if (rc != HC_OK)
        return rc;
    const char *bytes = text.bytes ? text.bytes : "";
    const hearth_grammar_config config = {.struct_size = sizeof config,
                                          .gbnf = g->grammar ? bytes : NULL,
                                          .gbnf_len = text.len,
                                          .json_schema = g->grammar ? NULL : bytes,
                                          .json_schema_len = text.len};
    hearth_status status = hearth_grammar_open(m->model, &config, grammar, &err);
    free(text.bytes);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_REFUSED, path, status, &err);
}

int hc_run_open(const struct hc_common *common, const struct hc_generating *g,
                const struct hc_model *m, bool match_prompt, struct hc_run *run)
{
    hearth_error err = {0};
    *run = (struct hc_run){.terminal = isatty(STDERR_FILENO) != 0};
    const bool speculates = run->speculates = g->draft || g->lookup;
    hearth_session_config session = {.n_ctx = g->ctx,
                                     .n_batch = g->batch,
                                     .kv_type_k = g->type_k,
                                     .kv_type_v = g->type_v,
                                     .n_sink = g->sink,
                                     .n_window = g->window,
                                     .flags = g->no_kv_cache ? HEARTH_SESSION_NO_KV_CACHE : 0};
    if (speculates) {
        session.n_logits = g->draft_max + 1;
        if (session.n_batch > 0 && session.n_logits > session.n_batch)
            session.n_logits = session.n_batch;
    }
    int rc = hc_session_open(common, m, &session, &run->session);
    if (rc == HC_OK)
        rc = generating_sampler(g, m, run);
    if (rc == HC_OK && g->draft)
        rc = generating_draft(common, g, m, run);
    if (rc == HC_OK)
        rc = generating_grammar(g, m, &run->grammar);
    if (rc != HC_OK)
        return rc;
    const hearth_speculation_config speculation = {.struct_size = sizeof speculation,
                                                   .draft = run->draft,
                                                   .lookup = g->lookup,
                                                   .max_guesses = g->draft_max};
    hearth_generation_config config = {.struct_size = sizeof config,
                                       .memory = m->memory,
                                       .max_tokens = g->n < 0 ? 0 : g->n,
                                       .stop = g->stop.item,
                                       .n_stop = g->stop.n,
                                       .ignore_end = g->ignore_eos,
                                       .sampler = run->sampler,
                                       .poll = generating_poll,
                                       .poll_user = run,
                                       .match_prompt = match_prompt,
                                       .n_logprobs = g->logprobs,
                                       .grammar = run->grammar,
                                       .speculation = speculates ? &speculation : NULL};
    hearth_status status = hearth_generation_open(run->session.session, &config, &run->gen, &err);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_USAGE, "generate", status, &err);
}

void hc_run_close(struct hc_run *run)
{
    hearth_generation_close(run->gen);
    hearth_grammar_close(run->grammar);
    hearth_sampler_close(run->sampler);
    hearth_session_close(run->draft);
    hc_session_close(&run->session);
    hc_model_close(&run->draft_model);
    *run = (struct hc_run){0};
}

static int generating_take_logprobs(struct hc_result *r, const hearth_piece *piece)
{
    size_t row = 1 + piece->n_top;
    if (!hc_grow((void **)&r->logprobs, &r->logprobs_capacity, (r->n_tokens + 1) * row,
                 sizeof *r->logprobs))
        return hc_fail(HC_LIMIT, "text", "no memory for %zu tokens", r->n_tokens + 1);
    hearth_logprob *at = r->logprobs + r->n_tokens * row;
    at[0] = (hearth_logprob){piece->token, piece->logprob};
    memcpy(at + 1, piece->top, piece->n_top * sizeof *at);
    r->n_top = piece->n_top;
    return HC_OK;
}

int hc_result_take_text(struct hc_result *r, const char *text, size_t len, bool quiet)
{
    if (len == 0)
        return HC_OK;
    if (!hc_grow((void **)&r->text, &r->text_capacity, r->text_len + len, 1))
        return hc_fail(HC_LIMIT, "text", "no memory for %zu bytes", r->text_len + len);
    memcpy(r->text + r->text_len, text, len);
    r->text_len += len;
    if (quiet)
        return HC_OK;
    fwrite(text, 1, len, stdout);
    return fflush(stdout) == 0 ? HC_OK : hc_finish_output();
}

int hc_result_room(struct hc_result *r, size_t n)
{
    if (!hc_grow((void **)&r->tokens, &r->tokens_capacity, r->n_tokens + n, sizeof *r->tokens))
        return hc_fail(HC_LIMIT, "text", "no memory for %zu tokens", r->n_tokens + n);
    return HC_OK;
}

static int generating_take(struct hc_result *r, const hearth_piece *piece, bool quiet)
{
    if (piece->token >= 0) {
        int rc = hc_result_room(r, 1);
        if (rc == HC_OK && piece->n_top)
            rc = generating_take_logprobs(r, piece);
        if (rc != HC_OK)
            return rc;
        r->tokens[r->n_tokens++] = piece->token;
    }
    return hc_result_take_text(r, piece->text, piece->text_len, quiet);
}

static int generating_pieces(hearth_generation *gen, struct hc_result *r, bool quiet)
{
    hearth_error err = {0};
    int rc = HC_OK;
    while (rc == HC_OK && r->finish == HEARTH_FINISH_NONE) {
        hearth_piece piece = {.struct_size = sizeof piece};
        hearth_status status = hearth_generation_next(gen, &piece, &err);
        if (status != HEARTH_OK)
            return hc_fail_status(HC_FAILED, "text", status, &err);
        r->finish = piece.finish;
        rc = generating_take(r, &piece, quiet);
    }
    return rc;
}

static uint64_t generating_matched(const struct hc_run *run)
{
    hearth_kv_stats stats = {.struct_size = sizeof stats};
    hearth_session_kv_stats(run->session.session, &stats);
    return stats.hit_tokens;
}

int hc_run_prompt(struct hc_run *run, const struct hc_generating *g, const int32_t *ids, size_t n,
                  bool quiet, struct hc_result *r)
{
    hearth_error err = {0};
    uint64_t matched = generating_matched(run), t0 = run->started_ns = hc_now_ns();
    hearth_status status = hearth_generation_prompt(run->gen, ids, n, &err);
    r->prompt_ms = hc_ms_since(t0);
    r->matched = (size_t)(generating_matched(run) - matched);
    if (status == HEARTH_E_CANCELLED)
        r->finish = HEARTH_FINISH_CANCELLED;
    else if (status != HEARTH_OK)
        return hc_fail_status(HC_FAILED, "prompt", status, &err);
    if (run->untold_seed)
        fprintf(stderr, "seed %llu\n", (unsigned long long)run->untold_seed);
    run->untold_seed = 0;
    if (g->n == 0 && r->finish == HEARTH_FINISH_NONE)
        r->finish = HEARTH_FINISH_LENGTH;
    t0 = hc_now_ns();
    int rc = generating_pieces(run->gen, r, quiet);
    r->predicted_ms = hc_ms_since(t0);
    return rc;
}

/* ---- reports ---- */

static hearth_generation_stats generating_stats(const struct hc_run *run)
{
    hearth_generation_stats stats = {.struct_size = sizeof stats};
    hearth_generation_get_stats(run->gen, &stats);
    return stats;
}

static double generating_rate(size_t n, double ms)
{
    return ms > 0 ? (double)n * 1000.0 / ms : 0;
}

void hc_result_print_stats(const struct hc_model *m, const struct hc_run *run, size_t n_prompt,
                           const struct hc_result *r)
{
    const double mib = 1.0 / (1024 * 1024);
    const hearth_session_info *info = &run->session.info;
    fprintf(stderr,
            "prompt %zu tokens, %zu of them there already, in %.1f ms (%.1f/s), text %zu tokens in "
            "%.1f ms (%.1f/s); %s; %d threads, %s\n",
            n_prompt, r->matched, r->prompt_ms,
            generating_rate(n_prompt - r->matched, r->prompt_ms), r->n_tokens,
            r->predicted_ms, generating_rate(r->n_tokens, r->predicted_ms),
            hearth_finish_text(r->finish), (int)info->n_threads, info->level);
    hearth_generation_stats stats = generating_stats(run);
    if (stats.drafted > 0 || *stats.off)
        fprintf(stderr, "guesses: %llu of %llu right, %llu passes%s%s\n",
                (unsigned long long)stats.accepted, (unsigned long long)stats.drafted,
                (unsigned long long)stats.passes, *stats.off ? "; off: " : "", stats.off);
    fprintf(stderr, "memory: planned %.1f MiB (model %.1f, KV %.1f), peak %.1f MiB\n",
            (double)hc_run_planned_bytes(m, run) * mib,
            (double)(m->file_bytes + m->info.model_bytes) * mib, (double)info->kv_bytes * mib,
            (double)hc_peak_rss() * mib);
}

static void generating_print_ids(struct hj *j, const char *key, const int32_t *ids, size_t n)
{
    hj_open(j, key, '[');
    for (size_t i = 0; i < n; i++)
        hj_int(j, NULL, ids[i]);
    hj_close(j, ']');
}

static void generating_print_logprob(struct hj *j, const hearth_logprob *p)
{
    hj_int(j, "token", p->token);
    hj_real(j, "logprob", (double)p->logprob);
}

static void generating_print_logprobs(struct hj *j, const struct hc_result *r)
{
    hj_open(j, "logprobs", '[');
    for (size_t i = 0; i < r->n_tokens; i++) {
        const hearth_logprob *row = r->logprobs + i * (1 + r->n_top);
        hj_open(j, NULL, '{');
        generating_print_logprob(j, row);
        hj_open(j, "top", '[');
        for (size_t k = 1; k <= r->n_top; k++) {
            hj_open(j, NULL, '{');
            generating_print_logprob(j, row + k);
            hj_close(j, '}');
        }
        hj_close(j, ']');
        hj_close(j, '}');
    }
    hj_close(j, ']');
}

void hc_result_print_text(struct hj *j, const int32_t *prompt, size_t n_prompt, const struct hc_result *r,
                          const char *finish)
{
    hj_text(j, "text", r->text ? r->text : "", r->text_len);
    if (prompt)
        generating_print_ids(j, "prompt_tokens", prompt, n_prompt);
    generating_print_ids(j, "tokens", r->tokens, r->n_tokens);
    hj_string(j, "finish_reason", finish);
    hj_open(j, "timings", '{');
    hj_uint(j, "prompt_n", n_prompt);
    hj_real(j, "prompt_ms", r->prompt_ms);
    hj_uint(j, "predicted_n", r->n_tokens);
    hj_real(j, "predicted_ms", r->predicted_ms);
    hj_close(j, '}');
    if (r->matched)
        hj_uint(j, "cached_prompt_tokens", r->matched);
}

void hc_result_print_json(const struct hc_model *m, const struct hc_run *run, const int32_t *prompt,
                          size_t n_prompt, const struct hc_result *r)
{
    struct hj j = {.file = stdout};
    hj_open(&j, NULL, '{');
    hc_result_print_text(&j, prompt, n_prompt, r, hearth_finish_text(r->finish));
    if (r->n_top)
        generating_print_logprobs(&j, r);
    hearth_generation_stats stats = generating_stats(run);
    hj_open(&j, "speculative", '{');
    hj_uint(&j, "drafted", stats.drafted);
    hj_uint(&j, "accepted", stats.accepted);
    hj_uint(&j, "passes", stats.passes);
    if (run->speculates) /* why nothing is guessed at the moment */
        hj_string(&j, "off", stats.off);
    hj_close(&j, '}');
    hj_open(&j, "memory", '{');
    hj_uint(&j, "model_bytes", m->file_bytes + m->info.model_bytes);
    hj_uint(&j, "kv_bytes", run->session.info.kv_bytes);
    hj_uint(&j, "planned_bytes", hc_run_planned_bytes(m, run));
    hj_uint(&j, "peak_rss_bytes", hc_peak_rss());
    hj_close(&j, '}');
    hj_close(&j, '}');
    fputc('\n', stdout);
}
