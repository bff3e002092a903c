/* Sessions: plan, KV cache and step inputs in one block of memory.
 *
 *   | session, plan, tables (arena, zeroed) | activations | worker scratch | KV cache |
 *
 * session_build makes the first part and learns the sizes of the rest; hearth_session_need stops
 * there, with the arena on borrowed memory, so that the plan printed is the plan used. */
#include "runtime/hr_memory.h"
#include "runtime/hr_session.h"
#include "graph/ht_pool.h"
#include "base/hb_check.h"
#include "base/os/hb_os.h"
#include <string.h>

#define SESSION_DEFAULT_BATCH 512
#define SESSION_MAX_SEQS      65535
#define SESSION_MEASURE_START ((size_t)256 << 10)
#define SESSION_MEASURE_MAX   ((size_t)1 << 30)

/* ---- configuration ---- */

/* A name, for keys (`rotate` is not NULL) perhaps with "+h". */
static hearth_status session_kvtype(const char *what, const char *name, enum hk_kvtype *out,
                                    bool *rotate, hearth_error *err)
{
    size_t n = name ? strlen(name) : 0;
    if (!name) {
        *out = HK_KV_F16;
        return HEARTH_OK;
    }
    if (rotate && n > 2 && strcmp(name + n - 2, "+h") == 0) {
        *rotate = true;
        n -= 2;
    }
#define HK_KVTYPE(id, text)                                                                        \
    if (n == sizeof #text - 1 && memcmp(name, #text, n) == 0) {                                    \
        *out = HK_KV_##id;                                                                         \
        return HEARTH_OK;                                                                          \
    }
#include "kernels/kvtypes.def"
#undef HK_KVTYPE
#define HK_KVTYPE(id, text) " " #text
    static const char known[] =
#include "kernels/kvtypes.def"
        ;
#undef HK_KVTYPE
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s: cache type %s; known:%s%s", what, name, known,
                   rotate ? ", rotated with +h behind" : "");
}

static hearth_status session_positive(const char *what, int32_t *value, int32_t fallback,
                                      int32_t max, hearth_error *err)
{
    if (*value == 0)
        *value = fallback;
    if (*value < 1 || *value > max)
        return hb_fail(err, HEARTH_E_RANGE, "session: %s %d; 1 to %d are accepted", what, *value,
                       max);
    return HEARTH_OK;
}

/* What the window keeps: the sink in whole pages, the window from the beginning of a stretch on, a stretch
 * to take positions back, and one to grow into. */
static hearth_status session_window(const hearth_session_config *c, hearth_error *err)
{
    if (c->evict < HEARTH_EVICT_LRU || c->evict > HEARTH_EVICT_LFU)
        return hb_fail(err, HEARTH_E_RANGE, "session: evict %d; LRU, FIFO and LFU are 0, 1 and 2",
                       (int)c->evict);
    if (c->n_sink == 0 && c->n_window == 0)
        return HEARTH_OK;
    if (c->n_window < 1 || c->n_sink < 0)
        return hb_fail(err, HEARTH_E_RANGE,
                       "session: n_sink %d and n_window %d; a window of 1 or more is accepted",
                       c->n_sink, c->n_window);
    int64_t need = ((int64_t)c->n_sink + HK_KV_PAGE - 1) / HK_KV_PAGE * HK_KV_PAGE + c->n_window +
                   2 * HK_KV_STRETCH;
    if (need > c->n_ctx)
        return hb_fail(err, HEARTH_E_RANGE,
                       "session: n_sink %d and n_window %d take a context of %lld; n_ctx is %d",
                       c->n_sink, c->n_window, (long long)need, c->n_ctx);
    if (!HEARTH_WITH_KV_CACHE || (c->flags & HEARTH_SESSION_NO_KV_CACHE))
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "session: a window drops tokens that are needed without the KV cache");
    return HEARTH_OK;
}

static hearth_status session_defaults(const hearth_model *m, const hearth_session_config *in,
                                      hearth_session_config *c, hearth_error *err)
{
    memset(c, 0, sizeof *c);
    if (in && in->struct_size < 4)
        return hb_fail(err, HEARTH_E_ARGUMENT, "session: config.struct_size is %u",
                       in->struct_size);
    if (in)
        memcpy(c, in, in->struct_size < sizeof *c ? in->struct_size : sizeof *c);
    if (c->memory && !c->allocator.alloc && !c->allocator.free)
        c->allocator = hr_memory_blocks(c->memory);
    if (m->info.kind != HEARTH_MODEL_GENERATIVE)
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "session: this model holds no graph that generates text");
    HB_TRY(session_positive("n_ctx", &c->n_ctx, m->lm.n_ctx_train, INT32_MAX / 2, err));
    HB_TRY(session_positive("n_seqs", &c->n_seqs, 1, SESSION_MAX_SEQS, err));
    HB_TRY(session_positive("n_batch", &c->n_batch,
                            c->n_ctx < SESSION_DEFAULT_BATCH ? c->n_ctx : SESSION_DEFAULT_BATCH,
                            1 << 20, err));
    int64_t all = (int64_t)c->n_ctx * c->n_seqs;
    HB_TRY(session_positive("n_kv_tokens", &c->n_kv_tokens,
                            (int32_t)(all > INT32_MAX / 2 ? INT32_MAX / 2 : all), INT32_MAX / 2,
                            err));
    int32_t rows = c->n_seqs < c->n_batch ? c->n_seqs : c->n_batch;
    HB_TRY(session_positive("n_logits", &c->n_logits, rows, c->n_batch, err));
    return session_window(c, err);
}

/* ---- building ---- */

/* Steps that count together in the profile: by op, and by weight type for matmuls. */
static hearth_status session_profile_rows(hearth_session *s, struct hb_arena *arena,
                                          hearth_error *err)
{
    struct hr_profile_map *p = &s->profile;
    HB_TRY(HB_ARENA_NEW(arena, hearth_profile_row, s->plan->n_steps, &p->rows, err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, s->plan->n_steps, &p->row_of_step, err));
    for (uint32_t i = 0; i < s->plan->n_steps; i++) {
        const struct ht_step *step = &s->plan->steps[i];
        const char *type = step->weight_bytes ? hk_qtype_info[step->weight_type].name : "";
        char text[48];
        uint32_t row = 0;
        size_t n = hb_format(text, sizeof text, *type ? "%s %s" : "%s%s", step->op->name, type);
        while (row < p->n_rows && strcmp(p->rows[row].op, text) != 0)
            row++;
        if (row == p->n_rows) {
            HB_TRY(hb_arena_text(arena, text, n, &p->rows[row].op, err));
            p->n_rows++;
        }
        p->row_of_step[i] = row;
    }
    return HEARTH_OK;
}

static hearth_status session_kernels(hearth_session *s, hearth_error *err)
{
    enum hk_level top = HK_LEVEL_COUNT;
    uint32_t features = hb_os_cpu_features();
    if (s->config.level) {
        top = hk_level_from_name(s->config.level);
        if (top == HK_LEVEL_COUNT || !hk_level_runs(top, features))
            return hb_fail(err, HEARTH_E_UNSUPPORTED, "level %s: %s", s->config.level,
                           top == HK_LEVEL_COUNT ? "no level has that name"
                                                 : "this machine or build does not have it");
    }
    hk_select(&s->kernels, features, top);
    return HEARTH_OK;
}

/* Nothing is shared by tokens where nothing is kept. */
static bool session_without_prefix(const hearth_session *s)
{
    return !hr_session_keeps_kv(s) || (s->config.flags & HEARTH_SESSION_NO_PREFIX);
}

static hearth_status session_build(const hearth_model *model, const hearth_session_config *config,
                                   struct hb_arena *arena, hearth_session **out, hearth_error *err)
{
    hearth_session *s;
    enum hk_kvtype type_k, type_v;
    bool rotate_k = false;
    const struct ht_lm *lm = &model->lm;
    HB_TRY(hb_arena_take(arena, sizeof *s, 64, (void **)&s, err));
    s->model = model;
    s->config = *config;
    s->pool = (struct ht_pool *)config->pool;
    HB_TRY(session_kernels(s, err));
    HB_TRY(session_kvtype("K", config->kv_type_k, &type_k, &rotate_k, err));
    HB_TRY(session_kvtype("V", config->kv_type_v, &type_v, NULL, err));
    const int64_t sym[HT_MAX_SYMBOLS] = {[HT_LM_SYM_TOKENS] = config->n_batch,
                                         [HT_LM_SYM_ROWS] = config->n_logits,
                                         [HT_LM_SYM_CONTEXT] = config->n_ctx};
    HB_TRY(ht_plan_create(&lm->graph, &s->kernels, sym, ht_pool_workers(s->pool), arena,
                          &s->plan, err));
    s->plan->profile = config->flags & HEARTH_SESSION_PROFILE;
    s->plan->observe = config->observe;
    s->plan->observe_user = config->observe_user;
    HB_TRY(hr_kv_init(&s->kv, lm,
                      &(struct hr_kv_config){.type_k = type_k, .type_v = type_v,
                                             .rotate_k = rotate_k,
                                             .n_ctx = config->n_ctx, .n_seqs = config->n_seqs,
                                             .n_tokens = config->n_kv_tokens,
                                             .max_bytes = config->kv_max_bytes,
                                             .sink = config->n_sink, .window = config->n_window,
                                             .policy = config->evict,
                                             .no_prefix = session_without_prefix(s)},
                      arena, err));
    HB_TRY(HB_ARENA_NEW(arena, struct ht_segment, (size_t)config->n_batch, &s->segments, err));
    HB_TRY(HB_ARENA_NEW(arena, int32_t, (size_t)config->n_seqs, &s->old_length, err));
    HB_TRY(HB_ARENA_NEW(arena, int32_t, (size_t)config->n_seqs, &s->grow, err));
    HB_TRY(session_profile_rows(s, arena, err));
    *out = s;
    return HEARTH_OK;
}

/* The three blocks behind the arena's part. */
static hearth_status session_blocks(hearth_session *s, struct hb_arena *arena, hearth_error *err)
{
    void *activations, *scratch, *kv;
    size_t scratch_bytes;
    if (!hb_mul_size(s->plan->scratch_bytes, (size_t)s->plan->n_workers, &scratch_bytes))
        return hb_fail(err, HEARTH_E_MEMORY, "session: worker scratch overflows");
    HB_TRY(hb_arena_take_raw(arena, s->plan->activation_bytes, 64, &activations, err));
    HB_TRY(hb_arena_take_raw(arena, scratch_bytes, 64, &scratch, err));
    HB_TRY(hb_arena_take_raw(arena, s->kv.bytes, 64, &kv, err));
    ht_plan_place(s->plan, activations, scratch);
    hr_kv_place(&s->kv, kv);
    s->planned_bytes = hb_arena_used(arena);
    return HEARTH_OK;
}

/* Build on borrowed memory that doubles until it is enough, and add up. */
static hearth_status session_measure(const hearth_model *model,
                                     const hearth_session_config *config, size_t *bytes,
                                     hearth_error *err)
{
    struct hb_alloc hooks;
    HB_TRY(hr_hooks(&config->allocator, &hooks, err));
    for (size_t size = SESSION_MEASURE_START;; size *= 2) {
        struct hb_arena arena;
        hearth_session *s;
        size_t total = 0, scratch = 0;
        void *mem = hooks.alloc(hooks.user, size);
        if (!mem) {
            HB_TRY(hr_memory_fits(config->memory, "session", size, err));
            return hb_fail(err, HEARTH_E_MEMORY, "session: the allocator refused %zu bytes", size);
        }
        hb_arena_init_fixed(&arena, mem, size);
        hearth_status status = session_build(model, config, &arena, &s, err);
        bool fits = true;
        if (status == HEARTH_OK) /* each part may need up to a line of padding */
            fits = hb_mul_size(s->plan->scratch_bytes, (size_t)s->plan->n_workers, &scratch) &&
                   hb_add_size(hb_arena_used(&arena) + 5 * HB_ARENA_ALIGN, scratch, &total) &&
                   hb_add_size(total, s->plan->activation_bytes, &total) &&
                   hb_add_size(total, s->kv.bytes, &total);
        hooks.free(hooks.user, mem, size);
        if (status == HEARTH_OK && fits) {
            *bytes = total;
            return HEARTH_OK;
        }
        if (status == HEARTH_OK)
            return hb_fail(err, HEARTH_E_MEMORY, "session: its size overflows");
        if (status != HEARTH_E_MEMORY || size >= SESSION_MEASURE_MAX)
            return status;
    }
}

/* The arena_allocator switch: off, every block comes from the allocator when it is needed. */
static bool session_without_arena(const hearth_session_config *c)
{
    return !c->mem && (!HEARTH_WITH_ARENA || (c->flags & HEARTH_SESSION_NO_ARENA));
}

static void session_free(struct hb_alloc hooks, void *block, size_t bytes, bool from_os)
{
    if (block && from_os)
        hb_os_block_free(block, bytes);
    else if (block)
        hooks.free(hooks.user, block, bytes);
}

/* ---- graphs of tensors ---- */

static hearth_status session_config_copy(const hearth_session_config *in, hearth_session_config *c,
                                         hearth_error *err)
{
    memset(c, 0, sizeof *c);
    if (in && in->struct_size < 4)
        return hb_fail(err, HEARTH_E_ARGUMENT, "session: config.struct_size is %u",
                       in->struct_size);
    if (in)
        memcpy(c, in, in->struct_size < sizeof *c ? in->struct_size : sizeof *c);
    if (c->memory && !c->allocator.alloc && !c->allocator.free)
        c->allocator = hr_memory_blocks(c->memory);
    return HEARTH_OK;
}

static size_t session_budget(const hearth_session_config *c)
{
    uint64_t budget = c->max_bytes ? c->max_bytes : hr_infer_default_budget();
    uint64_t most = hr_memory_call_limit(c->memory);
    budget = budget < most ? budget : most;
    return budget > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)budget;
}

/* All of the budget is one block, whose pages are touched when a plan needs them. */
static hearth_status session_open_tensors(const hearth_model *model,
                                          const hearth_session_config *config,
                                          hearth_session **session, hearth_error *err)
{
    hearth_session_config c;
    hearth_session *s;
    struct hb_alloc hooks = {0};
    struct hb_arena arena;
    HB_TRY(session_config_copy(config, &c, err));
    c.n_ctx = c.n_batch = c.n_seqs = c.n_kv_tokens = c.n_logits = 0; /* nothing of it exists here */
    size_t bytes = c.mem ? c.mem_bytes : session_budget(&c);
    bool from_os = !c.mem && !c.allocator.alloc;
    void *block = c.mem;
    if (!c.mem) {
        HB_TRY(hr_memory_fits(c.memory, "session", bytes, err));
        HB_TRY(hr_hooks(&c.allocator, &hooks, err));
        block = from_os ? hb_os_block_alloc(bytes) : hooks.alloc(hooks.user, bytes);
        if (!block)
            return hb_fail(err, HEARTH_E_MEMORY, "session: the allocator refused %zu bytes", bytes);
    }
    hb_arena_init_fixed(&arena, block, bytes);
    hearth_status status = hb_arena_take(&arena, sizeof *s, 64, (void **)&s, err);
    if (status == HEARTH_OK) {
        s->model = model;
        s->config = c;
        s->pool = (struct ht_pool *)c.pool;
        s->planned_bytes = bytes;
        status = session_kernels(s, err);
    }
    if (status == HEARTH_OK)
        status = hr_infer_create(model, &s->kernels, s->pool, &s->cancel, c.flags, &arena, &s->infer, err);
    if (status != HEARTH_OK) {
        if (!c.mem)
            session_free(hooks, block, bytes, from_os);
        return status;
    }
    s->hooks = hooks;
    s->block = c.mem ? NULL : block;
    s->block_bytes = s->block ? bytes : 0;
    s->block_from_os = from_os;
    *session = s;
    return HEARTH_OK;
}

hearth_status hearth_session_infer(hearth_session *s, const hearth_tensor *inputs, size_t n_inputs,
                                   hearth_tensor *outputs, size_t n_outputs, hearth_error *err)
{
    if (!s->infer)
        return hb_fail(err, HEARTH_E_STATE, "infer: this session generates text");
    return hr_infer_run(s->infer, inputs, n_inputs, outputs, n_outputs, err);
}

hearth_status hearth_session_need(const hearth_model *model, const hearth_session_config *config,
                                  size_t *bytes, hearth_error *err)
{
    hearth_session_config c;
    if (model->info.kind == HEARTH_MODEL_TENSOR) {
        HB_TRY(session_config_copy(config, &c, err));
        *bytes = session_budget(&c);
        return HEARTH_OK;
    }
    HB_TRY(session_defaults(model, config, &c, err));
    return session_measure(model, &c, bytes, err);
}

/* Memory of our own: one block of exactly the planned size. */
static hearth_status session_allocate(const hearth_model *model, hearth_session_config *c,
                                      struct hb_alloc *hooks, void **block, size_t *bytes,
                                      bool *from_os, hearth_error *err)
{
    HB_TRY(session_measure(model, c, bytes, err));
    if (c->max_bytes && *bytes > c->max_bytes)
        return hb_fail(err, HEARTH_E_LIMIT, "session: it needs %zu bytes; the limit is %llu",
                       *bytes, (unsigned long long)c->max_bytes);
    HB_TRY(hr_memory_fits(c->memory, "session", *bytes, err));
    HB_TRY(hr_hooks(&c->allocator, hooks, err));
    if (session_without_arena(c)) {
        *block = NULL;
        return HEARTH_OK;
    }
    *from_os = !c->allocator.alloc;
    *block = *from_os ? hb_os_block_alloc(*bytes) : hooks->alloc(hooks->user, *bytes);
    if (!*block)
        return hb_fail(err, HEARTH_E_MEMORY, "session: the allocator refused %zu bytes", *bytes);
    return HEARTH_OK;
}

hearth_status hearth_session_open(const hearth_model *model, const hearth_session_config *config,
                                  hearth_session **session, hearth_error *err)
{
    hearth_session_config c;
    hearth_session *s = NULL;
    struct hb_alloc hooks = {0};
    struct hb_arena arena;
    void *block = NULL;
    size_t bytes;
    bool from_os = false;
    if (model->info.kind == HEARTH_MODEL_TENSOR)
        return session_open_tensors(model, config, session, err);
    HB_TRY(session_defaults(model, config, &c, err));
    if (c.mem) {
        hb_arena_init_fixed(&arena, c.mem, c.mem_bytes);
    } else {
        HB_TRY(session_allocate(model, &c, &hooks, &block, &bytes, &from_os, err));
        if (block)
            hb_arena_init_fixed(&arena, block, bytes);
        else
            hb_arena_init_growing(&arena, &hooks);
    }
    hearth_status status = session_build(model, &c, &arena, &s, err);
    if (status == HEARTH_OK)
        status = session_blocks(s, &arena, err);
    if (status != HEARTH_OK) {
        hb_arena_release(&arena);
        session_free(hooks, block, bytes, from_os);
        return status;
    }
    s->arena = arena;
    s->hooks = hooks;
    s->block = block;
    s->block_bytes = block ? bytes : 0;
    s->block_from_os = from_os;
    *session = s;
    return HEARTH_OK;
}

void hearth_session_close(hearth_session *s)
{
    if (!s)
        return;
    struct hb_alloc hooks = s->hooks; /* the session lives in what is released */
    struct hb_arena arena = s->arena;
    void *block = s->block;
    size_t bytes = s->block_bytes;
    bool from_os = s->block_from_os;
    hb_arena_release(&arena);
    session_free(hooks, block, bytes, from_os);
}

void hearth_session_get_info(const hearth_session *s, hearth_session_info *info)
{
    if (s->infer) {
        uint64_t made;
        int32_t n_plans = (int32_t)hr_infer_plans(s->infer, &made);
        hearth_session_info short_one = {.struct_size = info->struct_size,
                                         .planned_bytes = s->planned_bytes,
                                         .activation_bytes = hr_infer_high(s->infer),
                                         .level = s->kernels.level,
                                         .n_threads = ht_pool_workers(s->pool),
                                         .n_plans = n_plans,
                                         .plans_made = made};
        short_one.n_converted = hr_infer_converted(s->infer, &short_one.converted_error);
        memcpy(info, &short_one,
               info->struct_size < sizeof short_one ? info->struct_size : sizeof short_one);
        return;
    }
    hearth_session_info full = {
        .struct_size = info->struct_size,
        .n_ctx = s->config.n_ctx,
        .n_batch = s->config.n_batch,
        .n_seqs = s->config.n_seqs,
        .n_kv_tokens = (int32_t)(s->kv.n_pages * HK_KV_PAGE),
        .n_logits = s->config.n_logits,
        .planned_bytes = s->planned_bytes,
        .kv_bytes = s->kv.bytes,
        .activation_bytes = s->plan->activation_bytes,
        .scratch_bytes = s->plan->scratch_bytes * (size_t)s->plan->n_workers,
        .kv_token_bytes = s->kv.token_bytes,
        .level = s->kernels.level,
        .n_threads = s->plan->n_workers,
    };
    memcpy(info, &full, info->struct_size < sizeof full ? info->struct_size : sizeof full);
}

const hearth_model *hr_session_model(const hearth_session *session)
{
    return session->model;
}
