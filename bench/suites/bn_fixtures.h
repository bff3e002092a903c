/* The fixtures that suites read: prompts (fixtures/prompts/NAME.json) and the list of model files
 * (fixtures/models/manifest.tsv). */
#ifndef BN_FIXTURES_H
#define BN_FIXTURES_H

#include "hearth.h"
#include <stdbool.h>

/* ---- prompts ---- */

struct bn_prompt {
    char id[32], model_id[64];
    char *text;    /* terminated */
    uint32_t *ids; /* [n] */
    size_t n;
    int32_t max_tokens;
    float temperature;
};

/* Keys id (may be absent), model_id, prompt, prompt_tokens, parameters {max_tokens, temperature}; others are refused.
 * HEARTH_E_FORMAT: a byte order mark in front, no JSON, a key that is unknown, missing or of another type;
 * HEARTH_E_RANGE: a number outside of what a request may have. */
hearth_status bn_prompt_read(const char *path, struct bn_prompt *out, hearth_error *err);
void bn_prompt_free(struct bn_prompt *prompt);

/* ---- models ---- */

enum bn_origin {
    BN_REAL,      /* size and SHA-256 are those of the manifest */
    BN_OWN,       /* likewise, and trained for this tree */
    BN_SYNTHETIC, /* random weights: the file says so itself */
    BN_UNKNOWN,
};
const char *bn_origin_text(enum bn_origin origin); /* "real weights", "own weights", ... */

struct bn_manifest_row {
    char name[64], sha256[65], licence[32], set[8];
    uint64_t bytes;
};

/* The row of a file; HEARTH_E_NOT_FOUND if the manifest has none, HEARTH_E_FORMAT if a line of it is none. */
hearth_status bn_manifest_find(const char *manifest, const char *name, struct bn_manifest_row *row,
                               hearth_error *err);

/* Is this model file what its row says? HEARTH_OK with what its weights are; `row` may be NULL.
 * HEARTH_E_NOT_FOUND: no file. HEARTH_E_MISMATCH: a placeholder, both sizes in the sentence. The model's own
 * name, or its ONNX producer, tells synthetic weights. Reads all of the file. */
hearth_status bn_origin_of(const char *path, const struct bn_manifest_row *row, const char *model_name,
                           enum bn_origin *origin, hearth_error *err);

#endif
