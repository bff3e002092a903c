/* Which tensor gets which type. */
#ifndef HQ_MIX_H
#define HQ_MIX_H

#include "gguf/hg_gguf.h"
#include <stdbool.h>

enum hq_rule { HQ_ALL, HQ_MORE, HQ_FIRST, HQ_PARTS };

struct hq_choice {
    uint8_t rule, type, then; /* then: what MORE's layers get with HQ_PARTS */
    uint8_t k;
};

struct hq_mix {
    const char *name; /* lower case */
    uint32_t file_type;
    enum hk_qtype base, output;
    struct hq_choice v, down, out, qkv;
    const char *text;
};

/* [n]; any case is found. */
extern const struct hq_mix hq_mixes[];
extern const size_t hq_n_mixes;
const struct hq_mix *hq_mix_find(const char *name);

/* What a file says that the choice depends on. */
struct hq_model {
    int64_t n_layers;
    bool tied;  /* the embedding is the output matrix too */
};

void hq_model_read(const struct hg_file *file, struct hq_model *model);

/* The type a tensor is to have. Vectors, routers and what is no matrix of a float or block type keep theirs. */
enum hk_qtype hq_mix_type(const struct hq_mix *mix, const struct hq_model *model, const struct hg_tensor *tensor);

#endif
