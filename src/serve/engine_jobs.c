/* Memory and ends of jobs, and what clients are told: see hs_job.h. */
#include "serve/hs_engine_own.h"
#include "base/hb_error.h"
#include <stdlib.h>
#include <string.h>

/* ---- memory of jobs: nothing of one is left for the next ---- */

static void *engine_job_alloc(void *user, size_t size)
{
    (void)user;
    return malloc(size);
}

static void engine_job_free(void *user, void *ptr, size_t size)
{
    (void)user;
    hb_wipe(ptr, size);
    free(ptr);
}

const struct hb_alloc hs_jobs_heap = {engine_job_alloc, engine_job_free, NULL};

static void *engine_take(void *user, size_t size)
{
    void *p;
    return hb_arena_take(user, size, 64, &p, NULL) == HEARTH_OK ? p : NULL;
}

static void engine_leave(void *user, void *ptr, size_t size)
{
    (void)user, (void)ptr, (void)size; /* goes with the arena */
}

static void engine_job_wipe(struct hs_engine *e, struct hs_job *job)
{
    if (job->arena.base)
        hb_wipe(job->arena.base, job->arena.used); /* the chunks before are wiped as they are freed */
    hb_arena_clear(&job->arena);
    e->kept -= job->kept;
    if (e->kept + job->arena.size > HS_JOBS_KEEP)
        hb_arena_release(&job->arena);
    e->kept += job->kept = job->arena.size;
}

struct hs_job *hs_jobs_new(struct hs_engine *e, struct hs_client *client, const struct hs_message *m,
                                     uint64_t id, struct hs_lane *lane, uint64_t now_ns)
{
    struct hs_job *job = e->free;
    if (!job)
        return NULL;
    e->free = job->next;
    struct hb_arena arena = job->arena;
    size_t kept = job->kept;
    memset(job, 0, sizeof *job);
    job->arena = arena;
    job->kept = kept;
    job->hooks = (struct hb_alloc){engine_take, engine_leave, &job->arena};
    job->engine = e;
    job->lane = lane;
    job->client = client;
    job->session = client->session;
    job->id = id;
    job->request = m;
    job->deadline_ns = HS_NEVER;
    job->submitted_ns = now_ns;
    return job;
}

void hs_jobs_return(struct hs_engine *e, struct hs_job *job)
{
    if (job->lane->backend->release)
        job->lane->backend->release(job);
    engine_job_wipe(e, job);
    job->state = HS_JOB_FREE;
    job->next = e->free;
    e->free = job;
}

void hs_jobs_reap(struct hs_engine *e)
{
    while (e->ended) {
        struct hs_job *job = e->ended;
        e->ended = job->next;
        hs_jobs_return(e, job);
    }
}

/* ---- the ends of jobs ---- */

void hs_jobs_join_client(struct hs_job *job)
{
    struct hs_client *c = job->client;
    job->before = NULL;
    job->next = c->jobs;
    if (c->jobs)
        c->jobs->before = job;
    c->jobs = job;
    c->in_flight++;
}

void hs_jobs_leave_client(struct hs_job *job)
{
    struct hs_client *c = job->client;
    if (!c)
        return;
    if (job->before)
        job->before->next = job->next;
    else
        c->jobs = job->next;
    if (job->next)
        job->next->before = job->before;
    c->in_flight--;
}

void hs_jobs_join_lane(struct hs_lane *lane, struct hs_job *job)
{
    job->lane_next = NULL;
    job->lane_before = lane->last;
    if (lane->last)
        lane->last->lane_next = job;
    else
        lane->first = job;
    lane->last = job;
    lane->n_running++;
}

static void engine_lane_remove(struct hs_lane *lane, struct hs_job *job)
{
    if (job->lane_before)
        job->lane_before->lane_next = job->lane_next;
    else
        lane->first = job->lane_next;
    if (job->lane_next)
        job->lane_next->lane_before = job->lane_before;
    else
        lane->last = job->lane_before;
    lane->n_running--;
}

void hs_job_rotate(struct hs_job *job)
{
    engine_lane_remove(job->lane, job);
    hs_jobs_join_lane(job->lane, job);
}

void hs_jobs_rest(struct hs_client *c, bool rest)
{
    for (struct hs_job *job = c->jobs; job; job = job->next) {
        if (job->state != HS_JOB_RUNNING || job->resting == rest)
            continue;
        job->resting = rest;
        if (job->lane->backend->rest)
            job->lane->backend->rest(job->lane, job, rest);
    }
}

void hs_engine_give(struct hs_client *c, const struct hs_message *m, const void *msg)
{
    if (c->send(c->user, m, msg) || c->full)
        return;
    c->full = true;
    hs_jobs_rest(c, true);
}

void hs_job_send(struct hs_job *job, const struct hs_message *m, const void *msg)
{
    if (job->client)
        hs_engine_give(job->client, m, msg);
}

static void engine_tell(struct hs_engine *e, const struct hs_job *job, const struct hs_message *m, const void *msg)
{
    uint64_t now = hs_engine_now(e);
    struct hs_outcome o = {.request = job->request, .answer = m, .session = job->session, .id = job->id,
                           .model = job->lane->name, .total_ns = now - job->submitted_ns};
    o.queue_ns = (job->started_ns ? job->started_ns : now) - job->submitted_ns;
    if (m == &hs_messages[HS_M_error])
        o.code = (uint32_t)((const struct hs_error *)msg)->code;
    if (m == &hs_messages[HS_M_done]) {
        const struct hs_done *d = msg;
        o.reason = (uint32_t)d->reason;
        o.prompt_tokens = d->prompt_tokens;
        o.generated_tokens = d->generated_tokens;
        o.cached_tokens = d->cached_tokens;
        o.prompt_ns = job->first_ns ? job->first_ns - job->started_ns : 0;
        o.generate_ns = job->first_ns ? now - job->first_ns : 0;
    }
    e->config.outcome(e->config.outcome_user, &o);
}

void hs_job_end(struct hs_job *job, const struct hs_message *m, const void *msg)
{
    struct hs_engine *e = job->engine;
    struct hs_client *c = job->client;
    if (job->state == HS_JOB_ENDED)
        return;
    if (job->state == HS_JOB_RUNNING) {
        hs_sched_finish(e->sched, (struct hs_key){job->session, job->id});
        engine_lane_remove(job->lane, job);
    }
    hs_jobs_leave_client(job);
    job->client = NULL;
    job->state = HS_JOB_ENDED;
    job->lane->n_jobs--;
    job->next = e->ended;
    e->ended = job;
    e->n_ended++;
    if (c)
        hs_engine_give(c, m, msg);
    if (e->config.outcome)
        engine_tell(e, job, m, msg);
}

static void engine_error(struct hs_error *error, uint64_t id, uint32_t code, const char *text)
{
    *error = (struct hs_error){0};
    HS_SET(error, error, id, id);
    HS_SET(error, error, code, code);
    HS_SET(error, error, message, (struct hs_bytes){text, strlen(text)});
    if (code == 429 || code == 503)
        HS_SET(error, error, retry_ms, code == 429 ? 100 : 500);
}

void hs_job_fail(struct hs_job *job, uint32_t code, const char *text)
{
    struct hs_error error;
    engine_error(&error, job->id, code, text);
    hs_job_end(job, &hs_messages[HS_M_error], &error);
}

void hs_engine_refuse(struct hs_client *client, uint64_t id, uint32_t code, const char *text)
{
    struct hs_error error;
    engine_error(&error, id, code, text);
    hs_engine_give(client, &hs_messages[HS_M_error], &error);
}
