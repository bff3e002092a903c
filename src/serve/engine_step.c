/* What runs and what is too late; clients that go, or rest; the drain. */
#include "serve/hs_engine_own.h"

/* ---- clients ---- */

void hs_engine_resume(struct hs_engine *e, struct hs_client *c)
{
    e->stirred = true;
    c->full = false;
    hs_jobs_rest(c, false);
}

/* End every job of a client. */
static void engine_end_jobs(struct hs_client *c, enum hs_reason reason, bool forget)
{
    struct hs_job *next;
    struct hs_request r;
    for (struct hs_job *job = c->jobs; job; job = next) {
        next = job->next;
        hs_sched_cancel(job->engine->sched, (struct hs_key){job->session, job->id}, &r);
        if (forget) {
            hs_jobs_leave_client(job);
            job->client = NULL;
        }
        job->lane->backend->stop(job->lane, job, reason);
    }
}

void hs_engine_drop(struct hs_engine *e, struct hs_client *c, uint64_t now_ns)
{
    (void)now_ns;
    engine_end_jobs(c, HS_CANCELLED, true);
    hs_jobs_reap(e);
}

void hs_engine_cancel_all(struct hs_engine *e, struct hs_client *c, uint64_t now_ns)
{
    (void)now_ns;
    engine_end_jobs(c, HS_CANCELLED, false);
    hs_jobs_reap(e);
}

/* ---- steps ---- */

static void engine_expire(struct hs_engine *e, uint64_t now_ns)
{
    struct hs_request r;
    while (hs_sched_expire(e->sched, now_ns, &r) != HS_UNKNOWN) {
        struct hs_job *job = r.user;
        job->lane->backend->stop(job->lane, job, HS_TIMEOUT);
    }
}

/* May the lane's next request join those that run? One larger than a batch goes alone. */
static bool engine_joins(struct hs_engine *e, const struct hs_lane *lane, uint64_t now_ns)
{
    struct hs_request r;
    uint64_t tokens = 0;
    if (lane->n_running >= lane->take || !hs_sched_peek(e->sched, lane->index, now_ns, &r))
        return false;
    for (const struct hs_job *job = lane->first; job && lane->take_tokens; job = job->lane_next)
        tokens += job->tokens;
    return lane->n_running == 0 || lane->take_tokens == 0 || tokens + r.tokens <= lane->take_tokens;
}

static void engine_start(struct hs_lane *lane, struct hs_job *job, uint64_t now_ns)
{
    job->state = HS_JOB_RUNNING;
    job->started_ns = now_ns;
    hs_jobs_join_lane(lane, job);
    lane->backend->start(lane, job);
    if (job->state != HS_JOB_RUNNING || !job->client || !job->client->full)
        return;
    job->resting = true;
    if (lane->backend->rest)
        lane->backend->rest(lane, job, true);
}

static void engine_take_jobs(struct hs_engine *e, struct hs_lane *lane, uint64_t now_ns)
{
    struct hs_request r;
    while (engine_joins(e, lane, now_ns) && hs_sched_take(e->sched, lane->index, now_ns, 0, &r, 1))
        engine_start(lane, r.user, now_ns);
}

bool hs_engine_step(struct hs_engine *e, uint64_t now_ns)
{
    bool more = false;
    uint64_t until_ns = hs_engine_now(e) + hs_engine_step_ns(e);
    e->stirred = false;
    engine_expire(e, now_ns);
    uint32_t start = e->next_lane, i = 0;
    for (; i < e->n_lanes; i++) {
        struct hs_lane *lane = &e->lanes[(start + i) % e->n_lanes];
        if (!lane->open || lane->n_jobs == 0)
            continue;
        if (more && hs_engine_now(e) >= until_ns)
            break; /* its turn is next */
        engine_take_jobs(e, lane, now_ns);
        if (lane->n_running)
            more = lane->backend->step(lane, until_ns) || more;
        e->next_lane = (lane->index + 1u) % e->n_lanes;
        hs_jobs_reap(e);
    }
    hs_jobs_reap(e);
    return more || i < e->n_lanes;
}

uint64_t hs_engine_wake_ns(const struct hs_engine *e)
{
    uint64_t wake = e->stirred ? 0 : hs_sched_next_deadline(e->sched);
    return e->draining && e->drain_ns < wake ? e->drain_ns : wake;
}

bool hs_engine_drain(struct hs_engine *e, uint64_t now_ns, uint64_t deadline_ns)
{
    struct hs_request r;
    e->draining = true;
    e->drain_ns = deadline_ns;
    bool left = false;
    for (uint32_t i = 0; i < e->n_jobs; i++) {
        struct hs_job *job = &e->jobs[i];
        if (job->state != HS_JOB_WAITING && job->state != HS_JOB_RUNNING)
            continue;
        left = true;
        if (now_ns < deadline_ns)
            continue;
        hs_sched_cancel(e->sched, (struct hs_key){job->session, job->id}, &r);
        job->lane->backend->stop(job->lane, job, HS_TIMEOUT);
    }
    hs_jobs_reap(e);
    return !left || now_ns >= deadline_ns;
}
