/* Pages, owners, sequences: see hr_kv.h. */
#include "runtime/hr_kv.h"
#include "base/hb_check.h"
#include <string.h>

static uint32_t kv_pages_of(int32_t positions)
{
    return ((uint32_t)positions + HK_KV_PAGE - 1) / HK_KV_PAGE;
}

static const enum hk_qtype kv_elem_type[HK_KVTYPE_COUNT] = {
#define HK_KVTYPE(id, name) HK_##id,
#include "kernels/kvtypes.def"
#undef HK_KVTYPE
};

/* Bytes of one page of one head: d elements for each of its positions. */
static size_t kv_page_bytes(enum hk_kvtype type, int32_t d)
{
    const struct hk_qtype_info *info = &hk_qtype_info[kv_elem_type[type]];
    return (size_t)HK_KV_PAGE * (size_t)d / info->block_elements * info->block_bytes;
}

hearth_status hr_kv_init(struct hr_kv *kv, const struct ht_lm *lm, enum hk_kvtype type_k,
                         enum hk_kvtype type_v, int32_t n_ctx, int32_t n_seqs, int32_t n_tokens,
                         struct hb_arena *arena, hearth_error *err)
{
    *kv = (struct hr_kv){.shape = lm->kv, .n_layers = lm->n_layers, .n_seqs = n_seqs,
                         .n_ctx = n_ctx, .max_pages = kv_pages_of(n_ctx)};
    kv->view.type_k = (uint8_t)type_k;
    kv->view.type_v = (uint8_t)type_v;
    kv->n_pages = kv->n_free = kv_pages_of(n_tokens);
    HB_TRY(HB_ARENA_NEW(arena, struct ht_kv_layer_view, (size_t)lm->n_layers, &kv->layers, err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, kv->n_pages, &kv->free_pages, err));
    HB_TRY(HB_ARENA_NEW(arena, uint16_t, kv->n_pages, &kv->owners, err));
    HB_TRY(HB_ARENA_NEW(arena, struct hr_seq, (size_t)n_seqs, &kv->seqs, err));
    for (int32_t i = 0; i < n_seqs; i++)
        HB_TRY(HB_ARENA_NEW(arena, uint32_t, kv->max_pages, &kv->seqs[i].pages, err));
    for (uint32_t i = 0; i < kv->n_pages; i++) /* low ids come off the stack first */
        kv->free_pages[i] = kv->n_pages - 1 - i;
    for (int32_t i = 0; i < lm->n_layers; i++) {
        const struct ht_kv_layer *shape = &lm->kv[i];
        struct ht_kv_layer_view *l = &kv->layers[i];
        size_t layer_bytes;
        l->v_off = kv_page_bytes(type_k, shape->d_k);
        l->page_stride = l->v_off + kv_page_bytes(type_v, shape->d_v);
        if (!hb_mul_size(l->page_stride, kv->n_pages, &l->head_stride) ||
            !hb_mul_size(l->head_stride, (size_t)shape->n_kv_heads, &layer_bytes) ||
            !hb_align_size(layer_bytes, 64, &layer_bytes) ||
            !hb_add_size(kv->bytes, layer_bytes, &kv->bytes))
            return hb_fail(err, HEARTH_E_MEMORY, "KV cache: %u pages overflow", kv->n_pages);
        kv->token_bytes += l->page_stride * (size_t)shape->n_kv_heads / HK_KV_PAGE;
    }
    kv->view.layers = kv->layers;
    return HEARTH_OK;
}

void hr_kv_place(struct hr_kv *kv, void *block)
{
    uint8_t *at = block;
    for (int32_t i = 0; i < kv->n_layers; i++) {
        kv->layers[i].base = at;
        at += hb_round_up(kv->layers[i].head_stride * (size_t)kv->shape[i].n_kv_heads, 64);
    }
}

/* Would writing behind the sequence's end touch a page that somebody else owns too? */
static bool kv_shares_last(const struct hr_kv *kv, const struct hr_seq *s)
{
    return s->length % HK_KV_PAGE != 0 && kv->owners[s->pages[s->length / HK_KV_PAGE]] > 1;
}

uint32_t hr_kv_count(const struct hr_kv *kv, int32_t seq, int32_t n)
{
    const struct hr_seq *s = &kv->seqs[seq];
    if (n == 0)
        return 0;
    return kv_pages_of(s->length + n) - kv_pages_of(s->length) + (kv_shares_last(kv, s) ? 1 : 0);
}

static uint32_t kv_pop(struct hr_kv *kv)
{
    uint32_t page = kv->free_pages[--kv->n_free];
    kv->owners[page] = 1;
    return page;
}

static void kv_drop(struct hr_kv *kv, uint32_t page)
{
    if (--kv->owners[page] == 0)
        kv->free_pages[kv->n_free++] = page;
}

static void kv_copy_page(struct hr_kv *kv, uint32_t from, uint32_t to)
{
    for (int32_t i = 0; i < kv->n_layers; i++)
        for (int32_t h = 0; h < kv->shape[i].n_kv_heads; h++)
            memcpy(ht_kv_page(&kv->layers[i], h, to), ht_kv_page(&kv->layers[i], h, from),
                   kv->layers[i].page_stride);
}

void hr_kv_extend(struct hr_kv *kv, int32_t seq, int32_t n)
{
    struct hr_seq *s = &kv->seqs[seq];
    if (n == 0)
        return;
    if (kv_shares_last(kv, s)) {
        uint32_t *last = &s->pages[s->length / HK_KV_PAGE];
        uint32_t own = kv_pop(kv);
        kv_copy_page(kv, *last, own);
        kv_drop(kv, *last);
        *last = own;
    }
    uint32_t have = kv_pages_of(s->length), want = kv_pages_of(s->length + n);
    for (; have < want; have++)
        s->pages[have] = kv_pop(kv);
    s->length += n;
}

void hr_kv_trim(struct hr_kv *kv, int32_t seq, int32_t n)
{
    struct hr_seq *s = &kv->seqs[seq];
    if (n >= s->length)
        return;
    for (uint32_t i = kv_pages_of(s->length); i-- > kv_pages_of(n);)
        kv_drop(kv, s->pages[i]);
    s->length = n;
}

void hr_kv_fork(struct hr_kv *kv, int32_t src, int32_t dst, int32_t n)
{
    const struct hr_seq *from = &kv->seqs[src];
    struct hr_seq *to = &kv->seqs[dst];
    if (src == dst) {
        hr_kv_trim(kv, src, n);
        return;
    }
    hr_kv_trim(kv, dst, 0);
    n = n < from->length ? n : from->length;
    for (uint32_t i = 0; i < kv_pages_of(n); i++) {
        to->pages[i] = from->pages[i];
        kv->owners[to->pages[i]]++;
    }
    to->length = n;
}
