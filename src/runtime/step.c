/* Using a session: steps over items, logits, the profile. A step first checks everything, then grows the
 * sequences, then runs the plan; when that fails the growth is taken back. Sequences: seq.c.
 *
 * Without the KV cache (HEARTH_SESSION_NO_KV_CACHE) nothing is kept from step to step but tokens: a step
 * first computes all positions that its sequences had before, in chunks, and then its items. */
#include "runtime/hr_session.h"
#include <string.h>

static hearth_status step_check_items(hearth_session *s, const hearth_item *items, size_t n,
                                         hearth_error *err)
{
    int32_t n_logits = 0;
    if (s->infer)
        return hb_fail(err, HEARTH_E_STATE, "step: this session runs a graph of tensors");
    if (n == 0)
        return hb_fail(err, HEARTH_E_ARGUMENT, "step: no items");
    if (n > (size_t)s->config.n_batch)
        return hb_fail(err, HEARTH_E_LIMIT, "step: %zu items; the session takes %d", n,
                       s->config.n_batch);
    for (size_t i = 0; i < n; i++) {
        if (items[i].token < 0 || items[i].token >= s->model->lm.n_vocab)
            return hb_fail(err, HEARTH_E_RANGE, "step: item %zu: token %d; the vocabulary has %d",
                           i, items[i].token, s->model->lm.n_vocab);
        if (items[i].seq < 0 || items[i].seq >= s->config.n_seqs)
            return hb_fail(err, HEARTH_E_RANGE, "step: item %zu: sequence %d; the session has %d",
                           i, items[i].seq, s->config.n_seqs);
        n_logits += items[i].want_logits != 0;
    }
    if (n_logits > s->config.n_logits)
        return hb_fail(err, HEARTH_E_LIMIT, "step: %d rows of logits; the session keeps %d",
                       n_logits, s->config.n_logits);
    return HEARTH_OK;
}

/* Grow the sequences, or refuse before anything has changed. `grow` is all zero between steps. */
static hearth_status step_extend(hearth_session *s, const hearth_item *items, size_t n,
                                    hearth_error *err)
{
    hearth_status status = HEARTH_OK;
    uint32_t pages = 0;
    for (size_t i = 0; i < n; i++) {
        s->grow[items[i].seq]++;
        hr_kv_use(&s->kv, items[i].seq);
    }
    for (size_t i = 0; i < n && status == HEARTH_OK; i++) {
        int32_t seq = items[i].seq, length = s->kv.seqs[seq].length;
        if (s->grow[seq] <= 0)
            continue; /* counted already */
        s->old_length[seq] = length;
        if (s->grow[seq] > hr_kv_room(&s->kv, seq))
            status = hb_fail(err, HEARTH_E_FULL,
                             "sequence %d: %d positions and %d more; the context has %d", seq,
                             length, s->grow[seq], s->config.n_ctx);
        pages += hr_kv_count(&s->kv, seq, s->grow[seq]);
        s->grow[seq] = -s->grow[seq];
    }
    if (status == HEARTH_OK && !hr_kv_make_room(&s->kv, pages))
        status = hb_fail(err, HEARTH_E_FULL, "KV cache: %u pages wanted, %u of %u are free", pages,
                         s->kv.n_free, s->kv.n_pages);
    for (size_t i = 0; i < n; i++) {
        int32_t seq = items[i].seq;
        if (status == HEARTH_OK && s->grow[seq] < 0)
            hr_kv_extend(&s->kv, seq, -s->grow[seq]);
        s->grow[seq] = 0;
    }
    return status;
}

static void step_take_back(hearth_session *s, const hearth_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hr_kv_trim(&s->kv, items[i].seq, s->old_length[items[i].seq]);
}

static void step_commit(hearth_session *s, const hearth_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t seq = items[i].seq;
        if (s->old_length[seq] == s->kv.seqs[seq].length)
            continue; /* done already */
        hr_kv_commit(&s->kv, seq, s->old_length[seq]);
        s->old_length[seq] = s->kv.seqs[seq].length;
    }
}

struct step_inputs {
    int32_t *tokens, *positions, *rows;
};

static struct step_inputs step_inputs(const hearth_session *s)
{
    const struct ht_lm *lm = &s->model->lm;
    return (struct step_inputs){
        (int32_t *)(void *)ht_plan_tensor(s->plan, lm->tokens)->data,
        (int32_t *)(void *)ht_plan_tensor(s->plan, lm->positions)->data,
        (int32_t *)(void *)ht_plan_tensor(s->plan, lm->out_rows)->data};
}

static struct ht_segment step_segment(const hearth_session *s, int32_t seq, int32_t first,
                                      int32_t pos)
{
    const struct hr_seq *q = &s->kv.seqs[seq];
    return (struct ht_segment){.first = first, .pos = pos, .pages = q->pages, .sink = s->kv.sink,
                               .dropped = q->dropped, .window = s->kv.window};
}

/* Inputs of the graph, and the runs of neighbouring items that belong to one sequence. */
static void step_fill(hearth_session *s, const hearth_item *items, size_t n,
                         struct ht_batch *batch)
{
    struct step_inputs in = step_inputs(s);
    struct ht_segment *seg = s->segments - 1;
    s->n_logits = 0;
    *batch = (struct ht_batch){.segments = s->segments, .n_items = (int32_t)n, .kv = &s->kv.view};
    for (size_t i = 0; i < n; i++) {
        int32_t seq = items[i].seq, pos = s->old_length[seq] + s->grow[seq]++;
        if (i == 0 || items[i - 1].seq != seq) {
            *++seg = step_segment(s, seq, (int32_t)i, pos);
            batch->n_segments++;
        }
        seg->n++;
        in.tokens[i] = *hr_kv_token(&s->kv, seq, pos) = items[i].token;
        in.positions[i] = pos;
        if (items[i].want_logits)
            in.rows[s->n_logits++] = (int32_t)i;
        if (pos > batch->max_pos)
            batch->max_pos = pos;
    }
    for (size_t i = 0; i < n; i++)
        s->grow[items[i].seq] = 0;
}

static hearth_status step_run(hearth_session *s, const struct ht_batch *batch, int32_t rows,
                              hearth_error *err)
{
    struct ht_run run = {.batch = batch};
    run.count[HT_LM_SYM_TOKENS] = batch->n_items;
    run.count[HT_LM_SYM_ROWS] = rows;
    return ht_plan_run(s->plan, &run, s->pool, &s->cancel, err);
}

/* Compute the positions [0, n) of a sequence again from their tokens. */
static hearth_status step_again(hearth_session *s, int32_t seq, int32_t n, hearth_error *err)
{
    struct step_inputs in = step_inputs(s);
    for (int32_t pos = 0, now; pos < n; pos += now) {
        now = n - pos < s->config.n_batch ? n - pos : s->config.n_batch;
        struct ht_segment seg = step_segment(s, seq, 0, pos);
        seg.n = now;
        for (int32_t i = 0; i < now; i++) {
            in.tokens[i] = *hr_kv_token(&s->kv, seq, pos + i);
            in.positions[i] = pos + i;
        }
        const struct ht_batch batch = {.segments = &seg, .n_segments = 1, .n_items = now,
                                       .max_pos = pos + now - 1, .kv = &s->kv.view};
        HB_TRY(step_run(s, &batch, 0, err));
    }
    return HEARTH_OK;
}

static hearth_status step_history(hearth_session *s, const hearth_item *items, size_t n,
                                  hearth_error *err)
{
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; i < n && status == HEARTH_OK; i++)
        if (s->grow[items[i].seq]++ == 0)
            status = step_again(s, items[i].seq, s->old_length[items[i].seq], err);
    for (size_t i = 0; i < n; i++)
        s->grow[items[i].seq] = 0;
    return status;
}

static hearth_status step_check_logits(const hearth_session *s, hearth_error *err)
{
    for (int32_t i = 0; i < s->n_logits; i++) {
        const float *row = hearth_session_logits(s, (size_t)i);
        if (s->kernels.max_abs_bits(row, (size_t)s->model->lm.n_vocab) >= 0x7F800000u)
            return hb_fail(err, HEARTH_E_NUMERIC, "logits: row %d holds NaN or infinity", i);
    }
    return HEARTH_OK;
}

hearth_status hearth_session_step(hearth_session *s, const hearth_item *items, size_t n,
                                  hearth_error *err)
{
    struct ht_batch batch;
    HB_TRY(step_check_items(s, items, n, err));
    HB_TRY(step_extend(s, items, n, err));
    hearth_status status = hr_session_keeps_kv(s) ? HEARTH_OK : step_history(s, items, n, err);
    if (status == HEARTH_OK) {
        step_fill(s, items, n, &batch);
        status = step_run(s, &batch, s->n_logits, err);
    }
    if (status != HEARTH_OK) {
        step_take_back(s, items, n);
        s->n_logits = 0;
        if (status == HEARTH_E_CANCELLED)
            atomic_store(&s->cancel, 0);
        return status;
    }
    step_commit(s, items, n);
    return step_check_logits(s, err);
}

const float *hearth_session_logits(const hearth_session *s, size_t row)
{
    const struct ht_graph *g = &s->model->lm.graph;
    if (row >= (size_t)s->n_logits)
        return NULL;
    return ht_row_f32(ht_plan_tensor(s->plan, g->outputs[0]), (int64_t)row);
}

#define STEP_EVAL_ITEMS 256

hearth_status hearth_session_eval(hearth_session *s, const int32_t *tokens, size_t n,
                                  float *logits, hearth_error *err)
{
    hearth_item items[STEP_EVAL_ITEMS];
    size_t chunk = (size_t)s->config.n_batch;
    int32_t start = s->kv.seqs[0].length;
    hearth_status status = HEARTH_OK;
    if (n == 0)
        return hb_fail(err, HEARTH_E_ARGUMENT, "eval: no tokens");
    if (n > (size_t)(s->config.n_ctx - start))
        return hb_fail(err, HEARTH_E_FULL, "eval: position %d and %zu more; the context has %d",
                       start, n, s->config.n_ctx);
    chunk = chunk < STEP_EVAL_ITEMS ? chunk : STEP_EVAL_ITEMS;
    for (size_t done = 0; done < n && status == HEARTH_OK;) {
        size_t now = n - done < chunk ? n - done : chunk;
        for (size_t i = 0; i < now; i++)
            items[i] = (hearth_item){.token = tokens[done + i], .want_logits = done + i + 1 == n};
        status = hearth_session_step(s, items, now, err);
        done += now;
    }
    if (status != HEARTH_OK) {
        hr_kv_trim(&s->kv, 0, start);
        return status;
    }
    if (logits)
        memcpy(logits, hearth_session_logits(s, 0), (size_t)s->model->lm.n_vocab * sizeof *logits);
    return HEARTH_OK;
}

/* ---- profile ---- */

hearth_status hearth_session_profile(hearth_session *s, size_t index, int reset,
                                     hearth_profile_row *row, hearth_error *err)
{
    const struct hr_profile_map *p = &s->profile;
    if (index >= p->n_rows)
        return hb_fail(err, HEARTH_E_RANGE, "profile: row %zu of %u", index, p->n_rows);
    hearth_profile_row full = {.struct_size = row->struct_size, .op = p->rows[index].op};
    for (uint32_t i = 0; i < s->plan->n_steps; i++) {
        struct ht_step *step = &s->plan->steps[i];
        if (p->row_of_step[i] != index)
            continue;
        full.calls += step->calls;
        full.ns += step->ns;
        full.bytes += step->calls * step->weight_bytes;
        full.macs += step->rows * step->macs_per_row;
        if (reset)
            step->calls = step->rows = step->ns = 0;
    }
    memcpy(row, &full, row->struct_size < sizeof full ? row->struct_size : sizeof full);
    return HEARTH_OK;
}
