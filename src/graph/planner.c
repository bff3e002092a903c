/* Binding a graph: shapes, lifetimes, places. The picture is in ht_plan.h. */
#include "graph/ht_bind.h"
#include "base/hb_check.h"
#include <string.h>

#define PLANNER_ALIGN 64

int64_t ht_symbol_max(const struct ht_bind *b, int symbol)
{
    return b->sym[symbol];
}

const struct hk_table *ht_bind_kernels(const struct ht_bind *b)
{
    return b->plan->kernels;
}

int32_t ht_bind_workers(const struct ht_bind *b)
{
    return b->plan->n_workers;
}

void ht_want_scratch(struct ht_bind *b, size_t bytes)
{
    size_t rounded = hb_round_up(bytes, PLANNER_ALIGN);
    if (rounded > b->scratch)
        b->scratch = rounded;
}

hearth_status ht_bad_shape(const struct ht_step *s, const char *what, hearth_error *err)
{
    return hb_fail(err, HEARTH_E_MISMATCH, "%s (%s): %s", s->name ? s->name : "node", s->op->name,
                   what);
}

hearth_status ht_step_private(struct ht_bind *b, struct ht_step *s, size_t bytes,
                              hearth_error *err)
{
    return hb_arena_take(b->arena, bytes, 16, &s->plan, err);
}

hearth_status ht_bind_storage(struct ht_bind *b, size_t bytes, uint32_t *index,
                                     hearth_error *err)
{
    struct ht_plan *p = b->plan;
    if (b->frame)
        HB_TRY(ht_bind_grow(b->arena, (void **)&p->storages, p->n_storages, &b->cap_storages,
                            sizeof *p->storages, err));
    if (p->n_storages == b->cap_storages)
        return hb_fail(err, HEARTH_E_INTERNAL, "planner: more storages than values");
    struct ht_storage *s = &p->storages[p->n_storages];
    *s = (struct ht_storage){0};
    if (!hb_align_size(bytes, PLANNER_ALIGN, &s->bytes))
        return hb_fail(err, HEARTH_E_MEMORY, "planner: a tensor of %zu bytes", bytes);
    s->first = s->last = b->step;
    *index = p->n_storages++;
    return HEARTH_OK;
}

void ht_dense_strides(struct ht_tensor *t)
{
    int64_t stride = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        t->stride[i] = stride;
        stride *= t->dim[i];
    }
}

hearth_status ht_out(struct ht_bind *b, struct ht_step *s, uint32_t i, enum hk_qtype type,
                     int rank, const int64_t *dim, int rows_sym, hearth_error *err)
{
    struct ht_tensor *t = s->out[i];
    size_t bytes;
    if (!t)
        return HEARTH_OK;
    if (!ht_dense_bytes(type, rank, dim, &bytes))
        return ht_bad_shape(s, "the size of its output overflows", err);
    t->type = (uint8_t)type;
    t->rank = (uint8_t)rank;
    t->rows_sym = (int8_t)rows_sym;
    for (int d = 0; d < rank; d++)
        t->dim[d] = dim[d];
    ht_dense_strides(t);
    t->offset = 0;
    t->ready = true;
    t->known = HT_UNKNOWN;
    HB_TRY(ht_bind_storage(b, bytes, &t->storage, err));
    return b->frame ? ht_bind_placed(b, t, err) : HEARTH_OK;
}

hearth_status ht_out_view(struct ht_bind *b, struct ht_step *s, uint32_t i,
                          const struct ht_tensor *of, size_t offset, int rank, const int64_t *dim,
                          const int64_t *stride, hearth_error *err)
{
    struct ht_tensor *t = s->out[i];
    if (!t)
        return HEARTH_OK;
    t->type = of->type;
    t->rank = (uint8_t)rank;
    t->rows_sym = of->rows_sym;
    t->storage = of->storage;
    t->offset = of->offset + offset;
    t->data = of->storage == HT_NO_STORAGE || of->known ? of->data + offset : NULL;
    t->ready = true;
    t->known = of->known;
    for (int d = 0; d < rank; d++) {
        t->dim[d] = dim[d];
        t->stride[d] = stride[d];
    }
    return b->frame && t->storage != HT_NO_STORAGE ? ht_bind_placed(b, t, err) : HEARTH_OK;
}

/* Shapes of inputs and constants. Inputs live from before the first step to after the last, so
 * that a caller may look at them at any time. */
static hearth_status planner_leaf(struct ht_bind *b, uint32_t i, hearth_error *err)
{
    const struct ht_value *v = &b->plan->graph->values[i];
    struct ht_tensor *t = &b->plan->tensors[i];
    size_t bytes;
    t->rows_sym = -1;
    t->storage = HT_NO_STORAGE;
    if (v->kind == HT_VALUE_NODE)
        return HEARTH_OK;
    t->type = v->type;
    t->rank = v->rank;
    for (int d = 0; d < v->rank; d++) {
        t->dim[d] = v->dim[d];
        if (!HT_IS_SYM(v->dim[d]))
            continue;
        int sym = HT_SYM_INDEX(v->dim[d]);
        t->dim[d] = b->sym[sym];
        if (b->plan->graph->symbol_counted[sym] && d == 0)
            t->rows_sym = (int8_t)sym;
    }
    if (!ht_dense_bytes((enum hk_qtype)t->type, t->rank, t->dim, &bytes))
        return hb_fail(err, HEARTH_E_MISMATCH, "input %s: its size overflows",
                       v->name ? v->name : "?");
    ht_dense_strides(t);
    t->ready = true;
    if (v->kind == HT_VALUE_CONST) {
        t->data = (uint8_t *)(uintptr_t)v->data;
        return HEARTH_OK;
    }
    HB_TRY(ht_bind_storage(b, bytes, &t->storage, err));
    b->plan->storages[t->storage].first = 0;
    b->plan->storages[t->storage].last = UINT32_MAX;
    return HEARTH_OK;
}

static hearth_status planner_step(struct ht_bind *b, const struct ht_node *node, hearth_error *err)
{
    struct ht_plan *p = b->plan;
    struct ht_step *s = &p->steps[b->step];
    s->op = node->op;
    s->params = node->params;
    s->name = node->name;
    s->n_in = node->n_in;
    s->n_out = node->n_out;
    HB_TRY(HB_ARENA_NEW(b->arena, struct ht_tensor *, (size_t)node->n_in + node->n_out, &s->in,
                        err));
    s->out = s->in + node->n_in;
    for (uint32_t i = 0; i < node->n_in; i++) {
        s->in[i] = node->in[i] == HT_NONE ? NULL : &p->tensors[node->in[i]];
        if (s->in[i] && !s->in[i]->ready)
            return ht_bad_shape(s, "an input is used before it is computed", err);
    }
    for (uint32_t i = 0; i < node->n_out; i++)
        s->out[i] = node->out[i] == HT_NONE ? NULL : &p->tensors[node->out[i]];
    HB_TRY(node->op->plan(b, s, err));
    for (uint32_t i = 0; i < s->n_in; i++)
        if (s->in[i] && s->in[i]->storage != HT_NO_STORAGE) {
            struct ht_storage *st = &p->storages[s->in[i]->storage];
            if (st->last < b->step)
                st->last = b->step;
        }
    return HEARTH_OK;
}

/* Lowest offset at which storage s meets none of the placed ones that live at the same time.
 * `placed` is sorted by offset. */
static size_t planner_fit(const struct ht_storage *all, const uint32_t *placed, uint32_t n,
                          const struct ht_storage *s)
{
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct ht_storage *o = &all[placed[i]];
        if (o->last < s->first || s->last < o->first)
            continue;
        if (o->offset >= at + s->bytes)
            break;
        if (o->offset + o->bytes > at)
            at = o->offset + o->bytes;
    }
    return at;
}

/* Place large storages first, each as low as it fits. Simple and close to the lower bound for
 * chains of layers; n is some hundreds. */
hearth_status ht_bind_place(struct ht_bind *b, hearth_error *err)
{
    struct ht_plan *p = b->plan;
    uint32_t n = p->n_storages, *order, *placed, n_placed = 0;
    HB_TRY(HB_ARENA_NEW(b->arena, uint32_t, n, &order, err));
    HB_TRY(HB_ARENA_NEW(b->arena, uint32_t, n, &placed, err));
    for (uint32_t i = 0; i < n; i++) { /* insertion sort, largest first */
        uint32_t j = i;
        for (; j > 0 && p->storages[order[j - 1]].bytes < p->storages[i].bytes; j--)
            order[j] = order[j - 1];
        order[j] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct ht_storage *s = &p->storages[order[i]];
        if (s->external)
            continue;
        s->offset = planner_fit(p->storages, placed, n_placed, s);
        size_t end;
        if (!hb_add_size(s->offset, s->bytes, &end))
            return hb_fail(err, HEARTH_E_MEMORY, "planner: activations overflow");
        if (end > p->activation_bytes)
            p->activation_bytes = end;
        uint32_t j = n_placed++;
        for (; j > 0 && p->storages[placed[j - 1]].offset > s->offset; j--)
            placed[j] = placed[j - 1];
        placed[j] = order[i];
    }
    return HEARTH_OK;
}

hearth_status ht_plan_create(const struct ht_graph *g, const struct hk_table *kernels,
                             const int64_t *sym, int32_t n_workers, struct hb_arena *arena,
                             struct ht_plan **plan, hearth_error *err)
{
    struct ht_plan *p;
    HB_TRY(HB_ARENA_NEW(arena, struct ht_plan, 1, &p, err));
    p->graph = g;
    p->kernels = kernels;
    p->n_workers = n_workers;
    HB_TRY(HB_ARENA_NEW(arena, struct ht_tensor, g->n_values, &p->tensors, err));
    HB_TRY(HB_ARENA_NEW(arena, struct ht_step, g->n_nodes, &p->steps, err));
    HB_TRY(HB_ARENA_NEW(arena, struct ht_storage, g->n_values, &p->storages, err));
    struct ht_bind b = {.plan = p, .arena = arena, .sym = sym, .cap_storages = g->n_values};
    for (uint32_t i = 0; i < g->n_values; i++)
        HB_TRY(planner_leaf(&b, i, err));
    for (b.step = 0; b.step < g->n_nodes; b.step++)
        HB_TRY(planner_step(&b, &g->nodes[b.step], err));
    p->n_steps = g->n_nodes;
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        const struct ht_tensor *t = &p->tensors[g->outputs[i]];
        if (!t->ready)
            return hb_fail(err, HEARTH_E_FORMAT, "graph: output %u is never computed", i);
        if (t->storage != HT_NO_STORAGE)
            p->storages[t->storage].last = UINT32_MAX;
    }
    p->scratch_bytes = b.scratch;
    HB_TRY(ht_bind_place(&b, err));
    *plan = p;
    return HEARTH_OK;
}

void ht_plan_place(struct ht_plan *plan, void *activations, void *scratch)
{
    for (uint32_t i = 0; i < plan->graph->n_values; i++) {
        struct ht_tensor *t = &plan->tensors[i];
        if (t->storage != HT_NO_STORAGE)
            t->data = (uint8_t *)activations + plan->storages[t->storage].offset + t->offset;
    }
    plan->scratch = scratch;
}
