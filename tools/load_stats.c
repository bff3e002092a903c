#include "load.h"
#include "cli.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- counts ---- */

void hc_load_refusal(struct load_stats *s, uint64_t code)
{
    size_t i = 0;
    s->refused++;
    while (i + 1 < LOAD_CODES && s->codes[i].n && s->codes[i].code != code)
        i++;
    s->codes[i].code = code;
    s->codes[i].n++;
}

double hc_load_jain(const double *x, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += x[i];
        squares += x[i] * x[i];
    }
    return squares > 0 ? sum * sum / ((double)n * squares) : 1;
}

/* ---- reports ---- */

static const char *const load_names[] = {
#define LOAD_NAME(name, text) #name,
    LOAD_TIMES(LOAD_NAME)};
static const char *const load_texts[] = {
#define LOAD_TEXT(name, text) text,
    LOAD_TIMES(LOAD_TEXT)};
static const char *const load_reasons[] = {"stop", "length", "context_full", "cancelled", "timeout",
                                           "content_filtered"};
_Static_assert(HC_COUNT(load_reasons) == LOAD_REASONS, "reasons of the wire");

struct load_fairness {
    double jain_requests, jain_tokens, jain_latency;
    double min_tokens, max_tokens, min_requests, max_requests, min_ms, max_ms;
};

static void load_range(const double *x, size_t n, double *min, double *max)
{
    *min = *max = n ? x[0] : 0;
    for (size_t i = 1; i < n; i++) {
        *min = x[i] < *min ? x[i] : *min;
        *max = x[i] > *max ? x[i] : *max;
    }
}

static bool load_fair(const struct load_stats *s, struct load_fairness *f)
{
    size_t n = s->n_clients;
    double *x = malloc(3 * n * sizeof *x);
    if (!x)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct load_served *c = &s->served[i];
        x[i] = (double)c->requests;
        x[n + i] = (double)c->tokens;
        x[2 * n + i] = c->requests ? c->sum_ms / (double)c->requests : 0;
    }
    *f = (struct load_fairness){hc_load_jain(x, n), hc_load_jain(x + n, n), hc_load_jain(x + 2 * n, n), 0, 0, 0, 0, 0, 0};
    load_range(x, n, &f->min_requests, &f->max_requests);
    load_range(x + n, n, &f->min_tokens, &f->max_tokens);
    load_range(x + 2 * n, n, &f->min_ms, &f->max_ms);
    free(x);
    return true;
}

static double load_ms(uint64_t ns)
{
    return round((double)ns / 1e3) / 1e3;
}

static double load_per_s(uint64_t n, double seconds)
{
    return seconds > 0 ? round((double)n / seconds * 1e3) / 1e3 : 0;
}

static void load_json_times(struct hj *j, const struct load_stats *s)
{
    hj_open(j, "latency_ms", '{');
    for (size_t i = 0; i < LOAD_T_COUNT; i++) {
        struct bn_distribution d;
        if (!bn_latency_get(&s->time[i], &d))
            continue;
        hj_open(j, load_names[i], '{');
        hj_uint(j, "n", d.n);
        hj_real(j, "mean", load_ms((uint64_t)d.mean));
        hj_real(j, "p50", load_ms(d.p50));
        hj_real(j, "p95", load_ms(d.p95));
        hj_real(j, "p99", load_ms(d.p99));
        hj_real(j, "max", load_ms(d.max));
        hj_close(j, '}');
    }
    hj_close(j, '}');
}

static void load_json_counts(struct hj *j, const struct load_stats *s)
{
    char code[24];
    hj_uint(j, "sent", s->sent);
    hj_uint(j, "ok", s->ok);
    hj_uint(j, "cancelled", s->cancelled);
    hj_uint(j, "abandoned", s->abandoned);
    hj_uint(j, "unsent", s->unsent);
    hj_uint(j, "lost", s->lost);
    hj_uint(j, "double_terminals", s->doubles);
    hj_uint(j, "stray_chunks", s->strays);
    hj_uint(j, "reconnects", s->reconnects);
    hj_uint(j, "refused", s->refused);
    hj_open(j, "refusals", '{');
    for (size_t i = 0; i < LOAD_CODES && s->codes[i].n; i++) {
        snprintf(code, sizeof code, "%llu", (unsigned long long)s->codes[i].code);
        hj_uint(j, code, s->codes[i].n);
    }
    hj_close(j, '}');
    hj_open(j, "reasons", '{');
    for (size_t i = 0; i < LOAD_REASONS; i++)
        if (s->reasons[i])
            hj_uint(j, load_reasons[i], s->reasons[i]);
    hj_close(j, '}');
}

void hc_load_print_json(const struct load_stats *s)
{
    struct hj j = {.file = stdout};
    struct load_fairness f = {0};
    hj_open(&j, NULL, '{');
    hj_string(&j, "loop", s->open ? "open" : "closed");
    if (s->open)
        hj_real(&j, "rate", s->rate);
    hj_uint(&j, "clients", s->n_clients);
    hj_real(&j, "seconds", round(s->seconds * 1e3) / 1e3);
    load_json_counts(&j, s);
    hj_real(&j, "requests_per_s", load_per_s(s->ok, s->seconds));
    hj_real(&j, "tokens_per_s", load_per_s(s->tokens, s->seconds));
    hj_real(&j, "prompt_tokens_per_s", load_per_s(s->prompt_tokens, s->seconds));
    load_json_times(&j, s);
    if (load_fair(s, &f)) {
        hj_open(&j, "fairness", '{');
        hj_real(&j, "jain_requests", f.jain_requests);
        hj_real(&j, "jain_tokens", f.jain_tokens);
        hj_real(&j, "jain_latency", f.jain_latency);
        hj_real(&j, "min_requests", f.min_requests);
        hj_real(&j, "max_requests", f.max_requests);
        hj_real(&j, "min_tokens", f.min_tokens);
        hj_real(&j, "max_tokens", f.max_tokens);
        hj_real(&j, "min_latency_ms", f.min_ms);
        hj_real(&j, "max_latency_ms", f.max_ms);
        hj_close(&j, '}');
    }
    hj_close(&j, '}');
    fputc('\n', stdout);
}

int hc_load_print_table(const struct load_stats *s, FILE *f)
{
    struct load_fairness fair = {0};
    const char *end = isatty(fileno(f)) ? "\033[K\n" : "\n"; /* over what stood there */
    int lines = 4;
    fprintf(f, "%7.1f s, %zu clients: %llu sent, %llu done, %llu refused, %llu cancelled, %llu abandoned, %llu lost, "
            "%llu double%s", s->seconds, s->n_clients, (unsigned long long)s->sent, (unsigned long long)s->ok,
            (unsigned long long)s->refused, (unsigned long long)s->cancelled, (unsigned long long)s->abandoned,
            (unsigned long long)s->lost, (unsigned long long)s->doubles, end);
    fprintf(f, "%9.1f requests/s, %.1f tokens/s, %.1f prompt tokens/s%s", load_per_s(s->ok, s->seconds),
            load_per_s(s->tokens, s->seconds), load_per_s(s->prompt_tokens, s->seconds), end);
    fprintf(f, "%-22s %9s %10s %10s %10s %10s%s", "ms", "n", "p50", "p95", "p99", "max", end);
    for (size_t i = 0; i < LOAD_T_COUNT; i++) {
        struct bn_distribution d;
        if (!bn_latency_get(&s->time[i], &d))
            continue;
        fprintf(f, "%-22s %9llu %10.2f %10.2f %10.2f %10.2f%s", load_texts[i], (unsigned long long)d.n,
                load_ms(d.p50), load_ms(d.p95), load_ms(d.p99), load_ms(d.max), end);
        lines++;
    }
    for (size_t i = 0; i < LOAD_CODES && s->codes[i].n; i++, lines++)
        fprintf(f, "refused with %llu: %llu%s", (unsigned long long)s->codes[i].code,
                (unsigned long long)s->codes[i].n, end);
    if (load_fair(s, &fair))
        fprintf(f, "fairness (Jain): requests %.3f (%.0f to %.0f), tokens %.3f (%.0f to %.0f), time %.3f (%.1f to "
                "%.1f ms)%s", fair.jain_requests, fair.min_requests, fair.max_requests, fair.jain_tokens,
                fair.min_tokens, fair.max_tokens, fair.jain_latency, fair.min_ms, fair.max_ms, end);
    return lines;
}
