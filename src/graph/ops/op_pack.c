/* Weights of gemm, laid out once when the session is made, and converted where the model's config asks
 * for it. The second output is the largest difference between a weight and what became of it. */
#include "graph/ht_pack.h"
#include "kernels/hk_half.h"
#include <string.h>

void ht_pack_panel(float *panel, const float *w, int64_t w_k, int64_t w_col, int64_t k, int64_t n)
{
    for (int64_t p = 0; p < k; p++) {
        float *to = panel + p * HT_PANEL;
        const float *from = w + p * w_k;
        if (w_col == 1)
            memcpy(to, from, (size_t)n * sizeof(float));
        else
            for (int64_t j = 0; j < n; j++) /* weights in a file may have any address */
                memcpy(&to[j], (const uint8_t *)from + j * w_col * (int64_t)sizeof(float), sizeof(float));
        for (int64_t j = n; j < HT_PANEL; j++)
            to[j] = 0;
    }
}

struct pack_plan {
    int64_t k, n, w_k, w_col; /* strides in elements */
};

static hearth_status pack_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_pack *p = s->params;
    const struct ht_tensor *w = s->in[0];
    const int64_t one[1] = {1};
    if (w->type != HK_F32 || w->rank != 2)
        return ht_bad_shape(s, "wants a matrix of f32", err);
    HB_TRY(ht_step_private(b, s, sizeof(struct pack_plan), err));
    struct pack_plan *g = s->plan;
    *g = (struct pack_plan){w->dim[p->trans_b], w->dim[!p->trans_b], w->stride[p->trans_b], w->stride[!p->trans_b]};
    int64_t dim[3] = {(g->n + HT_PANEL - 1) / HT_PANEL, g->k, HT_PANEL};
    /* a panel, and blocks of 16 columns of 34 bytes for 32 k */
    ht_want_scratch(b, (size_t)(ht_pack_q8_k(g->k) * (HT_PANEL + 5)) * sizeof(float));
    HB_TRY(ht_out(b, s, 1, HK_F32, 1, one, -1, err));
    if (p->form != HT_PACK_Q8_0)
        return ht_out(b, s, 0, p->form == HT_PACK_BF16 ? HK_BF16 : HK_F32, 3, dim, -1, err);
    dim[0] = (g->n + HK_TILE_ROWS - 1) / HK_TILE_ROWS;
    dim[1] = ht_pack_q8_tile(g->k);
    return ht_out(b, s, 0, HK_U8, 2, dim, -1, err);
}

static int64_t pack_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)s, (void)run;
    return 1;
}

static float pack_larger(float worst, float a, float b)
{
    float d = a > b ? a - b : b - a;
    return d > worst ? d : worst;
}

/* A column of a panel as blocks of Q8_0: an f16 scale, the largest magnitude / 127, and 32 codes. */
static float pack_q8_column(uint8_t *blocks, const float *panel, int64_t k)
{
    float worst = 0;
    for (int64_t p = 0; p < k; p += 32, blocks += 34) {
        float most = 0, w;
        for (int64_t i = 0; i < 32; i++) {
            w = panel[(p + i) * HT_PANEL];
            most = w > most ? w : -w > most ? -w : most;
        }
        uint16_t half = hk_f32_to_f16(most / 127.0f);
        float scale = hk_f16_to_f32(half);
        memcpy(blocks, &half, 2);
        for (int64_t i = 0; i < 32; i++) {
            w = panel[(p + i) * HT_PANEL];
            float code = scale > 0 ? (w / scale + 0x1.8p23f) - 0x1.8p23f : 0;
            code = code > 127.0f ? 127.0f : code < -127.0f ? -127.0f : code == code ? code : 0;
            ((int8_t *)blocks)[2 + i] = (int8_t)code;
            worst = pack_larger(worst, w, code * scale);
        }
    }
    return worst;
}

static float pack_q8(const struct ht_step *s, const struct hk_table *kernels, float *panel, int64_t col, int64_t cols)
{
    const struct pack_plan *g = s->plan;
    int64_t k = ht_pack_q8_k(g->k), row = k / 32 * 34;
    uint8_t *blocks = (uint8_t *)(panel + k * HT_PANEL);
    float worst = 0;
    memset(panel + g->k * HT_PANEL, 0, (size_t)((k - g->k) * HT_PANEL) * sizeof(float));
    for (int64_t first = 0; first < cols; first += HK_TILE_ROWS) {
        int64_t n = cols - first < HK_TILE_ROWS ? cols - first : HK_TILE_ROWS;
        for (int64_t j = 0; j < n; j++) {
            float d = pack_q8_column(blocks + j * row, panel + first + j, k);
            worst = d > worst ? d : worst;
        }
        kernels->quant[HK_Q8_0].pack(s->out[0]->data + (col + first) / HK_TILE_ROWS * ht_pack_q8_tile(g->k), blocks,
                                     (size_t)row, (size_t)n, (size_t)k);
    }
    return worst;
}

static float pack_bf16(const struct hk_table *kernels, uint16_t *to, const float *panel, int64_t n)
{
    float worst = 0, back[64];
    kernels->f32_to_bf16(to, panel, (size_t)n);
    for (int64_t i = 0; i < n; i += 32) {
        kernels->quant[HK_BF16].unpack(back, to + i, 32);
        for (int64_t j = 0; j < 32; j++)
            worst = pack_larger(worst, panel[i + j], back[j]);
    }
    return worst;
}

static hearth_status pack_run(const struct ht_step *s, const struct ht_run *run, void *scratch, int64_t begin,
                              int64_t end, hearth_error *err)
{
    const struct ht_pack *p = s->params;
    const struct pack_plan *g = s->plan;
    float *panel = scratch, worst = 0;
    (void)begin, (void)end, (void)err;
    for (int64_t col = 0; col < g->n; col += HT_PANEL) {
        int64_t cols = g->n - col < HT_PANEL ? g->n - col : HT_PANEL;
        const float *w = (const float *)(const void *)(s->in[0]->data + col * g->w_col * (int64_t)sizeof(float));
        float *to = p->form == HT_PACK_F32 ? (float *)(void *)s->out[0]->data + col * g->k : panel, d = 0;
        ht_pack_panel(to, w, g->w_k, g->w_col, g->k, cols);
        if (p->form == HT_PACK_Q8_0)
            d = pack_q8(s, run->kernels, panel, col, cols);
        else if (p->form == HT_PACK_BF16)
            d = pack_bf16(run->kernels, (uint16_t *)(void *)s->out[0]->data + col * g->k, panel, g->k * HT_PANEL);
        worst = d > worst ? d : worst;
    }
    memcpy(s->out[1]->data, &worst, sizeof worst);
    return HEARTH_OK;
}

const struct ht_op ht_op_pack = {"pack", sizeof(struct ht_pack), pack_plan, pack_units, pack_run, HT_OP_AHEAD, 0};

/* ---- rows_q8: (a [..][k], packed b) -> activation rows of a, nothing where b was not packed ---- */

static hearth_status rows_q8_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    int64_t dim[2] = {0, 0};
    if (s->in[0]->type == HK_F32 && s->in[0]->rank > 0 && ht_elements(s->in[1]) > 0) {
        HB_TRY(ht_dense(b, s, 0, err));
        int64_t k = s->in[0]->dim[s->in[0]->rank - 1];
        dim[0] = k ? ht_elements(s->in[0]) / k : 0;
        dim[1] = ht_pack_q8_row(k);
        ht_want_scratch(b, (size_t)ht_pack_q8_k(k) * sizeof(float));
    }
    return ht_out(b, s, 0, HK_U8, 2, dim, -1, err);
}

#define ROWS_Q8_UNIT 8

static int64_t rows_q8_per_unit(const struct ht_step *s)
{
    return s->out[0]->dim[0] / HT_MAX_UNITS + ROWS_Q8_UNIT;
}

static int64_t rows_q8_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)run;
    return (s->out[0]->dim[0] + rows_q8_per_unit(s) - 1) / rows_q8_per_unit(s);
}

static hearth_status rows_q8_run(const struct ht_step *s, const struct ht_run *run, void *scratch, int64_t begin,
                                 int64_t end, hearth_error *err)
{
    const struct ht_tensor *y = s->out[0];
    int64_t k = s->in[0]->dim[s->in[0]->rank - 1], padded = ht_pack_q8_k(k), per = rows_q8_per_unit(s);
    float *room = scratch;
    (void)err;
    for (int64_t i = begin * per; i < end * per && i < y->dim[0]; i++) {
        const float *x = (const float *)(const void *)s->in[0]->data + i * k;
        if (padded != k) {
            memcpy(room, x, (size_t)k * sizeof(float));
            memset(room + k, 0, (size_t)(padded - k) * sizeof(float));
            x = room;
        }
        run->kernels->act_quantize(y->data + i * y->dim[1], x, (size_t)padded, HK_STRETCH_B32);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_rows_q8 = {"rows_q8", sizeof(struct ht_no_params), rows_q8_plan, rows_q8_units, rows_q8_run,
                                    0, 0};
