/* A generative model as the runtime sees it, whoever loaded it: a graph with fixed inputs and one
 * output, and the shape of its KV cache.
 *
 *   inputs   0 tokens    i32 [T]     ids
 *            1 positions i32 [T]     absolute position of each token in its sequence
 *            2 out_rows  i32 [R]     which of the T rows want logits, ascending
 *   output   0 logits    f32 [R][n_vocab]
 *   symbols  "tokens" (T) and "rows" (R) counted at run time, "context" the session's n_ctx */
#ifndef HT_LM_H
#define HT_LM_H

#include "graph/ht_ops.h"

enum { HT_LM_TOKENS, HT_LM_POSITIONS, HT_LM_OUT_ROWS, HT_LM_INPUTS };
enum { HT_LM_SYM_TOKENS, HT_LM_SYM_ROWS, HT_LM_SYM_CONTEXT };

/* One layer of the cache. */
struct ht_kv_layer {
    int32_t n_kv_heads, d_k, d_v;
};

struct ht_lm {
    struct ht_graph graph;
    const struct ht_kv_layer *kv; /* [n_layers] */
    int32_t n_layers, n_embd, n_heads, n_kv_heads, n_vocab, n_ctx_train;
    int32_t n_experts, n_experts_used;
    ht_id tokens, positions, out_rows;
};

/* Init the graph and make symbols and inputs in the order above. */
hearth_status ht_lm_begin(struct ht_lm *lm, struct hb_arena *arena, hearth_error *err);

#endif
