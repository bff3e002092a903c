/* What the parts of `hearth client load` share: its settings, its clients and what they have in flight. */
#ifndef CLIENT_LOAD_H
#define CLIENT_LOAD_H

#include "client_command.h"
#include "load.h"
#include <poll.h>

#define LOAD_SLOTS      64 /* requests in flight of one client */

struct load_settings {
    struct client_settings client;
    float rate, duration_s, cancel_share, vanish_share;
    int32_t clients, n, drain_s;
    int32_t generate, classify, embed; /* parts of the mix */
    const char *classify_model, *embed_model;
    struct hc_ints words;
    const char *f;
    bool same_prompts, no_ignore_eos;
    struct hc_seed seed;
    int32_t requests;
};

enum load_kind { LOAD_GENERATE, LOAD_CLASSIFY, LOAD_EMBED };

struct load_slot {
    bool live, cancelled;
    enum load_kind kind;
    uint64_t id, start_ns, last_ns, cancel_ns;
    uint64_t tokens, cancel_at, vanish_at; /* act when so many tokens have come; 0: never */
};

struct load_client {
    struct wc *wire;
    struct load_slot slot[LOAD_SLOTS];
    size_t n_live;
    uint64_t retry_ns;
};

struct load {
    const struct load_settings *s;
    struct wc_config config;
    char token[2048];
    struct load_client *clients; /* [s->clients] */
    struct pollfd *polls;
    struct load_stats stats;
    struct hc_text text; /* words of prompts */
    size_t *word;        /* where each begins, and the end behind the last */
    size_t n_words;
    char *prompt;
    size_t prompt_capacity;
    uint64_t random, start_ns, stop_ns, next_ns, n_scheduled, shown_ns;
    int shown_lines;
    bool stopped; /* by Ctrl-C */
};

/* ---- sending (client_load_send.c) ---- */

/* The words of prompts; returns an exit status. */
int hc_load_text(struct load *l);
/* A request that should have started at `intended`. */
void hc_load_send(struct load *l, struct load_client *c, uint64_t intended);
void hc_load_cancel(struct load_client *c, struct load_slot *slot, uint64_t now);
/* What a client has in flight will not be answered: it is counted. */
void hc_load_lose(struct load_client *c, uint64_t *counter);

/* ---- running (client_load_loop.c) ---- */

/* From the first request to the last answer, or to the end of waiting for it. */
void hc_load_loop(struct load *l);

#endif
