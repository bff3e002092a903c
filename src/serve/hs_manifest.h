/* The manifest: which models there are, in JSON beside them.
 *
 *   {"version": 1, "models": [{
 *      "name": "books",              letters, digits, . _ + : -, at most 63; not first: . -
 *      "kind": "generate",           or classify, embed
 *      "file": "books-q8_0.gguf",    a path down from the manifest's directory
 *      "sha256": "64 digits",        of the file
 *      "size": 38001664,             its bytes; may be absent
 *      "tokenizer": {"file": "tokenizer.json", "sha256": "..."},   beside ONNX files; or vocab.txt
 *      "labels": {"file": "config.json", "sha256": "..."},         id2label; classify only
 *      "licence": "MIT", "version": "2",                           texts for whoever asks
 *      "context": 4096, "sequences": 8, "batch": 512, "kv_tokens": 8192, "kv_type": "f16",
 *      "memory": 1073741824,         most bytes of its session
 *      "idle_s": 600, "pinned": false, "preload": true, "mmap": true, "weights": "q8_0"}]}
 *
 * A key that is not listed here, stands twice or has another type is refused by its name: a setting that would be
 * ignored in silence is worse than none. A byte order mark is refused; line ends of either kind are white space. */
#ifndef HS_MANIFEST_H
#define HS_MANIFEST_H

#include "base/hb_arena.h"
#include "serve/hs_sha256.h"

#define HS_MANIFEST_BYTES (1u << 20)
#define HS_MODEL_NAME     63u
#define HS_MAX_MODELS     32u
#define HS_MANIFEST_TEXT  255u /* bytes of file, licence and version */

enum hs_model_kind { HS_GENERATE, HS_CLASSIFY, HS_EMBED, HS_MODEL_KINDS };
extern const char *const hs_model_kind_name[HS_MODEL_KINDS];

struct hb_dir;

struct hs_file_spec {
    const char *file; /* NULL: none */
    uint64_t size;    /* 0: not said */
    bool hashed;      /* sha256 is said */
    uint8_t sha256[HS_SHA256_BYTES];
};

/* A row. Texts live in the arena; numbers that are absent are 0. */
struct hs_model_spec {
    const char *name, *licence, *version, *kv_type, *weights;
    uint8_t kind;
    /* Of a file given on the command line: its kind is not said, tokenizer.json or vocab.txt and config.json are looked
     * for beside it, and it may lie in a directory of its own (borrowed). */
    bool alone;
    const struct hb_dir *dir;
    struct hs_file_spec model, tokenizer, labels;
    int32_t context, sequences, batch, kv_tokens;
    uint64_t memory;
    uint32_t idle_s; /* 0: never */
    bool pinned, preload, no_mmap;
};

/* HEARTH_E_FORMAT, _RANGE, _LIMIT: the model, the key, what was found; HEARTH_E_UNSUPPORTED: a build without
 * HEARTH_JSON. The JSON library uses the C heap meanwhile. */
hearth_status hs_manifest_read(const char *text, size_t len, struct hb_arena *arena, struct hs_model_spec **specs,
                               size_t *n, hearth_error *err);
bool hs_model_name_ok(const char *name, size_t len);

#endif
