/* sdpa: attention over tensors. Units are (batch and head, block of query rows). A unit lays its keys out
 * as panels [d][32] and its values as [t][32] per 32 columns, once for all blocks of the head that it
 * computes; then scores [rows][t] stay in cache between the two products.
 *
 *   scratch:  keys | values | scores | query rows (scaled) | a row of mask | result [rows][32]
 *
 * Every score is one chain over d ascending and every result one chain over t ascending, whatever the blocks. */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include <string.h>

#define SDPA_COLS 32
#define SDPA_ROWS 48
#define SDPA_SCORES (128 * 1024) /* bytes of scores of a block that should stay in cache */

enum { SDPA_Q, SDPA_K, SDPA_V, SDPA_MASK, SDPA_IN };

struct sdpa_plan {
    int64_t n, d, t, e, heads;  /* as in ht_ops.h; heads: product of the leading dimensions */
    int64_t q_row, k_d, k_t, v_t, mask_row, mask_t;
    int64_t rows, blocks;       /* of query rows */
    struct ht_walk walk;        /* leading dimensions: q, k, v, mask, result */
    int64_t out_row;
    size_t values, scores, query, mask, result; /* offsets in scratch */
};

static int64_t sdpa_panels(int64_t n)
{
    return (n + SDPA_COLS - 1) / SDPA_COLS;
}

static struct ht_tensor sdpa_lead(const struct ht_tensor *t)
{
    struct ht_tensor lead = *t;
    lead.rank = (uint8_t)(t->rank > 2 ? t->rank - 2 : 0);
    return lead;
}

static hearth_status sdpa_shapes(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_sdpa *p = s->params;
    struct sdpa_plan *g = s->plan;
    for (uint32_t i = 0; i < s->n_in && i < SDPA_IN; i++)
        if (s->in[i] && (s->in[i]->type != HK_F32 || (i < SDPA_MASK && s->in[i]->rank < 2)))
            return ht_bad_shape(s, "wants f32, and matrices", err);
    if (s->in[SDPA_Q]->stride[s->in[SDPA_Q]->rank - 1] != 1)
        HB_TRY(ht_dense(b, s, SDPA_Q, err));
    if (s->in[SDPA_V]->stride[s->in[SDPA_V]->rank - 1] != 1)
        HB_TRY(ht_dense(b, s, SDPA_V, err));
    const struct ht_tensor *q = s->in[SDPA_Q], *k = s->in[SDPA_K], *v = s->in[SDPA_V], *m = s->in[SDPA_MASK];
    int k_d = k->rank - (p->k_rows ? 1 : 2), k_t = k->rank - (p->k_rows ? 2 : 1);
    g->n = q->dim[q->rank - 2];
    g->d = q->dim[q->rank - 1];
    g->t = k->dim[k_t];
    g->e = v->dim[v->rank - 1];
    g->q_row = q->stride[q->rank - 2];
    g->k_d = k->stride[k_d];
    g->k_t = k->stride[k_t];
    g->v_t = v->stride[v->rank - 2];
    if (k->dim[k_d] != g->d || v->dim[v->rank - 2] != g->t)
        return hb_fail(err, HEARTH_E_MISMATCH, "%s (sdpa): inner dimensions %lld and %lld, or %lld and %lld, differ",
                       s->name, (long long)g->d, (long long)k->dim[k_d], (long long)g->t,
                       (long long)v->dim[v->rank - 2]);
    int64_t m_t = m && m->rank > 0 ? m->dim[m->rank - 1] : 1, m_n = m && m->rank > 1 ? m->dim[m->rank - 2] : 1;
    if ((m_t != 1 && m_t != g->t) || (m_n != 1 && m_n != g->n))
        return ht_bad_shape(s, "the mask cannot be broadcast to the scores", err);
    g->mask_t = m_t == 1 ? 0 : m->stride[m->rank - 1];
    g->mask_row = m_n == 1 ? 0 : m->stride[m->rank - 2];
    return HEARTH_OK;
}

/* Of rank 4 the memory is [0][2][1][3]. */
static hearth_status sdpa_out(struct ht_bind *b, struct ht_step *s, int rank, int64_t *dim, hearth_error *err)
{
    struct sdpa_plan *g = s->plan;
    dim[rank] = g->n;
    dim[rank + 1] = g->e;
    HB_TRY(ht_out(b, s, 0, HK_F32, rank + 2, dim, -1, err));
    struct ht_tensor *y = s->out[0];
    if (rank == 2) {
        y->stride[2] = dim[1] * g->e;
        y->stride[1] = g->e;
    }
    g->out_row = y->stride[rank];
    return HEARTH_OK;
}

static void sdpa_scratch(struct ht_bind *b, struct sdpa_plan *g)
{
    size_t t32 = (size_t)sdpa_panels(g->t) * SDPA_COLS, rows = (size_t)g->rows;
    g->values = t32 * (size_t)g->d;
    g->scores = g->values + (size_t)(sdpa_panels(g->e) * SDPA_COLS * g->t);
    g->query = g->scores + rows * t32;
    g->mask = g->query + rows * (size_t)((g->d + 15) / 16 * 16);
    g->result = g->mask + t32;
    ht_want_scratch(b, (g->result + rows * SDPA_COLS) * sizeof(float));
}

static hearth_status sdpa_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    int64_t dim[HT_MAX_RANK + 2];
    int rank = 0;
    HB_TRY(ht_step_private(b, s, sizeof(struct sdpa_plan), err));
    struct sdpa_plan *g = s->plan;
    HB_TRY(sdpa_shapes(b, s, err));
    struct ht_tensor lead[SDPA_IN + 1];
    const struct ht_tensor *list[SDPA_IN + 1] = {NULL};
    for (uint32_t i = 0; i < SDPA_IN; i++) {
        if (!s->in[i])
            continue;
        lead[i] = sdpa_lead(s->in[i]);
        list[i] = &lead[i];
        if (!ht_broadcast(&rank, dim, &lead[i]))
            return ht_bad_shape(s, "leading dimensions cannot be broadcast", err);
    }
    if (rank + 2 > HT_MAX_RANK)
        return ht_bad_shape(s, "the rank would pass 8", err);
    HB_TRY(sdpa_out(b, s, rank, dim, err));
    lead[SDPA_IN] = sdpa_lead(s->out[0]);
    list[SDPA_IN] = &lead[SDPA_IN];
    ht_walk_make(&g->walk, rank, dim, list, SDPA_IN + 1);
    g->heads = g->walk.rows * g->walk.row_length;
    g->rows = SDPA_SCORES / ((g->t + 1) * (int64_t)sizeof(float)) / 12 * 12;
    g->rows = g->rows < 12 ? 12 : g->rows > SDPA_ROWS ? SDPA_ROWS : g->rows;
    while (g->heads * ((g->n + g->rows - 1) / g->rows) > HT_MAX_UNITS)
        g->rows *= 2;
    g->blocks = (g->n + g->rows - 1) / g->rows;
    sdpa_scratch(b, g);
    return HEARTH_OK;
}

static int64_t sdpa_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct sdpa_plan *g = s->plan;
    (void)run;
    return g->e > 0 ? g->heads * g->blocks : 0;
}

static int64_t sdpa_at(const struct sdpa_plan *g, int operand, int64_t head)
{
    return ht_walk_offset(&g->walk, operand, head / g->walk.row_length) +
           head % g->walk.row_length * g->walk.stride[operand][g->walk.rank - 1];
}

static const float *sdpa_data(const struct ht_step *s, int operand, int64_t head)
{
    return (const float *)(const void *)s->in[operand]->data + sdpa_at(s->plan, operand, head);
}

/* Panels [d][32] of keys, filled up with zeros. */
static void sdpa_keys(const struct sdpa_plan *g, float *to, const float *k, float scale)
{
    for (int64_t first = 0; first < g->t; first += SDPA_COLS) {
        int64_t cols = g->t - first < SDPA_COLS ? g->t - first : SDPA_COLS;
        float *panel = to + first * g->d;
        if (cols < SDPA_COLS)
            memset(panel, 0, (size_t)(g->d * SDPA_COLS) * sizeof(float));
        for (int64_t j = 0; j < cols; j++)
            for (int64_t i = 0; i < g->d; i++)
                panel[i * SDPA_COLS + j] = k[(first + j) * g->k_t + i * g->k_d] * scale;
    }
}

static void sdpa_values(const struct sdpa_plan *g, float *to, const float *v)
{
    for (int64_t col = 0; col < g->e; col += SDPA_COLS) {
        size_t cols = (size_t)(g->e - col < SDPA_COLS ? g->e - col : SDPA_COLS);
        float *panel = to + col * g->t;
        for (int64_t j = 0; j < g->t; j++) {
            memcpy(panel + j * SDPA_COLS, v + j * g->v_t + col, cols * sizeof(float));
            memset(panel + j * SDPA_COLS + cols, 0, (SDPA_COLS - cols) * sizeof(float));
        }
    }
}

static const float *sdpa_query(const struct ht_step *s, const struct hk_table *kernels, float *room, int64_t head,
                               int64_t row, int64_t rows, int64_t *stride)
{
    const struct sdpa_plan *g = s->plan;
    float scale = ((const struct ht_sdpa *)s->params)->q_scale;
    const float *q = sdpa_data(s, SDPA_Q, head) + row * g->q_row;
    *stride = g->q_row;
    if (scale == 1)
        return q;
    *stride = (g->d + 15) / 16 * 16;
    for (int64_t i = 0; i < rows; i++)
        kernels->scale_f32(room + i * *stride, q + i * g->q_row, scale, (size_t)g->d);
    return room;
}

static const float *sdpa_mask(const struct ht_step *s, float *room, int64_t head, int64_t row)
{
    const struct sdpa_plan *g = s->plan;
    if (!s->in[SDPA_MASK])
        return NULL;
    const float *m = sdpa_data(s, SDPA_MASK, head) + row * g->mask_row;
    if (g->mask_t == 1)
        return m;
    for (int64_t j = 0; j < g->t; j++)
        room[j] = m[j * g->mask_t];
    return room;
}

static void sdpa_block(const struct ht_step *s, const struct hk_table *kernels, float *scratch, int64_t head,
                       int64_t row)
{
    const struct sdpa_plan *g = s->plan;
    const struct ht_sdpa *p = s->params;
    int64_t rows = g->n - row < g->rows ? g->n - row : g->rows, lds = sdpa_panels(g->t) * SDPA_COLS, ldq;
    float *scores = scratch + g->scores, *part = scratch + g->result;
    float *y = (float *)(void *)s->out[0]->data + sdpa_at(g, SDPA_IN, head) + row * g->out_row;
    const float *q = sdpa_query(s, kernels, scratch + g->query, head, row, rows, &ldq);
    for (int64_t j = 0; j < g->t; j += SDPA_COLS)
        kernels->gemm_f32(scores + j, (size_t)lds, q, (size_t)ldq, scratch + j * g->d, SDPA_COLS, (size_t)rows,
                          SDPA_COLS, (size_t)g->d, false);
    for (int64_t i = 0; i < rows; i++)
        kernels->soft_scores_f32(scores + i * lds, sdpa_mask(s, scratch + g->mask, head, row + i), p->scale,
                                 p->flags, (size_t)g->t);
    for (int64_t col = 0; col < g->e; col += SDPA_COLS) {
        size_t cols = (size_t)(g->e - col < SDPA_COLS ? g->e - col : SDPA_COLS);
        bool whole = cols == SDPA_COLS;
        kernels->gemm_f32(whole ? y + col : part, whole ? (size_t)g->out_row : SDPA_COLS, scores, (size_t)lds,
                          scratch + g->values + (size_t)(col * g->t), SDPA_COLS, (size_t)rows, SDPA_COLS,
                          (size_t)g->t, false);
        for (int64_t i = 0; i < rows && !whole; i++)
            memcpy(y + i * g->out_row + col, part + i * SDPA_COLS, cols * sizeof(float));
    }
}

static hearth_status sdpa_run(const struct ht_step *s, const struct ht_run *run, void *scratch, int64_t begin,
                              int64_t end, hearth_error *err)
{
    const struct sdpa_plan *g = s->plan;
    int64_t ready = -1;
    (void)err;
    for (int64_t u = begin; u < end; u++) {
        int64_t head = u / g->blocks;
        if (head != ready) {
            sdpa_keys(g, scratch, sdpa_data(s, SDPA_K, head), ((const struct ht_sdpa *)s->params)->k_scale);
            sdpa_values(g, (float *)scratch + g->values, sdpa_data(s, SDPA_V, head));
        }
        ready = head;
        sdpa_block(s, run->kernels, scratch, head, u % g->blocks * g->rows);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_sdpa = {"sdpa", sizeof(struct ht_sdpa), sdpa_plan, sdpa_units, sdpa_run, 0, 0};
