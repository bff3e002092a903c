/* Two report.json beside each other, result by result. */
#include "base/hb_error.h"
#include "bn_report.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

static const char *compare_text(const json_t *of, const char *key)
{
    const char *text = json_string_value(json_object_get(of, key));
    return text ? text : "";
}

/* The same measurement: all that names it. Conditions (params) tell sizes too, and those may change. */
static bool compare_alike(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"suite", "name", "role", "model", "unit"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(compare_text(a, keys[i]), compare_text(b, keys[i])) != 0)
            return false;
    return json_integer_value(json_object_get(a, "threads")) == json_integer_value(json_object_get(b, "threads"));
}

/* Names may come more than once with other conditions: the same one by order. */
static const json_t *compare_find(const json_t *list, const json_t *of, const json_t *row)
{
    size_t i, skip = 0;
    json_t *other;
    json_array_foreach(of, i, other)
    {
        if (other == row)
            break;
        skip += compare_alike(other, row);
    }
    json_array_foreach(list, i, other)
    {
        if (compare_alike(other, row) && skip-- == 0)
            return other;
    }
    return NULL;
}

static struct bn_samples compare_samples(const json_t *row, double *x)
{
    const json_t *list = json_object_get(row, "samples");
    struct bn_samples s = {x, 0};
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
    {
        if (s.n < BN_MOST_SAMPLES && json_is_number(v))
            x[s.n++] = json_number_value(v);
    }
    return s;
}

/* Medians over the suites of what the machine did at the time. */
static double compare_yardstick(const json_t *report, const char *key)
{
    double x[64];
    size_t n = 0, i;
    json_t *suite;
    json_array_foreach(json_object_get(report, "suites"), i, suite)
    {
        double v = json_number_value(json_object_get(suite, key));
        if (json_is_true(json_object_get(suite, "ran")) && v > 0 && n < 64)
            x[n++] = v;
    }
    return bn_median(x, n);
}

/* By products of floats; where memory is what counts, by that too. */
static double compare_drift(const json_t *before, const json_t *now, bool memory)
{
    double f = compare_yardstick(now, "yardstick_float_ns") / compare_yardstick(before, "yardstick_float_ns") - 1;
    double m = compare_yardstick(before, "yardstick_read_gb_s") / compare_yardstick(now, "yardstick_read_gb_s") - 1;
    f = f > 0 ? f : 0;
    m = memory && m > 0 ? m : 0;
    return f > m ? f : m;
}

static void compare_row(const json_t *a, const json_t *b, const double drift[2], FILE *f, struct bn_compared *out)
{
    static double x[BN_MOST_SAMPLES], y[BN_MOST_SAMPLES];
    const char *gate = compare_text(b, "gate");
    double limit = strcmp(gate, "memory") == 0 ? 0.15 : 0.10;
    bool memory = strcmp(gate, "memory") == 0, lower = strcmp(compare_text(b, "better"), "lower") == 0;
    struct bn_samples before = compare_samples(a, x), now = compare_samples(b, y);
    if (before.n == 0 || now.n == 0)
        return;
    struct bn_comparison c = bn_compare(before, now, lower, limit,
                                        memory ? 0 : drift[strcmp(gate, "throughput") == 0]);
    out->same += c.change == BN_SAME;
    out->better += c.change == BN_BETTER;
    out->worse += c.change == BN_WORSE;
    out->undecided += c.change == BN_UNDECIDED;
    if (c.change != BN_SAME)
        fprintf(f, "%-9s %s: %s %s, %d threads: %+.1f %% (noise %.1f %%, p %.2g)\n", bn_change_text(c.change),
                compare_text(b, "suite"), compare_text(b, "model"), compare_text(b, "name"),
                (int)json_integer_value(json_object_get(b, "threads")), 100 * (c.ratio - 1), 100 * c.noise, c.p);
}

static hearth_status compare_load(const char *path, json_t **root, hearth_error *err)
{
    json_error_t why;
    *root = json_load_file(path, 0, &why);
    if (!*root)
        return hb_fail(err, HEARTH_E_FORMAT, "%s is no JSON: line %d: %s", path, why.line, why.text);
    if (json_integer_value(json_object_get(*root, "hearth_report")) == 1)
        return HEARTH_OK;
    json_decref(*root);
    *root = NULL;
    return hb_fail(err, HEARTH_E_FORMAT, "%s is no report of hearth bench (hearth_report: 1)", path);
}

static hearth_status compare_both(const char *before, const char *now, const json_t *a, const json_t *b, hearth_error *err)
{
    const char *cpu[2] = {compare_text(json_object_get(a, "machine"), "cpu"), compare_text(json_object_get(b, "machine"), "cpu")};
    if (strcmp(compare_text(a, "name"), compare_text(b, "name")) != 0)
        return hb_fail(err, HEARTH_E_MISMATCH, "%s is of %s and %s of %s", before, compare_text(a, "name"), now,
                       compare_text(b, "name"));
    if (strcmp(cpu[0], cpu[1]) != 0)
        return hb_fail(err, HEARTH_E_MISMATCH, "%s is of a machine with %s and %s of one with %s", before, cpu[0], now, cpu[1]);
    if (json_is_true(json_object_get(a, "smoke")) || json_is_true(json_object_get(b, "smoke")))
        return hb_fail(err, HEARTH_E_MISMATCH, "a report of smoke mode has no figures to compare");
    return HEARTH_OK;
}

hearth_status bn_report_compare(const char *before, const char *now, FILE *f, struct bn_compared *out, hearth_error *err)
{
    json_t *a = NULL, *b = NULL, *row;
    size_t i;
    *out = (struct bn_compared){0};
    hearth_status status = compare_load(before, &a, err);
    status = status == HEARTH_OK ? compare_load(now, &b, err) : status;
    status = status == HEARTH_OK ? compare_both(before, now, a, b, err) : status;
    if (status == HEARTH_OK) {
        const json_t *old = json_object_get(a, "results"), *new = json_object_get(b, "results");
        const double drift[2] = {compare_drift(a, b, false), compare_drift(a, b, true)};
        out->drift = drift[1];
        json_array_foreach(new, i, row)
        {
            const json_t *other = compare_find(old, new, row);
            if (strcmp(compare_text(row, "gate"), "none") == 0)
                continue;
            if (other)
                compare_row(other, row, drift, f, out);
            out->only_now += !other;
        }
        json_array_foreach(old, i, row)
        {
            out->only_before += strcmp(compare_text(row, "gate"), "none") != 0 && !compare_find(new, old, row);
        }
    }
    json_decref(a);
    json_decref(b);
    return status;
}
