/* Running graphs of tensors in a session. The session's block:
 *
 *   | session, tables | packed weights, folded constants | plans ... | activations (three quarters) |
 *
 * Plans are found by the shapes of the inputs; the one not used for longest makes room for a new one
 * (hr_plans.h). A graph whose shapes depend on data is bound anew in each call, in the room plans leave. */
#include "runtime/hr_infer.h"
#include "runtime/hr_plans.h"
#include "base/os/hb_os.h"
#include "graph/ht_ops.h"
#include "graph/ht_pool.h"
#include "graph/ht_strip.h"
#include <string.h>

struct hr_infer {
    const struct hearth_model *model;
    const struct ht_graph *graph;
    struct ht_exec exec;
    struct hr_plans plans;
    struct hb_arena room; /* where a plan is being made */
    bool any_shape;
    struct ht_tensor *inputs;     /* of the call */
    const void **external;
};

/* ---- sessions ---- */

uint64_t hr_infer_default_budget(void)
{
    uint64_t quarter = hb_os_memory_limit() / 4, most = (uint64_t)2 << 30;
    return quarter && quarter < most ? quarter : most;
}

/* Constants are computed once, in front of all plans; they may take three quarters of the plans' part. The
 * activations' part is not in use yet and holds what this takes on the way. */
static void infer_ahead(struct hr_infer *f, void *base, size_t size)
{
    struct hb_arena kept;
    hb_arena_init_fixed(&kept, base, size);
    hb_arena_init_fixed(&f->room, f->exec.block, f->exec.block_bytes);
    f->exec.arena = &f->room;
    f->exec.kept_arena = &kept;
    ht_exec_ahead(&f->exec, f->graph, size / 4 * 3);
    f->exec.kept_arena = NULL;
    size_t used = (hb_arena_used(&kept) + 63) / 64 * 64;
    used = used < size ? used : size;
    hr_plans_init(&f->plans, (uint8_t *)base + used, size - used);
}

hearth_status hr_infer_create(const struct hearth_model *model, const struct hk_table *kernels,
                              struct ht_pool *pool, _Atomic uint32_t *cancel, uint32_t flags,
                              struct hb_arena *arena, struct hr_infer **out, hearth_error *err)
{
    struct hr_infer *f;
    const struct ht_graph *g = model->graph;
    void *plans, *block;
    HB_TRY(HB_ARENA_NEW(arena, struct hr_infer, 1, &f, err));
    HB_TRY(HB_ARENA_NEW(arena, struct ht_tensor, g->n_inputs, &f->inputs, err));
    HB_TRY(HB_ARENA_NEW(arena, const void *, g->n_inputs, &f->external, err));
    HB_TRY(HB_ARENA_NEW(arena, struct ht_tensor *, g->n_nodes, &f->exec.kept, err));
    size_t left = arena->size - hb_arena_used(arena);
    if (left < 4096)
        return hb_fail(err, HEARTH_E_MEMORY, "session: %zu bytes are left for plans and activations",
                       left);
    size_t plan_bytes = left / 4 / 64 * 64;
    HB_TRY(hb_arena_take_raw(arena, plan_bytes, 64, &plans, err));
    size_t block_bytes = (arena->size - hb_arena_used(arena) - 64) / 64 * 64;
    HB_TRY(hb_arena_take_raw(arena, block_bytes, 64, &block, err));
    f->model = model;
    f->any_shape = flags & HEARTH_SESSION_ANY_SHAPE;
    f->exec.profile = flags & HEARTH_SESSION_PROFILE;
    f->graph = g;
    f->exec.kernels = kernels;
    f->exec.pool = pool;
    f->exec.cancel = cancel;
    f->exec.n_workers = ht_pool_workers(pool);
    f->exec.block = block;
    f->exec.block_bytes = block_bytes;
    infer_ahead(f, plans, plan_bytes);
    *out = f;
    return HEARTH_OK;
}

int32_t hr_infer_converted(const struct hr_infer *f, float *error)
{
    int32_t count = 0;
    *error = 0;
    for (uint32_t i = 0; i < f->graph->n_nodes; i++) {
        const struct ht_node *node = &f->graph->nodes[i];
        if (node->op != &ht_op_pack || !f->exec.kept[i] || ((const struct ht_pack *)node->params)->form == HT_PACK_F32)
            continue;
        float d = *(const float *)(const void *)f->exec.kept[i][1].data;
        *error = d > *error ? d : *error;
        count++;
    }
    return count;
}

size_t hr_infer_high(const struct hr_infer *f)
{
    return f->exec.block_high;
}

uint32_t hr_infer_plans(const struct hr_infer *f, uint64_t *made)
{
    *made = f->plans.made;
    return f->plans.n;
}

static hearth_status infer_check_shape(const struct hr_infer *f, uint32_t i, const hearth_tensor *t,
                                       hearth_error *err)
{
    const hearth_io_info *want = &f->model->inputs[i];
    size_t bytes;
    if (t->rank < 0 || t->rank > HT_MAX_RANK || 
        (want->rank >= 0 && t->rank != want->rank && !f->any_shape))
        return hb_fail(err, HEARTH_E_MISMATCH, "input %s: rank %d; the model wants %d", want->name,
                       t->rank, want->rank);
    for (int d = 0; d < t->rank; d++)
        if (t->dim[d] < 0 || 
            (want->rank >= 0 && want->dim[d] >= 0 && t->dim[d] != want->dim[d] && !f->any_shape))
            return hb_fail(err, HEARTH_E_MISMATCH, "input %s: dimension %d is %lld; the model wants "
                           "%lld", want->name, d, (long long)t->dim[d], (long long)want->dim[d]);
    if (!ht_dense_bytes((enum hk_qtype)f->inputs[i].type, t->rank, t->dim, &bytes) ||
        bytes != t->bytes)
        return hb_fail(err, HEARTH_E_MISMATCH, "input %s: %zu bytes do not fill its shape",
                       want->name, t->bytes);
    if (bytes && (!t->data || (uintptr_t)t->data % hearth_dtype_size(t->type) != 0))
        return hb_fail(err, HEARTH_E_ARGUMENT, "input %s: data are not aligned to the element",
                       want->name);
    return HEARTH_OK;
}

static hearth_status infer_take_input(struct hr_infer *f, uint32_t i, const hearth_tensor *t,
                                      hearth_error *err)
{
    const hearth_io_info *want = &f->model->inputs[i];
    struct ht_tensor *in = &f->inputs[i];
    if (!hr_dtype_known(t->type) || (want->type != HEARTH_DTYPE_NONE && t->type != want->type))
        return hb_fail(err, HEARTH_E_MISMATCH, "input %s: type %s; the model wants %s", want->name,
                       hearth_dtype_name(t->type), hearth_dtype_name(want->type));
    memset(in, 0, sizeof *in);
    in->type = (uint8_t)(hr_dtype_qtype(t->type));
    HB_TRY(infer_check_shape(f, i, t, err));
    in->rank = (uint8_t)t->rank;
    in->rows_sym = -1;
    memcpy(in->dim, t->dim, sizeof in->dim[0] * (size_t)t->rank);
    f->external[i] = t->bytes ? t->data : (const void *)"";
    return HEARTH_OK;
}

/* The same symbol is the same number everywhere. */
static hearth_status infer_symbols(const struct hr_infer *f, hearth_error *err)
{
    const hearth_io_info *io = f->model->inputs;
    for (uint32_t i = 0; i < f->graph->n_inputs && !f->any_shape; i++)
        for (int d = 0; d < io[i].rank; d++)
            for (uint32_t j = 0; j < i && io[i].symbol[d][0]; j++)
                for (int e = 0; e < io[j].rank; e++)
                    if (strcmp(io[i].symbol[d], io[j].symbol[e]) == 0 &&
                        f->inputs[i].dim[d] != f->inputs[j].dim[e])
                        return hb_fail(err, HEARTH_E_MISMATCH,
                                       "inputs %s and %s: %s is %lld in one and %lld in the other",
                                       io[j].name, io[i].name, io[i].symbol[d],
                                       (long long)f->inputs[j].dim[e],
                                       (long long)f->inputs[i].dim[d]);
    return HEARTH_OK;
}

static hearth_status infer_inputs(struct hr_infer *f, const hearth_tensor *inputs, size_t n,
                                  hearth_error *err)
{
    const hearth_io_info *io = f->model->inputs;
    for (uint32_t i = 0; i < f->graph->n_inputs; i++)
        f->external[i] = NULL;
    for (size_t k = 0; k < n; k++) {
        uint32_t i = 0;
        const char *name = inputs[k].name ? inputs[k].name : "";
        while (i < f->graph->n_inputs && strcmp(io[i].name, name) != 0)
            i++;
        if (i == f->graph->n_inputs)
            return hb_fail(err, HEARTH_E_NOT_FOUND, "input %s: the model has no such input", name);
        if (f->external[i])
            return hb_fail(err, HEARTH_E_ARGUMENT, "input %s: given twice", name);
        HB_TRY(infer_take_input(f, i, &inputs[k], err));
    }
    for (uint32_t i = 0; i < f->graph->n_inputs; i++)
        if (!f->external[i])
            return hb_fail(err, HEARTH_E_NOT_FOUND, "input %s: not given", io[i].name);
    return infer_symbols(f, err);
}

/* ---- plans ---- */

static hearth_status infer_bind(struct hr_infer *f, struct ht_frame **frame, hearth_error *err)
{
    bool done;
    struct ht_tensor *key;
    HB_TRY(HB_ARENA_NEW(&f->room, struct ht_tensor, f->graph->n_inputs, &key, err));
    if (f->graph->n_inputs)
        memcpy(key, f->inputs, sizeof *key * f->graph->n_inputs);
    HB_TRY(ht_frame_open(&f->exec, NULL, f->graph, key, frame, err));
    HB_TRY(ht_frame_bind(*frame, &done, err));
    if (done)
        hr_plans_keep(&f->plans, &f->room, key, *frame);
    return HEARTH_OK;
}

/* One try with the room there is. */
static hearth_status infer_plan_and_run(struct hr_infer *f, struct ht_frame **frame,
                                        hearth_error *err)
{
    *frame = hr_plans_find(&f->plans, f->inputs, f->graph->n_inputs);
    f->exec.block_used = 0;
    f->exec.depth = f->exec.bodies = 0;
    if (!*frame) {
        hr_plans_gap(&f->plans, &f->room);
        HB_TRY(infer_bind(f, frame, err));
    }
    return ht_frame_run(*frame, f->external, err);
}

hearth_status hr_infer_run(struct hr_infer *f, const hearth_tensor *inputs, size_t n_inputs,
                           hearth_tensor *outputs, size_t n_outputs, hearth_error *err)
{
    struct ht_frame *frame;
    if (n_outputs > f->graph->n_outputs)
        return hb_fail(err, HEARTH_E_ARGUMENT, "infer: %zu outputs; the model has %u", n_outputs,
                       f->graph->n_outputs);
    HB_TRY(infer_inputs(f, inputs, n_inputs, err));
    hearth_status status = infer_plan_and_run(f, &frame, err);
    while (status == HEARTH_E_MEMORY && hr_plans_evict(&f->plans))
        status = infer_plan_and_run(f, &frame, err);
    if (status == HEARTH_E_MEMORY) {
        status = HEARTH_E_LIMIT; /* the sentence stands */
        if (err)
            err->status = status;
    }
    if (status != HEARTH_OK) {
        if (f->exec.cancel)
            atomic_store(f->exec.cancel, 0);
        return status;
    }
    for (size_t i = 0; i < n_outputs; i++) {
        const struct ht_tensor *t = &frame->outputs[i];
        outputs[i] = (hearth_tensor){.name = f->model->outputs[i].name,
                                     .type = hr_dtype_of(t->type), .rank = t->rank,
                                     .data = t->data};
        memcpy(outputs[i].dim, t->dim, sizeof t->dim[0] * t->rank);
        (void)ht_dense_bytes((enum hk_qtype)t->type, t->rank, t->dim, &outputs[i].bytes);
    }
    return HEARTH_OK;
}
