/* matmul: rows of x times up to three weight matrices into neighbouring columns of one output.
 *
 *   tokens      unit                          entry
 *   1           ROWS_STREAM weight rows       stream, straight from the stored blocks
 *   2..16       ROWS_STREAM weight rows       few, where the type has one
 *   more        MATMUL_ROWS_TILE weight rows  pack, then the family's tile kernel over all tokens
 *
 * All three give the same bits (kernels.h), so the choice is only speed. The epilogue runs over the
 * unit's outputs while they are in cache: y = (y * scale + bias) + residual. */
#include "graph/ht_plan.h"
#include "graph/ht_ops.h"

#define MATMUL_MAX_WEIGHTS 3
#define MATMUL_ROWS_STREAM 32
#define MATMUL_ROWS_TILE   (HK_TILE_ROWS * HK_TILE_GROUP)
#define MATMUL_FEW         16

struct matmul_weight {
    const struct hk_qtype_info *info;
    const struct hk_quant *quant;
    hk_tile_fn *tile;
    const uint8_t *data;
    const float *bias;
    size_t row_bytes;
    int64_t n, first; /* outputs, and where they stand in the output row */
};

struct matmul_plan {
    struct matmul_weight w[MATMUL_MAX_WEIGHTS];
    int32_t n_w;
    int64_t k;
    int64_t n; /* all outputs */
};

static hearth_status matmul_plan_weight(struct ht_bind *b, struct ht_step *s, int i,
                                        hearth_error *err)
{
    struct matmul_plan *p = s->plan;
    const struct ht_tensor *w = s->in[1 + i], *bias = s->in[4 + i];
    const struct hk_qtype_info *info = &hk_qtype_info[w->type];
    struct matmul_weight *pw = &p->w[p->n_w];
    if (w->rank != 2 || info->family == HK_FAMILY_PLAIN || w->dim[1] != s->in[1]->dim[1])
        return ht_bad_shape(s, "weights want [n][k] of a weight type, all with one k", err);
    if (!ht_dense_bytes((enum hk_qtype)w->type, 1, &w->dim[1], &pw->row_bytes))
        return ht_bad_shape(s, "weight rows are no whole number of blocks", err);
    if (bias && (bias->type != HK_F32 || bias->rank != 1 || bias->dim[0] != w->dim[0]))
        return ht_bad_shape(s, "the bias wants one f32 per output", err);
    pw->info = info;
    pw->quant = &ht_bind_kernels(b)->quant[w->type];
    pw->tile = hk_table_tile(ht_bind_kernels(b), info->family);
    pw->data = w->data;
    pw->bias = bias ? (const float *)(const void *)bias->data : NULL;
    pw->n = w->dim[0];
    pw->first = p->n;
    p->n += pw->n;
    p->n_w++;
    s->weight_type = s->in[1]->type;
    s->weight_bytes += (uint64_t)pw->n * pw->row_bytes;
    s->macs_per_row += (uint64_t)pw->n * (uint64_t)w->dim[1];
    ht_want_scratch(b, HK_TILE_GROUP * hk_tile_layout(info, (size_t)w->dim[1]).bytes);
    return HEARTH_OK;
}

static hearth_status matmul_plan_fn(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0], *residual = s->in[7];
    HB_TRY(ht_step_private(b, s, sizeof(struct matmul_plan), err));
    struct matmul_plan *p = s->plan;
    for (int i = 0; i < MATMUL_MAX_WEIGHTS; i++)
        if (s->in[1 + i])
            HB_TRY(matmul_plan_weight(b, s, i, err));
    p->k = s->in[1]->dim[1];
    bool floats = p->w[0].info->family == HK_FAMILY_FLOAT;
    int64_t columns = p->k;
    if (!floats)
        columns = (int64_t)hk_act_row_bytes((size_t)p->k, hk_act_stretch(p->w[0].info));
    if (x->rank != 2 || x->type != (floats ? HK_F32 : HK_U8) || x->dim[1] != columns ||
        x->stride[1] != 1)
        return ht_bad_shape(s, "x does not have the weights' k", err);
    if (residual && (residual->type != HK_F32 || residual->rank != 2 || residual->dim[1] != p->n))
        return ht_bad_shape(s, "the residual does not have the output's shape", err);
    const int64_t dim[2] = {x->dim[0], p->n};
    return ht_out(b, s, 0, HK_F32, 2, dim, x->rows_sym, err);
}

static int64_t matmul_unit_rows(const struct matmul_weight *w, int64_t tokens)
{
    if (tokens == 1 || (tokens <= MATMUL_FEW && w->quant->few))
        return MATMUL_ROWS_STREAM;
    return MATMUL_ROWS_TILE;
}

/* Outputs per unit are doubled until the units of one weight fit the limit of a phase. */
static int64_t matmul_weight_units(const struct matmul_weight *w, int64_t tokens, int64_t *rows)
{
    *rows = matmul_unit_rows(w, tokens);
    while ((w->n + *rows - 1) / *rows > HT_MAX_UNITS / MATMUL_MAX_WEIGHTS)
        *rows *= 2;
    return (w->n + *rows - 1) / *rows;
}

static int64_t matmul_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct matmul_plan *p = s->plan;
    int64_t tokens = ht_rows(s->in[0], run), units = 0, rows;
    if (tokens == 0)
        return 0;
    for (int32_t i = 0; i < p->n_w; i++)
        units += matmul_weight_units(&p->w[i], tokens, &rows);
    return units;
}

static void matmul_epilogue(const struct ht_step *s, const struct matmul_weight *w, int64_t row,
                            int64_t n_rows, int64_t tokens)
{
    float scale = ((const struct ht_matmul *)s->params)->scale;
    if (scale == 1 && !w->bias && !s->in[7])
        return;
    for (int64_t t = 0; t < tokens; t++) {
        float *y = ht_row_f32(s->out[0], t) + w->first + row;
        if (scale != 1)
            for (int64_t r = 0; r < n_rows; r++)
                y[r] *= scale;
        if (w->bias)
            for (int64_t r = 0; r < n_rows; r++)
                y[r] += w->bias[row + r];
        if (s->in[7]) {
            const float *add = ht_row_f32(s->in[7], t) + w->first + row;
            for (int64_t r = 0; r < n_rows; r++)
                y[r] += add[r];
        }
    }
}

/* Outputs [row, row + n_rows) of one weight for all tokens. */
static void matmul_rows(const struct ht_step *s, const struct matmul_weight *w, int64_t row,
                        int64_t n_rows, int64_t tokens, uint8_t *tile)
{
    const struct matmul_plan *p = s->plan;
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    float *dst = ht_row_f32(y, 0) + w->first + row;
    const uint8_t *src = w->data + (size_t)row * w->row_bytes;
    size_t k = (size_t)p->k, ldy = (size_t)y->stride[0];
    size_t x_stride = (size_t)x->stride[0] * hk_qtype_info[x->type].block_bytes;
    if (tokens == 1) {
        w->quant->stream(dst, src, w->row_bytes, (size_t)n_rows, x->data, k);
        return;
    }
    if (tokens <= MATMUL_FEW && w->quant->few) {
        w->quant->few(dst, ldy, src, w->row_bytes, (size_t)n_rows, x->data, x_stride,
                      (size_t)tokens, k);
        return;
    }
    size_t rows = (size_t)n_rows, tile_bytes = hk_tile_layout(w->info, k).bytes;
    for (size_t r = 0; r < rows; r += MATMUL_ROWS_TILE) {
        size_t group = rows - r < MATMUL_ROWS_TILE ? rows - r : MATMUL_ROWS_TILE;
        for (size_t t = 0; t < group; t += HK_TILE_ROWS)
            w->quant->pack(tile + t / HK_TILE_ROWS * tile_bytes, src + (r + t) * w->row_bytes,
                           w->row_bytes, group - t < HK_TILE_ROWS ? group - t : HK_TILE_ROWS, k);
        w->tile(dst + r, ldy, group, tile, x->data, x_stride, (size_t)tokens, k, w->info);
    }
}

static hearth_status matmul_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                int64_t begin, int64_t end, hearth_error *err)
{
    const struct matmul_plan *p = s->plan;
    int64_t tokens = ht_rows(s->in[0], run), base = 0;
    (void)err;
    for (int32_t i = 0; i < p->n_w && base < end; i++) {
        const struct matmul_weight *w = &p->w[i];
        int64_t unit_rows, n_units = matmul_weight_units(w, tokens, &unit_rows);
        int64_t lo = begin > base ? begin - base : 0;
        int64_t hi = end - base < n_units ? end - base : n_units;
        if (lo < hi) { /* neighbouring units are one call: one long stream of weights */
            int64_t row = lo * unit_rows;
            int64_t n_rows = (hi * unit_rows < w->n ? hi * unit_rows : w->n) - row;
            matmul_rows(s, w, row, n_rows, tokens, scratch);
            matmul_epilogue(s, w, row, n_rows, tokens);
        }
        base += n_units;
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_matmul = {"matmul", sizeof(struct ht_matmul), matmul_plan_fn,
                                   matmul_units, matmul_run, 0, 0};
