/* gemm: matmul of tensors with numpy's broadcasting over leading dimensions.
 *
 * float32: units are (batch, block of rows, panel of 32 columns). The panel [k][32] was packed ahead
 * (op_pack.c), or lies so that it can be read in place, or is packed into scratch by the unit. The kernel
 * runs over blocks of k, ascending: one chain per output, whatever the blocking. Weights converted to
 * bfloat16 are widened block by block; as Q8_0 they are tiles for the kernels of block formats, and the left
 * side comes as int8 rows.
 * Other types: plain loops in double, or wrapping 64-bit integers. */
#include "graph/ht_pack.h"
#include "graph/ht_strip.h"
#include "graph/ht_math.h"
#include <string.h>

#define GEMM_COLS HT_PANEL
#define GEMM_K    512
#define GEMM_ROWS 96
#define GEMM_LEFT (512 * 1024) /* bytes of a block of rows of a that are read again for each packed panel */

struct gemm_plan {
    int64_t m, n, k, batches;
    int64_t a_row, a_k, b_k, b_col, y_batch; /* strides in elements */
    struct ht_walk walk;               /* batch dimensions: a, b */
    int64_t n_panels, n_blocks;
    bool packed;                       /* s->in[3] holds the panels of b, in f32 or bf16 */
    bool q8;                           /* s->in[3] holds tiles of b, s->in[4] rows of a */
    bool plain_c;                      /* nothing, or a vector of n: finish_f32 does it all */
    int64_t c_row, c_col;              /* strides of c, 0 where broadcast */
    struct ht_walk c_walk;
};

/* Operand as [batch..][rows][cols]; 1-D operands get the missing dimension. */
static void gemm_operand(const struct ht_tensor *t, bool left, bool trans, struct ht_tensor *out)
{
    *out = *t;
    if (t->rank == 1) {
        out->rank = 2;
        out->dim[0] = left ? 1 : t->dim[0];
        out->dim[1] = left ? t->dim[0] : 1;
        out->stride[0] = left ? 0 : t->stride[0];
        out->stride[1] = left ? t->stride[0] : 0;
        return;
    }
    if (trans) {
        int r = t->rank;
        out->dim[r - 2] = t->dim[r - 1];
        out->dim[r - 1] = t->dim[r - 2];
        out->stride[r - 2] = t->stride[r - 1];
        out->stride[r - 1] = t->stride[r - 2];
    }
}

/* All dimensions of `a` but the last as one, if the rows then have one distance. Dimensions of 1 have no say:
 * their strides mean nothing. */
static bool gemm_join(const struct ht_tensor *a, int64_t *rows, int64_t *row_stride)
{
    int64_t n = 1, step = 0;
    for (int d = a->rank - 2; d >= 0; d--) {
        if (a->dim[d] == 1)
            continue;
        if (n == 1)
            step = a->stride[d];
        else if (a->stride[d] != step * n)
            return false;
        n *= a->dim[d];
    }
    *rows = n;
    *row_stride = step;
    return true;
}

static hearth_status gemm_shape(struct ht_bind *b, struct ht_step *s, int *out_rank, int64_t *dim,
                                hearth_error *err)
{
    const struct ht_gemm *p = s->params;
    struct ht_tensor a, w;
    struct gemm_plan *g = s->plan;
    if (p->trans_a && s->in[0]->rank > 1) {
        gemm_operand(s->in[0], true, true, &a);
        HB_TRY(ht_replace(b, s, 0, &a, err));
    }
    gemm_operand(s->in[0], true, false, &a);
    if (a.stride[a.rank - 1] != 1 && a.dim[a.rank - 1] > 1) { /* rows of a must lie together */
        HB_TRY(ht_dense(b, s, 0, err));
        gemm_operand(s->in[0], true, false, &a);
    }
    gemm_operand(s->in[1], false, p->trans_b, &w);
    g->m = a.dim[a.rank - 2];
    g->k = a.dim[a.rank - 1];
    g->n = w.dim[w.rank - 1];
    g->a_row = a.stride[a.rank - 2];
    g->a_k = a.stride[a.rank - 1];
    g->b_k = w.stride[w.rank - 2];
    g->b_col = w.stride[w.rank - 1];
    if (w.dim[w.rank - 2] != g->k)
        return hb_fail(err, HEARTH_E_MISMATCH, "%s (%s): inner dimensions %lld and %lld differ",
                       s->name, s->op->name, (long long)g->k, (long long)w.dim[w.rank - 2]);
    struct ht_tensor ab = a, wb = w;
    int rank = 0;
    ab.rank = (uint8_t)(a.rank - 2);
    wb.rank = (uint8_t)(w.rank - 2);
    if (!ht_broadcast(&rank, dim, &ab) || !ht_broadcast(&rank, dim, &wb))
        return ht_bad_shape(s, "batch dimensions cannot be broadcast", err);
    if (wb.rank == 0 && ab.rank > 0 && g->m > 0) { /* one weight for all batches: more rows */
        bool join = gemm_join(&a, &g->m, &g->a_row);
        if (join)
            ab.rank = 0;
        int r = join ? 0 : rank;
        const struct ht_tensor *both[2] = {&ab, &wb};
        ht_walk_make(&g->walk, r, dim, both, 2);
    } else {
        const struct ht_tensor *both[2] = {&ab, &wb};
        ht_walk_make(&g->walk, rank, dim, both, 2);
    }
    g->batches = g->walk.rows * g->walk.row_length;
    if (s->in[0]->rank > 1)
        dim[rank++] = a.dim[a.rank - 2];
    if (s->in[1]->rank > 1)
        dim[rank++] = g->n;
    if (rank > HT_MAX_RANK)
        return ht_bad_shape(s, "the rank would pass 8", err);
    *out_rank = rank;
    return HEARTH_OK;
}

/* c, broadcast to the matrix [all rows][n]: only along rows or columns of the last two dimensions. */
static hearth_status gemm_c(struct ht_step *s, int rank, const int64_t *dim, hearth_error *err)
{
    struct gemm_plan *g = s->plan;
    const struct ht_tensor *c = s->n_in > 2 ? s->in[2] : NULL;
    int64_t out[HT_MAX_RANK];
    int r = rank;
    if (!c)
        return HEARTH_OK;
    memcpy(out, dim, sizeof out[0] * (size_t)rank);
    if (c->type != s->in[0]->type || !ht_broadcast(&r, out, c) || r != rank ||
        memcmp(out, dim, sizeof out[0] * (size_t)rank) != 0)
        return ht_bad_shape(s, "c cannot be broadcast to the result", err);
    const struct ht_tensor *one = c;
    ht_walk_make(&g->c_walk, rank, dim, &one, 1);
    const struct ht_gemm *p = s->params;
    g->plain_c = p->beta == 1 && c->rank > 0 && c->dim[c->rank - 1] == g->n && c->stride[c->rank - 1] == 1 &&
                 ht_elements(c) == g->n;
    return HEARTH_OK;
}

/* How many blocks of rows. Unpacked, every block packs the panels anew: no more than keep the workers busy.
 * Packed, as many as let a block stay in the second-level cache. */
static void gemm_blocks(struct gemm_plan *g, int32_t workers)
{
    int64_t enough = 4 * (int64_t)workers, panels = g->batches * g->n_panels;
    int64_t rows = GEMM_ROWS, most = (g->m + GEMM_ROWS - 1) / GEMM_ROWS;
    if ((g->packed || g->q8) && g->k > 0)
        rows = GEMM_LEFT / (g->k * (int64_t)sizeof(float)) + 1;
    g->n_blocks = (g->m + rows - 1) / rows;
    if ((g->packed || g->q8) && panels > 0 && panels * g->n_blocks < enough)
        g->n_blocks = (enough + panels - 1) / panels;
    else if (!g->packed && !g->q8 && panels > 0 && panels * g->n_blocks > enough)
        g->n_blocks = (enough + panels - 1) / panels;
    if (most > 0 && g->n_blocks > most)
        g->n_blocks = most;
    while (g->batches * g->n_panels * g->n_blocks > HT_MAX_UNITS && g->n_blocks > 1)
        g->n_blocks = (g->n_blocks + 1) / 2;
}

/* What was laid out ahead, if it was. */
static hearth_status gemm_packed(struct ht_step *s, hearth_error *err)
{
    struct gemm_plan *g = s->plan;
    const struct ht_tensor *w = s->n_in > 3 ? s->in[3] : NULL, *rows = s->n_in > 4 ? s->in[4] : NULL;
    int64_t have = w ? ht_elements(w) : 0, q8_rows = rows ? ht_elements(rows) : 0;
    if (s->in[0]->type != HK_F32 || have == 0)
        return HEARTH_OK;
    if (w->type == HK_U8) {
        g->q8 = q8_rows > 0;
        if (g->q8 && (have != (g->n + HK_TILE_ROWS - 1) / HK_TILE_ROWS * ht_pack_q8_tile(g->k) ||
                      q8_rows != g->batches * g->m * ht_pack_q8_row(g->k)))
            return ht_bad_shape(s, "the packed matrix has another shape", err);
        return HEARTH_OK;
    }
    g->packed = true;
    if ((w->type != HK_F32 && w->type != HK_BF16) || have != g->n_panels * g->k * GEMM_COLS)
        return ht_bad_shape(s, "the packed matrix has another shape", err);
    return HEARTH_OK;
}

static hearth_status gemm_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    int64_t dim[2 * HT_MAX_RANK];
    int rank = 0;
    if (s->in[0]->type != s->in[1]->type || ht_class_of(s->in[0]->type) == HT_NO_CLASS)
        return ht_bad_shape(s, "wants two tensors of one numeric type", err);
    if (s->in[0]->rank == 0 || s->in[1]->rank == 0)
        return ht_bad_shape(s, "a scalar is no matrix", err);
    HB_TRY(ht_step_private(b, s, sizeof(struct gemm_plan), err));
    struct gemm_plan *g = s->plan;
    HB_TRY(gemm_shape(b, s, &rank, dim, err));
    HB_TRY(gemm_c(s, rank, dim, err));
    g->n_panels = (g->n + GEMM_COLS - 1) / GEMM_COLS;
    HB_TRY(gemm_packed(s, err));
    gemm_blocks(g, ht_bind_workers(b));
    int64_t k = g->k < GEMM_K ? g->k : GEMM_K;
    if (s->in[0]->type == HK_F32 && !g->q8 && (!g->packed || s->in[3]->type == HK_BF16))
        ht_want_scratch(b, (size_t)k * GEMM_COLS * sizeof(float));
    return ht_out(b, s, 0, (enum hk_qtype)s->in[0]->type, rank, dim, -1, err);
}

static int64_t gemm_raw_units(const struct gemm_plan *g)
{
    return g->batches * g->n_panels * g->n_blocks;
}

static int64_t gemm_per_unit(const struct gemm_plan *g)
{
    return gemm_raw_units(g) / HT_MAX_UNITS + 1;
}

static int64_t gemm_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct gemm_plan *g = s->plan;
    (void)run;
    return (gemm_raw_units(g) + gemm_per_unit(g) - 1) / gemm_per_unit(g);
}

/* alpha, c and the activation, on rows that were just computed. */
static void gemm_epilogue(const struct ht_step *s, const struct hk_table *kernels, int64_t row,
                          int64_t rows, int64_t col, int64_t cols)
{
    const struct ht_gemm *p = s->params;
    const struct gemm_plan *g = s->plan;
    const struct ht_tensor *c = s->n_in > 2 ? s->in[2] : NULL;
    float *y = (float *)(void *)s->out[0]->data + row * g->n + col;
    const float *v = c ? (const float *)(const void *)c->data : NULL, *bias = c && g->plain_c ? v + col : NULL;
    if (p->alpha != 1)
        for (int64_t i = 0; i < rows; i++)
            kernels->scale_f32(y + i * g->n, y + i * g->n, p->alpha, (size_t)cols);
    for (int64_t i = row; c && !bias && i < row + rows; i++) {
        int64_t e = i * g->n + col;
        for (int64_t j = 0; j < cols; j++, e++)
            y[(i - row) * g->n + j] += p->beta * v[ht_walk_offset(&g->c_walk, 0, e / g->c_walk.row_length) +
                                                   e % g->c_walk.row_length *
                                                       g->c_walk.stride[0][g->c_walk.rank - 1]];
    }
    if (bias || p->act != HT_MAP_COPY)
        kernels->finish_f32(y, (size_t)g->n, bias, (size_t)rows, (size_t)cols, ht_act_kernel(p->act));
}

static void gemm_f32(const struct ht_step *s, const struct hk_table *kernels, float *panel,
                     int64_t batch, int64_t col, int64_t row, int64_t rows)
{
    const struct gemm_plan *g = s->plan;
    int64_t cols = g->n - col < GEMM_COLS ? g->n - col : GEMM_COLS;
    int64_t outer = batch / g->walk.row_length, last = batch % g->walk.row_length;
    const float *a = (const float *)(const void *)s->in[0]->data + ht_walk_offset(&g->walk, 0, outer) +
                     last * g->walk.stride[0][g->walk.rank - 1] + row * g->a_row;
    const float *w = (const float *)(const void *)s->in[1]->data + ht_walk_offset(&g->walk, 1, outer) +
                     last * g->walk.stride[1][g->walk.rank - 1] + col * g->b_col;
    float *y = (float *)(void *)s->out[0]->data + (batch * g->m + row) * g->n + col;
    bool direct = !g->packed && rows <= 4 && g->b_col == 1 && cols == GEMM_COLS && (uintptr_t)w % sizeof(float) == 0;
    bool narrow = g->packed && s->in[3]->type == HK_BF16;
    const float *ready = g->packed && !narrow ? (const float *)(const void *)s->in[3]->data + col * g->k : NULL;
    if (g->k == 0)
        kernels->gemm_f32(y, (size_t)g->n, a, 0, panel, GEMM_COLS, (size_t)rows, (size_t)cols, 0, false);
    for (int64_t k = 0; k < g->k; k += GEMM_K) {
        int64_t part = g->k - k < GEMM_K ? g->k - k : GEMM_K;
        const float *from = ready ? ready + k * GEMM_COLS : direct ? w + k * g->b_k : panel;
        if (narrow)
            kernels->quant[HK_BF16].unpack(panel, (const uint16_t *)(const void *)s->in[3]->data + (col * g->k + k * GEMM_COLS),
                                           (size_t)(part * GEMM_COLS));
        else if (!ready && !direct)
            ht_pack_panel(panel, w + k * g->b_k, g->b_k, g->b_col, part, cols);
        kernels->gemm_f32(y, (size_t)g->n, a + k, (size_t)g->a_row, from,
                          direct && !ready ? (size_t)g->b_k : GEMM_COLS, (size_t)rows, (size_t)cols,
                          (size_t)part, k > 0);
    }
    gemm_epilogue(s, kernels, batch * g->m + row, rows, col, cols);
}

_Static_assert(GEMM_COLS <= HK_TILE_ROWS * HK_TILE_GROUP, "a panel is one call of the tile kernel");

/* The same from tiles of Q8_0 and int8 rows. */
static void gemm_q8(const struct ht_step *s, const struct hk_table *kernels, int64_t batch, int64_t col, int64_t row,
                    int64_t rows)
{
    const struct gemm_plan *g = s->plan;
    size_t k = (size_t)ht_pack_q8_k(g->k), stride = (size_t)ht_pack_q8_row(g->k);
    int64_t cols = g->n - col < GEMM_COLS ? g->n - col : GEMM_COLS, at = batch * g->m + row;
    float *y = (float *)(void *)s->out[0]->data + at * g->n + col;
    kernels->tile_b32(y, (size_t)g->n, (size_t)cols, s->in[3]->data + col / HK_TILE_ROWS * ht_pack_q8_tile(g->k),
                      s->in[4]->data + (size_t)at * stride, stride, (size_t)rows, k, &hk_qtype_info[HK_Q8_0]);
    gemm_epilogue(s, kernels, at, rows, col, cols);
}

/* One block in any type. */
static void gemm_any(const struct ht_step *s, int64_t batch, int64_t col, int64_t row, int64_t rows)
{
    const struct gemm_plan *g = s->plan;
    const struct ht_gemm *p = s->params;
    const struct ht_tensor *c = s->n_in > 2 ? s->in[2] : NULL;
    unsigned type = s->in[0]->type;
    size_t size = ht_size_of(type);
    int64_t cols = g->n - col < GEMM_COLS ? g->n - col : GEMM_COLS;
    int64_t outer = batch / g->walk.row_length, last = batch % g->walk.row_length;
    struct ht_tensor a = *s->in[0], w = *s->in[1];
    int64_t a0 = ht_walk_offset(&g->walk, 0, outer) + last * g->walk.stride[0][g->walk.rank - 1];
    int64_t w0 = ht_walk_offset(&g->walk, 1, outer) + last * g->walk.stride[1][g->walk.rank - 1];
    for (int64_t i = row; i < row + rows; i++)
        for (int64_t j = col; j < col + cols; j++) {
            double sum = 0;
            uint64_t isum = 0;
            int64_t e = (batch * g->m + i) * g->n + j, at = 0;
            if (c)
                at = ht_walk_offset(&g->c_walk, 0, e / g->c_walk.row_length) +
                     e % g->c_walk.row_length * g->c_walk.stride[0][g->c_walk.rank - 1];
            for (int64_t k = 0; k < g->k; k++) {
                int64_t x = a0 + i * g->a_row + k * g->a_k, y = w0 + k * g->b_k + j * g->b_col;
                if (ht_is_float(type))
                    sum += ht_get_f64(&a, x) * ht_get_f64(&w, y);
                else
                    isum += (uint64_t)ht_get_i64(&a, x) * (uint64_t)ht_get_i64(&w, y);
            }
            uint8_t *to = s->out[0]->data + (size_t)e * size;
            if (ht_is_float(type)) {
                ht_put_f64(type, to, sum * (double)p->alpha + (c ? (double)p->beta * ht_get_f64(c, at) : 0));
            } else {
                isum = isum * (uint64_t)(int64_t)p->alpha +
                       (c ? (uint64_t)(int64_t)p->beta * (uint64_t)ht_get_i64(c, at) : 0);
                ht_strip_store(type, to, 1, &isum, 1);
            }
        }
}

static hearth_status gemm_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                              int64_t begin, int64_t end, hearth_error *err)
{
    const struct gemm_plan *g = s->plan;
    int64_t per = gemm_per_unit(g), all = gemm_raw_units(g);
    int64_t rows_per = (g->m + g->n_blocks - 1) / (g->n_blocks ? g->n_blocks : 1);
    (void)err;
    for (int64_t u = begin * per; u < end * per && u < all; u++) {
        int64_t panel = u % g->n_panels, block = u / g->n_panels % g->n_blocks;
        int64_t batch = u / g->n_panels / g->n_blocks, row = block * rows_per;
        int64_t rows = g->m - row < rows_per ? g->m - row : rows_per;
        if (rows <= 0)
            continue;
        if (g->q8)
            gemm_q8(s, run->kernels, batch, panel * GEMM_COLS, row, rows);
        else if (s->in[0]->type == HK_F32)
            gemm_f32(s, run->kernels, scratch, batch, panel * GEMM_COLS, row, rows);
        else
            gemm_any(s, batch, panel * GEMM_COLS, row, rows);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_gemm = {"gemm", sizeof(struct ht_gemm), gemm_plan, gemm_units, gemm_run,
                                 0, 0};
