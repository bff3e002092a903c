/* The KV cache: pages of HK_KV_PAGE positions, a page table per sequence, reference counts.
 *
 * A page id stands for the same slot in every layer and head, whose bytes lie beside one another, layer by
 * layer, head by head: pages that nobody has used yet are memory that nobody has touched, however large
 * the cache is. A page also keeps the tokens of its positions. Sequences may share pages
 * (fork, match); a page with more than one owner is copied before somebody writes to it. Free pages
 * are a stack.
 *
 * Growing a sequence is three steps, so that a refused one changes nothing: hr_kv_count says how many
 * pages it would take, hr_kv_extend takes them, and when the step has run well, hr_kv_commit lets
 * others find what is new. hr_kv_trim takes an extension back.
 *
 *   kv.c        pages, owners, sequences
 *   kv_evict.c  idle sequences give their pages up when others need them
 *   prefix.c    pages are found by the tokens they hold
 *   kv_file.c   a sequence as bytes
 *
 * With a window, a sequence keeps its first `sink` positions and drops whole pages behind them:
 *
 *   positions    0 .. sink | sink .. sink + dropped | sink + dropped .. length
 *   page table   pages                                pages
 *
 * What a row at position p sees is told by p alone (ht_seg_first), so chunks do not matter. Keys keep
 * their absolute positions: rotary attention knows distances only, so within the window this equals
 * shifting, and no key is rotated and rounded again. Only the distance to the sink grows. */
#ifndef HR_KV_H
#define HR_KV_H

#include "base/hb_arena.h"
#include "graph/ht_batch.h"
#include "graph/ht_lm.h"

#define HR_KV_NONE     UINT32_MAX
#define HR_KV_LAST_POS (1 << 24) /* positions are exact as float below */

struct hr_seq {
    uint32_t *pages; /* [max_pages] of the positions that are held */
    int32_t length;  /* positions, dropped ones too */
    int32_t dropped; /* whole pages; 0 without a window */
    bool idle;       /* may be evicted */
    bool foreign;    /* holds bytes that were restored: nothing of it is listed */
    uint32_t uses;   /* how often it was shared from or taken up again */
    uint64_t used_at, idle_at; /* by kv->clock */
};

/* Full pages by their tokens and the page before, so that a chain of lookups walks a prompt. */
struct hr_prefix {
    bool on;
    uint32_t mask;    /* buckets - 1 */
    uint32_t *bucket; /* [mask + 1] first page or HR_KV_NONE */
    uint32_t *next;   /* [n_pages] */
    uint32_t *parent; /* [n_pages] the page before; HR_KV_NONE: this is the first */
    bool *listed;     /* [n_pages] */
    uint32_t n_listed;
};

struct hr_kv_counters {
    uint64_t evictions, evicted_pages, copied_pages, dropped_pages, merged_pages;
    uint64_t lookups, hits, hit_tokens;
};

struct hr_kv {
    struct ht_kv_view view;
    struct ht_kv_layer_view *layers; /* [n_layers] */
    const struct ht_kv_layer *shape; /* [n_layers] */
    int32_t n_layers, n_seqs, n_ctx;
    int32_t sink, window;            /* both 0: everything is kept */
    uint32_t max_pages;              /* per sequence */
    uint32_t n_pages, n_free;
    uint32_t *free_pages;            /* [n_pages] stack */
    uint16_t *owners;                /* [n_pages] */
    uint16_t *seen;                  /* [n_pages] scratch, zero between calls */
    uint32_t *found;                 /* [max_pages] scratch */
    int32_t *tokens;                 /* [n_pages][HK_KV_PAGE] */
    const float *zeros;              /* as many as a head has elements */
    struct hr_seq *seqs;             /* [n_seqs] */
    struct hr_prefix prefix;
    hearth_evict policy;
    uint64_t clock;
    struct hr_kv_counters count;
    size_t bytes;                    /* of the cache itself */
    size_t page_bytes;               /* all layers and heads */
    size_t token_bytes;              /* per position, all layers */
};

struct hr_kv_config {
    enum hk_kvtype type_k, type_v;
    bool rotate_k;
    int32_t n_ctx, n_seqs, n_tokens;
    uint64_t max_bytes; /* of the pages; 0: what n_tokens takes */
    int32_t sink, window;
    hearth_evict policy;
    bool no_prefix;
};

/* Sizes and tables, from the arena; the cache's own block comes later with hr_kv_place. */
hearth_status hr_kv_init(struct hr_kv *kv, const struct ht_lm *lm,
                         const struct hr_kv_config *config, struct hb_arena *arena,
                         hearth_error *err);
void hr_kv_place(struct hr_kv *kv, void *block);

/* ---- growing and shrinking ---- */

/* Positions that can still be added, the cache allowing. */
int32_t hr_kv_room(const struct hr_kv *kv, int32_t seq);
/* Pages that n more positions of a sequence take, copies of shared pages included. */
uint32_t hr_kv_count(const struct hr_kv *kv, int32_t seq, int32_t n);
/* Take them. The caller has checked that hr_kv_count pages are free and n is at most hr_kv_room. */
void hr_kv_extend(struct hr_kv *kv, int32_t seq, int32_t n);
/* The token at a position that is held. */
int32_t *hr_kv_token(const struct hr_kv *kv, int32_t seq, int32_t pos);
/* Positions from `from` on were computed: their full pages can be found, and what the window has left
 * behind is dropped. */
void hr_kv_commit(struct hr_kv *kv, int32_t seq, int32_t from);
/* Is all that a row at position n sees still there? */
bool hr_kv_can_trim(const struct hr_kv *kv, int32_t seq, int32_t n);
/* Keep the first n positions. */
void hr_kv_trim(struct hr_kv *kv, int32_t seq, int32_t n);
/* dst, emptied, shares the first n positions of src. */
void hr_kv_fork(struct hr_kv *kv, int32_t src, int32_t dst, int32_t n);

/* ---- for the files of the cache ---- */

uint32_t hr_kv_pages_held(const struct hr_seq *s);
uint32_t hr_kv_take_page(struct hr_kv *kv);
void hr_kv_drop_page(struct hr_kv *kv, uint32_t page);

/* ---- idle sequences (kv_evict.c) ---- */

void hr_kv_use(struct hr_kv *kv, int32_t seq);     /* running: never evicted */
void hr_kv_release(struct hr_kv *kv, int32_t seq); /* idle */
/* Others share what this sequence holds. */
void hr_kv_touch(struct hr_kv *kv, int32_t seq);
/* Have so many pages free, at the cost of idle sequences; they lose pages from their ends. False: it
 * cannot be, and nothing was done. */
bool hr_kv_make_room(struct hr_kv *kv, uint32_t pages);
/* Pages that idle sequences alone own. */
uint32_t hr_kv_evictable(const struct hr_kv *kv);
/* The idle sequence that the policy would give up first; empty ones do not count. -1: none. */
int32_t hr_kv_victim(const struct hr_kv *kv);

/* ---- a sequence as bytes (kv_file.c) ---- */

/* What the bytes are of. */
struct hr_kv_origin {
    const struct hk_table *kernels;
    uint64_t fingerprint;
    int32_t n_vocab;
};

size_t hr_kv_file_bytes(const struct hr_kv *kv, int32_t seq);
hearth_status hr_kv_save(const struct hr_kv *kv, const struct hr_kv_origin *o, int32_t seq,
                         void *data, size_t size, hearth_error *err);
/* The sequence is running afterwards; unchanged on failure. */
hearth_status hr_kv_restore(struct hr_kv *kv, const struct hr_kv_origin *o, int32_t seq,
                            const void *data, size_t size, hearth_error *err);

/* ---- prefixes (prefix.c) ---- */

hearth_status hr_prefix_init(struct hr_kv *kv, struct hb_arena *arena, hearth_error *err);
void hr_prefix_add(struct hr_kv *kv, int32_t seq, int32_t from);
void hr_prefix_remove(struct hr_kv *kv, uint32_t page);
/* Make the sequence begin with as many of the tokens as it holds itself or finds in pages of others.
 * Returns how many. */
int32_t hr_kv_match(struct hr_kv *kv, int32_t seq, const int32_t *tokens, int32_t n);
/* A sequence for these tokens, running; -1: all are. */
int32_t hr_kv_acquire(struct hr_kv *kv, const int32_t *tokens, int32_t n);

#endif
