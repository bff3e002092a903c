/* What architectures are written with: hyper-parameters, the tensors of a layer as graph values, and
 * the few steps decoders share. An architecture lists the tensors it has and emits the graph in
 * reading order:
 *
 *     embed ─► [ norm ─► q, k, v ─► rope ─► attention ─► +x ─► norm ─► feed-forward ─► +x ] ─► norm ─► head
 */
#ifndef HG_BUILD_H
#define HG_BUILD_H

#include "gguf/hg_lm.h"

struct hg_hparams {
#define HG_INT(field, key, required, min, max, absent) int64_t field;
#define HG_REAL(field, key, required, min, max, absent) double field;
#define HG_LAYERED(field, key, required, min, max) int32_t *field; /* [n_layers] */
#include "gguf/hg_params.def"
#undef HG_INT
#undef HG_REAL
#undef HG_LAYERED
    int64_t n_vocab; /* rows of the token embedding */
    int64_t n_types; /* encoders: rows of the table of token types */
};

enum hg_slot {
#define HG_MODEL_TENSOR(slot, name, role, d0, d1) HG_T_##slot,
#define HG_LAYER_TENSOR(slot, name, role, d0, d1) HG_T_##slot,
#define HG_DENSE_TENSOR(slot, name, role, d0, d1) HG_T_##slot,
#define HG_EXPERT_TENSOR(slot, name, role, d0, d1) HG_T_##slot,
#include "gguf/hg_tensors.def"
#undef HG_MODEL_TENSOR
#undef HG_LAYER_TENSOR
#undef HG_DENSE_TENSOR
#undef HG_EXPERT_TENSOR
    HG_T_COUNT
};

struct hg_build;

struct hg_arch {
    const char *name;
    bool halves;              /* rope pairs (i, i + n/2); else (2i, 2i + 1) */
    bool encoder;             /* loaded by hg_load_encoder, not hg_load_lm */
    bool yarn_exact;          /* the ramp of YaRN begins and ends between pairs */
    bool experts;             /* files may have a mixture of experts */
    uint8_t has[HG_T_COUNT];  /* 0: not part of it */
    hearth_status (*build)(struct hg_build *b, hearth_error *err);
};
enum { HG_MUST = 1, HG_MAY = 2 };

struct hg_build {
    const struct hg_file *file;
    const struct hg_arch *arch;
    struct hb_arena *arena;
    struct ht_lm *lm;     /* of generative models */
    struct ht_graph *g;
    ht_id ids, types, positions; /* of encoders: i32 [tokens] each */
    struct hg_hparams hp;
    ht_id t[HG_T_COUNT];  /* of the model and of the current layer; HT_NONE where there is none */
    bool *used;           /* [n_tensors] of the file */
    int32_t layer;
};

/* How one layer's attention differs from the next one's. */
struct hg_attn {
    ht_id rope;       /* table */
    int64_t window;   /* <= 0: none */
    double scale;     /* of q; 0: 1 / sqrt(d_k) */
};

/* "<architecture>.<key>" in a buffer of HG_KEY_BYTES. */
#define HG_KEY_BYTES 160
const char *hg_arch_key(const struct hg_build *b, const char *key, char *buffer);

/* Fill b->t with the tensors of this layer. */
hearth_status hg_layer(struct hg_build *b, int32_t layer, hearth_error *err);

/* Fill b->t with the tensors of the model. */
hearth_status hg_model_tensors(struct hg_build *b, hearth_error *err);

/* The model's tensors, then x = embedding * scale. */
hearth_status hg_embed(struct hg_build *b, double scale, ht_id *x, hearth_error *err);

/* Table of angles for the whole step: n_rot and the file's rope scaling (none, linear, yarn, the
 * factors of rope_freqs, long and short factors). */
hearth_status hg_rope_table(struct hg_build *b, ht_id *table, hearth_error *err);
/* Without any scaling. */
hearth_status hg_rope_table_plain(struct hg_build *b, double base, ht_id *table,
                                  hearth_error *err);

hearth_status hg_norm(struct hg_build *b, ht_id x, enum hg_slot weight, ht_id *y,
                      hearth_error *err);

/* y = x W + bias + residual (or HT_NONE) of the current layer; `what` names the step. */
hearth_status hg_matmul(struct hg_build *b, const char *what, ht_id x, enum hg_slot w,
                        enum hg_slot bias, ht_id residual, ht_id *y, hearth_error *err);
/* q, k and v of h, from one matrix or three. */
hearth_status hg_qkv(struct hg_build *b, ht_id h, ht_id qkv[3], hearth_error *err);

/* Attention of the current layer with its output matrix: y = out(attention(h)) + residual, where
 * residual is *x, or nothing if !add. q and k are normalised where the layer has weights for that. In
 * the last layer y and *x keep only the rows that want logits. */
hearth_status hg_attention(struct hg_build *b, const struct hg_attn *params, ht_id h, bool add,
                           ht_id *x, ht_id *y, hearth_error *err);

/* y = down(act(gate h) * up h) + residual (or HT_NONE); gate and up may be one matrix. */
hearth_status hg_feed_forward(struct hg_build *b, enum ht_binary_kind act, ht_id h, ht_id residual,
                              ht_id *y, hearth_error *err);

/* The same of a mixture of experts: those with the largest router logits, weighted by their softmax. */
hearth_status hg_experts(struct hg_build *b, enum ht_binary_kind act, ht_id h, ht_id residual, ht_id *y,
                         hearth_error *err);

/* Whole layers; where the model has experts, they are the feed-forward. Plain: x += attention(norm x); x += ffn(norm x). Sandwich: x += norm(attention(norm
 * x)); x += norm(ffn(norm x)). */
hearth_status hg_plain_layer(struct hg_build *b, const struct hg_attn *attn,
                             enum ht_binary_kind act, ht_id *x, hearth_error *err);
hearth_status hg_sandwich_layer(struct hg_build *b, const struct hg_attn *attn,
                                enum ht_binary_kind act, ht_id *x, hearth_error *err);

/* A model of plain layers from embedding to logits, all with the file's rope and window. */
hearth_status hg_plain_decoder(struct hg_build *b, enum ht_binary_kind act, hearth_error *err);

/* Last norm, logits (tied where there is no output matrix), soft-cap, graph output. */
hearth_status hg_head(struct hg_build *b, ht_id x, hearth_error *err);

/* The layer with which period or array the file says "this one has a window" (gemma):
 * attention.sliding_window_pattern, a number (the last of each period has none) or one bool a layer.
 * windowed [n_layers]. */
hearth_status hg_window_pattern(struct hg_build *b, int64_t period, bool **windowed,
                                hearth_error *err);

#define HG_ARCH(name, text) extern const struct hg_arch hg_arch_##name;
#include "gguf/archs.def"
#undef HG_ARCH

#endif
