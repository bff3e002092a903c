/* What the files of this room share: the tokenizer as it lies in memory.
 *
 *   slots   open-addressing hash, text of a token ──► id       (hv_vocab.c)
 *   pairs   open-addressing hash, (left, right) ──► merge      (hv_bpe.c)
 *   seam    which bytes may meet inside a token                (hv_spm.c)
 *   specials  ids sorted by text, one range per first byte     (hv_special.c)
 *   pieces  decoded bytes of every token, one after the other  (hv_decode.c)
 *
 * Texts are hashed with a polynomial, H(ab) = H(a) * M^|b| + H(b), so that the hash of a merge is
 * made from the hashes of its halves; a table holds the powers. */
#ifndef HV_INTERNAL_H
#define HV_INTERNAL_H

#include "base/hb_check.h"
#include "base/hb_reader.h"
#include "base/hb_unicode.h"
#include "tokenizer/hv_cache.h"
#include "tokenizer/hv_pretok.h"
#include "tokenizer/hv_tokenizer.h"
#include <string.h>

enum hv_attr {
    HV_ATTR_NORMAL = 1,
    HV_ATTR_UNKNOWN = 2,
    HV_ATTR_CONTROL = 4,
    HV_ATTR_USER = 8,
    HV_ATTR_UNUSED = 16,
    HV_ATTR_BYTE = 32,
    HV_ATTR_EOG = 64,
    HV_ATTR_LSTRIP = 128,
    HV_ATTR_RSTRIP = 256,
    HV_ATTR_SHOWN = 512 /* USER by name, and still not to be made from marked text */
};
#define HV_ATTR_SPECIAL (HV_ATTR_CONTROL | HV_ATTR_USER | HV_ATTR_UNKNOWN)
#define HV_ATTR_INERT   (HV_ATTR_CONTROL | HV_ATTR_UNKNOWN) /* not made from text unless asked */

struct hv_slot {
    uint32_t hash;
    uint32_t id_plus_1; /* 0: free */
};

#define HV_NO_RANK UINT32_MAX
struct hv_pair {
    uint32_t left, right; /* left UINT32_MAX: free */
    uint32_t rank;
    int32_t merged;
};

struct hv_specials {
    uint32_t *ids;       /* [n], sorted by text */
    uint32_t n;
    uint32_t first[257]; /* range of each first byte in ids */
    bool starts_any[256], starts_user[256];
    bool has_user;
};

struct hv_tokenizer {
    enum hv_kind kind;
    const struct hv_pretok *pretok;
    hv_classify_fn *classify;     /* NULL: words by the scalar scanners */
    const struct hv_text *tokens; /* [n_tokens] borrowed */
    uint32_t n_tokens;
    uint16_t *attr;               /* [n_tokens] */
    uint32_t *piece_end;          /* [n_tokens] */
    char *pieces;

    struct hv_slot *slots;
    uint32_t slot_mask;
    uint32_t *powers;             /* [max_len + 1] of the hash multiplier */
    uint32_t max_len;             /* hashed length of the longest token */

    struct hv_pair *pairs;        /* BPE */
    uint32_t pair_mask;
    int32_t byte_id[256];         /* BPE and SPM: the token of a byte, -1 */
    uint32_t *order;              /* SPM: [n_tokens] merge order, smaller first */
    uint8_t *seam;                /* SPM: [8192] bits, pair of bytes */

    struct hv_specials specials;
    int32_t ids[HV_ID_COUNT];
    bool add_bos, add_eos, add_sep, add_space_prefix;
    enum hv_wpm_style wpm_style;
    bool lowercase, strip_accents;
    struct hv_text wpm_prefix;
    uint32_t max_word_chars;
    uint8_t plain[128];           /* a character that stays in a word, in normal form; 0: it cuts or goes */
    bool by_characters, byte_fallback, fuse_unk; /* BPE */
    struct hv_text word_end;
    struct hv_cache cache;        /* of words; written while texts are encoded */
    struct hv_stats stats;
};

/* ---- hv_vocab.c */
#define HV_HASH_M 0x2C9277B5u

HB_INLINE uint32_t hv_hash_step(uint32_t h, uint8_t byte)
{
    return h * HV_HASH_M + byte + 1;
}

/* The last step of a lookup: high bits of a polynomial mod 2^32 are good, low ones are not. */
HB_INLINE uint32_t hv_hash_finish(uint32_t h)
{
    h ^= h >> 15;
    h *= 0x85EBCA6Bu;
    return h ^ h >> 13;
}

uint32_t hv_hash_bytes(uint32_t h, const void *bytes, size_t n);

/* Index every token. max_len and powers are set too. */
hearth_status hv_vocab_build(struct hv_tokenizer *tok, struct hb_arena *arena, hearth_error *err);

/* Find a text given as two halves in hashed form with its unfinished hash; -1 if there is none.
 * Hashed form: the stored bytes; for SPM U+2581 is ' ' and ' ' is 0xFF (no text contains it). */
int32_t hv_vocab_find(const struct hv_tokenizer *tok, uint32_t hash, const void *a, size_t na,
                      const void *b, size_t nb);

/* Byte-level BPE: find plain bytes, which are stored in the byte alphabet. */
int32_t hv_vocab_find_word(const struct hv_tokenizer *tok, const uint8_t *word, size_t n);

/* The stored text of a token in hashed form, byte by byte: *pos moves on. */
uint8_t hv_vocab_byte(const struct hv_tokenizer *tok, const struct hv_text *text, size_t *pos);

/* ---- hv_alphabet.c: bytes as printable characters, the stored form of byte-level BPE */
size_t hv_alphabet_put(uint8_t byte, uint8_t out[2]);
/* Byte of a code point, -1 if it is not of the alphabet. */
int hv_alphabet_byte(uint32_t cp);

/* ---- hv_special.c */
void hv_special_mark(struct hv_tokenizer *tok, const struct hv_config *config);
hearth_status hv_special_build(struct hv_tokenizer *tok, struct hb_arena *arena, hearth_error *err);
/* The next special token in text at or behind pos: true, its place and id. marks: NULL, or one byte
 * per byte of text as for hv_encode_marked. */
#define HV_MAX_MARKED 512 /* longest control token that is looked for in front of marked bytes */
struct hv_match {
    size_t begin, end;
    int32_t id;
};
bool hv_special_next(const struct hv_tokenizer *tok, const uint8_t *text, const uint8_t *marks,
                     size_t len, size_t pos, uint32_t flags, struct hv_match *match);

/* ---- hv_encode.c: where ids go, and scratch comes from */
struct hv_sink {
    const struct hv_tokenizer *tok;
    const uint8_t *marks;  /* of the text, or NULL */
    int32_t *ids;
    size_t capacity;
    size_t n;
    uint8_t *scratch;      /* aligned to 8 */
    size_t scratch_bytes;
    size_t scratch_need;   /* the most any word asked for */
    bool measuring;        /* only scratch_need is wanted */
    hearth_error *err;
};

HB_INLINE void hv_emit(struct hv_sink *sink, int32_t id)
{
    if (sink->n < sink->capacity)
        sink->ids[sink->n] = id;
    sink->n++;
}

/* The unknown token for something that has no other, or nothing where there is none. */
HB_INLINE void hv_emit_unknown(struct hv_sink *sink)
{
    if (sink->tok->ids[HV_ID_UNK] >= 0)
        hv_emit(sink, sink->tok->ids[HV_ID_UNK]);
}

/* The key of a word, of length 0 where words of its kind are not kept. */
HB_INLINE void hv_word_key(const struct hv_sink *sink, struct hv_cache_key *k, const uint8_t *word, size_t n)
{
    k->len = 0;
    if (sink->tok->cache.entries && n <= HV_CACHE_WORD && n > 0)
        hv_cache_key_of(k, word, n);
}

/* Emit a word that was seen before: true, and it is done. */
HB_INLINE bool hv_word_known(struct hv_sink *sink, const struct hv_cache_key *k)
{
    int32_t ids[HV_CACHE_IDS];
    uint32_t count = k->len ? hv_cache_get(&sink->tok->cache, k, ids) : 0;
    if (count == 0)
        return false;
    if (HB_LIKELY(sink->n + 4 <= sink->capacity && count <= 4)) {
        memcpy(sink->ids + sink->n, ids, 4 * sizeof *ids); /* what is behind `count` is overwritten */
        sink->n += count;
    } else {
        for (uint32_t i = 0; i < count; i++)
            hv_emit(sink, ids[i]);
    }
    return true;
}

/* Both at once; else k is its key, for hv_word_keep. */
HB_INLINE bool hv_word_seen(struct hv_sink *sink, struct hv_cache_key *k, const uint8_t *word, size_t n)
{
    hv_word_key(sink, k, word, n);
    return hv_word_known(sink, k);
}

/* Keep the ids that were emitted since there were `before` of them. */
HB_INLINE void hv_word_keep(const struct hv_sink *sink, const struct hv_cache_key *k, size_t before)
{
    if (k->len && sink->n > before && sink->n - before <= HV_CACHE_IDS && sink->n <= sink->capacity)
        hv_cache_put(&sink->tok->cache, k, sink->ids + before, (uint32_t)(sink->n - before));
}

/* Scratch of this many bytes for one word: HEARTH_E_MEMORY when there is less. When measuring,
 * *mem is NULL. */
hearth_status hv_sink_scratch(struct hv_sink *sink, size_t word, size_t bytes, uint8_t **mem);

/* ---- the kinds: creation, and one stretch of text between special tokens */
hearth_status hv_bpe_build(struct hv_tokenizer *tok, struct hb_arena *arena,
                           const struct hv_config *config, hearth_error *err);
hearth_status hv_bpe_encode(struct hv_sink *sink, const uint8_t *text, size_t n);
hearth_status hv_bpe_word(struct hv_sink *sink, const uint8_t *word, size_t n, bool whole);

hearth_status hv_spm_build(struct hv_tokenizer *tok, struct hb_arena *arena,
                           const struct hv_config *config, hearth_error *err);
hearth_status hv_spm_encode(struct hv_sink *sink, const uint8_t *text, size_t n, bool prefix);

hearth_status hv_wpm_build(struct hv_tokenizer *tok, hearth_error *err);
void hv_wpm_encode(struct hv_sink *sink, const uint8_t *text, size_t n);
void hv_wpm_word(struct hv_sink *sink, const uint8_t *word, size_t n); /* cut and normal already */

/* ---- hv_decode.c */
hearth_status hv_pieces_build(struct hv_tokenizer *tok, struct hb_arena *arena, hearth_error *err);
/* HH of a token "<0xHH>", -1 for any other text. */
int hv_byte_of_text(const struct hv_text *text);

#endif
