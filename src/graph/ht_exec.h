/* Running a graph of tensors: shapes come with each call, and some of them only from data.
 *
 *   bind     walks the nodes with the shapes of this call's inputs. A node whose inputs are all known is
 *            computed at once (folded): shape arithmetic and constants cost nothing at run time.
 *            Views need no step at all. What is left becomes steps.
 *   segment  a node whose shape depends on data not yet known (ht_need) ends the segment: its
 *            steps are run, then everything so far is known and binding goes on.
 *   flow     If, Loop and Scan end the segment too and run their bodies as frames of their own.
 *
 * A graph that was bound without a cut is a plan that can be run again for inputs of the same
 * shapes; one with cuts is bound anew each time.
 *
 * Memory: descriptions and folded values in `arena`; activations in one block,
 *
 *   | segment 0 | segment 1 | body: segment 0 ... | scratch of all workers |
 *
 * a stack that overflows with HEARTH_E_LIMIT before any byte past its end is touched. */
#ifndef HT_EXEC_H
#define HT_EXEC_H

#include "graph/ht_bind.h"

#define HT_MAX_FRAMES 17 /* the graph and 16 bodies inside each other */
#define HT_MAX_BODIES (1u << 22) /* runs of bodies in one run of the graph: loops end */

/* What all frames of one run share. */
struct ht_exec {
    const struct hk_table *kernels;
    struct ht_pool *pool;
    _Atomic uint32_t *cancel;
    int32_t n_workers;
    struct hb_arena *arena;
    uint8_t *block; /* 64-byte aligned; may be NULL while only binding */
    size_t block_bytes, block_used, block_high;
    uint32_t depth;
    uint32_t bodies;
    bool profile;
    /* Folded constants of the root graph, shared by the plans of a session: [root->n_nodes] lists of
     * output tensors, in `kept_arena`. NULL: none are shared. */
    struct ht_tensor **kept;
    struct hb_arena *kept_arena;
    bool ahead; /* inside ht_exec_ahead */
};

struct ht_frame {
    struct ht_exec *x;
    const struct ht_frame *parent;
    const struct ht_graph *graph;
    struct ht_tensor *tensors; /* [graph->n_values] */
    uint32_t *last_use;        /* [graph->n_values] node that uses it last, UINT32_MAX: output */
    struct ht_bind bind;
    struct ht_plan plan;       /* of the current segment */
    uint32_t cap_steps;
    struct ht_tensor **placed; /* tensors of the segment that lie in storages */
    uint32_t n_placed, cap_placed;
    uint32_t node;             /* next to bind */
    bool cut;                  /* some segment ended early: not repeatable */
    const struct ht_tensor *outputs; /* [graph->n_outputs], dense, after bind is done */
    struct ht_tensor *out_copies;
    const void *const *external; /* buffers of the root's inputs */
};

/* Bind as far as shapes are known. inputs: type, rank and dims of each graph input, dense; with
 * known != 0 data are read too. *done: the whole graph is bound. */
hearth_status ht_frame_open(struct ht_exec *x, const struct ht_frame *parent,
                            const struct ht_graph *g, const struct ht_tensor *inputs,
                            struct ht_frame **frame, hearth_error *err);
hearth_status ht_frame_bind(struct ht_frame *f, bool *done, hearth_error *err);
/* Compute what depends on constants alone into x->kept, as long as `most` bytes of kept_arena are not
 * passed: weights laid out for their kernels, folded tables. What fails is left to the plans. x->arena
 * is used for descriptions and may be given back afterwards. */
void ht_exec_ahead(struct ht_exec *x, const struct ht_graph *g, size_t most);
/* Run what is bound; for frames with cuts binds and runs on until the end. external: one pointer per
 * graph input whose tensor had no data, aligned to its element. */
hearth_status ht_frame_run(struct ht_frame *f, const void *const *external, hearth_error *err);

/* For control flow: run body i of the step's node with these inputs (known); outputs are known
 * tensors that live until the block or the arena is reset below them. */
hearth_status ht_frame_body(struct ht_frame *f, const struct ht_graph *body,
                            const struct ht_tensor *inputs, struct ht_tensor *outputs,
                            hearth_error *err);
/* A piece of the block. */
hearth_status ht_exec_take(struct ht_exec *x, size_t bytes, void **out, hearth_error *err);
/* Copy any tensor with data, dense, into `to` (of its dense size). */
void ht_copy_dense(void *to, const struct ht_tensor *t);
/* The elements of one tensor into another of the same type and shape. */
void ht_copy_between(const struct ht_tensor *to, const struct ht_tensor *from);
/* A dense known tensor on data. */
struct ht_tensor ht_known_tensor(enum hk_qtype type, int rank, const int64_t *dim, void *data);

#endif
