/* Rows of hearth bench in five formats. */
#include "bench.h"
#include "json_out.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- JSON ---- */

static void out_json_list(struct hj *j, const char *key, const double *x, size_t n)
{
    hj_open(j, key, '[');
    for (size_t i = 0; i < n; i++)
        hj_real(j, NULL, x[i]);
    hj_close(j, ']');
}

static void out_json_row(struct hj *j, const struct bench_row *r)
{
    hj_open(j, NULL, '{');
#define OUT_TEXT(name) hj_string(j, #name, r->name);
#define OUT_UINT(name) hj_uint(j, #name, r->name);
#define OUT_REAL(name) hj_real(j, #name, r->name);
#define OUT_LIST(name) out_json_list(j, #name, r->name, r->n_samples);
#define OUT(KIND, name) OUT_##KIND(name)
    BENCH_COLUMNS(OUT)
#undef OUT
#undef OUT_LIST
#undef OUT_REAL
#undef OUT_UINT
#undef OUT_TEXT
    hj_close(j, '}');
}

static void out_json(FILE *f, const struct bench_row *rows, size_t n)
{
    struct hj j = {.file = f};
    hj_open(&j, NULL, '[');
    for (size_t i = 0; i < n; i++)
        out_json_row(&j, &rows[i]);
    hj_close(&j, ']');
    fputc('\n', f);
}

static void out_jsonl(FILE *f, const struct bench_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct hj j = {.file = f};
        out_json_row(&j, &rows[i]);
        fputc('\n', f);
    }
}

/* ---- CSV and SQL: every column but the lists, values in quotes ---- */

static void out_quoted(FILE *f, const char *text, char quote)
{
    fputc(quote, f);
    for (; *text; text++) {
        if (*text == quote)
            fputc(quote, f);
        fputc(*text, f);
    }
    fputc(quote, f);
}

/* `none` stands for a value that is not known. */
static void out_values(FILE *f, const struct bench_row *r, char quote, const char *none)
{
    char text[40];
    const char *comma = "";
#define OUT_TEXT(name) fputs(comma, f), out_quoted(f, r->name, quote), comma = ",";
#define OUT_UINT(name) fprintf(f, "%s%c%" PRIu64 "%c", comma, quote, r->name, quote), comma = ",";
#define OUT_REAL(name)                                                                             \
    hj_format_real(text, sizeof text, r->name), fputs(comma, f),                                   \
        isfinite(r->name) ? out_quoted(f, text, quote) : (void)fputs(none, f), comma = ",";
#define OUT_LIST(name)
#define OUT(KIND, name) OUT_##KIND(name)
    BENCH_COLUMNS(OUT)
#undef OUT
#undef OUT_LIST
#undef OUT_REAL
#undef OUT_UINT
#undef OUT_TEXT
}

static void out_names(FILE *f, bool types)
{
    const char *comma = "";
#define OUT_TEXT(name) fprintf(f, "%s" #name "%s", comma, types ? " TEXT" : ""), comma = ",";
#define OUT_UINT(name) fprintf(f, "%s" #name "%s", comma, types ? " INTEGER" : ""), comma = ",";
#define OUT_REAL(name) fprintf(f, "%s" #name "%s", comma, types ? " REAL" : ""), comma = ",";
#define OUT_LIST(name)
#define OUT(KIND, name) OUT_##KIND(name)
    BENCH_COLUMNS(OUT)
#undef OUT
#undef OUT_LIST
#undef OUT_REAL
#undef OUT_UINT
#undef OUT_TEXT
}

static void out_csv(FILE *f, const struct bench_row *rows, size_t n)
{
    out_names(f, false);
    fputc('\n', f);
    for (size_t i = 0; i < n; i++) {
        out_values(f, &rows[i], '"', "");
        fputc('\n', f);
    }
}

static void out_sql(FILE *f, const struct bench_row *rows, size_t n)
{
    fputs("CREATE TABLE IF NOT EXISTS test (", f);
    out_names(f, true);
    fputs(");\n", f);
    for (size_t i = 0; i < n; i++) {
        fputs("INSERT INTO test (", f);
        out_names(f, false);
        fputs(") VALUES (", f);
        out_values(f, &rows[i], '\'', "NULL");
        fputs(");\n", f);
    }
}

/* ---- markdown ---- */

static void out_md(FILE *f, const struct bench_row *rows, size_t n)
{
    fputs("| model | size | params | backend | threads | test | t/s | p50 ms | p95 ms | p99 ms | "
          "GB/s | of read bandwidth | GB/s read | core to core ns | peak RSS |\n"
          "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | "
          "---: | ---: |\n", f);
    for (size_t i = 0; i < n; i++) {
        const struct bench_row *r = &rows[i];
        fprintf(f,
                "| %s | %.2f MiB | %.2f M | %s %s | %" PRIu64 " | %s | %.2f ± %.2f | %.2f | %.2f | "
                "%.2f | %.2f | %.0f %% | %.1f | %.0f | %.1f MiB |%s\n",
                r->model_type, (double)r->model_size / 1048576, (double)r->model_n_params * 1e-6,
                r->backends, r->level, r->n_threads, r->test, r->avg_ts, r->stddev_ts, r->p50_ms,
                r->p95_ms, r->p99_ms, r->gb_s, 100 * r->bandwidth_share,
                r->bandwidth_gb_s, r->core_to_core_ns,
                (double)r->peak_rss_bytes / 1048576,
                r->foreign_cpus > 0.2 ? " others were running" : "");
    }
}

static const struct {
    const char *name;
    void (*print)(FILE *f, const struct bench_row *rows, size_t n);
} out_formats[] = {
    {"md", out_md}, {"csv", out_csv}, {"json", out_json}, {"jsonl", out_jsonl}, {"sql", out_sql},
};

bool bench_format_known(const char *format)
{
    for (size_t i = 0; i < HC_COUNT(out_formats); i++)
        if (strcmp(out_formats[i].name, format) == 0)
            return true;
    return false;
}

void bench_print(FILE *f, const char *format, const struct bench_row *rows, size_t n)
{
    for (size_t i = 0; i < HC_COUNT(out_formats); i++)
        if (strcmp(out_formats[i].name, format) == 0)
            out_formats[i].print(f, rows, n);
}
