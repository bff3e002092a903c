#define _GNU_SOURCE
#include "bn_run.h"
#include "bench/tiers/bn_tier.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const struct bn_feature_info bn_features[BN_FEATURES] = {
#define BN_FEATURE(name, built, off, expected) {#name, built, off, expected},
#include "bench/features.def"
#undef BN_FEATURE
};

static const struct {
    const char *name, *text;
    int (*run)(struct bn_run *run);
} run_suites[BN_SUITES] = {
#define BN_SUITE(name, text) {#name, text, suite_##name},
#include "bench/suites/suites.def"
#undef BN_SUITE
};

const char *bn_suite_name(enum bn_suite_id suite)
{
    return run_suites[suite].name;
}

enum bn_suite_id bn_suite_find(const char *name, size_t len)
{
    int i = 0;
    while (i < BN_SUITES && (strlen(run_suites[i].name) != len || strncmp(run_suites[i].name, name, len) != 0))
        i++;
    return (enum bn_suite_id)i;
}

int bn_run_open(struct bn_run *run)
{
    run->result = calloc(BN_MOST_RESULTS, sizeof *run->result);
    run->kernel = calloc(BN_MOST_KERNELS, sizeof *run->kernel);
    for (size_t i = 0; i < BN_SUITES; i++)
        snprintf(run->suite[i].why, sizeof run->suite[i].why, "the suite is not switched on");
    bn_machine_look(&run->machine);
    return run->result && run->kernel ? 0 : -1;
}

void bn_run_close(struct bn_run *run)
{
    for (size_t i = 0; i < run->n_results; i++)
        free(run->result[i].sample);
    free(run->result);
    free(run->kernel);
}

int bn_run_suite(struct bn_run *run, enum bn_suite_id suite)
{
    struct bn_suite_report *s = &run->suite[suite];
    double int8;
    run->now = run_suites[suite].name;
    run->why[0] = 0;
    fprintf(stderr, "%s: %s\n", run->now, run_suites[suite].text);
    bn_peaks(run->machine.level, &int8, &s->float_ns); /* best of 40 rounds: 1 / rate */
    s->float_ns = s->float_ns > 0 ? 1 / s->float_ns : 0;
    s->read_gb_s = run->smoke ? 0 : bn_read_bandwidth(1);
    struct bn_cpu before = bn_cpu_now();
    int rc = run_suites[suite].run(run);
    struct bn_cpu after = bn_cpu_now();
    s->cpu = bn_cpu_between(before, after, run->machine.cpus);
    s->seconds = after.wall - before.wall;
    s->ran = rc == 0;
    snprintf(s->why, sizeof s->why, "%s", rc < 0 ? run->failed : rc > 0 ? run->why : "");
    if (rc != 0)
        fprintf(stderr, "%s: %s: %s\n", run->now, rc < 0 ? "wrong" : "not run", s->why);
    return rc < 0 ? -1 : 0;
}

#define RUN_FORMAT(dst)                                                                            \
    do {                                                                                           \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        vsnprintf(dst, sizeof dst, format, args);                                                  \
        va_end(args);                                                                              \
    } while (0)

int bn_refuse(struct bn_run *run, const char *format, ...)
{
    RUN_FORMAT(run->why);
    return 1;
}

int bn_wrong(struct bn_run *run, const char *format, ...)
{
    RUN_FORMAT(run->failed);
    return -1;
}

/* ---- results ---- */

struct bn_result *bn_add(struct bn_run *run, const char *unit, enum bn_better better, enum bn_gate gate,
                         const char *format, ...)
{
    if (run->n_results == BN_MOST_RESULTS)
        free(run->result[--run->n_results].sample);
    struct bn_result *r = &run->result[run->n_results++];
    *r = (struct bn_result){.better = better, .gate = gate, .value = NAN, .threads = 1};
    snprintf(r->suite, sizeof r->suite, "%s", run->now);
    snprintf(r->unit, sizeof r->unit, "%s", unit);
    RUN_FORMAT(r->name);
    return r;
}

void bn_params(struct bn_result *r, const char *format, ...)
{
    RUN_FORMAT(r->params);
}

void bn_missing(struct bn_result *r, const char *format, ...)
{
    RUN_FORMAT(r->why);
    r->value = NAN;
}

void bn_sample(struct bn_result *r, double value)
{
    if (r->n == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 16;
        double *bigger = capacity <= BN_MOST_SAMPLES ? realloc(r->sample, capacity * sizeof *bigger) : NULL;
        if (!bigger)
            return;
        r->sample = bigger;
        r->capacity = capacity;
    }
    r->sample[r->n++] = value;
}

void bn_limit(struct bn_result *r, double limit, const char *what)
{
    r->limit = limit;
    snprintf(r->limit_what, sizeof r->limit_what, "%s", what);
}

void bn_settle(struct bn_result *r, const char *stat)
{
    double sorted[BN_MOST_SAMPLES];
    snprintf(r->stat, sizeof r->stat, "%s", stat);
    if (r->n == 0)
        return;
    memcpy(sorted, r->sample, r->n * sizeof *sorted);
    bn_sort(sorted, r->n);
    r->value = stat[0] == 'p'                ? bn_percentile(sorted, r->n, strtod(stat + 1, NULL))
               : strcmp(stat, "least") == 0 ? sorted[0]
               : strcmp(stat, "most") == 0  ? sorted[r->n - 1]
                                            : bn_median(sorted, r->n);
}

void bn_single(struct bn_result *r, double value)
{
    bn_sample(r, value);
    r->value = value;
    snprintf(r->stat, sizeof r->stat, "one");
}

/* ---- timing ---- */

uint64_t bn_began(void)
{
    return bn_now_ns();
}

double bn_ended(const struct bn_run *run, uint64_t began)
{
    uint64_t now = bn_now_ns();
    uint64_t until = now + (uint64_t)((double)(now - began) * run->handicap);
    while (now < until)
        now = bn_now_ns();
    return (double)(now - began);
}

size_t bn_rounds(const struct bn_run *run, size_t full)
{
    return run->smoke ? 2 : full;
}

#define RUN_ROUND_NS 2000000u
#define RUN_ROUNDS   25

int bn_time(struct bn_run *run, struct bn_result *r, bn_work *work, void *ctx, double per)
{
    uint64_t loops = 1;
    if (!work(ctx))
        return bn_wrong(run, "%s, %s: the result is wrong", r->name, r->params);
    for (;; loops *= 2) {
        uint64_t t0 = bn_began();
        for (uint64_t i = 0; i < loops; i++)
            if (!work(ctx))
                return bn_wrong(run, "%s, %s: the result is wrong", r->name, r->params);
        if (bn_now_ns() - t0 > RUN_ROUND_NS / (run->smoke ? 100 : 1))
            break;
    }
    for (size_t k = 0; k < bn_rounds(run, RUN_ROUNDS); k++) {
        bool right = true;
        uint64_t t0 = bn_began();
        for (uint64_t i = 0; i < loops; i++)
            right = work(ctx) && right;
        bn_sample(r, bn_ended(run, t0) / (double)loops / per);
        if (!right)
            return bn_wrong(run, "%s, %s: the result is wrong", r->name, r->params);
    }
    bn_settle(r, "median");
    return 0;
}
