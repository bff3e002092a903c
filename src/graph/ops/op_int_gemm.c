/* int_gemm: matmul of 8-bit integers into int32, and pack_i8, which lays the right side out for it.
 *
 * All combinations of signs become uint8 times int8: with a' = a + 128 where a is signed and
 * b' = b - 128 where b is unsigned, and zero points moved alike,
 *     sum (a - za)(b - zb) = sum a'b' - za' sum b' - zb' sum a' + k za' zb'       exactly.
 * The packed side of each matrix: tiles of 32 columns, each [k/4][32][4] codes and 32 sums of
 * columns. Packing a constant is folded when a plan is made. */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include <string.h>

#define INT_GEMM_ROWS 48             /* rows whose int32 sums stay in cache until they are finished */
#define INT_GEMM_LEFT (256 * 1024)   /* bytes of the left side that are read again for each tile */

static int64_t pack_k4(int64_t k)
{
    return (k + 3) / 4;
}

static int64_t pack_tile_bytes(int64_t k)
{
    return pack_k4(k) * 4 * HK_I8_COLS + HK_I8_COLS * (int64_t)sizeof(int32_t);
}

static void pack_shape(const struct ht_tensor *b, int64_t *batches, int64_t *k, int64_t *n)
{
    int r = b->rank;
    *k = r == 1 ? b->dim[0] : b->dim[r - 2];
    *n = r == 1 ? 1 : b->dim[r - 1];
    *batches = 1;
    for (int d = 0; d + 2 < r; d++)
        *batches *= b->dim[d];
}

static hearth_status pack_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0];
    int64_t dim[3], k, n;
    if ((x->type != HK_I8 && x->type != HK_U8) || x->rank < 1)
        return ht_bad_shape(s, "wants a matrix of 8-bit integers", err);
    HB_TRY(ht_dense(b, s, 0, err));
    pack_shape(s->in[0], &dim[0], &k, &n);
    dim[1] = (n + HK_I8_COLS - 1) / HK_I8_COLS;
    dim[2] = pack_tile_bytes(k);
    return ht_out(b, s, 0, HK_U8, 3, dim, -1, err);
}

static int64_t pack_units(const struct ht_step *s, const struct ht_run *run)
{
    int64_t n = s->out[0]->dim[0] * s->out[0]->dim[1];
    (void)run;
    return n > HT_MAX_UNITS ? HT_MAX_UNITS : n;
}

static void pack_tile(uint8_t *to, const uint8_t *from, int64_t k, int64_t n, int64_t cols,
                      uint8_t flip)
{
    int32_t sums[HK_I8_COLS] = {0};
    int64_t codes = pack_k4(k) * 4 * HK_I8_COLS;
    memset(to, 0, (size_t)codes);
    for (int64_t p = 0; p < k; p++)
        for (int64_t j = 0; j < cols; j++) {
            int8_t v = (int8_t)(from[p * n + j] ^ flip);
            to[(p / 4 * HK_I8_COLS + j) * 4 + p % 4] = (uint8_t)v;
            sums[j] += v;
        }
    memcpy(to + codes, sums, sizeof sums);
}

static hearth_status pack_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                              int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    int64_t batches, k, n, all = y->dim[0] * y->dim[1], units = pack_units(s, run);
    int64_t per = (all + units - 1) / (units ? units : 1);
    (void)scratch, (void)err;
    pack_shape(x, &batches, &k, &n);
    for (int64_t i = begin * per; i < end * per && i < all; i++) {
        int64_t batch = i / y->dim[1], col = i % y->dim[1] * HK_I8_COLS;
        int64_t cols = n - col < HK_I8_COLS ? n - col : HK_I8_COLS;
        pack_tile(y->data + i * y->dim[2], x->data + batch * k * n + col, k, n, cols,
                  x->type == HK_U8 ? 0x80 : 0);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_pack_i8 = {"pack_i8", sizeof(struct ht_no_params), pack_plan, pack_units,
                                    pack_run, 0, 0};

/* ---- the matmul: (a, b, a zero, b zero, packed b), to floats with (scale, [bias]) behind ---- */

struct int_gemm_plan {
    int64_t m, n, k, batches, tiles, blocks, rows; /* rows of a block, a multiple of INT_GEMM_ROWS */
    int64_t a_zeros, b_zeros; /* 1, m, n */
    bool in_place;            /* the left side is read where it lies */
    bool sums;                /* sums of its rows are wanted */
    struct ht_walk walk;
};

static hearth_status int_gemm_zeros(const struct ht_step *s, const struct ht_tensor *z,
                                    unsigned type, int64_t n, int64_t *count, hearth_error *err)
{
    *count = 1;
    if (!z)
        return HEARTH_OK;
    *count = ht_elements(z);
    if (z->type != type || (*count != 1 && *count != n) || !ht_is_dense(z))
        return ht_bad_shape(s, "zero points want the type of their side, one or as many as rows (left) "
                            "or columns (right)", err);
    return HEARTH_OK;
}

/* Zero points that are known to be nothing but 0. */
static bool int_gemm_no_zeros(const struct ht_tensor *z)
{
    for (int64_t i = 0; z && i < ht_elements(z); i++)
        if (z->known != HT_KNOWN_MODEL || z->data[i] != 0)
            return false;
    return true;
}

static void int_gemm_blocks(struct ht_bind *b, const struct ht_step *s)
{
    struct int_gemm_plan *g = s->plan;
    int64_t most = (g->m + INT_GEMM_ROWS - 1) / INT_GEMM_ROWS, enough = 4 * (int64_t)ht_bind_workers(b);
    g->sums = s->in[1]->type == HK_U8 || !int_gemm_no_zeros(s->in[3]);
    g->in_place = s->in[0]->type == HK_U8 && g->k % 4 == 0;
    g->tiles = (g->n + HK_I8_COLS - 1) / HK_I8_COLS;
    int64_t per = INT_GEMM_LEFT / (g->k + 1) / INT_GEMM_ROWS + 1; /* of INT_GEMM_ROWS */
    per = per > most && most > 0 ? most : per; /* scratch is no larger than the rows there are */
    while (per > 1 && g->batches * g->tiles * ((most + per - 1) / per) < enough)
        per--;
    while (per < most && g->batches * g->tiles * ((most + per - 1) / per) > HT_MAX_UNITS)
        per++;
    g->rows = per * INT_GEMM_ROWS;
    g->blocks = (most + per - 1) / per;
}

static hearth_status int_gemm_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *w = s->in[1];
    int64_t dim[2 * HT_MAX_RANK], w_batches;
    int rank = 0;
    for (uint32_t i = 0; i < 2; i++)
        if ((s->in[i]->type != HK_I8 && s->in[i]->type != HK_U8) || s->in[i]->rank < 1)
            return ht_bad_shape(s, "wants matrices of 8-bit integers", err);
    HB_TRY(ht_dense(b, s, 0, err));
    const struct ht_tensor *a = s->in[0];
    HB_TRY(ht_step_private(b, s, sizeof(struct int_gemm_plan), err));
    struct int_gemm_plan *g = s->plan;
    pack_shape(w, &w_batches, &g->k, &g->n);
    g->m = a->rank == 1 ? 1 : a->dim[a->rank - 2];
    if (a->dim[a->rank - 1] != g->k)
        return hb_fail(err, HEARTH_E_MISMATCH, "%s (int_gemm): inner dimensions %lld and %lld differ",
                       s->name, (long long)a->dim[a->rank - 1], (long long)g->k);
    if (g->k > 1 << 16)
        return ht_bad_shape(s, "an inner dimension above 65536 could overflow int32", err);
    /* batches as tensors of one element each, in units of whole matrices */
    struct ht_tensor ab = *a, wb = *w;
    ab.rank = (uint8_t)(a->rank > 2 ? a->rank - 2 : 0);
    wb.rank = (uint8_t)(w->rank > 2 ? w->rank - 2 : 0);
    if (!ht_broadcast(&rank, dim, &ab) || !ht_broadcast(&rank, dim, &wb))
        return ht_bad_shape(s, "batch dimensions cannot be broadcast", err);
    for (int d = 0; d < ab.rank; d++)
        ab.stride[d] = g->m > 0 && g->k > 0 ? a->stride[d] / (g->m * g->k) : 0;
    int64_t step = 1;
    for (int d = wb.rank - 1; d >= 0; d--) {
        wb.stride[d] = step;
        step *= wb.dim[d];
    }
    const struct ht_tensor *both[2] = {&ab, &wb};
    ht_walk_make(&g->walk, rank, dim, both, 2);
    g->batches = g->walk.rows * g->walk.row_length;
    if (w_batches == 1) { /* one weight: batches are more rows */
        g->m *= g->batches;
        g->batches = 1;
        ht_walk_make(&g->walk, 0, dim, both, 2);
    }
    if (a->rank > 1)
        dim[rank++] = a->dim[a->rank - 2];
    if (w->rank > 1)
        dim[rank++] = g->n;
    HB_TRY(int_gemm_zeros(s, s->in[2], a->type, a->rank > 1 ? a->dim[a->rank - 2] : 1, &g->a_zeros, err));
    HB_TRY(int_gemm_zeros(s, s->in[3], w->type, g->n, &g->b_zeros, err));
    int_gemm_blocks(b, s);
    if (g->batches * g->tiles * g->blocks > HT_MAX_UNITS)
        return ht_bad_shape(s, "more than 65535 units of work", err);
    ht_want_scratch(b, (size_t)(g->in_place ? 0 : pack_k4(g->k) * 4 * g->rows) +
                           (size_t)(g->rows + INT_GEMM_ROWS * HK_I8_COLS) * sizeof(int32_t));
    if (s->n_in <= 5)
        return ht_out(b, s, 0, HK_I32, rank, dim, -1, err);
    for (uint32_t i = 5; i < s->n_in; i++)
        if (s->in[i] && (s->in[i]->type != HK_F32 || !ht_is_dense(s->in[i]) ||
                         (ht_elements(s->in[i]) != 1 && ht_elements(s->in[i]) != g->n)))
            return ht_bad_shape(s, "scale and bias want one f32, or one per column", err);
    return ht_out(b, s, 0, HK_F32, rank, dim, -1, err);
}

static int64_t int_gemm_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct int_gemm_plan *g = s->plan;
    (void)run;
    return g->batches * g->tiles * g->blocks;
}

/* Rows as uint8 with a multiple of four columns (to NULL: they are that already), and their sums. */
static void int_gemm_rows(uint8_t *to, int32_t *sums, const uint8_t *a, int64_t rows, int64_t k,
                          uint8_t flip, bool want_sums)
{
    int64_t ld = pack_k4(k) * 4;
    for (int64_t i = 0; i < rows; i++) {
        const uint8_t *from = a + i * k;
        uint8_t *row = to ? to + i * ld : NULL;
        int32_t sum = 0;
        for (int64_t p = 0; p < k && want_sums; p++)
            sum += (uint8_t)(from[p] ^ flip);
        sums[i] = sum;
        if (!row)
            continue;
        if (flip)
            for (int64_t p = 0; p < k; p++)
                row[p] = from[p] ^ flip;
        else
            memcpy(row, from, (size_t)k);
        memset(row + k, 0, (size_t)(ld - k));
    }
}

static int32_t int_gemm_zero(const struct ht_tensor *z, int64_t count, int64_t i, int32_t shift)
{
    if (!z)
        return shift;
    uint8_t v = z->data[count == 1 ? 0 : i];
    return (z->type == HK_I8 ? (int8_t)v : v) + shift;
}

static void int_gemm_columns(const struct ht_step *s, struct hk_i8_columns *t, int64_t col,
                             int64_t cols, int32_t b_shift)
{
    const struct int_gemm_plan *g = s->plan;
    const struct ht_tensor *scale = s->n_in > 5 ? s->in[5] : NULL, *bias = s->n_in > 6 ? s->in[6] : NULL;
    int64_t scales = scale ? ht_elements(scale) : 0, biases = bias ? ht_elements(bias) : 0;
    for (int64_t j = 0; j < HK_I8_COLS; j++) {
        t->zero[j] = j < cols ? int_gemm_zero(s->in[3], g->b_zeros, col + j, b_shift) : 0;
        t->scale[j] = j < cols && scale ? ((const float *)(const void *)scale->data)[scales == 1 ? 0 : col + j] : 0;
        t->bias[j] = j < cols && bias ? ((const float *)(const void *)bias->data)[biases == 1 ? 0 : col + j] : -0.0f;
    }
}

/* fix[j] = za sum b' - k za zb: the part of the correction that depends on the row's zero point alone. */
static void int_gemm_fix(struct hk_i8_columns *t, const int32_t *sums, int32_t za, int64_t k)
{
    for (int j = 0; j < HK_I8_COLS; j++)
        t->fix[j] = (int32_t)((uint32_t)za * ((uint32_t)sums[j] - (uint32_t)k * (uint32_t)t->zero[j]));
}

/* int32 results: v - fix - zero * sum. */
static void int_gemm_exact(int32_t *restrict to, const int32_t *restrict v, const struct hk_i8_columns *restrict t,
                           int32_t sum, int64_t cols)
{
    uint32_t line[HK_I8_COLS];
    for (int j = 0; j < HK_I8_COLS; j++)
        line[j] = (uint32_t)v[j] - ((uint32_t)t->fix[j] + (uint32_t)t->zero[j] * (uint32_t)sum);
    memcpy(to, line, (size_t)cols * sizeof *line);
}

/* Rows [i, i + n) of a block behind the kernel. */
static void int_gemm_finish(const struct ht_step *s, const struct hk_table *kernels, const struct hk_i8_columns *t,
                            const int32_t *v, const int32_t *sums, int64_t to, int64_t n, int64_t cols)
{
    const struct int_gemm_plan *g = s->plan;
    if (s->n_in > 5) {
        kernels->finish_i8((float *)(void *)s->out[0]->data + to, (size_t)g->n, v, sums, t, (size_t)n,
                           (size_t)cols, ht_act_kernel(((const struct ht_int_gemm *)s->params)->act));
        return;
    }
    for (int64_t i = 0; i < n; i++)
        int_gemm_exact((int32_t *)(void *)s->out[0]->data + to + i * g->n, v + i * HK_I8_COLS, t, sums[i], cols);
}

/* One tile of columns for a block of rows, INT_GEMM_ROWS at a time. */
static void int_gemm_unit(const struct ht_step *s, const struct hk_table *kernels, const uint8_t *codes,
                          const uint8_t *rows, const int32_t *sums, int32_t *block, int64_t first, int64_t n_rows,
                          int64_t col)
{
    const struct int_gemm_plan *g = s->plan;
    int64_t ld = pack_k4(g->k) * 4, cols = g->n - col < HK_I8_COLS ? g->n - col : HK_I8_COLS;
    int32_t a_shift = s->in[0]->type == HK_I8 ? 128 : 0, b_shift = s->in[1]->type == HK_U8 ? -128 : 0;
    const int32_t *col_sums = (const int32_t *)(const void *)(codes + ld * HK_I8_COLS);
    struct hk_i8_columns t;
    int_gemm_columns(s, &t, col, cols, b_shift);
    for (int64_t at = 0; at < n_rows; at += INT_GEMM_ROWS) {
        int64_t n = n_rows - at < INT_GEMM_ROWS ? n_rows - at : INT_GEMM_ROWS, once = g->a_zeros > 1 ? 1 : n;
        kernels->gemm_i8(block, HK_I8_COLS, rows + at * ld, (size_t)ld, (const int8_t *)codes, (size_t)n,
                         (size_t)pack_k4(g->k));
        for (int64_t i = 0; i < n; i += once) {
            if (g->a_zeros > 1 || at == 0)
                int_gemm_fix(&t, col_sums, int_gemm_zero(s->in[2], g->a_zeros, (first + at + i) % g->a_zeros, a_shift),
                             g->k);
            int_gemm_finish(s, kernels, &t, block + i * HK_I8_COLS, sums + at + i, (first + at + i) * g->n + col,
                            once, cols);
        }
    }
}

static hearth_status int_gemm_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                  int64_t begin, int64_t end, hearth_error *err)
{
    const struct int_gemm_plan *g = s->plan;
    const struct ht_tensor *a = s->in[0], *packed = s->in[4];
    int64_t w_tiles = packed->dim[1], ready = -1;
    int32_t *block = scratch, *sums = block + INT_GEMM_ROWS * HK_I8_COLS;
    uint8_t *room = (uint8_t *)(sums + g->rows);
    (void)err;
    for (int64_t u = begin; u < end; u++) {
        int64_t tile = u % g->tiles, at = u / g->tiles, row = at % g->blocks * g->rows;
        int64_t batch = at / g->blocks, n_rows = g->m - row < g->rows ? g->m - row : g->rows;
        int64_t outer = batch / g->walk.row_length, last = batch % g->walk.row_length;
        int64_t a_at = ht_walk_offset(&g->walk, 0, outer) + last * g->walk.stride[0][g->walk.rank - 1];
        int64_t w_at = ht_walk_offset(&g->walk, 1, outer) + last * g->walk.stride[1][g->walk.rank - 1];
        const uint8_t *from = a->data + (a_at * g->m + row) * g->k;
        if (ready != at) /* units of one block of rows follow one another */
            int_gemm_rows(g->in_place ? NULL : room, sums, from, n_rows, g->k, a->type == HK_I8 ? 0x80 : 0, g->sums);
        ready = at;
        int_gemm_unit(s, run->kernels, packed->data + (w_at * w_tiles + tile) * packed->dim[2],
                      g->in_place ? from : room, sums, block, batch * g->m + row, n_rows, tile * HK_I8_COLS);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_int_gemm = {"int_gemm", sizeof(struct ht_int_gemm), int_gemm_plan,
                                     int_gemm_units, int_gemm_run, 0, 0};
