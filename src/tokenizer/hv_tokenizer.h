/* Tokenizers: text to ids and back. Nothing here knows where a vocabulary came from; a loader fills
 * struct hv_config and keeps the texts it points to alive.
 *
 *   text ──► special tokens cut out ──► pre-tokenizer cuts words ──► merges per word ──► ids
 *            (hv_special.c)             (pretokenizers.def)          (hv_bpe.c, hv_spm.c)
 *
 * Kinds: byte-level BPE (gpt2), SPM (SentencePiece BPE with scores, llama) and WordPiece (bert).
 *
 * A tokenizer is immutable once made, but for a cache of words (hv_cache.h) that changes no result: any
 * number of threads may use it. After creation nothing is
 * allocated. Encoding takes O(n log n) for one word of n bytes and O(total) over words, so
 * the time per byte is flat for any input; only words longer than HV_SMALL_WORD symbols need scratch.
 *
 * Promise: without HV_PARSE_SPECIAL no token of type control is ever made from text. */
#ifndef HV_TOKENIZER_H
#define HV_TOKENIZER_H

#include "base/hb_arena.h"

#define HV_MAX_TOKENS     ((size_t)1 << 20)
#define HV_MAX_MERGES     ((size_t)1 << 22)
#define HV_MAX_PIECE      ((size_t)64 << 10) /* bytes of one token */
#define HV_MAX_TEXT       ((size_t)1 << 31)  /* bytes of one text */
#define HV_SMALL_WORD     32                 /* symbols merged on the stack */
#define HV_MAX_WORD_CHARS 100                /* WordPiece: a longer word is unknown */
#define HV_CACHE_WORDS    16384
#define HV_WORD_CHARS_CAP 256                /* what a file may set instead */

struct hv_tokenizer;

enum hv_kind {
    HV_BPE = 1,
    HV_SPM = 2,
    HV_WPM = 3
};

/* Numbers as GGUF has them; other numbers count as normal. */
enum hv_token_type {
    HV_TYPE_NORMAL = 1,
    HV_TYPE_UNKNOWN = 2,
    HV_TYPE_CONTROL = 3,
    HV_TYPE_USER = 4,
    HV_TYPE_UNUSED = 5,
    HV_TYPE_BYTE = 6
};

/* White space that a special token swallows from the text beside it. Files do not say; the known
 * cases are told by names, see hv_strip_rule. */
enum hv_strip {
    HV_STRIP_NONE,
    HV_STRIP_PHI3,     /* right of every special token but <unk>, <s>, <|endoftext|> */
    HV_STRIP_MASK      /* left of <mask> and [MASK] */
};

enum hv_wpm_style {
    HV_WPM_WORD_START,   /* U+2581 opens a word, as in GGUF */
    HV_WPM_CONTINUATION  /* ## continues one, as in vocab.txt */
};

/* Tri-state flags: HV_AUTO takes what is usual for the kind and the pre-tokenizer. */
#define HV_AUTO (-1)

struct hv_text {
    const char *bytes;
    size_t len;
};

/* hv_config_init gives every field its default. Ids are -1 where there is none. */
struct hv_config {
    enum hv_kind kind;
    struct hv_text pre;            /* BPE: name of the pre-tokenizer; empty: "default" */
    const struct hv_text *tokens;  /* [n_tokens], array and texts borrowed for ever */
    size_t n_tokens;
    const void *scores;            /* [n_scores] little-endian float32, any address, or NULL */
    size_t n_scores;               /*   n_tokens, if there are scores */
    const void *types;             /* [n_types] little-endian int32 (hv_token_type), or NULL */
    size_t n_types;                /*   n_tokens, if there are types */
    const struct hv_text *merges;  /* BPE: [n_merges] "left right", borrowed during creation */
    size_t n_merges;
    bool merge_pairs;              /* merges are [2 * n_merges]: left, right, ... */
    bool by_characters;            /* BPE: words begin as characters, not as bytes */
    bool byte_fallback, fuse_unk;  /* of these: without a token they become byte tokens; unknown */
    struct hv_text word_end;       /*   neighbours become one; what the last one of a word has behind */
    int32_t bos, eos, eot, eom, unk, sep, pad, cls, mask;
    int add_bos, add_eos, add_sep, add_space_prefix;
    int remove_extra_whitespaces;
    enum hv_strip strip;
    enum hv_wpm_style wpm_style;   /* the rest is WordPiece too */
    int lowercase, strip_accents;
    struct hv_text wpm_prefix;     /* of HV_WPM_CONTINUATION; "##" */
    uint32_t max_word_chars;       /* a longer word is unknown; 100 */
    uint32_t cache_words;          /* most words whose ids are kept; 0: none; HV_CACHE_WORDS */
};

void hv_config_init(struct hv_config *config, enum hv_kind kind);

/* The strip rule of a model: its name in any case ("Phi-3 mini"), pre-tokenizer, architecture. */
enum hv_strip hv_strip_rule(struct hv_text model_name, struct hv_text pre, struct hv_text arch);

/* Everything comes from the arena.
 *
 * HEARTH_E_UNSUPPORTED  pre-tokenizer unknown (the sentence names some that are known); WordPiece
 *                       in a build without utf8proc
 * HEARTH_E_FORMAT       no tokens; add_bos without a bos token
 * HEARTH_E_MISMATCH     scores or types are not one per token
 * HEARTH_E_RANGE        bos, eos, eot or eom is not below n_tokens (pad, unk, sep, cls and mask
 *                       ids out of range count as absent: published files have them)
 * HEARTH_E_LIMIT        HV_MAX_TOKENS, HV_MAX_MERGES, HV_MAX_PIECE
 * HEARTH_E_MEMORY       the arena refused
 *
 * Harmless defects are counted in hv_stats: of tokens with equal texts the first encodes, all
 * decode; empty tokens never encode; a merge is skipped if it has no space, an unknown half or
 * result, or makes a control token; of equal merges the first counts. */
hearth_status hv_tokenizer_create(struct hb_arena *arena, const struct hv_config *config,
                                  struct hv_tokenizer **out, hearth_error *err);

/* Classes of n bytes of text, as the kernel `classify` gives them: four words of bits for each 64 bytes, of
 * letters, digits, white space and bytes past ASCII. */
typedef void hv_classify_fn(uint64_t *bits, const uint8_t *p, size_t n);

/* Find words by such bits, where the pre-tokenizer is one that can (hv_words.h). Before the first text. */
void hv_classify_by(struct hv_tokenizer *tok, hv_classify_fn *classify);
/* The feature simd_tokenizer off: words are cut and merged anew each time. Before the first text. */
void hv_be_plain(struct hv_tokenizer *tok);

struct hv_stats {
    size_t merges_used, merges_skipped;
    size_t duplicate_tokens, empty_tokens;
    size_t n_special;   /* tokens that may be cut out of text */
};
const struct hv_stats *hv_tokenizer_stats(const struct hv_tokenizer *tok);

size_t hv_vocab_size(const struct hv_tokenizer *tok);

enum hv_special_kind {
    HV_ID_BOS, HV_ID_EOS, HV_ID_EOT, HV_ID_EOM, HV_ID_UNK, HV_ID_SEP, HV_ID_PAD, HV_ID_CLS,
    HV_ID_MASK, HV_ID_COUNT
};
int32_t hv_special_id(const struct hv_tokenizer *tok, enum hv_special_kind which); /* -1: none */

/* Would HV_ADD_SPECIAL put a bos in front? For callers that guard against doubling it. */
bool hv_adds_bos(const struct hv_tokenizer *tok);
/* Ends a generation: eos, eot, eom, and tokens known by their text such as <|im_end|>. */
bool hv_is_eog(const struct hv_tokenizer *tok, int32_t id);
bool hv_is_control(const struct hv_tokenizer *tok, int32_t id);
/* The id of a token by its text as stored in the vocabulary, -1 if there is none. */
int32_t hv_find(const struct hv_tokenizer *tok, const char *text, size_t len);

/* ---- encoding --------------------------------------------------------------------------- */

#define HV_ADD_SPECIAL   1u /* bos, eos, cls, sep as the vocabulary asks */
#define HV_PARSE_SPECIAL 2u /* texts of control tokens become their ids */
#define HV_NO_PREFIX     4u /* SPM: the text continues another, no space in front of it */

/* Any bytes are text. Byte-level BPE gives back exactly these bytes when decoded, if its vocabulary
 * has a token for each byte; where it has none the unknown token, or else nothing, stands.
 *
 *   scratch  any address; NULL with 0 bytes is fine for ordinary text, see below
 *   ids      [capacity]; NULL with 0 counts only
 *   n        how many ids the text has; written on HEARTH_OK and HEARTH_E_FULL
 *
 * HEARTH_E_FULL    more ids than capacity; the first `capacity` are written
 * HEARTH_E_MEMORY  scratch is too small for the longest word; nothing useful is written
 * HEARTH_E_LIMIT   text longer than HV_MAX_TEXT */
hearth_status hv_encode(const struct hv_tokenizer *tok, const char *text, size_t len,
                        uint32_t flags, void *scratch, size_t scratch_bytes, int32_t *ids,
                        size_t capacity, size_t *n, hearth_error *err);

/* The same for a text with a mark per byte (NULL: none): bytes marked 1 came from somebody who may not
 * write special tokens. A control token that touches one of them is plain text whatever the flags say;
 * the rest is one text, so that ids are those of hv_encode wherever marks decide nothing. */
hearth_status hv_encode_marked(const struct hv_tokenizer *tok, const char *text,
                               const uint8_t *marks, size_t len, uint32_t flags, void *scratch,
                               size_t scratch_bytes, int32_t *ids, size_t capacity, size_t *n,
                               hearth_error *err);

/* Scratch that is enough for any text of this length (linear, about 40 bytes per byte), and what
 * this very text needs, found by cutting it into words once: 0 unless a word is long. SIZE_MAX past
 * HV_MAX_TEXT. */
size_t hv_encode_scratch(const struct hv_tokenizer *tok, size_t len);
size_t hv_encode_scratch_for(const struct hv_tokenizer *tok, const char *text, size_t len,
                             uint32_t flags);
size_t hv_encode_scratch_marked(const struct hv_tokenizer *tok, const char *text,
                                const uint8_t *marks, size_t len, uint32_t flags);

/* No text of this length has more ids. */
size_t hv_encode_max_ids(const struct hv_tokenizer *tok, size_t len);

/* ---- decoding --------------------------------------------------------------------------- */

#define HV_RENDER_SPECIAL 1u /* control and unknown tokens give their text, else nothing */
#define HV_REPLACE        2u /* streams: bytes that cannot be UTF-8 become U+FFFD */
#define HV_TEXT_START     4u /* streams: drop the space that encoding put in front of the text */

/* The bytes of one token, borrowed from the tokenizer. They may be half a character. Unused tokens
 * are empty. HEARTH_E_RANGE: no such id. */
hearth_status hv_piece(const struct hv_tokenizer *tok, int32_t id, uint32_t flags,
                       const char **bytes, size_t *len, hearth_error *err);

/* Tokens to text as they come, never half a character: at most three bytes that may still become
 * one are held back. All zero to start. */
struct hv_stream {
    uint8_t held[4];
    uint8_t n_held;
    uint8_t started;
};

/* Text that became complete with this token, in out; HV_MAX_PIECE + 4 bytes are always enough
 * (with HV_REPLACE three times as many). HEARTH_E_RANGE, HEARTH_E_FULL: the stream is unchanged. */
hearth_status hv_stream_push(const struct hv_tokenizer *tok, struct hv_stream *stream, int32_t id,
                             uint32_t flags, char *out, size_t capacity, size_t *len,
                             hearth_error *err);

/* The end: what is held, an unfinished character, is given as it is (U+FFFD with HV_REPLACE).
 * Returns the length, at most 4; the stream is as new. */
size_t hv_stream_flush(struct hv_stream *stream, uint32_t flags, char out[4]);

#endif
