/* What a GGUF file says about text: the configuration of its tokenizer and its chat template. */
#ifndef HG_VOCAB_H
#define HG_VOCAB_H

#include "gguf/hg_gguf.h"
#include "tokenizer/hv_tokenizer.h"

struct hg_vocab {
    bool present;                 /* false: tokenizer.ggml.model is absent or "none" */
    struct hv_config config;      /* for hv_tokenizer_create; texts borrowed from the file */
    struct hg_text chat_template; /* len 0: none */
};

/* Tables of texts come from the arena. Defects that the file format decides are refused here, what
 * the tokenizer decides (numbers of scores and types, ids beyond the vocabulary, merges without a
 * result) by hv_tokenizer_create. Ids of -1 and 2^32 - 1 count as absent.
 *
 * HEARTH_E_UNSUPPORTED  a kind of tokenizer that is not known here: named
 * HEARTH_E_NOT_FOUND    no tokens, or no merges where the kind needs them
 * HEARTH_E_FORMAT       an array of another element type
 * HEARTH_E_LIMIT        HG_MAX_VOCAB, HG_MAX_MERGES, HG_MAX_TEMPLATE */
hearth_status hg_vocab_config(const struct hg_file *file, struct hb_arena *arena,
                              struct hg_vocab *out, hearth_error *err);

#endif
