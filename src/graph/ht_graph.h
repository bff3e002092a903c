/* The graph: what a loader says a model computes, for both file formats.
 *
 *   values   constants (weights, borrowed), inputs, and outputs of nodes
 *   nodes    one graph op each, in an order in which inputs come before their use
 *   symbols  dimensions that are known later: tokens of a step, batch, sequence length, ...
 *
 * A graph is built once in the model's arena and never changed; sessions bind it (ht_plan.h). */
#ifndef HT_GRAPH_H
#define HT_GRAPH_H

#include "base/hb_arena.h"
#include "kernels/kernels.h"

#define HT_MAX_RANK    8
#define HT_MAX_SYMBOLS 32

/* A dimension is a number >= 0 or a symbol. */
#define HT_SYM(i)           (-1 - (int64_t)(i))
#define HT_IS_SYM(dim)      ((dim) < 0)
#define HT_SYM_INDEX(dim)   ((int)(-1 - (dim)))

typedef uint32_t ht_id; /* index of a value */
#define HT_NONE ((ht_id)-1)

enum ht_value_kind { HT_VALUE_NODE, HT_VALUE_INPUT, HT_VALUE_CONST, HT_VALUE_CAPTURE };

struct ht_value {
    const char *name; /* may be NULL */
    uint8_t kind;     /* enum ht_value_kind */
    uint8_t type;     /* enum hk_qtype; of node outputs only known when bound */
    uint8_t rank;
    int64_t dim[HT_MAX_RANK]; /* slowest first; block types are cut along the last */
    const void *data;         /* constants: dense, slowest dimension first */
};

struct ht_op;
struct ht_graph;

struct ht_node {
    const struct ht_op *op;
    const void *params; /* op->params_size bytes */
    const char *name;   /* for messages, profile and dump; may be NULL */
    const ht_id *in;    /* HT_NONE where an optional input is absent */
    const ht_id *out;   /* HT_NONE where nobody wants the output */
    uint32_t n_in, n_out;
    const struct ht_graph *const *sub; /* bodies of control flow */
    uint32_t n_sub;
};

/* A value of the graph around a body, and the body's own name for it. */
struct ht_capture {
    ht_id outer, inner;
};

struct ht_graph {
    struct hb_arena *arena;
    struct ht_value *values;
    uint32_t n_values, cap_values;
    struct ht_node *nodes;
    uint32_t n_nodes, cap_nodes;
    ht_id *inputs, *outputs;
    uint32_t n_inputs, n_outputs, cap_io;
    struct ht_capture *captures; /* bodies only */
    uint32_t n_captures, cap_captures;
    const char *symbol_name[HT_MAX_SYMBOLS];
    /* Symbols counted at run time: a plan is made for the maximum, and a run says how many leading
     * rows there are. The others are fixed when a graph is bound. */
    bool symbol_counted[HT_MAX_SYMBOLS];
    uint32_t n_symbols;
};

/* ---- building. Everything comes from the arena given here. ---- */

hearth_status ht_graph_init(struct ht_graph *g, struct hb_arena *arena, hearth_error *err);
/* The symbol of that name, made if new. */
hearth_status ht_graph_symbol(struct ht_graph *g, const char *name, bool counted, int64_t *dim,
                              hearth_error *err);
hearth_status ht_graph_input(struct ht_graph *g, const char *name, enum hk_qtype type, int rank,
                             const int64_t *dim, ht_id *out, hearth_error *err);
/* Data are borrowed and must outlive the graph. */
hearth_status ht_graph_const(struct ht_graph *g, const char *name, enum hk_qtype type, int rank,
                             const int64_t *dim, const void *data, ht_id *out, hearth_error *err);
hearth_status ht_graph_output(struct ht_graph *g, ht_id value, const char *name,
                              hearth_error *err);
/* params are copied. out receives n_out new values. */
hearth_status ht_graph_emit(struct ht_graph *g, const struct ht_op *op, const char *name,
                            const void *params, const ht_id *in, uint32_t n_in, ht_id *out,
                            uint32_t n_out, hearth_error *err);

/* A node with bodies, for control flow. Graphs of the bodies must outlive the graph. */
hearth_status ht_graph_emit_flow(struct ht_graph *g, const struct ht_op *op, const char *name,
                                 const void *params, const ht_id *in, uint32_t n_in, ht_id *out,
                                 uint32_t n_out, const struct ht_graph *const *sub, uint32_t n_sub,
                                 hearth_error *err);
/* In a body: the value `outer` of the graph around it. */
hearth_status ht_graph_capture(struct ht_graph *g, ht_id outer, ht_id *inner, hearth_error *err);

/* Bytes of a dense tensor of this type and shape; false when it overflows or a dimension is no
 * number. */
bool ht_dense_bytes(enum hk_qtype type, int rank, const int64_t *dim, size_t *bytes);

#endif
