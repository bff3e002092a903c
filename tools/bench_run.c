/* Measures one test. A prompt test evaluates n tokens from depth d in chunks of n_batch; a
 * generation test evaluates them one by one, each the likeliest after those before it, for a number of
 * sequences at once, which begin with different tokens. */
#include "bench.h"
#include "bench/instruments/bn_meter.h"
#include "bench/instruments/bn_stats.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct bench_state {
    const struct hc_model *m;
    hearth_session *session;
    struct bench_test test;
    int32_t *ids;  /* [n][n_seqs]: prompt, or the tokens that the check run chose */
    size_t n;      /* n_prompt or n_gen */
    size_t n_seqs;
    hearth_item *items; /* [n_seqs], or a chunk */
    int32_t last;  /* what the scores after the last token of the last sequence choose */
    double *step_ms; /* [reps * n] for generation, [reps] for prompts */
    size_t n_steps;
};

/* A fixed sequence of ids that look like none of the special ones at the ends of a vocabulary. */
static int32_t bench_token(const struct bench_state *b, size_t i)
{
    uint64_t x = (uint64_t)i * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((x >> 33) % (uint64_t)b->m->info.vocab_size);
}

/* Index of the largest score; false when a score is not finite. */
static bool bench_choose(const float *logits, size_t n, int32_t *token)
{
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(logits[i]))
            return false;
        best = logits[i] > logits[best] ? i : best;
    }
    *token = (int32_t)best;
    return true;
}

static int bench_fail(hearth_status status, const hearth_error *err)
{
    return hc_fail_status(HC_FAILED, "bench", status, err);
}

static int bench_look(struct bench_state *b, size_t row, int32_t *token)
{
    const float *logits = hearth_session_logits(b->session, row);
    if (!bench_choose(logits, (size_t)b->m->info.vocab_size, token))
        return hc_fail(HC_FAILED, "bench", "scores with NaN or infinity; finite ones are needed");
    return HC_OK;
}

/* Evaluate ids from the session's end on; the scores of the last one are kept in the session. */
static hearth_status bench_prompt(struct bench_state *b, const int32_t *ids, size_t n,
                                  hearth_error *err)
{
    if (n > 1) {
        hearth_status status = hearth_session_eval(b->session, ids, n - 1, NULL, err);
        if (status != HEARTH_OK)
            return status;
    }
    return hearth_session_step(b->session, &(hearth_item){ids[n - 1], 0, 1}, 1, err);
}

/* n_depth positions for each sequence. */
static int bench_fill_depth(struct bench_state *b, size_t n_batch)
{
    hearth_error err = {0};
    size_t n = (size_t)b->test.n_depth;
    hearth_session_reset(b->session);
    for (size_t q = 0; q < b->n_seqs; q++)
        for (size_t done = 0, now; done < n; done += now) {
            now = n - done < n_batch ? n - done : n_batch;
            for (size_t i = 0; i < now; i++)
                b->items[i] = (hearth_item){bench_token(b, (q + 1) * 1000003 + done + i), (int32_t)q, 0};
            hearth_status status = hearth_session_step(b->session, b->items, now, &err);
            if (status != HEARTH_OK)
                return bench_fail(status, &err);
        }
    return HC_OK;
}

/* The i-th token of every sequence. */
static hearth_status bench_step(struct bench_state *b, size_t i, hearth_error *err)
{
    for (size_t q = 0; q < b->n_seqs; q++)
        b->items[q] = (hearth_item){b->ids[i * b->n_seqs + q], (int32_t)q, 1};
    return hearth_session_step(b->session, b->items, b->n_seqs, err);
}

/* The untimed run: warms up, checks the scores, and fixes the tokens and the last choice. */
static int bench_check(struct bench_state *b)
{
    hearth_error err = {0};
    hearth_status status = HEARTH_OK;
    int rc = HC_OK;
    if (b->test.n_prompt) {
        for (size_t i = 0; i < b->n; i++)
            b->ids[i] = bench_token(b, i);
        status = bench_prompt(b, b->ids, b->n, &err);
        return status == HEARTH_OK ? bench_look(b, 0, &b->last) : bench_fail(status, &err);
    }
    for (size_t q = 0; q < b->n_seqs; q++)
        b->ids[q] = bench_token(b, q);
    for (size_t i = 0; rc == HC_OK && i < b->n; i++) {
        status = bench_step(b, i, &err);
        if (status != HEARTH_OK)
            return bench_fail(status, &err);
        for (size_t q = 0; rc == HC_OK && q < b->n_seqs; q++)
            rc = bench_look(b, q, i + 1 < b->n ? &b->ids[(i + 1) * b->n_seqs + q] : &b->last);
    }
    return rc;
}

static hearth_status bench_timed(struct bench_state *b, hearth_error *err)
{
    hearth_status status = HEARTH_OK;
    uint64_t before = hc_now_ns();
    if (b->test.n_prompt) {
        status = bench_prompt(b, b->ids, b->n, err);
        b->step_ms[b->n_steps++] = hc_ms_since(before);
        return status;
    }
    for (size_t i = 0; status == HEARTH_OK && i < b->n; i++) {
        status = bench_step(b, i, err);
        uint64_t now = hc_now_ns();
        b->step_ms[b->n_steps++] = (double)(now - before) * 1e-6;
        before = now;
    }
    return status;
}

static hearth_status bench_rewind(struct bench_state *b, hearth_error *err)
{
    hearth_status status = HEARTH_OK;
    for (size_t q = 0; q < b->n_seqs && status == HEARTH_OK; q++)
        status = hearth_seq_trim(b->session, (int32_t)q, b->test.n_depth, err);
    return status;
}

static int bench_repeat(struct bench_state *b, struct bench_row *row)
{
    hearth_error err = {0};
    for (int32_t rep = 0; rep < b->test.reps; rep++) {
        hearth_status status = bench_rewind(b, &err);
        int32_t token;
        if (status != HEARTH_OK)
            return bench_fail(status, &err);
        uint64_t t0 = hc_now_ns();
        status = bench_timed(b, &err);
        uint64_t ns = hc_now_ns() - t0;
        if (status != HEARTH_OK)
            return bench_fail(status, &err);
        int rc = bench_look(b, b->n_seqs - 1, &token);
        if (rc != HC_OK)
            return rc;
        if (token != b->last)
            return hc_fail(HC_FAILED, "bench", "repetition %d chose token %d after %s; %d is right",
                           (int)rep, (int)token, row->test, (int)b->last);
        row->samples_ns[row->n_samples] = (double)ns;
        row->samples_ts[row->n_samples] = (double)(b->n * b->n_seqs) * 1e9 / (double)ns;
        row->samples[row->n_samples] = row->samples_ts[row->n_samples];
        row->n_samples++;
    }
    return HC_OK;
}

/* ---- figures ---- */

/* Bytes read per run: the weights once per step, and the KV of all positions before each step. */
static double bench_bytes(const struct bench_state *b, const struct hc_session *s)
{
    double steps = (double)b->n;
    if (b->test.n_prompt)
        steps = ceil(steps / (double)s->info.n_batch);
    double mean_position = (double)b->test.n_depth + (double)b->n / 2;
    return steps * ((double)hc_model_token_bytes(b->m) +
                    (double)b->n_seqs * mean_position * (double)s->info.kv_token_bytes);
}

static void bench_figures(struct bench_state *b, const struct hc_session *s, struct bench_row *row)
{
    row->avg_ns = (uint64_t)bn_mean(row->samples_ns, row->n_samples);
    row->stddev_ns = (uint64_t)bn_deviation(row->samples_ns, row->n_samples);
    row->avg_ts = bn_mean(row->samples_ts, row->n_samples);
    row->stddev_ts = bn_deviation(row->samples_ts, row->n_samples);
    bn_sort(b->step_ms, b->n_steps);
    row->p50_ms = bn_percentile(b->step_ms, b->n_steps, 50);
    row->p95_ms = bn_percentile(b->step_ms, b->n_steps, 95);
    row->p99_ms = bn_percentile(b->step_ms, b->n_steps, 99);
    double run_ms = row->p50_ms * (b->test.n_prompt ? 1 : (double)b->n);
    row->gb_s = bench_bytes(b, s) / (run_ms * 1e6);
    row->peak_rss_bytes = hc_peak_rss();
}

int bench_measure(const struct hc_model *m, struct hc_session *s, const struct bench_test *test,
                  struct bench_row *row)
{
    struct bench_state b = {.m = m, .session = s->session, .test = *test};
    size_t n_batch = (size_t)s->info.n_batch;
    b.n = (size_t)(test->n_prompt ? test->n_prompt : test->n_gen);
    b.n_seqs = (size_t)test->n_seqs;
    b.ids = malloc(b.n * b.n_seqs * sizeof *b.ids);
    b.items = malloc(n_batch * sizeof *b.items);
    b.step_ms = malloc(b.n * (size_t)test->reps * sizeof *b.step_ms);
    int rc = b.ids && b.items && b.step_ms
                 ? HC_OK
                 : hc_fail(HC_LIMIT, "bench", "no memory for %zu tokens", b.n * b.n_seqs);
    if (rc == HC_OK)
        rc = bench_fill_depth(&b, n_batch);
    if (rc == HC_OK)
        rc = bench_check(&b);
    if (rc == HC_OK) {
        struct bn_cpu before = bn_cpu_now();
        rc = bench_repeat(&b, row);
        row->foreign_cpus = bn_cpu_between(before, bn_cpu_now(), 1).foreign_cpus;
    }
    if (rc == HC_OK)
        bench_figures(&b, s, row);
    free(b.ids);
    free(b.items);
    free(b.step_ms);
    return rc;
}
