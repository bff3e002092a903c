/* The engine from inside, for its files:
 *
 *   engine.c         itself, and its models
 *   engine_jobs.c    memory and ends of jobs, what clients are told
 *   engine_submit.c  requests: refused, answered, or made jobs
 *   engine_step.c    what runs, what is too late, clients that go or rest, the drain
 *   engine_text.c, engine_text_run.c, engine_encode.c    the backends (hs_job.h) */
#ifndef HS_ENGINE_OWN_H
#define HS_ENGINE_OWN_H

#include "serve/hs_guard.h"
#include "serve/hs_job.h"

struct hs_engine {
    struct hs_engine_config config;
    struct hs_limits limits;
    struct hs_sched *sched;
    struct hb_arena arena; /* of the scheduler and the tables here */
    struct hs_lane *lanes; /* [HS_MAX_LANES], of which are in use */
    uint32_t n_lanes;      /* the first; some of them may be closed */
    struct hs_job *jobs;   /* [n_jobs] */
    uint32_t n_jobs;
    struct hs_job *free, *ended;
    uint32_t next_lane;    /* whose turn it is */
    uint64_t n_attached;
    bool draining;
    bool stirred;          /* something can run since the last step */
    uint64_t drain_ns;
    uint64_t submitted, n_ended, refused, kept; /* kept: bytes that jobs, free or waiting, have from those before */
    int32_t *ids;          /* [n_ids]: of the longest text, or the longest prompt */
    size_t n_ids;
    struct hk_table kernels;
    struct hs_cache *cache;
    struct hs_guard *guard;
};

/* Memory of jobs, which is wiped before it is given back. */
extern const struct hb_alloc hs_jobs_heap;
/* A job without a place yet; NULL: all are in use. */
struct hs_job *hs_jobs_new(struct hs_engine *e, struct hs_client *client, const struct hs_message *m, uint64_t id,
                           struct hs_lane *lane, uint64_t now_ns);
/* Its memory is wiped, and it is free. */
void hs_jobs_return(struct hs_engine *e, struct hs_job *job);
/* The same for all that have ended: at the end of the engine's calls. */
void hs_jobs_reap(struct hs_engine *e);
void hs_jobs_join_client(struct hs_job *job);
void hs_jobs_leave_client(struct hs_job *job);
void hs_jobs_join_lane(struct hs_lane *lane, struct hs_job *job);
/* Jobs of a client that takes nothing rest, or go on. */
void hs_jobs_rest(struct hs_client *c, bool rest);
/* The lane of a name, or for NULL the default; among lanes of one name the newest. NULL: none. */
struct hs_lane *hs_engine_lane(struct hs_engine *e, const struct hs_bytes *name);

#endif
