/* com.microsoft: what optimised BERT files carry, as decompositions over general graph ops.
 * Source: ONNX Runtime's contrib operator documentation. */
#include "onnx/hx_import.h"
#include <string.h>

/* ---- matmul ---- */

static hearth_status fused_matmul_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_gemm p = {.trans_a = hx_attr_int(im, node, "transA", 0) != 0,
                              .trans_b = hx_attr_int(im, node, "transB", 0) != 0,
                              .alpha = hx_attr_float(im, node, "alpha", 1), .beta = 1, .act = HT_MAP_COPY};
    if (hx_attr_int(im, node, "transBatchA", 0) || hx_attr_int(im, node, "transBatchB", 0))
        return hx_unsupported(im, "transBatchA and transBatchB");
    ht_id y;
    HB_TRY(hx_gemm(im, &p, hx_in(im, node, 0), hx_in(im, node, 1), HT_NONE, &y));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_ms_fused_matmul = {2, 2, 1, 1, fused_matmul_lower, 0};

static hearth_status matmul_nbits_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_unpack_bits p = {.k = hx_attr_int(im, node, "K", 0), .n = hx_attr_int(im, node, "N", 0),
                                     .block = hx_attr_int(im, node, "block_size", 0),
                                     .bits = hx_attr_int(im, node, "bits", 4)};
    const struct ht_gemm gemm = {.trans_b = true, .alpha = 1, .beta = 1, .act = HT_MAP_COPY};
    ht_id in[3] = {hx_in(im, node, 1), hx_in(im, node, 2), hx_in(im, node, 3)}, w, y;
    if (hx_in(im, node, 4) != HT_NONE)
        return hx_unsupported(im, "g_idx");
    HB_TRY(hx_op(im, &ht_op_unpack_bits, &p, in, 3, &w, 1));
    const ht_id args[3] = {hx_in(im, node, 0), w, hx_in(im, node, 5)};
    HB_TRY(hx_op(im, &ht_op_gemm, &gemm, args, 3, &y, 1));
    return hx_out(im, node, 0, y);
}

const struct hx_op hx_op_ms_matmul_nbits = {3, 6, 1, 1, matmul_nbits_lower, 0};

/* ---- activations ---- */

static hearth_status bias_gelu_lower(struct hx_import *im, const struct hx_node *node)
{
    ht_id x = hx_in(im, node, 0), bias = hx_in(im, node, 1);
    if (bias != HT_NONE)
        HB_TRY(hx_map2(im, HT_MAP_ADD, x, bias, &x));
    HB_TRY(hx_map1(im, (unsigned)hx_row(im, node)->param, x, 0, 0, &x));
    return hx_out(im, node, 0, x);
}

const struct hx_op hx_op_ms_bias_gelu = {2, 2, 1, 1, bias_gelu_lower, HT_MAP_GELU};
const struct hx_op hx_op_ms_fast_gelu = {1, 2, 1, 1, bias_gelu_lower, HT_MAP_GELU_TANH};

/* ---- normalisation ---- */

static hearth_status skip_norm(struct hx_import *im, const struct hx_node *node, ht_id sum, ht_id gamma,
                               ht_id beta, bool rms, ht_id *y)
{
    const struct ht_layer_norm p = {.axis = -1, .eps = hx_attr_float(im, node, "epsilon", 1e-12f), .rms = rms};
    const ht_id in[3] = {sum, gamma, beta};
    return hx_op(im, &ht_op_layer_norm, &p, in, beta == HT_NONE ? 2 : 3, y, 1);
}

/* (x, skip, gamma, [beta], [bias]); the fourth output is the sum. Simplified: no beta, RMS. */
static hearth_status skip_layer_norm_lower(struct hx_import *im, const struct hx_node *node)
{
    bool rms = hx_row(im, node)->param != 0;
    ht_id sum, y, bias = hx_in(im, node, rms ? 3 : 4);
    if ((node->n_outputs > 1 && node->outputs[1][0]) || (node->n_outputs > 2 && node->outputs[2][0]))
        return hx_unsupported(im, "mean and deviation as outputs");
    HB_TRY(hx_map2(im, HT_MAP_ADD, hx_in(im, node, 0), hx_in(im, node, 1), &sum));
    if (bias != HT_NONE)
        HB_TRY(hx_map2(im, HT_MAP_ADD, sum, bias, &sum));
    HB_TRY(skip_norm(im, node, sum, hx_in(im, node, 2), rms ? HT_NONE : hx_in(im, node, 3), rms, &y));
    HB_TRY(hx_out(im, node, 0, y));
    return hx_out(im, node, 3, sum);
}

const struct hx_op hx_op_ms_skip_layer_norm = {3, 5, 1, 4, skip_layer_norm_lower, 0};
const struct hx_op hx_op_ms_skip_rms_norm = {3, 4, 1, 4, skip_layer_norm_lower, 1};


static hearth_status ms_axes(struct hx_import *im, ht_id x, bool insert, int n, int64_t a, int64_t b,
                             ht_id *out)
{
    const struct ht_axes p = {.insert = insert, .n = n, .axes = {a, b}};
    return hx_op(im, &ht_op_axes, &p, &x, 1, out, 1);
}

/* (ids, segments or none, words, positions, segment table or none, gamma, beta, mask or none,
 * position ids or none) -> normalised sum, counts of the mask, sum */
static hearth_status embed_layer_norm_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_gather rows = {0};
    ht_id ids = hx_in(im, node, 0), positions = hx_in(im, node, 8), mask = hx_in(im, node, 7), sum, add, y;
    if (positions == HT_NONE) { /* 0, 1, .. to the length of the sequences */
        const struct ht_shape length = {.start = 1, .has_end = true, .end = 2};
        const int64_t zero = 0, one = 1;
        ht_id in[3];
        HB_TRY(hx_const(im, HK_I64, 0, NULL, &zero, &in[0]));
        HB_TRY(hx_const(im, HK_I64, 0, NULL, &one, &in[2]));
        HB_TRY(hx_op(im, &ht_op_shape, &length, &ids, 1, &in[1], 1));
        HB_TRY(ms_axes(im, in[1], false, 0, 0, 0, &in[1]));
        HB_TRY(hx_op(im, &ht_op_range, NULL, in, 3, &positions, 1));
    }
    const ht_id words[2] = {hx_in(im, node, 2), ids}, places[2] = {hx_in(im, node, 3), positions};
    HB_TRY(hx_op(im, &ht_op_gather, &rows, words, 2, &sum, 1));
    HB_TRY(hx_op(im, &ht_op_gather, &rows, places, 2, &add, 1));
    HB_TRY(hx_map2(im, HT_MAP_ADD, sum, add, &sum));
    if (hx_in(im, node, 1) != HT_NONE && hx_in(im, node, 4) != HT_NONE) {
        const ht_id segments[2] = {hx_in(im, node, 4), hx_in(im, node, 1)};
        HB_TRY(hx_op(im, &ht_op_gather, &rows, segments, 2, &add, 1));
        HB_TRY(hx_map2(im, HT_MAP_ADD, sum, add, &sum));
    }
    HB_TRY(skip_norm(im, node, sum, hx_in(im, node, 5), hx_in(im, node, 6), false, &y));
    HB_TRY(hx_out(im, node, 0, y));
    if (node->n_outputs > 1 && node->outputs[1][0]) {
        struct ht_reduce count = {.kind = HT_SUM, .n = 1, .axes = {1}};
        ht_id from = mask;
        if (mask == HT_NONE)
            HB_TRY(hx_map2(im, HT_MAP_SUB, ids, ids, &from));
        HB_TRY(hx_op(im, &ht_op_reduce, &count, &from, 1, &add, 1));
        HB_TRY(hx_cast(im, add, HK_I32, &add));
        HB_TRY(hx_out(im, node, 1, add));
    }
    return hx_out(im, node, 2, sum);
}

const struct hx_op hx_op_ms_embed_layer_norm = {7, 9, 1, 3, embed_layer_norm_lower, 0};

/* ---- attention ---- */

/* [B][S][heads * d] -> [B][heads][S][d] */
static hearth_status attention_heads(struct hx_import *im, ht_id x, int64_t heads, ht_id *out)
{
    const struct ht_reshape split = {.rank = 4, .dim = {0, 0, heads, -1}};
    const struct ht_axes perm = {.n = 4, .axes = {0, 2, 1, 3}};
    HB_TRY(hx_op(im, &ht_op_reshape, &split, &x, 1, &x, 1));
    return hx_op(im, &ht_op_transpose, &perm, &x, 1, out, 1);
}

struct attention_args {
    ht_id q, k, v;      /* [B][heads][S][d] */
    ht_id mask;         /* 0 and 1, or lengths; HT_NONE */
    ht_id bias;         /* added to the scores; HT_NONE */
    bool causal;
    float scale;        /* 0: 1 / sqrt(d) */
    float filter;
};

static hearth_status attention_core(struct hx_import *im, const struct hx_node *node,
                                    const struct attention_args *a)
{
    const struct ht_gemm scores = {.trans_b = true, .alpha = 1, .beta = 1, .act = HT_MAP_COPY};
    const struct ht_gemm values = {.alpha = 1, .beta = 1, .act = HT_MAP_COPY};
    const struct ht_softmax soft = {.kind = HT_SOFTMAX, .axis = -1};
    const struct ht_axes perm = {.n = 4, .axes = {0, 2, 1, 3}};
    const struct ht_reshape join = {.rank = 3, .dim = {0, 0, -1}};
    const struct ht_attn_mask mask = {.filter = a->filter, .scale = a->scale, .causal = a->causal};
    const ht_id qk[2] = {a->q, a->k};
    ht_id s, y;
    HB_TRY(hx_op(im, &ht_op_gemm, &scores, qk, 2, &s, 1));
    const ht_id in[4] = {s, a->q, a->mask, a->bias};
    HB_TRY(hx_op(im, &ht_op_attn_mask, &mask, in, 4, &s, 1));
    HB_TRY(hx_op(im, &ht_op_softmax, &soft, &s, 1, &s, 1));
    const ht_id sv[2] = {s, a->v};
    HB_TRY(hx_op(im, &ht_op_gemm, &values, sv, 2, &y, 1));
    HB_TRY(hx_op(im, &ht_op_transpose, &perm, &y, 1, &y, 1));
    HB_TRY(hx_op(im, &ht_op_reshape, &join, &y, 1, &y, 1));
    return hx_out(im, node, 0, y);
}

/* From the joint projection [B][S][q + k + v]. */
static hearth_status attention_joint(struct hx_import *im, const struct hx_node *node, ht_id qkv, ht_id mask,
                                     ht_id past, ht_id bias)
{
    int64_t heads = hx_attr_int(im, node, "num_heads", 0);
    struct ht_split parts = {.axis = -1};
    struct attention_args a = {.mask = mask, .bias = bias, .causal = hx_attr_int(im, node, "unidirectional", 0) != 0,
                               .scale = hx_attr_float(im, node, "scale", 0),
                               .filter = hx_attr_float(im, node, "mask_filter_value", -10000.0f)};
    ht_id p[3];
    if (heads < 1 || heads > 4096)
        return hb_fail(im->err, HEARTH_E_RANGE, "%s: num_heads %lld", im->what, (long long)heads);
    if (past != HT_NONE || (node->n_outputs > 1 && node->outputs[1][0]))
        return hx_unsupported(im, "past and present");
    if (hx_attr_int(im, node, "do_rotary", 0))
        return hx_unsupported(im, "do_rotary");
    HB_TRY(hx_attr_ints(im, node, "qkv_hidden_sizes", 3, parts.size, &parts.n));
    HB_TRY(hx_op(im, &ht_op_split, &parts, &qkv, 1, p, 3));
    HB_TRY(attention_heads(im, p[0], heads, &a.q));
    HB_TRY(attention_heads(im, p[1], heads, &a.k));
    HB_TRY(attention_heads(im, p[2], heads, &a.v));
    return attention_core(im, node, &a);
}

/* Attention: (x, w, bias, mask, past, attention bias) */
static hearth_status attention_lower(struct hx_import *im, const struct hx_node *node)
{
    const struct ht_gemm p = {.alpha = 1, .beta = 1, .act = HT_MAP_COPY};
    ht_id qkv;
    HB_TRY(hx_gemm(im, &p, hx_in(im, node, 0), hx_in(im, node, 1), hx_in(im, node, 2), &qkv));
    return attention_joint(im, node, qkv, hx_in(im, node, 3), hx_in(im, node, 4), hx_in(im, node, 5));
}

const struct hx_op hx_op_ms_attention = {2, 7, 1, 2, attention_lower, 0};

/* QAttention: (x, w, bias, x scale, w scale, mask, x zero, w zero, past) */
static hearth_status qattention_lower(struct hx_import *im, const struct hx_node *node)
{
    ht_id y, scale;
    HB_TRY(hx_int_gemm(im, hx_in(im, node, 0), hx_in(im, node, 1), hx_in(im, node, 6), hx_in(im, node, 7), &y));
    HB_TRY(hx_cast(im, y, HK_F32, &y));
    HB_TRY(hx_map2(im, HT_MAP_MUL, hx_in(im, node, 3), hx_in(im, node, 4), &scale));
    HB_TRY(hx_map2(im, HT_MAP_MUL, y, scale, &y));
    HB_TRY(hx_map2(im, HT_MAP_ADD, y, hx_in(im, node, 2), &y));
    return attention_joint(im, node, y, hx_in(im, node, 5), hx_in(im, node, 8), HT_NONE);
}

const struct hx_op hx_op_ms_qattention = {5, 9, 1, 2, qattention_lower, 0};

/* MultiHeadAttention: (q, k, v, bias, key padding mask, attention bias, past k, past v) */
static hearth_status multi_head_lower(struct hx_import *im, const struct hx_node *node)
{
    int64_t heads = hx_attr_int(im, node, "num_heads", 0);
    struct attention_args a = {.mask = hx_in(im, node, 4), .bias = hx_in(im, node, 5),
                               .causal = hx_attr_int(im, node, "unidirectional", 0) != 0,
                               .scale = hx_attr_float(im, node, "scale", 0),
                               .filter = hx_attr_float(im, node, "mask_filter_value", -10000.0f)};
    ht_id p[3] = {hx_in(im, node, 0), hx_in(im, node, 1), hx_in(im, node, 2)}, bias = hx_in(im, node, 3);
    if (heads < 1 || heads > 4096)
        return hb_fail(im->err, HEARTH_E_RANGE, "%s: num_heads %lld", im->what, (long long)heads);
    if (p[1] == HT_NONE || p[2] == HT_NONE)
        return hx_unsupported(im, "packed query, key and value");
    if (hx_in(im, node, 6) != HT_NONE || (node->n_outputs > 1 && node->outputs[1][0]))
        return hx_unsupported(im, "past and present");
    if (bias != HT_NONE) {
        ht_id b[3];
        const struct ht_split parts = {.axis = 0};
        HB_TRY(hx_op(im, &ht_op_split, &parts, &bias, 1, b, 3));
        for (int i = 0; i < 3; i++)
            HB_TRY(hx_map2(im, HT_MAP_ADD, p[i], b[i], &p[i]));
    }
    HB_TRY(attention_heads(im, p[0], heads, &a.q));
    HB_TRY(attention_heads(im, p[1], heads, &a.k));
    HB_TRY(attention_heads(im, p[2], heads, &a.v));
    return attention_core(im, node, &a);
}

const struct hx_op hx_op_ms_multi_head_attention = {1, 8, 1, 3, multi_head_lower, 0};
