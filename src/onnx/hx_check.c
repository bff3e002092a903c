/* Names: each is defined once in its graph and before it is used, so a graph has no cycle; the same
 * for functions and what they call.
 *
 * All names stand in one open-addressing table. A name carries the depth of the graph that defines
 * it, 0 when it is out of sight; what a graph overlays comes back when the graph ends:
 *
 *   slots   name ──► depth of its definition        undo   [slot, depth before] of every definition
 *
 * Source: ONNX IR specification, "Graphs", "Names Within a Graph", "Functions". */
#include "onnx/hx_read.h"
#include <string.h>

struct check_slot {
    const char *domain, *name; /* name NULL: free */
    uint32_t depth;            /* of a value; of a function its number + 1 */
};

struct check_table {
    struct check_slot *slots;
    size_t mask;
};

struct check_undo {
    uint32_t slot, depth;
};

struct check_function {
    uint32_t state; /* 0 not seen, 1 being measured, 2 known */
    uint32_t depth; /* of calls below it, itself included */
    uint64_t cost;  /* nodes after expansion */
};

struct hx_checker {
    const struct hx_model *model;
    struct check_table values, functions, attrs;
    struct check_undo *undo;
    size_t n_undo;
    uint32_t attr_round;
    struct check_function *measured; /* [n_functions] */
    hearth_error *err;
};

/* ---- the table */

static uint32_t check_hash(const char *domain, const char *name)
{
    uint32_t h = 2166136261u;
    for (; *domain; domain++)
        h = (h ^ (uint8_t)*domain) * 16777619u;
    h = (h ^ 0xFF) * 16777619u;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 16777619u;
    return h ^ h >> 15;
}

static hearth_status check_table_make(struct check_table *t, struct hb_arena *arena, size_t n,
                                      hearth_error *err)
{
    size_t size = 16;
    while (size < 2 * n)
        size *= 2;
    t->mask = size - 1;
    return HB_ARENA_NEW(arena, struct check_slot, size, &t->slots, err);
}

/* The slot of a name; a free one if it is not there. */
static struct check_slot *check_find(const struct check_table *t, const char *domain,
                                     const char *name)
{
    for (size_t i = check_hash(domain, name);; i++) {
        struct check_slot *s = &t->slots[i & t->mask];
        if (!s->name || (strcmp(s->name, name) == 0 && strcmp(s->domain, domain) == 0))
            return s;
    }
}

/* ---- values */

static hearth_status check_define(struct hx_checker *c, const char *name, uint32_t depth,
                                  const char *what)
{
    if (!*name)
        return hb_fail(c->err, HEARTH_E_FORMAT, "onnx: %s without a name", what);
    struct check_slot *s = check_find(&c->values, "", name);
    if (s->name && s->depth == depth)
        return hb_fail(c->err, HEARTH_E_FORMAT, "onnx: %s '%s' is defined twice", what, name);
    c->undo[c->n_undo++] = (struct check_undo){(uint32_t)(s - c->values.slots), s->depth};
    s->domain = "";
    s->name = name;
    s->depth = depth;
    return HEARTH_OK;
}

static bool check_is_visible(const struct hx_checker *c, const char *name)
{
    const struct check_slot *s = check_find(&c->values, "", name);
    return s->name && s->depth > 0;
}

static void check_undo_to(struct hx_checker *c, size_t mark)
{
    while (c->n_undo > mark) {
        const struct check_undo *u = &c->undo[--c->n_undo];
        c->values.slots[u->slot].depth = u->depth;
    }
}

/* ---- functions */

static const struct check_slot *check_function_slot(const struct hx_checker *c,
                                                    const struct hx_node *node)
{
    const struct check_slot *s = check_find(&c->functions, node->domain, node->op_type);
    return s->name ? s : NULL;
}

static hearth_status check_measure(struct hx_checker *c, uint32_t index, uint32_t level);

/* What a list of nodes comes to when its calls are expanded. */
static hearth_status check_measure_nodes(struct hx_checker *c, const struct hx_node *nodes,
                                         uint32_t n, uint32_t level, uint64_t *cost,
                                         uint32_t *depth)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct check_slot *s = check_function_slot(c, &nodes[i]);
        *cost += 1;
        if (s) {
            HB_TRY(check_measure(c, s->depth - 1, level + 1));
            const struct check_function *f = &c->measured[s->depth - 1];
            *cost += f->cost;
            if (f->depth > *depth)
                *depth = f->depth;
        }
        for (uint32_t a = 0; a < nodes[i].n_attrs; a++) {
            const struct hx_graph *g = nodes[i].attrs[a].graph;
            if (g)
                HB_TRY(check_measure_nodes(c, g->nodes, g->n_nodes, level, cost, depth));
        }
        if (*cost > HX_MAX_NODES)
            return hb_fail(c->err, HEARTH_E_LIMIT,
                           "onnx: functions expand to more than %zu nodes", HX_MAX_NODES);
    }
    return HEARTH_OK;
}

static hearth_status check_measure(struct hx_checker *c, uint32_t index, uint32_t level)
{
    const struct hx_function *f = &c->model->functions[index];
    struct check_function *m = &c->measured[index];
    if (m->state == 2)
        return HEARTH_OK;
    if (m->state == 1)
        return hb_fail(c->err, HEARTH_E_FORMAT, "onnx: function '%s' of domain '%s' calls itself",
                       f->name, f->domain);
    m->state = 1;
    if (level <= HX_MAX_CALLS) /* bounds our own recursion too */
        HB_TRY(check_measure_nodes(c, f->nodes, f->n_nodes, level, &m->cost, &m->depth));
    m->depth++;
    m->state = 2;
    if (level > HX_MAX_CALLS || m->depth > HX_MAX_CALLS)
        return hb_fail(c->err, HEARTH_E_LIMIT,
                       "onnx: function '%s': calls inside calls, deeper than %d", f->name,
                       HX_MAX_CALLS);
    return HEARTH_OK;
}

static hearth_status check_functions(struct hx_checker *c)
{
    const struct hx_model *m = c->model;
    uint64_t cost = 0;
    uint32_t depth = 0;
    for (uint32_t i = 0; i < m->n_functions; i++) {
        const struct hx_function *f = &m->functions[i];
        struct check_slot *s = check_find(&c->functions, f->domain, f->name);
        if (!*f->name)
            return hb_fail(c->err, HEARTH_E_FORMAT, "onnx: a function without a name");
        if (s->name)
            return hb_fail(c->err, HEARTH_E_FORMAT,
                           "onnx: function '%s' of domain '%s' is defined twice", f->name,
                           f->domain);
        *s = (struct check_slot){f->domain, f->name, i + 1};
    }
    for (uint32_t i = 0; i < m->n_functions; i++)
        HB_TRY(check_measure(c, i, 1));
    return check_measure_nodes(c, m->graph.nodes, m->graph.n_nodes, 0, &cost, &depth);
}

/* ---- nodes */

/* Attribute names of one node. The table serves all nodes: `depth` is the number of the node that
 * filled a slot, and what another node has filled is free. */
static hearth_status check_attrs(struct hx_checker *c, const struct hx_node *node)
{
    c->attr_round++;
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        const char *name = node->attrs[i].name;
        size_t at = check_hash("", name);
        struct check_slot *s = &c->attrs.slots[at & c->attrs.mask];
        while (s->depth == c->attr_round && strcmp(s->name, name) != 0)
            s = &c->attrs.slots[++at & c->attrs.mask];
        if (!*name || s->depth == c->attr_round)
            return hb_fail(c->err, HEARTH_E_FORMAT, "onnx: node '%s' (%s): attribute '%s' %s",
                           node->name, node->op_type, name,
                           *name ? "is given twice" : "has no name");
        *s = (struct check_slot){"", name, c->attr_round};
    }
    return HEARTH_OK;
}

static hearth_status check_domain(const struct hx_checker *c, const struct hx_node *node)
{
    if (!*node->op_type)
        return hb_fail(c->err, HEARTH_E_FORMAT, "onnx: node '%s' has no operator", node->name);
    if (!*node->domain || strcmp(node->domain, "com.microsoft") == 0 ||
        check_function_slot(c, node))
        return HEARTH_OK;
    return hb_fail(c->err, HEARTH_E_UNSUPPORTED,
                   "onnx: operator %s of domain '%s'; the default domain and com.microsoft are known",
                   node->op_type, node->domain);
}

static hearth_status check_graph(struct hx_checker *c, const struct hx_graph *g, uint32_t depth);

static hearth_status check_nodes(struct hx_checker *c, const struct hx_node *nodes, uint32_t n,
                                 uint32_t depth)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct hx_node *node = &nodes[i];
        HB_TRY(check_domain(c, node));
        for (uint32_t k = 0; k < node->n_inputs; k++)
            if (*node->inputs[k] && !check_is_visible(c, node->inputs[k]))
                return hb_fail(c->err, HEARTH_E_FORMAT,
                               "onnx: node '%s' (%s) uses '%s', which nothing before it produces",
                               node->name, node->op_type, node->inputs[k]);
        HB_TRY(check_attrs(c, node));
        for (uint32_t a = 0; a < node->n_attrs; a++)
            if (node->attrs[a].graph)
                HB_TRY(check_graph(c, node->attrs[a].graph, depth + 1));
        for (uint32_t k = 0; k < node->n_outputs; k++)
            if (*node->outputs[k])
                HB_TRY(check_define(c, node->outputs[k], depth, "value"));
    }
    return HEARTH_OK;
}

static bool check_is_input(const struct hx_checker *c, const char *name, uint32_t depth)
{
    const struct check_slot *s = check_find(&c->values, "", name);
    return s->name && s->depth == depth;
}

/* Initializers may give a value to an input: then they share its name. */
static hearth_status check_initializers(struct hx_checker *c, const struct hx_graph *g,
                                        uint32_t depth)
{
    size_t mark = c->n_undo;
    for (uint32_t i = 0; i < g->n_inputs; i++)
        HB_TRY(check_define(c, g->inputs[i].name, depth, "graph input"));
    check_undo_to(c, mark);
    for (uint32_t i = 0; i < g->n_initializers; i++)
        HB_TRY(check_define(c, g->initializers[i].name, depth, "initializer"));
    for (uint32_t i = 0; i < g->n_sparse; i++)
        HB_TRY(check_define(c, g->sparse[i].values.name, depth, "sparse initializer"));
    for (uint32_t i = 0; i < g->n_inputs; i++)
        if (!check_is_input(c, g->inputs[i].name, depth))
            HB_TRY(check_define(c, g->inputs[i].name, depth, "graph input"));
    return HEARTH_OK;
}

static hearth_status check_graph(struct hx_checker *c, const struct hx_graph *g, uint32_t depth)
{
    size_t mark = c->n_undo;
    HB_TRY(check_initializers(c, g, depth));
    HB_TRY(check_nodes(c, g->nodes, g->n_nodes, depth));
    for (uint32_t i = 0; i < g->n_outputs; i++)
        if (!check_is_visible(c, g->outputs[i].name))
            return hb_fail(c->err, HEARTH_E_FORMAT, "onnx: graph output '%s' is never produced",
                           g->outputs[i].name);
    check_undo_to(c, mark);
    return HEARTH_OK;
}

static hearth_status check_function(struct hx_checker *c, const struct hx_function *f)
{
    size_t mark = c->n_undo;
    for (uint32_t i = 0; i < f->n_inputs; i++)
        HB_TRY(check_define(c, f->inputs[i], 1, "function input"));
    HB_TRY(check_nodes(c, f->nodes, f->n_nodes, 1));
    for (uint32_t i = 0; i < f->n_outputs; i++)
        if (!check_is_visible(c, f->outputs[i]))
            return hb_fail(c->err, HEARTH_E_FORMAT,
                           "onnx: output '%s' of function '%s' is never produced", f->outputs[i],
                           f->name);
    check_undo_to(c, mark);
    return HEARTH_OK;
}

/* ---- how large the tables must be */

static size_t check_count_nodes(const struct hx_node *nodes, uint32_t n, uint32_t *most_attrs);

static size_t check_count_graph(const struct hx_graph *g, uint32_t *most_attrs)
{
    /* inputs are defined twice, see check_initializers */
    return 2 * (size_t)g->n_inputs + g->n_initializers + g->n_sparse +
           check_count_nodes(g->nodes, g->n_nodes, most_attrs);
}

static size_t check_count_nodes(const struct hx_node *nodes, uint32_t n, uint32_t *most_attrs)
{
    size_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        count += nodes[i].n_outputs;
        if (nodes[i].n_attrs > *most_attrs)
            *most_attrs = nodes[i].n_attrs;
        for (uint32_t a = 0; a < nodes[i].n_attrs; a++)
            if (nodes[i].attrs[a].graph)
                count += check_count_graph(nodes[i].attrs[a].graph, most_attrs);
    }
    return count;
}

hearth_status hx_check(const struct hx_model *model, struct hb_arena *arena, hearth_error *err)
{
    struct hx_checker c = {.model = model, .err = err};
    uint32_t most_attrs = 0;
    size_t n = check_count_graph(&model->graph, &most_attrs);
    for (uint32_t i = 0; i < model->n_functions; i++)
        n += model->functions[i].n_inputs +
             check_count_nodes(model->functions[i].nodes, model->functions[i].n_nodes, &most_attrs);
    HB_TRY(check_table_make(&c.values, arena, n, err));
    HB_TRY(check_table_make(&c.functions, arena, model->n_functions, err));
    HB_TRY(check_table_make(&c.attrs, arena, most_attrs, err));
    HB_TRY(HB_ARENA_NEW(arena, struct check_undo, n, &c.undo, err));
    HB_TRY(HB_ARENA_NEW(arena, struct check_function, model->n_functions, &c.measured, err));
    HB_TRY(check_functions(&c));
    for (uint32_t i = 0; i < model->n_functions; i++)
        HB_TRY(check_function(&c, &model->functions[i]));
    return check_graph(&c, &model->graph, 1);
}
