/* From graph to plan to run.
 *
 *   bind   gives every symbol its maximum, walks the nodes, lets each op say its output shapes and
 *          scratch, and places every intermediate in one block by lifetime
 *   plan   the flat list of steps that comes out: tensors with addresses, ops with parameters
 *   run    walks the steps; counted symbols say how many leading rows exist this time
 *
 * Memory of a plan: its description lives in the arena given to ht_plan_create; activations and
 * worker scratch are sizes only until ht_plan_place gives them addresses:
 *
 *   activations  | storage 0 | storage 3 ...      storages whose lifetimes do not meet share bytes
 *   scratch      | worker 0 | worker 1 | ...      scratch_bytes each
 */
#ifndef HT_PLAN_H
#define HT_PLAN_H

#include "graph/ht_graph.h"
#include "graph/ht_batch.h"

struct ht_pool;

/* A value with shape and place. Strides count elements; rows of block types are always dense. */
struct ht_tensor {
    uint8_t *data;
    uint8_t type; /* enum hk_qtype */
    uint8_t rank;
    int8_t rows_sym;  /* >= 0: dim[0] is a maximum, the run's count of this symbol is the truth */
    bool ready;       /* planned or constant */
    uint8_t known;    /* enum ht_known: may bind look at the data? */
    uint32_t storage; /* HT_NO_STORAGE for constants */
    size_t offset;    /* bytes from the start of the storage */
    int64_t dim[HT_MAX_RANK];
    int64_t stride[HT_MAX_RANK];
};
#define HT_NO_STORAGE ((uint32_t)-1)

/* How long data that bind may look at stay true. */
enum ht_known {
    HT_UNKNOWN,
    HT_KNOWN_RUN,   /* this run */
    HT_KNOWN_PLAN,  /* every run of these input shapes */
    HT_KNOWN_MODEL, /* always: constants, and what is computed from them alone */
};

struct ht_step {
    const struct ht_op *op;
    const void *params;
    void *plan; /* private to the op, made by its plan function */
    const char *name;
    struct ht_tensor **in; /* NULL where absent */
    struct ht_tensor **out;
    uint32_t n_in, n_out;
    uint64_t weight_bytes; /* read per run, for the profile */
    uint8_t weight_type;   /* enum hk_qtype, where there are weight_bytes */
    uint64_t macs_per_row;
    uint64_t calls, rows, ns; /* profile */
};

/* What a run sees. */
struct ht_run {
    const struct hk_table *kernels;
    int64_t count[HT_MAX_SYMBOLS]; /* of counted symbols */
    const struct ht_batch *batch;  /* generation only */
    int32_t n_workers;
};

struct ht_bind;
struct ht_frame;

/* A graph op: `plan` refuses all it can and declares outputs; `run` computes units [begin, end) of
 * the `units` that the step has this time (at most HT_MAX_UNITS), and refuses only what plan could
 * not see. Units are independent; which worker takes which is nobody's business. */
#define HT_MAX_UNITS 65535
struct ht_op {
    const char *name;
    size_t params_size;
    hearth_status (*plan)(struct ht_bind *b, struct ht_step *s, hearth_error *err);
    int64_t (*units)(const struct ht_step *s, const struct ht_run *run);
    hearth_status (*run)(const struct ht_step *s, const struct ht_run *run, void *scratch,
                         int64_t begin, int64_t end, hearth_error *err);
    uint32_t flags;  /* HT_OP_* */
    /* Control flow of tensor graphs (ht_exec.h), instead of plan and run: computes the outputs now. */
    hearth_status (*flow)(struct ht_frame *f, struct ht_step *s, const struct ht_node *node,
                          hearth_error *err);
};
#define HT_OP_SHAPE_ONLY 1u /* looks at shapes of its inputs, never at their data */
#define HT_OP_RANDOM     2u /* never computed ahead */
#define HT_OP_AHEAD      4u /* computed when the session is made if there is room (ht_exec_ahead), else its
                             * outputs are empty and who reads them does without */

/* ---- for the plan functions of ops ---- */

/* A fresh dense output. dims are numbers; rows_sym as in ht_tensor, -1 for none. */
hearth_status ht_out(struct ht_bind *b, struct ht_step *s, uint32_t i, enum hk_qtype type,
                     int rank, const int64_t *dim, int rows_sym, hearth_error *err);
/* Output i is input `of` seen differently: byte offset, shape, strides. No copy. */
hearth_status ht_out_view(struct ht_bind *b, struct ht_step *s, uint32_t i,
                          const struct ht_tensor *of, size_t offset, int rank, const int64_t *dim,
                          const int64_t *stride, hearth_error *err);
/* Zeroed memory that lives as long as the plan; becomes s->plan. */
hearth_status ht_step_private(struct ht_bind *b, struct ht_step *s, size_t bytes,
                              hearth_error *err);
/* For tensor graphs. `plan` must be able to read input i: on false through *ok it returns HEARTH_OK
 * at once, and is called again when what comes before has been computed. */
hearth_status ht_need(struct ht_bind *b, struct ht_step *s, uint32_t i, bool *ok,
                      hearth_error *err);
/* Make input i dense, slowest dimension first; a copy goes in between where it is not. */
hearth_status ht_dense(struct ht_bind *b, struct ht_step *s, uint32_t i, hearth_error *err);
/* Let the step read a view of its own instead of input i; `view` shares the input's storage. */
hearth_status ht_replace(struct ht_bind *b, struct ht_step *s, uint32_t i,
                         const struct ht_tensor *view, hearth_error *err);
bool ht_is_dense(const struct ht_tensor *t);
int64_t ht_elements(const struct ht_tensor *t);
void ht_want_scratch(struct ht_bind *b, size_t bytes); /* per worker */
int64_t ht_symbol_max(const struct ht_bind *b, int symbol);
const struct hk_table *ht_bind_kernels(const struct ht_bind *b);
int32_t ht_bind_workers(const struct ht_bind *b);
hearth_status ht_bad_shape(const struct ht_step *s, const char *what, hearth_error *err);

/* ---- for run functions ---- */

HB_INLINE int64_t ht_rows(const struct ht_tensor *t, const struct ht_run *run)
{
    return t->rows_sym >= 0 ? run->count[t->rows_sym] : t->dim[0];
}

HB_INLINE float *ht_row_f32(const struct ht_tensor *t, int64_t row)
{
    return (float *)(void *)t->data + row * t->stride[0];
}

/* ---- plans ---- */

struct ht_storage;

struct ht_plan {
    const struct ht_graph *graph;
    const struct hk_table *kernels;
    struct ht_tensor *tensors; /* [graph->n_values] */
    struct ht_step *steps;
    uint32_t n_steps;
    struct ht_storage *storages;
    uint32_t n_storages;
    size_t activation_bytes;
    size_t scratch_bytes; /* per worker, a multiple of 64 */
    int32_t n_workers;
    uint8_t *scratch;
    bool profile;
    hearth_observe_fn *observe; /* after every step that ran */
    void *observe_user;
};

/* Bind: sym[i] is the maximum (counted) or value of symbol i. */
hearth_status ht_plan_create(const struct ht_graph *g, const struct hk_table *kernels,
                             const int64_t *sym, int32_t n_workers, struct hb_arena *arena,
                             struct ht_plan **plan, hearth_error *err);
/* Give the plan its two blocks, 64-byte aligned. */
void ht_plan_place(struct ht_plan *plan, void *activations, void *scratch);
HB_INLINE struct ht_tensor *ht_plan_tensor(struct ht_plan *plan, ht_id value)
{
    return &plan->tensors[value];
}

/* Walk the steps on the pool's workers (NULL: the calling thread alone). `cancel` may be NULL; it
 * is looked at between steps. The first error of any step ends the run. */
hearth_status ht_plan_run(struct ht_plan *plan, struct ht_run *run, struct ht_pool *pool,
                          _Atomic uint32_t *cancel, hearth_error *err);

#endif
