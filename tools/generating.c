/* Running a generation from the command line: see generating.h. */
#include "generating.h"
#include "json_out.h"
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

static int generating_sampler(const struct hc_generating *g, const struct hc_model *m,
                              struct hc_run *run)
{
    hearth_error err = {0};
    hearth_sampler_config config = {.struct_size = sizeof config,
                                    .temperature = g->temperature,
                                    .top_k = g->top_k,
                                    .top_p = g->top_p,
                                    .min_p = g->min_p,
                                    .repeat_penalty = g->repeat_penalty,
                                    .seed = g->seed.value};
    if (!g->seed.given) {
        config.seed = hc_random_seed();
        run->untold_seed = g->temperature > 0 ? config.seed : 0;
    }
    hearth_status status = hearth_sampler_open(m->model, &config, &run->sampler, &err);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_USAGE, "sampling", status, &err);
}

int hc_run_open(const struct hc_common *common, const struct hc_generating *g,
                const struct hc_model *m, bool match_prompt, struct hc_run *run)
{
    hearth_error err = {0};
    *run = (struct hc_run){.terminal = isatty(STDERR_FILENO) != 0};
    hearth_session_config session = {.n_ctx = g->ctx,
                                     .n_batch = g->batch,
                                     .kv_type_k = g->type_k,
                                     .kv_type_v = g->type_v,
                                     .n_sink = g->sink,
                                     .n_window = g->window,
                                     .flags = g->no_kv_cache ? HEARTH_SESSION_NO_KV_CACHE : 0};
    int rc = hc_session_open(common, m, &session, &run->session);
    if (rc == HC_OK)
        rc = generating_sampler(g, m, run);
    if (rc != HC_OK)
        return rc;
    hearth_generation_config config = {.struct_size = sizeof config,
                                       .memory = m->memory,
                                       .max_tokens = g->n < 0 ? 0 : g->n,
                                       .stop = g->stop.item,
                                       .n_stop = g->stop.n,
                                       .ignore_end = g->ignore_eos,
                                       .sampler = run->sampler,
                                       .poll = generating_poll,
                                       .poll_user = run,
                                       .match_prompt = match_prompt};
    hearth_status status = hearth_generation_open(run->session.session, &config, &run->gen, &err);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_USAGE, "generate", status, &err);
}

void hc_run_close(struct hc_run *run)
{
    hearth_generation_close(run->gen);
    hearth_sampler_close(run->sampler);
    hc_session_close(&run->session);
    *run = (struct hc_run){0};
}

static int generating_take(struct hc_result *r, const hearth_piece *piece, bool quiet)
{
    if (piece->token >= 0) {
        if (!hc_grow((void **)&r->tokens, &r->tokens_capacity, r->n_tokens + 1, sizeof *r->tokens))
            return hc_fail(HC_LIMIT, "text", "no memory for %zu tokens", r->n_tokens + 1);
        r->tokens[r->n_tokens++] = piece->token;
    }
    if (piece->text_len == 0)
        return HC_OK;
    if (!hc_grow((void **)&r->text, &r->text_capacity, r->text_len + piece->text_len, 1))
        return hc_fail(HC_LIMIT, "text", "no memory for %zu bytes", r->text_len + piece->text_len);
    memcpy(r->text + r->text_len, piece->text, piece->text_len);
    r->text_len += piece->text_len;
    if (quiet)
        return HC_OK;
    fwrite(piece->text, 1, piece->text_len, stdout);
    return fflush(stdout) == 0 ? HC_OK : hc_finish_output();
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
    fprintf(stderr, "memory: planned %.1f MiB (model %.1f, KV %.1f), peak %.1f MiB\n",
            (double)hc_planned_bytes(m, &run->session) * mib,
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

void hc_result_print_json(const struct hc_model *m, const struct hc_run *run, const int32_t *prompt,
                          size_t n_prompt, const struct hc_result *r)
{
    struct hj j = {.file = stdout};
    hj_open(&j, NULL, '{');
    hj_text(&j, "text", r->text ? r->text : "", r->text_len);
    generating_print_ids(&j, "prompt_tokens", prompt, n_prompt);
    generating_print_ids(&j, "tokens", r->tokens, r->n_tokens);
    hj_string(&j, "finish_reason", hearth_finish_text(r->finish));
    hj_open(&j, "timings", '{');
    hj_uint(&j, "prompt_n", n_prompt);
    hj_real(&j, "prompt_ms", r->prompt_ms);
    hj_uint(&j, "predicted_n", r->n_tokens);
    hj_real(&j, "predicted_ms", r->predicted_ms);
    hj_close(&j, '}');
    if (r->matched)
        hj_uint(&j, "cached_prompt_tokens", r->matched);
    /* Nothing drafts in this build: every token of the text took a pass of its own. */
    hj_open(&j, "speculative", '{');
    hj_uint(&j, "drafted", 0);
    hj_uint(&j, "accepted", 0);
    hj_uint(&j, "passes", r->n_tokens);
    hj_close(&j, '}');
    hj_open(&j, "memory", '{');
    hj_uint(&j, "model_bytes", m->file_bytes + m->info.model_bytes);
    hj_uint(&j, "kv_bytes", run->session.info.kv_bytes);
    hj_uint(&j, "planned_bytes", hc_planned_bytes(m, &run->session));
    hj_uint(&j, "peak_rss_bytes", hc_peak_rss());
    hj_close(&j, '}');
    hj_close(&j, '}');
    fputc('\n', stdout);
}
