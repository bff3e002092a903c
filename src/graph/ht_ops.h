/* Parameters of the graph ops, and what each takes and gives.
 *
 * Generation works on matrices [rows][columns] whose rows may lie apart (views of a wider matrix);
 * the number of rows may be counted at run time. T = tokens of the step, R = rows that want
 * logits. */
#ifndef HT_OPS_H
#define HT_OPS_H

#include "graph/ht_graph.h"

struct ht_no_params {
    char unused;
};

#define HT_OP(name, params, text) extern const struct ht_op ht_op_##name;
#include "graph/graph_ops.def"
#undef HT_OP

/* embed: (table [V][n] of any weight type, index i32 [T]) -> f32 [T][n], times scale. */
struct ht_embed {
    float scale; /* 1 for most; sqrt(n) for gemma */
};

/* norm: (x f32 [T][n], weight f32 [group] or none, bias f32 [group] or none) -> f32 [T][n].
 * Each row is cut into groups (heads) that are normalised alone; group = 0: the whole row. */
struct ht_norm {
    float eps;
    int32_t group;
    bool layer; /* subtract the mean (LayerNorm); else RMS */
};

/* act_quantize: (x f32 [T][n]) -> int8 activation rows with a scale per stretch (kernels.h). Each row is
 * cut into groups that become activation rows of their own; group = 0: the whole row. */
struct ht_act_quantize {
    int32_t stretch;
    int32_t group;
};

/* matmul: (x, w0, [w1, w2], [b0, b1, b2], [residual]) -> f32 [T][n0 + n1 + n2].
 *   x         int8 activation rows (act_quantize) if the weights are block types, else f32 [T][k]
 *   w         [n][k], all of one activation form: f32, stretches of 32 (B32), or of 256 (K32, K16)
 *   b         f32 [n] each, any may be HT_NONE
 *   residual  f32 [T][n0 + n1 + n2]
 * y = (x W * scale + b) + residual. Inputs are always 8: x, w0..w2, b0..b2, residual. */
struct ht_matmul {
    float scale; /* 1: none */
};
#define HT_MATMUL_INPUTS 8

/* A mixture of experts; ops/op_route.c and op_experts.c draw it. E experts, of which each token uses K.
 *
 *   route          (logits f32 [T][E]) -> (expert i32 [T][K], weight f32 [T][K])
 *   expert_order   (expert) -> order i32 [..]
 *   expert_rows    (x [T][B], order) -> [T][K * B]
 *   expert_matmul  (x [T][K * row], order, w0, [w1] [E][n][k], [b0, b1] f32 [E][n])
 *                  -> (f32 [T][K * n], [the same of w1]); x in slots, in the weights' activation form.
 *                  Inputs are always 6
 *   expert_sum     (x f32 [T][K * n], order, weight, [residual f32 [T][n]]) -> f32 [T][n] */
struct ht_route {
    int32_t n_used;
};
struct ht_expert_order {
    int32_t n_experts, n_used;
};
#define HT_EXPERT_INPUTS 6

/* rope_table: (position i32 [T], frequency f32 [n/2], long frequency f32 [n/2] or none)
 * -> f32 [T][n], pairs (cos, sin) of position * frequency, times mscale. With a long table: it is
 * used when the session's n_ctx (symbol "context") is above original_ctx, with long_mscale. */
struct ht_rope_table {
    float mscale, long_mscale;
    int64_t original_ctx;
};

/* rope: (x f32 [T][heads * head_dim], table f32 [T][n_rot]) -> the same shape. The first n_rot of
 * each head are rotated: as pairs (2i, 2i+1), or halves (i, i + n_rot/2). Then everything times
 * scale (1: none). */
struct ht_rope {
    int32_t head_dim;
    bool halves;
    float scale;
};

/* kv_put: (k f32 [T][n_kv * d_k], v f32 [T][n_kv * d_v]) -> nothing. */
struct ht_kv_op {
    int32_t layer;
    int32_t n_kv_heads;
};

/* attention: (q f32 [T][n_heads * d_k], already scaled; sinks f32 [n_heads] or none)
 *   -> (y f32 [T][n_heads * d_v], parts f32)
 * attention_fold: (y, parts, sinks) -> y in place, when the step was computed in parts.
 * kv_put of the layer must stand before attention, attention_fold right after it: ht_emit_attention
 * emits the three. */
struct ht_attention {
    int32_t layer;
    int32_t n_heads;
    int32_t n_kv_heads;
    int32_t d_k, d_v;
    int32_t window;   /* a token sees itself and window - 1 before it; 0: all before it */
    float softcap;    /* 0: none */
};

/* columns: (x [T][n]) -> view [T][count] */
struct ht_columns {
    int64_t first, count;
};

/* binary: (a, b f32 [T][n]) -> f32 [T][n] */
enum ht_binary_kind { HT_ADD, HT_MUL, HT_SILU_MUL, HT_GELU_MUL, HT_SWIGLU_CLAMP };
struct ht_binary {
    uint8_t kind;
};

/* unary: (x f32 [T][n]) -> f32 [T][n] */
enum ht_unary_kind { HT_SCALE, HT_SOFTCAP, HT_GELU_ERF, HT_GELU_TANH, HT_SILU, HT_TANH };
struct ht_unary {
    uint8_t kind;
    float value; /* factor of HT_SCALE, cap of HT_SOFTCAP */
};

/* ---- tensors of any rank and plain type (ht_exec.h). Shapes and semantics are ONNX's; parameters
 * that may also be inputs are inputs. ---- */

enum ht_map_kind {
#define HT_MAP(id, arity, result, takes, text) HT_MAP_##id,
#include "graph/maps.def"
#undef HT_MAP
    HT_MAP_COUNT
};
struct ht_map {
    uint8_t kind;
    uint8_t type; /* of HT_MAP_CAST */
    double p, q;
};
/* reshape: (x, [shape]); without a shape input dim[rank] counts. 0 copies, -1 is inferred. */
struct ht_reshape {
    bool allow_zero;
    int rank;
    int64_t dim[HT_MAX_RANK];
};
struct ht_axis_params {
    int64_t axis;
};
/* axes: (x, [axes]): squeeze, or unsqueeze with `insert`. transpose: (x), axes = perm, n = 0: reversed.
 * Elsewhere a set of axes, n = 0: what the op says. */
struct ht_axes {
    bool insert;
    int n;
    int64_t axes[HT_MAX_RANK];
};
/* slice: (x, [starts, ends, axes, steps]) */
struct ht_slice {
    int n, n_axes;
    int64_t starts[HT_MAX_RANK], ends[HT_MAX_RANK], axes[HT_MAX_RANK];
};
/* split: (x, [sizes]) -> parts along axis; `uneven`: the last may be smaller */
struct ht_split {
    int64_t axis;
    bool uneven;
    int n;
    int64_t size[64];
};
/* shape: dimensions [start, end) of x as i64; `size`: their product */
struct ht_shape {
    bool has_end, size;
    int64_t start, end;
};
/* reduce: (x, [axes]) over the axes (none named: all, or nothing with noop) */
enum ht_reduce_kind { HT_SUM, HT_MEAN, HT_RMAX, HT_RMIN, HT_PROD, HT_L1, HT_L2, HT_LOG_SUM,
                      HT_LOG_SUM_EXP, HT_SUM_SQUARE, HT_ARGMAX, HT_ARGMIN };
struct ht_reduce {
    uint8_t kind;
    bool keep, noop, last; /* last: of equal extremes the last index */
    int n;
    int64_t axes[HT_MAX_RANK];
};
/* softmax: (x) along axis; `flat`: over all dimensions from axis on */
enum ht_softmax_kind { HT_SOFTMAX, HT_LOG_SOFTMAX, HT_HARDMAX };
struct ht_softmax {
    uint8_t kind;
    bool flat;
    int64_t axis;
};
/* layer_norm: (x, scale, [bias]) -> y, [mean, 1 / deviation] over dimensions from axis on */
struct ht_layer_norm {
    int64_t axis;
    float eps;
    bool rms;
};
/* gather: (x, indices) along axis; gather_elements, scatter (x, indices, updates); gather_nd,
 * scatter_nd by index tuples */
struct ht_gather {
    int64_t axis;
};
enum ht_scatter_kind { HT_SCATTER_SET, HT_SCATTER_ADD, HT_SCATTER_MUL, HT_SCATTER_MIN,
                       HT_SCATTER_MAX };
struct ht_scatter {
    int64_t axis;
    uint8_t kind;
};
/* pad: (x, pads, [value], [axes]) */
enum ht_pad_kind { HT_PAD_CONSTANT, HT_PAD_REFLECT, HT_PAD_EDGE, HT_PAD_WRAP };
struct ht_pad {
    uint8_t kind;
};
/* gemm: (a, b, [c], [packed b], [rows of a]) -> act(alpha a b + beta c): batched as numpy's matmul. trans_a and trans_b
 * swap the last two dimensions; integers wrap. act: HT_MAP_COPY, _RELU, _GELU, _GELU_TANH, _TANH. */
struct ht_gemm {
    bool trans_a, trans_b, with_c;
    uint8_t act;
    float alpha, beta;
};
/* An activation of gemm or int_gemm as kernels name it. */
HB_INLINE enum hk_act ht_act_kernel(uint8_t map)
{
    return map == HT_MAP_RELU        ? HK_ACT_RELU
           : map == HT_MAP_GELU      ? HK_ACT_GELU
           : map == HT_MAP_GELU_TANH ? HK_ACT_GELU_TANH
           : map == HT_MAP_TANH      ? HK_ACT_TANH
                                     : HK_ACT_NONE;
}
/* sdpa: (q [..][n][d], k [..][d][t], v [..][t][e], mask [..][n][t] or none) -> [..][n][e], leading dimensions
 * broadcast. Bit for bit what gemm, map, softmax and gemm give: s = (q * q_scale) (k * k_scale), then
 * soft_scores_f32 on rows, then s v. Of rank 4 the result lies as [0][2][1][3], where heads are joined
 * without a copy. */
struct ht_sdpa {
    bool k_rows; /* k is [..][t][d] */
    uint8_t flags; /* HK_SOFT_* */
    float scale, q_scale, k_scale; /* 1: none */
};
/* pack: (b [k][n], or [n][k] with trans_b) -> panels or tiles (ht_pack.h), largest difference f32 [1] */
enum ht_pack_form { HT_PACK_F32, HT_PACK_BF16, HT_PACK_Q8_0 };
struct ht_pack {
    bool trans_b;
    uint8_t form;
};
/* batch_norm: (x, scale, bias, mean, variance); group_norm: (x, scale, bias), groups = 0: by channel */
struct ht_norm_stats {
    float eps;
    int64_t groups;
};
/* quantize: (x, scale, [zero]); dequantize likewise. type counts where there is no zero point. NaN becomes the
 * lowest code of 8 bits. */
struct ht_quantize {
    int64_t axis, block;
    uint8_t type;
};
/* windows over space: conv (x, w, [bias]), conv_int, conv_transpose, pool */
enum ht_auto_pad { HT_PAD_EXPLICIT, HT_PAD_SAME_UPPER, HT_PAD_SAME_LOWER, HT_PAD_VALID };
enum ht_pool_kind { HT_POOL_MAX, HT_POOL_MEAN, HT_POOL_LP };
struct ht_window {
    uint8_t auto_pad, pool;
    bool ceil, count_pad, columns; /* columns: positions count column by column */
    int64_t group, lp;
    int n_kernel, n_strides, n_dilations, n_pads, n_output_padding, n_output_shape;
    int64_t kernel[HT_MAX_RANK], strides[HT_MAX_RANK], dilations[HT_MAX_RANK];
    int64_t pads[2 * HT_MAX_RANK], output_padding[HT_MAX_RANK], output_shape[HT_MAX_RANK];
};
struct ht_cumsum {
    bool exclusive, reverse;
};
struct ht_topk {
    int64_t axis;
    bool largest;
};
struct ht_compress {
    int64_t axis;
    bool flat;
};
struct ht_eye {
    int64_t k;
    bool has_type;
    uint8_t type;
};
struct ht_reverse {
    int64_t batch_axis, time_axis;
};
struct ht_depth_space {
    int64_t block;
    bool to_depth, crd; /* crd: channels of a block lie together */
};
enum ht_nll_reduce { HT_NLL_NONE, HT_NLL_SUM, HT_NLL_MEAN };
struct ht_nll {
    bool has_ignore;
    uint8_t reduce;
    int64_t ignore;
};
struct ht_scan {
    int n_scan_in;
    int64_t in_axis[64], out_axis[64], in_reverse[64], out_reverse[64];
};
/* recurrent: op_recurrent.c lists the inputs. act: up to three functions for each direction */
enum ht_recurrent_kind { HT_RNN, HT_GRU, HT_LSTM };
enum ht_direction { HT_FORWARD, HT_REVERSE, HT_BOTH };
struct ht_act {
    uint8_t kind;
    float alpha, beta;
};
struct ht_recurrent {
    uint8_t kind, direction;
    bool batch_first, linear_before_reset, coupled;
    float clip;
    struct ht_act act[6];
};
enum ht_resize_mode { HT_RESIZE_NEAREST, HT_RESIZE_LINEAR, HT_RESIZE_CUBIC };
enum ht_coordinates { HT_COORD_HALF, HT_COORD_ASYMMETRIC, HT_COORD_CORNERS, HT_COORD_PYTORCH, HT_COORD_CROP,
                      HT_COORD_HALF_SYMMETRIC };
enum ht_nearest { HT_NEAREST_DOWN, HT_NEAREST_UP, HT_NEAREST_FLOOR, HT_NEAREST_CEIL };
enum ht_aspect { HT_ASPECT_STRETCH, HT_ASPECT_SMALLER, HT_ASPECT_LARGER };
struct ht_resize {
    uint8_t mode, coordinates, nearest, policy;
    bool exclude_outside, antialias;
    double cubic;
    float extrapolation;
    int n_axes;
    int64_t axes[HT_MAX_RANK];
};
struct ht_attn_mask {
    float filter, scale;
    bool causal;
};
struct ht_unpack_bits {
    int64_t k, n, block, bits;
};
struct ht_einsum {
    char equation[128];
};
/* pack_i8: (b); int_gemm: (a, b, a zero or none, b zero or none, packed b) -> i32, or with (scale, [bias])
 * behind -> act(scale * sums + bias) in f32 */
struct ht_int_gemm {
    uint8_t act; /* as in ht_gemm */
};

/* ---- emitting with less writing; every helper adds nodes to g ---- */

hearth_status ht_emit_norm(struct ht_graph *g, const char *name, ht_id x, ht_id weight, ht_id bias,
                           const struct ht_norm *params, ht_id *out, hearth_error *err);

/* x is f32; where the weights are block types the activation rows are made once per x and shared.
 * w: n_w = 1..3 weights; bias: NULL or n_w ids; residual: HT_NONE or f32. All weights must want one
 * activation form; ht_same_matmul_class tells. */
hearth_status ht_emit_matmul(struct ht_graph *g, const char *name, ht_id x, const ht_id *w,
                             const ht_id *bias, uint32_t n_w, ht_id residual, float scale,
                             ht_id *out, hearth_error *err);
bool ht_same_matmul_class(const struct ht_graph *g, ht_id a, ht_id b);

hearth_status ht_emit_binary(struct ht_graph *g, enum ht_binary_kind kind, ht_id a, ht_id b,
                             ht_id *out, hearth_error *err);
hearth_status ht_emit_unary(struct ht_graph *g, enum ht_unary_kind kind, float value, ht_id x,
                            ht_id *out, hearth_error *err);

/* The matrices of a mixture of experts: w and their biases (HT_NONE where absent). */
struct ht_expert_mlp {
    int32_t n_experts, n_used;
    enum ht_binary_kind act;
    ht_id gate, up, down;                /* [E][f][n], [E][f][n], [E][n][f] */
    ht_id gate_bias, up_bias, down_bias; /* f32 [E][f], [E][f], [E][n] */
};
/* out = residual + sum over the K experts with the largest of `logits` [T][E], weighted with the softmax of
 * those K, of down(act(gate x) * up x). */
hearth_status ht_emit_experts(struct ht_graph *g, const struct ht_expert_mlp *mlp, ht_id x, ht_id logits,
                              ht_id residual, ht_id *out, hearth_error *err);

/* The activation rows of x for a weight type: made once per x and form, found again for the next matmul.
 * group as in ht_act_quantize. x itself where the type takes f32. */
hearth_status ht_emit_act_rows(struct ht_graph *g, ht_id x, enum hk_qtype weight, int32_t group, ht_id *out,
                               hearth_error *err);

/* kv_put, attention and attention_fold. q is roped and scaled, k roped; sinks may be HT_NONE. */
hearth_status ht_emit_attention(struct ht_graph *g, const struct ht_attention *params, ht_id q,
                                ht_id k, ht_id v, ht_id sinks, ht_id *out, hearth_error *err);

/* Columns [first, first + n) of a matrix, without a copy. */
hearth_status ht_emit_columns(struct ht_graph *g, ht_id x, int64_t first, int64_t n, ht_id *out,
                              hearth_error *err);

#endif
