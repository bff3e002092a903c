/* Rewrites of a graph (hx_import.h names them). Each looks at the last node of its pattern and turns
 * it into one op over the pattern's inputs; what nobody uses any more is dropped at the end. */
#include "onnx/hx_fuse.h"
#include "graph/ht_plan.h"
#include <string.h>

#define FUSE_MAX_NODES 16384

static void fuse_count(struct hx_fuse *f)
{
    struct ht_graph *g = f->g;
    memset(f->uses, 0, sizeof *f->uses * g->n_values);
    memset(f->producer, 0xFF, sizeof *f->producer * g->n_values);
    for (uint32_t n = 0; n < g->n_nodes; n++) {
        const struct ht_node *node = &g->nodes[n];
        for (uint32_t i = 0; i < node->n_in; i++)
            if (node->in[i] != HT_NONE)
                f->uses[node->in[i]]++;
        for (uint32_t i = 0; i < node->n_out; i++)
            if (node->out[i] != HT_NONE)
                f->producer[node->out[i]] = n;
        for (uint32_t i = 0; i < node->n_sub; i++)
            for (uint32_t c = 0; c < node->sub[i]->n_captures; c++)
                f->uses[node->sub[i]->captures[c].outer]++;
    }
    for (uint32_t i = 0; i < g->n_outputs; i++)
        f->uses[g->outputs[i]]++;
}

struct ht_node *hx_fuse_made(const struct hx_fuse *f, ht_id id, const struct ht_op *op)
{
    if (id == HT_NONE || f->producer[id] == UINT32_MAX)
        return NULL;
    struct ht_node *n = &f->g->nodes[f->producer[id]];
    return n->op == op ? n : NULL;
}

struct ht_node *hx_fuse_map(const struct hx_fuse *f, ht_id id, unsigned kind)
{
    struct ht_node *n = hx_fuse_made(f, id, &ht_op_map);
    return n && ((const struct ht_map *)n->params)->kind == kind ? n : NULL;
}

bool hx_fuse_scalar(const struct hx_fuse *f, ht_id id, float *v)
{
    if (id == HT_NONE)
        return false;
    const struct ht_value *c = &f->g->values[id];
    if (c->kind != HT_VALUE_CONST || c->type != HK_F32)
        return false;
    for (int d = 0; d < c->rank; d++)
        if (c->dim[d] != 1)
            return false;
    memcpy(v, c->data, sizeof *v);
    return true;
}

bool hx_fuse_is(const struct hx_fuse *f, ht_id id, float want)
{
    float v;
    return hx_fuse_scalar(f, id, &v) && v - want < 1e-5f && want - v < 1e-5f;
}

/* A constant vector of floats with n elements (0: any number above one). */
bool hx_fuse_vector(const struct hx_fuse *f, ht_id id, int64_t n)
{
    if (id == HT_NONE)
        return false;
    const struct ht_value *c = &f->g->values[id];
    return c->kind == HT_VALUE_CONST && c->type == HK_F32 && c->rank == 1 &&
           (n ? c->dim[0] == n : c->dim[0] > 1);
}

hearth_status hx_fuse_become(struct hx_fuse *f, struct ht_node *node, const struct ht_op *op,
                                 const void *params, const ht_id *in, uint32_t n_in)
{
    void *copy;
    ht_id *ids;
    HB_TRY(hb_arena_take(f->arena, op->params_size, 16, &copy, f->err));
    HB_TRY(HB_ARENA_NEW(f->arena, ht_id, n_in, &ids, f->err));
    if (params)
        memcpy(copy, params, op->params_size);
    memcpy(ids, in, sizeof *ids * n_in);
    node->op = op;
    node->params = copy;
    node->in = ids;
    node->n_in = n_in;
    fuse_count(f);
    return HEARTH_OK;
}


/* ---- gelu ---- */

/* Factors of nested products whose inner results nobody else uses. */
static void fuse_factors(const struct hx_fuse *f, const struct ht_node *mul, ht_id *list, int *n, int depth)
{
    for (uint32_t i = 0; i < 2; i++) {
        const struct ht_node *inner = hx_fuse_map(f, mul->in[i], HT_MAP_MUL);
        if (inner && f->uses[mul->in[i]] == 1 && depth > 0)
            fuse_factors(f, inner, list, n, depth - 1);
        else if (*n < 4)
            list[(*n)++] = mul->in[i];
    }
}

/* 1 + erf(x / sqrt 2): gives x. */
static ht_id fuse_erf_of(const struct hx_fuse *f, ht_id id)
{
    const struct ht_node *add = hx_fuse_map(f, id, HT_MAP_ADD), *erf, *div;
    if (!add)
        return HT_NONE;
    ht_id inner = hx_fuse_is(f, add->in[1], 1) ? add->in[0] : hx_fuse_is(f, add->in[0], 1) ? add->in[1] : HT_NONE;
    erf = hx_fuse_map(f, inner, HT_MAP_ERF);
    if (!erf)
        return HT_NONE;
    if ((div = hx_fuse_map(f, erf->in[0], HT_MAP_DIV)) && hx_fuse_is(f, div->in[1], 1.41421356f))
        return div->in[0];
    div = hx_fuse_map(f, erf->in[0], HT_MAP_MUL);
    if (div && hx_fuse_is(f, div->in[1], 0.70710678f))
        return div->in[0];
    return div && hx_fuse_is(f, div->in[0], 0.70710678f) ? div->in[1] : HT_NONE;
}

static hearth_status fuse_gelu(struct hx_fuse *f, struct ht_node *node)
{
    ht_id factor[4], x = HT_NONE;
    int n = 0;
    bool half = false, same = false;
    if (node->op != &ht_op_map || ((const struct ht_map *)node->params)->kind != HT_MAP_MUL)
        return HEARTH_OK;
    fuse_factors(f, node, factor, &n, 2);
    for (int i = 0; i < n && n == 3 && x == HT_NONE; i++)
        x = fuse_erf_of(f, factor[i]);
    for (int i = 0; i < n && x != HT_NONE; i++) {
        same = same || factor[i] == x;
        half = half || hx_fuse_is(f, factor[i], 0.5f);
    }
    if (n != 3 || !same || !half)
        return HEARTH_OK;
    const struct ht_map p = {.kind = HT_MAP_GELU};
    return hx_fuse_become(f, node, &ht_op_map, &p, &x, 1);
}

/* ---- layer_norm ---- */

static bool fuse_last_axis(const struct hx_fuse *f, const struct ht_node *n)
{
    const struct ht_reduce *p = n->params;
    if (p->kind != HT_MEAN || !p->keep)
        return false;
    if (n->n_in > 1 && n->in[1] != HT_NONE) {
        const struct ht_value *c = &f->g->values[n->in[1]];
        int64_t axis;
        if (c->kind != HT_VALUE_CONST || c->type != HK_I64 || c->rank > 1 || (c->rank && c->dim[0] != 1))
            return false;
        memcpy(&axis, c->data, sizeof axis);
        return axis == -1;
    }
    return p->n == 1 && p->axes[0] == -1;
}

/* x - mean(x): gives x. */
static ht_id fuse_centred(const struct hx_fuse *f, ht_id id)
{
    const struct ht_node *sub = hx_fuse_map(f, id, HT_MAP_SUB);
    const struct ht_node *mean = sub ? hx_fuse_made(f, sub->in[1], &ht_op_reduce) : NULL;
    return mean && fuse_last_axis(f, mean) && mean->in[0] == sub->in[0] ? sub->in[0] : HT_NONE;
}

/* sqrt(mean((x - mean)^2) + eps): gives x. */
static ht_id fuse_deviation(const struct hx_fuse *f, ht_id id, float *eps)
{
    const struct ht_node *sqrt = hx_fuse_map(f, id, HT_MAP_SQRT);
    const struct ht_node *add = sqrt ? hx_fuse_map(f, sqrt->in[0], HT_MAP_ADD) : NULL;
    if (!add)
        return HT_NONE;
    ht_id var = hx_fuse_scalar(f, add->in[1], eps) ? add->in[0] : hx_fuse_scalar(f, add->in[0], eps) ? add->in[1]
                                                                                               : HT_NONE;
    const struct ht_node *mean = hx_fuse_made(f, var, &ht_op_reduce);
    if (!mean || !fuse_last_axis(f, mean) || !(*eps >= 0))
        return HT_NONE;
    const struct ht_node *square = hx_fuse_map(f, mean->in[0], HT_MAP_POW);
    if (square)
        return hx_fuse_is(f, square->in[1], 2) ? fuse_centred(f, square->in[0]) : HT_NONE;
    square = hx_fuse_map(f, mean->in[0], HT_MAP_MUL);
    return square && square->in[0] == square->in[1] ? fuse_centred(f, square->in[0]) : HT_NONE;
}

static hearth_status fuse_layer_norm(struct hx_fuse *f, struct ht_node *node)
{
    if (node->op != &ht_op_map || ((const struct ht_map *)node->params)->kind != HT_MAP_ADD)
        return HEARTH_OK;
    for (uint32_t i = 0; i < 2; i++) {
        const struct ht_node *mul = hx_fuse_map(f, node->in[i], HT_MAP_MUL), *div;
        ht_id bias = node->in[1 - i];
        for (uint32_t k = 0; mul && k < 2; k++) {
            struct ht_layer_norm p = {.axis = -1};
            ht_id scale = mul->in[1 - k], x;
            div = hx_fuse_map(f, mul->in[k], HT_MAP_DIV);
            if (!div || !hx_fuse_vector(f, scale, 0) || !hx_fuse_vector(f, bias, f->g->values[scale].dim[0]))
                continue;
            x = fuse_centred(f, div->in[0]);
            if (x == HT_NONE || fuse_deviation(f, div->in[1], &p.eps) != x)
                continue;
            const ht_id in[3] = {x, scale, bias};
            return hx_fuse_become(f, node, &ht_op_layer_norm, &p, in, 3);
        }
    }
    return HEARTH_OK;
}

/* ---- matmul_bias_act ---- */

static hearth_status fuse_bias(struct hx_fuse *f, struct ht_node *node)
{
    if (node->op != &ht_op_map || ((const struct ht_map *)node->params)->kind != HT_MAP_ADD)
        return HEARTH_OK;
    for (uint32_t i = 0; i < 2; i++) {
        const struct ht_node *mm = hx_fuse_made(f, node->in[i], &ht_op_gemm);
        ht_id bias = node->in[1 - i];
        if (!mm || f->uses[node->in[i]] != 1 || (mm->n_in > 2 && mm->in[2] != HT_NONE))
            continue;
        struct ht_gemm p = *(const struct ht_gemm *)mm->params;
        const struct ht_value *w = &f->g->values[mm->in[1]];
        if (p.act != HT_MAP_COPY || w->kind != HT_VALUE_CONST || w->rank != 2 || w->type != HK_F32 ||
            !hx_fuse_vector(f, bias, w->dim[p.trans_b ? 0 : 1]))
            continue;
        const ht_id in[5] = {mm->in[0], mm->in[1], bias, mm->n_in > 3 ? mm->in[3] : HT_NONE,
                             mm->n_in > 4 ? mm->in[4] : HT_NONE};
        p.beta = 1;
        return hx_fuse_become(f, node, &ht_op_gemm, &p, in, 5);
    }
    return HEARTH_OK;
}

static hearth_status fuse_act(struct hx_fuse *f, struct ht_node *node)
{
    if (node->op != &ht_op_map)
        return HEARTH_OK;
    unsigned kind = ((const struct ht_map *)node->params)->kind;
    if (kind != HT_MAP_GELU && kind != HT_MAP_GELU_TANH && kind != HT_MAP_RELU && kind != HT_MAP_TANH)
        return HEARTH_OK;
    const struct ht_node *mm = hx_fuse_made(f, node->in[0], &ht_op_gemm);
    const struct ht_node *im = hx_fuse_made(f, node->in[0], &ht_op_int_gemm);
    if (f->uses[node->in[0]] != 1)
        return HEARTH_OK;
    if (im && im->n_in > 5 && ((const struct ht_int_gemm *)im->params)->act == HT_MAP_COPY) {
        const struct ht_int_gemm p = {.act = (uint8_t)kind};
        return hx_fuse_become(f, node, &ht_op_int_gemm, &p, im->in, im->n_in);
    }
    if (!mm)
        return HEARTH_OK;
    const struct ht_value *w = &f->g->values[mm->in[1]]; /* constant: surely float32 */
    struct ht_gemm p = *(const struct ht_gemm *)mm->params;
    if (p.act != HT_MAP_COPY || w->kind != HT_VALUE_CONST || w->type != HK_F32)
        return HEARTH_OK;
    p.act = (uint8_t)kind;
    return hx_fuse_become(f, node, &ht_op_gemm, &p, mm->in, mm->n_in);
}

/* ---- int_matmul_scale ---- */

/* A scale made of constants and outputs of dynamic quantisation: a float scalar, or a constant vector. */
static bool fuse_is_scale(const struct hx_fuse *f, ht_id id, int64_t n, int depth)
{
    float v;
    const struct ht_node *mul = hx_fuse_map(f, id, HT_MAP_MUL);
    const struct ht_node *q = hx_fuse_made(f, id, &ht_op_dynamic_quantize);
    if (q && q->n_out > 1 && q->out[1] == id)
        return true;
    if (mul && depth > 0)
        return fuse_is_scale(f, mul->in[0], n, depth - 1) && fuse_is_scale(f, mul->in[1], n, depth - 1);
    return hx_fuse_scalar(f, id, &v) || hx_fuse_vector(f, id, n);
}

static hearth_status fuse_int_scale(struct hx_fuse *f, struct ht_node *node)
{
    if (node->op != &ht_op_map)
        return HEARTH_OK;
    unsigned kind = ((const struct ht_map *)node->params)->kind;
    for (uint32_t i = 0; i < 2 && kind == HT_MAP_MUL; i++) {
        const struct ht_node *cast = hx_fuse_map(f, node->in[i], HT_MAP_CAST);
        const struct ht_node *mm = cast ? hx_fuse_made(f, cast->in[0], &ht_op_int_gemm) : NULL;
        if (!mm || mm->n_in != 5 || f->uses[node->in[i]] != 1 || f->uses[cast->in[0]] != 1 ||
            ((const struct ht_map *)cast->params)->type != HK_F32)
            continue;
        const struct ht_value *w = &f->g->values[mm->in[1]];
        if (w->kind != HT_VALUE_CONST || w->rank != 2 || !fuse_is_scale(f, node->in[1 - i], w->dim[1], 2))
            continue;
        const ht_id in[6] = {mm->in[0], mm->in[1], mm->in[2], mm->in[3], mm->in[4], node->in[1 - i]};
        return hx_fuse_become(f, node, &ht_op_int_gemm, mm->params, in, 6);
    }
    for (uint32_t i = 0; i < 2 && kind == HT_MAP_ADD; i++) {
        const struct ht_node *mm = hx_fuse_made(f, node->in[i], &ht_op_int_gemm);
        if (!mm || mm->n_in != 6 || ((const struct ht_int_gemm *)mm->params)->act != HT_MAP_COPY || f->uses[node->in[i]] != 1 ||
            !hx_fuse_vector(f, node->in[1 - i], f->g->values[mm->in[1]].dim[1]))
            continue;
        ht_id in[7];
        memcpy(in, mm->in, sizeof *in * 6);
        in[6] = node->in[1 - i];
        return hx_fuse_become(f, node, &ht_op_int_gemm, mm->params, in, 7);
    }
    return HEARTH_OK;
}

/* ---- all of them ---- */

/* Drop nodes of which no output is used, last first. */
static void fuse_drop(struct hx_fuse *f)
{
    struct ht_graph *g = f->g;
    uint32_t kept = 0;
    for (uint32_t n = g->n_nodes; n-- > 0;) {
        struct ht_node *node = &g->nodes[n];
        bool used = node->n_out == 0;
        for (uint32_t i = 0; i < node->n_out; i++)
            used = used || (node->out[i] != HT_NONE && f->uses[node->out[i]] > 0);
        if (used)
            continue;
        for (uint32_t i = 0; i < node->n_in; i++)
            if (node->in[i] != HT_NONE)
                f->uses[node->in[i]]--;
        for (uint32_t i = 0; i < node->n_sub; i++)
            for (uint32_t c = 0; c < node->sub[i]->n_captures; c++)
                f->uses[node->sub[i]->captures[c].outer]--;
        node->op = NULL;
    }
    for (uint32_t n = 0; n < g->n_nodes; n++)
        if (g->nodes[n].op)
            g->nodes[kept++] = g->nodes[n];
    g->n_nodes = kept;
}

static const struct {
    const char *name;
    hearth_status (*look)(struct hx_fuse *f, struct ht_node *node);
} fuse_rewrites[] = {
    {"qdq", hx_fuse_qdq},
    {"attention", hx_fuse_attention},
    {"gelu", fuse_gelu},
    {"layer_norm", fuse_layer_norm},
    {"matmul_bias", fuse_bias},
    {"int_matmul_scale", fuse_int_scale},
    {"matmul_act", fuse_act},
};

static hearth_status fuse_unknown(const char *name, size_t n, hearth_error *err)
{
    char known[160];
    size_t len = 0;
    for (size_t r = 0; r < HB_COUNT(fuse_rewrites); r++)
        len += hb_format(known + len, sizeof known - len, " %s", fuse_rewrites[r].name);
    return hb_fail(err, HEARTH_E_NOT_FOUND, "rewrites: there is none of the name '%.*s'; known:%s", (int)n, name, known);
}

/* Bits of the rewrites that a list names. */
static hearth_status fuse_without(const char *list, uint32_t *without, hearth_error *err)
{
    *without = 0;
    for (const char *at = list ? list : ""; *at;) {
        size_t n = 0, r = 0;
        while (at[n] && at[n] != ',')
            n++;
        while (r < HB_COUNT(fuse_rewrites) &&
               (strlen(fuse_rewrites[r].name) != n || memcmp(fuse_rewrites[r].name, at, n) != 0))
            r++;
        if (r == HB_COUNT(fuse_rewrites))
            return fuse_unknown(at, n < 64 ? n : 64, err);
        *without |= 1u << r;
        at += n + (at[n] == ',');
    }
    return HEARTH_OK;
}

hearth_status hx_fuse(struct ht_graph *g, struct hb_arena *arena, const char *without, hearth_error *err)
{
    struct hx_fuse f = {.g = g, .arena = arena, .err = err};
    uint32_t skip;
    HB_TRY(fuse_without(without, &skip, err));
    if (g->n_nodes > FUSE_MAX_NODES) /* counting anew after each rewrite is quadratic */
        return HEARTH_OK;
    f.cap_values = g->n_values + g->n_nodes; /* rewrites add a constant for a node at most */
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, f.cap_values, &f.producer, err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, f.cap_values, &f.uses, err));
    fuse_count(&f);
    for (size_t r = 0; r < HB_COUNT(fuse_rewrites); r++) {
        if (skip >> r & 1)
            continue;
        for (uint32_t n = 0; n < g->n_nodes; n++)
            HB_TRY(fuse_rewrites[r].look(&f, &g->nodes[n]));
        fuse_count(&f);
        fuse_drop(&f);
        fuse_count(&f);
    }
    return HEARTH_OK;
}
