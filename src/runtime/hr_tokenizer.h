/* The inside of a tokenizer handle. */
#ifndef HR_TOKENIZER_H
#define HR_TOKENIZER_H

#include "runtime/hr_model.h"
#include "tokenizer/hv_pipe.h"

struct hearth_tokenizer {
    struct hb_arena arena; /* holds the handle too */
    struct hb_alloc hooks; /* for texts */
    hearth_memory *memory; /* for texts, or NULL */
    struct hv_pipe *pipe;
};

#endif
