/* Sessions: plan, KV cache and step inputs in one block of memory.
 *
 *   | session, plan, tables (arena, zeroed) | activations | worker scratch | KV cache |
 *
 * session_build makes the first part and learns the sizes of the rest; hearth_session_need stops
 * there, with the arena on borrowed memory, so that the plan printed is the plan used. */
#include "runtime/hr_model.h"
#include "runtime/hr_infer.h"
#include "runtime/hr_kv.h"
#include "graph/ht_plan.h"
#include "graph/ht_pool.h"
#include "base/hb_check.h"
#include "base/os/hb_os.h"
#include <string.h>

#define SESSION_DEFAULT_BATCH 512
#define SESSION_MAX_SEQS      65535
#define SESSION_MEASURE_START ((size_t)256 << 10)
#define SESSION_MEASURE_MAX   ((size_t)1 << 30)

struct session_profile_map {
    hearth_profile_row *rows;
    uint32_t n_rows;
    uint32_t *row_of_step;
};

struct hearth_session {
    const hearth_model *model;
    hearth_session_config config; /* defaults filled in */
    struct hb_arena arena;
    struct hk_table kernels;
    struct ht_plan *plan;
    struct ht_pool *pool;
    struct hr_kv kv;
    struct ht_segment *segments; /* [n_batch] */
    int32_t *old_length;         /* [n_seqs] of sequences that a step touches */
    int32_t *grow;               /* [n_seqs] positions that a step adds */
    int32_t n_logits;            /* rows of the last step */
    size_t planned_bytes;
    _Atomic uint32_t cancel;
    struct session_profile_map profile;
    struct hr_infer *infer; /* graphs of tensors; then plan, kv and what belongs to them are empty */
    struct hb_alloc hooks; /* how `block` was made; none: the caller's memory */
    void *block;           /* as allocated */
    size_t block_bytes;
    bool block_from_os;
};

/* ---- configuration ---- */

static hearth_status session_kvtype(const char *what, const char *name, enum hk_kvtype *out,
                                    hearth_error *err)
{
    if (!name) {
        *out = HK_KV_F16;
        return HEARTH_OK;
    }
#define HK_KVTYPE(id, text)                                                                        \
    if (strcmp(name, #text) == 0) {                                                                \
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
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s: cache type %s; known:%s", what, name, known);
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

static hearth_status session_defaults(const hearth_model *m, const hearth_session_config *in,
                                      hearth_session_config *c, hearth_error *err)
{
    memset(c, 0, sizeof *c);
    if (in && in->struct_size < 4)
        return hb_fail(err, HEARTH_E_ARGUMENT, "session: config.struct_size is %u",
                       in->struct_size);
    if (in)
        memcpy(c, in, in->struct_size < sizeof *c ? in->struct_size : sizeof *c);
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
    return HEARTH_OK;
}

/* ---- building ---- */

/* Steps that count together in the profile: by op, and by weight type for matmuls. */
static hearth_status session_profile_rows(hearth_session *s, hearth_error *err)
{
    struct session_profile_map *p = &s->profile;
    HB_TRY(HB_ARENA_NEW(&s->arena, hearth_profile_row, s->plan->n_steps, &p->rows, err));
    HB_TRY(HB_ARENA_NEW(&s->arena, uint32_t, s->plan->n_steps, &p->row_of_step, err));
    for (uint32_t i = 0; i < s->plan->n_steps; i++) {
        const struct ht_step *step = &s->plan->steps[i];
        const char *type = step->weight_bytes ? hk_qtype_info[step->in[1]->type].name : "";
        char text[48];
        uint32_t row = 0;
        size_t n = hb_format(text, sizeof text, *type ? "%s %s" : "%s%s", step->op->name, type);
        while (row < p->n_rows && strcmp(p->rows[row].op, text) != 0)
            row++;
        if (row == p->n_rows) {
            HB_TRY(hb_arena_text(&s->arena, text, n, &p->rows[row].op, err));
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

static hearth_status session_build(const hearth_model *model, const hearth_session_config *config,
                                   struct hb_arena *arena, hearth_session **out, hearth_error *err)
{
    hearth_session *s;
    enum hk_kvtype type_k, type_v;
    const struct ht_lm *lm = &model->lm;
    HB_TRY(hb_arena_take(arena, sizeof *s, 64, (void **)&s, err));
    s->arena = *arena;
    s->model = model;
    s->config = *config;
    s->pool = (struct ht_pool *)config->pool;
    HB_TRY(session_kernels(s, err));
    HB_TRY(session_kvtype("K", config->kv_type_k, &type_k, err));
    HB_TRY(session_kvtype("V", config->kv_type_v, &type_v, err));
    const int64_t sym[HT_MAX_SYMBOLS] = {[HT_LM_SYM_TOKENS] = config->n_batch,
                                         [HT_LM_SYM_ROWS] = config->n_logits,
                                         [HT_LM_SYM_CONTEXT] = config->n_ctx};
    HB_TRY(ht_plan_create(&lm->graph, &s->kernels, sym, ht_pool_workers(s->pool), &s->arena,
                          &s->plan, err));
    s->plan->profile = config->flags & HEARTH_SESSION_PROFILE;
    HB_TRY(hr_kv_init(&s->kv, lm, type_k, type_v, config->n_ctx, config->n_seqs,
                      config->n_kv_tokens, &s->arena, err));
    HB_TRY(HB_ARENA_NEW(&s->arena, struct ht_segment, (size_t)config->n_batch, &s->segments, err));
    HB_TRY(HB_ARENA_NEW(&s->arena, int32_t, (size_t)config->n_seqs, &s->old_length, err));
    HB_TRY(HB_ARENA_NEW(&s->arena, int32_t, (size_t)config->n_seqs, &s->grow, err));
    HB_TRY(session_profile_rows(s, err));
    *out = s;
    return HEARTH_OK;
}

/* The three blocks behind the arena's part. */
static hearth_status session_blocks(hearth_session *s, hearth_error *err)
{
    void *activations, *scratch, *kv;
    size_t scratch_bytes;
    if (!hb_mul_size(s->plan->scratch_bytes, (size_t)s->plan->n_workers, &scratch_bytes))
        return hb_fail(err, HEARTH_E_MEMORY, "session: worker scratch overflows");
    HB_TRY(hb_arena_take_raw(&s->arena, s->plan->activation_bytes, 64, &activations, err));
    HB_TRY(hb_arena_take_raw(&s->arena, scratch_bytes, 64, &scratch, err));
    HB_TRY(hb_arena_take_raw(&s->arena, s->kv.bytes, 64, &kv, err));
    ht_plan_place(s->plan, activations, scratch);
    hr_kv_place(&s->kv, kv);
    s->planned_bytes = hb_arena_used(&s->arena);
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
        if (!mem)
            return hb_fail(err, HEARTH_E_MEMORY, "session: the allocator refused %zu bytes", size);
        hb_arena_init_fixed(&arena, mem, size);
        hearth_status status = session_build(model, config, &arena, &s, err);
        bool fits = true;
        if (status == HEARTH_OK) /* each part may need up to a line of padding */
            fits = hb_mul_size(s->plan->scratch_bytes, (size_t)s->plan->n_workers, &scratch) &&
                   hb_add_size(hb_arena_used(&s->arena) + 5 * HB_ARENA_ALIGN, scratch, &total) &&
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
    return HEARTH_OK;
}

static size_t session_budget(const hearth_session_config *c)
{
    uint64_t budget = c->max_bytes ? c->max_bytes : hr_infer_default_budget();
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
    size_t bytes = c.mem ? c.mem_bytes : session_budget(&c);
    bool from_os = !c.mem && !c.allocator.alloc;
    void *block = c.mem;
    if (!c.mem) {
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
    HB_TRY(hr_hooks(&c->allocator, hooks, err));
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
        hb_arena_init_fixed(&arena, block, bytes);
    }
    hearth_status status = session_build(model, &c, &arena, &s, err);
    if (status == HEARTH_OK)
        status = session_blocks(s, err);
    if (status != HEARTH_OK) {
        session_free(hooks, block, bytes, from_os);
        return status;
    }
    s->hooks = hooks;
    s->block = block;
    s->block_bytes = block ? bytes : 0;
    s->block_from_os = from_os;
    *session = s;
    return HEARTH_OK;
}

void hearth_session_close(hearth_session *s)
{
    if (s)
        session_free(s->hooks, s->block, s->block_bytes, s->block_from_os);
}

void hearth_session_get_info(const hearth_session *s, hearth_session_info *info)
{
    if (s->infer) {
        hearth_session_info short_one = {.struct_size = info->struct_size,
                                         .planned_bytes = s->planned_bytes,
                                         .activation_bytes = hr_infer_high(s->infer),
                                         .level = s->kernels.level,
                                         .n_threads = ht_pool_workers(s->pool)};
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

/* ---- steps ---- */

static hearth_status session_check_items(hearth_session *s, const hearth_item *items, size_t n,
                                         hearth_error *err)
{
    int32_t n_logits = 0;
    if (s->infer)
        return hb_fail(err, HEARTH_E_STATE, "step: this session runs a graph of tensors");
    if (n == 0)
        return hb_fail(err, HEARTH_E_ARGUMENT, "step: no items");
    if (n > (size_t)s->config.n_batch)
        return hb_fail(err, HEARTH_E_LIMIT, "step: %zu items; the session takes %d", n,
                       s->config.n_batch);
    for (size_t i = 0; i < n; i++) {
        if (items[i].token < 0 || items[i].token >= s->model->lm.n_vocab)
            return hb_fail(err, HEARTH_E_RANGE, "step: item %zu: token %d; the vocabulary has %d",
                           i, items[i].token, s->model->lm.n_vocab);
        if (items[i].seq < 0 || items[i].seq >= s->config.n_seqs)
            return hb_fail(err, HEARTH_E_RANGE, "step: item %zu: sequence %d; the session has %d",
                           i, items[i].seq, s->config.n_seqs);
        n_logits += items[i].want_logits != 0;
    }
    if (n_logits > s->config.n_logits)
        return hb_fail(err, HEARTH_E_LIMIT, "step: %d rows of logits; the session keeps %d",
                       n_logits, s->config.n_logits);
    return HEARTH_OK;
}

/* Grow the sequences, or refuse before anything has changed. `grow` is all zero between steps. */
static hearth_status session_extend(hearth_session *s, const hearth_item *items, size_t n,
                                    hearth_error *err)
{
    hearth_status status = HEARTH_OK;
    uint32_t pages = 0;
    for (size_t i = 0; i < n; i++)
        s->grow[items[i].seq]++;
    for (size_t i = 0; i < n && status == HEARTH_OK; i++) {
        int32_t seq = items[i].seq, length = s->kv.seqs[seq].length;
        if (s->grow[seq] <= 0)
            continue; /* counted already */
        s->old_length[seq] = length;
        if (s->grow[seq] > s->config.n_ctx - length)
            status = hb_fail(err, HEARTH_E_FULL,
                             "sequence %d: %d positions and %d more; the context has %d", seq,
                             length, s->grow[seq], s->config.n_ctx);
        pages += hr_kv_count(&s->kv, seq, s->grow[seq]);
        s->grow[seq] = -s->grow[seq];
    }
    if (status == HEARTH_OK && pages > s->kv.n_free)
        status = hb_fail(err, HEARTH_E_FULL, "KV cache: %u pages wanted, %u of %u are free", pages,
                         s->kv.n_free, s->kv.n_pages);
    for (size_t i = 0; i < n; i++) {
        int32_t seq = items[i].seq;
        if (status == HEARTH_OK && s->grow[seq] < 0)
            hr_kv_extend(&s->kv, seq, -s->grow[seq]);
        s->grow[seq] = 0;
    }
    return status;
}

static void session_take_back(hearth_session *s, const hearth_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hr_kv_trim(&s->kv, items[i].seq, s->old_length[items[i].seq]);
}

/* Inputs of the graph, and the runs of neighbouring items that belong to one sequence. */
static void session_fill(hearth_session *s, const hearth_item *items, size_t n,
                         struct ht_batch *batch)
{
    const struct ht_lm *lm = &s->model->lm;
    int32_t *tokens = (int32_t *)(void *)ht_plan_tensor(s->plan, lm->tokens)->data;
    int32_t *positions = (int32_t *)(void *)ht_plan_tensor(s->plan, lm->positions)->data;
    int32_t *rows = (int32_t *)(void *)ht_plan_tensor(s->plan, lm->out_rows)->data;
    struct ht_segment *seg = s->segments - 1;
    s->n_logits = 0;
    *batch = (struct ht_batch){.segments = s->segments, .n_items = (int32_t)n, .kv = &s->kv.view};
    for (size_t i = 0; i < n; i++) {
        int32_t seq = items[i].seq, pos = s->old_length[seq] + s->grow[seq]++;
        if (i == 0 || items[i - 1].seq != seq) {
            *++seg = (struct ht_segment){(int32_t)i, 0, pos, s->kv.seqs[seq].pages};
            batch->n_segments++;
        }
        seg->n++;
        tokens[i] = items[i].token;
        positions[i] = pos;
        if (items[i].want_logits)
            rows[s->n_logits++] = (int32_t)i;
        if (pos > batch->max_pos)
            batch->max_pos = pos;
    }
    for (size_t i = 0; i < n; i++)
        s->grow[items[i].seq] = 0;
}

static hearth_status session_check_logits(const hearth_session *s, hearth_error *err)
{
    for (int32_t i = 0; i < s->n_logits; i++) {
        const float *row = hearth_session_logits(s, (size_t)i);
        if (s->kernels.max_abs_bits(row, (size_t)s->model->lm.n_vocab) >= 0x7F800000u)
            return hb_fail(err, HEARTH_E_NUMERIC, "logits: row %d holds NaN or infinity", i);
    }
    return HEARTH_OK;
}

hearth_status hearth_session_step(hearth_session *s, const hearth_item *items, size_t n,
                                  hearth_error *err)
{
    struct ht_batch batch;
    HB_TRY(session_check_items(s, items, n, err));
    HB_TRY(session_extend(s, items, n, err));
    session_fill(s, items, n, &batch);
    struct ht_run run = {.batch = &batch};
    run.count[HT_LM_SYM_TOKENS] = (int64_t)n;
    run.count[HT_LM_SYM_ROWS] = s->n_logits;
    hearth_status status = ht_plan_run(s->plan, &run, s->pool, &s->cancel, err);
    if (status != HEARTH_OK) {
        session_take_back(s, items, n);
        s->n_logits = 0;
        if (status == HEARTH_E_CANCELLED)
            atomic_store(&s->cancel, 0);
        return status;
    }
    return session_check_logits(s, err);
}

const float *hearth_session_logits(const hearth_session *s, size_t row)
{
    const struct ht_graph *g = &s->model->lm.graph;
    if (row >= (size_t)s->n_logits)
        return NULL;
    return ht_row_f32(ht_plan_tensor(s->plan, g->outputs[0]), (int64_t)row);
}

#define SESSION_EVAL_ITEMS 256

hearth_status hearth_session_eval(hearth_session *s, const int32_t *tokens, size_t n,
                                  float *logits, hearth_error *err)
{
    hearth_item items[SESSION_EVAL_ITEMS];
    size_t chunk = (size_t)s->config.n_batch;
    int32_t start = s->kv.seqs[0].length;
    hearth_status status = HEARTH_OK;
    if (n == 0)
        return hb_fail(err, HEARTH_E_ARGUMENT, "eval: no tokens");
    if (n > (size_t)(s->config.n_ctx - start))
        return hb_fail(err, HEARTH_E_FULL, "eval: position %d and %zu more; the context has %d",
                       start, n, s->config.n_ctx);
    chunk = chunk < SESSION_EVAL_ITEMS ? chunk : SESSION_EVAL_ITEMS;
    for (size_t done = 0; done < n && status == HEARTH_OK;) {
        size_t now = n - done < chunk ? n - done : chunk;
        for (size_t i = 0; i < now; i++)
            items[i] = (hearth_item){.token = tokens[done + i], .want_logits = done + i + 1 == n};
        status = hearth_session_step(s, items, now, err);
        done += now;
    }
    if (status != HEARTH_OK) {
        hr_kv_trim(&s->kv, 0, start);
        return status;
    }
    if (logits)
        memcpy(logits, hearth_session_logits(s, 0), (size_t)s->model->lm.n_vocab * sizeof *logits);
    return HEARTH_OK;
}

/* ---- sequences ---- */

static hearth_status session_seq(const hearth_session *s, int32_t seq, hearth_error *err)
{
    if (seq < 0 || seq >= s->config.n_seqs)
        return hb_fail(err, HEARTH_E_RANGE, "sequence %d; the session has %d", seq,
                       s->config.n_seqs);
    return HEARTH_OK;
}

int32_t hearth_seq_length(const hearth_session *s, int32_t seq)
{
    return session_seq(s, seq, NULL) == HEARTH_OK ? s->kv.seqs[seq].length : -1;
}

static hearth_status session_seq_keep(const hearth_session *s, int32_t seq, int32_t n,
                                      hearth_error *err)
{
    HB_TRY(session_seq(s, seq, err));
    if (n < 0 || n > s->kv.seqs[seq].length)
        return hb_fail(err, HEARTH_E_RANGE, "sequence %d: %d positions; it has %d", seq, n,
                       s->kv.seqs[seq].length);
    return HEARTH_OK;
}

hearth_status hearth_seq_trim(hearth_session *s, int32_t seq, int32_t n, hearth_error *err)
{
    HB_TRY(session_seq_keep(s, seq, n, err));
    hr_kv_trim(&s->kv, seq, n);
    return HEARTH_OK;
}

hearth_status hearth_seq_fork(hearth_session *s, int32_t src, int32_t dst, int32_t n,
                              hearth_error *err)
{
    HB_TRY(session_seq_keep(s, src, n, err));
    HB_TRY(session_seq(s, dst, err));
    hr_kv_fork(&s->kv, src, dst, n);
    return HEARTH_OK;
}

void hearth_session_reset(hearth_session *s)
{
    for (int32_t i = 0; i < s->config.n_seqs; i++)
        hr_kv_trim(&s->kv, i, 0);
    s->n_logits = 0;
}

void hearth_session_cancel(hearth_session *s)
{
    atomic_store(&s->cancel, 1);
}

/* ---- profile ---- */

hearth_status hearth_session_profile(hearth_session *s, size_t index, int reset,
                                     hearth_profile_row *row, hearth_error *err)
{
    const struct session_profile_map *p = &s->profile;
    if (index >= p->n_rows)
        return hb_fail(err, HEARTH_E_RANGE, "profile: row %zu of %u", index, p->n_rows);
    hearth_profile_row full = {.struct_size = row->struct_size, .op = p->rows[index].op};
    for (uint32_t i = 0; i < s->plan->n_steps; i++) {
        struct ht_step *step = &s->plan->steps[i];
        if (p->row_of_step[i] != index)
            continue;
        full.calls += step->calls;
        full.ns += step->ns;
        full.bytes += step->calls * step->weight_bytes;
        full.macs += step->calls * step->macs_per_row;
        if (reset)
            step->calls = step->ns = 0;
    }
    memcpy(row, &full, row->struct_size < sizeof full ? row->struct_size : sizeof full);
    return HEARTH_OK;
}

/* ---- pools ---- */

hearth_status hearth_pool_open(const hearth_pool_config *config, hearth_pool **pool,
                               hearth_error *err)
{
    hearth_pool_config c = {.struct_size = sizeof c};
    struct hb_alloc hooks;
    struct ht_pool *p;
    if (config)
        memcpy(&c, config, config->struct_size < sizeof c ? config->struct_size : sizeof c);
    HB_TRY(hr_hooks(&c.allocator, &hooks, err));
    c.allocator = (hearth_allocator){hooks.alloc, hooks.free, hooks.user};
    HB_TRY(ht_pool_create(&c, &p, err));
    *pool = (hearth_pool *)p;
    return HEARTH_OK;
}

int32_t hearth_pool_threads(const hearth_pool *pool)
{
    return ht_pool_workers((const struct ht_pool *)pool);
}

void hearth_pool_close(hearth_pool *pool)
{
    ht_pool_destroy((struct ht_pool *)pool);
}

const hearth_model *hr_session_model(const hearth_session *session)
{
    return session->model;
}
