/* What hearth serve has in front of and beside its engine: a directory of models with its manifest, lists of blocked
 * words, the log. */
#ifndef SERVE_DESK_H
#define SERVE_DESK_H

#include "cli.h"
#include "serve/hs_control.h"
#include "serve/hs_desk.h"
#include "serve/hs_sandbox.h"

struct serve_desk_settings {
    const char *models, *blocklist, *replacement, *block_input, *log;
    bool block_stops;
};

/* Rows of the table of options; `at` is the offset of the settings. */
#define SERVE_DESK_FIELD(at, name) ((at) + offsetof(struct serve_desk_settings, name))
#define SERVE_DESK_OPTIONS(at)                                                                     \
    {"--models", HC_TEXT, SERVE_DESK_FIELD(at, models), 0, 0, "DIR",                               \
     "models of DIR/manifest.json (docs/server.md): nothing outside of DIR is opened"},            \
    {"--blocklist", HC_TEXT, SERVE_DESK_FIELD(at, blocklist), 0, 0, "FILE",                        \
     "words, a line each, that do not come out in answers, whatever their case and form"},         \
    {"--replacement", HC_TEXT, SERVE_DESK_FIELD(at, replacement), 0, 0, "TEXT",                    \
     "what stands in their place (***)"},                                                          \
    {"--block-stops", HC_FLAG, SERVE_DESK_FIELD(at, block_stops), 0, 0, NULL,                      \
     "such a word ends the answer (content_filtered) instead of being replaced"},                  \
    {"--block-input", HC_TEXT, SERVE_DESK_FIELD(at, block_input), 0, 0, "FILE",                    \
     "words that requests must not hold"},                                                         \
    {"--log", HC_TEXT, SERVE_DESK_FIELD(at, log), 0, 0, "LEVEL",                                   \
     "lines on standard error from this level on: debug, info, warn, error, none (warn)"}

struct serve_desk {
    const struct serve_desk_settings *settings;
    struct hb_dir dir;       /* of --models; -1: none */
    struct hb_arena arena;   /* of the filters */
    struct hs_filter *blocked_in, *blocked_out;
    hearth_pool *pool;
    struct hs_desk *desk;
    const struct hs_worker *worker;
    char sandbox[4096];      /* JSON */
    int wake;                /* a descriptor that never speaks: the loop wants one for each of its guests */
    bool more;
};

/* Opens directory and lists: before there are processes. */
int serve_desk_read(struct serve_desk *d, const struct serve_desk_settings *settings);
/* The worker's: the desk, and its part of the engine's settings. */
int serve_desk_open(struct serve_desk *d, const struct hc_common *common, const struct hs_worker *worker,
                    struct hs_engine_config *config);
/* The engine is there: models that are to be there from the start are loaded. */
int serve_desk_begin(struct serve_desk *d, struct hs_engine *engine);
/* The loop is there, its door still open or closed behind it; sandbox may be NULL. */
int serve_desk_join(struct serve_desk *d, struct hs_server *server);
void serve_desk_sandbox(struct serve_desk *d, const struct hs_sandbox *sandbox);
/* Before the engine goes. */
void serve_desk_close(struct serve_desk *d);
/* Behind all processes. */
void serve_desk_forget(struct serve_desk *d);

#endif
