/* The desk: see hs_desk.h. */
#include "serve/hs_desk.h"
#include "serve/hs_sched.h"
#include <stdlib.h>
#include <string.h>

struct hs_desk {
    struct hs_desk_config config;
    struct hs_engine *engine;
    struct hs_registry *models;
    struct hs_meter *meter;
    const struct hs_server *server;
    const char *level;
    struct hs_log log;
    char *report; /* [HS_REPORT_BYTES] */
};

/* ---- the registry's side of the engine ---- */

static hearth_status desk_attach(void *user, const struct hs_engine_model *model, hearth_error *err)
{
    struct hs_desk *d = user;
    HB_TRY(hs_engine_attach(d->engine, model, err));
    hs_engine_warm_up(d->engine, model->name);
    return HEARTH_OK;
}

static bool desk_detach(void *user, const char *name, uint64_t now_ns)
{
    return hs_engine_detach(((struct hs_desk *)user)->engine, name, now_ns);
}

static uint32_t desk_busy(void *user, const char *name)
{
    struct hs_engine_model_stats s;
    uint32_t n = 0;
    for (size_t i = 0; hs_engine_model_at(((struct hs_desk *)user)->engine, i, &s); i++)
        n += strcmp(s.name, name) ? 0 : s.running + s.waiting;
    return n;
}

static void desk_event(void *user, const char *name, enum hs_model_state state, const hearth_error *err)
{
    struct hs_desk *d = user;
    struct hs_model_view v;
    struct hs_log_line l;
    hs_log_begin(&l, &d->log, err ? HS_LOG_ERROR : HS_LOG_INFO, "model");
    hs_log_word(&l, "model", name);
    hs_log_word(&l, "state", hs_model_state_name[state]);
    if (err)
        hs_log_word(&l, "error", err->text);
    else if (state == HS_LOADED && hs_models_find(d->models, name, strlen(name), &v)) {
        hs_log_ms(&l, "ms", v.load_ns);
        hs_log_ms(&l, "hash_ms", v.hash_ns);
        hs_log_word(&l, "sha256", v.sha256);
        hs_log_u64(&l, "session_bytes", v.session_bytes);
    }
    hs_log_end(&l);
}

/* ---- what became of requests ---- */

static void desk_outcome(void *user, const struct hs_outcome *o)
{
    struct hs_desk *d = user;
    struct hs_log_line l;
    hs_meter_outcome(d->meter, o);
    if (o->model[0])
        hs_models_used(d->models, o->model, hb_os_now_ns());
    hs_log_begin(&l, &d->log, o->code >= 500 ? HS_LOG_WARN : HS_LOG_INFO, "request");
    hs_log_u64(&l, "session", o->session);
    hs_log_u64(&l, "id", o->id);
    hs_log_word(&l, "message", o->request->name);
    hs_log_word(&l, "model", o->model);
    hs_log_word(&l, "answer", o->answer->name);
    if (o->code)
        hs_log_u64(&l, "code", o->code);
    if (o->answer == &hs_messages[HS_M_done]) {
        hs_log_u64(&l, "reason", o->reason);
        hs_log_u64(&l, "prompt_tokens", o->prompt_tokens);
        hs_log_u64(&l, "generated_tokens", o->generated_tokens);
    }
    hs_log_ms(&l, "queue_ms", o->queue_ns);
    hs_log_ms(&l, "ms", o->total_ns);
    hs_log_end(&l);
}

static bool desk_absent(void *user, const struct hs_bytes *name)
{
    struct hs_desk *d = user;
    char text[HS_MODEL_NAME + 1];
    struct hs_model_view v;
    if (!hs_model_name_ok(name->at, name->len) || !hs_models_find(d->models, name->at, name->len, &v) ||
        v.state == HS_FAILED)
        return false; /* who failed is tried again by `manage` alone */
    memcpy(text, name->at, name->len);
    text[name->len] = 0;
    return hs_models_load(d->models, text, hb_os_now_ns(), NULL) == HEARTH_OK;
}

/* ---- questions ---- */

static void desk_report(struct hs_desk *d, struct hs_client *c, uint64_t id, bool ok, size_t len)
{
    struct hs_report r = {0};
    HS_SET(&r, report, id, id);
    HS_SET(&r, report, ok, ok);
    HS_SET(&r, report, body, (struct hs_bytes){d->report, len});
    hs_engine_give(c, &hs_messages[HS_M_report], &r);
}

static void desk_model(const struct hs_desk *d, const struct hs_model_view *v, struct hs_model *m)
{
    struct hs_engine_model_stats s;
    const char *kind = hs_model_kind_name[v->spec->kind], *state = hs_model_state_name[v->state];
    for (size_t i = 0; hs_engine_model_at(d->engine, i, &s); i++)
        if (!strcmp(s.name, v->spec->name))
            kind = s.kind; /* of a file alone it shows only then */
    *m = (struct hs_model){0};
    HS_SET(m, model, name, (struct hs_bytes){v->spec->name, strlen(v->spec->name)});
    HS_SET(m, model, kind, (struct hs_bytes){kind, strlen(kind)});
    HS_SET(m, model, state, (struct hs_bytes){state, strlen(state)});
    if (v->bytes)
        HS_SET(m, model, bytes, v->bytes);
    if (v->sha256[0])
        HS_SET(m, model, sha256, (struct hs_bytes){v->sha256, strlen(v->sha256)});
    if (v->spec->licence)
        HS_SET(m, model, licence, (struct hs_bytes){v->spec->licence, strlen(v->spec->licence)});
    if (v->pinned)
        HS_SET(m, model, pinned, 1);
}

/* A model that the registry does not have: of the command line. */
static bool desk_outsider(const struct hs_desk *d, const char *name, size_t len, struct hs_engine_model_stats *s)
{
    struct hs_model_view v;
    for (size_t i = 0; !hs_models_find(d->models, name, len, &v) && hs_engine_model_at(d->engine, i, s); i++)
        if (strlen(s->name) == len && !memcmp(s->name, name, len))
            return true;
    return false;
}

static void desk_outsider_model(const struct hs_engine_model_stats *s, struct hs_model *m)
{
    const char *state = hs_model_state_name[s->leaving ? HS_UNLOADING : HS_LOADED];
    *m = (struct hs_model){0};
    HS_SET(m, model, name, (struct hs_bytes){s->name, strlen(s->name)});
    HS_SET(m, model, kind, (struct hs_bytes){s->kind, strlen(s->kind)});
    HS_SET(m, model, state, (struct hs_bytes){state, strlen(state)});
    if (s->model->file_bytes)
        HS_SET(m, model, bytes, s->model->file_bytes);
    if (s->model->sha256)
        HS_SET(m, model, sha256, (struct hs_bytes){s->model->sha256, strlen(s->model->sha256)});
    HS_SET(m, model, pinned, 1);
}

static void desk_models(const struct hs_desk *d, struct hs_client *c, uint64_t id)
{
    struct hs_model items[HS_MAX_MODELS + HS_MAX_LANES];
    struct hs_engine_model_stats s;
    struct hs_model_view v;
    struct hs_model_list list = {0};
    size_t n = 0;
    for (; n < HS_MAX_MODELS && hs_models_at(d->models, n, &v); n++)
        desk_model(d, &v, &items[n]);
    for (size_t i = 0; hs_engine_model_at(d->engine, i, &s); i++)
        if (!hs_models_find(d->models, s.name, strlen(s.name), &v))
            desk_outsider_model(&s, &items[n++]);
    HS_SET(&list, model_list, id, id);
    if (n)
        HS_SET(&list, model_list, items, (struct hs_list){.items = items, .n = n});
    hs_engine_give(c, &hs_messages[HS_M_model_list], &list);
}

static hearth_status desk_change(struct hs_desk *d, const char *name, uint64_t action, uint64_t now_ns, hearth_error *err)
{
    struct hs_model_view v;
    struct hs_engine_model_stats s;
    if (desk_outsider(d, name, strlen(name), &s)) {
        if (action > 1)
            return hb_fail(err, HEARTH_E_STATE, "model '%s': given on the command line, so it stays", name);
        hs_engine_warm_up(d->engine, name);
        return HEARTH_OK;
    }
    switch (action) {
    case 0: /* warm up: loaded, and run once; a load ends with that */
        if (hs_models_find(d->models, name, strlen(name), &v) && v.state == HS_LOADED) {
            hs_engine_warm_up(d->engine, name);
            return HEARTH_OK;
        }
        return hs_models_load(d->models, name, now_ns, err);
    case 1: /* as the manifest has it now */
        if (d->config.manifest)
            HB_TRY(hs_models_read(d->models, d->config.manifest, err));
        return hs_models_load(d->models, name, now_ns, err);
    case 2:
        return hs_models_unload(d->models, name, now_ns, err);
    default:
        return hs_models_pin(d->models, name, action == 3, err);
    }
}

static void desk_manage(struct hs_desk *d, struct hs_client *c, const struct hs_manage *m, uint64_t now_ns)
{
    char name[HS_MODEL_NAME + 1];
    hearth_error err = {0};
    struct hs_log_line l;
    if (d->config.owner_only && !c->owner) {
        hs_engine_refuse(c, m->id, 401, "manage is for the owner of the server");
        return;
    }
    struct hs_engine_model_stats s;
    if (m->model.len > HS_MODEL_NAME || (!hs_model_name_ok(m->model.at, m->model.len) &&
                                         !desk_outsider(d, m->model.at, m->model.len, &s))) {
        hs_engine_refuse(c, m->id, 404, "manage: no model has this name");
        return;
    }
    memcpy(name, m->model.at, m->model.len);
    name[m->model.len] = 0;
    hearth_status status = desk_change(d, name, m->action, now_ns, &err);
    hs_log_begin(&l, &d->log, HS_LOG_INFO, "manage");
    hs_log_u64(&l, "session", c->session);
    hs_log_word(&l, "model", name);
    hs_log_u64(&l, "action", m->action);
    hs_log_word(&l, "status", hearth_status_text(status));
    hs_log_end(&l);
    if (status == HEARTH_OK)
        desk_models(d, c, m->id);
    else
        hs_engine_refuse(c, m->id, status == HEARTH_E_NOT_FOUND ? 404 : status == HEARTH_E_STATE ? 409 : hs_engine_code(status),
                         err.text);
}

static bool desk_ready(const struct hs_desk *d)
{
    struct hs_engine_model_stats s;
    for (size_t i = 0; hs_engine_model_at(d->engine, i, &s); i++)
        if (!s.leaving)
            return !hs_engine_draining(d->engine);
    return false;
}

static bool desk_ask(void *user, struct hs_client *c, const struct hs_message *m, const void *msg, uint64_t now_ns)
{
    struct hs_desk *d = user;
    if (m == &hs_messages[HS_M_models]) {
        desk_models(d, c, ((const struct hs_models *)msg)->id);
    } else if (m == &hs_messages[HS_M_manage]) {
        desk_manage(d, c, msg, now_ns);
    } else if (m == &hs_messages[HS_M_metrics]) {
        const struct hs_metrics *q = msg;
        size_t len = q->prometheus == 1 ? hs_meter_prometheus(d->meter, d->report, HS_REPORT_BYTES)
                                        : hs_meter_json(d->meter, false, d->report, HS_REPORT_BYTES);
        desk_report(d, c, q->id, desk_ready(d), len);
    } else if (m == &hs_messages[HS_M_health] && ((const struct hs_health *)msg)->kind == 2) {
        size_t len = hs_meter_json(d->meter, true, d->report, HS_REPORT_BYTES);
        desk_report(d, c, ((const struct hs_health *)msg)->id, desk_ready(d), len);
    } else {
        return false; /* the engine knows */
    }
    return true;
}

/* ---- life ---- */

hearth_status hs_desk_create(const struct hs_desk_config *config, struct hs_desk **out, hearth_error *err)
{
    struct hs_desk *d = calloc(1, sizeof *d);
    if (!d)
        return hb_fail(err, HEARTH_E_MEMORY, "desk: no memory");
    d->config = *config;
    d->report = malloc(HS_REPORT_BYTES);
    hs_log_init(&d->log, config->log_fd, config->log_level);
    d->config.models.attach = desk_attach;
    d->config.models.detach = desk_detach;
    d->config.models.busy = desk_busy;
    d->config.models.event = desk_event;
    d->config.models.user = d->config.models.event_user = d;
    const hearth_status status = d->report ? hs_models_create(&d->config.models, &d->models, err)
                                           : hb_fail(err, HEARTH_E_MEMORY, "desk: no memory");
    if (status != HEARTH_OK) {
        hs_desk_destroy(d);
        return status;
    }
    *out = d;
    return HEARTH_OK;
}

void hs_desk_engine(struct hs_desk *d, struct hs_engine_config *config)
{
    config->ask = desk_ask;
    config->ask_user = d;
    config->absent = desk_absent;
    config->absent_user = d;
    config->outcome = desk_outcome;
    config->outcome_user = d;
}

hearth_status hs_desk_begin(struct hs_desk *d, struct hs_engine *engine, hearth_error *err)
{
    struct hs_model_view v;
    d->engine = engine;
    const struct hs_meter_config meter = {.engine = engine, .models = d->models, .server = &d->server, .log = &d->log,
                                          .sandbox = d->config.sandbox, .level = &d->level,
                                          .restarts = d->config.restarts};
    HB_TRY(hs_meter_create(&meter, &d->meter, err));
    if (d->config.manifest)
        HB_TRY(hs_models_read(d->models, d->config.manifest, err));
    for (size_t i = 0; hs_models_at(d->models, i, &v); i++)
        if (v.spec->preload)
            HB_TRY(hs_models_load_now(d->models, v.spec->name, err));
    return HEARTH_OK;
}

void hs_desk_server(struct hs_desk *d, const struct hs_server *server)
{
    d->server = server;
}

void hs_desk_level(struct hs_desk *d, const char *sandbox_level)
{
    d->level = sandbox_level;
}

void hs_desk_destroy(struct hs_desk *d)
{
    struct hs_model_view v;
    if (!d)
        return;
    for (size_t i = 0; d->engine && hs_models_at(d->models, i, &v); i++)
        for (uint32_t k = 0; k < v.versions; k++)
            hs_engine_detach(d->engine, v.spec->name, 0);
    hs_models_destroy(d->models);
    hs_meter_destroy(d->meter);
    free(d->report);
    free(d);
}

bool hs_desk_step(struct hs_desk *d, uint64_t now_ns)
{
    return hs_models_step(d->models, now_ns);
}

uint64_t hs_desk_wake_ns(const struct hs_desk *d)
{
    return hs_models_wake_ns(d->models);
}

struct hs_registry *hs_desk_models(const struct hs_desk *d)
{
    return d->models;
}

struct hs_log *hs_desk_log(struct hs_desk *d)
{
    return &d->log;
}
