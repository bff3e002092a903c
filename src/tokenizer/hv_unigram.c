/* Unigram: of all ways to cut a word into tokens, the one whose scores add up to the most (Viterbi).
 * A character that is no token by itself may stand as unknown, at a price below every score;
 * neighbours that are unknown become one.
 *
 *   nodes   [n + 1], one for each byte of the word: the best way that ends there
 *
 * Each place is left once and looks at the tokens that begin there, so a word of n bytes takes n
 * times the longest token at most.
 *
 * Source: Kudo, "Subword Regularization", ACL 2018; ties and unknowns as huggingface/tokenizers. */
#include "tokenizer/hv_pipe_parts.h"

#define UNIGRAM_PENALTY 10.0
#define UNIGRAM_NOWHERE UINT32_MAX

struct unigram_node {
    double score;
    uint32_t from; /* UNIGRAM_NOWHERE: no way leads here */
    int32_t id;
};

hearth_status hv_unigram_build(struct hv_unigram *u, struct hb_arena *arena, hearth_error *err)
{
    double least = 0;
    bool any = false;
    for (int b = 0; b < 256; b++)
        u->byte_id[b] = -1;
    for (size_t i = 0; i < u->n_tokens; i++) {
        if (u->tokens[i].len == 0)
            continue;
        int byte = hv_byte_of_text(&u->tokens[i]);
        if (byte >= 0)
            u->byte_id[byte] = (int32_t)i;
        least = !any || u->scores[i] < least ? u->scores[i] : least;
        any = true;
    }
    u->unk_score = least - UNIGRAM_PENALTY;
    u->has_all_bytes = true;
    for (int b = 0; b < 256; b++)
        u->has_all_bytes = u->has_all_bytes && u->byte_id[b] >= 0;
    return hv_prefix_build(&u->index, u->tokens, u->n_tokens, arena, err);
}

size_t hv_unigram_scratch(size_t n)
{
    return (n + 1) * sizeof(struct unigram_node);
}

static void unigram_offer(struct unigram_node *to, double score, size_t from, int32_t id)
{
    if (to->from == UNIGRAM_NOWHERE || score > to->score)
        *to = (struct unigram_node){score, (uint32_t)from, id};
}

/* Offer every token that begins at pos. */
static void unigram_leave(const struct hv_unigram *u, struct unigram_node *nodes,
                          const uint8_t *word, size_t n, size_t pos, size_t char_len)
{
    struct hv_prefix_walk walk = {0};
    double here = nodes[pos].score;
    bool has_char = false;
    int32_t id;
    for (size_t i = pos; i < n && hv_prefix_step(&u->index, &walk, word[i], &id); i++) {
        if (id < 0)
            continue;
        unigram_offer(&nodes[i + 1], here + u->scores[id], pos, id);
        has_char = has_char || i + 1 == pos + char_len;
    }
    if (!has_char)
        unigram_offer(&nodes[pos + char_len], here + u->unk_score, pos, u->unk);
}

/* Turn the best way round: node[i].from becomes where the piece that begins at i ends. */
static void unigram_turn(struct unigram_node *nodes, size_t n)
{
    size_t end = n;
    int32_t id = nodes[end].id;
    uint32_t from = nodes[end].from;
    while (end > 0) {
        size_t begin = from;
        int32_t next_id = nodes[begin].id;
        uint32_t next_from = nodes[begin].from;
        nodes[begin].id = id;
        nodes[begin].from = (uint32_t)end;
        id = next_id;
        from = next_from;
        end = begin;
    }
}

static hearth_status unigram_unknown(const struct hv_unigram *u, const uint8_t *p, size_t n,
                                     int32_t *ids, size_t *n_ids, hearth_error *err)
{
    bool bytes = u->byte_fallback;
    for (size_t i = 0; i < n && bytes && !u->has_all_bytes; i++)
        bytes = u->byte_id[p[i]] >= 0;
    if (bytes) {
        for (size_t i = 0; i < n; i++)
            ids[(*n_ids)++] = u->byte_id[p[i]];
        return HEARTH_OK;
    }
    if (u->unk < 0)
        return hb_fail(err, HEARTH_E_NOT_FOUND,
                       "tokenizer: a character has no token, and the vocabulary no unknown one");
    ids[(*n_ids)++] = u->unk;
    return HEARTH_OK;
}

hearth_status hv_unigram_encode(const struct hv_unigram *u, const uint8_t *word, size_t n,
                                void *scratch, int32_t *ids, size_t *n_ids, hearth_error *err)
{
    struct unigram_node *nodes = scratch;
    uint32_t cp;
    *n_ids = 0;
    nodes[0] = (struct unigram_node){0, 0, -1};
    for (size_t i = 1; i <= n; i++)
        nodes[i] = (struct unigram_node){0, UNIGRAM_NOWHERE, -1};
    for (size_t pos = 0; pos < n;) {
        size_t len = hb_utf8_take(word + pos, n - pos, &cp);
        unigram_leave(u, nodes, word, n, pos, len);
        pos += len;
    }
    unigram_turn(nodes, n);
    for (size_t pos = 0; pos < n;) {
        size_t end = nodes[pos].from;
        if (nodes[pos].id >= 0 && nodes[pos].id != u->unk) {
            ids[(*n_ids)++] = nodes[pos].id;
            pos = end;
            continue;
        }
        while (end < n && (nodes[end].id < 0 || nodes[end].id == u->unk))
            end = nodes[end].from;
        HB_TRY(unigram_unknown(u, word + pos, end - pos, ids, n_ids, err));
        pos = end;
    }
    return HEARTH_OK;
}
