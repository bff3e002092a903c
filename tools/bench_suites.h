/* hearth bench tier, SUITE, compare and probe: the front of bench/suites. */
#ifndef BENCH_SUITES_H
#define BENCH_SUITES_H

#include "cli.h"

struct bench_suites {
    const char *fixtures; /* folder of prompts, models and tiers */
    const char *models;   /* another one with model files */
    const char *out;      /* where reports go */
    const char *save, *compare;
    bool smoke, no_kv_cache, no_v2;
    float handicap; /* percent */
    int32_t ctx;
    int32_t threads, n_prompt, n_gen; /* the first of -t, -p and -n */
    const char *type_k, *type_v;
};

/* common->rest names what to do. Returns an exit status. */
int bench_suites_run(const struct hc_common *common, const struct bench_suites *s);

#endif
