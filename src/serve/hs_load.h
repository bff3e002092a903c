/* One load of a model, slice by slice (load.c), for the registry (models.c). */
#ifndef HS_LOAD_H
#define HS_LOAD_H

#include "serve/hs_models.h"

enum { LOAD_MODEL, LOAD_TOKENIZER, LOAD_LABELS, LOAD_FILES };

struct hs_load_file {
    hearth_file *file;
    int handle; /* -1: closed, or never opened */
    struct hb_stamp stamp; /* the same before and after */
    size_t hashed;
};

/* A version of a model: being made, attached, or leaving. */
struct hs_load {
    struct hs_load *next;    /* younger */
    struct hb_arena arena;   /* texts; the load itself lies in it too */
    struct hs_model_spec spec;
    struct hs_load_file files[LOAD_FILES];
    struct hs_sha256 sha;
    char hex[2 * HS_SHA256_BYTES + 1];
    uint8_t phase, at;       /* at: the file in turn */
    hearth_model *model;
    hearth_session *session;
    hearth_tokenizer *tokenizer;
    hearth_labels *labels;
    const char **label_names;
    size_t n_labels;
    uint64_t session_bytes, ns, hash_ns;
};

hearth_status hs_spec_copy(const struct hs_model_spec *from, struct hb_arena *arena, struct hs_model_spec *to,
                           hearth_error *err);
hearth_status hs_load_create(const struct hs_models_config *c, const struct hs_model_spec *spec, struct hs_load **out,
                             hearth_error *err);
/* A slice: about until_ns. *done when everything is there. */
hearth_status hs_load_step(const struct hs_models_config *c, struct hs_load *l, uint64_t until_ns, bool *done,
                           hearth_error *err);
/* Would the step that failed with this status perhaps not, with more memory? Then it may be tried again. */
bool hs_load_wants_room(const struct hs_models_config *c, const struct hs_load *l, hearth_status status);
void hs_load_close(struct hs_load *l); /* NULL is fine */
hearth_status hs_load_open_file(const struct hs_models_config *c, const struct hb_dir *dir, const char *name, int *handle,
                                hearth_error *err);

#endif
