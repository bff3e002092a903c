/* What the files of rewrites share (hx_import.h names the rewrites). */
#ifndef HX_FUSE_H
#define HX_FUSE_H

#include "onnx/hx_import.h"

struct hx_fuse {
    struct ht_graph *g;
    struct hb_arena *arena;
    uint32_t *producer; /* [n_values] node, or UINT32_MAX */
    uint32_t *uses;     /* [n_values] */
    uint32_t cap_values; /* room of both */
    hearth_error *err;
};

/* The node that makes a value, if it is one of this op, or a map of this kind; else NULL. */
struct ht_node *hx_fuse_made(const struct hx_fuse *f, ht_id id, const struct ht_op *op);
struct ht_node *hx_fuse_map(const struct hx_fuse *f, ht_id id, unsigned kind);
/* A constant f32 of one element; is it about `want`? */
bool hx_fuse_scalar(const struct hx_fuse *f, ht_id id, float *v);
bool hx_fuse_is(const struct hx_fuse *f, ht_id id, float want);
/* A constant vector of floats with n elements (0: any number above one). */
bool hx_fuse_vector(const struct hx_fuse *f, ht_id id, int64_t n);
/* Another op over other inputs in the place of a node; its outputs stay. */
hearth_status hx_fuse_become(struct hx_fuse *f, struct ht_node *node, const struct ht_op *op,
                             const void *params, const ht_id *in, uint32_t n_in);

/* Rewrites: look at a node as the last of their pattern. */
hearth_status hx_fuse_qdq(struct hx_fuse *f, struct ht_node *node);
hearth_status hx_fuse_attention(struct hx_fuse *f, struct ht_node *node);

#endif
