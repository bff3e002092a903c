/* hearth bench: tokens per second of prompts and of generation, in llama-bench's columns. Lists of
 * -p, -n, -d and -t multiply out to one row each. */
#include "bench.h"
#include "bench_suites.h"
#include "bench/instruments/bn_machine.h"
#include "commands.h"
#include "commit.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bench_settings {
    struct hc_common common; /* its threads field is unused: -t is a list here */
    struct hc_ints p, n, d, t, seqs;
    int32_t reps;
    int32_t batch;
    const char *format;
    struct bench_suites suites; /* and no_kv_cache, type_k, type_v of both */
};

#define BENCH_MOST_ROWS 256

struct bench_rows {
    struct bench_row *row; /* [BENCH_MOST_ROWS] */
    size_t n;
};

static int32_t bench_largest(const struct hc_ints *list)
{
    int32_t most = 0;
    for (size_t i = 0; i < list->n; i++)
        most = list->item[i] > most ? list->item[i] : most;
    return most;
}

static void bench_describe(const struct bench_settings *s, const struct hc_model *m,
                           const struct hc_session *hs, const struct bench_test *test,
                           struct bench_row *row)
{
    const char *file = strrchr(m->path, '/');
    time_t now = time(NULL);
    struct tm utc;
#define SET(field, ...) snprintf(row->field, sizeof row->field, __VA_ARGS__)
    SET(build_commit, "%s", HC_COMMIT);
    bn_cpu_name(row->cpu_info, sizeof row->cpu_info);
    SET(backends, "CPU");
    SET(level, "%s", hs->info.level);
    SET(model_filename, "%s", file ? file + 1 : m->path);
    SET(model_type, "%s%s %.0fM %s", strstr(m->info.name, "synthetic") ? "synthetic " : "", m->info.architecture,
        (double)m->info.n_params * 1e-6,
        m->info.file_type);
    SET(type_k, "%s", s->suites.type_k);
    SET(type_v, "%s", s->suites.type_v);
    SET(test, "%s%d", test->n_prompt ? "pp" : "tg",
        (int)(test->n_prompt ? test->n_prompt : test->n_gen));
    size_t used = strlen(row->test);
    if (test->n_seqs > 1)
        used += (size_t)snprintf(row->test + used, sizeof row->test - used, " x%d", (int)test->n_seqs);
    if (test->n_depth)
        snprintf(row->test + used, sizeof row->test - used, " @ d%d", (int)test->n_depth);
    if (s->suites.no_kv_cache)
        strcat(row->test, " no kv");
    gmtime_r(&now, &utc);
    strftime(row->test_time, sizeof row->test_time, "%Y-%m-%dT%H:%M:%SZ", &utc);
#undef SET
    row->model_size = m->info.weight_bytes;
    row->model_n_params = m->info.n_params;
    row->n_batch = (uint64_t)hs->info.n_batch;
    row->n_threads = (uint64_t)hs->info.n_threads;
    row->use_mmap = !s->common.no_mmap;
    row->n_prompt = (uint64_t)test->n_prompt;
    row->n_gen = (uint64_t)test->n_gen;
    row->n_depth = (uint64_t)test->n_depth;
    row->n_seqs = (uint64_t)test->n_seqs;
    row->model_bytes = m->file_bytes + m->info.model_bytes;
    row->kv_bytes = hs->info.kv_bytes;
}

static int bench_one(const struct bench_settings *s, const struct hc_model *m,
                     struct hc_session *hs, struct bench_test test, struct bench_rows *rows)
{
    if (test.n_prompt + test.n_gen == 0)
        return HC_OK; /* -p 0 or -n 0: no such test */
    if (rows->n == BENCH_MOST_ROWS)
        return hc_fail(HC_USAGE, "bench", "more than %d rows; fewer are accepted", BENCH_MOST_ROWS);
    struct bench_row *row = &rows->row[rows->n];
    bench_describe(s, m, hs, &test, row);
    int rc = bench_measure(m, hs, &test, row);
    if (rc != HC_OK)
        return rc;
    if (s->suites.no_kv_cache)
        row->gb_s = NAN; /* it counts a token's way with the cache */
    fprintf(stderr, "%s, %d threads: %.2f t/s\n", row->test, (int)hs->info.n_threads, row->avg_ts);
    rows->n++;
    return HC_OK;
}

/* All tests of one session. */
static int bench_tests(const struct bench_settings *s, const struct hc_model *m,
                       struct hc_session *hs, struct bench_rows *rows)
{
    int rc = HC_OK;
    for (size_t d = 0; d < s->d.n; d++) {
        for (size_t i = 0; rc == HC_OK && i < s->p.n; i++)
            rc = bench_one(s, m, hs, (struct bench_test){s->p.item[i], 0, s->d.item[d], s->reps, 1},
                           rows);
        for (size_t i = 0; rc == HC_OK && i < s->n.n * s->seqs.n; i++)
            rc = bench_one(s, m, hs,
                           (struct bench_test){0, s->n.item[i / s->seqs.n], s->d.item[d], s->reps,
                                               s->seqs.item[i % s->seqs.n]},
                           rows);
    }
    return rc;
}

static int bench_threads(const struct bench_settings *s, const struct hc_model *m, int32_t threads,
                         struct bench_rows *rows)
{
    struct hc_common common = s->common;
    common.threads = threads;
    int32_t longest = bench_largest(&s->p) > bench_largest(&s->n) ? bench_largest(&s->p)
                                                                 : bench_largest(&s->n);
    int64_t ctx = (int64_t)longest + bench_largest(&s->d);
    if (ctx > INT32_MAX)
        return hc_fail(HC_USAGE, "-d", "%lld positions together with -p and -n; at most %d are "
                       "accepted", (long long)ctx, INT32_MAX);
    int32_t seqs = bench_largest(&s->seqs), batch = s->batch;
    if (batch == 0) /* as sessions do, but a step must take all sequences */
        batch = ctx < seqs ? seqs : ctx < 512 ? (int32_t)ctx : 512;
    if (seqs > batch)
        return hc_fail(HC_USAGE, "--seqs", "%d sequences in a step; -b is %d", (int)seqs, (int)batch);
    hearth_session_config config = {.n_ctx = ctx ? (int32_t)ctx : 1,
                                    .n_batch = batch ? batch : 1,
                                    .n_seqs = seqs,
                                    .flags = s->suites.no_kv_cache ? HEARTH_SESSION_NO_KV_CACHE : 0,
                                    .kv_type_k = s->suites.type_k,
                                    .kv_type_v = s->suites.type_v};
    struct hc_session hs;
    int rc = hc_session_open(&common, m, &config, &hs);
    if (rc == HC_OK)
        rc = bench_tests(s, m, &hs, rows);
    hc_session_close(&hs);
    return rc;
}

/* Last of all, so that its block is in no row's peak memory. */
static void bench_add_bandwidth(struct bench_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        struct bench_row *r = &rows->row[i];
        const struct bench_row *before = i ? r - 1 : NULL;
        bool same = before && before->n_threads == r->n_threads;
        r->bandwidth_gb_s =
            same ? before->bandwidth_gb_s : bn_read_bandwidth((int32_t)r->n_threads);
        r->core_to_core_ns = same                ? before->core_to_core_ns
                             : r->n_threads == 1 ? 0
                                                 : bn_core_to_core_ns();
        r->bandwidth_share = r->bandwidth_gb_s > 0 ? r->gb_s / r->bandwidth_gb_s : 0;
    }
}

/* bench tier, bench SUITE and the like. */
static int bench_named(const struct bench_settings *s)
{
#if HEARTH_WITH_BENCHMARKS
    struct bench_suites suites = s->suites;
    suites.threads = s->t.item[0];
    suites.n_prompt = s->p.item[0];
    suites.n_gen = s->n.item[0];
    return bench_suites_run(&s->common, &suites);
#else
    return hc_fail(HC_USAGE, s->common.rest[0], "not in this build, which was made without HEARTH_BENCHMARKS");
#endif
}

static int bench_run(const void *settings)
{
    const struct bench_settings *s = settings;
    if (s->common.n_rest > 0)
        return bench_named(s);
    if (!s->common.model)
        return hc_fail(HC_USAGE, "-m", "no model given");
    const char *format = s->common.json ? "json" : s->format;
    if (!bench_format_known(format))
        return hc_fail(HC_USAGE, "-o", "%s; md, csv, json, jsonl and sql are accepted", format);
    struct hc_model model;
    struct bench_rows rows = {calloc(BENCH_MOST_ROWS, sizeof *rows.row), 0};
    if (!rows.row)
        return hc_fail(HC_LIMIT, "bench", "no memory for %d rows", BENCH_MOST_ROWS);
    int rc = hc_model_open(&s->common, 0, &model);
    for (size_t i = 0; rc == HC_OK && i < s->t.n; i++)
        rc = bench_threads(s, &model, s->t.item[i], &rows);
    if (rc == HC_OK) {
        bench_add_bandwidth(&rows);
        bench_print(stdout, format, rows.row, rows.n);
        rc = hc_finish_output();
    }
    hc_model_close(&model);
    free(rows.row);
    return rc;
}

#define FIELD(name) offsetof(struct bench_settings, name)
static const struct hc_option bench_options[] = {
    {"-p", HC_INTS, FIELD(p), 0, 1 << 24, "LIST", "prompt lengths; 0: none (512)"},
    {"-n", HC_INTS, FIELD(n), 0, 1 << 24, "LIST", "tokens to generate; 0: none (128)"},
    {"-d", HC_INTS, FIELD(d), 0, 1 << 24, "LIST", "positions that stand before the test (0)"},
    {"--seqs", HC_INTS, FIELD(seqs), 1, 4096, "LIST",
     "sequences that generate together; figures are of all (1)"},
    {"--no-kv-cache", HC_FLAG, FIELD(suites.no_kv_cache), 0, 0, NULL,
     "compute every token from the beginning of the text"},
    {"-t", HC_INTS, FIELD(t), 0, 1024, "LIST",
     "threads; 0: what CPU affinity and cgroup quota allow (0)"},
    {"-r", HC_INT, FIELD(reps), 1, BENCH_MOST_SAMPLES, "REPS", "repetitions (5)"},
    {"-b", HC_INT, FIELD(batch), 1, INT32_MAX, "CHUNK", "prompt tokens in one step (512)"},
    {"--ctk", HC_TEXT, FIELD(suites.type_k), 0, 0, "TYPE", "type of the key cache (f16)"},
    {"--ctv", HC_TEXT, FIELD(suites.type_v), 0, 0, "TYPE", "type of the value cache (f16)"},
    {"-o", HC_TEXT, FIELD(format), 0, 0, "FORMAT", "md, csv, json, jsonl or sql (md)"},
    {"--models", HC_TEXT, FIELD(suites.models), 0, 0, "DIR", "suites: another folder with model files"},
    {"--fixtures", HC_TEXT, FIELD(suites.fixtures), 0, 0, "DIR", "suites: prompts, models and tiers (fixtures)"},
    {"--out", HC_TEXT, FIELD(suites.out), 0, 0, "DIR", "suites: where report.json, .md and .html go (bench-report)"},
    {"--save", HC_TEXT, FIELD(suites.save), 0, 0, "NAME", "suites: keep the report as a baseline"},
    {"--compare", HC_TEXT, FIELD(suites.compare), 0, 0, "NAME",
     "suites: exit status 1 if throughput is 10 %, latency 10 % or memory 15 % worse than in the baseline"},
    {"--smoke", HC_FLAG, FIELD(suites.smoke), 0, 0, NULL, "suites: everything once, checked, not timed"},
    {"--handicap", HC_REAL, FIELD(suites.handicap), 0, 1000, "PERCENT",
     "suites: make every timed stretch longer, to see that --compare finds it"},
    {"--no-v2", HC_FLAG, FIELD(suites.no_v2), 0, 0, NULL, "suites: without the binary encoding"},
    {"-c", HC_INT, FIELD(suites.ctx), 0, INT32_MAX, "CTX", "probe: context (the model's)"},
    {"--seq", HC_LATER, 0, 0, 0, "LIST", "ONNX models"},
    {"--batch", HC_LATER, 0, 0, 0, "LIST", "ONNX models"},
    HC_OPTIONS_END,
};

static const struct bench_settings bench_defaults = {
    .p = {{512}, 1},
    .n = {{128}, 1},
    .d = {{0}, 1},
    .t = {{0}, 1},
    .seqs = {{1}, 1},
    .reps = 5,
    .format = "md",
    .suites = {.type_k = "f16", .type_v = "f16", .fixtures = "fixtures", .out = "bench-report"},
};

const struct hc_command hc_command_bench = {
    .name = "bench",
    .synopsis = "-m FILE [-p 512] [-n 128] [-d DEPTH] [-t LIST] [-r REPS] [-o FORMAT]\n"
                "       hearth bench tier 1|2|3|full | SUITE... | compare BEFORE NOW | probe -m FILE",
    .text = "Times prompts (pp) and generation (tg). Lists are numbers with commas and multiply out to\n"
            "a row each. Every test runs once before it is timed, to warm up and to be checked.\n"
            "tier runs the suites of fixtures/tiers with exactly their features, and says met, not met or not run to\n"
            "every target; a suite can run alone (docs/benchmarks.md). probe prints times and memory of one model.",
    .takes_rest = true,
    .options = bench_options,
    .settings_size = sizeof(struct bench_settings),
    .defaults = &bench_defaults,
    .run = bench_run,
};
