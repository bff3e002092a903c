/* One page that needs nothing but itself: the verdicts, and plots of how latencies are distributed, of tokens a second
 * by threads and by depth, of the kernels under their roofs, and of memory. */
#include "bn_report.h"
#include "plot.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char html_style[] =
    ":root{--fg:#1b1f24;--bg:#fff;--line:#d0d7de;--good:#0072b2;--bad:#b34700}\n"
    "@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--line:#30363d;--good:#56b4e9;--bad:#f0a04b}}\n"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:62rem;margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.5rem}table{border-collapse:collapse;width:100%;font-size:13px}\n"
    "td,th{border-bottom:1px solid var(--line);padding:3px 8px;text-align:left;vertical-align:top}td.n{text-align:right;white-space:nowrap}\n"
    ".met{color:var(--good);font-weight:600}.not{color:var(--bad);font-weight:600}.scroll{overflow-x:auto}\n"
    "svg{width:100%;max-width:54rem;height:auto;margin:1rem 0}svg text{font:12px system-ui,sans-serif;fill:var(--fg)}\n"
    "svg .title{font-weight:600;font-size:14px}svg .grid{stroke:var(--line)}svg .frame{fill:none;stroke:var(--fg);stroke-opacity:.5}\n"
    "svg .mark{stroke:var(--fg);stroke-dasharray:4 3}.banner{border:2px solid var(--bad);padding:.5rem 1rem}\n";

static void html_head(FILE *f, const struct bn_report *report)
{
    const struct bn_run *run = report->run;
    const struct bn_machine *m = &run->machine;
    fprintf(f, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>hearth: ");
    plot_text(f, run->tier->name);
    fprintf(f, "</title><style>%s</style>\n<h1>hearth bench: ", html_style);
    plot_text(f, run->tier->name);
    fprintf(f, "</h1><p>");
    plot_text(f, run->tier->description);
    fprintf(f, ".</p>\n");
    if (run->smoke)
        fprintf(f, "<p class=banner>Smoke mode: everything was run once and checked; no figure here means anything.</p>\n");
    if (run->handicap > 0)
        fprintf(f, "<p class=banner>With a handicap: every timed stretch was made longer on purpose.</p>\n");
    fprintf(f, "<p>%s, commit %s, %s. %s, %d CPUs, level %s, %d threads", report->date, report->commit, m->compiler, m->cpu, m->cpus,
            m->level, bn_run_threads(run));
    if (m->read_gb_s[0] > 0)
        fprintf(f, "; memory is read at %.1f GB/s by one thread and %.1f by all", m->read_gb_s[0], m->read_gb_s[1]);
    fprintf(f, ".</p>\n");
}

static void html_verdicts(FILE *f, const struct bn_report *report)
{
    char n[32];
    fprintf(f, "<h2>Targets</h2><div class=scroll><table><tr><th>row<th>case<th>target<th>measured<th>verdict<th>weights\n");
    for (size_t i = 0; i < report->n_verdicts; i++) {
        const struct bn_verdict *v = &report->verdict[i];
        fprintf(f, "<tr><td>");
        plot_text(f, v->metric);
        fprintf(f, "%s<td>", v->claimed ? " (claimed)" : "");
        if (v->result) {
            plot_text(f, v->result->model);
            fputc(' ', f);
            plot_text(f, v->result->name);
        }
        fprintf(f, "<td class=n>%s<td class=n>", v->target);
        if (v->result)
            fprintf(f, "%s %s", bn_number(n, v->result->value), v->result->unit);
        fprintf(f, "<td class=%s>%s%s", v->said == BN_MET ? "met" : "not", bn_said_text(v->said), v->reason[0] ? ": " : "");
        plot_text(f, v->reason);
        fprintf(f, "<td>%s\n", v->result ? v->result->weights : "");
    }
    fprintf(f, "</table></div>\n");
}

/* ---- distributions: value by percentile ---- */

#define HTML_LINES 6

static bool html_spreads(const struct bn_result *r)
{
    return r->n >= 20 && strcmp(r->unit, "ms") == 0;
}

static void html_distribution(FILE *f, const char *title, const struct bn_result *const *rows, size_t n)
{
    double x[101], y[101], sorted[BN_MOST_SAMPLES];
    struct plot p = {.f = f, .log_y = true, .x0 = 0, .x1 = 100, .y0 = INFINITY, .y1 = 0, .x_label = "percentile", .y_label = "ms"};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < rows[i]->n; k++) {
            p.y0 = rows[i]->sample[k] < p.y0 ? rows[i]->sample[k] : p.y0;
            p.y1 = rows[i]->sample[k] > p.y1 ? rows[i]->sample[k] : p.y1;
        }
    p.y0 *= 0.9;
    p.y1 *= 1.1;
    if (!(p.y0 > 0))
        return;
    plot_open(&p, title);
    for (size_t i = 0; i < n; i++) {
        char name[96];
        memcpy(sorted, rows[i]->sample, rows[i]->n * sizeof *sorted);
        bn_sort(sorted, rows[i]->n);
        for (int k = 0; k <= 100; k++)
            x[k] = k, y[k] = bn_percentile(sorted, rows[i]->n, k);
        plot_line(&p, x, y, 101, (int)i, false);
        snprintf(name, sizeof name, "%s, %d threads", rows[i]->name, rows[i]->threads);
        plot_name(&p, (int)i, (int)i, name);
    }
    plot_close(&p);
}

/* A picture for each model and suite: its results with samples enough. */
static void html_distributions(FILE *f, const struct bn_run *run)
{
    fprintf(f, "<h2>How latencies are distributed</h2>\n");
    bool any = false;
    for (size_t i = 0; i < run->n_results; i++) {
        const struct bn_result *r = &run->result[i], *rows[HTML_LINES];
        size_t n = 0;
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = html_spreads(&run->result[k]) && strcmp(run->result[k].model, r->model) == 0 &&
                   strcmp(run->result[k].suite, r->suite) == 0 && run->result[k].threads == r->threads;
        if (seen || !html_spreads(r) || !r->model[0])
            continue;
        for (size_t k = i; k < run->n_results && n < HTML_LINES; k++)
            if (html_spreads(&run->result[k]) && strcmp(run->result[k].model, r->model) == 0 &&
                strcmp(run->result[k].suite, r->suite) == 0 && run->result[k].threads == r->threads)
                rows[n++] = &run->result[k];
        char title[200];
        snprintf(title, sizeof title, "%s (%s), %s, %d threads", r->model, r->weights, r->suite, r->threads);
        html_distribution(f, title, rows, n);
        any = true;
    }
    if (!any)
        fprintf(f, "<p>Nothing with samples enough in this run.</p>\n");
}

/* ---- bars ---- */

static size_t html_pick(const struct bn_run *run, const char *suite, const char *prefix, struct plot_bar *bars, size_t most,
                        bool threads)
{
    size_t n = 0;
    for (size_t i = 0; i < run->n_results && n < most; i++) {
        const struct bn_result *r = &run->result[i];
        if (strcmp(r->suite, suite) != 0 || strncmp(r->name, prefix, strlen(prefix)) != 0 || !isfinite(r->value))
            continue;
        bars[n].value = r->value;
        bars[n].colour = (int)strlen(r->role) % PLOT_COLOURS;
        if (threads)
            snprintf(bars[n].name, sizeof bars[n].name, "%s, %d threads", r->model, r->threads);
        else
            snprintf(bars[n].name, sizeof bars[n].name, "%s: %s", r->model, r->name + (strncmp(r->name, "decode, ", 8) == 0 ? 8 : 0));
        n++;
    }
    return n;
}

static void html_bars(FILE *f, const struct bn_run *run)
{
    static struct plot_bar bars[64];
    size_t n;
    double ratio = run->tier->memory_ratio;
    fprintf(f, "<h2>Tokens a second</h2>\n");
    if ((n = html_pick(run, "generation_throughput", "text by threads", bars, 64, true)) > 0)
        plot_bars(f, "Text by threads, behind 100 tokens", "tokens/s", bars, n, 0, "");
    if ((n = html_pick(run, "generation_throughput", "decode, prompt", bars, 64, false)) > 0)
        plot_bars(f, "Text by depth", "tokens/s", bars, n, 0, "");
    if ((n = html_pick(run, "generation_throughput", "prefill", bars, 64, false)) > 0)
        plot_bars(f, "Prompts", "tokens/s", bars, n, 0, "");
    fprintf(f, "<h2>Memory</h2>\n");
    if ((n = html_pick(run, "memory_overhead", "peak / file", bars, 64, false)) > 0)
        plot_bars(f, "Peak resident size over file size", "", bars, n, ratio, "target");
    else
        fprintf(f, "<p>Not measured in this run.</p>\n");
}

/* ---- kernels under their roofs ---- */

static void html_roofline(FILE *f, const struct bn_run *run)
{
    double bandwidth = run->machine.read_gb_s[0];
    struct plot p = {.f = f, .log_x = true, .log_y = true, .x0 = INFINITY, .x1 = 0, .y0 = INFINITY, .y1 = 0,
                     .x_label = "operations for each byte", .y_label = "operations a ns, one thread"};
    fprintf(f, "<h2>Kernels</h2>\n");
    for (size_t i = 0; i < run->n_kernels; i++) {
        const struct bn_kernel *k = &run->kernel[i];
        if (!(k->gops > 0) || !(k->gb_s > 0))
            continue;
        double x = k->gops / k->gb_s;
        p.x0 = x < p.x0 ? x : p.x0, p.x1 = x > p.x1 ? x : p.x1;
        p.y0 = k->gops < p.y0 ? k->gops : p.y0, p.y1 = k->gops > p.y1 ? k->gops : p.y1;
    }
    for (size_t i = 0; i < run->machine.n_peaks; i++)
        p.y1 = run->machine.peak[i].int8_gops > p.y1 ? run->machine.peak[i].int8_gops : p.y1;
    if (!(p.x1 > 0) || !(bandwidth > 0)) {
        fprintf(f, "<p>Not measured in this run.</p>\n");
        return;
    }
    p.x0 *= 0.8, p.x1 *= 1.25, p.y0 *= 0.8, p.y1 *= 1.25;
    plot_open(&p, "Each slot, level and shape under what memory and registers give (points have names)");
    const char *levels[PLOT_COLOURS] = {NULL};
    int n_levels = 0;
    for (size_t i = 0; i < run->n_kernels; i++) {
        const struct bn_kernel *k = &run->kernel[i];
        char tip[160];
        int level = 0;
        while (level < n_levels && strcmp(levels[level], k->level) != 0)
            level++;
        if (level == n_levels && n_levels < PLOT_COLOURS) {
            levels[n_levels++] = k->level;
            plot_name(&p, level, level, k->level);
        }
        snprintf(tip, sizeof tip, "%s, %s, %s: %.1f GOPS, %.1f GB/s", k->slot, k->level, k->shape, k->gops, k->gb_s);
        if (k->gops > 0 && k->gb_s > 0)
            plot_point(&p, k->gops / k->gb_s, k->gops, level, tip);
    }
    double x[2] = {p.y0 / bandwidth, p.y1 / bandwidth}, y[2] = {p.y0, p.y1};
    x[0] = x[0] < p.x0 ? p.x0 : x[0], y[0] = x[0] * bandwidth;
    x[1] = x[1] > p.x1 ? p.x1 : x[1], y[1] = x[1] * bandwidth;
    plot_line(&p, x, y, 2, 6, true);
    plot_name(&p, n_levels + 1, 6, "memory, one thread");
    for (size_t i = 0; i < run->machine.n_peaks; i++) {
        double flat[2] = {p.x0, p.x1}, int8[2] = {run->machine.peak[i].int8_gops, run->machine.peak[i].int8_gops};
        double f32[2] = {run->machine.peak[i].f32_gflops, run->machine.peak[i].f32_gflops};
        char name[64];
        int level = 0;
        while (level < n_levels && strcmp(levels[level], run->machine.peak[i].level) != 0)
            level++;
        if (int8[0] > 0)
            plot_line(&p, flat, int8, 2, level, true);
        plot_line(&p, flat, f32, 2, level, true);
        snprintf(name, sizeof name, "%s: %.0f bytes, %.0f floats", run->machine.peak[i].level, int8[0], f32[0]);
        plot_name(&p, n_levels + 2 + (int)i, level, name);
    }
    plot_close(&p);
}

void bn_report_html(FILE *f, const struct bn_report *report)
{
    html_head(f, report);
    html_verdicts(f, report);
    html_distributions(f, report->run);
    html_bars(f, report->run);
    html_roofline(f, report->run);
    fprintf(f, "<p>All figures and every sample are in report.json.</p></html>\n");
}
