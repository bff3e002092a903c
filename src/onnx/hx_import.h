/* From an ONNX file to a graph: names become values, every node is lowered by the row of onnx_ops.def for
 * its domain, name and opset, functions are unfolded where they are called, bodies become graphs of
 * their own that capture. */
#ifndef HX_IMPORT_H
#define HX_IMPORT_H

#include "graph/ht_ops.h"
#include "onnx/hx_model.h"

/* What a model can be asked for. */
struct hx_program {
    struct ht_graph graph;
    const struct hx_info *inputs; /* [graph.n_inputs], without those that have initializers */
    const struct hx_info *outputs; /* [graph.n_outputs] */
    const struct hx_model *model;
};

struct hx_import_config {
    bool no_rewrites;       /* none at all */
    const char *without;    /* names of some, separated by commas, or NULL */
    uint8_t weights;        /* enum ht_pack_form: of constant matrices of float matmuls */
};

/* model and its bytes must outlive the program; everything else is in the arena. */
hearth_status hx_import(const struct hx_model *model, struct hb_arena *arena, const struct hx_import_config *config,
                        struct hx_program *out, hearth_error *err);

/* Named rewrites of a graph just built; outputs keep their names and, up to rounding, their values:
 *   qdq               matmul between dequantised 8-bit tensors, as a matmul of the integers
 *   attention         softmax(q k * scale + mask) v, NaN to 0 or not; bits stay the same
 *   gelu              x/2 (1 + erf(x / sqrt 2)) written out
 *   layer_norm        (x - mean) / sqrt(var + eps) * scale + bias written out
 *   matmul_bias       matmul of a constant matrix, plus a vector
 *   matmul_act        that or int_matmul_scale, then an activation
 *   int_matmul_scale  int8 matmul, cast, times scale, plus bias; bits stay the same */
hearth_status hx_fuse(struct ht_graph *g, struct hb_arena *arena, const char *without, hearth_error *err);

/* ---- for the files of ops/ ---- */

struct hx_scope;

struct hx_import {
    struct hb_arena *arena;
    const struct hx_model *model;
    struct hx_scope *scope; /* names of the graph being built */
    struct ht_graph *g;
    int64_t opset;          /* of the default domain */
    const struct hx_opset *opsets;
    uint32_t n_opsets;
    uint64_t n_nodes;
    uint32_t depth;
    const char *bad_attr;   /* an attribute of the node that has the wrong type */
    uint8_t weights;        /* as in hx_import_config */
    const char *what;       /* "Softmax 'name'": of the node being lowered, for messages */
    hearth_error *err;
};

struct hx_op {
    uint8_t min_in, max_in, min_out, max_out; /* 255: any number */
    hearth_status (*lower)(struct hx_import *im, const struct hx_node *node);
    int param; /* for families that share one lower function */
};

/* The row for a node, NULL if there is none. */
const struct hx_op *hx_find_op(const char *domain, const char *op_type, int64_t opset);
bool hx_op_exists(const char *domain, const char *op_type);
const struct hx_op *hx_row(const struct hx_import *im, const struct hx_node *node);

/* Attributes. Wrong types are errors of the import; that is why they take im. */
const struct hx_attr *hx_attr(const struct hx_node *node, const char *name);
int64_t hx_attr_int(struct hx_import *im, const struct hx_node *node, const char *name,
                    int64_t otherwise);
float hx_attr_float(struct hx_import *im, const struct hx_node *node, const char *name,
                    float otherwise);
const char *hx_attr_text(struct hx_import *im, const struct hx_node *node, const char *name,
                         const char *otherwise);
/* Integers; *n = 0 when absent. */
hearth_status hx_attr_ints(struct hx_import *im, const struct hx_node *node, const char *name,
                           int max, int64_t *out, int *n);
hearth_status hx_unsupported(struct hx_import *im, const char *what);

/* Inputs and outputs of a node as values; HT_NONE where absent. */
ht_id hx_in(struct hx_import *im, const struct hx_node *node, uint32_t i);
hearth_status hx_out(struct hx_import *im, const struct hx_node *node, uint32_t i, ht_id value);
/* A graph op over given values. */
hearth_status hx_op(struct hx_import *im, const struct ht_op *op, const void *params,
                    const ht_id *in, uint32_t n_in, ht_id *out, uint32_t n_out);
/* A graph op over all inputs of the node, giving all its outputs. */
hearth_status hx_emit(struct hx_import *im, const struct ht_op *op, const struct hx_node *node,
                      const void *params);
/* Shorthands. */
hearth_status hx_map1(struct hx_import *im, unsigned kind, ht_id x, double p, double q, ht_id *out);
hearth_status hx_map2(struct hx_import *im, unsigned kind, ht_id a, ht_id b, ht_id *out);
hearth_status hx_cast(struct hx_import *im, ht_id x, enum hk_qtype type, ht_id *out);
hearth_status hx_scalar_f32(struct hx_import *im, float v, ht_id *out);
hearth_status hx_list_i64(struct hx_import *im, const int64_t *v, int n, ht_id *out);
hearth_status hx_const(struct hx_import *im, enum hk_qtype type, int rank, const int64_t *dim,
                       const void *data, ht_id *out); /* copies */
/* An initializer-like tensor; types we do not compute with are refused by name. */
hearth_status hx_tensor_value(struct hx_import *im, const struct hx_tensor *t, bool copy_unaligned,
                              ht_id *out);
hearth_status hx_storage_type(struct hx_import *im, int64_t type, enum hk_qtype *out);
/* Matmul; a constant matrix b is laid out ahead (pack). c may be HT_NONE. */
hearth_status hx_gemm(struct hx_import *im, const struct ht_gemm *p, ht_id a, ht_id b, ht_id c, ht_id *out);
/* Matmul of 8-bit integers with its packing; zeros may be HT_NONE. */
hearth_status hx_int_gemm(struct hx_import *im, ht_id a, ht_id b, ht_id a_zero, ht_id b_zero,
                          ht_id *out);
/* The body of control flow in an attribute, as a graph. */
hearth_status hx_body(struct hx_import *im, const struct hx_node *node, const char *attr,
                      const struct ht_graph **out);
/* The nodes of that body instead of the node itself: of an If that is decided. */
hearth_status hx_inline(struct hx_import *im, const struct hx_node *node, const char *attr);

#endif
