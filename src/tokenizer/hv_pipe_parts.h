/* The parts of a pipe as they lie in memory; shared by the files that read and that run them. */
#ifndef HV_PIPE_PARTS_H
#define HV_PIPE_PARTS_H

#include "tokenizer/hv_internal.h"
#include "tokenizer/hv_pipe.h"
#include "tokenizer/hv_prefix.h"

/* ---- code points and bytes that grow in an arena */

struct hv_points {
    uint32_t *at;
    size_t n, capacity;
};

struct hv_bytes {
    uint8_t *at;
    size_t n, capacity;
};

hearth_status hv_points_room(struct hv_points *p, size_t more, struct hb_arena *arena,
                             hearth_error *err);
hearth_status hv_bytes_add(struct hv_bytes *b, const void *bytes, size_t n, struct hb_arena *arena,
                           hearth_error *err);

/* ---- normalizers (hv_pipe_normal.c) */

enum hv_normal_kind {
    HV_NORMAL_BERT,
    HV_NORMAL_NFC,
    HV_NORMAL_NFD,
    HV_NORMAL_NFKC,
    HV_NORMAL_NFKD,
    HV_NORMAL_LOWER,
    HV_NORMAL_STRIP_ACCENTS,
    HV_NORMAL_STRIP,
    HV_NORMAL_NMT,
    HV_NORMAL_PREPEND,
    HV_NORMAL_REPLACE,      /* every `pattern` by `content` */
    HV_NORMAL_REPLACE_RUNS, /* every run of at least `least` spaces by `content` */
    HV_NORMAL_CHARSMAP
};

struct hv_charsmap {
    const uint8_t *units; /* [n_units] little-endian */
    size_t n_units;
    const char *texts;    /* ended by NULs */
    size_t texts_bytes;
};

struct hv_normal {
    enum hv_normal_kind kind;
    bool clean, chinese, strip_accents, lower; /* BERT */
    bool left, right;                          /* STRIP */
    bool any_space;                            /* REPLACE_RUNS: white space, not ' ' alone */
    uint32_t least;
    struct hv_text pattern, content;
    struct hv_charsmap charsmap;
};

/* Text through all steps. With no steps the text itself is given back. */
hearth_status hv_normal_run(const struct hv_normal *steps, size_t n_steps, const uint8_t *text,
                            size_t len, struct hb_arena *arena, struct hv_text *out,
                            hearth_error *err);

/* hv_charsmap.c: the precompiled map of SentencePiece. */
hearth_status hv_charsmap_read(struct hv_charsmap *map, const uint8_t *bytes, size_t n,
                               hearth_error *err);
/* What these bytes become; false if nothing is said of them. */
bool hv_charsmap_find(const struct hv_charsmap *map, const uint8_t *bytes, size_t n,
                      struct hv_text *out);

/* ---- pre-tokenizers (hv_pipe_split.c) */

enum hv_split_kind {
    HV_SPLIT_WHITESPACE_SPLIT,
    HV_SPLIT_WHITESPACE, /* \w+|[^\w\s]+ */
    HV_SPLIT_BERT,
    HV_SPLIT_PUNCTUATION,
    HV_SPLIT_DIGITS,
    HV_SPLIT_LITERAL,
    HV_SPLIT_WORDS,      /* the words of `scan` */
    HV_SPLIT_METASPACE,
    HV_SPLIT_BYTE_LEVEL
};

enum hv_behavior {
    HV_REMOVED,
    HV_ISOLATED,
    HV_MERGED_WITH_PREVIOUS,
    HV_MERGED_WITH_NEXT,
    HV_CONTIGUOUS
};

enum hv_prepend { HV_PREPEND_ALWAYS, HV_PREPEND_FIRST, HV_PREPEND_NEVER };

struct hv_split {
    enum hv_split_kind kind;
    enum hv_behavior behavior;
    bool invert;
    bool individual;        /* DIGITS */
    bool add_prefix_space;  /* BYTE_LEVEL */
    bool cut;               /* METASPACE: split at its mark */
    enum hv_prepend prepend;
    struct hv_text pattern; /* LITERAL; METASPACE: the mark */
    hv_scan_fn *scan;       /* WORDS; BYTE_LEVEL: NULL if it does not cut */
};

struct hv_span {
    const uint8_t *at;
    size_t len;
    bool first; /* begins where the text begins */
};

struct hv_spans {
    struct hv_span *at;
    size_t n, capacity;
};

/* The scanner of a regular expression as files write it, NULL if it is not known. */
hv_scan_fn *hv_split_scan(struct hv_text regex);

/* One span through all steps, into words. */
hearth_status hv_split_run(const struct hv_split *steps, size_t n_steps, struct hv_span text,
                           struct hb_arena *arena, struct hv_spans *words, hearth_error *err);

/* ---- added tokens (hv_added.c) */

struct hv_added_token {
    struct hv_text text;    /* as matched: of the text, or of normal form */
    int32_t id;
    bool single_word, lstrip, rstrip, special;
};

struct hv_added {
    struct hv_added_token *tokens;
    struct hv_text *texts; /* of tokens */
    size_t n;
    struct hv_prefix index;
};

struct hv_added_match {
    size_t begin, end; /* with the white space it takes along */
    int32_t id;
};

hearth_status hv_added_build(struct hv_added *added, struct hb_arena *arena, hearth_error *err);
/* The next token in text at or behind pos; white space before `pos` is not taken. */
bool hv_added_next(const struct hv_added *added, const uint8_t *text, size_t len, size_t pos,
                   bool special_too, struct hv_added_match *match);

/* ---- Unigram (hv_unigram.c) */

struct hv_unigram {
    const struct hv_text *tokens; /* [n_tokens] */
    const double *scores;         /* [n_tokens] */
    size_t n_tokens;
    int32_t unk;                  /* -1: none */
    bool byte_fallback;
    double unk_score;
    int32_t byte_id[256];         /* -1 where there is none */
    bool has_all_bytes;
    struct hv_prefix index;
};

hearth_status hv_unigram_build(struct hv_unigram *u, struct hb_arena *arena, hearth_error *err);
/* Ids of one word, at most n of them. Scratch is 16 bytes per byte of the word, and one more. */
hearth_status hv_unigram_encode(const struct hv_unigram *u, const uint8_t *word, size_t n,
                                void *scratch, int32_t *ids, size_t *n_ids, hearth_error *err);
size_t hv_unigram_scratch(size_t n);

/* ---- the whole */

struct hv_template {
    int32_t before[HV_MAX_TEMPLATE], after[HV_MAX_TEMPLATE];
    int32_t before_type[HV_MAX_TEMPLATE], after_type[HV_MAX_TEMPLATE];
    size_t n_before, n_after;
    int32_t type; /* of the text's own tokens */
};

struct hv_pipe {
    struct hv_text *tokens; /* [n_tokens]; empty where an id has no token */
    size_t n_tokens;
    struct hv_added of_text, of_normal;
    struct hv_normal normals[HV_MAX_PIPE_STEPS];
    struct hv_split splits[HV_MAX_PIPE_STEPS];
    size_t n_normals, n_splits;
    bool byte_level;            /* words are bytes, tokens are in the byte alphabet */
    struct hv_tokenizer *words; /* BPE and WordPiece */
    struct hv_unigram *unigram;
    struct hv_template around;
    size_t max_ids;             /* truncation, 0: none */
    bool cut_left;              /* truncation takes from the left */
};

/* Index what a reader has filled in. */
hearth_status hv_pipe_finish(struct hv_pipe *pipe, struct hb_arena *arena, hearth_error *err);

#endif
