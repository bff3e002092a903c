#include "bn_verdict.h"
#include <math.h>
#include <string.h>

enum { T1 = 1, T2 = 2, T3 = 4 };

static const struct verdict_row {
    const char *metric;
    unsigned tiers;
    size_t config; /* offset in struct bn_tier, 0: fixed */
    double fixed;
    char op;
    const char *source;
    enum bn_suite_id suite;
    const char *name, *role;
} verdict_rows[] = {
#define CONFIG(key) offsetof(struct bn_tier, key), 0
#define FIXED(number) 0, number
#define BN_ROW(metric, tiers, target, op, source, suite, name, role)                               \
    {metric, tiers, target, op, source, BN_S_##suite, name, role},
#include "targets.def"
#undef BN_ROW
#undef FIXED
#undef CONFIG
};

const char *bn_said_text(enum bn_said said)
{
    static const char *const text[] = {"met", "not met", "not run"};
    return text[said];
}

static unsigned verdict_tier(const struct bn_tier *tier)
{
    return strcmp(tier->name, "tier1") == 0 ? T1 : strcmp(tier->name, "tier2") == 0 ? T2 : T3;
}

/* The target is in microseconds and the result in nanoseconds. */
static bool verdict_us(const struct verdict_row *row, const struct bn_result *r)
{
    bool us = row->config == offsetof(struct bn_tier, memory_acquire_us) || strstr(row->metric, "Memory acquire, opt");
    return us && strcmp(r->unit, "ns") == 0;
}

static void verdict_of(const struct bn_run *run, const struct verdict_row *row, double target, const struct bn_result *r,
                       struct bn_verdict *v)
{
    bool us = verdict_us(row, r);
    double value = us ? r->value * 1e-3 : r->value;
    size_t used = strlen(v->target);
    snprintf(v->target + used, sizeof v->target - used, " %s", us ? "us" : r->unit);
    v->result = r;
    if (!isfinite(value) || run->smoke) {
        v->said = BN_NOT_RUN;
        snprintf(v->reason, sizeof v->reason, "%s", r->why[0] ? r->why : run->smoke ? "smoke mode: checked, not timed" : "no figure");
        v->result = r->why[0] ? NULL : r;
        return;
    }
    v->said = (row->op == '>' ? value >= target : value <= target) ? BN_MET : BN_NOT_MET;
}

size_t bn_judge(const struct bn_run *run, struct bn_verdict *out, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < sizeof verdict_rows / sizeof *verdict_rows; i++) {
        const struct verdict_row *row = &verdict_rows[i];
        double target = row->fixed;
        bool any = false;
        if (!(row->tiers & verdict_tier(run->tier)))
            continue;
        if (row->config)
            memcpy(&target, (const char *)run->tier + row->config, sizeof target);
        struct bn_verdict v = {.metric = row->metric, .source = row->source, .said = BN_NOT_RUN, .claimed = row->op == '.'};
        snprintf(v.target, sizeof v.target, "%s %.6g", row->op == '>' ? "at least" : "at most", target);
        if (!(target > 0))
            continue; /* the tier's file has no such target */
        for (size_t k = 0; k < run->n_results && n < most; k++) {
            const struct bn_result *r = &run->result[k];
            if (strcmp(r->suite, bn_suite_name(row->suite)) != 0 || strncmp(r->name, row->name, strlen(row->name)) != 0 ||
                (row->role[0] && strcmp(r->role, row->role) != 0))
                continue;
            out[n] = v;
            verdict_of(run, row, target, r, &out[n++]);
            any = true;
        }
        if (any || n == most)
            continue;
        const struct bn_suite_report *s = &run->suite[row->suite];
        snprintf(v.reason, sizeof v.reason, "%s", s->ran ? "the suite has no such figure in this run" : s->why);
        out[n++] = v;
    }
    return n;
}
