/* The importer; what it does is in hx_import.h. The loader has checked that names are defined once
 * and before they are used, and that unfolded functions stay within bounds. */
#include "onnx/hx_import.h"
#include "base/hb_check.h"
#include <string.h>

#define IMPORT_MAX_NODES (1u << 20)
#define IMPORT_MAX_DEPTH 32

struct hx_name {
    const char *name;
    ht_id id;
};

/* Names of one graph: open addressing, grown by doubling. A function body has its own names and sees no
 * others; the body of control flow sees those around it. */
struct hx_scope {
    struct hx_scope *outer; /* body: graph around it; NULL: function or root */
    struct ht_graph *g;
    struct hx_name *slots;
    uint32_t n, mask;
};

static uint32_t import_hash(const char *s)
{
    uint32_t h = 2166136261u;
    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 16777619u;
    return h ^ h >> 15;
}

static struct hx_name *import_slot(const struct hx_scope *sc, const char *name)
{
    uint32_t i = import_hash(name) & sc->mask;
    while (sc->slots[i].name && strcmp(sc->slots[i].name, name) != 0)
        i = (i + 1) & sc->mask;
    return &sc->slots[i];
}

static hearth_status import_define(struct hx_import *im, const char *name, ht_id id)
{
    struct hx_scope *sc = im->scope;
    if (!name[0])
        return HEARTH_OK;
    if (sc->n * 2 >= sc->mask) {
        struct hx_scope bigger = *sc;
        bigger.mask = sc->mask ? sc->mask * 2 + 1 : 63;
        HB_TRY(HB_ARENA_NEW(im->arena, struct hx_name, (size_t)bigger.mask + 1, &bigger.slots,
                            im->err));
        for (uint32_t i = 0; sc->slots && i <= sc->mask; i++)
            if (sc->slots[i].name)
                *import_slot(&bigger, sc->slots[i].name) = sc->slots[i];
        *sc = bigger;
    }
    struct hx_name *slot = import_slot(sc, name);
    sc->n += !slot->name;
    *slot = (struct hx_name){name, id};
    return HEARTH_OK;
}

/* A name as a value of the scope's graph; what lies in graphs around it is captured level by level. */
static hearth_status import_find(struct hx_import *im, struct hx_scope *sc, const char *name,
                                 ht_id *out)
{
    if (sc->slots) {
        struct hx_name *slot = import_slot(sc, name);
        if (slot->name) {
            *out = slot->id;
            return HEARTH_OK;
        }
    }
    if (!sc->outer)
        return hb_fail(im->err, HEARTH_E_FORMAT, "%s: value '%s' is not defined", im->what, name);
    ht_id outer;
    HB_TRY(import_find(im, sc->outer, name, &outer));
    if (sc->outer->g == sc->g) {
        *out = outer;
        return HEARTH_OK;
    }
    return ht_graph_capture(sc->g, outer, out, im->err);
}

/* ---- attributes ---- */

const struct hx_attr *hx_attr(const struct hx_node *node, const char *name)
{
    for (uint32_t i = 0; i < node->n_attrs; i++)
        if (strcmp(node->attrs[i].name, name) == 0)
            return &node->attrs[i];
    return NULL;
}

/* The attribute if it is there and of this type. Of another: the import fails when the node is done. */
static const struct hx_attr *import_attr(struct hx_import *im, const struct hx_node *node, const char *name,
                                         int type)
{
    const struct hx_attr *a = hx_attr(node, name);
    if (!a || (int)a->type == type)
        return a;
    im->bad_attr = name;
    return NULL;
}

int64_t hx_attr_int(struct hx_import *im, const struct hx_node *node, const char *name,
                    int64_t otherwise)
{
    const struct hx_attr *a = import_attr(im, node, name, HX_ATTR_INT);
    return a ? a->i : otherwise;
}

float hx_attr_float(struct hx_import *im, const struct hx_node *node, const char *name,
                    float otherwise)
{
    const struct hx_attr *a = import_attr(im, node, name, HX_ATTR_FLOAT);
    return a ? a->f : otherwise;
}

const char *hx_attr_text(struct hx_import *im, const struct hx_node *node, const char *name,
                         const char *otherwise)
{
    const struct hx_attr *a = import_attr(im, node, name, HX_ATTR_STRING);
    return a ? a->s : otherwise;
}

hearth_status hx_attr_ints(struct hx_import *im, const struct hx_node *node, const char *name,
                           int max, int64_t *out, int *n)
{
    const struct hx_attr *a = hx_attr(node, name);
    *n = 0;
    if (!a)
        return HEARTH_OK;
    if (a->type == HX_ATTR_INT && max > 0) {
        out[(*n)++] = a->i;
        return HEARTH_OK;
    }
    if (a->type != HX_ATTR_INTS)
        return hb_fail(im->err, HEARTH_E_MISMATCH, "%s: attribute '%s' is no list of integers",
                       im->what, name);
    if (a->n > (uint32_t)max)
        return hb_fail(im->err, HEARTH_E_LIMIT, "%s: attribute '%s' has %u numbers; at most %d",
                       im->what, name, a->n, max);
    for (uint32_t i = 0; i < a->n; i++)
        out[(*n)++] = a->ints[i];
    return HEARTH_OK;
}

hearth_status hx_unsupported(struct hx_import *im, const char *what)
{
    return hb_fail(im->err, HEARTH_E_UNSUPPORTED, "%s: %s", im->what, what);
}

/* ---- values ---- */

ht_id hx_in(struct hx_import *im, const struct hx_node *node, uint32_t i)
{
    ht_id id = HT_NONE;
    if (i >= node->n_inputs || !node->inputs[i][0])
        return HT_NONE;
    /* import_node has found every input once, so this cannot fail */
    return import_find(im, im->scope, node->inputs[i], &id) == HEARTH_OK ? id : HT_NONE;
}

hearth_status hx_out(struct hx_import *im, const struct hx_node *node, uint32_t i, ht_id value)
{
    if (i >= node->n_outputs)
        return HEARTH_OK;
    return import_define(im, node->outputs[i], value);
}

hearth_status hx_op(struct hx_import *im, const struct ht_op *op, const void *params,
                    const ht_id *in, uint32_t n_in, ht_id *out, uint32_t n_out)
{
    return ht_graph_emit(im->g, op, im->what, params, in, n_in, out, n_out, im->err);
}

#define IMPORT_MAX_IO 256

hearth_status hx_emit(struct hx_import *im, const struct ht_op *op, const struct hx_node *node,
                      const void *params)
{
    ht_id in[IMPORT_MAX_IO], out[IMPORT_MAX_IO];
    if (node->n_inputs > IMPORT_MAX_IO || node->n_outputs > IMPORT_MAX_IO)
        return hb_fail(im->err, HEARTH_E_LIMIT, "%s: more than %d inputs or outputs", im->what,
                       IMPORT_MAX_IO);
    for (uint32_t i = 0; i < node->n_inputs; i++)
        in[i] = hx_in(im, node, i);
    HB_TRY(hx_op(im, op, params, in, node->n_inputs, out, node->n_outputs));
    for (uint32_t i = 0; i < node->n_outputs; i++)
        HB_TRY(hx_out(im, node, i, out[i]));
    return HEARTH_OK;
}

hearth_status hx_map1(struct hx_import *im, unsigned kind, ht_id x, double p, double q, ht_id *out)
{
    const struct ht_map params = {.kind = (uint8_t)kind, .p = p, .q = q};
    return hx_op(im, &ht_op_map, &params, &x, 1, out, 1);
}

hearth_status hx_map2(struct hx_import *im, unsigned kind, ht_id a, ht_id b, ht_id *out)
{
    const struct ht_map params = {.kind = (uint8_t)kind};
    const ht_id in[2] = {a, b};
    return hx_op(im, &ht_op_map, &params, in, 2, out, 1);
}

hearth_status hx_cast(struct hx_import *im, ht_id x, enum hk_qtype type, ht_id *out)
{
    const struct ht_map params = {.kind = HT_MAP_CAST, .type = (uint8_t)type};
    return hx_op(im, &ht_op_map, &params, &x, 1, out, 1);
}

hearth_status hx_const(struct hx_import *im, enum hk_qtype type, int rank, const int64_t *dim,
                       const void *data, ht_id *out)
{
    size_t bytes;
    void *copy;
    if (!ht_dense_bytes(type, rank, dim, &bytes))
        return hb_fail(im->err, HEARTH_E_LIMIT, "%s: a constant's size overflows", im->what);
    HB_TRY(hb_arena_take(im->arena, bytes, 64, &copy, im->err));
    if (bytes)
        memcpy(copy, data, bytes);
    return ht_graph_const(im->g, NULL, type, rank, dim, copy, out, im->err);
}

hearth_status hx_scalar_f32(struct hx_import *im, float v, ht_id *out)
{
    return hx_const(im, HK_F32, 0, NULL, &v, out);
}

hearth_status hx_list_i64(struct hx_import *im, const int64_t *v, int n, ht_id *out)
{
    const int64_t dim = n;
    return hx_const(im, HK_I64, 1, &dim, v, out);
}

hearth_status hx_storage_type(struct hx_import *im, int64_t type, enum hk_qtype *out)
{
    static const uint8_t types[] = {
        [HX_FLOAT] = HK_F32 + 1, [HX_UINT8] = HK_U8 + 1, [HX_INT8] = HK_I8 + 1,
        [HX_UINT16] = HK_U16 + 1, [HX_INT16] = HK_I16 + 1, [HX_INT32] = HK_I32 + 1,
        [HX_INT64] = HK_I64 + 1, [HX_BOOL] = HK_BOOL + 1, [HX_FLOAT16] = HK_F16 + 1,
        [HX_DOUBLE] = HK_F64 + 1, [HX_UINT32] = HK_U32 + 1, [HX_UINT64] = HK_U64 + 1,
        [HX_BFLOAT16] = HK_BF16 + 1,
    };
    if (type < 0 || (size_t)type >= HB_COUNT(types) || !types[type])
        return hb_fail(im->err, HEARTH_E_UNSUPPORTED, "%s: element type %s (%lld)", im->what,
                       hx_type_name((int32_t)type), (long long)type);
    *out = (enum hk_qtype)(types[type] - 1);
    return HEARTH_OK;
}

/* Data of a file stand at any address. What computes element by element wants them aligned, so they
 * are copied, unless they only feed ops that read bytes (hx_reads_anything). */
hearth_status hx_tensor_value(struct hx_import *im, const struct hx_tensor *t, bool copy_unaligned,
                              ht_id *out)
{
    enum hk_qtype type;
    HB_TRY(hx_storage_type(im, t->type, &type));
    size_t elem = hx_type_size(t->type);
    if (t->data && (copy_unaligned && (uintptr_t)t->data % elem != 0))
        return hx_const(im, type, t->rank, t->dim, t->data, out);
    return ht_graph_const(im->g, t->name, type, t->rank, t->dim, t->data ? t->data : "", out,
                          im->err);
}

/* ---- graphs ---- */

static hearth_status import_nodes(struct hx_import *im, const struct hx_node *nodes, uint32_t n);

/* Is the tensor used only as the matrix of a float matmul or the table of a Gather? */
static bool import_bytes_only(const struct hx_graph *hg, const char *name)
{
    for (uint32_t i = 0; i < hg->n_nodes; i++) {
        const struct hx_node *n = &hg->nodes[i];
        bool matmul = strcmp(n->op_type, "MatMul") == 0 || strcmp(n->op_type, "Gemm") == 0;
        bool gather = strcmp(n->op_type, "Gather") == 0;
        for (uint32_t k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].graph)
                return false;
        for (uint32_t k = 0; k < n->n_inputs; k++)
            if (strcmp(n->inputs[k], name) == 0 && !(matmul && k == 1) && !(gather && k == 0))
                return false;
    }
    return true;
}

#define IMPORT_LARGE 65536

static hearth_status import_initializers(struct hx_import *im, const struct hx_graph *hg)
{
    for (uint32_t i = 0; i < hg->n_initializers; i++) {
        const struct hx_tensor *t = &hg->initializers[i];
        ht_id id;
        im->what = t->name;
        bool large = t->size_bytes >= IMPORT_LARGE && t->borrowed;
        HB_TRY(hx_tensor_value(im, t, !large || !import_bytes_only(hg, t->name), &id));
        HB_TRY(import_define(im, t->name, id));
    }
    for (uint32_t i = 0; i < hg->n_sparse; i++) {
        im->what = hg->sparse[i].values.name;
        return hx_unsupported(im, "sparse initializers");
    }
    return HEARTH_OK;
}

static hearth_status import_inputs(struct hx_import *im, const struct hx_graph *hg,
                                   struct hx_info *infos)
{
    for (uint32_t i = 0, n = 0; i < hg->n_inputs; i++) {
        const struct hx_info *info = &hg->inputs[i];
        enum hk_qtype type = HK_F32;
        ht_id id;
        if (im->scope->slots && import_slot(im->scope, info->name)->name)
            continue; /* has an initializer */
        im->what = info->name;
        if (info->kind != HX_KIND_TENSOR && info->kind != HX_KIND_NONE)
            return hx_unsupported(im, info->kind == HX_KIND_SEQUENCE   ? "a sequence"
                                      : info->kind == HX_KIND_OPTIONAL ? "an optional"
                                                                       : "no dense tensor");
        if (info->kind == HX_KIND_TENSOR && info->type != HX_UNDEFINED)
            HB_TRY(hx_storage_type(im, info->type, &type));
        HB_TRY(ht_graph_input(im->g, info->name, type, 0, NULL, &id, im->err));
        HB_TRY(import_define(im, info->name, id));
        if (infos)
            infos[n++] = *info;
    }
    return HEARTH_OK;
}

static hearth_status import_graph(struct hx_import *im, const struct hx_graph *hg,
                                  struct hx_info *infos)
{
    HB_TRY(import_initializers(im, hg));
    HB_TRY(import_inputs(im, hg, infos));
    HB_TRY(import_nodes(im, hg->nodes, hg->n_nodes));
    for (uint32_t i = 0; i < hg->n_outputs; i++) {
        ht_id id;
        im->what = "graph output";
        HB_TRY(import_find(im, im->scope, hg->outputs[i].name, &id));
        HB_TRY(ht_graph_output(im->g, id, hg->outputs[i].name, im->err));
    }
    return HEARTH_OK;
}

static hearth_status import_body(struct hx_import *im, const struct hx_node *node, const char *attr,
                                 const struct hx_graph **out)
{
    const struct hx_attr *a = hx_attr(node, attr);
    if (!a || a->type != HX_ATTR_GRAPH || !a->graph)
        return hb_fail(im->err, HEARTH_E_NOT_FOUND, "%s: has no body '%s'", im->what, attr);
    if (im->depth >= IMPORT_MAX_DEPTH)
        return hb_fail(im->err, HEARTH_E_LIMIT, "%s: bodies more than %d deep", im->what,
                       IMPORT_MAX_DEPTH);
    *out = a->graph;
    return HEARTH_OK;
}

hearth_status hx_inline(struct hx_import *im, const struct hx_node *node, const char *attr)
{
    const struct hx_graph *body;
    struct hx_import inner = *im;
    struct hx_scope scope = {.outer = im->scope, .g = im->g};
    HB_TRY(import_body(im, node, attr, &body));
    if (body->n_inputs || body->n_outputs != node->n_outputs)
        return hb_fail(im->err, HEARTH_E_MISMATCH, "%s: its body has %u inputs and %u outputs; 0 and %u are "
                       "needed", im->what, body->n_inputs, body->n_outputs, node->n_outputs);
    inner.scope = &scope;
    inner.depth++;
    HB_TRY(import_initializers(&inner, body));
    HB_TRY(import_nodes(&inner, body->nodes, body->n_nodes));
    im->n_nodes = inner.n_nodes;
    for (uint32_t i = 0; i < body->n_outputs; i++) {
        ht_id id;
        HB_TRY(import_find(&inner, &scope, body->outputs[i].name, &id));
        HB_TRY(import_define(im, node->outputs[i], id));
    }
    return HEARTH_OK;
}

hearth_status hx_body(struct hx_import *im, const struct hx_node *node, const char *attr,
                      const struct ht_graph **out)
{
    const struct hx_graph *body;
    struct ht_graph *g;
    struct hx_scope *outer = im->scope, scope = {.outer = outer};
    struct ht_graph *outer_g = im->g;
    const char *what = im->what;
    HB_TRY(import_body(im, node, attr, &body));
    im->depth++;
    HB_TRY(HB_ARENA_NEW(im->arena, struct ht_graph, 1, &g, im->err));
    HB_TRY(ht_graph_init(g, im->arena, im->err));
    scope.g = im->g = g;
    im->scope = &scope;
    hearth_status status = import_graph(im, body, NULL);
    im->scope = outer;
    im->g = outer_g;
    im->what = what;
    im->depth--;
    *out = g;
    return status;
}

/* ---- functions ---- */

static int64_t import_opset(const struct hx_opset *opsets, uint32_t n, const char *domain)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(opsets[i].domain, domain) == 0)
            return opsets[i].version;
    return -1;
}

static const struct hx_function *import_function(const struct hx_import *im,
                                                 const struct hx_node *node)
{
    for (uint32_t i = 0; i < im->model->n_functions; i++)
        if (strcmp(im->model->functions[i].name, node->op_type) == 0 &&
            strcmp(im->model->functions[i].domain, node->domain) == 0)
            return &im->model->functions[i];
    return NULL;
}

/* A node of a function's body with the attributes of the call put in. */
static hearth_status import_resolve(struct hx_import *im, const struct hx_function *f,
                                    const struct hx_node *call, const struct hx_node *in,
                                    struct hx_node *out)
{
    struct hx_attr *attrs;
    uint32_t n = 0;
    HB_TRY(HB_ARENA_NEW(im->arena, struct hx_attr, in->n_attrs, &attrs, im->err));
    for (uint32_t i = 0; i < in->n_attrs; i++) {
        const struct hx_attr *from = &in->attrs[i];
        if (from->ref[0]) {
            const char *name = from->name;
            from = hx_attr(call, in->attrs[i].ref);
            for (uint32_t k = 0; !from && k < f->n_attr_protos; k++)
                if (strcmp(f->attr_protos[k].name, in->attrs[i].ref) == 0)
                    from = &f->attr_protos[k];
            if (!from)
                continue;
            attrs[n] = *from;
            attrs[n++].name = name;
        } else {
            attrs[n++] = *from;
        }
    }
    *out = *in;
    out->attrs = attrs;
    out->n_attrs = n;
    return HEARTH_OK;
}

static hearth_status import_call(struct hx_import *im, const struct hx_function *f,
                                 const struct hx_node *call)
{
    struct hx_import inner = *im;
    struct hx_scope scope = {.outer = NULL, .g = im->g};
    if (im->depth >= IMPORT_MAX_DEPTH)
        return hb_fail(im->err, HEARTH_E_LIMIT, "%s: functions more than %d deep", im->what,
                       IMPORT_MAX_DEPTH);
    inner.scope = &scope;
    inner.depth++;
    inner.opsets = f->opsets;
    inner.n_opsets = f->n_opsets;
    inner.opset = import_opset(f->opsets, f->n_opsets, "");
    for (uint32_t i = 0; i < f->n_inputs; i++)
        HB_TRY(import_define(&inner, f->inputs[i], hx_in(im, call, i)));
    for (uint32_t i = 0; i < f->n_nodes; i++) {
        struct hx_node node;
        HB_TRY(import_resolve(im, f, call, &f->nodes[i], &node));
        HB_TRY(import_nodes(&inner, &node, 1));
    }
    im->n_nodes = inner.n_nodes;
    for (uint32_t i = 0; i < f->n_outputs && i < call->n_outputs; i++) {
        ht_id id;
        HB_TRY(import_find(&inner, &scope, f->outputs[i], &id));
        HB_TRY(import_define(im, call->outputs[i], id));
    }
    return HEARTH_OK;
}

/* ---- nodes ---- */

static hearth_status import_known(struct hx_import *im, const struct hx_node *node,
                                  const struct hx_op **op)
{
    int64_t version = import_opset(im->opsets, im->n_opsets, node->domain);
    *op = hx_find_op(node->domain, node->op_type, node->domain[0] && version < 0 ? 1 : version);
    if (*op)
        return HEARTH_OK;
    if (hx_op_exists(node->domain, node->op_type))
        return hb_fail(im->err, HEARTH_E_UNSUPPORTED, "op %s of opset %lld: only later versions",
                       node->op_type, (long long)version);
    return hb_fail(im->err, HEARTH_E_UNSUPPORTED, "op %s%s%s", node->domain,
                   node->domain[0] ? "." : "", node->op_type);
}

const struct hx_op *hx_row(const struct hx_import *im, const struct hx_node *node)
{
    int64_t version = import_opset(im->opsets, im->n_opsets, node->domain);
    return hx_find_op(node->domain, node->op_type, node->domain[0] && version < 0 ? 1 : version);
}

static hearth_status import_node(struct hx_import *im, const struct hx_node *node)
{
    const struct hx_function *f = import_function(im, node);
    const struct hx_op *op = NULL;
    char what[96];
    const char *name = node->name[0] ? node->name : node->n_outputs ? node->outputs[0] : "";
    size_t len = hb_format(what, sizeof what, "%s '%s'", node->op_type, name);
    HB_TRY(hb_arena_text(im->arena, what, len, &im->what, im->err));
    if (++im->n_nodes > IMPORT_MAX_NODES)
        return hb_fail(im->err, HEARTH_E_LIMIT, "%s: more than %u nodes", im->what,
                       IMPORT_MAX_NODES);
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        ht_id id;
        if (node->inputs[i][0])
            HB_TRY(import_find(im, im->scope, node->inputs[i], &id));
    }
    if (f)
        return import_call(im, f, node);
    HB_TRY(import_known(im, node, &op));
    uint32_t n_in = node->n_inputs;
    while (n_in && !node->inputs[n_in - 1][0]) /* trailing absent ones do not count */
        n_in--;
    if (n_in < op->min_in || (op->max_in != 255 && n_in > op->max_in) ||
        node->n_outputs < op->min_out || (op->max_out != 255 && node->n_outputs > op->max_out))
        return hb_fail(im->err, HEARTH_E_FORMAT,
                       "%s: %u inputs and %u outputs; %u to %u and %u to %u are accepted", im->what,
                       n_in, node->n_outputs, op->min_in, op->max_in, op->min_out, op->max_out);
    for (uint32_t i = 0; i < op->min_in; i++)
        if (!node->inputs[i][0])
            return hb_fail(im->err, HEARTH_E_FORMAT, "%s: input %u is absent", im->what, i);
    im->bad_attr = NULL;
    hearth_status status = op->lower(im, node);
    if (im->bad_attr)
        return hb_fail(im->err, HEARTH_E_FORMAT, "%s: attribute '%s' has another type than the op's", im->what,
                       im->bad_attr);
    return status;
}

static hearth_status import_nodes(struct hx_import *im, const struct hx_node *nodes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        HB_TRY(import_node(im, &nodes[i]));
    return HEARTH_OK;
}

hearth_status hx_import(const struct hx_model *model, struct hb_arena *arena, const struct hx_import_config *config,
                        struct hx_program *out, hearth_error *err)
{
    struct hx_import im = {.arena = arena, .model = model, .g = &out->graph, .opsets = model->opsets,
                           .n_opsets = model->n_opsets, .what = "model", .weights = config->weights,
                           .err = err};
    struct hx_scope scope = {.g = &out->graph};
    struct hx_info *infos;
    im.scope = &scope;
    im.opset = import_opset(model->opsets, model->n_opsets, "");
    out->model = model;
    HB_TRY(ht_graph_init(&out->graph, arena, err));
    HB_TRY(HB_ARENA_NEW(arena, struct hx_info, model->graph.n_inputs, &infos, err));
    out->inputs = infos;
    out->outputs = model->graph.outputs;
    HB_TRY(import_graph(&im, &model->graph, infos));
    return config->no_rewrites ? HEARTH_OK : hx_fuse(&out->graph, arena, config->without, err);
}
