/* What the two ways of binding share: planner.c for graphs of generation, with counted symbols and
 * one straight plan; bind.c for graphs of tensors, with folding and segments. */
#ifndef HT_BIND_H
#define HT_BIND_H

#include "graph/ht_plan.h"

/* A piece of the activation block; views share their base's. */
struct ht_storage {
    size_t bytes;
    size_t offset;
    uint32_t first, last; /* steps between which it is alive, inclusive */
    bool external;        /* the caller's buffer of a graph input; `offset` is its number */
};

struct ht_bind {
    struct ht_plan *plan;
    struct hb_arena *arena;
    const int64_t *sym;
    uint32_t step; /* being planned */
    uint32_t cap_storages;
    size_t scratch;
    struct ht_frame *frame; /* of tensor graphs, else NULL */
    bool cut;               /* ht_need asked for data that a run must make first */
};

hearth_status ht_bind_storage(struct ht_bind *b, size_t bytes, uint32_t *index, hearth_error *err);
/* Room for one more element in an array of the arena; the old one stays behind. */
hearth_status ht_bind_grow(struct hb_arena *arena, void **array, uint32_t n, uint32_t *cap,
                           size_t elem_size, hearth_error *err);
/* Remember a tensor that gets its address when the plan is placed. */
hearth_status ht_bind_placed(struct ht_bind *b, struct ht_tensor *t, hearth_error *err);
/* Give every storage its offset; plan->activation_bytes becomes the extent. */
hearth_status ht_bind_place(struct ht_bind *b, hearth_error *err);
void ht_dense_strides(struct ht_tensor *t);

#endif
