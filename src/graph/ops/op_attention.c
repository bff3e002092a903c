/* Attention over the paged cache, with the arithmetic of kernels.h ("KV cache").
 *
 * A unit is one KV head and a tile of consecutive items of one sequence: the query heads of the KV
 * head times the items are the rows that share one pass over K and V.
 *
 *   many items    whole: a unit walks all chains of its rows, folding them as it goes
 *   few items     split: a unit is (item, KV head, chain); states go to `parts`, and
 *                 attention_fold joins them
 *
 * Both fold the same states in the same order, so the bits are the same. Neither needs memory that
 * grows with the context.
 *
 * A sink is a score that takes part in a head's softmax and has no value: the state {o = 0, m = sink,
 * l = 1}, folded behind the chains. */
#include "graph/ht_plan.h"
#include "graph/ht_ops.h"
#include "base/hb_check.h"
#include <string.h>

#define ATTN_TILE_ROWS   64
#define ATTN_TILE_ITEMS  32
#define ATTN_SPLIT_ITEMS 4

/* States of the rows of a tile. */
struct attn_state {
    float *o; /* [rows][d_v] */
    float *m; /* [rows] */
    float *l; /* [rows][16] */
};

struct attn_plan {
    int32_t group;      /* query heads per KV head */
    int32_t tile_items;
    int32_t rows;       /* of a full tile */
    size_t part_floats; /* one state in `parts`: o[d_v], l[16], m */
};

struct attn_scratch {
    uint8_t *q; /* query rows as the type of K wants them */
    float *row; /* one, filled up to whole blocks */
    float *s, *alpha;
    float *sink; /* a sink's state */
    struct attn_state chain, total;
    uint8_t *lo, *hi;
};

/* One tile: items [item, item + n) of a segment, for one KV head. */
struct attn_tile {
    const struct ht_segment *seg;
    int32_t item, n, head;
};

/* Bytes of a query row for any type of K. */
static size_t attn_query_bytes(const struct ht_attention *p)
{
    size_t most = 0;
    for (int type = 0; type < HK_KVTYPE_COUNT; type++) {
        size_t bytes = hk_kv_query_bytes((enum hk_kvtype)type, (size_t)p->d_k);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* The next part of a worker's scratch; without scratch only its size counts. */
static void *attn_cut(uint8_t *scratch, size_t *at, size_t bytes)
{
    void *p = scratch ? scratch + *at : NULL;
    *at += hb_round_up(bytes, 64);
    return p;
}

/* Cuts a worker's scratch into its parts; returns the bytes that they take. */
static size_t attn_cut_scratch(const struct ht_attention *p, int32_t rows, void *scratch,
                               struct attn_scratch *a)
{
    size_t at = 0, r = (size_t)rows, o_bytes = r * (size_t)p->d_v * sizeof(float);
    a->q = attn_cut(scratch, &at, r * attn_query_bytes(p));
    a->row = attn_cut(scratch, &at, hb_round_up((size_t)p->d_k, HK_STRETCH_B32) * sizeof(float));
    a->s = attn_cut(scratch, &at, r * HK_KV_STRETCH * sizeof(float));
    a->alpha = attn_cut(scratch, &at, r * sizeof(float));
    a->sink = attn_cut(scratch, &at, ((size_t)p->d_v + 16) * sizeof(float));
    struct attn_state *states[2] = {&a->chain, &a->total};
    for (int i = 0; i < 2; i++) {
        states[i]->o = attn_cut(scratch, &at, o_bytes);
        states[i]->m = attn_cut(scratch, &at, r * sizeof(float));
        states[i]->l = attn_cut(scratch, &at, r * 16 * sizeof(float));
    }
    a->lo = attn_cut(scratch, &at, r);
    a->hi = attn_cut(scratch, &at, r);
    return at;
}

static hearth_status attn_check_sinks(const struct ht_step *s, const struct ht_tensor *sinks,
                                      hearth_error *err)
{
    const struct ht_attention *p = s->params;
    if (sinks && (sinks->type != HK_F32 || sinks->rank != 1 || sinks->dim[0] != p->n_heads))
        return ht_bad_shape(s, "wants one f32 sink for each head", err);
    return HEARTH_OK;
}

static hearth_status attention_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_attention *p = s->params;
    const struct ht_tensor *q = s->in[0];
    if (p->n_kv_heads <= 0 || p->n_heads % p->n_kv_heads != 0)
        return ht_bad_shape(s, "query heads are no multiple of KV heads", err);
    HB_TRY(attn_check_sinks(s, s->in[1], err));
    if (q->rank != 2 || q->type != HK_F32 || q->stride[1] != 1 ||
        q->dim[1] != (int64_t)p->n_heads * p->d_k)
        return ht_bad_shape(s, "q does not have n_heads * d_k columns", err);
    HB_TRY(ht_step_private(b, s, sizeof(struct attn_plan), err));
    struct attn_plan *a = s->plan;
    a->group = p->n_heads / p->n_kv_heads;
    a->tile_items = ATTN_TILE_ROWS / a->group;
    a->tile_items = a->tile_items < 1 ? 1 : a->tile_items;
    a->tile_items = a->tile_items > ATTN_TILE_ITEMS ? ATTN_TILE_ITEMS : a->tile_items;
    a->rows = a->tile_items * a->group;
    a->part_floats = (size_t)p->d_v + 17;
    struct attn_scratch none;
    ht_want_scratch(b, attn_cut_scratch(p, a->rows, NULL, &none));
    const int64_t y[2] = {q->dim[0], (int64_t)p->n_heads * p->d_v};
    const int64_t parts[1] = {(int64_t)ATTN_SPLIT_ITEMS * p->n_heads * HK_KV_CHAINS *
                              (int64_t)a->part_floats};
    HB_TRY(ht_out(b, s, 0, HK_F32, 2, y, q->rows_sym, err));
    return ht_out(b, s, 1, HK_F32, 1, parts, -1, err);
}

static int32_t attn_chains(const struct ht_batch *batch)
{
    int32_t spans = batch->max_pos / HK_KV_SPAN + 1;
    return spans < HK_KV_CHAINS ? spans : HK_KV_CHAINS;
}

static bool attn_is_split(const struct ht_run *run)
{
    return run->n_workers > 1 && run->batch->n_items <= ATTN_SPLIT_ITEMS &&
           attn_chains(run->batch) > 1;
}

static int64_t attention_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct ht_attention *p = s->params;
    const struct attn_plan *a = s->plan;
    const struct ht_batch *batch = run->batch;
    if (attn_is_split(run))
        return (int64_t)batch->n_items * p->n_kv_heads * attn_chains(batch);
    int64_t tiles = 0;
    for (int32_t i = 0; i < batch->n_segments; i++)
        tiles += (batch->segments[i].n + a->tile_items - 1) / a->tile_items;
    return tiles * p->n_kv_heads;
}

static void attn_find_tile(const struct ht_batch *batch, int32_t tile_items, int64_t tile,
                           struct attn_tile *t)
{
    for (int32_t i = 0; i < batch->n_segments; i++) {
        const struct ht_segment *seg = &batch->segments[i];
        int64_t tiles = (seg->n + tile_items - 1) / tile_items;
        if (tile < tiles) {
            int32_t done = (int32_t)tile * tile_items;
            t->seg = seg;
            t->item = seg->first + done;
            t->n = seg->n - done < tile_items ? seg->n - done : tile_items;
            return;
        }
        tile -= tiles;
    }
}

/* First position that the item at pos sees. */
static int32_t attn_first(const struct ht_attention *p, int32_t pos)
{
    return p->window > 0 && pos >= p->window ? pos - p->window + 1 : 0;
}

/* Positions [*from, *to) are in the hole of the sequence for the item at pos. */
static void attn_hole(const struct ht_segment *seg, int32_t pos, int32_t *from, int32_t *to)
{
    *from = seg->sink;
    *to = ht_window_first(seg->window, pos);
    if (*to < *from)
        *to = *from;
}

static int32_t attn_pos(const struct attn_tile *t)
{
    return t->seg->pos + t->item - t->seg->first;
}

/* What each row of the tile sees of the stretch that starts at `base`. */
static void attn_visible(const struct ht_attention *p, const struct attn_tile *t, int32_t group,
                         int32_t base, uint8_t *lo, uint8_t *hi)
{
    int32_t pos = attn_pos(t);
    for (int32_t i = 0; i < t->n; i++, pos++) {
        int32_t a = attn_first(p, pos) - base, b = pos + 1 - base;
        int32_t from, to;
        attn_hole(t->seg, pos, &from, &to);
        if (from < to && base < to && b > from - base) /* the sink's part, if any */
            b = from - base;
        a = a < 0 ? 0 : a;
        b = b > HK_KV_STRETCH ? HK_KV_STRETCH : b;
        if (a >= b)
            a = b = 0;
        memset(lo + i * group, a, (size_t)group);
        memset(hi + i * group, b, (size_t)group);
    }
}

/* Pages of the stretch at `base` that hold positions of [first, last] and are in no hole. */
static void attn_pages(const struct ht_kv_layer_view *layer, const struct attn_tile *t,
                       int32_t base, int32_t first, int32_t last, const void **k_pages,
                       const void **v_pages)
{
    int32_t hole, hole_end; /* of the first item: what none of them sees */
    attn_hole(t->seg, attn_pos(t), &hole, &hole_end);
    for (int32_t i = 0; i < 4; i++) {
        int32_t at = base + i * HK_KV_PAGE;
        k_pages[i] = v_pages[i] = NULL;
        if (at > last || at + HK_KV_PAGE <= first || (at >= hole && at < hole_end))
            continue;
        const uint8_t *page = ht_kv_page(layer, t->head, ht_seg_page(t->seg, at));
        k_pages[i] = page;
        v_pages[i] = page + layer->v_off;
    }
}

static void attn_stretch(const struct ht_step *s, const struct ht_run *run,
                         const struct attn_tile *t, const struct attn_scratch *a, int32_t base,
                         int32_t first, int32_t last)
{
    const struct ht_attention *p = s->params;
    const struct attn_plan *plan = s->plan;
    const struct ht_kv_view *kv = run->batch->kv;
    const struct ht_kv_layer_view *layer = &kv->layers[p->layer];
    const void *k_pages[8], *v_pages[8];
    size_t rows = (size_t)t->n * (size_t)plan->group;
    bool more = (base + HK_KV_STRETCH) % HK_KV_SPAN != 0;
    attn_pages(layer, t, base, first, last, k_pages, v_pages);
    attn_pages(layer, t, base + HK_KV_STRETCH, first, more ? last : base, k_pages + 4, v_pages + 4);
    attn_visible(p, t, plan->group, base, a->lo, a->hi);
    run->kernels->kv[kv->type_k].scores(a->s, a->q,
                                        hk_kv_query_bytes(kv->type_k, (size_t)p->d_k), rows,
                                        k_pages, (size_t)p->d_k);
    run->kernels->attn_softmax(a->s, rows, a->lo, a->hi, p->softcap, a->chain.m, a->chain.l,
                               a->alpha);
    run->kernels->kv[kv->type_v].values(a->chain.o, a->alpha, a->s, rows, a->lo, a->hi, v_pages,
                                        (size_t)p->d_v);
}

/* The state of one chain for the rows of a tile, into a->chain. */
static void attn_chain(const struct ht_step *s, const struct ht_run *run,
                       const struct attn_tile *t, const struct attn_scratch *a, int32_t chain)
{
    const struct ht_attention *p = s->params;
    const struct attn_plan *plan = s->plan;
    size_t rows = (size_t)t->n * (size_t)plan->group;
    int32_t pos = attn_pos(t);
    int32_t first = attn_first(p, pos), last = pos + t->n - 1, hole, hole_end;
    attn_hole(t->seg, pos, &hole, &hole_end);
    memset(a->chain.o, 0, rows * (size_t)p->d_v * sizeof(float));
    memset(a->chain.l, 0, rows * 16 * sizeof(float));
    for (size_t r = 0; r < rows; r++)
        a->chain.m[r] = -__builtin_inff();
    for (int32_t span = first / HK_KV_SPAN; span <= last / HK_KV_SPAN; span++) {
        if (span * HK_KV_SPAN >= hole && (span + 1) * HK_KV_SPAN <= hole_end)
            span = hole_end / HK_KV_SPAN; /* a hole costs no time, however long it is */
        if (span % HK_KV_CHAINS != chain)
            continue;
        for (int32_t j = 0; j < HK_KV_SPAN / HK_KV_STRETCH; j++) {
            int32_t base = span * HK_KV_SPAN + j * HK_KV_STRETCH;
            if (base <= last && base + HK_KV_STRETCH > first &&
                (base < hole || base >= hole_end))
                attn_stretch(s, run, t, a, base, first, last);
        }
    }
}

/* Fold a chain's state of one row into the total; an empty chain (m = -inf) changes nothing. */
static void attn_fold_row(const struct hk_table *k, float *o, float *m, float *l, const float *o_b,
                          float m_b, const float *l_b, size_t d_v)
{
    if (m_b == -__builtin_inff())
        return;
    if (*m == -__builtin_inff()) {
        memcpy(o, o_b, d_v * sizeof *o);
        memcpy(l, l_b, 16 * sizeof *l);
        *m = m_b;
        return;
    }
    k->attn_merge(o, m, l, o_b, m_b, l_b, d_v);
}

/* zero: [d_v + 16] floats. */
static void attn_fold_sink(const struct hk_table *k, const struct ht_tensor *sinks, size_t head,
                           float *o, float *m, float *l, float *zero, size_t d_v)
{
    if (!sinks)
        return;
    memset(zero, 0, (d_v + 16) * sizeof *zero);
    zero[d_v] = 1;
    attn_fold_row(k, o, m, l, zero, ((const float *)(const void *)sinks->data)[head], zero + d_v, d_v);
}

/* y = o / (l folded); zeros for a row that saw nothing. */
static void attn_finish_row(const float *o, const float *l, float *y, size_t d_v)
{
    float sum = l[0];
    for (int i = 1; i < 16; i++)
        sum += l[i];
    for (size_t j = 0; j < d_v; j++)
        y[j] = sum != 0 ? o[j] / sum : 0;
}

/* The queries of the tile as the type of K wants them: floats, or int8 rows. */
static void attn_load_q(const struct ht_step *s, const struct ht_run *run,
                        const struct attn_tile *t, const struct attn_scratch *a)
{
    const struct ht_attention *p = s->params;
    const struct attn_plan *plan = s->plan;
    enum hk_kvtype type = (enum hk_kvtype)run->batch->kv->type_k;
    size_t d = (size_t)p->d_k, e = hk_kv_elements(type, d), bytes = hk_kv_query_bytes(type, d);
    size_t group = (size_t)plan->group;
    memset(a->row, 0, e * sizeof(float));
    for (size_t r = 0; r < (size_t)t->n * group; r++) {
        const float *q = ht_row_f32(s->in[0], t->item + (int32_t)(r / group)) +
                         ((size_t)t->head * group + r % group) * d;
        if (run->batch->kv->rotate_k) {
            size_t block = hk_kv_rotation(d);
            run->kernels->scale_f32(a->row, q, 1 / (float)block, d);
            run->kernels->hadamard_f32(a->row, d, block);
        } else {
            memcpy(a->row, q, d * sizeof(float));
        }
        if (hk_kv_is_block(type))
            run->kernels->act_quantize(a->q + r * bytes, a->row, e, HK_STRETCH_B32);
        else
            memcpy(a->q + r * bytes, a->row, bytes);
    }
}

static void attn_whole(const struct ht_step *s, const struct ht_run *run, struct attn_tile *t,
                       struct attn_scratch *a)
{
    const struct ht_attention *p = s->params;
    const struct attn_plan *plan = s->plan;
    size_t d_v = (size_t)p->d_v, rows = (size_t)t->n * (size_t)plan->group;
    int32_t chains = attn_chains(run->batch);
    attn_load_q(s, run, t, a);
    for (int32_t c = 0; c < chains; c++) {
        attn_chain(s, run, t, a, c);
        if (c == 0) {
            struct attn_state swap = a->total;
            a->total = a->chain;
            a->chain = swap;
            continue;
        }
        for (size_t r = 0; r < rows; r++)
            attn_fold_row(run->kernels, a->total.o + r * d_v, &a->total.m[r], a->total.l + r * 16,
                          a->chain.o + r * d_v, a->chain.m[r], a->chain.l + r * 16, d_v);
    }
    for (size_t r = 0; r < rows; r++) {
        int32_t item = t->item + (int32_t)r / plan->group;
        size_t head = (size_t)t->head * (size_t)plan->group + r % (size_t)plan->group;
        attn_fold_sink(run->kernels, s->in[1], head, a->total.o + r * d_v, &a->total.m[r],
                       a->total.l + r * 16, a->sink, d_v);
        attn_finish_row(a->total.o + r * d_v, a->total.l + r * 16,
                        ht_row_f32(s->out[0], item) + head * d_v, d_v);
    }
}

/* parts[item][head][chain] of a split step. */
static float *attn_part(const struct ht_step *s, const struct ht_tensor *parts, int64_t item,
                        int64_t head, int64_t chain, size_t part_floats)
{
    const struct ht_attention *p = s->params;
    size_t index = ((size_t)item * (size_t)p->n_heads + (size_t)head) * HK_KV_CHAINS +
                   (size_t)chain;
    return (float *)(void *)parts->data + index * part_floats;
}

static void attn_split(const struct ht_step *s, const struct ht_run *run, struct attn_tile *t,
                       struct attn_scratch *a, int32_t chain)
{
    const struct ht_attention *p = s->params;
    const struct attn_plan *plan = s->plan;
    size_t d_v = (size_t)p->d_v;
    attn_load_q(s, run, t, a);
    attn_chain(s, run, t, a, chain);
    for (int32_t g = 0; g < plan->group; g++) {
        float *part = attn_part(s, s->out[1], t->item, (int64_t)t->head * plan->group + g, chain,
                                plan->part_floats);
        memcpy(part, a->chain.o + (size_t)g * d_v, d_v * sizeof *part);
        memcpy(part + d_v, a->chain.l + g * 16, 16 * sizeof *part);
        part[d_v + 16] = a->chain.m[g];
    }
}

static hearth_status attention_run(const struct ht_step *s, const struct ht_run *run,
                                   void *scratch, int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_attention *p = s->params;
    const struct attn_plan *plan = s->plan;
    bool split = attn_is_split(run);
    int32_t chains = attn_chains(run->batch);
    (void)err;
    for (int64_t u = begin; u < end; u++) {
        struct attn_scratch a;
        struct attn_tile t;
        attn_cut_scratch(p, plan->rows, scratch, &a);
        if (split) {
            attn_find_tile(run->batch, 1, u / ((int64_t)p->n_kv_heads * chains), &t);
            t.head = (int32_t)(u / chains % p->n_kv_heads);
            attn_split(s, run, &t, &a, (int32_t)(u % chains));
        } else {
            attn_find_tile(run->batch, plan->tile_items, u / p->n_kv_heads, &t);
            t.head = (int32_t)(u % p->n_kv_heads);
            attn_whole(s, run, &t, &a);
        }
    }
    return HEARTH_OK;
}

/* attention_fold: (y, parts) -> y seen again. */
static hearth_status fold_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_attention *p = s->params;
    const struct ht_tensor *y = s->in[0];
    if (y->rank != 2 || y->dim[1] != (int64_t)p->n_heads * p->d_v)
        return ht_bad_shape(s, "wants the output of attention", err);
    HB_TRY(attn_check_sinks(s, s->in[2], err));
    ht_want_scratch(b, (2 * (size_t)p->d_v + 48) * sizeof(float));
    return ht_out_view(b, s, 0, y, 0, 2, y->dim, y->stride, err);
}

static int64_t fold_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct ht_attention *p = s->params;
    return attn_is_split(run) ? (int64_t)run->batch->n_items * p->n_heads : 0;
}

static hearth_status fold_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                              int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_attention *p = s->params;
    size_t d_v = (size_t)p->d_v, part_floats = d_v + 17;
    float *o = scratch, *l = o + d_v, *zero = l + 16, m;
    (void)err;
    for (int64_t u = begin; u < end; u++) {
        int64_t item = u / p->n_heads, head = u % p->n_heads;
        m = -__builtin_inff();
        for (int32_t c = 0; c < attn_chains(run->batch); c++) {
            const float *part = attn_part(s, s->in[1], item, head, c, part_floats);
            attn_fold_row(run->kernels, o, &m, l, part, part[d_v + 16], part + d_v, d_v);
        }
        attn_fold_sink(run->kernels, s->in[2], (size_t)head, o, &m, l, zero, d_v);
        attn_finish_row(o, l, ht_row_f32(s->in[0], item) + (size_t)head * d_v, d_v);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_attention = {"attention", sizeof(struct ht_attention), attention_plan,
                                      attention_units, attention_run, 0, 0};
const struct ht_op ht_op_attention_fold = {"attention_fold", sizeof(struct ht_attention),
                                           fold_plan, fold_units, fold_run, 0, 0};
