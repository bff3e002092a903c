/* Sorted texts, searched byte by byte: all of them that begin a given text, shortest first.
 *
 *   order   numbers of the texts, sorted         first   range of each first byte in it
 *
 * A walk holds a range of texts that agree with what was read; each byte narrows it by bisection. */
#ifndef HV_PREFIX_H
#define HV_PREFIX_H

#include "tokenizer/hv_tokenizer.h"

struct hv_prefix {
    const struct hv_text *texts; /* [n] borrowed */
    uint32_t *order;
    uint32_t n;                  /* texts that are not empty */
    uint32_t first[257];
};

struct hv_prefix_walk {
    uint32_t lo, hi;
    size_t depth;
};

/* Sort numbers of texts by their bytes, shorter first, equal ones by number. */
void hv_sort_texts(const struct hv_text *texts, uint32_t *order, size_t n);

/* Of equal texts the last counts. Empty ones are left out. */
hearth_status hv_prefix_build(struct hv_prefix *p, const struct hv_text *texts, size_t n,
                              struct hb_arena *arena, hearth_error *err);

/* Read one byte; walk is zero at first. False: no text goes on like this. *found is the text that
 * ends here, -1 if none does. */
bool hv_prefix_step(const struct hv_prefix *p, struct hv_prefix_walk *walk, uint8_t byte,
                    int32_t *found);

#endif
