/* The rewrite "attention": softmax(q k * scale + mask) v written out in matmuls, as exporters do it.
 *
 *   q [* c]  k [* c] ── gemm ── [* c | / c] ── [+ mask] ── softmax ── [NaN to 0] ── gemm ── v
 *
 * What is in brackets may be absent, but one float32 factor tells the type of all. Every inner result must have
 * no other use. */
#include "onnx/hx_fuse.h"

static const struct ht_node *attention_once(const struct hx_fuse *f, ht_id id, unsigned kind)
{
    return id != HT_NONE && f->uses[id] == 1 ? hx_fuse_map(f, id, kind) : NULL;
}

/* x * c: gives x and c. */
static bool attention_factor(const struct hx_fuse *f, ht_id id, ht_id *x, float *c)
{
    const struct ht_node *mul = attention_once(f, id, HT_MAP_MUL);
    for (uint32_t i = 0; i < 2 && mul; i++)
        if (hx_fuse_scalar(f, mul->in[1 - i], c) && f->g->values[mul->in[1 - i]].rank <= 1) {
            *x = mul->in[i];
            return true;
        }
    return false;
}

static const struct ht_gemm *attention_gemm(const struct ht_node *n)
{
    const struct ht_gemm *p = n->params;
    bool plain = p->act == HT_MAP_COPY && !p->trans_a && (n->n_in < 3 || n->in[2] == HT_NONE) &&
                 (n->n_in < 4 || n->in[3] == HT_NONE);
    return plain ? p : NULL;
}

/* The softmax behind which values are summed. */
static const struct ht_node *attention_softmax(const struct hx_fuse *f, ht_id id, struct ht_sdpa *p)
{
    const struct ht_node *where = attention_once(f, id, HT_MAP_WHERE), *soft;
    uint32_t uses = 1;
    float zero;
    if (where) {
        const struct ht_node *nan = attention_once(f, where->in[0], HT_MAP_ISNAN);
        if (!nan || nan->in[0] != where->in[2] || !hx_fuse_scalar(f, where->in[1], &zero) || zero != 0 ||
            f->g->values[where->in[1]].rank > 1)
            return NULL;
        id = where->in[2];
        uses = 2;
        p->flags |= HK_SOFT_NO_NAN;
    }
    soft = hx_fuse_made(f, id, &ht_op_softmax);
    if (!soft || f->uses[id] != uses)
        return NULL;
    const struct ht_softmax *sp = soft->params;
    return sp->kind == HT_SOFTMAX && sp->axis == -1 ? soft : NULL;
}

/* From scores, scaled or not, to the product of q and k. */
static const struct ht_node *attention_product(const struct hx_fuse *f, ht_id id, struct ht_sdpa *p)
{
    const struct ht_node *div = attention_once(f, id, HT_MAP_DIV), *mm;
    bool scaled = attention_factor(f, id, &id, &p->scale);
    if (!scaled && div && hx_fuse_scalar(f, div->in[1], &p->scale) && f->g->values[div->in[1]].rank <= 1) {
        p->flags |= HK_SOFT_DIVIDE;
        id = div->in[0];
        scaled = true;
    }
    mm = id != HT_NONE && f->uses[id] == 1 ? hx_fuse_made(f, id, &ht_op_gemm) : NULL;
    const struct ht_gemm *g = mm ? attention_gemm(mm) : NULL;
    if (!g || (g->alpha != 1 && scaled))
        return NULL;
    p->scale = g->alpha != 1 ? g->alpha : scaled ? p->scale : 1;
    p->k_rows = g->trans_b;
    return mm;
}

hearth_status hx_fuse_attention(struct hx_fuse *f, struct ht_node *node)
{
    struct ht_sdpa p = {.scale = 1, .q_scale = 1, .k_scale = 1};
    const struct ht_gemm *last = node->op == &ht_op_gemm ? attention_gemm(node) : NULL;
    const struct ht_node *soft = last ? attention_softmax(f, node->in[0], &p) : NULL, *mm, *add;
    if (!soft || last->alpha != 1 || last->trans_b)
        return HEARTH_OK;
    ht_id in[4] = {HT_NONE, HT_NONE, node->in[1], HT_NONE};
    uint8_t flags = p.flags;
    mm = attention_product(f, soft->in[0], &p);
    add = attention_once(f, soft->in[0], HT_MAP_ADD);
    for (uint32_t i = 0; i < 2 && add && !mm; i++) {
        p.flags = flags;
        mm = attention_product(f, add->in[i], &p);
        in[3] = add->in[1 - i];
    }
    bool is_f32 = p.flags != 0 || p.scale != 1;
    for (uint32_t i = 0; i < 2 && mm; i++) {
        bool found = attention_factor(f, mm->in[i], &in[i], i ? &p.k_scale : &p.q_scale);
        in[i] = found ? in[i] : mm->in[i];
        is_f32 = is_f32 || found;
    }
    if (!mm || !is_f32)
        return HEARTH_OK;
    return hx_fuse_become(f, node, &ht_op_sdpa, &p, in, 4);
}
