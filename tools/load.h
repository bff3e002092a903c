/* What `hearth client load` measures: times, counts, and how evenly clients were served. */
#ifndef LOAD_H
#define LOAD_H

#include "bench/instruments/bn_latency.h"
#include "json_out.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Waiting and prefill are what the server says in done; the others are measured here. In an open loop they count
 * from the intended start of the request, so that a stall shows in all that it delays. */
#define LOAD_TIMES(X)                                                                              \
    X(late, "sent behind its time")                                                                \
    X(queue, "waiting (server)")                                                                   \
    X(prefill, "prefill (server)")                                                                 \
    X(first_token, "first token")                                                                  \
    X(inter_token, "inter-token")                                                                  \
    X(generate, "total, generate")                                                                 \
    X(classify, "total, classify")                                                                 \
    X(embed, "total, embed")                                                                       \
    X(cancel, "cancel to end")
enum load_time {
#define LOAD_ENUM(name, text) LOAD_T_##name,
    LOAD_TIMES(LOAD_ENUM)
#undef LOAD_ENUM
    LOAD_T_COUNT
};

#define LOAD_CODES   10 /* different error codes that are told apart */
#define LOAD_REASONS 6

struct load_served { /* one client */
    uint64_t requests, tokens;
    double sum_ms; /* of totals */
};

struct load_stats {
    struct bn_latency time[LOAD_T_COUNT];
    uint64_t sent, ok, refused, cancelled, abandoned, unsent;
    uint64_t lost;    /* sent and never answered: the connection ended, or the wait at the end */
    uint64_t doubles, strays, reconnects;
    uint64_t prompt_tokens, tokens;
    uint64_t reasons[LOAD_REASONS];
    struct {
        uint64_t code, n;
    } codes[LOAD_CODES];
    double seconds; /* from the first intended start to the last answer */
    struct load_served *served; /* [n_clients] */
    size_t n_clients;
    bool open;
    double rate;
};

void hc_load_refusal(struct load_stats *s, uint64_t code);
/* (sum x)^2 / (n sum x^2): 1 where all are served alike, 1/n where one has everything. Source: Jain, Chiu, Hawe,
 * "A Quantitative Measure of Fairness and Discrimination", 1984. */
double hc_load_jain(const double *x, size_t n);

void hc_load_print_json(const struct load_stats *s);
/* To a terminal while it runs, or to stdout at the end. Returns the number of lines. */
int hc_load_print_table(const struct load_stats *s, FILE *f);

#endif
