/* hearth generate: continue a text, streaming it to stdout, or as one JSON object. */
#include "client.h"
#include "commands.h"
#include "json_out.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct generate_settings {
    struct hc_common common;
    const char *p;
    const char *f;
    int32_t n;
    int32_t ctx;
    int32_t batch;
    float temperature;
    int32_t top_k;
    float top_p;
    float min_p;
    float repeat_penalty;
    struct hc_seed seed;
    struct hc_texts stop;
    bool ignore_eos;
    bool parse_special;
    const char *type_k;
    const char *type_v;
};

/* What one run produced. */
struct generate_result {
    char *text; /* kept for --json only */
    size_t text_len, text_capacity;
    int32_t *tokens;
    size_t n_tokens, tokens_capacity;
    hearth_finish finish;
    uint64_t random_seed; /* what was chosen where -s did not */
    double prompt_ms, predicted_ms;
};

/* ---- progress and interruption ---- */

struct generate_progress {
    bool terminal;
    bool shown;
    uint64_t started_ns;
};

/* Between chunks and tokens: Ctrl-C, and a progress line when a prefill is long enough to wonder. */
static int generate_poll(void *user, size_t done, size_t total)
{
    struct generate_progress *p = user;
    if (p->terminal && done < total && hc_ms_since(p->started_ns) > 500) {
        fprintf(stderr, "\rprompt %zu of %zu tokens", done, total);
        p->shown = true;
    } else if (p->shown) {
        fputs("\r\033[K", stderr);
        p->shown = false;
    }
    return hc_interrupted();
}

/* ---- collecting ---- */

static bool generate_grow(void **ptr, size_t *capacity, size_t need, size_t size)
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

static int generate_take(struct generate_result *r, const hearth_piece *piece, bool json)
{
    if (piece->token >= 0) {
        if (!generate_grow((void **)&r->tokens, &r->tokens_capacity, r->n_tokens + 1,
                           sizeof *r->tokens))
            return hc_fail(HC_LIMIT, "text", "no memory for %zu tokens", r->n_tokens + 1);
        r->tokens[r->n_tokens++] = piece->token;
    }
    if (json && piece->text_len) {
        if (!generate_grow((void **)&r->text, &r->text_capacity, r->text_len + piece->text_len, 1))
            return hc_fail(HC_LIMIT, "text", "no memory for %zu bytes",
                           r->text_len + piece->text_len);
        memcpy(r->text + r->text_len, piece->text, piece->text_len);
        r->text_len += piece->text_len;
    } else if (piece->text_len) {
        fwrite(piece->text, 1, piece->text_len, stdout);
        if (fflush(stdout) != 0)
            return hc_finish_output();
    }
    return HC_OK;
}

static int generate_pieces(hearth_generation *gen, struct generate_result *r, bool json)
{
    hearth_error err = {0};
    int rc = HC_OK;
    while (rc == HC_OK && r->finish == HEARTH_FINISH_NONE) {
        hearth_piece piece = {.struct_size = sizeof piece};
        hearth_status status = hearth_generation_next(gen, &piece, &err);
        if (status != HEARTH_OK)
            return hc_fail_status(HC_FAILED, "text", status, &err);
        r->finish = piece.finish;
        rc = generate_take(r, &piece, json);
    }
    return rc;
}

static int generate_with(hearth_generation *gen, const struct generate_settings *s,
                         const struct hc_tokens *prompt, struct generate_result *r)
{
    hearth_error err = {0};
    uint64_t t0 = hc_now_ns();
    hearth_status status = hearth_generation_prompt(gen, prompt->ids, prompt->n, &err);
    r->prompt_ms = hc_ms_since(t0);
    if (status == HEARTH_E_CANCELLED)
        r->finish = HEARTH_FINISH_CANCELLED;
    else if (status != HEARTH_OK)
        return hc_fail_status(HC_FAILED, "prompt", status, &err);
    if (!s->seed.given && s->temperature > 0)
        fprintf(stderr, "seed %llu\n", (unsigned long long)r->random_seed);
    if (s->n == 0 && r->finish == HEARTH_FINISH_NONE)
        r->finish = HEARTH_FINISH_LENGTH;
    t0 = hc_now_ns();
    int rc = generate_pieces(gen, r, s->common.json);
    r->predicted_ms = hc_ms_since(t0);
    return rc;
}

/* ---- output ---- */

static double generate_rate(size_t n, double ms)
{
    return ms > 0 ? (double)n * 1000.0 / ms : 0;
}

static void generate_print_stats(const struct hc_model *m, const struct hc_session *hs,
                                 const struct hc_tokens *prompt, const struct generate_result *r)
{
    const double mib = 1.0 / (1024 * 1024);
    fprintf(stderr,
            "prompt %zu tokens in %.1f ms (%.1f/s), text %zu tokens in %.1f ms (%.1f/s); %s; "
            "%d threads, %s\n",
            prompt->n, r->prompt_ms, generate_rate(prompt->n, r->prompt_ms), r->n_tokens,
            r->predicted_ms, generate_rate(r->n_tokens, r->predicted_ms),
            hearth_finish_text(r->finish), (int)hs->info.n_threads, hs->info.level);
    fprintf(stderr, "memory: planned %.1f MiB (model %.1f, KV %.1f), peak %.1f MiB\n",
            (double)hc_planned_bytes(m, hs) * mib,
            (double)(m->file_bytes + m->info.model_bytes) * mib, (double)hs->info.kv_bytes * mib,
            (double)hc_peak_rss() * mib);
}

static void generate_print_ids(struct hj *j, const char *key, const int32_t *ids, size_t n)
{
    hj_open(j, key, '[');
    for (size_t i = 0; i < n; i++)
        hj_int(j, NULL, ids[i]);
    hj_close(j, ']');
}

static void generate_print_json(const struct hc_model *m, const struct hc_session *hs,
                                const struct hc_tokens *prompt, const struct generate_result *r)
{
    struct hj j = {.file = stdout};
    hj_open(&j, NULL, '{');
    hj_text(&j, "text", r->text ? r->text : "", r->text_len);
    generate_print_ids(&j, "prompt_tokens", prompt->ids, prompt->n);
    generate_print_ids(&j, "tokens", r->tokens, r->n_tokens);
    hj_string(&j, "finish_reason", hearth_finish_text(r->finish));
    hj_open(&j, "timings", '{');
    hj_uint(&j, "prompt_n", prompt->n);
    hj_real(&j, "prompt_ms", r->prompt_ms);
    hj_uint(&j, "predicted_n", r->n_tokens);
    hj_real(&j, "predicted_ms", r->predicted_ms);
    hj_close(&j, '}');
    /* Nothing drafts in this build: every token of the text took a pass of its own. */
    hj_open(&j, "speculative", '{');
    hj_uint(&j, "drafted", 0);
    hj_uint(&j, "accepted", 0);
    hj_uint(&j, "passes", r->n_tokens);
    hj_close(&j, '}');
    hj_open(&j, "memory", '{');
    hj_uint(&j, "model_bytes", m->file_bytes + m->info.model_bytes);
    hj_uint(&j, "kv_bytes", hs->info.kv_bytes);
    hj_uint(&j, "planned_bytes", hc_planned_bytes(m, hs));
    hj_uint(&j, "peak_rss_bytes", hc_peak_rss());
    hj_close(&j, '}');
    hj_close(&j, '}');
    fputc('\n', stdout);
}

/* ---- the run ---- */

static int generate_sampler(const struct generate_settings *s, const struct hc_model *m,
                            hearth_sampler **sampler, struct generate_result *r)
{
    hearth_error err = {0};
    hearth_sampler_config config = {.struct_size = sizeof config,
                                    .temperature = s->temperature,
                                    .top_k = s->top_k,
                                    .top_p = s->top_p,
                                    .min_p = s->min_p,
                                    .repeat_penalty = s->repeat_penalty,
                                    .seed = s->seed.value};
    if (!s->seed.given)
        config.seed = r->random_seed = hc_random_seed();
    hearth_status status = hearth_sampler_open(m->model, &config, sampler, &err);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_USAGE, "sampling", status, &err);
}

static int generate_in_session(const struct generate_settings *s, const struct hc_model *m,
                               struct hc_session *hs, const struct hc_tokens *prompt,
                               struct generate_result *r)
{
    hearth_error err = {0};
    hearth_sampler *sampler = NULL;
    hearth_generation *gen = NULL;
    int rc = generate_sampler(s, m, &sampler, r);
    if (rc != HC_OK)
        return rc;
    struct generate_progress progress = {.terminal = isatty(STDERR_FILENO) != 0,
                                         .started_ns = hc_now_ns()};
    hearth_generation_config config = {.struct_size = sizeof config,
                                       .max_tokens = s->n < 0 ? 0 : s->n,
                                       .stop = s->stop.item,
                                       .n_stop = s->stop.n,
                                       .ignore_end = s->ignore_eos,
                                       .sampler = sampler,
                                       .poll = generate_poll,
                                       .poll_user = &progress};
    hearth_status status = hearth_generation_open(hs->session, &config, &gen, &err);
    if (status != HEARTH_OK) {
        rc = hc_fail_status(HC_USAGE, "generate", status, &err);
    } else {
        hc_interrupt_to(hs->session);
        rc = generate_with(gen, s, prompt, r);
        hc_interrupt_to(NULL);
    }
    hearth_generation_close(gen);
    hearth_sampler_close(sampler);
    return rc;
}

static int generate_with_model(const struct generate_settings *s, const struct hc_text *text,
                               const struct hc_model *m, struct hc_tokens *prompt,
                               struct generate_result *r)
{
    uint32_t flags =
        HEARTH_TOKENIZE_SPECIAL | (s->parse_special ? HEARTH_TOKENIZE_PARSE_SPECIAL : 0);
    int rc = hc_tokenize(m, text, flags, prompt);
    if (rc != HC_OK)
        return rc;
    if (prompt->n == 0)
        return hc_fail(HC_USAGE, s->p ? "-p" : s->f, "no tokens; at least one is needed");
    hearth_session_config config = {.n_ctx = s->ctx,
                                    .n_batch = s->batch,
                                    .kv_type_k = s->type_k,
                                    .kv_type_v = s->type_v};
    struct hc_session hs;
    rc = hc_session_open(&s->common, m, &config, &hs);
    if (rc == HC_OK)
        rc = generate_in_session(s, m, &hs, prompt, r);
    if (rc == HC_OK) {
        if (s->common.json)
            generate_print_json(m, &hs, prompt, r);
        else if (isatty(STDOUT_FILENO))
            fputc('\n', stdout);
        rc = hc_finish_output();
        generate_print_stats(m, &hs, prompt, r);
    }
    if (rc == HC_OK && r->finish == HEARTH_FINISH_CANCELLED)
        rc = hc_fail(HC_FAILED, "generate", "stopped by Ctrl-C after %zu tokens", r->n_tokens);
    hc_session_close(&hs);
    return rc;
}

static int generate_run(const void *settings)
{
    const struct generate_settings *s = settings;
    struct hc_text text;
    struct hc_model model = {0};
    struct hc_tokens prompt = {0};
    struct generate_result result = {0};
    int rc = hc_text_take(s->p, s->f, &text);
    if (rc == HC_OK)
        rc = hc_model_open(&s->common, 0, &model);
    if (rc == HC_OK)
        rc = generate_with_model(s, &text, &model, &prompt, &result);
    free(result.text);
    free(result.tokens);
    free(prompt.ids);
    free(text.bytes);
    hc_model_close(&model);
    return rc;
}

#define FIELD(name) offsetof(struct generate_settings, name)
static const struct hc_option generate_options[] = {
    {"-p", HC_TEXT, FIELD(p), 0, 0, "TEXT", "the text to continue"},
    {"-f", HC_TEXT, FIELD(f), 0, 0, "FILE", "the same from a file; - for standard input"},
    {"-n", HC_INT, FIELD(n), -1, INT32_MAX, "N",
     "most tokens to add; -1: until the context is full (256)"},
    {"-c", HC_INT, FIELD(ctx), 1, INT32_MAX, "CTX", "context in tokens; default: the model's own"},
    {"-b", HC_INT, FIELD(batch), 1, INT32_MAX, "CHUNK", "prompt tokens in one step (512)"},
    {"--temp", HC_REAL, FIELD(temperature), 0, 100, "X", "temperature; 0 is greedy (0.8)"},
    {"--top-k", HC_INT, FIELD(top_k), 0, INT32_MAX, "K", "keep the K likeliest; 0: all (40)"},
    {"--top-p", HC_REAL, FIELD(top_p), 0, 1, "P",
     "keep the likeliest that make up P; 1: all (0.95)"},
    {"--min-p", HC_REAL, FIELD(min_p), 0, 1, "P",
     "drop what is below P times the likeliest (0.05)"},
    {"--repeat-penalty", HC_REAL, FIELD(repeat_penalty), 0, 100, "X",
     "divide the score of recent tokens; 1: off (1)"},
    {"-s", HC_SEED, FIELD(seed), 0, 0, "SEED", "seed; default: random, printed to stderr"},
    {"--stop", HC_TEXTS, FIELD(stop), 0, 0, "STR", "end before this text; may be repeated"},
    {"--ignore-eos", HC_FLAG, FIELD(ignore_eos), 0, 0, NULL, "end tokens do not end the text"},
    {"--parse-special", HC_FLAG, FIELD(parse_special), 0, 0, NULL,
     "texts of special tokens in the prompt become their ids"},
    {"--ctk", HC_TEXT, FIELD(type_k), 0, 0, "TYPE", "type of the key cache (f16)"},
    {"--ctv", HC_TEXT, FIELD(type_v), 0, 0, "TYPE", "type of the value cache (f16)"},
    {"--draft", HC_LATER, 0, 0, 0, "FILE", "speculative decoding"},
    {"--draft-max", HC_LATER, 0, 0, 0, "N", "speculative decoding"},
    {"--lookup", HC_LATER, 0, 0, 0, NULL, "speculative decoding"},
    HC_OPTIONS_END,
};

static const struct generate_settings generate_defaults = {
    .n = 256,
    .temperature = 0.8f,
    .top_k = 40,
    .top_p = 0.95f,
    .min_p = 0.05f,
    .repeat_penalty = 1.0f,
};

const struct hc_command hc_command_generate = {
    .name = "generate",
    .synopsis = "-m FILE (-p TEXT | -f FILE) [-n N]",
    .text = "Continues a text and prints what it adds as it comes. A seed gives the same text for any\n"
            "number of threads, chunk and kernel level.",
    .options = generate_options,
    .settings_size = sizeof(struct generate_settings),
    .defaults = &generate_defaults,
    .run = generate_run,
};
