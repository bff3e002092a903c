/* GGUF files: bytes in, a table of metadata and a table of tensors out. Nothing is copied but names;
 * tensor data and strings stay where they are, so the bytes must outlive everything made here.
 *
 *   "GGUF" | u32 version | u64 tensors | u64 keys
 *   keys       string name | u32 type | value
 *   tensors    string name | u32 rank | u64 dim[rank], fastest first | u32 type | u64 offset
 *   padding to general.alignment (32 unless said)
 *   data       a tensor stands at its offset from here
 *
 * Source: the GGUF specification, versions 2 and 3 (ggml, docs/gguf.md). Bytes are read through the
 * bounded cursor only. Where the specification leaves a choice, this reader
 *
 *   refuses    duplicate keys and tensor names; overlapping or unaligned tensors; keys and names
 *              that are empty or not printable ASCII; bools other than 0 and 1; arrays of arrays;
 *              an alignment that is not a u32 power of two from 8 to 65536; rank 0; a dimension of 0;
 *              big-endian files; version 1
 *   accepts    gaps between tensors, any order of offsets, bytes after the last tensor, tensors
 *              nobody asks for
 *
 * A split set is given as all of its parts in order. Every part states split.no and split.count,
 * split.tensors.count (where given) is the number over all parts; metadata come from the first part,
 * and a key that a later part repeats must be equal, byte by byte. */
#ifndef HG_GGUF_H
#define HG_GGUF_H

#include "base/hb_arena.h"
#include "gguf/hg_limits.h"
#include "kernels/kernels.h" /* the table of element types, nothing else */

enum hg_value_type {
    HG_U8, HG_I8, HG_U16, HG_I16, HG_U32, HG_I32, HG_F32, HG_BOOL, HG_STRING, HG_ARRAY,
    HG_U64, HG_I64, HG_F64, HG_VALUE_TYPES
};

struct hg_text {
    const char *bytes; /* not terminated */
    size_t len;
};

/* One key. `count` elements of `type`: 1 for a plain value. Elements lie behind each other from
 * `data`; strings each with their u64 length in front, and are checked to be inside the file. */
struct hg_meta {
    const char *key;   /* terminated */
    uint32_t key_len;
    uint8_t type;      /* enum hg_value_type, of the elements if array */
    bool array;
    size_t count;
    const uint8_t *data;
    size_t bytes;      /* from data to the end of the last element */
};

struct hg_metas {
    struct hg_meta *at;
    uint32_t *order;   /* [n] by key */
    size_t n;
};

struct hg_tensor {
    const char *name;  /* terminated */
    uint8_t type;      /* enum hk_qtype */
    uint8_t rank;
    int64_t dim[HG_MAX_RANK]; /* slowest first */
    const void *data;
    size_t bytes;
    uint32_t part;     /* which file */
};

struct hg_file {
    uint32_t version;
    size_t n_files;
    struct hg_metas meta;
    struct hg_tensor *tensors; /* [n_tensors] in file order */
    uint32_t *order;           /* [n_tensors] by name */
    size_t n_tensors;
};

/* Does this begin like a GGUF file? */
bool hg_is_gguf(const void *bytes, size_t size);

/* Read headers, keys and tensor records of all parts. What is kept comes from the arena.
 *
 * HEARTH_E_TRUNCATED    the bytes end too early, or a tensor lies outside of them
 * HEARTH_E_FORMAT       they break the format, as above
 * HEARTH_E_LIMIT        a limit of hg_limits.h
 * HEARTH_E_UNSUPPORTED  version, byte order or tensor type is known by name and not read here
 * HEARTH_E_MISMATCH     parts that do not belong together */
hearth_status hg_open(const hearth_bytes *files, size_t n_files, struct hb_arena *arena,
                      struct hg_file *out, hearth_error *err);

/* NULL if there is none. Binary search: no key or name makes it slow. */
const struct hg_meta *hg_meta_find(const struct hg_file *file, const char *key);
const struct hg_tensor *hg_tensor_find(const struct hg_file *file, const char *name);

/* ---- typed access. An absent key leaves *out alone, unless required (HEARTH_E_NOT_FOUND). A value
 * of another kind is HEARTH_E_FORMAT, one outside of [min, max] HEARTH_E_RANGE. ---- */

/* A whole number of any integer type. */
hearth_status hg_meta_int(const struct hg_file *file, const char *key, bool required, int64_t min,
                          int64_t max, int64_t *out, hearth_error *err);
/* The same, one a layer: a plain value counts for all n, an array must have n elements. */
hearth_status hg_meta_ints(const struct hg_file *file, const char *key, bool required, int64_t min,
                           int64_t max, size_t n, int32_t *out, hearth_error *err);
/* f32 or f64, never NaN. */
hearth_status hg_meta_real(const struct hg_file *file, const char *key, bool required, double min,
                           double max, double *out, hearth_error *err);
hearth_status hg_meta_bool(const struct hg_file *file, const char *key, bool required, bool *out,
                           hearth_error *err);
hearth_status hg_meta_string(const struct hg_file *file, const char *key, bool required,
                             size_t max_len, struct hg_text *out, hearth_error *err);
/* An array with elements of this type; *out becomes NULL when it is absent and not required. */
hearth_status hg_meta_array(const struct hg_file *file, const char *key, bool required,
                            enum hg_value_type type, size_t max_count, const struct hg_meta **out,
                            hearth_error *err);

/* Element i (< count) of an integer or bool value; false for other types and beyond int64. */
bool hg_meta_at_int(const struct hg_meta *meta, size_t i, int64_t *out);
/* Walk the strings of a value: *at starts as meta->data. */
struct hg_text hg_meta_next_string(const uint8_t **at);

/* Print a value for a human: at most a few elements of an array. Returns the length. */
size_t hg_meta_print(const struct hg_meta *meta, char *text, size_t size);

/* ---- shared inside the room ---- */

extern const uint8_t hg_value_bytes[HG_VALUE_TYPES]; /* 0: string, array */
const char *hg_value_name(uint32_t type);

const struct hg_meta *hg_metas_find(const struct hg_metas *metas, const char *key, size_t len);

/* Sort indices: in place, n log n whatever the input, no recursion. */
typedef bool hg_less_fn(const void *ctx, uint32_t a, uint32_t b);
void hg_sort(uint32_t *order, size_t n, hg_less_fn *less, const void *ctx);

/* The element type with this number in the file, or a refusal by name. */
hearth_status hg_tensor_type(const char *where, const char *tensor, uint32_t number,
                             enum hk_qtype *type, hearth_error *err);

#endif
