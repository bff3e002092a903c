/* The engine of the server: messages in, messages out. No socket, no encoding, no thread, so that the wire, HTTP and
 * the tests drive the same thing.
 *
 *   submit ──► checked ──► scheduler ──► step: batch of a model ──► client->send, at last one terminal message
 *      └── refused: error ◄──┘ expire, cancel, drop ──┘
 *
 * Requests are the client's messages of messages.def as structs; answers are the server's. Every request that is
 * submitted gets exactly one terminal message (done, classified, embedded, tokenized, report, model_list or error), in
 * the submit itself where it is known at once. One caller at a time; the caller steps while there is work. */
#ifndef HS_ENGINE_H
#define HS_ENGINE_H

#include "serve/hs_limits.h"
#include "serve/hs_filter.h"
#include "serve/hs_wire.h"

struct hs_engine;
struct hs_job;
struct hs_backend;

/* A connection, to the engine. The caller's until hs_engine_drop has been called. */
struct hs_client {
    uint64_t session; /* number of the connection, never used again: ids of requests are unique within it */
    bool owner;       /* may change models */
    /* An answer. It and what it points at live for the call. The message is taken in any case; false: the client
     * is full, and the jobs of this session rest until hs_engine_resume. Must not call the engine. */
    bool (*send)(void *user, const struct hs_message *m, const void *msg);
    void *user;
    /* The engine's own; zero at first. */
    struct hs_job *jobs;
    uint32_t in_flight;
    bool full;
};

/* What became of a request, for counters and logs: once for each, behind its terminal message. */
struct hs_outcome {
    const struct hs_message *request, *answer;
    uint64_t session, id;
    const char *model;        /* "" if none */
    uint32_t code;            /* of error; 0 */
    uint32_t reason;          /* of done */
    uint64_t prompt_tokens, generated_tokens, cached_tokens;
    uint64_t queue_ns, prompt_ns, generate_ns, total_ns;
};

/* Everything may be zero. */
struct hs_engine_config {
    const struct hs_limits *limits; /* copied; NULL: hs_limits_default */
    bool cache; /* answers of deterministic requests are given again for limits.cache_ms */
    uint64_t (*clock)(void *user); /* nanoseconds; NULL: the system's monotonic clock */
    void *clock_user;
    /* Words that requests must not hold, and words that must not come out in answers; borrowed, or NULL. With the second
     * answers carry no token ids, which would tell the words. */
    const struct hs_filter *blocked_in, *blocked_out;
    bool stop_at_blocked; /* such a word ends the answer instead of being replaced */
    /* health (kind 1 and 2), metrics, models and manage come here first; true: it was answered, now or later, by
     * client->send. NULL or false: the engine answers as well as it can. */
    bool (*ask)(void *user, struct hs_client *client, const struct hs_message *m, const void *msg, uint64_t now_ns);
    void *ask_user;
    /* A request names a model that is not loaded: true if a load of it goes on now, so that the client may try again
     * (503 instead of 404). May be NULL. */
    bool (*absent)(void *user, const struct hs_bytes *name);
    void *absent_user;
    void (*outcome)(void *user, const struct hs_outcome *outcome);
    void *outcome_user;
};

hearth_status hs_engine_create(const struct hs_engine_config *config, struct hs_engine **out, hearth_error *err);
/* Clients have been dropped, models detached. NULL is fine. */
void hs_engine_destroy(struct hs_engine *e);

/* ---- models ---- */

/* An opened model. All but the name is borrowed until hs_engine_detach has returned true. */
struct hs_engine_model {
    const char *name;      /* at most HS_MAX_MODEL_NAME bytes */
    hearth_model *model;
    hearth_session *session;
    const hearth_tokenizer *tokenizer; /* of an encoder that has none of its own */
    const char *const *labels;         /* [n_labels] of a classifier; NULL: LABEL_0, LABEL_1, ... */
    size_t n_labels;
    uint64_t file_bytes;
    const char *sha256;    /* 64 hexadecimal digits, or NULL */
    /* How its requests run; NULL: as the kind of the model says. */
    const struct hs_backend *backend;
    void *backend_user;
};
/* The first one is the default model. Under a name that is there already it takes over from the one before, which
 * keeps the requests it has and is to be detached. HEARTH_E_FULL: HS_MAX_LANES models are there. */
hearth_status hs_engine_attach(struct hs_engine *e, const struct hs_engine_model *model, hearth_error *err);
/* No new requests for the oldest model of this name; true when it has none left, and the engine is done with it. */
bool hs_engine_detach(struct hs_engine *e, const char *name, uint64_t now_ns);
/* Runs a token through each model, so that its memory is there. */
void hs_engine_warm_up(struct hs_engine *e, const char *name);

/* ---- requests ---- */

/* A request: any of the client's messages but hello. What it points at is copied where it outlives the call.
 * cancel has no answer of its own. */
void hs_engine_submit(struct hs_engine *e, struct hs_client *client, const struct hs_message *m, const void *msg,
                      uint64_t now_ns);
/* The client takes answers again. */
void hs_engine_resume(struct hs_engine *e, struct hs_client *client);
/* The client is gone: its requests end, and nothing more is sent to it. */
void hs_engine_drop(struct hs_engine *e, struct hs_client *client, uint64_t now_ns);
/* Its requests end as cancelled, each with its answer: it took none for too long. */
void hs_engine_cancel_all(struct hs_engine *e, struct hs_client *client, uint64_t now_ns);

/* One step of what can run; true if there is more to do at once. Takes about limits.step_ms. */
bool hs_engine_step(struct hs_engine *e, uint64_t now_ns);
/* When to step next: 0 at once, something was submitted or resumed since the last step; a deadline; HS_NEVER. */
uint64_t hs_engine_wake_ns(const struct hs_engine *e);

/* No new requests from now on (error 503); true when none is left. Those left at `deadline_ns` end as timed out. */
bool hs_engine_drain(struct hs_engine *e, uint64_t now_ns, uint64_t deadline_ns);

/* ---- what it does now ---- */

struct hs_engine_stats {
    uint32_t waiting, running;
    uint32_t waiting_by_priority[4];
    uint64_t submitted, ended, refused;
};
void hs_engine_get_stats(const struct hs_engine *e, struct hs_engine_stats *stats);
/* The models for index 0, 1, ...; false past the end. */
struct hs_engine_model_stats {
    const char *name, *kind; /* generate, classify or embed */
    const struct hs_engine_model *model;
    uint32_t running, waiting;
    bool leaving;
    uint64_t prompt_tokens, generated_tokens, texts;
};
bool hs_engine_model_at(const struct hs_engine *e, size_t index, struct hs_engine_model_stats *stats);

const struct hs_limits *hs_engine_limits(const struct hs_engine *e);

bool hs_engine_draining(const struct hs_engine *e);

/* An answer to a request that is not in flight; terminal. */
void hs_engine_give(struct hs_client *client, const struct hs_message *m, const void *msg);
void hs_engine_refuse(struct hs_client *client, uint64_t id, uint32_t code, const char *text);
/* The code of error for a status. */
uint32_t hs_engine_code(hearth_status status);

#endif
