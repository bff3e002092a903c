/* BPE. A word starts as one symbol per byte (or character, where tokenizer.json says so); of all neighbours that have a merge, the
 * one of the lowest rank is merged, the leftmost first, until none is left.
 *
 * Merges are found by the ids of their halves. Words up to HV_SMALL_WORD bytes are scanned for the
 * lowest rank each time; longer ones keep a linked list and a heap in scratch:
 *
 *   | node 0 | node 1 | ... | node n-1 |   heap, at most 2n keys   |      32 bytes per byte of word
 *
 * At first n - 1 keys; every merge takes one and adds at most two, and there are n - 1 merges.
 *
 * Source: Sennrich, Haddow, Birch, "Neural Machine Translation of Rare Words with Subword Units",
 * ACL 2016; ranks and bytes as in the GPT-2 encoder. */
#include "tokenizer/hv_heap.h"
#include "tokenizer/hv_internal.h"
#include "tokenizer/hv_words.h"

HB_INLINE uint32_t bpe_pair_hash(uint32_t left, uint32_t right)
{
    uint64_t x = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(x >> 32);
}

/* The merge of two symbols, NULL if there is none. */
HB_INLINE const struct hv_pair *bpe_find(const struct hv_tokenizer *tok, int32_t left,
                                         int32_t right)
{
    if (left < 0 || right < 0)
        return NULL;
    for (uint32_t i = bpe_pair_hash((uint32_t)left, (uint32_t)right);; i++) {
        const struct hv_pair *pair = &tok->pairs[i & tok->pair_mask];
        if (pair->left == (uint32_t)left && pair->right == (uint32_t)right)
            return pair;
        if (pair->left == UINT32_MAX)
            return NULL;
    }
}

/* ---- creation */

/* Where "left right" is cut: the first space that has something before it; 0 if there is none. */
static size_t bpe_cut(const struct hv_text *merge)
{
    for (size_t i = 1; i + 1 < merge->len; i++)
        if (merge->bytes[i] == ' ')
            return i;
    return 0;
}

/* The halves of merge i; false if there are not two. */
static bool bpe_halves(const struct hv_config *config, size_t i, struct hv_text *left,
                       struct hv_text *right)
{
    if (config->merge_pairs) {
        *left = config->merges[2 * i];
        *right = config->merges[2 * i + 1];
        return left->len && right->len;
    }
    const struct hv_text *merge = &config->merges[i];
    size_t cut = bpe_cut(merge);
    *left = (struct hv_text){merge->bytes, cut};
    *right = (struct hv_text){merge->bytes + cut + 1, merge->len - cut - 1};
    return cut > 0;
}

static bool bpe_enter(struct hv_tokenizer *tok, const struct hv_config *config, uint32_t rank)
{
    struct hv_text left, right;
    if (!bpe_halves(config, rank, &left, &right))
        return false;
    uint32_t left_hash = hv_hash_bytes(0, left.bytes, left.len);
    int32_t left_id = hv_vocab_find(tok, left_hash, left.bytes, left.len, NULL, 0);
    int32_t right_id = hv_vocab_find(tok, hv_hash_bytes(0, right.bytes, right.len), right.bytes,
                                     right.len, NULL, 0);
    int32_t merged = hv_vocab_find(tok, hv_hash_bytes(left_hash, right.bytes, right.len),
                                   left.bytes, left.len, right.bytes, right.len);
    if (left_id < 0 || right_id < 0 || merged < 0 || (tok->attr[merged] & HV_ATTR_INERT))
        return false;
    for (uint32_t i = bpe_pair_hash((uint32_t)left_id, (uint32_t)right_id);; i++) {
        struct hv_pair *pair = &tok->pairs[i & tok->pair_mask];
        if (pair->left == (uint32_t)left_id && pair->right == (uint32_t)right_id)
            return false; /* an equal merge came first */
        if (pair->left == UINT32_MAX) {
            *pair = (struct hv_pair){(uint32_t)left_id, (uint32_t)right_id, rank, merged};
            return true;
        }
    }
}

/* "<0xHH>" */
static size_t bpe_byte_text(uint8_t byte, uint8_t out[6])
{
    static const char digits[] = "0123456789ABCDEF";
    memcpy(out, "<0x", 3);
    out[3] = (uint8_t)digits[byte >> 4];
    out[4] = (uint8_t)digits[byte & 15];
    out[5] = '>';
    return 6;
}

hearth_status hv_bpe_build(struct hv_tokenizer *tok, struct hb_arena *arena,
                           const struct hv_config *config, hearth_error *err)
{
    if (config->n_merges > HV_MAX_MERGES)
        return hb_fail(err, HEARTH_E_LIMIT, "tokenizer: %zu merges; up to %zu are accepted",
                       config->n_merges, HV_MAX_MERGES);
    size_t n_pairs = 16;
    while (n_pairs < config->n_merges + config->n_merges / 2)
        n_pairs *= 2;
    HB_TRY(HB_ARENA_NEW(arena, struct hv_pair, n_pairs, &tok->pairs, err));
    tok->pair_mask = (uint32_t)(n_pairs - 1);
    for (size_t i = 0; i < n_pairs; i++)
        tok->pairs[i].left = UINT32_MAX;
    for (size_t i = 0; i < config->n_merges; i++) {
        if (bpe_enter(tok, config, (uint32_t)i))
            tok->stats.merges_used++;
        else
            tok->stats.merges_skipped++;
    }
    for (int byte = 0; byte < 256; byte++) {
        uint8_t text[6];
        size_t n = tok->by_characters ? bpe_byte_text((uint8_t)byte, text)
                                      : hv_alphabet_put((uint8_t)byte, text);
        int32_t id = hv_vocab_find(tok, hv_hash_bytes(0, text, n), text, n, NULL, 0);
        /* a user-defined token of that text stands for the character, not for the byte */
        bool usable = id >= 0 && !(tok->attr[id] & (HV_ATTR_INERT | HV_ATTR_USER));
        tok->byte_id[byte] = usable ? id : -1;
    }
    return HEARTH_OK;
}

/* ---- encoding */

HB_INLINE void bpe_emit(struct hv_sink *sink, int32_t id)
{
    if (id >= 0)
        hv_emit(sink, id);
    else
        hv_emit_unknown(sink);
}

/* The symbols a word begins as. */
struct bpe_source {
    const struct hv_tokenizer *tok;
    const uint8_t *word;
    size_t n, pos;
    size_t bytes_end; /* until here the characters become byte tokens */
};

/* A character's token: the last one of a word carries the mark of its end. */
static int32_t bpe_character(const struct bpe_source *s, size_t pos, size_t len)
{
    const struct hv_tokenizer *tok = s->tok;
    struct hv_text end = pos + len == s->n ? tok->word_end : (struct hv_text){"", 0};
    uint32_t hash = hv_hash_bytes(hv_hash_bytes(0, s->word + pos, len), end.bytes, end.len);
    int32_t id = hv_vocab_find(tok, hash, s->word + pos, len, end.bytes, end.len);
    return id >= 0 && !(tok->attr[id] & HV_ATTR_INERT) ? id : -1;
}

static bool bpe_has_bytes(const struct bpe_source *s, size_t pos, size_t len)
{
    bool all = s->tok->byte_fallback;
    for (size_t i = 0; i < len && all; i++)
        all = s->tok->byte_id[s->word[pos + i]] >= 0;
    return all;
}

static size_t bpe_character_len(const struct bpe_source *s, size_t pos)
{
    size_t len = hb_utf8_len(s->word + pos, s->n - pos);
    return len ? len : 1;
}

/* The next symbol; false at the end. */
static bool bpe_next(struct bpe_source *s, int32_t *id)
{
    const struct hv_tokenizer *tok = s->tok;
    if (s->pos < s->n && (!tok->by_characters || s->pos < s->bytes_end)) {
        *id = tok->byte_id[s->word[s->pos++]];
        return true;
    }
    bool unknown = false;
    while (s->pos < s->n) {
        size_t len = bpe_character_len(s, s->pos);
        int32_t found = bpe_character(s, s->pos, len);
        bool bytes = found < 0 && bpe_has_bytes(s, s->pos, len);
        if (unknown && (found >= 0 || bytes || !tok->fuse_unk))
            break;
        if (found >= 0) {
            s->pos += len;
            *id = found;
            return true;
        }
        if (bytes) {
            s->bytes_end = s->pos + len;
            *id = tok->byte_id[s->word[s->pos++]];
            return true;
        }
        s->pos += len;
        unknown = tok->ids[HV_ID_UNK] >= 0;
    }
    *id = tok->ids[HV_ID_UNK];
    return unknown;
}

struct bpe_small {
    int32_t id[HV_SMALL_WORD];
    uint32_t rank[HV_SMALL_WORD];  /* of the pair with the next symbol */
    int32_t merged[HV_SMALL_WORD];
};

HB_INLINE void bpe_small_rank(const struct hv_tokenizer *tok, struct bpe_small *w, size_t i)
{
    const struct hv_pair *pair = bpe_find(tok, w->id[i], w->id[i + 1]);
    w->rank[i] = pair ? pair->rank : HV_NO_RANK;
    w->merged[i] = pair ? pair->merged : -1;
}

static void bpe_short_word(struct hv_sink *sink, const uint8_t *word, size_t n)
{
    const struct hv_tokenizer *tok = sink->tok;
    struct bpe_small w;
    struct bpe_source source = {tok, word, n, 0, 0};
    for (n = 0; bpe_next(&source, &w.id[n]);)
        n++;
    for (size_t i = 0; i + 1 < n; i++)
        bpe_small_rank(tok, &w, i);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (w.rank[i] < w.rank[best])
                best = i;
        if (w.rank[best] == HV_NO_RANK)
            break;
        w.id[best] = w.merged[best];
        n--;
        for (size_t i = best + 1; i < n; i++)
            w.id[i] = w.id[i + 1];
        for (size_t i = best + 1; i + 1 < n; i++) {
            w.rank[i] = w.rank[i + 1];
            w.merged[i] = w.merged[i + 1];
        }
        if (best > 0)
            bpe_small_rank(tok, &w, best - 1);
        if (best + 1 < n)
            bpe_small_rank(tok, &w, best);
    }
    for (size_t i = 0; i < n; i++)
        bpe_emit(sink, w.id[i]);
}

/* Rank the pair that node i makes with the next one, and queue it. */
static void bpe_queue(const struct hv_tokenizer *tok, struct hv_node *nodes, struct hv_heap *heap,
                      uint32_t i)
{
    uint32_t next = nodes[i].next;
    const struct hv_pair *pair =
        next == HV_NODE_END ? NULL : bpe_find(tok, nodes[i].id, nodes[next].id);
    nodes[i].rank = pair ? pair->rank : HV_NO_RANK;
    if (pair)
        hv_heap_push(heap, (uint64_t)pair->rank << 32 | i);
}

static hearth_status bpe_long_word(struct hv_sink *sink, const uint8_t *word, size_t n)
{
    const struct hv_tokenizer *tok = sink->tok;
    uint8_t *mem;
    HB_TRY(hv_sink_scratch(sink, n, n * (sizeof(struct hv_node) + 2 * sizeof(uint64_t)), &mem));
    if (!mem)
        return HEARTH_OK;
    struct hv_node *nodes = (struct hv_node *)(void *)mem;
    struct hv_heap heap = {(uint64_t *)(void *)(mem + n * sizeof(struct hv_node)), 0};
    struct bpe_source source = {tok, word, n, 0, 0};
    uint32_t count = 0;
    for (int32_t id; bpe_next(&source, &id); count++)
        nodes[count] = (struct hv_node){count ? count - 1 : HV_NODE_END, count + 1, id, HV_NO_RANK};
    if (count == 0)
        return HEARTH_OK;
    nodes[count - 1].next = HV_NODE_END;
    for (uint32_t i = 0; i < count; i++)
        bpe_queue(tok, nodes, &heap, i);
    while (heap.n) {
        uint64_t key = hv_heap_pop(&heap);
        uint32_t i = (uint32_t)key;
        if (nodes[i].rank != (uint32_t)(key >> 32))
            continue; /* one of the two has been merged since */
        uint32_t gone = nodes[i].next;
        nodes[i].id = bpe_find(tok, nodes[i].id, nodes[gone].id)->merged;
        nodes[i].next = nodes[gone].next;
        nodes[gone].rank = HV_NO_RANK;
        if (nodes[i].next != HV_NODE_END)
            nodes[nodes[i].next].prev = i;
        if (nodes[i].prev != HV_NODE_END)
            bpe_queue(tok, nodes, &heap, nodes[i].prev);
        bpe_queue(tok, nodes, &heap, i);
    }
    for (uint32_t i = 0; i != HV_NODE_END; i = nodes[i].next)
        bpe_emit(sink, nodes[i].id);
    return HEARTH_OK;
}

/* Merge a word that is not in the cache. */
static hearth_status bpe_new_word(struct hv_sink *sink, const uint8_t *word, size_t n, bool whole)
{
    const struct hv_tokenizer *tok = sink->tok;
    int32_t id = !whole               ? -1
                 : tok->by_characters ? hv_find(tok, (const char *)word, n)
                                      : hv_vocab_find_word(tok, word, n);
    if (id >= 0 && !(tok->attr[id] & HV_ATTR_INERT))
        hv_emit(sink, id);
    else if (n > HV_SMALL_WORD)
        return bpe_long_word(sink, word, n);
    else if (!sink->measuring)
        bpe_short_word(sink, word, n);
    return HEARTH_OK;
}

/* A word with its key. */
static hearth_status bpe_keyed_word(struct hv_sink *sink, const uint8_t *word, size_t n, bool whole,
                                    const struct hv_cache_key *key)
{
    if (sink->measuring || hv_word_known(sink, key))
        return sink->measuring && n > HV_SMALL_WORD ? bpe_new_word(sink, word, n, whole) : HEARTH_OK;
    size_t before = sink->n;
    HB_TRY(bpe_new_word(sink, word, n, whole));
    hv_word_keep(sink, key, before);
    return HEARTH_OK;
}

hearth_status hv_bpe_word(struct hv_sink *sink, const uint8_t *word, size_t n, bool whole)
{
    struct hv_cache_key key;
    hv_word_key(sink, &key, word, n);
    return bpe_keyed_word(sink, word, n, whole, &key);
}

/* Words some way ahead, so that their places in the cache are on the way before they are looked at. */
#define BPE_AHEAD 16

struct bpe_ahead {
    size_t pos, len;
    struct hv_cache_key key;
};

static hearth_status bpe_words_ahead(struct hv_sink *sink, struct hv_words_fast *fast, bool whole)
{
    struct bpe_ahead w[BPE_AHEAD];
    for (size_t pos = 0, n = BPE_AHEAD; n == BPE_AHEAD;) {
        for (n = 0; n < BPE_AHEAD && (w[n].len = hv_words_fast_next(fast, pos)) > 0; n++) {
            w[n].pos = pos;
            hv_word_key(sink, &w[n].key, fast->text + pos, w[n].len);
            if (w[n].key.len)
                hv_cache_prefetch(&sink->tok->cache, &w[n].key);
            pos += w[n].len;
        }
        for (size_t i = 0; i < n; i++)
            HB_TRY(bpe_keyed_word(sink, fast->text + w[i].pos, w[i].len, whole, &w[i].key));
    }
    return HEARTH_OK;
}

hearth_status hv_bpe_encode(struct hv_sink *sink, const uint8_t *text, size_t n)
{
    const struct hv_tokenizer *tok = sink->tok;
    bool whole = tok->pretok->flags & HV_PRE_WHOLE_WORD;
    struct hv_words_fast fast;
    if (hv_words_fast_begin(&fast, tok->pretok, tok->classify, text, n))
        return bpe_words_ahead(sink, &fast, whole);
    struct hv_words words = {.text = text, .len = n};
    for (;;) {
        size_t len = hv_words_next(tok->pretok, &words);
        if (len == 0)
            return HEARTH_OK;
        HB_TRY(hv_bpe_word(sink, text + words.pos - len, len, whole));
    }
}
