/* The KV cache beside a naive model of it: for each sequence its tokens, and whether it may be evicted.
 * Both are driven by operations that are read from a stream of bytes, random or chosen by a fuzzer.
 *
 * What stands at a position is made from all tokens up to it, as a model would, so sharing by tokens is
 * checked by contents: a mark in every head's V page of every layer, where attention would look. */
#ifndef KV_WORLD_H
#define KV_WORLD_H

#include "test_support.h"
#include "runtime/hr_kv.h"
#include "base/os/hb_os.h"

#define WORLD_SEQS   6
#define WORLD_CTX    272
#define WORLD_LONG   1200 /* tokens that a naive sequence can have, with a window */
#define WORLD_TOKENS 960
#define WORLD_SCRIPTS 3

struct naive_seq {
    bool idle;
    int32_t length, script;
    int32_t token[WORLD_LONG];
    uint32_t mark[WORLD_LONG];
};

struct world_config {
    int32_t sink, window;
    hearth_evict policy;
    bool no_prefix;
};

struct world {
    struct hk_table kernels;
    struct hr_kv_origin origin;
    struct naive_seq saved; /* what `file` is of */
    uint8_t *file;
    size_t file_bytes;
    struct hb_arena arena;
    struct hr_kv kv;
    struct naive_seq naive[WORLD_SEQS];
    uint8_t *block;
    uint64_t ops[8]; /* how many of each took place */
};

static const struct ht_kv_layer world_layers[2] = {{2, 4, 4}, {1, 8, 4}};
static const struct ht_lm world_lm = {.kv = world_layers, .n_layers = 2};

static inline void world_make(struct world *w, const struct world_config *c)
{
    memset(w, 0, sizeof *w);
    hb_arena_init_growing(&w->arena, hb_os_heap());
    const struct hr_kv_config config = {.type_k = HK_KV_F32, .type_v = HK_KV_F32,
                                        .n_ctx = WORLD_CTX, .n_seqs = WORLD_SEQS,
                                        .n_tokens = WORLD_TOKENS, .sink = c->sink,
                                        .window = c->window, .policy = c->policy,
                                        .no_prefix = c->no_prefix};
    assert_int_equal(hr_kv_init(&w->kv, &world_lm, &config, &w->arena, NULL), HEARTH_OK);
    w->block = calloc(1, w->kv.bytes);
    hr_kv_place(&w->kv, w->block);
    hk_select(&w->kernels, 0, HK_LEVEL_scalar);
    w->origin = (struct hr_kv_origin){&w->kernels, 42, 1000};
    for (int32_t i = 0; i < WORLD_SEQS; i++)
        w->naive[i].idle = true;
}

static inline void world_free(struct world *w)
{
    free(w->block);
    free(w->file);
    hb_arena_release(&w->arena);
}

static inline uint32_t *world_slot(struct world *w, int32_t layer, int32_t head, int32_t seq,
                                   int32_t pos)
{
    const struct ht_kv_layer_view *l = &w->kv.layers[layer];
    const struct hr_seq *s = &w->kv.seqs[seq];
    const struct ht_segment seg = {.pages = s->pages, .sink = w->kv.sink, .dropped = s->dropped};
    size_t d_v = (size_t)world_layers[layer].d_v;
    uint8_t *v = ht_kv_page(l, head, ht_seg_page(&seg, pos)) + l->v_off;
    return (uint32_t *)(void *)(v + (size_t)(pos % HK_KV_PAGE) * d_v * sizeof(float));
}

/* Tokens of a script repeat late, so that sequences of one script have common beginnings. */
static inline int32_t world_token(int32_t script, int32_t pos)
{
    return (pos * 7 + pos / 13) % 11 + (pos < 40 ? 0 : script);
}

static inline void world_push(struct naive_seq *s, int32_t token)
{
    uint32_t before = s->length ? s->mark[s->length - 1] : 1;
    s->token[s->length] = token;
    s->mark[s->length++] = (before ^ (uint32_t)token) * 2654435761u + 12345;
}

/* The bound that the cache promises to keep visible for the next position. */
static inline bool world_sees(const struct world *w, int32_t length, int32_t pos)
{
    return pos < w->kv.sink || pos >= ht_window_first(w->kv.window, length);
}

/* Idle sequences may have lost their ends, and nothing else. */
static inline void world_after_eviction(struct world *w, uint32_t wanted, uint32_t free_before)
{
    for (int32_t i = 0; i < WORLD_SEQS; i++) {
        if (w->kv.seqs[i].length == w->naive[i].length)
            continue;
        assert_true(w->naive[i].idle);
        assert_true(wanted > free_before);
        assert_true(w->kv.seqs[i].length < w->naive[i].length);
        w->naive[i].length = w->kv.seqs[i].length;
    }
}

/* A step of n tokens, as step.c does it. */
static inline void world_append(struct world *w, int32_t seq, int32_t n, bool stray)
{
    struct naive_seq *s = &w->naive[seq];
    int32_t from = s->length;
    if (n > hr_kv_room(&w->kv, seq) || n > WORLD_LONG - from)
        return;
    hr_kv_use(&w->kv, seq);
    s->idle = false;
    if (from == 0)
        s->script = (int32_t)(w->ops[0] % WORLD_SCRIPTS);
    uint32_t want = hr_kv_count(&w->kv, seq, n), before = w->kv.n_free;
    bool room = hr_kv_make_room(&w->kv, want);
    world_after_eviction(w, want, before);
    assert_true(room == (w->kv.n_free >= want));
    if (!room) {
        assert_int_equal(w->kv.n_free, before);
        return;
    }
    before = w->kv.n_free;
    hr_kv_extend(&w->kv, seq, n);
    assert_int_equal(before - w->kv.n_free, want);
    for (int32_t i = 0; i < n; i++) {
        world_push(s, world_token(s->script, s->length) + (stray && i == 0));
        *hr_kv_token(&w->kv, seq, from + i) = s->token[from + i];
        for (int32_t layer = 0; layer < 2; layer++)
            for (int32_t h = 0; h < world_layers[layer].n_kv_heads; h++)
                *world_slot(w, layer, h, seq, from + i) = s->mark[from + i];
    }
    hr_kv_commit(&w->kv, seq, from);
    w->ops[0]++;
}

static inline void world_trim(struct world *w, int32_t seq, int32_t n)
{
    if (n > w->naive[seq].length || !hr_kv_can_trim(&w->kv, seq, n))
        return;
    hr_kv_trim(&w->kv, seq, n);
    w->naive[seq].length = n;
    w->ops[1]++;
}

static inline void world_fork(struct world *w, int32_t a, int32_t b, int32_t n)
{
    if (n > w->naive[a].length || !hr_kv_can_trim(&w->kv, a, n))
        return;
    bool idle = w->naive[b].idle;
    hr_kv_fork(&w->kv, a, b, n);
    if (a != b)
        w->naive[b] = w->naive[a];
    w->naive[b].length = n;
    w->naive[b].idle = idle;
    w->ops[2]++;
}

/* n tokens of a script; whoever got them holds that beginning now. */
static inline void world_match(struct world *w, int32_t seq, int32_t script, int32_t n,
                               bool acquire)
{
    int32_t prompt[WORLD_CTX], got;
    for (int32_t i = 0; i < n; i++)
        prompt[i] = world_token(script, i);
    if (acquire) {
        seq = hr_kv_acquire(&w->kv, prompt, n);
        bool any_idle = false;
        for (int32_t i = 0; i < WORLD_SEQS; i++)
            any_idle = any_idle || w->naive[i].idle;
        assert_true((seq >= 0) == any_idle);
        if (seq < 0)
            return;
        assert_true(w->naive[seq].idle);
        got = w->kv.seqs[seq].length;
        w->naive[seq].idle = false;
    } else {
        got = hr_kv_match(&w->kv, seq, prompt, n);
    }
    assert_in_range(got, 0, n);
    struct naive_seq *s = &w->naive[seq];
    int32_t own = 0;
    while (own < s->length && own < n && s->token[own] == prompt[own])
        own++;
    if (w->kv.window == 0)
        assert_true(got >= own);
    s->length = 0;
    s->script = script;
    for (int32_t i = 0; i < got; i++)
        world_push(s, prompt[i]);
    w->ops[acquire ? 4 : 3]++;
}

static inline void world_save(struct world *w, int32_t seq)
{
    free(w->file);
    w->file_bytes = hr_kv_file_bytes(&w->kv, seq);
    w->file = malloc(w->file_bytes);
    assert_int_equal(hr_kv_save(&w->kv, &w->origin, seq, w->file, w->file_bytes, NULL), HEARTH_OK);
    w->saved = w->naive[seq];
    w->ops[6]++;
}

static inline void world_restore(struct world *w, int32_t seq)
{
    if (!w->file)
        return;
    uint32_t before = w->kv.n_free;
    hearth_status status = hr_kv_restore(&w->kv, &w->origin, seq, w->file, w->file_bytes, NULL);
    if (status == HEARTH_E_FULL) {
        assert_int_equal(w->kv.n_free, before);
        return;
    }
    assert_int_equal(status, HEARTH_OK);
    w->naive[seq] = w->saved;
    w->naive[seq].idle = false;
    world_after_eviction(w, 1, 0);
    w->ops[7]++;
}

/* Contents equal, owners counted, free + used = total, listed pages owned. */
static inline void world_check(struct world *w)
{
    static uint32_t owned[WORLD_TOKENS / HK_KV_PAGE];
    uint32_t used = 0, listed = 0;
    memset(owned, 0, sizeof owned);
    for (int32_t q = 0; q < WORLD_SEQS; q++) {
        const struct hr_seq *s = &w->kv.seqs[q];
        assert_int_equal(s->length, w->naive[q].length);
        assert_int_equal(s->idle, w->naive[q].idle);
        for (int32_t p = 0; p < s->length; p++) {
            if (!world_sees(w, s->length, p))
                continue;
            if (*hr_kv_token(&w->kv, q, p) != w->naive[q].token[p])
                fail_msg("sequence %d position %d: token", q, p);
            for (int32_t layer = 0; layer < 2; layer++)
                for (int32_t h = 0; h < world_layers[layer].n_kv_heads; h++)
                    if (*world_slot(w, layer, h, q, p) != w->naive[q].mark[p])
                        fail_msg("sequence %d position %d", q, p);
        }
        for (uint32_t i = 0; i < hr_kv_pages_held(s); i++)
            owned[s->pages[i]]++;
    }
    for (uint32_t i = 0; i < w->kv.n_pages; i++) {
        assert_int_equal(owned[i], w->kv.owners[i]);
        assert_int_equal(w->kv.seen[i], 0);
        used += owned[i] > 0;
        if (w->kv.prefix.on && w->kv.prefix.listed[i]) {
            assert_true(owned[i] > 0);
            listed++;
        }
    }
    assert_int_equal(used + w->kv.n_free, w->kv.n_pages);
    assert_int_equal(listed, w->kv.prefix.n_listed);
}

/* One operation from four bytes. */
static inline void world_op(struct world *w, const uint8_t b[4])
{
    int32_t a = b[1] % WORLD_SEQS, to = b[2] % WORLD_SEQS, length = w->naive[a].length;
    int32_t part = length * b[3] / 255;
    switch (b[0] % 8) {
    case 0:
    case 1:
    case 2:
        world_append(w, a, 1 + b[2] % 40, b[3] > 250);
        break;
    case 3:
        world_trim(w, a, b[0] & 0x80 || length < 20 ? part : length - b[3] % 20);
        break;
    case 4:
        world_fork(w, a, to, b[0] & 0x80 ? part : length);
        break;
    case 5:
        hr_kv_release(&w->kv, a);
        w->naive[a].idle = true;
        w->ops[5]++;
        break;
    case 6:
        world_match(w, a, b[2] % WORLD_SCRIPTS, b[3], false);
        break;
    default:
        if (b[3] >= 32)
            world_match(w, a, b[2] % WORLD_SCRIPTS, b[3], true);
        else if (b[3] % 2)
            world_save(w, a);
        else
            world_restore(w, a);
    }
}

#endif
