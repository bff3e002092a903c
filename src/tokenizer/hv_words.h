/* Walking the words of a text faster than scanner by scanner, for the pre-tokenizers whose only stage is
 * one of the common expressions. */
#ifndef HV_WORDS_H
#define HV_WORDS_H

#include "tokenizer/hv_pretok.h"
#include "tokenizer/hv_tokenizer.h"

#define HV_CLASSES 4    /* letters, digits, white space, bytes past ASCII */
#define HV_WINDOW  2048 /* bytes classified at once */

struct hv_words_fast {
    const uint8_t *text;
    size_t len, base, end; /* of the text; the window is [base, end) */
    hv_classify_fn *classify;
    int kind;
    uint64_t bits[(HV_WINDOW / 64 + 1) * HV_CLASSES];
};

/* False: not for this pre-tokenizer, or there is no classifier. */
bool hv_words_fast_begin(struct hv_words_fast *f, const struct hv_pretok *pretok,
                         hv_classify_fn *classify, const uint8_t *text, size_t len);
/* The length of the word at pos; 0 at the end of the text. */
size_t hv_words_fast_next(struct hv_words_fast *f, size_t pos);

#endif
