/* The engine and its models: see hs_engine.h. */
#include "serve/hs_engine_own.h"
#include "base/hb_error.h"
#include "base/os/hb_os.h"
#include <stdlib.h>
#include <string.h>

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

bool hs_engine_draining(const struct hs_engine *e)
{
    return e->draining;
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

/* ---- models ---- */

struct hs_lane *hs_engine_lane(struct hs_engine *e, const struct hs_bytes *name)
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
    struct hs_lane *lane = hs_engine_lane(e, &n);
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
        hb_arena_init_growing(&e->jobs[i].arena, &hs_jobs_heap);
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
    if (e->ids)
        hb_wipe(e->ids, e->n_ids * sizeof *e->ids);
    hb_arena_release(&e->arena);
    hs_cache_close(e->cache);
    free(e);
}
