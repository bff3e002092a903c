/* Sequences of a session: lengths, sharing, and who is idle. What they hold: hr_kv.h. */
#include "runtime/hr_session.h"
#include <string.h>

static hearth_status seq_check(const hearth_session *s, int32_t seq, hearth_error *err)
{
    if (seq < 0 || seq >= s->config.n_seqs)
        return hb_fail(err, HEARTH_E_RANGE, "sequence %d; the session has %d", seq,
                       s->config.n_seqs);
    return HEARTH_OK;
}

int32_t hearth_seq_length(const hearth_session *s, int32_t seq)
{
    return seq_check(s, seq, NULL) == HEARTH_OK ? s->kv.seqs[seq].length : -1;
}

int32_t hearth_seq_room(const hearth_session *s, int32_t seq)
{
    return seq_check(s, seq, NULL) == HEARTH_OK ? hr_kv_room(&s->kv, seq) : -1;
}

int32_t hr_seq_capacity(const hearth_session *s, int32_t seq)
{
    return s->kv.window ? HR_KV_LAST_POS - s->kv.seqs[seq].length : hr_kv_room(&s->kv, seq);
}

static hearth_status seq_check_keep(const hearth_session *s, int32_t seq, int32_t n,
                                    hearth_error *err)
{
    HB_TRY(seq_check(s, seq, err));
    if (n < 0 || n > s->kv.seqs[seq].length)
        return hb_fail(err, HEARTH_E_RANGE, "sequence %d: %d positions; it has %d", seq, n,
                       s->kv.seqs[seq].length);
    if (!hr_kv_can_trim(&s->kv, seq, n))
        return hb_fail(err, HEARTH_E_STATE,
                       "sequence %d: %d positions; the window has left what the next one sees", seq,
                       n);
    return HEARTH_OK;
}

hearth_status hearth_seq_trim(hearth_session *s, int32_t seq, int32_t n, hearth_error *err)
{
    HB_TRY(seq_check_keep(s, seq, n, err));
    hr_kv_trim(&s->kv, seq, n);
    return HEARTH_OK;
}

hearth_status hearth_seq_fork(hearth_session *s, int32_t src, int32_t dst, int32_t n,
                              hearth_error *err)
{
    HB_TRY(seq_check_keep(s, src, n, err));
    HB_TRY(seq_check(s, dst, err));
    hr_kv_fork(&s->kv, src, dst, n);
    hr_kv_use(&s->kv, dst);
    return HEARTH_OK;
}

void hearth_session_reset(hearth_session *s)
{
    for (int32_t i = 0; i < s->config.n_seqs; i++) {
        hr_kv_trim(&s->kv, i, 0);
        hr_kv_release(&s->kv, i);
    }
    s->n_logits = 0;
}

void hearth_session_cancel(hearth_session *s)
{
    atomic_store(&s->cancel, 1);
}

/* ---- running and idle ---- */

static hearth_status seq_check_tokens(const hearth_session *s, const int32_t *tokens, size_t n,
                                      hearth_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= s->model->lm.n_vocab)
            return hb_fail(err, HEARTH_E_RANGE, "prompt: token %d; the vocabulary has %d", tokens[i],
                           s->model->lm.n_vocab);
    return HEARTH_OK;
}

/* All but the last token, so that there is one left to run; and no more than a context. */
static int32_t seq_reusable(const hearth_session *s, size_t n)
{
    n = n ? n - 1 : 0;
    return n < (size_t)s->config.n_ctx ? (int32_t)n : s->config.n_ctx;
}

hearth_status hearth_seq_match(hearth_session *s, int32_t seq, const int32_t *tokens, size_t n,
                               int32_t *matched, hearth_error *err)
{
    HB_TRY(seq_check(s, seq, err));
    HB_TRY(seq_check_tokens(s, tokens, n, err));
    hr_kv_use(&s->kv, seq);
    *matched = hr_kv_match(&s->kv, seq, tokens, seq_reusable(s, n));
    return HEARTH_OK;
}

hearth_status hearth_seq_acquire(hearth_session *s, const int32_t *tokens, size_t n, int32_t *seq,
                                 int32_t *matched, hearth_error *err)
{
    HB_TRY(seq_check_tokens(s, tokens, n, err));
    int32_t got = s->config.n_seqs ? hr_kv_acquire(&s->kv, tokens, seq_reusable(s, n)) : -1;
    if (got < 0)
        return hb_fail(err, HEARTH_E_FULL, "sequences: all %d are running", s->config.n_seqs);
    *seq = got;
    *matched = s->kv.seqs[got].length;
    return HEARTH_OK;
}

hearth_status hearth_seq_release(hearth_session *s, int32_t seq, hearth_error *err)
{
    HB_TRY(seq_check(s, seq, err));
    hr_kv_release(&s->kv, seq);
    return HEARTH_OK;
}

/* ---- as bytes ---- */

static struct hr_kv_origin seq_origin(const hearth_session *s)
{
    return (struct hr_kv_origin){&s->kernels, hr_model_fingerprint(s->model), s->model->lm.n_vocab};
}

size_t hearth_seq_save_size(const hearth_session *s, int32_t seq)
{
    return seq_check(s, seq, NULL) == HEARTH_OK ? hr_kv_file_bytes(&s->kv, seq) : 0;
}

hearth_status hearth_seq_save(const hearth_session *s, int32_t seq, void *data, size_t size,
                              hearth_error *err)
{
    HB_TRY(seq_check(s, seq, err));
    const struct hr_kv_origin o = seq_origin(s);
    return hr_kv_save(&s->kv, &o, seq, data, size, err);
}

hearth_status hearth_seq_restore(hearth_session *s, int32_t seq, const void *data, size_t size,
                                 hearth_error *err)
{
    HB_TRY(seq_check(s, seq, err));
    const struct hr_kv_origin o = seq_origin(s);
    return hr_kv_restore(&s->kv, &o, seq, data, size, err);
}

void hearth_session_kv_stats(const hearth_session *s, hearth_kv_stats *stats)
{
    const struct hr_kv *kv = &s->kv;
    hearth_kv_stats full = {.struct_size = stats->struct_size,
                            .page_positions = HK_KV_PAGE,
                            .page_bytes = kv->page_bytes,
                            .pages = kv->n_pages,
                            .pages_free = kv->n_free,
                            .pages_listed = kv->prefix.n_listed,
                            .evictions = kv->count.evictions,
                            .evicted_pages = kv->count.evicted_pages,
                            .copied_pages = kv->count.copied_pages,
                            .dropped_pages = kv->count.dropped_pages,
                            .merged_pages = kv->count.merged_pages,
                            .lookups = kv->count.lookups,
                            .hits = kv->count.hits,
                            .hit_tokens = kv->count.hit_tokens};
    for (uint32_t i = 0; i < kv->n_pages; i++)
        full.pages_shared += kv->owners[i] > 1;
    for (int32_t i = 0; i < kv->n_seqs; i++) {
        full.seqs_running += !kv->seqs[i].idle;
        full.seqs_idle += kv->seqs[i].idle && kv->seqs[i].length > 0;
    }
    memcpy(stats, &full, full.struct_size < sizeof full ? full.struct_size : sizeof full);
}
