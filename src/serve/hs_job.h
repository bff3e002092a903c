/* Inside the engine: requests on their way (engine.c), and how those of a model run (a backend each).
 *
 *   free ──► waiting ──► running ──► ended ──► free
 *                └────────────────────┘
 *
 * A job becomes `ended` in hs_job_end alone, which sends the terminal message; what it holds is released when the
 * engine's call is over, so a backend may look at a job it has just ended. */
#ifndef HS_JOB_H
#define HS_JOB_H

#include "serve/hs_cache.h"
#include "serve/hs_answer.h"
#include "serve/hs_engine.h"
#include "serve/hs_limits.h"
#include "serve/hs_sched.h"

enum hs_job_state { HS_JOB_FREE, HS_JOB_WAITING, HS_JOB_RUNNING, HS_JOB_ENDED };
enum hs_reason { HS_STOP, HS_LENGTH, HS_CONTEXT, HS_CANCELLED, HS_TIMEOUT, HS_FILTERED };

struct hs_lane;

/* Of generate and chat. */
struct hs_text_job {
    int32_t *prompt; /* [n_prompt] */
    size_t n_prompt, n_generated, n_cached;
    int32_t max_tokens;
    bool capped;     /* max_tokens is what the context leaves, and less than was asked for */
    bool stream, stopping;
    bool cacheable;  /* its answer may be given again, by: */
    uint8_t key[HS_SHA256_BYTES];
    uint8_t reason;  /* why it was stopped: enum hs_reason */
    uint64_t seed, n_chunks;
    uint64_t batch_id; /* 0: not in the batch */
    hearth_sampler_config sampling;
    hearth_sampler *sampler;
    hearth_grammar *grammar;
    hearth_generation_config config;
    struct hs_answer answer;
    char *text;      /* unless streamed: all of it, and the tokens */
    size_t text_len, text_capacity;
    uint32_t *tokens;
    size_t tokens_capacity;
};

/* Of classify and embed. */
struct hs_encode_job {
    struct hs_bytes *texts; /* [n] */
    size_t n, done;
    void *items;            /* [n] struct hs_labelled or hs_vector */
    uint8_t pooling;
    bool no_normalize, truncate;
};

struct hs_job {
    struct hs_engine *engine;
    struct hs_lane *lane;
    struct hs_client *client; /* NULL: it is gone */
    struct hs_job *before, *next; /* of the client; next: free or ended ones */
    struct hs_job *lane_before, *lane_next; /* running in the lane, the oldest first */
    uint64_t session, id;
    const struct hs_message *request;
    uint8_t state;
    bool resting;
    uint32_t tokens;       /* for admission: prompt and most of the answer */
    uint64_t bytes;
    uint64_t deadline_ns, submitted_ns, started_ns, first_ns;
    struct hb_arena arena; /* of everything it holds; wiped behind it */
    size_t kept; /* bytes of it that are of a job before */
    struct hb_alloc hooks; /* memory of the arena, as allocator hooks */
    union {
        struct hs_text_job text;
        struct hs_encode_job encode;
    };
};

/* How the requests of one model run. */
struct hs_backend {
    const char *kind;
    /* `lane->model` was given: make what is needed, and say how much fits (lane->config). */
    hearth_status (*open)(struct hs_lane *lane, hearth_error *err);
    void (*close)(struct hs_lane *lane);
    /* A request of a new job: check it, copy it into the job, count job->tokens and job->bytes. */
    hearth_status (*accept)(struct hs_lane *lane, struct hs_job *job, const struct hs_message *m, const void *msg,
                            hearth_error *err);
    /* It is running now. */
    void (*start)(struct hs_lane *lane, struct hs_job *job);
    /* Run for about `until_ns`; true if something can run at once. */
    bool (*step)(struct hs_lane *lane, uint64_t until_ns);
    /* End a job, running or waiting, with what there is of it. */
    void (*stop)(struct hs_lane *lane, struct hs_job *job, enum hs_reason reason);
    void (*rest)(struct hs_lane *lane, struct hs_job *job, bool rest); /* may be NULL */
    void (*release)(struct hs_job *job);                               /* may be NULL */
    void (*warm_up)(struct hs_lane *lane);                             /* may be NULL */
    /* Ids of a text, for tokenize; may be NULL. *n as in hearth_tokenize. */
    hearth_status (*tokenize)(struct hs_lane *lane, const struct hs_bytes *text, uint32_t flags, int32_t *tokens,
                              size_t capacity, size_t *n, hearth_error *err);
};
extern const struct hs_backend hs_backend_text, hs_backend_encode;

struct hs_lane {
    struct hs_engine *engine;
    uint8_t index;
    bool open, leaving;
    char name[HS_MAX_MODEL_NAME + 1];
    struct hs_engine_model model;
    const struct hs_backend *backend;
    const char *kind;
    struct hs_lane_config config;
    uint32_t take;            /* requests that are begun together at most */
    uint32_t take_tokens;     /* and their tokens; 0: no limit */
    struct hs_job *first, *last; /* running */
    uint32_t n_running, n_jobs;
    uint64_t order;           /* of being attached */
    uint64_t prompt_tokens, generated_tokens, texts;
    void *own;                /* the backend's */
};

/* The terminal message. The one place where a job ends. */
void hs_job_end(struct hs_job *job, const struct hs_message *m, const void *msg);
void hs_job_fail(struct hs_job *job, uint32_t code, const char *text);
/* Behind the others that run in its lane. */
void hs_job_rotate(struct hs_job *job);
/* A message that is not terminal. */
void hs_job_send(struct hs_job *job, const struct hs_message *m, const void *msg);
uint64_t hs_engine_now(const struct hs_engine *e);
/* Room for ids, of the engine: [*capacity]. */
int32_t *hs_engine_ids(struct hs_engine *e, size_t *capacity);
uint64_t hs_engine_step_ns(const struct hs_engine *e);
const struct hk_table *hs_engine_kernels(const struct hs_engine *e);
const struct hs_engine_config *hs_engine_settings(const struct hs_engine *e);
struct hs_cache *hs_engine_cache(const struct hs_engine *e); /* NULL: off */

#endif
