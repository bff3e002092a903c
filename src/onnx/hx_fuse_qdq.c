/* The rewrite "qdq": a float matmul between dequantised 8-bit tensors becomes a matmul of the integers.
 *
 *   x u8/i8 ── dequantize ──┐                         x ──┐
 *                           gemm [+ bias]     ──►        int_gemm, scale sx * sw [+ bias]
 *   w u8/i8 ── dequantize ──┘                         w ── pack_i8 ──┘
 *
 * The sum over integers is exact, so results differ from the graph as written by its rounding alone. Scales and
 * zero points are constants: one for x, one or one per column for w. */
#include "onnx/hx_fuse.h"
#include <string.h>

static const struct ht_value *qdq_const(const struct hx_fuse *f, ht_id id)
{
    return id != HT_NONE && f->g->values[id].kind == HT_VALUE_CONST ? &f->g->values[id] : NULL;
}

static bool qdq_is_byte(const struct ht_value *v)
{
    return v && (v->type == HK_U8 || v->type == HK_I8);
}

/* x: one scale, and a zero point that tells its type. */
static bool qdq_left(const struct hx_fuse *f, const struct ht_node *dq, float *scale)
{
    const struct ht_quantize *p = dq ? dq->params : NULL;
    const struct ht_value *zero = dq && dq->n_in > 2 ? qdq_const(f, dq->in[2]) : NULL;
    if (!p || p->block || !qdq_is_byte(zero) || !hx_fuse_scalar(f, dq->in[1], scale))
        return false;
    for (int d = 0; d < zero->rank; d++)
        if (zero->dim[d] != 1)
            return false;
    return true;
}

/* w [k][n]: one scale, or one per column, and as many zero points of its type, or none. */
static bool qdq_right(const struct hx_fuse *f, const struct ht_node *dq)
{
    const struct ht_quantize *p = dq ? dq->params : NULL;
    const struct ht_value *w = dq ? qdq_const(f, dq->in[0]) : NULL, *zero = NULL;
    float one;
    if (!p || p->block || !qdq_is_byte(w) || w->rank != 2 || w->dim[0] > 1 << 16 || f->uses[dq->out[0]] != 1)
        return false;
    bool columns = hx_fuse_vector(f, dq->in[1], w->dim[1]) && (p->axis == 1 || p->axis == -1);
    if (!columns && !hx_fuse_scalar(f, dq->in[1], &one))
        return false;
    if (dq->n_in < 3 || dq->in[2] == HT_NONE)
        return true;
    zero = qdq_const(f, dq->in[2]);
    return zero && zero->type == w->type && zero->rank <= 1 &&
           (columns ? zero->rank == 1 && zero->dim[0] == w->dim[1] : zero->rank == 0 || zero->dim[0] == 1);
}

/* sx * sw as a constant. */
static hearth_status qdq_scale(struct hx_fuse *f, float left, ht_id right, ht_id *out)
{
    const struct ht_value sw = f->g->values[right];
    int64_t n = sw.rank ? sw.dim[0] : 1;
    float *scale;
    HB_TRY(HB_ARENA_NEW(f->arena, float, (size_t)n, &scale, f->err));
    memcpy(scale, sw.data, (size_t)n * sizeof *scale);
    for (int64_t j = 0; j < n; j++)
        scale[j] *= left;
    if (f->g->n_values >= f->cap_values)
        return HEARTH_OK;
    return ht_graph_const(f->g, "scale", HK_F32, 1, &n, scale, out, f->err);
}

hearth_status hx_fuse_qdq(struct hx_fuse *f, struct ht_node *node)
{
    const struct ht_gemm *p = node->op == &ht_op_gemm ? node->params : NULL;
    if (!p || p->trans_a || p->trans_b || p->alpha != 1 || p->act != HT_MAP_COPY ||
        (node->n_in > 3 && node->in[3] != HT_NONE))
        return HEARTH_OK;
    const struct ht_node *x = hx_fuse_made(f, node->in[0], &ht_op_dequantize);
    struct ht_node *w = hx_fuse_made(f, node->in[1], &ht_op_dequantize);
    const struct ht_int_gemm ip = {.act = HT_MAP_COPY};
    ht_id bias = node->n_in > 2 ? node->in[2] : HT_NONE, scale = HT_NONE;
    float left;
    if (!qdq_left(f, x, &left) || !qdq_right(f, w))
        return HEARTH_OK;
    const struct ht_value *matrix = &f->g->values[w->in[0]];
    if (bias != HT_NONE && (p->beta != 1 || !hx_fuse_vector(f, bias, matrix->dim[1])))
        return HEARTH_OK;
    HB_TRY(qdq_scale(f, left, w->in[1], &scale));
    if (scale == HT_NONE)
        return HEARTH_OK;
    const ht_id in[7] = {x->in[0], w->in[0], x->in[2], w->n_in > 2 ? w->in[2] : HT_NONE, node->in[1], scale, bias};
    HB_TRY(hx_fuse_become(f, w, &ht_op_pack_i8, NULL, in + 1, 1)); /* its output is the packed matrix now */
    return hx_fuse_become(f, node, &ht_op_int_gemm, &ip, in, bias == HT_NONE ? 6 : 7);
}
