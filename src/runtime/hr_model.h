/* The inside of a model handle, shared by the files of the runtime. */
#ifndef HR_MODEL_H
#define HR_MODEL_H

#include "base/hb_arena.h"
#include "graph/ht_lm.h"
#include "tokenizer/hv_tokenizer.h"

struct hr_loader;

struct hearth_model {
    struct hb_arena arena;     /* holds the model itself too when it grows */
    struct hb_alloc hooks;
    const struct hr_loader *loader;
    void *file;                /* the loader's own */
    hearth_model_info info;
    struct ht_lm lm;           /* GENERATIVE */
    struct hv_tokenizer *tokenizer; /* NULL if there is none */
    struct hv_text chat_template;   /* of the file, borrowed from it; empty if there is none */
    struct ht_graph *graph;         /* TENSOR */
    const hearth_io_info *inputs, *outputs; /* [graph->n_inputs], [graph->n_outputs] */
    hearth_pooling pooling;    /* of encoders: what the file says, else HEARTH_POOL_MODEL */
    size_t encode_scratch;     /* bytes on hand in front of every tokenize call's own needs */
};

/* How one file format becomes a model. The runtime walks a list of these, so a build may leave one
 * out. */
struct hr_loader {
    const char *name;
    uint32_t off_flag; /* HEARTH_MODEL_NO_* */
    bool (*probe)(const void *bytes, size_t size);
    /* Fills info, lm, tokenizer from the bytes; memory from model->arena. */
    hearth_status (*open)(struct hearth_model *model, const hearth_bytes *files, size_t n_files,
                          const hearth_model_config *config, hearth_error *err);
    /* Gives back what is not memory; may be NULL. Called once after open, well or not. */
    void (*close)(struct hearth_model *model);
    size_t (*tensor_count)(const struct hearth_model *model);
    void (*tensor)(const struct hearth_model *model, size_t i, hearth_tensor_info *info);
    size_t (*meta_count)(const struct hearth_model *model);
    void (*meta)(const struct hearth_model *model, size_t i, const char **key, char *text,
                 size_t size);
};

extern const struct hr_loader hr_loader_gguf;
extern const struct hr_loader hr_loader_onnx;

/* Tells models apart (fingerprint.c); takes a page fault or two per tensor. */
uint64_t hr_model_fingerprint(const hearth_model *model);
/* Continue a hash over n bytes. */
uint64_t hr_hash64(uint64_t h, const void *bytes, size_t n);

const hearth_model *hr_session_model(const hearth_session *session);
/* Positions that a sequence can still take over any number of steps. */
int32_t hr_seq_capacity(const hearth_session *session, int32_t seq);

/* The C heap where allocator is all zero, or a refusal where there is none. */
hearth_status hr_hooks(const hearth_allocator *allocator, struct hb_alloc *hooks,
                       hearth_error *err);

#endif
