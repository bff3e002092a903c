/* The inside of a meter, for the files that tell it (metrics.c counts; report.c tells). */
#ifndef HS_METER_H
#define HS_METER_H

#include "bench/instruments/bn_latency.h"
#include "serve/hs_metrics.h"

/* What became of a request: reasons of done, other answers, codes of error. X(name) */
#define HS_RESULTS(X)                                                                              \
    X(stop) X(length) X(context_full) X(cancelled) X(timeout) X(content_filtered) X(ok)            \
    X(error_400) X(error_401) X(error_404) X(error_408) X(error_409) X(error_413) X(error_429)     \
    X(error_500) X(error_503)

enum hs_result {
#define X(name) HS_RESULT_##name,
    HS_RESULTS(X)
#undef X
    HS_RESULT_COUNT
};

/* Latencies. X(name, help) */
#define HS_TIMES(X)                                                                                \
    X(request, "seconds from a request to its terminal message")                                   \
    X(queue, "seconds that requests waited")                                                       \
    X(first_token, "seconds from the start of a text to its first token")                          \
    X(token, "seconds from token to token, a mean for each text")

enum hs_time {
#define X(name, help) HS_TIME_##name,
    HS_TIMES(X)
#undef X
    HS_TIME_COUNT
};

/* Of the process. X(name, help); 0: the system does not tell. */
#define HS_PROCESS(X)                                                                              \
    X(resident_bytes, "memory of the process")                                                     \
    X(proportional_bytes, "memory of the process, what it shares with others divided among them")  \
    X(virtual_bytes, "addresses of the process")

struct hs_process {
#define X(name, help) uint64_t name;
    HS_PROCESS(X)
#undef X
};

#define HS_CLIENT_MESSAGES (HS_M_manage + 1)

struct hs_meter {
    struct hs_meter_config config;
    uint64_t start_ns;
    int statm, smaps; /* /proc/self/..., open */
    uint64_t requests[HS_CLIENT_MESSAGES][HS_RESULT_COUNT];
    uint64_t prompt_tokens, cached_tokens, generated_tokens; /* prompt: computed */
    uint64_t prompt_ns, generate_ns;
    struct bn_latency times[HS_TIME_COUNT];
};

const char *hs_result_name(enum hs_result r);
const char *hs_time_name(enum hs_time t, const char **help);
void hs_meter_process(const struct hs_meter *m, struct hs_process *p);
/* Tokens a second; 0 before there are any. */
double hs_meter_rate(uint64_t tokens, uint64_t ns);

#endif
