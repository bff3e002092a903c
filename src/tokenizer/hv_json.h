/* What the files that read tokenizer.json share. Texts are copied into the arena: the tree of jansson
 * goes when the pipe is made. */
#ifndef HV_JSON_H
#define HV_JSON_H

#include "tokenizer/hv_pipe_parts.h"
#include <jansson.h>

struct hv_json {
    struct hv_pipe *pipe;
    struct hb_arena *arena;
    hearth_error *err;
};

/* A member of an object: NULL where it is missing or null. */
const json_t *hv_json_get(const json_t *object, const char *key);
bool hv_json_is(const json_t *object, const char *key, const char *text);

/* Members with a default for what is missing; HEARTH_E_FORMAT for another type. */
hearth_status hv_json_bool(struct hv_json *j, const json_t *object, const char *key, bool missing,
                           bool *out);
hearth_status hv_json_int(struct hv_json *j, const json_t *object, const char *key,
                          json_int_t missing, json_int_t *out);
hearth_status hv_json_text(struct hv_json *j, const json_t *object, const char *key,
                           struct hv_text *out); /* missing: bytes NULL */
hearth_status hv_json_copy(struct hv_json *j, const json_t *string, struct hv_text *out);

/* The type of a part, and the refusal of one that is not known. */
const char *hv_json_type(const json_t *part);
hearth_status hv_json_unknown(struct hv_json *j, const char *what, const json_t *part,
                              const char *known);

/* hv_json_model.c: vocabulary, added tokens, model. hv_json_parts.c: everything around it. */
hearth_status hv_json_model(struct hv_json *j, const json_t *root);
hearth_status hv_json_added(struct hv_json *j, const json_t *root);
hearth_status hv_json_normalizer(struct hv_json *j, const json_t *part, unsigned depth);
hearth_status hv_json_pre_tokenizer(struct hv_json *j, const json_t *part, unsigned depth);
hearth_status hv_json_post_processor(struct hv_json *j, const json_t *part, unsigned depth);
hearth_status hv_json_truncation(struct hv_json *j, const json_t *part);

#endif
