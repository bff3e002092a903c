/* Binding and running graphs of tensors; the picture is in ht_exec.h. */
#include "graph/ht_exec.h"
#include "graph/ht_pool.h"
#include "graph/ht_ops.h"
#include "base/hb_check.h"
#include <string.h>

/* What is known for one run only is computed ahead when it is about this small: counters, shapes, conditions. */
#define BIND_SMALL_OUT 2048
#define BIND_SMALL_IN  16384
/* Folded constants below this are computed again for each plan rather than shared. */
#define BIND_KEPT_MIN  16384

hearth_status ht_bind_grow(struct hb_arena *arena, void **array, uint32_t n, uint32_t *cap,
                           size_t elem_size, hearth_error *err)
{
    if (n < *cap)
        return HEARTH_OK;
    uint32_t want = *cap ? *cap * 2 : 32;
    void *bigger;
    HB_TRY(hb_arena_take_array(arena, want, elem_size, 16, &bigger, err));
    if (n)
        memcpy(bigger, *array, n * elem_size);
    *array = bigger;
    *cap = want;
    return HEARTH_OK;
}

hearth_status ht_bind_placed(struct ht_bind *b, struct ht_tensor *t, hearth_error *err)
{
    struct ht_frame *f = b->frame;
    HB_TRY(ht_bind_grow(b->arena, (void **)&f->placed, f->n_placed, &f->cap_placed,
                        sizeof *f->placed, err));
    f->placed[f->n_placed++] = t;
    return HEARTH_OK;
}

int64_t ht_elements(const struct ht_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= t->dim[i];
    return n;
}

bool ht_is_dense(const struct ht_tensor *t)
{
    int64_t stride = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->dim[i] == 0)
            return true;
        if (t->dim[i] != 1 && t->stride[i] != stride)
            return false;
        stride *= t->dim[i];
    }
    return true;
}

struct ht_tensor ht_known_tensor(enum hk_qtype type, int rank, const int64_t *dim, void *data)
{
    struct ht_tensor t = {.data = data, .type = (uint8_t)type, .rank = (uint8_t)rank,
                          .rows_sym = -1, .ready = true, .known = HT_KNOWN_RUN,
                          .storage = HT_NO_STORAGE};
    for (int i = 0; i < rank; i++)
        t.dim[i] = dim[i];
    ht_dense_strides(&t);
    return t;
}

static size_t bind_bytes(const struct ht_tensor *t)
{
    size_t bytes = 0;
    (void)ht_dense_bytes((enum hk_qtype)t->type, t->rank, t->dim, &bytes);
    return bytes;
}

/* ---- steps ---- */

static enum ht_known bind_level(const struct ht_step *s)
{
    unsigned level = HT_KNOWN_MODEL;
    if (s->op->flags & HT_OP_RANDOM)
        return HT_UNKNOWN;
    if (s->op->flags & HT_OP_SHAPE_ONLY)
        level = HT_KNOWN_PLAN;
    for (uint32_t i = 0; i < s->n_in; i++) {
        if (!s->in[i])
            continue;
        unsigned known = s->in[i]->known;
        if ((s->op->flags & HT_OP_SHAPE_ONLY) && known < HT_KNOWN_PLAN)
            known = HT_KNOWN_PLAN;
        if (known < level)
            level = known;
    }
    return (enum ht_known)level;
}

static bool bind_small(const struct ht_step *s)
{
    size_t in = 0, out = 0;
    for (uint32_t i = 0; i < s->n_in; i++)
        in += s->in[i] ? bind_bytes(s->in[i]) : 0;
    for (uint32_t i = 0; i < s->n_out; i++)
        out += s->out[i] ? bind_bytes(s->out[i]) : 0;
    return in <= BIND_SMALL_IN && out <= BIND_SMALL_OUT;
}

/* Compute a step now, its results in an arena. */
static hearth_status bind_fold(struct ht_frame *f, struct ht_step *s, enum ht_known level,
                               struct hb_arena *arena, hearth_error *err)
{
    for (uint32_t i = 0; i < s->n_out; i++) {
        struct ht_tensor *t = s->out[i];
        if (!t || t->storage == HT_NO_STORAGE || t->known)
            continue;
        void *data;
        HB_TRY(hb_arena_take(arena, bind_bytes(t), HB_ARENA_ALIGN, &data, err));
        f->plan.storages[t->storage].bytes = 0;
        t->storage = HT_NO_STORAGE;
        t->offset = 0;
        t->data = data;
        t->known = (uint8_t)level;
    }
    struct hb_arena_mark mark = hb_arena_mark(f->bind.arena);
    void *scratch;
    HB_TRY(hb_arena_take(f->bind.arena, f->bind.scratch, HB_ARENA_ALIGN, &scratch, err));
    struct ht_run run = {.kernels = f->x->kernels, .n_workers = 1};
    int64_t units = s->op->units(s, &run);
    hearth_status status = HEARTH_OK;
    if (units > 0)
        status = s->op->run(s, &run, scratch, 0, units, err);
    hb_arena_reset(f->bind.arena, mark);
    return status;
}

static bool bind_worth_keeping(const struct ht_frame *f, const struct ht_step *s)
{
    size_t out = 0;
    for (uint32_t i = 0; i < s->n_out; i++)
        out += s->out[i] ? bind_bytes(s->out[i]) : 0;
    return f->x->ahead && !f->parent && out >= BIND_KEPT_MIN;
}

/* A planned step becomes known values, or a line of the plan. */
static hearth_status bind_commit(struct ht_frame *f, struct ht_step *s, bool keep,
                                 hearth_error *err)
{
    enum ht_known level = bind_level(s);
    struct ht_bind *b = &f->bind;
    if (!s->op->run) { /* views; their shape is known as long as what it was computed from */
        for (uint32_t i = 0; i < s->n_out; i++)
            if (s->out[i] && s->out[i]->known > level)
                s->out[i]->known = (uint8_t)level;
        return HEARTH_OK;
    }
    if (level >= HT_KNOWN_PLAN || (level == HT_KNOWN_RUN && bind_small(s))) {
        if (level < HT_KNOWN_MODEL || !keep || !bind_worth_keeping(f, s))
            return bind_fold(f, s, level, b->arena, err);
        HB_TRY(bind_fold(f, s, level, f->x->kept_arena, err));
        struct ht_tensor *list;
        HB_TRY(HB_ARENA_NEW(f->x->kept_arena, struct ht_tensor, s->n_out, &list, err));
        for (uint32_t i = 0; i < s->n_out; i++)
            if (s->out[i])
                list[i] = *s->out[i];
        f->x->kept[f->node] = list;
        return HEARTH_OK;
    }
    for (uint32_t i = 0; i < s->n_in; i++)
        if (s->in[i] && s->in[i]->storage != HT_NO_STORAGE &&
            f->plan.storages[s->in[i]->storage].last < b->step)
            f->plan.storages[s->in[i]->storage].last = b->step;
    HB_TRY(ht_bind_grow(b->arena, (void **)&f->plan.steps, f->plan.n_steps, &f->cap_steps,
                        sizeof *f->plan.steps, err));
    f->plan.steps[f->plan.n_steps++] = *s;
    b->step = f->plan.n_steps;
    return HEARTH_OK;
}

static hearth_status bind_pointers(struct ht_frame *f, struct ht_step *s, uint32_t n_in,
                                   uint32_t n_out, hearth_error *err)
{
    s->n_in = n_in;
    s->n_out = n_out;
    HB_TRY(HB_ARENA_NEW(f->bind.arena, struct ht_tensor *, (size_t)n_in + n_out, &s->in, err));
    s->out = s->in + n_in;
    return HEARTH_OK;
}

/* A step of our own between two of the graph. */
static hearth_status bind_copy(struct ht_frame *f, const char *name, struct ht_tensor *from,
                               struct ht_tensor **to, hearth_error *err)
{
    struct ht_step s = {.op = &ht_op_copy, .name = name};
    HB_TRY(HB_ARENA_NEW(f->bind.arena, struct ht_tensor, 1, to, err));
    (*to)->storage = HT_NO_STORAGE;
    (*to)->rows_sym = -1;
    HB_TRY(bind_pointers(f, &s, 1, 1, err));
    s.in[0] = from;
    s.out[0] = *to;
    HB_TRY(s.op->plan(&f->bind, &s, err));
    return bind_commit(f, &s, false, err);
}

hearth_status ht_dense(struct ht_bind *b, struct ht_step *s, uint32_t i, hearth_error *err)
{
    if (!s->in[i] || ht_is_dense(s->in[i]))
        return HEARTH_OK;
    if (!b->frame)
        return ht_bad_shape(s, "wants dense inputs", err);
    struct ht_tensor *copy;
    HB_TRY(bind_copy(b->frame, s->name, s->in[i], &copy, err));
    s->in[i] = copy;
    return HEARTH_OK;
}

hearth_status ht_replace(struct ht_bind *b, struct ht_step *s, uint32_t i,
                         const struct ht_tensor *view, hearth_error *err)
{
    struct ht_tensor *t;
    HB_TRY(HB_ARENA_NEW(b->arena, struct ht_tensor, 1, &t, err));
    *t = *view;
    s->in[i] = t;
    return t->storage != HT_NO_STORAGE ? ht_bind_placed(b, t, err) : HEARTH_OK;
}

hearth_status ht_need(struct ht_bind *b, struct ht_step *s, uint32_t i, bool *ok,
                      hearth_error *err)
{
    (void)err;
    *ok = true;
    if (i < s->n_in && s->in[i] && !s->in[i]->known && ht_elements(s->in[i]) > 0)
        *ok = !(b->cut = true);
    return HEARTH_OK;
}

/* ---- frames ---- */

/* The node that uses each value last. Bodies use what they capture. */
static void bind_last_uses(const struct ht_graph *g, uint32_t *last)
{
    for (uint32_t n = 0; n < g->n_nodes; n++) {
        const struct ht_node *node = &g->nodes[n];
        for (uint32_t i = 0; i < node->n_in; i++)
            if (node->in[i] != HT_NONE)
                last[node->in[i]] = n;
        for (uint32_t i = 0; i < node->n_sub; i++)
            for (uint32_t c = 0; c < node->sub[i]->n_captures; c++)
                last[node->sub[i]->captures[c].outer] = n;
    }
    for (uint32_t i = 0; i < g->n_outputs; i++)
        last[g->outputs[i]] = UINT32_MAX;
}

static hearth_status frame_leaf(struct ht_frame *f, uint32_t i, hearth_error *err)
{
    const struct ht_value *v = &f->graph->values[i];
    struct ht_tensor *t = &f->tensors[i];
    (void)err;
    t->rows_sym = -1;
    t->storage = HT_NO_STORAGE;
    if (v->kind != HT_VALUE_CONST)
        return HEARTH_OK;
    *t = ht_known_tensor((enum hk_qtype)v->type, v->rank, v->dim, (void *)(uintptr_t)v->data);
    t->known = HT_KNOWN_MODEL;
    return HEARTH_OK;
}

static hearth_status frame_input(struct ht_frame *f, uint32_t i, const struct ht_tensor *in,
                                 hearth_error *err)
{
    struct ht_tensor *t = &f->tensors[f->graph->inputs[i]];
    *t = *in;
    t->rows_sym = -1;
    t->ready = true;
    if (t->known)
        return HEARTH_OK;
    ht_dense_strides(t);
    HB_TRY(ht_bind_storage(&f->bind, 0, &t->storage, err));
    f->plan.storages[t->storage].external = true;
    f->plan.storages[t->storage].offset = i;
    return ht_bind_placed(&f->bind, t, err);
}

hearth_status ht_frame_open(struct ht_exec *x, const struct ht_frame *parent,
                            const struct ht_graph *g, const struct ht_tensor *inputs,
                            struct ht_frame **frame, hearth_error *err)
{
    struct ht_frame *f;
    if (x->depth >= HT_MAX_FRAMES)
        return hb_fail(err, HEARTH_E_LIMIT, "graph: bodies inside bodies more than %d deep",
                       HT_MAX_FRAMES - 1);
    HB_TRY(HB_ARENA_NEW(x->arena, struct ht_frame, 1, &f, err));
    *f = (struct ht_frame){.x = x, .parent = parent, .graph = g};
    f->plan = (struct ht_plan){.graph = g, .kernels = x->kernels, .n_workers = x->n_workers,
                               .profile = x->profile};
    f->bind = (struct ht_bind){.plan = &f->plan, .arena = x->arena, .frame = f};
    HB_TRY(HB_ARENA_NEW(x->arena, struct ht_tensor, g->n_values, &f->tensors, err));
    HB_TRY(HB_ARENA_NEW(x->arena, uint32_t, g->n_values, &f->last_use, err));
    HB_TRY(HB_ARENA_NEW(x->arena, struct ht_tensor, g->n_outputs, &f->out_copies, err));
    f->outputs = f->out_copies;
    bind_last_uses(g, f->last_use);
    for (uint32_t i = 0; i < g->n_values; i++)
        HB_TRY(frame_leaf(f, i, err));
    for (uint32_t i = 0; i < g->n_inputs; i++)
        HB_TRY(frame_input(f, i, &inputs[i], err));
    for (uint32_t i = 0; i < g->n_captures; i++) {
        if (!parent || !parent->tensors[g->captures[i].outer].ready)
            return hb_fail(err, HEARTH_E_FORMAT, "a body captures a value that is not computed");
        f->tensors[g->captures[i].inner] = parent->tensors[g->captures[i].outer];
    }
    *frame = f;
    return HEARTH_OK;
}

/* Outputs are dense tensors of their own; constants and inputs may be handed through. */
static hearth_status frame_outputs(struct ht_frame *f, hearth_error *err)
{
    for (uint32_t i = 0; i < f->graph->n_outputs; i++) {
        struct ht_tensor *t = &f->tensors[f->graph->outputs[i]];
        if (!t->ready)
            return hb_fail(err, HEARTH_E_FORMAT, "graph: output %u is never computed", i);
        if (!ht_is_dense(t))
            HB_TRY(bind_copy(f, "output", t, &t, err));
        if (t->storage != HT_NO_STORAGE)
            f->plan.storages[t->storage].last = UINT32_MAX;
        f->out_copies[i] = *t;
        if (t->storage != HT_NO_STORAGE && !t->known)
            HB_TRY(ht_bind_placed(&f->bind, &f->out_copies[i], err));
    }
    return HEARTH_OK;
}

/* Plan one node; *stop when the segment ends before it. */
static hearth_status frame_node(struct ht_frame *f, const struct ht_node *node, bool *stop,
                                hearth_error *err)
{
    struct ht_step s = {.op = node->op, .params = node->params, .name = node->name};
    if (node->op->flow) {
        *stop = true;
        return HEARTH_OK;
    }
    if (f->x->kept && !f->parent && f->x->kept[f->node]) {
        for (uint32_t i = 0; i < node->n_out; i++)
            if (node->out[i] != HT_NONE)
                f->tensors[node->out[i]] = f->x->kept[f->node][i];
        return HEARTH_OK;
    }
    if ((node->op->flags & HT_OP_AHEAD) && !f->x->ahead) {
        for (uint32_t i = 0; i < node->n_out; i++)
            f->tensors[node->out[i]] = ht_known_tensor(HK_U8, 1, (const int64_t[]){0}, NULL);
        return HEARTH_OK;
    }
    HB_TRY(bind_pointers(f, &s, node->n_in, node->n_out, err));
    for (uint32_t i = 0; i < node->n_in; i++) {
        s.in[i] = node->in[i] == HT_NONE ? NULL : &f->tensors[node->in[i]];
        if (s.in[i] && !s.in[i]->ready)
            return ht_bad_shape(&s, "an input is used before it is computed", err);
    }
    for (uint32_t i = 0; i < node->n_out; i++)
        s.out[i] = node->out[i] == HT_NONE ? NULL : &f->tensors[node->out[i]];
    f->bind.cut = false;
    HB_TRY(node->op->plan(&f->bind, &s, err));
    if (f->bind.cut) {
        *stop = true;
        return HEARTH_OK;
    }
    return bind_commit(f, &s, true, err);
}

/* Bind up to the end or the next cut. */
static hearth_status frame_segment(struct ht_frame *f, bool *done, hearth_error *err)
{
    bool stop = false;
    while (f->node < f->graph->n_nodes && !stop) {
        HB_TRY(frame_node(f, &f->graph->nodes[f->node], &stop, err));
        if (!stop)
            f->node++;
    }
    *done = !stop;
    if (*done)
        HB_TRY(frame_outputs(f, err));
    else
        f->cut = true;
    for (uint32_t i = 0; !*done && i < f->graph->n_values; i++) { /* what comes after needs these */
        struct ht_tensor *t = &f->tensors[i];
        if (t->ready && t->storage != HT_NO_STORAGE && f->last_use[i] >= f->node)
            f->plan.storages[t->storage].last = UINT32_MAX;
    }
    HB_TRY(ht_bind_place(&f->bind, err));
    size_t scratch = f->bind.scratch * (size_t)f->x->n_workers, end;
    if (f->bind.scratch > SIZE_MAX / 512 || !hb_add_size(f->plan.activation_bytes, scratch, &end) ||
        end > f->x->block_bytes - f->x->block_used)
        return hb_fail(err, HEARTH_E_LIMIT,
                       "memory: activations of %zu bytes and %zu of scratch pass the budget; %zu of "
                       "%zu are left", f->plan.activation_bytes, scratch,
                       f->x->block_bytes - f->x->block_used, f->x->block_bytes);
    if (f->x->block_high < f->x->block_used + end)
        f->x->block_high = f->x->block_used + end;
    f->plan.scratch_bytes = f->bind.scratch;
    return HEARTH_OK;
}

/* ---- ahead of all plans ---- */

static bool ahead_wanted(const struct ht_frame *f, const struct ht_node *node)
{
    if (!node->op->plan || node->op->flow || (node->op->flags & HT_OP_RANDOM))
        return false;
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] != HT_NONE && (!f->tensors[node->in[i]].ready ||
                                       f->tensors[node->in[i]].known != HT_KNOWN_MODEL))
            return false;
    return node->n_in > 0;
}

void ht_exec_ahead(struct ht_exec *x, const struct ht_graph *g, size_t most)
{
    struct hb_arena *kept = x->kept_arena;
    struct ht_tensor *inputs;
    struct ht_frame *f;
    size_t all = kept->size;
    bool stop = false;
    if (HB_ARENA_NEW(x->arena, struct ht_tensor, g->n_inputs, &inputs, NULL) != HEARTH_OK ||
        ht_frame_open(x, NULL, g, inputs, &f, NULL) != HEARTH_OK)
        return;
    for (uint32_t i = 0; i < g->n_inputs; i++)
        f->tensors[g->inputs[i]].ready = false;
    x->ahead = true;
    kept->size = most < all ? most : all;
    for (f->node = 0; f->node < g->n_nodes; f->node++) {
        const struct ht_node *node = &g->nodes[f->node];
        struct hb_arena_mark mark = hb_arena_mark(kept);
        if (!ahead_wanted(f, node) || (frame_node(f, node, &stop, NULL) == HEARTH_OK && !stop))
            continue;
        x->kept[f->node] = NULL;
        hb_arena_reset(kept, mark);
        for (uint32_t i = 0; i < node->n_out; i++)
            if (node->out[i] != HT_NONE)
                f->tensors[node->out[i]].ready = false;
    }
    kept->size = all;
    x->ahead = false;
}

/* Run the segment that is bound. */
static hearth_status frame_run_segment(struct ht_frame *f, hearth_error *err)
{
    struct ht_exec *x = f->x;
    uint8_t *base = x->block + x->block_used;
    for (uint32_t i = 0; i < f->n_placed; i++) {
        struct ht_tensor *t = f->placed[i];
        if (t->storage == HT_NO_STORAGE) /* folded after all */
            continue;
        const struct ht_storage *st = &f->plan.storages[t->storage];
        if (st->external)
            t->data = (uint8_t *)(uintptr_t)f->external[st->offset] + t->offset;
        else
            t->data = base + st->offset + t->offset;
    }
    f->plan.scratch = base + f->plan.activation_bytes;
    struct ht_run run = {.kernels = x->kernels};
    return f->plan.n_steps ? ht_plan_run(&f->plan, &run, x->pool, x->cancel, err) : HEARTH_OK;
}

/* After a segment was run: everything is known, and the next one lies above it. */
static void frame_advance(struct ht_frame *f)
{
    for (uint32_t i = 0; i < f->n_placed; i++) {
        if (f->placed[i]->storage == HT_NO_STORAGE)
            continue;
        f->placed[i]->known = HT_KNOWN_RUN;
        f->placed[i]->storage = HT_NO_STORAGE;
        f->placed[i]->offset = 0;
    }
    f->x->block_used += f->plan.activation_bytes;
    f->n_placed = 0;
    f->plan.n_steps = f->plan.n_storages = 0;
    f->plan.steps = NULL;
    f->cap_steps = 0;
    f->plan.activation_bytes = 0;
    f->bind.step = 0;
    f->bind.scratch = 0;
}

static hearth_status frame_flow(struct ht_frame *f, hearth_error *err)
{
    const struct ht_node *node = &f->graph->nodes[f->node];
    struct ht_step s = {.op = node->op, .params = node->params, .name = node->name};
    HB_TRY(bind_pointers(f, &s, node->n_in, node->n_out, err));
    for (uint32_t i = 0; i < node->n_in; i++) {
        s.in[i] = node->in[i] == HT_NONE ? NULL : &f->tensors[node->in[i]];
        if (s.in[i] && !s.in[i]->ready)
            return ht_bad_shape(&s, "an input is used before it is computed", err);
    }
    for (uint32_t i = 0; i < node->n_out; i++)
        s.out[i] = node->out[i] == HT_NONE ? NULL : &f->tensors[node->out[i]];
    return node->op->flow(f, &s, node, err);
}

hearth_status ht_frame_bind(struct ht_frame *f, bool *done, hearth_error *err)
{
    return frame_segment(f, done, err);
}

hearth_status ht_frame_run(struct ht_frame *f, const void *const *external, hearth_error *err)
{
    bool done = !f->cut;
    f->external = external;
    HB_TRY(frame_run_segment(f, err));
    while (!done) {
        frame_advance(f);
        if (f->graph->nodes[f->node].op->flow) {
            HB_TRY(frame_flow(f, err));
            f->node++;
        }
        if (f->x->cancel && atomic_load_explicit(f->x->cancel, memory_order_relaxed))
            return hb_fail(err, HEARTH_E_CANCELLED, "run: cancelled by the caller");
        HB_TRY(frame_segment(f, &done, err));
        HB_TRY(frame_run_segment(f, err));
    }
    return HEARTH_OK;
}

hearth_status ht_frame_body(struct ht_frame *f, const struct ht_graph *body,
                            const struct ht_tensor *inputs, struct ht_tensor *outputs,
                            hearth_error *err)
{
    struct ht_frame *inner;
    bool done;
    if (f->x->bodies++ >= HT_MAX_BODIES)
        return hb_fail(err, HEARTH_E_LIMIT, "graph: bodies were run more than %u times", HT_MAX_BODIES);
    f->x->depth++;
    hearth_status status = ht_frame_open(f->x, f, body, inputs, &inner, err);
    if (status == HEARTH_OK)
        status = ht_frame_bind(inner, &done, err);
    if (status == HEARTH_OK)
        status = ht_frame_run(inner, NULL, err);
    f->x->depth--;
    HB_TRY(status);
    f->x->block_used += inner->plan.activation_bytes;
    for (uint32_t i = 0; i < body->n_outputs; i++) {
        outputs[i] = inner->out_copies[i];
        outputs[i].known = HT_KNOWN_RUN;
        outputs[i].storage = HT_NO_STORAGE;
        outputs[i].offset = 0;
    }
    return HEARTH_OK;
}

hearth_status ht_exec_take(struct ht_exec *x, size_t bytes, void **out, hearth_error *err)
{
    size_t rounded;
    if (!hb_align_size(bytes, HB_ARENA_ALIGN, &rounded) ||
        rounded > x->block_bytes - x->block_used)
        return hb_fail(err, HEARTH_E_LIMIT,
                       "memory: %zu bytes pass the budget; %zu of %zu are left", bytes,
                       x->block_bytes - x->block_used, x->block_bytes);
    *out = x->block + x->block_used;
    x->block_used += rounded;
    if (x->block_high < x->block_used)
        x->block_high = x->block_used;
    return HEARTH_OK;
}
