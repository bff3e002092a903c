/* Pre-tokenizers: text is cut into words, and no token crosses a cut.
 *
 * A scanner is a pure function over bytes: how long is the first word of these n bytes? It stands
 * for one regular expression as the model's makers wrote it; what no alternative matches
 * is a word by itself, up to the next match. Each is linear over a whole text. Ends of the span are ends of
 * the text to it.
 *
 * A pre-tokenizer is up to HV_MAX_STAGES scanners: the second cuts the words of the first, and so
 * on. pretokenizers.def lists them, one row a name. */
#ifndef HV_PRETOK_H
#define HV_PRETOK_H

#include "base/hb_port.h"

#define HV_MAX_STAGES 6

/* Length of the first word, 1..n; n >= 1. */
typedef size_t hv_scan_fn(const uint8_t *p, size_t n);

#define HV_PRE_WHOLE_WORD 1u /* a word that is a token is not merged ("ignore_merges") */
#define HV_PRE_ADD_BOS    2u /* add_bos unless the file says otherwise */
#define HV_PRE_ADD_SEP    4u /* the same for add_sep */

struct hv_pretok {
    const char *name;
    hv_scan_fn *stages[HV_MAX_STAGES + 1]; /* ends with NULL */
    uint32_t flags;
};

/* NULL if there is none of this name. An empty name is "default". */
const struct hv_pretok *hv_pretok_find(const char *name, size_t len);
/* The i-th row, NULL past the end. */
const struct hv_pretok *hv_pretok_at(size_t i);

/* Walking the words of a text: start with {.text, .len}, then call until it returns 0. */
struct hv_words {
    const uint8_t *text;
    size_t len;
    size_t pos;                      /* where the next word begins */
    size_t ends[HV_MAX_STAGES + 1];  /* where the current word of each stage ends */
};

/* Length of the next word, which begins at w->pos - length afterwards; 0 at the end. */
size_t hv_words_next(const struct hv_pretok *pretok, struct hv_words *w);

#endif
