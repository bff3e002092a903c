/* The KV cache: pages of HK_KV_PAGE positions, a page table per sequence, reference counts.
 *
 * A page id stands for the same slot in every layer and head; the bytes lie layer by layer, head by
 * head (graph/ht_batch.h). Sequences may share pages (fork); a page with more than one owner is
 * copied before somebody writes to it. Free pages are a stack.
 *
 * Growing a sequence is two steps, so that a refused one changes nothing: hr_kv_count says how many
 * pages it would take, hr_kv_extend takes them. */
#ifndef HR_KV_H
#define HR_KV_H

#include "base/hb_arena.h"
#include "graph/ht_batch.h"
#include "graph/ht_lm.h"

struct hr_seq {
    uint32_t *pages; /* [max_pages] */
    int32_t length;  /* positions */
};

struct hr_kv {
    struct ht_kv_view view;
    struct ht_kv_layer_view *layers; /* [n_layers] */
    const struct ht_kv_layer *shape; /* [n_layers] */
    int32_t n_layers, n_seqs, n_ctx;
    uint32_t max_pages;              /* per sequence */
    uint32_t n_pages, n_free;
    uint32_t *free_pages;            /* [n_pages] stack */
    uint16_t *owners;                /* [n_pages] */
    struct hr_seq *seqs;             /* [n_seqs] */
    size_t bytes;                    /* of the cache itself */
    size_t token_bytes;              /* per position, all layers */
};

/* Sizes and tables, from the arena; the cache's own block comes later with hr_kv_place. */
hearth_status hr_kv_init(struct hr_kv *kv, const struct ht_lm *lm, enum hk_kvtype type_k,
                         enum hk_kvtype type_v, int32_t n_ctx, int32_t n_seqs, int32_t n_tokens,
                         struct hb_arena *arena, hearth_error *err);
void hr_kv_place(struct hr_kv *kv, void *block);

/* Pages that n more positions of a sequence take, copies of shared pages included. */
uint32_t hr_kv_count(const struct hr_kv *kv, int32_t seq, int32_t n);
/* Take them. The caller has checked that hr_kv_count pages are free. */
void hr_kv_extend(struct hr_kv *kv, int32_t seq, int32_t n);
/* Keep the first n positions. */
void hr_kv_trim(struct hr_kv *kv, int32_t seq, int32_t n);
/* dst, emptied, shares the first n positions of src. */
void hr_kv_fork(struct hr_kv *kv, int32_t src, int32_t dst, int32_t n);

#endif
