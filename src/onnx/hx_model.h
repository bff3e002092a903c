/* What an ONNX file says, as plain structs: the loader (hx_proto*) fills them, the importer
 * (hx_import.c) turns them into a graph of ht_ops. Everything here lies in the loader's arena, except tensor data,
 * which are borrowed from the file wherever the file holds them as raw bytes.
 *
 *   struct hx_model
 *     graph ── nodes[] ── attrs[] ── tensor | graph (body of If, Loop, Scan) | ints ...
 *           ── initializers[], sparse[]      ── inputs[], outputs[], infos[]
 *     functions[] ── nodes[]                 bodies named by (domain, name)
 *     opsets[]  metadata[]
 *
 * Texts are NUL-terminated, valid UTF-8 without NUL inside, never NULL ("" when absent).
 * The loader has checked: limits (depth, counts, lengths), that enums are known, dims >= 0 with a
 * product that does not overflow, data length == product of dims * element size, at most one data
 * field per tensor. It has NOT checked names, shapes against each other, or op semantics. */
#ifndef HX_MODEL_H
#define HX_MODEL_H

#include "base/hb_arena.h"

/* TensorProto.DataType. Numbers are the file's. */
enum hx_type {
    HX_UNDEFINED = 0, HX_FLOAT = 1, HX_UINT8 = 2, HX_INT8 = 3, HX_UINT16 = 4, HX_INT16 = 5,
    HX_INT32 = 6, HX_INT64 = 7, HX_STRING = 8, HX_BOOL = 9, HX_FLOAT16 = 10, HX_DOUBLE = 11,
    HX_UINT32 = 12, HX_UINT64 = 13, HX_COMPLEX64 = 14, HX_COMPLEX128 = 15, HX_BFLOAT16 = 16,
    HX_FLOAT8E4M3FN = 17, HX_FLOAT8E4M3FNUZ = 18, HX_FLOAT8E5M2 = 19, HX_FLOAT8E5M2FNUZ = 20,
    HX_UINT4 = 21, HX_INT4 = 22, HX_FLOAT4E2M1 = 23
};

#define HX_MAX_RANK 8

struct hx_tensor {
    const char *name;
    int32_t type;    /* enum hx_type */
    int32_t rank;    /* 0 .. HX_MAX_RANK */
    int64_t dim[HX_MAX_RANK];
    const void *data; /* dense, little-endian, any alignment when borrowed (raw), else aligned to
                       * the element. NULL only if size_bytes == 0, or for type HX_STRING and the types
                       * the importer refuses by name: the file loads, running the tensor does not. */
    size_t size_bytes;
    bool borrowed;    /* data lie in the file */
};

/* values at flat or coordinate positions of a tensor of zeros; still as in the file */
struct hx_sparse {
    struct hx_tensor values;  /* [nnz] */
    struct hx_tensor indices; /* int64 [nnz] or [nnz][rank] */
    int32_t rank;
    int64_t dim[HX_MAX_RANK];
};

struct hx_graph;

/* AttributeProto.AttributeType */
enum hx_attr_type {
    HX_ATTR_UNDEFINED = 0, HX_ATTR_FLOAT = 1, HX_ATTR_INT = 2, HX_ATTR_STRING = 3,
    HX_ATTR_TENSOR = 4, HX_ATTR_GRAPH = 5, HX_ATTR_FLOATS = 6, HX_ATTR_INTS = 7,
    HX_ATTR_STRINGS = 8, HX_ATTR_TENSORS = 9, HX_ATTR_GRAPHS = 10, HX_ATTR_SPARSE = 11,
    HX_ATTR_SPARSES = 12, HX_ATTR_TYPE = 13, HX_ATTR_TYPES = 14
};

struct hx_attr {
    const char *name;
    const char *ref; /* inside functions: name of the function's attribute that gives the value; "" */
    int32_t type;    /* enum hx_attr_type; a file that leaves it out (IR < 4) gets it from the field */
    float f;
    int64_t i;
    const char *s;   /* NUL-terminated copy; s_len bytes, which may contain NUL */
    size_t s_len;
    const float *floats;
    const int64_t *ints;
    const char *const *strings;
    uint32_t n; /* of floats, ints or strings */
    const struct hx_tensor *tensor;  /* HX_ATTR_TENSOR */
    const struct hx_sparse *sparse;  /* HX_ATTR_SPARSE */
    const struct hx_graph *graph;    /* HX_ATTR_GRAPH */
};

struct hx_node {
    const char *op_type, *domain, *name; /* domain "ai.onnx" is given as "" */
    const char *const *inputs;  /* "" where absent */
    const char *const *outputs;
    const struct hx_attr *attrs;
    uint32_t n_inputs, n_outputs, n_attrs;
};

/* A dimension of a value: a number, a name, or nothing known. */
struct hx_dim {
    int64_t value;    /* >= 0, or -1 */
    const char *name; /* dim_param, "" if none */
};

enum hx_kind { HX_KIND_NONE, HX_KIND_TENSOR, HX_KIND_SEQUENCE, HX_KIND_MAP, HX_KIND_OPTIONAL,
               HX_KIND_SPARSE };

struct hx_info {
    const char *name;
    int32_t kind;    /* enum hx_kind */
    int32_t type;    /* enum hx_type, of tensors */
    bool has_shape;  /* false: not even the rank is known */
    int32_t rank;
    struct hx_dim dim[HX_MAX_RANK];
};

struct hx_graph {
    const char *name;
    const struct hx_node *nodes;
    const struct hx_tensor *initializers;
    const struct hx_sparse *sparse;
    const struct hx_info *inputs, *outputs, *infos; /* infos: value_info */
    uint32_t n_nodes, n_initializers, n_sparse, n_inputs, n_outputs, n_infos;
};

struct hx_opset {
    const char *domain; /* "ai.onnx" is given as "" */
    int64_t version;
};

struct hx_function {
    const char *name, *domain, *overload;
    const char *const *inputs;
    const char *const *outputs;
    const char *const *attrs;         /* names without default */
    const struct hx_attr *attr_protos; /* with default */
    const struct hx_node *nodes;
    const struct hx_opset *opsets;
    uint32_t n_inputs, n_outputs, n_attrs, n_attr_protos, n_nodes, n_opsets;
};

struct hx_meta {
    const char *key, *value;
};

struct hx_model {
    int64_t ir_version;
    const char *producer_name, *producer_version, *domain, *doc; /* doc may be cut */
    int64_t model_version;
    const struct hx_opset *opsets;
    const struct hx_meta *metadata;
    const struct hx_function *functions;
    uint32_t n_opsets, n_metadata, n_functions;
    struct hx_graph graph;
    uint64_t weight_bytes; /* data of all initializers */
};

/* External data of tensors, only where the caller allows it: the loader asks for each location (a
 * relative path it has checked for form) and gets bytes that outlive the model. NULL: refused by
 * name. */
struct hx_external {
    hearth_status (*open)(void *user, const char *location, const void **bytes, size_t *size,
                          hearth_error *err);
    void *user;
};

/* Does this look like an ONNX file? For telling formats apart; reads a few bytes. */
bool hx_looks_like(const void *bytes, size_t size);

/* Read a whole ModelProto. Written by the loader; out and what it points to live in the arena and
 * borrow from bytes. external may be NULL. */
hearth_status hx_load(const void *bytes, size_t size, struct hb_arena *arena,
                      const struct hx_external *external, struct hx_model *out, hearth_error *err);

/* Read one TensorProto (a .pb file of the ONNX test layout). */
hearth_status hx_load_tensor(const void *bytes, size_t size, struct hb_arena *arena,
                             struct hx_tensor *out, hearth_error *err);

/* Bytes of one element, 0 for types without a fixed whole size (string, int4, ...). */
size_t hx_type_size(int32_t type);
const char *hx_type_name(int32_t type); /* "float", "int64", ...; "type 99" is "unknown" */

#endif
