/* The engine: jobs, their scheduler, and the models' lanes. See hs_engine.h and hs_job.h. */
#include "serve/hs_job.h"
#include "serve/hs_guard.h"
#include "base/hb_error.h"
#include "base/os/hb_os.h"
#include <stdlib.h>
#include <string.h>

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
    uint64_t submitted, n_ended, refused, kept; /* kept: bytes of free jobs */
    int32_t *ids;          /* [n_ids]: of the longest text, or the longest prompt */
    size_t n_ids;
    struct hk_table kernels;
    struct hs_cache *cache;
    struct hs_guard *guard;
};

uint64_t hs_engine_now(const struct hs_engine *e)
{
    return e->config.clock ? e->config.clock(e->config.clock_user) : hb_os_now_ns();
}

uint64_t hs_engine_step_ns(const struct hs_engine *e)
{
    return (uint64_t)e->limits.step_ms * 1000000u;
}

const struct hk_table *hs_engine_kernels(const struct hs_engine *e)
{
    return &e->kernels;
}

const struct hs_limits *hs_engine_limits(const struct hs_engine *e)
{
    return &e->limits;
}

const struct hs_engine_config *hs_engine_settings(const struct hs_engine *e)
{
    return &e->config;
}

struct hs_cache *hs_engine_cache(const struct hs_engine *e)
{
    return e->cache;
}

int32_t *hs_engine_ids(struct hs_engine *e, size_t *capacity)
{
    *capacity = e->n_ids;
    return e->ids;
}

uint32_t hs_engine_code(hearth_status status)
{
    switch (status) {
    case HEARTH_E_ARGUMENT:
    case HEARTH_E_RANGE:
    case HEARTH_E_TRUNCATED:
    case HEARTH_E_FORMAT:
    case HEARTH_E_UNSUPPORTED:
    case HEARTH_E_MISMATCH:
    case HEARTH_E_NOT_FOUND:
        return 400;
    case HEARTH_E_LIMIT:
    case HEARTH_E_FULL:
        return 413;
    case HEARTH_E_MEMORY:
        return 503;
    default:
        return 500;
    }
}

/* ---- memory of jobs: nothing of one is left for the next ---- */

static void *engine_job_alloc(void *user, size_t size)
{
    (void)user;
    return malloc(size);
}

static void engine_job_free(void *user, void *ptr, size_t size)
{
    (void)user;
    memset(ptr, 0, size);
    free(ptr);
}

static const struct hb_alloc engine_job_heap = {engine_job_alloc, engine_job_free, NULL};

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
        memset(job->arena.base, 0, job->arena.used); /* the chunks before are wiped as they are freed */
    hb_arena_clear(&job->arena);
    if (e->kept + job->arena.size > HS_JOBS_KEEP)
        hb_arena_release(&job->arena);
    e->kept += job->arena.size;
}

static struct hs_job *engine_job_new(struct hs_engine *e, struct hs_client *client, const struct hs_message *m,
                                     uint64_t id, struct hs_lane *lane, uint64_t now_ns)
{
    struct hs_job *job = e->free;
    if (!job)
        return NULL;
    e->free = job->next;
    e->kept -= job->arena.size;
    struct hb_arena arena = job->arena;
    memset(job, 0, sizeof *job);
    job->arena = arena;
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

static void engine_job_return(struct hs_engine *e, struct hs_job *job)
{
    if (job->lane->backend->release)
        job->lane->backend->release(job);
    engine_job_wipe(e, job);
    job->state = HS_JOB_FREE;
    job->next = e->free;
    e->free = job;
}

static void engine_reap(struct hs_engine *e)
{
    while (e->ended) {
        struct hs_job *job = e->ended;
        e->ended = job->next;
        engine_job_return(e, job);
    }
}

/* ---- the ends of jobs ---- */

static void engine_client_add(struct hs_job *job)
{
    struct hs_client *c = job->client;
    job->before = NULL;
    job->next = c->jobs;
    if (c->jobs)
        c->jobs->before = job;
    c->jobs = job;
    c->in_flight++;
}

static void engine_client_remove(struct hs_job *job)
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

static void engine_lane_add(struct hs_lane *lane, struct hs_job *job)
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
    engine_lane_add(job->lane, job);
}

static void engine_rest(struct hs_client *c, bool rest)
{
    for (struct hs_job *job = c->jobs; job; job = job->next) {
        if (job->state != HS_JOB_RUNNING || job->resting == rest)
            continue;
        job->resting = rest;
        if (job->lane->backend->rest)
            job->lane->backend->rest(job->lane, job, rest);
    }
}

static void engine_give(struct hs_client *c, const struct hs_message *m, const void *msg)
{
    if (c->send(c->user, m, msg) || c->full)
        return;
    c->full = true;
    engine_rest(c, true);
}

void hs_job_send(struct hs_job *job, const struct hs_message *m, const void *msg)
{
    if (job->client)
        engine_give(job->client, m, msg);
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
    engine_client_remove(job);
    job->client = NULL;
    job->state = HS_JOB_ENDED;
    job->lane->n_jobs--;
    job->next = e->ended;
    e->ended = job;
    e->n_ended++;
    if (c)
        engine_give(c, m, msg);
    if (e->config.outcome)
        engine_tell(e, job, m, msg);
}

static void engine_error(struct hs_error *error, uint64_t id, uint32_t code, const char *text)
{
    *error = (struct hs_error){0};
    HS_SET(error, error, id, id);
    HS_SET(error, error, code, code);
    HS_SET(error, error, message, (struct hs_bytes){text, strlen(text)});
    if (code == 429)
        HS_SET(error, error, retry_ms, 100);
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
    engine_give(client, &hs_messages[HS_M_error], &error);
}

/* ---- submitting ---- */

static struct hs_job *engine_find(const struct hs_client *c, uint64_t id)
{
    struct hs_job *job = c->jobs;
    while (job && job->id != id)
        job = job->next;
    return job;
}

/* The lane of a name, or the default; among lanes of one name the newest. */
static struct hs_lane *engine_lane(struct hs_engine *e, const struct hs_bytes *name)
{
    struct hs_lane *best = NULL;
    for (size_t i = 0; i < e->n_lanes; i++) {
        struct hs_lane *lane = &e->lanes[i];
        if (!lane->open || lane->leaving)
            continue;
        if (name ? strlen(lane->name) == name->len && memcmp(lane->name, name->at, name->len) == 0 &&
                       (!best || lane->order > best->order)
                 : !best || lane->order < best->order)
            best = lane;
    }
    return best;
}

static struct hs_lane *engine_lane_or_refuse(struct hs_engine *e, struct hs_client *c, uint64_t id,
                                             const struct hs_bytes *name)
{
    struct hs_lane *lane = engine_lane(e, name);
    hearth_error err;
    if (lane)
        return lane;
    if (name)
        hb_fail(&err, HEARTH_E_NOT_FOUND, "model \"%.*s\" is not loaded; \"models\" lists those that are",
                name->len < 64 ? (int)name->len : 64, name->at);
    else
        hb_fail(&err, HEARTH_E_NOT_FOUND, "no model is loaded");
    e->refused++;
    hs_engine_refuse(c, id, 404, err.text);
    return NULL;
}

static void engine_push(struct hs_engine *e, struct hs_job *job, uint64_t priority, uint64_t now_ns)
{
    static const uint32_t codes[] = {[HS_QUEUE_FULL] = 429, [HS_TOO_LARGE] = 413, [HS_DUPLICATE] = 409,
                                     [HS_NO_LANE] = 400};
    struct hs_request r = {.key = {job->session, job->id}, .lane = job->lane->index,
                           .priority = priority < HS_PRIORITIES ? (uint8_t)priority : HS_PRIORITIES,
                           .tokens = job->tokens, .bytes = job->bytes, .deadline_ns = job->deadline_ns,
                           .user = job};
    enum hs_admit admit = hs_sched_push(e->sched, &r, now_ns);
    engine_client_add(job);
    job->lane->n_jobs++;
    job->state = HS_JOB_WAITING;
    e->stirred = true;
    if (admit == HS_TOO_LATE) {
        job->lane->backend->stop(job->lane, job, HS_TIMEOUT);
    } else if (admit != HS_ADMITTED) {
        e->refused++;
        hs_job_fail(job, codes[admit], hs_admit_text(admit));
    }
}

static uint64_t engine_timeout_ms(const struct hs_message *m, const void *msg)
{
    if (m == &hs_messages[HS_M_classify])
        return HS_HAS((const struct hs_classify *)msg, classify, timeout_ms)
                   ? ((const struct hs_classify *)msg)->timeout_ms : 5000;
    if (m == &hs_messages[HS_M_embed])
        return HS_HAS((const struct hs_embed *)msg, embed, timeout_ms) ? ((const struct hs_embed *)msg)->timeout_ms
                                                                       : 2000;
    if (m == &hs_messages[HS_M_chat])
        return HS_HAS((const struct hs_chat *)msg, chat, timeout_ms) ? ((const struct hs_chat *)msg)->timeout_ms
                                                                     : 30000;
    return HS_HAS((const struct hs_generate *)msg, generate, timeout_ms)
               ? ((const struct hs_generate *)msg)->timeout_ms : 30000;
}

/* What runs on a model: generate, chat, classify, embed. */
static void engine_submit_job(struct hs_engine *e, struct hs_client *c, const struct hs_message *m,
                              const void *msg, uint64_t id, const struct hs_bytes *model, uint64_t priority,
                              uint64_t now_ns)
{
    hearth_error err = {0};
    struct hs_lane *lane = engine_lane_or_refuse(e, c, id, model);
    if (!lane)
        return;
    struct hs_job *job = engine_job_new(e, c, m, id, lane, now_ns);
    if (!job) {
        e->refused++;
        hs_engine_refuse(c, id, 429, "the queue is full");
        return;
    }
    hearth_status status = lane->backend->accept(lane, job, m, msg, &err);
    if (status != HEARTH_OK) {
        e->refused++;
        engine_job_return(e, job);
        hs_engine_refuse(c, id, hs_engine_code(status), err.text);
        return;
    }
    job->deadline_ns = now_ns + engine_timeout_ms(m, msg) * 1000000u;
    engine_push(e, job, priority, now_ns);
}

static void engine_tokenize(struct hs_engine *e, struct hs_client *c, const struct hs_tokenize *t)
{
    hearth_error err = {0};
    size_t n = 0;
    struct hs_lane *lane = engine_lane_or_refuse(e, c, t->id, HS_HAS(t, tokenize, model) ? &t->model : NULL);
    if (!lane)
        return;
    uint32_t flags = (t->no_special ? 0 : HEARTH_TOKENIZE_SPECIAL) |
                     (t->parse_special ? HEARTH_TOKENIZE_PARSE_SPECIAL : 0);
    hearth_status status;
    if (!lane->backend->tokenize)
        status = hb_fail(&err, HEARTH_E_UNSUPPORTED, "model \"%s\" has no tokenizer", lane->name);
    else
        status = lane->backend->tokenize(lane, &t->text, flags, e->ids, e->n_ids, &n, &err);
    if (status != HEARTH_OK) {
        hs_engine_refuse(c, t->id, hs_engine_code(status), err.text);
        return;
    }
    struct hs_tokenized answer = {0};
    HS_SET(&answer, tokenized, id, t->id);
    HS_SET(&answer, tokenized, tokens, (struct hs_tokens){.values = (const uint32_t *)e->ids, .n = n});
    engine_give(c, &hs_messages[HS_M_tokenized], &answer);
}

static void engine_health(struct hs_engine *e, struct hs_client *c, const struct hs_health *h)
{
    struct hs_report r = {0};
    HS_SET(&r, report, id, h->id);
    HS_SET(&r, report, ok, h->kind == 0 || (!e->draining && engine_lane(e, NULL) != NULL));
    engine_give(c, &hs_messages[HS_M_report], &r);
}

static void engine_models(struct hs_engine *e, struct hs_client *c, uint64_t id)
{
    struct hs_model items[HS_MAX_LANES];
    struct hs_engine_model_stats s;
    size_t n = 0;
    for (size_t i = 0; n < HS_MAX_LANES && hs_engine_model_at(e, i, &s); i++) {
        const char *state = s.leaving ? "unloading" : "loaded";
        items[n] = (struct hs_model){0};
        HS_SET(&items[n], model, name, (struct hs_bytes){s.name, strlen(s.name)});
        HS_SET(&items[n], model, kind, (struct hs_bytes){s.kind, strlen(s.kind)});
        HS_SET(&items[n], model, state, (struct hs_bytes){state, strlen(state)});
        if (s.model->file_bytes)
            HS_SET(&items[n], model, bytes, s.model->file_bytes);
        if (s.model->sha256)
            HS_SET(&items[n], model, sha256, (struct hs_bytes){s.model->sha256, strlen(s.model->sha256)});
        n++;
    }
    struct hs_model_list list = {0};
    HS_SET(&list, model_list, id, id);
    if (n)
        HS_SET(&list, model_list, items, (struct hs_list){.items = items, .n = n});
    engine_give(c, &hs_messages[HS_M_model_list], &list);
}

static void engine_manage(struct hs_engine *e, struct hs_client *c, const struct hs_manage *m)
{
    char name[HS_MAX_MODEL_NAME + 1];
    if (!c->owner) {
        hs_engine_refuse(c, m->id, 401, "manage is for the owner of the server");
        return;
    }
    if (m->action != 0) {
        hs_engine_refuse(c, m->id, 400, "manage: this server has a fixed set of models; action 0, warm up, is accepted");
        return;
    }
    struct hs_lane *lane = engine_lane_or_refuse(e, c, m->id, &m->model);
    if (!lane)
        return;
    memcpy(name, lane->name, sizeof name);
    hs_engine_warm_up(e, name);
    engine_models(e, c, m->id);
}

/* Requests that are not jobs. */
static void engine_answer(struct hs_engine *e, struct hs_client *c, const struct hs_message *m, const void *msg,
                          uint64_t now_ns)
{
    bool asks = m != &hs_messages[HS_M_health] || ((const struct hs_health *)msg)->kind != 0;
    if (asks && e->config.ask && e->config.ask(e->config.ask_user, c, m, msg, now_ns))
        return;
    if (m == &hs_messages[HS_M_health])
        engine_health(e, c, msg);
    else if (m == &hs_messages[HS_M_models])
        engine_models(e, c, ((const struct hs_models *)msg)->id);
    else if (m == &hs_messages[HS_M_manage])
        engine_manage(e, c, msg);
    else
        hs_engine_refuse(c, ((const struct hs_metrics *)msg)->id, 400, "metrics: not in this server");
}

static void engine_cancel(struct hs_client *c, uint64_t id)
{
    struct hs_job *job = engine_find(c, id);
    struct hs_request r;
    if (!job)
        return;
    hs_sched_cancel(job->engine->sched, (struct hs_key){job->session, job->id}, &r);
    job->lane->backend->stop(job->lane, job, HS_CANCELLED);
}

/* May this request come in? false: it was refused. The id is the first field of all that have one. */
static bool engine_admits(struct hs_engine *e, struct hs_client *c, const struct hs_message *m, const void *msg,
                          uint64_t id)
{
    hearth_error err = {0};
    uint32_t code = 0;
    if (engine_find(c, id)) {
        code = 409;
        hb_fail(&err, HEARTH_E_STATE, "id %llu is in flight; another is accepted", (unsigned long long)id);
    } else if (m == &hs_messages[HS_M_health]) {
        return true;
    } else if (e->draining) {
        code = 503;
        hb_fail(&err, HEARTH_E_STATE, "the server is shutting down");
    } else if (c->in_flight >= e->limits.in_flight) {
        code = 429;
        hb_fail(&err, HEARTH_E_LIMIT, "%u requests of this session are in flight; no more are accepted",
                c->in_flight);
    } else if (hs_guard_check(e->guard, m, msg, &err) != HEARTH_OK) {
        code = hs_engine_code(err.status);
    }
    if (code) {
        e->refused++;
        hs_engine_refuse(c, id, code, err.text);
    }
    return code == 0;
}

/* The fields that all jobs have under one name. */
#define ENGINE_JOB(message)                                                                        \
    case HS_M_##message: {                                                                         \
        const struct hs_##message *r = msg;                                                        \
        engine_submit_job(e, c, m, msg, r->id, HS_HAS(r, message, model) ? &r->model : NULL,       \
                          HS_HAS(r, message, priority) ? r->priority : 1, now_ns);                 \
        break;                                                                                     \
    }

void hs_engine_submit(struct hs_engine *e, struct hs_client *c, const struct hs_message *m, const void *msg,
                      uint64_t now_ns)
{
    uint64_t id;
    memcpy(&id, (const uint8_t *)msg + m->fields[0].offset, sizeof id);
    e->submitted++;
    if (m == &hs_messages[HS_M_cancel])
        engine_cancel(c, id);
    else if (engine_admits(e, c, m, msg, id))
        switch (m - hs_messages) {
            ENGINE_JOB(generate)
            ENGINE_JOB(chat)
            ENGINE_JOB(classify)
            ENGINE_JOB(embed)
        case HS_M_tokenize:
            engine_tokenize(e, c, msg);
            break;
        default:
            engine_answer(e, c, m, msg, now_ns);
        }
    engine_reap(e);
}

void hs_engine_resume(struct hs_engine *e, struct hs_client *c)
{
    e->stirred = true;
    c->full = false;
    engine_rest(c, false);
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
            engine_client_remove(job);
            job->client = NULL;
        }
        job->lane->backend->stop(job->lane, job, reason);
    }
}

void hs_engine_drop(struct hs_engine *e, struct hs_client *c, uint64_t now_ns)
{
    (void)now_ns;
    engine_end_jobs(c, HS_CANCELLED, true);
    engine_reap(e);
}

void hs_engine_cancel_all(struct hs_engine *e, struct hs_client *c, uint64_t now_ns)
{
    (void)now_ns;
    engine_end_jobs(c, HS_CANCELLED, false);
    engine_reap(e);
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
    engine_lane_add(lane, job);
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
        engine_reap(e);
    }
    engine_reap(e);
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
    engine_reap(e);
    return !left || now_ns >= deadline_ns;
}

/* ---- models ---- */

hearth_status hs_engine_attach(struct hs_engine *e, const struct hs_engine_model *model, hearth_error *err)
{
    struct hs_lane *lane = NULL;
    size_t len = model->name ? strlen(model->name) : 0;
    for (uint32_t i = 0; i < HS_MAX_LANES && !lane; i++)
        lane = e->lanes[i].open ? NULL : &e->lanes[i];
    if (!lane)
        return hb_fail(err, HEARTH_E_FULL, "%d models are loaded; no more are accepted", HS_MAX_LANES);
    if (len == 0 || len > HS_MAX_MODEL_NAME)
        return hb_fail(err, HEARTH_E_RANGE, "model name of %zu bytes; 1 to %d are accepted", len, HS_MAX_MODEL_NAME);
    uint8_t index = (uint8_t)(lane - e->lanes);
    *lane = (struct hs_lane){.engine = e, .index = index, .model = *model, .take = UINT32_MAX,
                             .order = ++e->n_attached};
    memcpy(lane->name, model->name, len + 1);
    lane->model.name = lane->name;
    lane->backend = model->backend;
    if (!lane->backend) {
        hearth_model_info info = {.struct_size = sizeof info};
        hearth_model_get_info(model->model, &info);
        lane->backend = info.kind == HEARTH_MODEL_GENERATIVE ? &hs_backend_text : &hs_backend_encode;
    }
    lane->kind = lane->backend->kind;
    HB_TRY(lane->backend->open(lane, err));
    hs_sched_set_lane(e->sched, index, &lane->config);
    lane->open = true;
    e->n_lanes = index >= e->n_lanes ? index + 1u : e->n_lanes;
    return HEARTH_OK;
}

bool hs_engine_detach(struct hs_engine *e, const char *name, uint64_t now_ns)
{
    struct hs_lane *lane = NULL;
    (void)now_ns;
    for (uint32_t i = 0; i < e->n_lanes; i++)
        if (e->lanes[i].open && strcmp(e->lanes[i].name, name) == 0 && (!lane || e->lanes[i].order < lane->order))
            lane = &e->lanes[i];
    if (!lane)
        return true;
    lane->leaving = true;
    if (lane->n_jobs > 0)
        return false;
    lane->backend->close(lane);
    lane->open = false;
    return true;
}

void hs_engine_warm_up(struct hs_engine *e, const char *name)
{
    struct hs_bytes n = {name, strlen(name)};
    struct hs_lane *lane = engine_lane(e, &n);
    if (lane && lane->n_running == 0 && lane->backend->warm_up)
        lane->backend->warm_up(lane);
}

bool hs_engine_model_at(const struct hs_engine *e, size_t index, struct hs_engine_model_stats *s)
{
    for (size_t i = 0; i < e->n_lanes; i++) {
        const struct hs_lane *lane = &e->lanes[i];
        if (!lane->open || index-- > 0)
            continue;
        *s = (struct hs_engine_model_stats){lane->name, lane->kind, &lane->model, lane->n_running,
                                            lane->n_jobs - lane->n_running, lane->leaving, lane->prompt_tokens,
                                            lane->generated_tokens, lane->texts};
        return true;
    }
    return false;
}

void hs_engine_get_stats(const struct hs_engine *e, struct hs_engine_stats *stats)
{
    struct hs_sched_stats s;
    hs_sched_get_stats(e->sched, &s);
    *stats = (struct hs_engine_stats){.waiting = s.waiting, .running = s.running, .submitted = e->submitted,
                                      .ended = e->n_ended, .refused = e->refused};
    memcpy(stats->waiting_by_priority, s.waiting_by_priority, sizeof stats->waiting_by_priority);
}

/* ---- the engine ---- */

static hearth_status engine_fill(struct hs_engine *e, hearth_error *err)
{
    struct hs_lane_config none[HS_MAX_LANES] = {{0}};
    const struct hs_sched_config config = {.max_waiting = e->limits.queue, .max_running = e->limits.running,
                                           .age_ns = (uint64_t)e->limits.age_ms * 1000000u,
                                           .n_lanes = HS_MAX_LANES, .lanes = none};
    HB_TRY(hs_sched_create(&config, &e->arena, &e->sched, err));
    HB_TRY(hs_guard_create(&e->limits, e->config.blocked_in, &e->arena, &e->guard, err));
    e->n_jobs = config.max_waiting + config.max_running + 1; /* and one that is refused */
    HB_TRY(HB_ARENA_NEW(&e->arena, struct hs_job, e->n_jobs, &e->jobs, err));
    HB_TRY(HB_ARENA_NEW(&e->arena, struct hs_lane, HS_MAX_LANES, &e->lanes, err));
    e->n_ids = 64 + (e->limits.text_bytes > e->limits.prompt_tokens ? e->limits.text_bytes : e->limits.prompt_tokens);
    HB_TRY(HB_ARENA_NEW(&e->arena, int32_t, e->n_ids, &e->ids, err));
    for (uint32_t i = e->n_jobs; i-- > 0;) {
        hb_arena_init_growing(&e->jobs[i].arena, &engine_job_heap);
        e->jobs[i].next = e->free;
        e->free = &e->jobs[i];
    }
    return HEARTH_OK;
}

hearth_status hs_engine_create(const struct hs_engine_config *config, struct hs_engine **out, hearth_error *err)
{
    struct hs_engine *e = calloc(1, sizeof *e);
    if (!e)
        return hb_fail(err, HEARTH_E_MEMORY, "engine: no memory");
    if (config)
        e->config = *config;
    e->limits = e->config.limits ? *e->config.limits : hs_limits_default;
    hk_select(&e->kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    hb_arena_init_growing(&e->arena, hb_os_heap());
    if (e->config.cache)
        e->cache = hs_cache_open((uint64_t)e->limits.cache_ms * 1000000u);
    hearth_status status = engine_fill(e, err);
    if (status != HEARTH_OK) {
        hs_engine_destroy(e);
        return status;
    }
    *out = e;
    return HEARTH_OK;
}

void hs_engine_destroy(struct hs_engine *e)
{
    if (!e)
        return;
    for (uint32_t i = 0; e->jobs && i < e->n_jobs; i++)
        hb_arena_release(&e->jobs[i].arena);
    hb_arena_release(&e->arena);
    hs_cache_close(e->cache);
    free(e);
}
