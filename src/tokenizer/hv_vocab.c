/* Texts to ids: one open-addressing hash over the stored texts of all tokens. A slot keeps the
 * whole 32-bit hash, so that a miss rarely looks at a text. */
#include "tokenizer/hv_internal.h"

uint32_t hv_hash_bytes(uint32_t h, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++)
        h = hv_hash_step(h, p[i]);
    return h;
}

uint8_t hv_vocab_byte(const struct hv_tokenizer *tok, const struct hv_text *text, size_t *pos)
{
    const uint8_t *p = (const uint8_t *)text->bytes + *pos;
    size_t left = text->len - *pos;
    if (tok->kind == HV_SPM) {
        if (p[0] == 0xE2 && left >= 3 && p[1] == 0x96 && p[2] == 0x81) {
            *pos += 3;
            return ' ';
        }
        if (p[0] == ' ') {
            *pos += 1;
            return 0xFF;
        }
    }
    *pos += 1;
    return p[0];
}

static bool vocab_equal(const struct hv_tokenizer *tok, const struct hv_text *text,
                        const uint8_t *a, size_t na, const uint8_t *b, size_t nb)
{
    if (tok->kind != HV_SPM)
        return text->len == na + nb && memcmp(text->bytes, a, na) == 0 &&
               (nb == 0 || memcmp(text->bytes + na, b, nb) == 0);
    size_t pos = 0;
    for (size_t i = 0; i < na + nb; i++)
        if (pos >= text->len || hv_vocab_byte(tok, text, &pos) != (i < na ? a[i] : b[i - na]))
            return false;
    return pos == text->len;
}

int32_t hv_vocab_find(const struct hv_tokenizer *tok, uint32_t hash, const void *a, size_t na,
                      const void *b, size_t nb)
{
    if (na + nb > tok->max_len)
        return -1;
    hash = hv_hash_finish(hash);
    for (uint32_t i = hash;; i++) {
        const struct hv_slot *slot = &tok->slots[i & tok->slot_mask];
        if (slot->id_plus_1 == 0)
            return -1;
        if (slot->hash == hash &&
            vocab_equal(tok, &tok->tokens[slot->id_plus_1 - 1], a, na, b, nb))
            return (int32_t)(slot->id_plus_1 - 1);
    }
}

/* Enter one token unless its text is there already. */
static void vocab_enter(struct hv_tokenizer *tok, uint32_t id, uint32_t hash)
{
    const struct hv_text *text = &tok->tokens[id];
    for (uint32_t i = hash;; i++) {
        struct hv_slot *slot = &tok->slots[i & tok->slot_mask];
        if (slot->id_plus_1 == 0) {
            slot->hash = hash;
            slot->id_plus_1 = id + 1;
            return;
        }
        const struct hv_text *other = &tok->tokens[slot->id_plus_1 - 1];
        if (slot->hash == hash && other->len == text->len &&
            memcmp(other->bytes, text->bytes, text->len) == 0) {
            tok->stats.duplicate_tokens++;
            return;
        }
    }
}

hearth_status hv_vocab_build(struct hv_tokenizer *tok, struct hb_arena *arena, hearth_error *err)
{
    size_t n_slots = 16;
    while (n_slots < (size_t)tok->n_tokens + tok->n_tokens / 2)
        n_slots *= 2;
    HB_TRY(HB_ARENA_NEW(arena, struct hv_slot, n_slots, &tok->slots, err));
    tok->slot_mask = (uint32_t)(n_slots - 1);

    for (uint32_t id = 0; id < tok->n_tokens; id++) {
        const struct hv_text *text = &tok->tokens[id];
        if (text->len == 0) {
            tok->stats.empty_tokens++;
            continue;
        }
        uint32_t hash = 0, len = 0;
        for (size_t pos = 0; pos < text->len; len++)
            hash = hv_hash_step(hash, hv_vocab_byte(tok, text, &pos));
        vocab_enter(tok, id, hv_hash_finish(hash));
        if (len > tok->max_len)
            tok->max_len = len;
    }

    HB_TRY(HB_ARENA_NEW(arena, uint32_t, (size_t)tok->max_len + 1, &tok->powers, err));
    tok->powers[0] = 1;
    for (uint32_t i = 1; i <= tok->max_len; i++)
        tok->powers[i] = tok->powers[i - 1] * HV_HASH_M;
    return HEARTH_OK;
}

static bool vocab_equal_word(const struct hv_text *text, const uint8_t *word, size_t n)
{
    size_t pos = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t out[2];
        size_t len = hv_alphabet_put(word[i], out);
        if (text->len - pos < len || memcmp(text->bytes + pos, out, len) != 0)
            return false;
        pos += len;
    }
    return pos == text->len;
}

int32_t hv_vocab_find_word(const struct hv_tokenizer *tok, const uint8_t *word, size_t n)
{
    if (n > tok->max_len)
        return -1;
    uint32_t hash = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t out[2];
        size_t len = hv_alphabet_put(word[i], out);
        hash = hv_hash_bytes(hash, out, len);
    }
    hash = hv_hash_finish(hash);
    for (uint32_t i = hash;; i++) {
        const struct hv_slot *slot = &tok->slots[i & tok->slot_mask];
        if (slot->id_plus_1 == 0)
            return -1;
        if (slot->hash == hash && vocab_equal_word(&tok->tokens[slot->id_plus_1 - 1], word, n))
            return (int32_t)(slot->id_plus_1 - 1);
    }
}

int32_t hv_find(const struct hv_tokenizer *tok, const char *text, size_t len)
{
    if (len == 0 || len > HV_MAX_PIECE)
        return -1;
    struct hv_text query = {text, len};
    uint32_t hash = 0;
    for (size_t pos = 0; pos < len;)
        hash = hv_hash_step(hash, hv_vocab_byte(tok, &query, &pos));
    hash = hv_hash_finish(hash);
    for (uint32_t i = hash;; i++) {
        const struct hv_slot *slot = &tok->slots[i & tok->slot_mask];
        if (slot->id_plus_1 == 0)
            return -1;
        const struct hv_text *other = &tok->tokens[slot->id_plus_1 - 1];
        if (slot->hash == hash && other->len == len && memcmp(other->bytes, text, len) == 0)
            return (int32_t)(slot->id_plus_1 - 1);
    }
}
