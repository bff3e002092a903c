/* Tokenizers as tokenizer.json describes them: a pipe of parts, each of a known kind.
 *
 *   text ──► added tokens ──► normalizer ──► added tokens ──► pre-tokenizer ──► model ──► template
 *            (of the text)    (hv_pipe_      (of normal       (hv_pipe_         ids of     [CLS] ids
 *             hv_added.c)      normal.c)      form)            split.c)         words      [SEP]
 *
 * What a file names and this reader does not know is refused by name, never skipped. Without
 * HV_PARSE_SPECIAL the texts of special added tokens are plain text.
 *
 * A pipe is immutable: any number of threads may use it. Encoding takes its memory from an arena of
 * the caller, in proportion to the text.
 *
 * Source: huggingface/tokenizers, the format of tokenizer.json (version 1.0) and its behaviour. */
#ifndef HV_PIPE_H
#define HV_PIPE_H

#include "tokenizer/hv_tokenizer.h"

#define HV_MAX_JSON_BYTES ((size_t)256 << 20)
#define HV_MAX_PIPE_STEPS 32
#define HV_MAX_TEMPLATE   16 /* special tokens on each side of a text */

struct hv_pipe;

/* Does it begin like a tokenizer.json: white space, then an object? */
bool hv_pipe_is_json(const void *bytes, size_t size);

/* From the bytes of a tokenizer.json. Nothing of them is needed afterwards.
 *
 * HEARTH_E_FORMAT       no JSON, a field of the wrong type, ids twice or missing
 * HEARTH_E_UNSUPPORTED  a part of a kind that is not known, or a setting of it; a build without JSON
 * HEARTH_E_LIMIT        HV_MAX_JSON_BYTES, HV_MAX_TOKENS, ... */
hearth_status hv_pipe_from_json(const void *bytes, size_t size, struct hb_arena *arena,
                                struct hv_pipe **out, hearth_error *err);

/* From a vocab.txt of BERT: a token a line, ids in order. Lower-cases and strips accents unless a
 * token other than [..] has an upper-case letter; puts [CLS] and [SEP] around a text. */
hearth_status hv_pipe_from_vocab(const void *bytes, size_t size, struct hb_arena *arena,
                                 struct hv_pipe **out, hearth_error *err);

struct hv_encoding {
    int32_t *ids;
    int32_t *types;  /* token_type_ids */
    size_t n;
    size_t n_all;    /* what n would be without truncation */
};

/* flags: HV_ADD_SPECIAL puts the template around the text, HV_PARSE_SPECIAL. If max_ids is not 0,
 * the text is cut so that n <= max_ids, template included. The encoding lies in the arena, a growing
 * one. HEARTH_E_LIMIT: a text past HV_MAX_TEXT, or a template that does not fit into max_ids. */
hearth_status hv_pipe_encode(const struct hv_pipe *pipe, const char *text, size_t len,
                             uint32_t flags, size_t max_ids, struct hb_arena *arena,
                             struct hv_encoding *out, hearth_error *err);

size_t hv_pipe_vocab_size(const struct hv_pipe *pipe);
/* The truncation the file asks for, 0 for none; the id that pads, -1 if the file names none. */
size_t hv_pipe_max_ids(const struct hv_pipe *pipe);
void hv_pipe_be_plain(struct hv_pipe *pipe); /* as hv_be_plain */
/* The text of a token as stored; NULL past the end. */
const struct hv_text *hv_pipe_token(const struct hv_pipe *pipe, int32_t id);

#endif
