/* The prefix cache: a prompt takes the pages that other sequences have filled with the same tokens.
 *
 * A full page is listed under (the page before it, its 16 tokens). The page before stands for
 * everything before, so a prompt of n tokens is looked up in n / 16 steps, each exact: tokens are
 * compared, never hashes alone.
 *
 *   (none, t0..t15) ─► page 4     (4, t16..t31) ─► page 9     (9, t32..t47) ─► not listed: run the rest
 *
 * A listed page is the only one with its key. A sequence that has filled another with the same tokens
 * behind the same page gives it up for the listed one: by the order contract the bytes are equal.
 * A page leaves the list before it changes or is freed; pages behind it are owned by nobody then, or
 * have left the list before. */
#include "runtime/hr_kv.h"
#include <string.h>

hearth_status hr_prefix_init(struct hr_kv *kv, struct hb_arena *arena, hearth_error *err)
{
    struct hr_prefix *p = &kv->prefix;
    uint32_t buckets = 16;
    if (!p->on)
        return HEARTH_OK;
    while (buckets < kv->n_pages)
        buckets *= 2;
    p->mask = buckets - 1;
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, buckets, &p->bucket, err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, kv->n_pages, &p->next, err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, kv->n_pages, &p->parent, err));
    HB_TRY(HB_ARENA_NEW(arena, bool, kv->n_pages, &p->listed, err));
    for (uint32_t i = 0; i < buckets; i++)
        p->bucket[i] = HR_KV_NONE;
    return HEARTH_OK;
}

static uint32_t *prefix_bucket(const struct hr_prefix *p, uint32_t parent, const int32_t *tokens)
{
    uint64_t h = parent;
    for (int i = 0; i < HK_KV_PAGE; i++) {
        h = (h ^ (uint32_t)tokens[i]) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
    }
    return &p->bucket[(uint32_t)h & p->mask];
}

static uint32_t prefix_find(const struct hr_kv *kv, uint32_t parent, const int32_t *tokens)
{
    const struct hr_prefix *p = &kv->prefix;
    uint32_t page = *prefix_bucket(p, parent, tokens);
    while (page != HR_KV_NONE &&
           (p->parent[page] != parent || memcmp(kv->tokens + (size_t)page * HK_KV_PAGE, tokens,
                                                HK_KV_PAGE * sizeof *tokens) != 0))
        page = p->next[page];
    return page;
}

void hr_prefix_remove(struct hr_kv *kv, uint32_t page)
{
    struct hr_prefix *p = &kv->prefix;
    if (!p->on || !p->listed[page])
        return;
    uint32_t *at = prefix_bucket(p, p->parent[page], kv->tokens + (size_t)page * HK_KV_PAGE);
    while (*at != page)
        at = &p->next[*at];
    *at = p->next[page];
    p->listed[page] = false;
    p->n_listed--;
}

/* List a page, or share the one that is listed already. */
static void prefix_add_page(struct hr_kv *kv, uint32_t parent, uint32_t *page)
{
    struct hr_prefix *p = &kv->prefix;
    const int32_t *tokens = kv->tokens + (size_t)*page * HK_KV_PAGE;
    uint32_t twin = prefix_find(kv, parent, tokens);
    if (twin == *page)
        return;
    if (twin != HR_KV_NONE) {
        kv->owners[twin]++;
        hr_kv_drop_page(kv, *page);
        *page = twin;
        kv->count.merged_pages++;
        return;
    }
    uint32_t *bucket = prefix_bucket(p, parent, tokens);
    p->parent[*page] = parent;
    p->next[*page] = *bucket;
    p->listed[*page] = true;
    p->n_listed++;
    *bucket = *page;
}

void hr_prefix_add(struct hr_kv *kv, int32_t seq, int32_t from)
{
    struct hr_seq *s = &kv->seqs[seq];
    if (!kv->prefix.on || s->dropped || s->foreign)
        return;
    for (int32_t i = from / HK_KV_PAGE; i < s->length / HK_KV_PAGE; i++) {
        uint32_t parent = i ? s->pages[i - 1] : HR_KV_NONE;
        if (i && !kv->prefix.listed[parent])
            return;
        prefix_add_page(kv, parent, &s->pages[i]);
    }
}

/* Listed pages that hold the beginning of the tokens, into kv->found. */
static int32_t prefix_walk(struct hr_kv *kv, const int32_t *tokens, int32_t n)
{
    int32_t most = n < kv->n_ctx ? n : kv->n_ctx, pages = 0;
    uint32_t page = HR_KV_NONE;
    if (!kv->prefix.on)
        return 0;
    for (; pages < most / HK_KV_PAGE; pages++) {
        page = prefix_find(kv, page, tokens + pages * HK_KV_PAGE);
        if (page == HR_KV_NONE)
            break;
        kv->found[pages] = page;
    }
    return pages;
}

/* Tokens that the sequence itself begins with. Behind a hole nothing is known. */
static int32_t prefix_own(const struct hr_kv *kv, int32_t seq, const int32_t *tokens, int32_t n)
{
    const struct hr_seq *s = &kv->seqs[seq];
    int32_t most = s->dropped ? kv->sink : s->length, i = 0;
    most = most < n ? most : n;
    while (i < most && *hr_kv_token(kv, seq, i) == tokens[i])
        i++;
    return i;
}

/* The others that hold the page at this place of their tables were of use. */
static void prefix_touch(struct hr_kv *kv, int32_t seq, int32_t index)
{
    for (int32_t i = 0; i < kv->n_seqs; i++)
        if (i != seq && (uint32_t)index < hr_kv_pages_held(&kv->seqs[i]) &&
            kv->seqs[i].pages[index] == kv->found[index])
            hr_kv_touch(kv, i);
}

int32_t hr_kv_match(struct hr_kv *kv, int32_t seq, const int32_t *tokens, int32_t n)
{
    struct hr_seq *s = &kv->seqs[seq];
    int32_t pages = prefix_walk(kv, tokens, n), own = prefix_own(kv, seq, tokens, n);
    kv->count.lookups++;
    if (own < pages * HK_KV_PAGE) {
        for (int32_t i = 0; i < pages; i++) /* first, or trimming might free them */
            kv->owners[kv->found[i]]++;
        hr_kv_trim(kv, seq, 0);
        memcpy(s->pages, kv->found, (size_t)pages * sizeof *s->pages);
        s->length = own = pages * HK_KV_PAGE;
        prefix_touch(kv, seq, pages - 1);
    }
    hr_kv_trim(kv, seq, own);
    kv->count.hits += own > 0;
    kv->count.hit_tokens += (uint64_t)own;
    return own;
}

/* The longest idle sequence that these tokens continue, if it beats the pages of others. */
static int32_t prefix_continued(struct hr_kv *kv, const int32_t *tokens, int32_t n)
{
    int32_t best = -1, most = prefix_walk(kv, tokens, n) * HK_KV_PAGE;
    for (int32_t i = 0; i < kv->n_seqs; i++) {
        const struct hr_seq *s = &kv->seqs[i];
        if (!s->idle || s->dropped || s->length <= most || prefix_own(kv, i, tokens, n) < s->length)
            continue;
        best = i;
        most = s->length;
    }
    return best;
}

int32_t hr_kv_acquire(struct hr_kv *kv, const int32_t *tokens, int32_t n)
{
    int32_t seq = prefix_continued(kv, tokens, n);
    for (int32_t i = 0; seq < 0 && i < kv->n_seqs; i++)
        if (kv->seqs[i].idle && kv->seqs[i].length == 0)
            seq = i;
    if (seq < 0) {
        seq = hr_kv_victim(kv);
        if (seq < 0)
            return -1;
        uint32_t before = kv->n_free;
        int32_t length = kv->seqs[seq].length;
        int32_t kept = hr_kv_match(kv, seq, tokens, n);
        kv->count.evictions += kept < length;
        kv->count.evicted_pages += kv->n_free > before ? kv->n_free - before : 0;
        kv->seqs[seq].uses = 0; /* another life */
        hr_kv_use(kv, seq);
        return seq;
    }
    hr_kv_use(kv, seq);
    hr_kv_match(kv, seq, tokens, n);
    return seq;
}
