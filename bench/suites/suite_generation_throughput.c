/* What answers cost to write, and text: tokens a second of prompts and of text apart, time to the first token, time
 * between tokens (every one a sample), for prompts of 100, 1 000 and 4 000 tokens as far as the context goes; the change
 * since bench/baselines/pre.json; and a start of the program to its first byte of text. Greedy; the first tokens
 * must be the same in each repetition. What would take longer than a case may is not run, and says so. */
#include "bn_run.h"
#include "base/os/hb_os.h"
#include "serve/hs_wire.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers ---- */

struct answer {
    struct hk_table kernels;
    const struct hs_message *kind;
    const void *msg;
    uint8_t *out;
    size_t len, n;
};

static bool answer_encode(void *ctx)
{
    struct answer *a = ctx;
    for (size_t i = 0; i < a->n; i++)
        if (hs_binary_encode(&a->kernels, a->kind, a->msg, a->out, 1 << 16) != a->len)
            return false;
    return true;
}

static int answer_time(struct bn_run *run, struct answer *a, const char *name, size_t n, size_t bytes)
{
    union hs_any back;
    a->len = hs_binary_encode(&a->kernels, a->kind, a->msg, a->out, 1 << 16);
    a->n = n;
    if (!a->len || hs_binary_decode(a->kind, a->out + 5, a->len - 5, &back, NULL) != HEARTH_OK)
        return bn_wrong(run, "%s does not come back", name);
    struct bn_result *r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "%s", name);
    bn_params(r, "%zu messages, %zu bytes in all, %zu of text each", n, a->len * n, bytes);
    return bn_time(run, r, answer_encode, a, 1);
}

static int answer_rows(struct bn_run *run)
{
    static const size_t tokens[] = {50, 200, 500}, chunks[] = {1, 10, 50};
    struct answer a = {.out = malloc(1 << 16)};
    char text[2000], name[64];
    uint32_t id = 1000;
    int rc = a.out ? 0 : bn_refuse(run, "no memory");
    hk_select(&a.kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    memset(text, 'x', sizeof text);
    for (size_t i = 0; rc == 0 && i < 3; i++) { /* four bytes a token */
        struct hs_done done = {0};
        HS_SET(&done, done, id, 1);
        HS_SET(&done, done, reason, 0);
        HS_SET(&done, done, prompt_tokens, 100);
        HS_SET(&done, done, generated_tokens, tokens[i]);
        HS_SET(&done, done, text, (struct hs_bytes){text, tokens[i] * 4});
        a.kind = &hs_messages[HS_M_done];
        a.msg = &done;
        snprintf(name, sizeof name, "result of %zu tokens", tokens[i]);
        rc = answer_time(run, &a, name, 1, tokens[i] * 4);
    }
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        struct hs_chunk chunk = {0};
        HS_SET(&chunk, chunk, id, 1);
        HS_SET(&chunk, chunk, index, 7);
        HS_SET(&chunk, chunk, tokens, (struct hs_tokens){.values = &id, .n = 1});
        HS_SET(&chunk, chunk, text, (struct hs_bytes){text, 4});
        a.kind = &hs_messages[HS_M_chunk];
        a.msg = &chunk;
        snprintf(name, sizeof name, "%zu chunks of a stream", chunks[i]);
        rc = answer_time(run, &a, name, chunks[i], 4);
    }
    free(a.out);
    return rc;
}

/* ---- text ---- */

#define TEXT_BUDGET_S 25.0 /* of one case */
#define TEXT_TOKENS   64
#define TEXT_FIRST    8 /* tokens that must come again */

struct text {
    struct bn_run *run;
    struct bn_model *m;
    struct bn_session s;
    const uint32_t *prompt;
    size_t n_prompt;
    int32_t first[TEXT_FIRST];
    size_t n_first; /* that are known */
};

static int32_t text_best(const struct text *t, int *wrong)
{
    const float *x = hearth_session_logits(t->s.session, 0);
    int32_t best = 0;
    for (int32_t i = 0; i < t->m->info.vocab_size; i++) {
        best = x[i] > x[best] ? i : best;
        *wrong |= !isfinite(x[i]);
    }
    return best;
}

static hearth_status text_prompt(struct text *t, hearth_error *err)
{
    hearth_status status = HEARTH_OK;
    hearth_session_reset(t->s.session);
    if (t->n_prompt > 1)
        status = hearth_session_eval(t->s.session, (const int32_t *)t->prompt, t->n_prompt - 1, NULL, err);
    const hearth_item last = {(int32_t)t->prompt[t->n_prompt - 1], 0, 1};
    return status == HEARTH_OK ? hearth_session_step(t->s.session, &last, 1, err) : status;
}

/* n tokens behind the prompt; ns of each. */
static int text_decode(struct text *t, double *ns, size_t n)
{
    hearth_error err = {0};
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t token = text_best(t, &wrong);
        if (i < t->n_first && token != t->first[i])
            return bn_wrong(t->run, "%s: token %zu is %d, and was %d before", t->m->label, i, (int)token, (int)t->first[i]);
        if (i < TEXT_FIRST)
            t->first[i] = token;
        t->n_first = i < TEXT_FIRST && i >= t->n_first ? i + 1 : t->n_first;
        const hearth_item item = {token, 0, 1};
        uint64_t t0 = bn_began();
        if (hearth_session_step(t->s.session, &item, 1, &err) != HEARTH_OK)
            return bn_wrong(t->run, "%s: %s", t->m->label, err.text);
        ns[i] = bn_ended(t->run, t0);
    }
    return wrong ? bn_wrong(t->run, "%s: a score is not finite", t->m->label) : 0;
}

static struct bn_result *text_row(const struct text *t, const char *unit, enum bn_better better, enum bn_gate gate,
                                  const char *name)
{
    struct bn_result *r = bn_add(t->run, unit, better, gate, "%s, prompt %zu", name, t->n_prompt);
    bn_of_model(r, t->m);
    r->threads = t->s.threads;
    bn_params(r, "prompt %zu, %d threads, f16 cache%s", t->n_prompt, t->s.threads,
              BN_ON(t->run, kv_cache) ? "" : ", which is off");
    return r;
}

static double text_bandwidth(const struct bn_run *run, int threads)
{
    return run->machine.read_gb_s[threads > 1];
}

/* One prompt length. *rate: tokens a second of the prompt, for an estimate of the next. */
static int text_case(struct text *t, double *rate)
{
    double ns[TEXT_TOKENS], total = 0;
    hearth_error err = {0};
    struct bn_result *pp = text_row(t, "tokens/s", BN_HIGHER, BN_THROUGHPUT, "prefill");
    if (*rate > 0 && (double)t->n_prompt / *rate > 3 * TEXT_BUDGET_S) {
        bn_missing(pp, "would take %.0f s; %.0f are allowed", (double)t->n_prompt / *rate, 3 * TEXT_BUDGET_S);
        return 0;
    }
    struct bn_result *first = text_row(t, "ms", BN_LOWER, BN_LATENCY, "time to first token");
    struct bn_result *tg = text_row(t, "tokens/s", BN_HIGHER, BN_THROUGHPUT, "decode");
    struct bn_result *between = text_row(t, "ms", BN_LOWER, BN_LATENCY, "between tokens");
    size_t reps = bn_rounds(t->run, t->n_prompt > 1000 ? 3 : 7), n = t->run->smoke ? 4 : TEXT_TOKENS;
    t->n_first = 0;
    for (size_t i = 0; i < reps && (i < 1 || total < TEXT_BUDGET_S); i++) {
        uint64_t t0 = bn_began();
        if (text_prompt(t, &err) != HEARTH_OK)
            return bn_wrong(t->run, "%s: %s", t->m->label, err.text);
        double took = bn_ended(t->run, t0);
        if (!BN_ON(t->run, kv_cache) && (double)n * took > TEXT_BUDGET_S * 1e9)
            n = took > TEXT_BUDGET_S * 1e9 ? 1 : (size_t)(TEXT_BUDGET_S * 1e9 / took);
        if (i > 0 || reps == 1 || took > 5e9) { /* the first one touches memory for the first time */
            bn_sample(pp, (double)t->n_prompt * 1e9 / took);
            bn_sample(first, took * 1e-6);
        }
        if (text_decode(t, ns, n) != 0)
            return -1;
        double sum = 0;
        for (size_t k = 0; k < n; k++) {
            bn_sample(between, ns[k] * 1e-6);
            sum += ns[k];
        }
        bn_sample(tg, (double)n * 1e9 / sum);
        total += (took + sum) * 1e-9;
    }
    bn_settle(pp, "median");
    bn_settle(first, "median");
    bn_settle(tg, "median");
    bn_settle(between, "p95");
    double bytes = (double)t->m->info.weight_bytes;
    if (BN_ON(t->run, kv_cache) && text_bandwidth(t->run, t->s.threads) > 0)
        bn_limit(tg, text_bandwidth(t->run, t->s.threads) * 1e9 / bytes, "reading the weights");
    *rate = pp->value;
    return 0;
}

static int text_lookup(struct text *t)
{
    hearth_error err = {0};
    hearth_generation *gen;
    const hearth_speculation_config spec = {.struct_size = sizeof spec, .lookup = 1};
    const hearth_generation_config config = {.struct_size = sizeof config, .max_tokens = TEXT_TOKENS, .ignore_end = 1,
                                             .speculation = &spec};
    struct bn_result *r = text_row(t, "tokens/s", BN_HIGHER, BN_UNGATED, "decode with lookup");
    for (size_t rep = 0; rep < bn_rounds(t->run, 5); rep++) {
        hearth_session_reset(t->s.session);
        if (hearth_generation_open(t->s.session, &config, &gen, &err) != HEARTH_OK)
            return bn_refuse(t->run, "%s: %s", t->m->label, err.text);
        hearth_status status = hearth_generation_prompt(gen, (const int32_t *)t->prompt, t->n_prompt, &err);
        uint64_t t0 = bn_began();
        size_t n = 0;
        for (hearth_piece p = {.struct_size = sizeof p}; status == HEARTH_OK && p.finish == HEARTH_FINISH_NONE;) {
            status = hearth_generation_next(gen, &p, &err);
            if (p.token >= 0 && n < t->n_first && p.token != t->first[n])
                status = HEARTH_E_INTERNAL;
            n += p.token >= 0;
        }
        bn_sample(r, (double)n * 1e9 / bn_ended(t->run, t0));
        hearth_generation_close(gen);
        if (status != HEARTH_OK)
            return bn_wrong(t->run, "%s: with guesses another text, or none", t->m->label);
    }
    bn_settle(r, "median");
    return 0;
}

static int text_model(struct bn_run *run, struct bn_model *m, const struct bn_prompt *prompts, size_t n)
{
    struct text t = {.run = run, .m = m};
    hearth_session_config config = {.n_logits = 8};
    int32_t longest = (int32_t)prompts[n - 1].n + TEXT_TOKENS + 16;
    double rate = 0;
    config.n_ctx = longest < m->info.n_ctx_train ? longest : m->info.n_ctx_train;
    int rc = bn_session_open(run, m, &config, 0, &t.s);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        t.prompt = prompts[i].ids;
        t.n_prompt = prompts[i].n;
        if (t.n_prompt + TEXT_TOKENS > (size_t)config.n_ctx) {
            bn_missing(text_row(&t, "tokens/s", BN_HIGHER, BN_UNGATED, "prefill"),
                       "%zu and %d tokens; the context has %d", t.n_prompt, TEXT_TOKENS, (int)config.n_ctx);
            continue;
        }
        rc = text_case(&t, &rate);
        if (rc == 0 && i == 0 && BN_ON(run, speculative_decoding) && BN_ON(run, kv_cache))
            rc = text_lookup(&t);
    }
    bn_session_close(&t.s);
    return rc;
}

/* 64 tokens of text behind 100 with 1, 2, 4, ... threads. */
static int threads_rows(struct bn_run *run, struct bn_model *m, const struct bn_prompt *prompt)
{
    double ns[TEXT_TOKENS];
    int most = bn_run_threads(run), rc = 0;
    for (int n = 1; rc == 0 && n <= most; n = n < most && 2 * n > most ? most : 2 * n) {
        struct text t = {.run = run, .m = m, .prompt = prompt->ids, .n_prompt = prompt->n};
        hearth_session_config config = {.n_ctx = 256};
        hearth_error err = {0};
        rc = bn_session_open(run, m, &config, n, &t.s);
        struct bn_result *r = bn_add(run, "tokens/s", BN_HIGHER, BN_THROUGHPUT, "text by threads");
        bn_of_model(r, m);
        r->threads = n;
        bn_params(r, "64 tokens behind 100, %d threads", n);
        for (size_t i = 0; rc == 0 && i < bn_rounds(run, 7); i++) {
            double sum = 0;
            if (text_prompt(&t, &err) != HEARTH_OK)
                rc = bn_wrong(run, "%s: %s", m->label, err.text);
            rc = rc == 0 ? text_decode(&t, ns, TEXT_TOKENS) : rc;
            for (size_t k = 0; rc == 0 && k < TEXT_TOKENS; k++)
                sum += ns[k];
            bn_sample(r, TEXT_TOKENS * 1e9 / sum);
        }
        bn_settle(r, "median");
        bn_session_close(&t.s);
    }
    return rc;
}

/* ---- the change since the first commit that speed is measured against ---- */

static int change_row(struct bn_run *run, struct bn_model *m, const json_t *row)
{
    int threads = (int)json_integer_value(json_object_get(row, "n_threads"));
    size_t n_prompt = (size_t)json_integer_value(json_object_get(row, "n_prompt"));
    size_t n_gen = (size_t)json_integer_value(json_object_get(row, "n_gen"));
    double before = json_real_value(json_object_get(row, "avg_ts"));
    struct bn_session s;
    hearth_session_config config = {.n_ctx = (int32_t)(n_prompt + n_gen + 1)};
    hearth_error err = {0};
    int32_t ids[512];
    if (json_integer_value(json_object_get(row, "n_depth")) || n_prompt > 512 || n_gen > 512 ||
        threads > bn_run_threads(run) || !(before > 0))
        return 0;
    for (size_t i = 0; i < 512; i++)
        ids[i] = (int32_t)(5 + i * 7919 % 10000);
    int rc = bn_session_open(run, m, &config, threads, &s);
    struct bn_result *r = bn_add(run, "%", BN_HIGHER, BN_UNGATED, "change of %s since pre.json",
                                 json_string_value(json_object_get(row, "test")));
    bn_of_model(r, m);
    r->threads = threads;
    bn_params(r, "%d threads; %.0f tokens/s before", threads, before);
    for (size_t rep = 0; rc == 0 && rep < bn_rounds(run, 9); rep++) {
        hearth_status status = HEARTH_OK;
        hearth_session_reset(s.session);
        uint64_t t0 = bn_began();
        if (n_prompt)
            status = hearth_session_eval(s.session, ids, n_prompt, NULL, &err);
        for (size_t i = 0; status == HEARTH_OK && i < n_gen; i++)
            status = hearth_session_step(s.session, &(hearth_item){ids[i], 0, 1}, 1, &err);
        double now = (double)(n_prompt + n_gen) * 1e9 / bn_ended(run, t0);
        if (status != HEARTH_OK)
            rc = bn_wrong(run, "%s: %s", m->label, err.text);
        if (rep > 0 || run->smoke)
            bn_sample(r, 100 * (now / before - 1));
    }
    bn_settle(r, "median");
    bn_session_close(&s);
    return rc;
}

static int change_rows(struct bn_run *run, struct bn_model *m)
{
    char path[512];
    json_error_t why;
    size_t i;
    json_t *row;
    int rc = 0;
    snprintf(path, sizeof path, "%s/../bench/baselines/pre.json", run->fixtures);
    json_t *rows = json_load_file(path, 0, &why);
    if (!rows) {
        bn_missing(bn_add(run, "%", BN_HIGHER, BN_UNGATED, "change since pre.json"), "%s is not there", path);
        return 0;
    }
    json_array_foreach(rows, i, row)
    {
        const char *file = json_string_value(json_object_get(row, "model_filename"));
        if (rc == 0 && file && strstr(m->path, file))
            rc = change_row(run, m, row);
    }
    json_decref(rows);
    return rc;
}

/* ---- a start ---- */

static int start_row(struct bn_run *run, const struct bn_model *m)
{
    char out[4096];
    const char *args[] = {"generate", "-m", m->path, "-p", "It was", "-n", "1", "--temp", "0", "-c", "128", "--ignore-eos",
                          BN_ON(run, mmap_loading) ? NULL : "--no-mmap", NULL};
    struct bn_result *r = bn_add(run, "s", BN_LOWER, BN_LATENCY, "start to first token");
    bn_of_model(r, m);
    r->threads = bn_run_threads(run);
    bn_params(r, "a new process, file in the system's cache, %.0f MB", (double)m->bytes * 1e-6);
    for (size_t i = 0; i < bn_rounds(run, 5); i++) {
        uint64_t first, end;
        if (bn_child(run, args, out, sizeof out, &first, &end) != 0) {
            bn_missing(r, "hearth generate failed");
            return 0;
        }
        bn_sample(r, (double)(first ? first : end) * 1e-9);
    }
    bn_settle(r, "median");
    return 0;
}

int suite_generation_throughput(struct bn_run *run)
{
    static const char *const sizes[] = {"small", "medium", "large"};
    static const enum bn_role roles[] = {BN_SMALL, BN_FAST, BN_GENERATOR};
    struct bn_prompt prompts[3] = {{.n = 0}};
    hearth_error err = {0};
    size_t n = run->smoke ? 1 : 3;
    int rc = answer_rows(run);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/prompts/%s.json", run->fixtures, sizes[i]);
        if (bn_prompt_read(path, &prompts[i], &err) != HEARTH_OK)
            rc = bn_refuse(run, "%s", err.text);
    }
    if (rc == 0 && !run->smoke) {
        run->machine.read_gb_s[0] = run->machine.read_gb_s[0] > 0 ? run->machine.read_gb_s[0] : bn_read_bandwidth(1);
        run->machine.read_gb_s[1] = run->machine.read_gb_s[1] > 0 ? run->machine.read_gb_s[1] : bn_read_bandwidth(run->machine.cpus);
    }
    for (size_t k = 0; rc == 0 && k < 3; k++) {
        struct bn_model found[2];
        char why[200];
        size_t there = bn_models_find(run, roles[k], found, run->smoke && k ? 0 : 2, why);
        if (there == 0 && !run->smoke) {
            struct bn_result *r = bn_add(run, "tokens/s", BN_HIGHER, BN_UNGATED, "decode, prompt of any length");
            snprintf(r->role, sizeof r->role, "%s", bn_role_name(roles[k]));
            bn_missing(r, "%s", why);
        }
        for (size_t i = 0; rc == 0 && i < there; i++) {
            rc = bn_model_open(run, &found[i]);
            rc = rc == 0 ? text_model(run, &found[i], prompts, n) : rc;
            if (rc == 0 && roles[k] != BN_GENERATOR && BN_ON(run, kv_cache))
                rc = threads_rows(run, &found[i], &prompts[0]);
            if (rc == 0 && roles[k] == BN_SMALL && BN_ON(run, kv_cache))
                rc = change_rows(run, &found[i]);
            bn_model_close(&found[i]);
            rc = rc == 0 ? start_row(run, &found[i]) : rc;
        }
    }
    for (size_t i = 0; i < 3; i++)
        bn_prompt_free(&prompts[i]);
    return rc;
}
