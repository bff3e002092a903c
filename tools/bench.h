/* The parts of hearth bench: one row per test, measured by bench_run.c, printed by bench_out.c, with
 * what bench/instruments finds out about the machine. */
#ifndef BENCH_H
#define BENCH_H

#include "client.h"
#include <stdio.h>

/* The columns, in order; llama-bench's names where it has the column. X(KIND, name):
 * TEXT const char *, UINT uint64_t, REAL double, LIST double[n_samples]. */
#define BENCH_COLUMNS(X)                                                                           \
    X(TEXT, build_commit)                                                                          \
    X(TEXT, cpu_info)                                                                              \
    X(TEXT, backends)        /* CPU */                                                             \
    X(TEXT, level)           /* kernel level */                                                    \
    X(TEXT, model_filename)                                                                        \
    X(TEXT, model_type)                                                                            \
    X(UINT, model_size)      /* bytes of weights */                                                \
    X(UINT, model_n_params)                                                                        \
    X(UINT, n_batch)                                                                               \
    X(UINT, n_threads)                                                                             \
    X(TEXT, type_k)                                                                                \
    X(TEXT, type_v)                                                                                \
    X(UINT, use_mmap)                                                                              \
    X(UINT, n_prompt)                                                                              \
    X(UINT, n_gen)                                                                                 \
    X(UINT, n_depth)                                                                               \
    X(UINT, n_seqs)          /* sequences in one step */                                           \
    X(TEXT, test)            /* pp512, tg128, with xSEQS, @ dDEPTH */                              \
    X(TEXT, test_time)       /* UTC */                                                             \
    X(UINT, avg_ns)                                                                                \
    X(UINT, stddev_ns)                                                                             \
    X(REAL, avg_ts)          /* tokens per second */                                               \
    X(REAL, stddev_ts)                                                                             \
    X(REAL, p50_ms)          /* of a step (tg) or of the whole prompt (pp) */                      \
    X(REAL, p95_ms)                                                                                \
    X(REAL, p99_ms)                                                                                \
    X(REAL, gb_s)            /* weights and KV read per second, from the median */                 \
    X(REAL, bandwidth_gb_s)  /* what as many threads read from memory per second */                \
    X(REAL, bandwidth_share) /* gb_s / bandwidth_gb_s */                                           \
    X(REAL, core_to_core_ns) /* a line's way to another core and back; 0 with one thread */        \
    X(UINT, model_bytes)     /* file and what is built from it */                                  \
    X(UINT, kv_bytes)                                                                              \
    X(UINT, peak_rss_bytes)                                                                        \
    X(REAL, foreign_cpus)    /* CPUs that others kept busy meanwhile; NaN: too short */            \
    X(LIST, samples_ns)      /* one per repetition */                                              \
    X(LIST, samples_ts)                                                                            \
    X(LIST, samples)         /* samples_ts under its short name */

#define BENCH_MOST_SAMPLES 256

struct bench_row {
#define BENCH_TEXT(name) char name[96];
#define BENCH_UINT(name) uint64_t name;
#define BENCH_REAL(name) double name;
#define BENCH_LIST(name) double name[BENCH_MOST_SAMPLES];
#define BENCH_FIELD(KIND, name) BENCH_##KIND(name)
    BENCH_COLUMNS(BENCH_FIELD)
#undef BENCH_FIELD
#undef BENCH_LIST
#undef BENCH_REAL
#undef BENCH_UINT
#undef BENCH_TEXT
    size_t n_samples;
};

/* ---- bench_run.c ---- */

struct bench_test {
    int32_t n_prompt, n_gen, n_depth; /* one of the first two is 0 */
    int32_t reps;
    int32_t n_seqs; /* 1 for prompts */
};

/* Measure one test in an open session and fill the row's figures. The session is reset first.
 * Before timing the test runs once: its scores must be finite, and in every repetition the last
 * ones must choose the same token. */
int bench_measure(const struct hc_model *m, struct hc_session *s, const struct bench_test *test,
                  struct bench_row *row);

/* ---- bench_out.c ---- */

/* Is there an output format of that name? */
bool bench_format_known(const char *format);
void bench_print(FILE *f, const char *format, const struct bench_row *rows, size_t n);

#endif
