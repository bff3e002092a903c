/* A mixture of experts over sorted slots (op_route.c): every token's row is laid into the slots of its
 * experts, the slots of an expert are multiplied with that expert's matrices at once, and the results
 * are summed back.
 *
 *   expert_rows     x [T][B]            ─► [T][n_used * B]   slot s lies at s * B
 *   expert_matmul   [T][n_used * B], W  ─► [T][n_used * n]   one or two matrices, bias
 *   expert_sum      [T][n_used * n]     ─► [T][n]            weights * slots, ranks ascending, + residual
 *
 * Matrices with T rows of n_used slots are dense, so that elementwise ops between them need not know.
 * Bits: a slot's output is that of a matmul of its row alone, and the sum runs over the token's own
 * ranks, so nothing depends on who else is in the step. */
#include "graph/ht_experts.h"
#include "graph/ht_ops.h"
#include <string.h>

#define EXPERTS_UNIT_ROWS   32
#define EXPERTS_FEW         16
#define EXPERTS_MAX_WEIGHTS 2

struct experts_weight {
    const struct hk_qtype_info *info;
    const struct hk_quant *quant;
    hk_tile_fn *tile;
    const uint8_t *data; /* [n_experts][n][k] */
    const float *bias;   /* [n_experts][n] or NULL */
    size_t row_bytes;
};

struct experts_plan {
    struct experts_weight w[EXPERTS_MAX_WEIGHTS];
    int32_t n_w;
    int64_t n, k;
    size_t slot_bytes; /* of x */
};

/* ---- expert_rows ---- */

static hearth_status rows_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_expert_order *p = s->params;
    const struct ht_tensor *x = s->in[0];
    if (x->rank != 2 || x->stride[1] != 1)
        return ht_bad_shape(s, "wants rows", err);
    const int64_t dim[2] = {x->dim[0], x->dim[1] * p->n_used};
    return ht_out(b, s, 0, (enum hk_qtype)x->type, 2, dim, x->rows_sym, err);
}

static int64_t experts_row_units(const struct ht_step *s, const struct ht_run *run)
{
    return ht_rows(s->in[0], run);
}

static hearth_status rows_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                              int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_expert_order *p = s->params;
    const struct ht_tensor *x = s->in[0];
    const int32_t *token = ht_order(s->in[1], p->n_experts).token;
    size_t element = hk_qtype_info[x->type].block_bytes, bytes = (size_t)x->dim[1] * element;
    (void)run, (void)scratch, (void)err;
    for (int64_t i = begin * p->n_used; i < end * p->n_used; i++)
        memcpy(s->out[0]->data + (size_t)i * bytes,
               x->data + (size_t)(token[i] * x->stride[0]) * element, bytes);
    return HEARTH_OK;
}

/* ---- expert_matmul ---- */

static hearth_status experts_plan_weight(struct ht_bind *b, struct ht_step *s, int i,
                                         hearth_error *err)
{
    const struct ht_expert_order *p = s->params;
    struct experts_plan *e = s->plan;
    const struct ht_tensor *w = s->in[2 + i], *bias = s->in[4 + i];
    const struct hk_qtype_info *info = &hk_qtype_info[w->type];
    struct experts_weight *pw = &e->w[e->n_w++];
    if (w->rank != 3 || info->family == HK_FAMILY_PLAIN || w->dim[0] != p->n_experts ||
        w->dim[1] != s->in[2]->dim[1] || w->dim[2] != s->in[2]->dim[2])
        return ht_bad_shape(s, "weights want [experts][n][k] of a weight type", err);
    if (!ht_dense_bytes((enum hk_qtype)w->type, 1, &w->dim[2], &pw->row_bytes))
        return ht_bad_shape(s, "weight rows are no whole number of blocks", err);
    if (bias && (bias->type != HK_F32 || bias->rank != 2 || bias->dim[0] != w->dim[0] ||
                 bias->dim[1] != w->dim[1]))
        return ht_bad_shape(s, "the bias wants one f32 per expert and output", err);
    pw->info = info;
    pw->quant = &ht_bind_kernels(b)->quant[w->type];
    pw->tile = hk_table_tile(ht_bind_kernels(b), info->family);
    pw->data = w->data;
    pw->bias = bias ? (const float *)(const void *)bias->data : NULL;
    s->weight_type = w->type;
    s->weight_bytes += (uint64_t)(p->n_used * w->dim[1]) * pw->row_bytes; /* of one token */
    s->macs_per_row += (uint64_t)(p->n_used * w->dim[1] * w->dim[2]);
    ht_want_scratch(b, hk_tile_layout(info, (size_t)w->dim[2]).bytes);
    return HEARTH_OK;
}

static hearth_status experts_plan_fn(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_expert_order *p = s->params;
    const struct ht_tensor *x = s->in[0];
    HB_TRY(ht_step_private(b, s, sizeof(struct experts_plan), err));
    struct experts_plan *e = s->plan;
    for (int i = 0; i < EXPERTS_MAX_WEIGHTS; i++)
        if (s->in[2 + i])
            HB_TRY(experts_plan_weight(b, s, i, err));
    e->n = s->in[2]->dim[1];
    e->k = s->in[2]->dim[2];
    bool floats = e->w[0].info->family == HK_FAMILY_FLOAT;
    int64_t columns = e->k;
    if (!floats)
        columns = (int64_t)hk_act_row_bytes((size_t)e->k, hk_act_stretch(e->w[0].info));
    e->slot_bytes = (size_t)columns * (floats ? sizeof(float) : 1);
    if (x->rank != 2 || x->type != (floats ? HK_F32 : HK_U8) || x->dim[1] != columns * p->n_used ||
        x->stride[1] != 1 || x->stride[0] != x->dim[1])
        return ht_bad_shape(s, "x does not have the weights' k in every slot", err);
    const int64_t dim[2] = {x->dim[0], e->n * p->n_used};
    for (int32_t i = 0; i < e->n_w; i++)
        HB_TRY(ht_out(b, s, (uint32_t)i, HK_F32, 2, dim, x->rows_sym, err));
    return HEARTH_OK;
}

/* Units of one matrix of one expert; more rows each where there would be too many. */
static int64_t experts_chunks(const struct experts_plan *e, int64_t matrices, int64_t *rows)
{
    *rows = EXPERTS_UNIT_ROWS;
    while ((e->n + *rows - 1) / *rows * matrices > HT_MAX_UNITS)
        *rows *= 2;
    return (e->n + *rows - 1) / *rows;
}

static int64_t experts_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct ht_expert_order *p = s->params;
    const struct experts_plan *e = s->plan;
    int64_t rows;
    if (ht_rows(s->in[0], run) == 0)
        return 0;
    int64_t matrices = (int64_t)*ht_order(s->in[1], p->n_experts).n_active * e->n_w;
    return experts_chunks(e, matrices, &rows) * matrices;
}

/* Outputs [row, row + n_rows) of one expert's matrix for its slots [slot, slot + m). */
static void experts_rows(const struct ht_step *s, int32_t which, int32_t expert, int64_t slot,
                         int64_t m, int64_t row, int64_t n_rows, void *tile)
{
    const struct experts_plan *e = s->plan;
    const struct experts_weight *w = &e->w[which];
    size_t k = (size_t)e->k, ldy = (size_t)e->n;
    const uint8_t *src = w->data + ((size_t)expert * (size_t)e->n + (size_t)row) * w->row_bytes;
    const uint8_t *x = s->in[0]->data + (size_t)slot * e->slot_bytes;
    float *y = (float *)(void *)s->out[which]->data + (size_t)slot * ldy + (size_t)row;
    if (m == 1)
        w->quant->stream(y, src, w->row_bytes, (size_t)n_rows, x, k);
    else if (m <= EXPERTS_FEW && w->quant->few)
        w->quant->few(y, ldy, src, w->row_bytes, (size_t)n_rows, x, e->slot_bytes, (size_t)m, k);
    else
        for (int64_t r = 0; r < n_rows; r += HK_TILE_ROWS) {
            size_t n = (size_t)(n_rows - r < HK_TILE_ROWS ? n_rows - r : HK_TILE_ROWS);
            w->quant->pack(tile, src + (size_t)r * w->row_bytes, w->row_bytes, n, k);
            w->tile(y + r, ldy, n, tile, x, e->slot_bytes, (size_t)m, k, w->info);
        }
    if (!w->bias)
        return;
    const float *bias = w->bias + (size_t)expert * ldy + (size_t)row;
    for (int64_t i = 0; i < m; i++)
        for (int64_t r = 0; r < n_rows; r++)
            y[(size_t)i * ldy + (size_t)r] += bias[r];
}

static hearth_status experts_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                 int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_expert_order *p = s->params;
    const struct experts_plan *e = s->plan;
    struct ht_order o = ht_order(s->in[1], p->n_experts);
    int64_t unit_rows, chunks = experts_chunks(e, (int64_t)*o.n_active * e->n_w, &unit_rows);
    (void)run, (void)err;
    for (int64_t u = begin; u < end;) { /* neighbouring chunks of a matrix are one stream */
        int64_t matrix = u / chunks, first = u % chunks;
        int64_t last = end - u < chunks - first ? first + (end - u) : chunks;
        int64_t row = first * unit_rows, stop = last * unit_rows < e->n ? last * unit_rows : e->n;
        int32_t expert = o.active[matrix / e->n_w];
        experts_rows(s, (int32_t)(matrix % e->n_w), expert, o.start[expert],
                     o.start[expert + 1] - o.start[expert], row, stop - row, scratch);
        u += last - first;
    }
    return HEARTH_OK;
}

/* ---- expert_sum ---- */

static hearth_status sum_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_expert_order *p = s->params;
    const struct ht_tensor *x = s->in[0], *weight = s->in[2], *residual = s->in[3];
    int64_t n = x->dim[1] / p->n_used;
    if (x->rank != 2 || x->type != HK_F32 || weight->rank != 2 || weight->dim[1] != p->n_used)
        return ht_bad_shape(s, "wants slots and one weight for each", err);
    if (residual && (residual->type != HK_F32 || residual->rank != 2 || residual->dim[1] != n))
        return ht_bad_shape(s, "the residual does not have the output's shape", err);
    ht_want_scratch(b, (size_t)n * sizeof(float));
    const int64_t dim[2] = {x->dim[0], n};
    return ht_out(b, s, 0, HK_F32, 2, dim, x->rows_sym, err);
}

static hearth_status sum_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                             int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_expert_order *p = s->params;
    const struct hk_table *k = run->kernels;
    const int32_t *slot = ht_order(s->in[1], p->n_experts).slot;
    size_t n = (size_t)s->out[0]->dim[1];
    (void)err;
    for (int64_t t = begin; t < end; t++) {
        const float *weight = ht_row_f32(s->in[2], t);
        float *y = ht_row_f32(s->out[0], t), *term = scratch;
        for (int32_t j = 0; j < p->n_used; j++) {
            const float *x = ht_row_f32(s->in[0], 0) + (size_t)slot[t * p->n_used + j] * n;
            k->scale_f32(j ? term : y, x, weight[j], n);
            if (j)
                k->add_f32(y, y, term, n);
        }
        if (s->in[3])
            k->add_f32(y, y, ht_row_f32(s->in[3], t), n);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_expert_rows = {"expert_rows", sizeof(struct ht_expert_order), rows_plan,
                                        experts_row_units, rows_run, 0, 0};
const struct ht_op ht_op_expert_matmul = {"expert_matmul", sizeof(struct ht_expert_order),
                                          experts_plan_fn, experts_units, experts_run, 0, 0};
const struct ht_op ht_op_expert_sum = {"expert_sum", sizeof(struct ht_expert_order), sum_plan,
                                       experts_row_units, sum_run, 0, 0};
