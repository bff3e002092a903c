#define _POSIX_C_SOURCE 200809L
#include "bn_report.h"
#include "tools/json_out.h"
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

const char *bn_number(char dst[32], double value)
{
    double size = fabs(value);
    if (!isfinite(value))
        snprintf(dst, 32, "-");
    else if (size >= 1000 || value == 0)
        snprintf(dst, 32, "%.0f", value);
    else
        snprintf(dst, 32, "%.*f", size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : size >= 0.1 ? 4 : 6, value);
    return dst;
}

static void json_machine(struct hj *j, const struct bn_machine *m)
{
    hj_open(j, "machine", '{');
    hj_string(j, "cpu", m->cpu);
    hj_string(j, "system", m->system);
    hj_int(j, "cpus", m->cpus);
    hj_int(j, "cores", m->cores);
    hj_int(j, "quota_milli", m->quota_milli);
    hj_string(j, "levels", m->levels);
    hj_string(j, "level", m->level);
    hj_string(j, "caches", m->caches);
    hj_string(j, "governor", m->governor);
    hj_uint(j, "memory_bytes", m->memory_bytes);
    hj_string(j, "compiler", m->compiler);
    hj_string(j, "flags", m->flags);
    hj_real(j, "read_gb_s_one", m->read_gb_s[0]);
    hj_real(j, "read_gb_s_all", m->read_gb_s[1]);
    hj_real(j, "core_to_core_ns", m->core_to_core_ns);
    hj_open(j, "peaks", '[');
    for (size_t i = 0; i < m->n_peaks; i++) {
        hj_open(j, NULL, '{');
        hj_string(j, "level", m->peak[i].level);
        hj_real(j, "int8_gops", m->peak[i].int8_gops);
        hj_real(j, "f32_gflops", m->peak[i].f32_gflops);
        hj_close(j, '}');
    }
    hj_close(j, ']');
    hj_close(j, '}');
}

static void json_suites(struct hj *j, const struct bn_run *run)
{
    hj_open(j, "suites", '[');
    for (int i = 0; i < BN_SUITES; i++) {
        const struct bn_suite_report *s = &run->suite[i];
        hj_open(j, NULL, '{');
        hj_string(j, "name", bn_suite_name((enum bn_suite_id)i));
        hj_bool(j, "ran", s->ran);
        hj_string(j, "why", s->why);
        hj_real(j, "seconds", s->seconds);
        hj_real(j, "yardstick_float_ns", s->float_ns);
        hj_real(j, "yardstick_read_gb_s", s->read_gb_s);
        hj_real(j, "cpu_of_cores", s->cpu.of_cores);
        hj_real(j, "foreign_cpus", s->cpu.foreign_cpus);
        hj_real(j, "steal_cpus", s->cpu.steal_cpus);
        hj_close(j, '}');
    }
    hj_close(j, ']');
}

static void json_result(struct hj *j, const struct bn_result *r)
{
    double sorted[BN_MOST_SAMPLES];
    static const char *const better[] = {"neither", "lower", "higher"};
    static const char *const gates[] = {"none", "throughput", "latency", "memory"};
    hj_open(j, NULL, '{');
    hj_string(j, "suite", r->suite);
    hj_string(j, "name", r->name);
    hj_string(j, "role", r->role);
    hj_string(j, "model", r->model);
    hj_string(j, "weights", r->weights);
    hj_string(j, "params", r->params);
    hj_int(j, "threads", r->threads);
    hj_string(j, "unit", r->unit);
    hj_string(j, "better", better[r->better]);
    hj_string(j, "gate", gates[r->gate]);
    hj_string(j, "stat", r->stat);
    hj_real(j, "value", r->value);
    if (r->why[0])
        hj_string(j, "why", r->why);
    if (r->limit > 0) {
        hj_real(j, "limit", r->limit);
        hj_string(j, "limit_what", r->limit_what);
    }
    hj_uint(j, "n", r->n);
    if (r->n > 0) {
        memcpy(sorted, r->sample, r->n * sizeof *sorted);
        bn_sort(sorted, r->n);
        hj_real(j, "min", sorted[0]);
        hj_real(j, "p50", bn_percentile(sorted, r->n, 50));
        hj_real(j, "p95", bn_percentile(sorted, r->n, 95));
        hj_real(j, "p99", bn_percentile(sorted, r->n, 99));
        hj_real(j, "max", sorted[r->n - 1]);
        hj_real(j, "mean", bn_mean(sorted, r->n));
        hj_real(j, "stddev", bn_deviation(sorted, r->n));
        hj_open(j, "samples", '[');
        for (size_t i = 0; i < r->n; i++)
            hj_real(j, NULL, r->sample[i]);
        hj_close(j, ']');
    }
    hj_close(j, '}');
}

static void json_kernels(struct hj *j, const struct bn_run *run)
{
    hj_open(j, "kernels", '[');
    for (size_t i = 0; i < run->n_kernels; i++) {
        const struct bn_kernel *k = &run->kernel[i];
        hj_open(j, NULL, '{');
        hj_string(j, "slot", k->slot);
        hj_string(j, "level", k->level);
        hj_string(j, "shape", k->shape);
        hj_real(j, "ns", k->ns);
        hj_real(j, "gb_s", k->gb_s);
        hj_real(j, "gops", k->gops);
        hj_real(j, "bandwidth_share", k->bandwidth_share);
        hj_real(j, "peak_share", k->peak_share);
        hj_close(j, '}');
    }
    hj_close(j, ']');
}

static void json_verdicts(struct hj *j, const struct bn_report *report)
{
    hj_open(j, "verdicts", '[');
    for (size_t i = 0; i < report->n_verdicts; i++) {
        const struct bn_verdict *v = &report->verdict[i];
        hj_open(j, NULL, '{');
        hj_string(j, "metric", v->metric);
        hj_string(j, "source", v->source);
        hj_bool(j, "claimed", v->claimed);
        hj_string(j, "target", v->target);
        hj_string(j, "verdict", bn_said_text(v->said));
        if (v->reason[0])
            hj_string(j, "reason", v->reason);
        if (v->result) {
            hj_string(j, "suite", v->result->suite);
            hj_string(j, "name", v->result->name);
            hj_string(j, "model", v->result->model);
            hj_string(j, "weights", v->result->weights);
            hj_string(j, "params", v->result->params);
            hj_string(j, "unit", v->result->unit);
            hj_real(j, "value", v->result->value);
            if (v->result->limit > 0)
                hj_real(j, "share_of_limit", v->result->value / v->result->limit);
        }
        hj_close(j, '}');
    }
    hj_close(j, ']');
}

void bn_report_json(FILE *f, const struct bn_report *report)
{
    const struct bn_run *run = report->run;
    struct hj j = {.file = f};
    hj_open(&j, NULL, '{');
    hj_int(&j, "hearth_report", 1);
    hj_string(&j, "name", run->tier->name);
    hj_string(&j, "description", run->tier->description);
    hj_string(&j, "date", report->date);
    hj_string(&j, "commit", report->commit);
    hj_bool(&j, "smoke", run->smoke);
    hj_real(&j, "handicap", run->handicap);
    hj_int(&j, "threads", bn_run_threads(run));
    json_machine(&j, &run->machine);
    hj_open(&j, "features", '[');
    for (size_t i = 0; i < BN_FEATURES; i++) {
        hj_open(&j, NULL, '{');
        hj_string(&j, "name", bn_features[i].name);
        hj_bool(&j, "built", bn_features[i].built);
        hj_bool(&j, "on", run->features >> i & 1);
        hj_string(&j, "switched_off_by", bn_features[i].off);
        hj_string(&j, "expected", bn_features[i].expected);
        hj_close(&j, '}');
    }
    hj_close(&j, ']');
    json_suites(&j, run);
    json_verdicts(&j, report);
    hj_open(&j, "results", '[');
    for (size_t i = 0; i < run->n_results; i++)
        json_result(&j, &run->result[i]);
    hj_close(&j, ']');
    json_kernels(&j, run);
    hj_close(&j, '}');
    fputc('\n', f);
}

int bn_report_write(const char *dir, const struct bn_report *report)
{
    static const struct {
        const char *name;
        void (*write)(FILE *f, const struct bn_report *report);
    } files[] = {{"report.json", bn_report_json}, {"report.md", bn_report_md}, {"report.html", bn_report_html}};
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return -1;
    for (size_t i = 0; i < 3; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", dir, files[i].name);
        FILE *f = fopen(path, "w");
        if (!f)
            return -1;
        files[i].write(f, report);
        if (fclose(f) != 0)
            return -1;
    }
    return 0;
}
