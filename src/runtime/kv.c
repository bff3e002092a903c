/* Pages, owners, sequences: see hr_kv.h. */
#include "runtime/hr_kv.h"
#include "base/hb_check.h"
#include <string.h>

static uint32_t kv_pages_of(int32_t positions)
{
    return ((uint32_t)positions + HK_KV_PAGE - 1) / HK_KV_PAGE;
}

/* Strides of the layers, and the bytes of one page over all of them. */
static bool kv_shape(struct hr_kv *kv, const struct ht_lm *lm)
{
    for (int32_t i = 0; i < lm->n_layers; i++) {
        const struct ht_kv_layer *shape = &lm->kv[i];
        struct ht_kv_layer_view *l = &kv->layers[i];
        size_t heads;
        l->v_off = hk_kv_page_bytes(kv->view.type_k, (size_t)shape->d_k);
        l->head_stride = l->v_off + hk_kv_page_bytes(kv->view.type_v, (size_t)shape->d_v);
        if (!hb_mul_size(l->head_stride, (size_t)shape->n_kv_heads, &heads) ||
            !hb_add_size(kv->page_bytes, heads, &kv->page_bytes))
            return false;
    }
    for (int32_t i = 0; i < lm->n_layers; i++)
        kv->layers[i].page_stride = kv->page_bytes;
    kv->token_bytes = kv->page_bytes / HK_KV_PAGE;
    return true;
}

/* As many pages as n_tokens asks for and max_bytes allows. */
static hearth_status kv_pages_fit(struct hr_kv *kv, const struct hr_kv_config *c, hearth_error *err)
{
    size_t pages = kv_pages_of(c->n_tokens);
    if (c->max_bytes && kv->page_bytes) {
        uint64_t most = c->max_bytes / kv->page_bytes;
        pages = pages < most ? pages : (size_t)most;
        if (pages == 0)
            return hb_fail(err, HEARTH_E_LIMIT, "KV cache: %llu bytes; a page takes %zu",
                           (unsigned long long)c->max_bytes, kv->page_bytes);
    }
    if (!hb_mul_size(pages, kv->page_bytes, &kv->bytes))
        return hb_fail(err, HEARTH_E_MEMORY, "KV cache: %zu pages overflow", pages);
    kv->n_pages = kv->n_free = (uint32_t)pages;
    return HEARTH_OK;
}

static hearth_status kv_tables(struct hr_kv *kv, struct hb_arena *arena, hearth_error *err)
{
    int32_t widest = 0;
    for (int32_t i = 0; i < kv->n_layers; i++) {
        widest = kv->shape[i].d_k > widest ? kv->shape[i].d_k : widest;
        widest = kv->shape[i].d_v > widest ? kv->shape[i].d_v : widest;
    }
    HB_TRY(HB_ARENA_NEW(arena, float, (size_t)widest, &kv->zeros, err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, kv->n_pages, &kv->free_pages, err));
    HB_TRY(HB_ARENA_NEW(arena, uint16_t, kv->n_pages, &kv->owners, err));
    HB_TRY(HB_ARENA_NEW(arena, uint16_t, kv->n_pages, &kv->seen, err));
    HB_TRY(HB_ARENA_NEW(arena, int32_t, (size_t)kv->n_pages * HK_KV_PAGE, &kv->tokens, err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, kv->max_pages, &kv->found, err));
    HB_TRY(HB_ARENA_NEW(arena, struct hr_seq, (size_t)kv->n_seqs, &kv->seqs, err));
    for (int32_t i = 0; i < kv->n_seqs; i++) {
        HB_TRY(HB_ARENA_NEW(arena, uint32_t, kv->max_pages, &kv->seqs[i].pages, err));
        kv->seqs[i].idle = true;
    }
    for (uint32_t i = 0; i < kv->n_pages; i++) /* low ids come off the stack first */
        kv->free_pages[i] = kv->n_pages - 1 - i;
    return hr_prefix_init(kv, arena, err);
}

hearth_status hr_kv_init(struct hr_kv *kv, const struct ht_lm *lm,
                         const struct hr_kv_config *c, struct hb_arena *arena, hearth_error *err)
{
    *kv = (struct hr_kv){.shape = lm->kv, .n_layers = lm->n_layers, .n_seqs = c->n_seqs,
                         .n_ctx = c->n_ctx, .max_pages = kv_pages_of(c->n_ctx),
                         .sink = (int32_t)kv_pages_of(c->sink) * HK_KV_PAGE,
                         .window = c->window, .policy = c->policy};
    kv->view.type_k = (uint8_t)c->type_k;
    kv->view.type_v = (uint8_t)c->type_v;
    kv->view.rotate_k = c->rotate_k;
    kv->prefix.on = !c->no_prefix;
    HB_TRY(HB_ARENA_NEW(arena, struct ht_kv_layer_view, (size_t)lm->n_layers, &kv->layers, err));
    kv->view.layers = kv->layers;
    if (!kv_shape(kv, lm))
        return hb_fail(err, HEARTH_E_MEMORY, "KV cache: the size of a page overflows");
    HB_TRY(kv_pages_fit(kv, c, err));
    return kv_tables(kv, arena, err);
}

void hr_kv_place(struct hr_kv *kv, void *block)
{
    uint8_t *at = block;
    for (int32_t i = 0; i < kv->n_layers; i++) {
        kv->layers[i].base = at;
        at += kv->layers[i].head_stride * (size_t)kv->shape[i].n_kv_heads;
    }
}

/* ---- pages ---- */

uint32_t hr_kv_pages_held(const struct hr_seq *s)
{
    return kv_pages_of(s->length - s->dropped);
}

uint32_t hr_kv_take_page(struct hr_kv *kv)
{
    uint32_t page = kv->free_pages[--kv->n_free];
    kv->owners[page] = 1;
    return page;
}

void hr_kv_drop_page(struct hr_kv *kv, uint32_t page)
{
    if (--kv->owners[page] > 0)
        return;
    hr_prefix_remove(kv, page);
    kv->free_pages[kv->n_free++] = page;
}

static void kv_copy_page(struct hr_kv *kv, uint32_t from, uint32_t to)
{
    if (kv->n_layers > 0)
        memcpy(ht_kv_page(&kv->layers[0], 0, to), ht_kv_page(&kv->layers[0], 0, from), kv->page_bytes);
    memcpy(kv->tokens + (size_t)to * HK_KV_PAGE, kv->tokens + (size_t)from * HK_KV_PAGE,
           HK_KV_PAGE * sizeof *kv->tokens);
    kv->count.copied_pages++;
}

/* The page behind the last full one, where the next position goes. */
static uint32_t kv_last(const struct hr_seq *s)
{
    return (uint32_t)(s->length - s->dropped) / HK_KV_PAGE;
}

/* Would writing behind the sequence's end touch a page that somebody else owns too? */
static bool kv_shares_last(const struct hr_kv *kv, const struct hr_seq *s)
{
    return s->length % HK_KV_PAGE != 0 && kv->owners[s->pages[kv_last(s)]] > 1;
}

int32_t *hr_kv_token(const struct hr_kv *kv, int32_t seq, int32_t pos)
{
    const struct hr_seq *s = &kv->seqs[seq];
    int32_t at = pos < kv->sink ? pos : pos - s->dropped;
    return kv->tokens + (size_t)s->pages[at / HK_KV_PAGE] * HK_KV_PAGE + (size_t)(at % HK_KV_PAGE);
}

/* ---- sequences ---- */

int32_t hr_kv_room(const struct hr_kv *kv, int32_t seq)
{
    const struct hr_seq *s = &kv->seqs[seq];
    int32_t room = kv->n_ctx - (s->length - s->dropped), end = HR_KV_LAST_POS - s->length;
    return room < end ? room : end;
}

uint32_t hr_kv_count(const struct hr_kv *kv, int32_t seq, int32_t n)
{
    const struct hr_seq *s = &kv->seqs[seq];
    if (n == 0)
        return 0;
    return kv_pages_of(s->length - s->dropped + n) - hr_kv_pages_held(s) +
           (kv_shares_last(kv, s) ? 1 : 0);
}

void hr_kv_extend(struct hr_kv *kv, int32_t seq, int32_t n)
{
    struct hr_seq *s = &kv->seqs[seq];
    if (n == 0)
        return;
    if (kv_shares_last(kv, s)) {
        uint32_t *last = &s->pages[kv_last(s)];
        uint32_t own = hr_kv_take_page(kv);
        kv_copy_page(kv, *last, own);
        hr_kv_drop_page(kv, *last);
        *last = own;
    } else if (s->length % HK_KV_PAGE != 0) {
        hr_prefix_remove(kv, s->pages[kv_last(s)]); /* it was full once, and changes now */
    }
    uint32_t have = hr_kv_pages_held(s), want = kv_pages_of(s->length - s->dropped + n);
    for (; have < want; have++)
        s->pages[have] = hr_kv_take_page(kv);
    s->length += n;
}

/* Drop what no row from position `length` on sees, and a stretch less, so that a few positions can
 * still be taken back. */
static void kv_slide(struct hr_kv *kv, struct hr_seq *s)
{
    int32_t first = ht_window_first(kv->window, s->length - HK_KV_STRETCH);
    int32_t n = (first - kv->sink - s->dropped) / HK_KV_PAGE;
    uint32_t sink = (uint32_t)kv->sink / HK_KV_PAGE, held = hr_kv_pages_held(s);
    if (n <= 0)
        return;
    for (uint32_t i = sink; i < held; i++) /* their parents go */
        hr_prefix_remove(kv, s->pages[i]);
    for (uint32_t i = sink; i < sink + (uint32_t)n; i++)
        hr_kv_drop_page(kv, s->pages[i]);
    memmove(s->pages + sink, s->pages + sink + n, (held - sink - (uint32_t)n) * sizeof *s->pages);
    s->dropped += n * HK_KV_PAGE;
    kv->count.dropped_pages += (uint64_t)n;
}

void hr_kv_commit(struct hr_kv *kv, int32_t seq, int32_t from)
{
    hr_prefix_add(kv, seq, from);
    if (kv->window)
        kv_slide(kv, &kv->seqs[seq]);
}

bool hr_kv_can_trim(const struct hr_kv *kv, int32_t seq, int32_t n)
{
    const struct hr_seq *s = &kv->seqs[seq];
    int32_t hole = kv->sink + s->dropped;
    return s->dropped == 0 || n <= kv->sink ||
           (n >= hole && ht_window_first(kv->window, n) >= hole);
}

void hr_kv_trim(struct hr_kv *kv, int32_t seq, int32_t n)
{
    struct hr_seq *s = &kv->seqs[seq];
    if (n >= s->length)
        return;
    int32_t dropped = n <= kv->sink ? 0 : s->dropped;
    for (uint32_t i = hr_kv_pages_held(s); i-- > kv_pages_of(n - dropped);)
        hr_kv_drop_page(kv, s->pages[i]);
    s->length = n;
    s->dropped = dropped;
    s->foreign = s->foreign && n > 0;
}

void hr_kv_fork(struct hr_kv *kv, int32_t src, int32_t dst, int32_t n)
{
    const struct hr_seq *from = &kv->seqs[src];
    struct hr_seq *to = &kv->seqs[dst];
    hr_kv_touch(kv, src);
    if (src == dst) {
        hr_kv_trim(kv, src, n);
        return;
    }
    hr_kv_trim(kv, dst, 0);
    n = n < from->length ? n : from->length;
    to->length = n;
    to->foreign = from->foreign && n > 0;
    to->dropped = n <= kv->sink ? 0 : from->dropped;
    for (uint32_t i = 0; i < hr_kv_pages_held(to); i++) {
        to->pages[i] = from->pages[i];
        kv->owners[to->pages[i]]++;
    }
}
