/* bert: an encoder. Every token sees every token, positions and token types are rows of tables, and norms
 * (LayerNorm) stand behind the residual sums:
 *
 *     norm(token + type + position) ─► [ norm(x + attention(x)) ─► norm(x + down(gelu(up x))) ]
 *
 * Attention of T tokens is a plain product per head, [T][T] scores, without a cache. GELU is the exact
 * one. Source: "BERT", 2018; names of tensors and keys as llama.cpp's converter writes them. */
#include "gguf/hg_build.h"
#include "base/hb_math.h"

static hearth_status bert_norm(struct hg_build *b, ht_id x, enum hg_slot weight, enum hg_slot bias,
                               ht_id *y, hearth_error *err)
{
    const struct ht_norm params = {.eps = (float)b->hp.ln_eps, .layer = true};
    return ht_emit_norm(b->g, b->g->values[b->t[weight]].name, x, b->t[weight], b->t[bias], &params, y,
                        err);
}

static hearth_status bert_embed(struct hg_build *b, ht_id *x, hearth_error *err)
{
    static const enum hg_slot table[3] = {HG_T_TOKEN_EMBD, HG_T_TOKEN_TYPES, HG_T_POSITIONS};
    static const struct ht_embed plain = {1};
    const ht_id index[3] = {b->ids, b->types, b->positions};
    HB_TRY(hg_model_tensors(b, err));
    for (int i = 0; i < 3; i++) {
        const ht_id in[2] = {b->t[table[i]], index[i]};
        ht_id rows;
        if (in[0] == HT_NONE) /* no token types */
            continue;
        HB_TRY(ht_graph_emit(b->g, &ht_op_embed, b->g->values[in[0]].name, &plain, in, 2, &rows, 1,
                             err));
        if (i == 0)
            *x = rows;
        else
            HB_TRY(ht_emit_binary(b->g, HT_ADD, *x, rows, x, err));
    }
    return bert_norm(b, *x, HG_T_TOKEN_NORM, HG_T_TOKEN_NORM_B, x, err);
}

/* [T][heads * d] as [heads][T][d]. */
static hearth_status bert_heads(struct hg_build *b, ht_id x, ht_id *y, hearth_error *err)
{
    const struct ht_reshape split = {.rank = 3, .dim = {-1, b->hp.n_heads[b->layer], b->hp.d_k}};
    const struct ht_axes swap = {.n = 3, .axes = {1, 0, 2}};
    HB_TRY(ht_graph_emit(b->g, &ht_op_reshape, "heads", &split, &x, 1, &x, 1, err));
    return ht_graph_emit(b->g, &ht_op_transpose, "heads", &swap, &x, 1, y, 1, err);
}

/* y = softmax(q k' / sqrt(d)) v per head, as [T][heads * d]. */
static hearth_status bert_attention(struct hg_build *b, ht_id x, ht_id *y, hearth_error *err)
{
    const struct ht_gemm scores = {.trans_b = true, .act = HT_MAP_COPY, .beta = 1,
                                   .alpha = (float)(1 / hb_sqrt((double)b->hp.d_k))};
    const struct ht_gemm mix = {.act = HT_MAP_COPY, .alpha = 1, .beta = 1};
    const struct ht_softmax softmax = {.kind = HT_SOFTMAX, .axis = -1};
    const struct ht_axes swap = {.n = 3, .axes = {1, 0, 2}};
    const struct ht_reshape join = {.rank = 2, .dim = {-1, b->hp.n_heads[b->layer] * b->hp.d_k}};
    ht_id qkv[3], p;
    for (int i = HG_T_ATTN_Q; i <= HG_T_ATTN_V; i++)
        if (b->t[HG_T_ATTN_QKV] == HT_NONE && b->t[i] == HT_NONE)
            return hb_fail(err, HEARTH_E_NOT_FOUND,
                           "gguf: block %d has neither attn_qkv.weight nor all of attn_q, attn_k and attn_v",
                           (int)b->layer);
    HB_TRY(hg_qkv(b, x, qkv, err));
    for (int i = 0; i < 3; i++)
        HB_TRY(bert_heads(b, qkv[i], &qkv[i], err));
    HB_TRY(ht_graph_emit(b->g, &ht_op_gemm, "attention scores", &scores, qkv, 2, &p, 1, err));
    HB_TRY(ht_graph_emit(b->g, &ht_op_softmax, "attention", &softmax, &p, 1, &p, 1, err));
    const ht_id in[2] = {p, qkv[2]};
    HB_TRY(ht_graph_emit(b->g, &ht_op_gemm, "attention mix", &mix, in, 2, &p, 1, err));
    HB_TRY(ht_graph_emit(b->g, &ht_op_transpose, "heads", &swap, &p, 1, &p, 1, err));
    return ht_graph_emit(b->g, &ht_op_reshape, "heads", &join, &p, 1, y, 1, err);
}

static hearth_status bert_layer(struct hg_build *b, ht_id *x, hearth_error *err)
{
    ht_id h;
    HB_TRY(bert_attention(b, *x, &h, err));
    HB_TRY(hg_matmul(b, "attn_output", h, HG_T_ATTN_OUT, HG_T_ATTN_OUT_B, *x, x, err));
    HB_TRY(bert_norm(b, *x, HG_T_ATTN_OUT_NORM, HG_T_ATTN_OUT_NORM_B, x, err));
    HB_TRY(hg_matmul(b, "ffn_up", *x, HG_T_FFN_UP, HG_T_FFN_UP_B, HT_NONE, &h, err));
    HB_TRY(ht_emit_unary(b->g, HT_GELU_ERF, 0, h, &h, err));
    HB_TRY(hg_matmul(b, "ffn_down", h, HG_T_FFN_DOWN, HG_T_FFN_DOWN_B, *x, x, err));
    return bert_norm(b, *x, HG_T_LAYER_NORM, HG_T_LAYER_NORM_B, x, err);
}

static hearth_status bert_build(struct hg_build *b, hearth_error *err)
{
    const struct ht_reshape one_text = {.rank = 3, .dim = {1, -1, b->hp.n_embd}};
    ht_id x;
    HB_TRY(bert_embed(b, &x, err));
    for (int32_t i = 0; i < b->hp.n_layers; i++) {
        if (b->hp.n_kv_heads[i] != b->hp.n_heads[i] || b->hp.d_v != b->hp.d_k)
            return hb_fail(err, HEARTH_E_UNSUPPORTED,
                           "gguf: architecture bert with %d key heads of %d; as many as heads (%d) are "
                           "known", (int)b->hp.n_kv_heads[i], (int)b->hp.d_v, (int)b->hp.n_heads[i]);
        HB_TRY(hg_layer(b, i, err));
        HB_TRY(bert_layer(b, &x, err));
    }
    HB_TRY(ht_graph_emit(b->g, &ht_op_reshape, "output", &one_text, &x, 1, &x, 1, err));
    return ht_graph_output(b->g, x, "last_hidden_state", err);
}

const struct hg_arch hg_arch_bert = {
    .name = "bert",
    .encoder = true,
    .has = {[HG_T_TOKEN_EMBD] = HG_MUST, [HG_T_TOKEN_NORM] = HG_MUST, [HG_T_TOKEN_NORM_B] = HG_MUST,
            [HG_T_TOKEN_TYPES] = HG_MAY, [HG_T_POSITIONS] = HG_MUST, [HG_T_ATTN_QKV] = HG_MAY,
            [HG_T_ATTN_QKV_B] = HG_MAY, [HG_T_ATTN_Q] = HG_MAY, [HG_T_ATTN_Q_B] = HG_MAY,
            [HG_T_ATTN_K] = HG_MAY, [HG_T_ATTN_K_B] = HG_MAY, [HG_T_ATTN_V] = HG_MAY,
            [HG_T_ATTN_V_B] = HG_MAY, [HG_T_ATTN_OUT] = HG_MUST, [HG_T_ATTN_OUT_B] = HG_MUST,
            [HG_T_ATTN_OUT_NORM] = HG_MUST, [HG_T_ATTN_OUT_NORM_B] = HG_MUST,
            [HG_T_FFN_UP] = HG_MUST, [HG_T_FFN_UP_B] = HG_MUST, [HG_T_FFN_DOWN] = HG_MUST,
            [HG_T_FFN_DOWN_B] = HG_MUST, [HG_T_LAYER_NORM] = HG_MUST, [HG_T_LAYER_NORM_B] = HG_MUST},
    .build = bert_build};
