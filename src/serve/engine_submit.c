/* Requests as they come in: refused, answered at once, or made jobs of the scheduler. */
#include "serve/hs_engine_own.h"
#include "base/hb_error.h"
#include <string.h>

static struct hs_job *engine_find(const struct hs_client *c, uint64_t id)
{
    struct hs_job *job = c->jobs;
    while (job && job->id != id)
        job = job->next;
    return job;
}

/* Refused before it was a job: counted and told all the same. */
static void engine_turn_away(struct hs_engine *e, struct hs_client *c, const struct hs_message *m, uint64_t id,
                             uint32_t code, const char *text)
{
    const struct hs_outcome o = {.request = m, .answer = &hs_messages[HS_M_error], .session = c->session, .id = id,
                                 .model = "", .code = code};
    e->refused++;
    hs_engine_refuse(c, id, code, text);
    if (e->config.outcome)
        e->config.outcome(e->config.outcome_user, &o);
}

static struct hs_lane *engine_lane_or_refuse(struct hs_engine *e, struct hs_client *c, const struct hs_message *m,
                                             uint64_t id,
                                             const struct hs_bytes *name)
{
    struct hs_lane *lane = hs_engine_lane(e, name);
    hearth_error err;
    if (lane)
        return lane;
    if (name && e->config.absent && e->config.absent(e->config.absent_user, name)) {
        hb_fail(&err, HEARTH_E_STATE, "model \"%.*s\" is being loaded; try again", name->len < 64 ? (int)name->len : 64,
                name->at);
        engine_turn_away(e, c, m, id, 503, err.text);
        return NULL;
    }
    if (name)
        hb_fail(&err, HEARTH_E_NOT_FOUND, "model \"%.*s\" is not loaded; \"models\" lists those that are",
                name->len < 64 ? (int)name->len : 64, name->at);
    else
        hb_fail(&err, HEARTH_E_NOT_FOUND, "no model is loaded");
    engine_turn_away(e, c, m, id, 404, err.text);
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
    hs_jobs_join_client(job);
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
    struct hs_lane *lane = engine_lane_or_refuse(e, c, m, id, model);
    if (!lane)
        return;
    struct hs_job *job = hs_jobs_new(e, c, m, id, lane, now_ns);
    if (!job) {
        engine_turn_away(e, c, m, id, 429, "the queue is full");
        return;
    }
    hearth_status status = lane->backend->accept(lane, job, m, msg, &err);
    if (status != HEARTH_OK) {
        hs_jobs_return(e, job);
        engine_turn_away(e, c, m, id, hs_engine_code(status), err.text);
        return;
    }
    job->deadline_ns = now_ns + engine_timeout_ms(m, msg) * 1000000u;
    engine_push(e, job, priority, now_ns);
}

static void engine_tokenize(struct hs_engine *e, struct hs_client *c, const struct hs_tokenize *t)
{
    hearth_error err = {0};
    size_t n = 0;
    const struct hs_message *m = &hs_messages[HS_M_tokenize];
    struct hs_lane *lane = engine_lane_or_refuse(e, c, m, t->id, HS_HAS(t, tokenize, model) ? &t->model : NULL);
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
        engine_turn_away(e, c, m, t->id, hs_engine_code(status), err.text);
        return;
    }
    struct hs_tokenized answer = {0};
    HS_SET(&answer, tokenized, id, t->id);
    HS_SET(&answer, tokenized, tokens, (struct hs_tokens){.values = (const uint32_t *)e->ids, .n = n});
    hs_engine_give(c, &hs_messages[HS_M_tokenized], &answer);
}

static void engine_health(struct hs_engine *e, struct hs_client *c, const struct hs_health *h)
{
    struct hs_report r = {0};
    HS_SET(&r, report, id, h->id);
    HS_SET(&r, report, ok, h->kind == 0 || (!e->draining && hs_engine_lane(e, NULL) != NULL));
    hs_engine_give(c, &hs_messages[HS_M_report], &r);
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
    hs_engine_give(c, &hs_messages[HS_M_model_list], &list);
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
    struct hs_lane *lane = engine_lane_or_refuse(e, c, &hs_messages[HS_M_manage], m->id, &m->model);
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
        engine_turn_away(e, c, m, id, code, err.text);
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
    hs_jobs_reap(e);
}
