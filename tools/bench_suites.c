#include "bench_suites.h"
#include "bench/report/bn_report.h"
#include "client.h"
#include "commit.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct suites_run {
    const struct hc_common *common;
    const struct bench_suites *s;
    struct bn_tier tier;
    char self[1024];
};

/* Features that the switches of the command line leave on. */
static uint32_t suites_features(const struct suites_run *r)
{
    uint32_t on = 0;
    for (size_t i = 0; i < BN_FEATURES; i++)
        on |= bn_features[i].built ? 1u << i : 0;
#define OFF(flag, feature) on &= ~((uint32_t)(flag) << BN_F_##feature)
    OFF(r->common->no_mmap, mmap_loading);
    OFF(r->common->no_arena, arena_allocator);
    OFF(r->common->no_thread_pool, thread_pool);
    OFF(r->common->no_simd_tokenizer, simd_tokenizer);
    OFF(r->s->no_kv_cache, kv_cache);
    OFF(r->s->no_v2, v2_encoding);
#undef OFF
    return on;
}

/* 1, 2, 3 and full are files of the fixtures; else a path. */
static int suites_tier(struct suites_run *r, const char *name)
{
    char path[1024];
    hearth_error err = {0};
    bool known = strcmp(name, "full") == 0 || (strlen(name) == 1 && name[0] >= '1' && name[0] <= '3');
    if (!known && !strstr(name, ".json"))
        return hc_fail(HC_USAGE, "bench tier", "%s; 1, 2, 3, full or a JSON file are accepted", name);
    if (known)
        snprintf(path, sizeof path, "%s/tiers/%s%s.json", r->s->fixtures, name[0] == 'f' ? "" : "tier", name);
    else
        snprintf(path, sizeof path, "%s", name);
    hearth_status status = bn_tier_read(path, &r->tier, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, "bench tier", status, &err);
    uint32_t all = 0;
    for (size_t i = 0; i < BN_FEATURES; i++)
        all |= bn_features[i].built ? 1u << i : 0;
    if (suites_features(r) != all)
        return hc_fail(HC_USAGE, "bench tier", "switches of features are given; a tier switches exactly those of its file");
    return HC_OK;
}

static int suites_named(struct suites_run *r)
{
    snprintf(r->tier.name, sizeof r->tier.name, "suites");
    snprintf(r->tier.description, sizeof r->tier.description, "chosen suites");
    r->tier.features = suites_features(r);
    for (int i = 0; i < r->common->n_rest; i++) {
        const char *name = r->common->rest[i];
        enum bn_suite_id suite = bn_suite_find(name, strlen(name));
        if (suite == BN_SUITES)
            return hc_fail(HC_USAGE, "bench", "%s is no suite; tier, compare, and the suites of bench/suites/suites.def "
                           "are accepted", name);
        r->tier.suite[suite] = true;
    }
    return HC_OK;
}

static void suites_open(const struct suites_run *r, struct bn_run *run)
{
    *run = (struct bn_run){.tier = &r->tier, .fixtures = r->s->fixtures, .models = r->s->models, .self = r->self,
                           .features = r->tier.features, .threads = r->s->threads, .smoke = r->s->smoke,
                           .handicap = (double)r->s->handicap / 100};
}

static void suites_summary(const struct bn_verdict *v, size_t n)
{
    char value[32];
    for (size_t i = 0; i < n; i++) {
        if (v[i].claimed)
            continue;
        printf("%-8s %s (%s)", bn_said_text(v[i].said), v[i].metric, v[i].target);
        if (v[i].result)
            printf(": %s %s, %s%s%s%s%s", bn_number(value, v[i].result->value), v[i].result->unit, v[i].result->model,
                   v[i].result->model[0] ? " " : "", v[i].result->name, v[i].result->weights[0] ? ", " : "", v[i].result->weights);
        else
            printf(": %s", v[i].reason);
        fputc('\n', stdout);
    }
}

/* Run the suites of the tier into a folder. A wrong result ends the run; what there is by then is written. */
static int suites_into(const struct suites_run *r, const char *dir, bool print)
{
    struct bn_run run;
    struct bn_verdict *verdicts = calloc(BN_MOST_VERDICTS, sizeof *verdicts);
    struct bn_report report = {.run = &run, .verdict = verdicts};
    time_t now = time(NULL);
    struct tm utc;
    suites_open(r, &run);
    int rc = verdicts && bn_run_open(&run) == 0 ? HC_OK : hc_fail(HC_LIMIT, "bench", "no memory for results");
    if (rc == HC_OK && !run.smoke)
        bn_machine_measure(&run.machine);
    int wrong = HC_OK;
    for (int i = 0; rc == HC_OK && wrong == HC_OK && i < BN_SUITES; i++)
        if (r->tier.suite[i] && bn_run_suite(&run, (enum bn_suite_id)i) != 0)
            wrong = hc_fail(HC_FAILED, bn_suite_name((enum bn_suite_id)i), "a result is wrong: %s", run.failed);
    gmtime_r(&now, &utc);
    strftime(report.date, sizeof report.date, "%Y-%m-%d %H:%M UTC", &utc);
    snprintf(report.commit, sizeof report.commit, "%s", HC_COMMIT);
    if (rc == HC_OK)
        report.n_verdicts = bn_judge(&run, verdicts, BN_MOST_VERDICTS);
    if (rc == HC_OK && bn_report_write(dir, &report) != 0)
        rc = hc_fail(HC_FAILED, dir, "%s", strerror(errno));
    if (rc == HC_OK && print)
        suites_summary(verdicts, report.n_verdicts);
    bn_run_close(&run);
    free(verdicts);
    return rc == HC_OK ? wrong : rc;
}

/* ---- baselines ---- */

/* NAME is a file of bench/baselines, or a path. */
static void suites_baseline(const struct bench_suites *s, const char *name, char *path, size_t size)
{
    if (strchr(name, '/') || strstr(name, ".json"))
        snprintf(path, size, "%s", name);
    else
        snprintf(path, size, "%s/../bench/baselines/%s.json", s->fixtures, name);
}

static int suites_compare(const char *before, const char *now, struct bn_compared *c)
{
    hearth_error err = {0};
    hearth_status status = bn_report_compare(before, now, stdout, c, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, "compare", status, &err);
    printf("%zu same, %zu better, %zu worse, %zu undecided, %zu only before, %zu only now; the machine was %.1f %% slower\n",
           c->same, c->better, c->worse, c->undecided, c->only_before, c->only_now, 100 * c->drift);
    return HC_OK;
}

/* What looks worse is measured again: a change of the code is there the second time, a neighbour's work seldom. */
static int suites_gate(const struct suites_run *r)
{
    char before[1024], now[1100], dir[1024];
    struct bn_compared c;
    suites_baseline(r->s, r->s->compare, before, sizeof before);
    snprintf(now, sizeof now, "%s/report.json", r->s->out);
    int rc = suites_compare(before, now, &c);
    for (int again = 0; rc == HC_OK && c.worse > 0 && again < 2; again++) {
        printf("measuring again\n");
        fflush(stdout);
        snprintf(dir, sizeof dir, "%s/again", r->s->out);
        snprintf(now, sizeof now, "%s/report.json", dir);
        rc = suites_into(r, dir, false);
        rc = rc == HC_OK ? suites_compare(before, now, &c) : rc;
    }
    return rc == HC_OK && c.worse > 0 ? hc_fail(HC_FAILED, r->s->compare, "%zu results are worse by more than the gates allow", c.worse)
                                      : rc;
}

static int suites_save(const struct bench_suites *s)
{
    char from[1100], to[1024], piece[4096];
    size_t n;
    snprintf(from, sizeof from, "%s/report.json", s->out);
    suites_baseline(s, s->save, to, sizeof to);
    FILE *in = fopen(from, "r"), *out = in ? fopen(to, "w") : NULL;
    while (out && (n = fread(piece, 1, sizeof piece, in)) > 0)
        fwrite(piece, 1, n, out);
    bool done = out && !ferror(out);
    if (in)
        fclose(in);
    if (out)
        done = fclose(out) == 0 && done;
    return done ? HC_OK : hc_fail(HC_FAILED, to, "%s", strerror(errno));
}

static int suites_probe(const struct suites_run *r)
{
    struct bn_run run;
    struct bn_probe probe = {.path = r->common->model, .ctx = r->s->ctx, .n_prompt = r->s->n_prompt, .n_gen = r->s->n_gen,
                             .type_k = r->s->type_k, .type_v = r->s->type_v};
    if (!probe.path)
        return hc_fail(HC_USAGE, "-m", "not given; bench probe needs a model");
    suites_open(r, &run);
    run.features = suites_features(r);
    bn_machine_look(&run.machine);
    int rc = bn_probe(&run, &probe);
    return rc == 0 ? hc_finish_output() : hc_fail(HC_REFUSED, "bench probe", "%s", run.why[0] ? run.why : run.failed);
}

int bench_suites_run(const struct hc_common *common, const struct bench_suites *s)
{
    struct suites_run r = {.common = common, .s = s};
    const char *what = common->rest[0];
    struct bn_compared c;
    ssize_t n = readlink("/proc/self/exe", r.self, sizeof r.self - 1);
    r.self[n > 0 ? n : 0] = 0;
    if (strcmp(what, "probe") == 0)
        return suites_probe(&r);
    if (strcmp(what, "compare") == 0) {
        if (common->n_rest != 3)
            return hc_fail(HC_USAGE, "bench compare", "%d reports; two are needed, before and now", common->n_rest - 1);
        int rc = suites_compare(common->rest[1], common->rest[2], &c);
        return rc == HC_OK && c.worse > 0 ? HC_FAILED : rc;
    }
    bool tier = strcmp(what, "tier") == 0;
    if (tier && common->n_rest != 2)
        return hc_fail(HC_USAGE, "bench tier", "1, 2, 3, full or a JSON file is needed");
    int rc = tier ? suites_tier(&r, common->rest[1]) : suites_named(&r);
    rc = rc == HC_OK ? suites_into(&r, s->out, true) : rc;
    if (rc == HC_OK && s->save)
        rc = suites_save(s);
    if (rc == HC_OK && s->compare)
        rc = suites_gate(&r);
    return rc == HC_OK ? hc_finish_output() : rc;
}
