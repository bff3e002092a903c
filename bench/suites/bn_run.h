/* What suites are made of: a run with its options, results with all their samples, timing, models opened as the
 * run's features say. A suite checks its result before it times, adds results to the run and returns 0, or says why
 * not with bn_refuse. */
#ifndef BN_RUN_H
#define BN_RUN_H

#include "bench/instruments/bn_machine.h"
#include "bench/instruments/bn_meter.h"
#include "bench/instruments/bn_stats.h"
#include "bench/suites/bn_fixtures.h"
#include "hearth.h"
#include <stdio.h>

#if defined(__GNUC__)
#define BN_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define BN_PRINTF(f, a)
#endif

enum bn_feature {
#define BN_FEATURE(name, built, off, expected) BN_F_##name,
#include "bench/features.def"
#undef BN_FEATURE
    BN_FEATURES
};
struct bn_feature_info {
    const char *name;
    bool built;
    const char *off, *expected;
};
extern const struct bn_feature_info bn_features[BN_FEATURES];

enum bn_suite_id {
#define BN_SUITE(name, text) BN_S_##name,
#include "bench/suites/suites.def"
#undef BN_SUITE
    BN_SUITES
};

/* ---- results ---- */

enum bn_better { BN_NEITHER, BN_LOWER, BN_HIGHER };
enum bn_gate { BN_UNGATED, BN_THROUGHPUT, BN_LATENCY, BN_MEMORY }; /* limits of a comparison: 10, 10 and 15 % */

struct bn_result {
    char suite[32], name[64], role[16], model[80], weights[24], params[128], unit[16];
    char stat[12]; /* what `value` is of the samples: median, p95, least, one */
    char why[160]; /* value is NaN: why it was not measured */
    enum bn_better better;
    enum bn_gate gate;
    double value;
    double limit; /* of this machine in the same unit, 0: none */
    char limit_what[32];
    int threads;
    double *sample;
    size_t n, capacity;
};

/* One kernel slot at one level, as check_kernels times it. */
struct bn_kernel {
    char slot[40], level[16], shape[64];
    double ns, gb_s, gops;
    double bandwidth_share, peak_share; /* of one thread's reading, and of the level's peak; 0: not known */
    bool int8;
};

struct bn_suite_report {
    bool ran;
    char why[200]; /* it did not */
    double seconds, float_ns, read_gb_s; /* the yardstick before it */
    struct bn_cpu_use cpu;
};

#define BN_MOST_RESULTS 600
#define BN_MOST_KERNELS 2000

/* ---- a run ---- */

struct bn_tier;

struct bn_run {
    /* as asked */
    const struct bn_tier *tier;
    const char *fixtures;    /* folder of prompts/ and models/ */
    const char *models;      /* a second folder with model files, or NULL */
    const char *self;        /* this program, to be started anew */
    uint32_t features;       /* bits of enum bn_feature that are on */
    int threads;             /* 0: as the machine allows */
    bool smoke;              /* everything once, checked; figures mean nothing */
    double handicap;         /* every timed stretch is made longer by this share */
    /* what came out */
    struct bn_machine machine;
    struct bn_result *result; /* [BN_MOST_RESULTS] */
    size_t n_results;
    struct bn_kernel *kernel; /* [BN_MOST_KERNELS] */
    size_t n_kernels;
    struct bn_suite_report suite[BN_SUITES];
    const char *now;          /* name of the suite that runs */
    char why[200];            /* from bn_refuse */
    char failed[200];         /* a wrong result: the run fails */
};

#define BN_ON(run, feature) (((run)->features >> BN_F_##feature & 1u) != 0)

const char *bn_suite_name(enum bn_suite_id suite);
enum bn_suite_id bn_suite_find(const char *name, size_t len); /* BN_SUITES: none */

int bn_run_open(struct bn_run *run);
void bn_run_close(struct bn_run *run);
/* One suite, with the yardstick before it. -1: a result was wrong (run->failed). */
int bn_run_suite(struct bn_run *run, enum bn_suite_id suite);

/* The suite cannot run; returns 1. */
int bn_refuse(struct bn_run *run, const char *format, ...) BN_PRINTF(2, 3);
/* A result is wrong; returns -1. */
int bn_wrong(struct bn_run *run, const char *format, ...) BN_PRINTF(2, 3);

/* A new result of the running suite; never NULL (the last place is overwritten when there are too many). */
struct bn_result *bn_add(struct bn_run *run, const char *unit, enum bn_better better, enum bn_gate gate,
                         const char *format, ...) BN_PRINTF(5, 6);
void bn_params(struct bn_result *r, const char *format, ...) BN_PRINTF(2, 3);
void bn_sample(struct bn_result *r, double value);
void bn_limit(struct bn_result *r, double limit, const char *what);
/* value from the samples: "median", "p95", "p99", "least", "most". */
void bn_settle(struct bn_result *r, const char *stat);
/* One value, no samples. */
void bn_single(struct bn_result *r, double value);
/* It could not be measured. */
void bn_missing(struct bn_result *r, const char *format, ...) BN_PRINTF(2, 3);

/* ---- timing ---- */

typedef bool bn_work(void *ctx); /* false: the result is wrong */

/* ns of one `work`, divided by `per`: rounds of some ms each, after one that is only checked. -1: wrong. */
int bn_time(struct bn_run *run, struct bn_result *r, bn_work *work, void *ctx, double per);

/* A stretch that is timed by hand: end gives ns, the handicap waited for. */
uint64_t bn_began(void);
double bn_ended(const struct bn_run *run, uint64_t began);
size_t bn_rounds(const struct bn_run *run, size_t full); /* 2 in smoke mode */

/* ---- models ---- */

enum bn_role { BN_CLASSIFIER, BN_EMBEDDER, BN_GENERATOR, BN_FAST, BN_SMALL, BN_ROLES };
const char *bn_role_name(enum bn_role role);

struct bn_model {
    enum bn_role role;
    char path[512], label[80]; /* label: origin and file name */
    enum bn_origin origin;
    uint64_t bytes;
    hearth_file *file;
    hearth_model *model;
    hearth_model_info info;
};

/* The files for a role that are there: what the tier names, a synthetic file of its shape, and this tree's own of
 * the same kind. Fills at most `most`; *why tells about the first that is missing. Models are not opened. */
size_t bn_models_find(const struct bn_run *run, enum bn_role role, struct bn_model *found, size_t most, char why[200]);
/* Open with the run's features. 1: refused (run->why). Close in any case. */
int bn_model_open(struct bn_run *run, struct bn_model *m);
void bn_model_close(struct bn_model *m);
/* Fill the label and role of a result. */
void bn_of_model(struct bn_result *r, const struct bn_model *m);

struct bn_session {
    hearth_pool *pool;
    hearth_session *session;
    int threads;
};
/* threads 0: the run's. *config is changed: pool and the flags of features that are off. 1: refused. */
int bn_session_open(struct bn_run *run, const struct bn_model *m, hearth_session_config *config, int threads,
                    struct bn_session *s);
void bn_session_close(struct bn_session *s);
int bn_run_threads(const struct bn_run *run); /* 1 without the thread pool */

/* ---- processes of their own ---- */

/* Start this program as `hearth ARGS...`, NULL at the end; its output up to size, NUL-terminated. Times from the start:
 * the first byte of output, and the end. Returns its exit status, or -1. */
int bn_child(const struct bn_run *run, const char *const *args, char *out, size_t size, uint64_t *first_ns,
             uint64_t *end_ns);
/* A number of a JSON text behind a key, and behind another within it: "first_token.p95"; NaN if it is not there. */
double bn_json_number(const char *json, const char *path);
/* hearth ARGS... in the background, until stop. 0: it was started. */
int bn_serve_start(const struct bn_run *run, const char *const *args, long *pid);
void bn_serve_stop(long pid);

/* What `hearth bench probe` does: one model in a process of its own; a line of JSON on standard output. */
struct bn_probe {
    const char *path;
    int32_t ctx, n_prompt, n_gen;
    const char *type_k, *type_v;
};
int bn_probe(struct bn_run *run, const struct bn_probe *probe);

#define BN_SUITE(name, text) int suite_##name(struct bn_run *run);
#include "bench/suites/suites.def"
#undef BN_SUITE

#endif
