/* SentencePiece BPE: a text starts as one symbol per character, spaces written U+2581; of all
 * neighbours whose joined text is a token, the one of the highest score is merged, the leftmost
 * first, until none is left. Characters without a token become byte tokens.
 *
 * Nothing cuts the text into words here, but the vocabulary does: two bytes that never meet inside
 * a token (the end of one character, the start of the next) cannot be merged over, so the text may be
 * cut between them without changing anything. The seam table has a bit for every pair of bytes.
 *
 * Inside, U+2581 is one byte ' '. A long word in scratch, m bytes after that:
 *
 *   | heap, 2m keys | m nodes | m hashes | the word |                    37 bytes per byte of word
 *
 * Node and hash i belong to the symbol that starts at byte i. Bytes that are not UTF-8 are symbols
 * of their own and so become byte tokens.
 *
 * Source: Kudo and Richardson, "SentencePiece", EMNLP 2018; model type BPE. */
#include "tokenizer/hv_heap.h"
#include "tokenizer/hv_internal.h"

#define SPM_SHORT_BYTES (4 * HV_SMALL_WORD)

/* ---- creation */

/* Floats in ascending order as integers, so that higher scores get smaller numbers. */
static uint32_t spm_order(float score)
{
    if (score != score)
        return HV_NO_RANK - 1; /* not a number: after all others */
    if (score == 0)
        score = 0; /* no negative zero */
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u; /* ascending */
    bits = ~bits;                                           /* descending */
    return bits < HV_NO_RANK - 1 ? bits : HV_NO_RANK - 1;
}

static bool spm_can_merge(const struct hv_tokenizer *tok, int32_t id)
{
    return id >= 0 && !(tok->attr[id] & (HV_ATTR_INERT | HV_ATTR_BYTE));
}

/* Length of the character at p in hashed form. */
HB_INLINE size_t spm_char_len(const uint8_t *p, size_t n)
{
    size_t len = hb_utf8_len(p, n);
    return len ? len : 1;
}

static void spm_mark_seams(struct hv_tokenizer *tok, const struct hv_text *text)
{
    const uint8_t *p = (const uint8_t *)text->bytes;
    uint32_t last = 256;
    for (size_t pos = 0; pos < text->len;) {
        size_t len = spm_char_len(p + pos, text->len - pos);
        size_t at = pos;
        uint8_t first = hv_vocab_byte(tok, text, &at);
        if (last < 256)
            tok->seam[last * 32 + first / 8] |= (uint8_t)(1u << (first & 7));
        last = at == pos + len ? first : p[pos + len - 1];
        pos += len;
    }
}

hearth_status hv_spm_build(struct hv_tokenizer *tok, struct hb_arena *arena,
                           const struct hv_config *config, hearth_error *err)
{
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, tok->n_tokens, &tok->order, err));
    HB_TRY(HB_ARENA_NEW(arena, uint8_t, 256 * 32, &tok->seam, err));
    for (int byte = 0; byte < 256; byte++)
        tok->byte_id[byte] = -1;
    for (uint32_t id = 0; id < tok->n_tokens; id++) {
        const uint8_t *score = (const uint8_t *)config->scores + 4 * (size_t)id;
        tok->order[id] = spm_order(config->scores ? hb_load_f32le(score) : 0);
        if (spm_can_merge(tok, (int32_t)id))
            spm_mark_seams(tok, &tok->tokens[id]);
        int byte = tok->attr[id] & HV_ATTR_BYTE ? hv_byte_of_text(&tok->tokens[id]) : -1;
        if (byte >= 0 && tok->byte_id[byte] < 0)
            tok->byte_id[byte] = (int32_t)id;
    }
    return HEARTH_OK;
}

/* ---- encoding */

struct spm_symbol {
    uint32_t begin, len; /* in the word */
    uint32_t hash;
    int32_t id;          /* -1: a character without a token */
    uint32_t rank;       /* of the pair with the next symbol, and the token it makes */
    int32_t merged;
};

/* A symbol that is no token, byte by byte. */
static void spm_emit_bytes(struct hv_sink *sink, const uint8_t *p, size_t n)
{
    static const uint8_t space[3] = {0xE2, 0x96, 0x81};
    if (n == 1 && p[0] == ' ') {
        p = space;
        n = 3;
    }
    for (size_t i = 0; i < n; i++) {
        if (sink->tok->byte_id[p[i]] >= 0)
            hv_emit(sink, sink->tok->byte_id[p[i]]);
        else
            hv_emit_unknown(sink);
    }
}

/* The token of a stretch, -1 if there is none that text may become. */
HB_INLINE int32_t spm_token(const struct hv_tokenizer *tok, uint32_t hash, const uint8_t *p,
                            size_t n)
{
    int32_t id = hv_vocab_find(tok, hash, p, n, NULL, 0);
    return spm_can_merge(tok, id) ? id : -1;
}

HB_INLINE int32_t spm_join(const struct hv_tokenizer *tok, const uint8_t *p, size_t left_len,
                           uint32_t left_hash, size_t right_len, uint32_t right_hash,
                           uint32_t *hash)
{
    if (left_len + right_len > tok->max_len)
        return -1;
    *hash = left_hash * tok->powers[right_len] + right_hash;
    return spm_token(tok, *hash, p, left_len + right_len);
}

static void spm_rank(const struct hv_tokenizer *tok, const uint8_t *word, struct spm_symbol *s)
{
    uint32_t hash;
    s->merged = spm_join(tok, word + s->begin, s->len, s->hash, s[1].len, s[1].hash, &hash);
    s->rank = s->merged >= 0 ? tok->order[s->merged] : HV_NO_RANK;
}

static void spm_short_word(struct hv_sink *sink, const uint8_t *word, size_t n)
{
    const struct hv_tokenizer *tok = sink->tok;
    struct spm_symbol s[HV_SMALL_WORD + 1];
    size_t count = 0;
    for (size_t pos = 0; pos < n; count++) {
        size_t len = spm_char_len(word + pos, n - pos);
        uint32_t hash = hv_hash_bytes(0, word + pos, len);
        s[count] = (struct spm_symbol){(uint32_t)pos, (uint32_t)len, hash,
                                       spm_token(tok, hash, word + pos, len), HV_NO_RANK, -1};
        pos += len;
    }
    for (size_t i = 0; i + 1 < count; i++)
        spm_rank(tok, word, &s[i]);
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (s[i].rank < s[best].rank)
                best = i;
        if (count < 2 || s[best].rank == HV_NO_RANK)
            break;
        s[best].hash = s[best].hash * tok->powers[s[best + 1].len] + s[best + 1].hash;
        s[best].len += s[best + 1].len;
        s[best].id = s[best].merged;
        s[best].rank = HV_NO_RANK;
        count--;
        for (size_t i = best + 1; i < count; i++)
            s[i] = s[i + 1];
        if (best > 0)
            spm_rank(tok, word, &s[best - 1]);
        if (best + 1 < count)
            spm_rank(tok, word, &s[best]);
    }
    for (size_t i = 0; i < count; i++) {
        if (s[i].id >= 0)
            hv_emit(sink, s[i].id);
        else
            spm_emit_bytes(sink, word + s[i].begin, s[i].len);
    }
}

struct spm_long {
    const struct hv_tokenizer *tok;
    uint8_t *word;
    uint32_t n;
    struct hv_node *nodes;
    uint32_t *hashes;
    struct hv_heap heap;
};

static uint32_t spm_end(const struct spm_long *w, uint32_t i)
{
    return w->nodes[i].next == HV_NODE_END ? w->n : w->nodes[i].next;
}

/* The token that symbol i makes with the next one, and the hash of both. */
static int32_t spm_pair(const struct spm_long *w, uint32_t i, uint32_t *hash)
{
    uint32_t next = w->nodes[i].next;
    if (next == HV_NODE_END)
        return -1;
    return spm_join(w->tok, w->word + i, next - i, w->hashes[i], spm_end(w, next) - next,
                    w->hashes[next], hash);
}

static void spm_queue(struct spm_long *w, uint32_t i)
{
    uint32_t hash;
    int32_t id = spm_pair(w, i, &hash);
    w->nodes[i].rank = id >= 0 ? w->tok->order[id] : HV_NO_RANK;
    if (id >= 0)
        hv_heap_push(&w->heap, (uint64_t)w->tok->order[id] << 32 | i);
}

static void spm_merge(struct spm_long *w, uint32_t i)
{
    uint32_t gone = w->nodes[i].next;
    w->nodes[i].id = spm_pair(w, i, &w->hashes[i]);
    w->nodes[i].next = w->nodes[gone].next;
    w->nodes[gone].rank = HV_NO_RANK;
    if (w->nodes[i].next != HV_NODE_END)
        w->nodes[w->nodes[i].next].prev = i;
    if (w->nodes[i].prev != HV_NODE_END)
        spm_queue(w, w->nodes[i].prev);
    spm_queue(w, i);
}

static void spm_long_word(struct hv_sink *sink, struct spm_long *w)
{
    uint32_t prev = HV_NODE_END;
    for (uint32_t pos = 0; pos < w->n;) {
        uint32_t len = (uint32_t)spm_char_len(w->word + pos, w->n - pos);
        w->hashes[pos] = hv_hash_bytes(0, w->word + pos, len);
        w->nodes[pos] = (struct hv_node){prev, pos + len < w->n ? pos + len : HV_NODE_END,
                                         spm_token(w->tok, w->hashes[pos], w->word + pos, len),
                                         HV_NO_RANK};
        prev = pos;
        pos += len;
    }
    for (uint32_t i = 0; i != HV_NODE_END; i = w->nodes[i].next)
        spm_queue(w, i);
    while (w->heap.n) {
        uint64_t key = hv_heap_pop(&w->heap);
        if (w->nodes[(uint32_t)key].rank == (uint32_t)(key >> 32))
            spm_merge(w, (uint32_t)key);
    }
    for (uint32_t i = 0; i != HV_NODE_END; i = w->nodes[i].next) {
        if (w->nodes[i].id >= 0)
            hv_emit(sink, w->nodes[i].id);
        else
            spm_emit_bytes(sink, w->word + i, spm_end(w, i) - i);
    }
}

/* ---- words */

/* Text as it is seen inside: the next character's bytes, with U+2581 as ' '. Returns the length
 * in the text. */
HB_INLINE size_t spm_next_char(const uint8_t *p, size_t n, uint8_t out[4], size_t *out_len)
{
    if (p[0] < 0x80) {
        out[0] = p[0];
        *out_len = 1;
        return 1;
    }
    size_t len = spm_char_len(p, n);
    if (len == 3 && p[0] == 0xE2 && p[1] == 0x96 && p[2] == 0x81) {
        out[0] = ' ';
        *out_len = 1;
        return 3;
    }
    memcpy(out, p, len);
    *out_len = len;
    return len;
}

struct spm_word {
    size_t end;      /* in the text */
    size_t bytes;    /* inside */
    size_t symbols;
};

/* The word that starts at pos: up to the first seam. With prefix a ' ' stands in front of it. */
static struct spm_word spm_next_word(const struct hv_tokenizer *tok, const uint8_t *text, size_t n,
                                     size_t pos, bool prefix)
{
    struct spm_word w = {pos, prefix, prefix};
    uint32_t last = ' ';
    while (w.end < n) {
        uint8_t c[4];
        size_t c_len, len = spm_next_char(text + w.end, n - w.end, c, &c_len);
        if (w.symbols && !(tok->seam[last * 32 + c[0] / 8] >> (c[0] & 7) & 1))
            break;
        w.end += len;
        w.bytes += c_len;
        w.symbols++;
        last = c[c_len - 1];
    }
    return w;
}

static void spm_copy(uint8_t *out, const uint8_t *text, size_t pos, size_t end, bool prefix)
{
    if (prefix)
        *out++ = ' ';
    while (pos < end) {
        uint8_t c[4];
        size_t c_len;
        pos += spm_next_char(text + pos, end - pos, c, &c_len);
        memcpy(out, c, c_len);
        out += c_len;
    }
}

hearth_status hv_spm_encode(struct hv_sink *sink, const uint8_t *text, size_t n, bool prefix)
{
    for (size_t pos = 0; pos < n; prefix = false) {
        struct spm_word word = spm_next_word(sink->tok, text, n, pos, prefix);
        if (word.symbols <= HV_SMALL_WORD) {
            uint8_t bytes[SPM_SHORT_BYTES];
            if (!sink->measuring) {
                struct hv_cache_key key;
                size_t before = sink->n;
                spm_copy(bytes, text, pos, word.end, prefix);
                if (!hv_word_seen(sink, &key, bytes, word.bytes)) {
                    spm_short_word(sink, bytes, word.bytes);
                    hv_word_keep(sink, &key, before);
                }
            }
            pos = word.end;
            continue;
        }
        size_t m = word.bytes;
        uint8_t *mem;
        HB_TRY(hv_sink_scratch(sink, m, m * (2 * sizeof(uint64_t) + sizeof(struct hv_node) + 5),
                               &mem));
        if (mem) {
            struct spm_long w = {.tok = sink->tok, .n = (uint32_t)m};
            w.heap.keys = (uint64_t *)(void *)mem;
            w.nodes = (struct hv_node *)(void *)(w.heap.keys + 2 * m);
            w.hashes = (uint32_t *)(void *)(w.nodes + m);
            w.word = (uint8_t *)(w.hashes + m);
            spm_copy(w.word, text, pos, word.end, prefix);
            spm_long_word(sink, &w);
        }
        pos = word.end;
    }
    return HEARTH_OK;
}
