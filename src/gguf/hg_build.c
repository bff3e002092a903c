/* The steps decoders share: see the header for the picture. */
#include "gguf/hg_build.h"
#include "base/hb_math.h"
#include "base/hb_reader.h"
#include <string.h>

/* ---- tensors ---- */

enum build_role { BUILD_WEIGHT, BUILD_VECTOR };
enum build_dim {
    BUILD_NONE, BUILD_VOCAB, BUILD_EMBD, BUILD_Q, BUILD_K, BUILD_V, BUILD_QKV, BUILD_HEADS, BUILD_D_K,
    BUILD_Q_HEADS, BUILD_FF, BUILD_FF2, BUILD_ROT_PAIRS, BUILD_FF_EXPERT, BUILD_TYPES, BUILD_CONTEXT
};

enum build_kind { BUILD_MODEL, BUILD_LAYER, BUILD_DENSE, BUILD_EXPERT };

static const struct build_slot {
    const char *name;
    uint8_t kind, role, dim[2];
} build_slots[HG_T_COUNT] = {
#define BUILD_SLOT(kind, slot, name, role, d0, d1)                                                 \
    [HG_T_##slot] = {name, BUILD_##kind, BUILD_##role, {BUILD_##d0, BUILD_##d1}},
#define HG_MODEL_TENSOR(slot, name, role, d0, d1)  BUILD_SLOT(MODEL, slot, name, role, d0, d1)
#define HG_LAYER_TENSOR(slot, name, role, d0, d1)  BUILD_SLOT(LAYER, slot, name, role, d0, d1)
#define HG_DENSE_TENSOR(slot, name, role, d0, d1)  BUILD_SLOT(DENSE, slot, name, role, d0, d1)
#define HG_EXPERT_TENSOR(slot, name, role, d0, d1) BUILD_SLOT(EXPERT, slot, name, role, d0, d1)
#include "gguf/hg_tensors.def"
#undef HG_MODEL_TENSOR
#undef HG_LAYER_TENSOR
#undef HG_DENSE_TENSOR
#undef HG_EXPERT_TENSOR
#undef BUILD_SLOT
};

static int64_t build_dim(const struct hg_build *b, uint8_t formula)
{
    const struct hg_hparams *hp = &b->hp;
    int64_t q = hp->n_heads[b->layer] * hp->d_k, kv = hp->n_kv_heads[b->layer];
    switch ((enum build_dim)formula) {
    case BUILD_VOCAB:
        return hp->n_vocab;
    case BUILD_EMBD:
        return hp->n_embd;
    case BUILD_Q:
        return q;
    case BUILD_K:
        return kv * hp->d_k;
    case BUILD_V:
        return kv * hp->d_v;
    case BUILD_QKV:
        return q + kv * (hp->d_k + hp->d_v);
    case BUILD_HEADS:
        return hp->n_heads[b->layer] * hp->d_v;
    case BUILD_D_K:
        return hp->d_k;
    case BUILD_Q_HEADS:
        return hp->n_heads[b->layer];
    case BUILD_FF_EXPERT:
        return hp->n_ff_expert;
    case BUILD_FF:
        return hp->n_ff[b->layer];
    case BUILD_FF2:
        return 2 * (int64_t)hp->n_ff[b->layer];
    case BUILD_ROT_PAIRS:
        return hp->n_rot / 2;
    case BUILD_TYPES:
        return hp->n_types;
    case BUILD_CONTEXT:
        return hp->n_ctx;
    case BUILD_NONE:
        break;
    }
    return 0;
}

static void build_print_shape(char *text, size_t size, int rank, const int64_t *dim)
{
    size_t len = 0;
    text[0] = 0;
    for (int i = 0; i < rank; i++)
        len += hb_format(text + len, size - len, "[%lld]", (long long)dim[i]);
}

static hearth_status build_check(const struct hg_tensor *t, int rank, const int64_t *dim,
                                 enum build_role role, hearth_error *err)
{
    char found[96], wanted[96];
    bool same = t->rank == rank;
    for (int i = 0; i < rank && same; i++)
        same = t->dim[i] == dim[i];
    if (!same) {
        build_print_shape(found, sizeof found, t->rank, t->dim);
        build_print_shape(wanted, sizeof wanted, rank, dim);
        return hb_fail(err, HEARTH_E_MISMATCH, "gguf: tensor %s has shape %s; %s is required",
                       t->name, found, wanted);
    }
    bool ok = role == BUILD_VECTOR ? hk_qtype_info[t->type].family == HK_FAMILY_FLOAT
                                   : hk_qtype_info[t->type].family != HK_FAMILY_PLAIN;
    if (!ok)
        return hb_fail(err, HEARTH_E_MISMATCH, "gguf: tensor %s has type %s; %s is required", t->name,
                       hk_qtype_info[t->type].name,
                       role == BUILD_VECTOR ? "f32, f16 or bf16" : "a weight type");
    return HEARTH_OK;
}

static float build_half(uint32_t h) /* IEEE binary16 to f32, exact */
{
    uint32_t sign = (h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3FF, bits;
    float f;
    if (e == 0) {
        f = (float)m * 0x1p-24f;
        return sign ? -f : f;
    }
    bits = sign | (e == 31 ? 0x7F800000u : (e + 112) << 23) | m << 13;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Kernels read vectors as aligned f32: others are converted into the arena. They are short. */
static hearth_status build_vector(struct hg_build *b, const struct hg_tensor *t, const void **data,
                                  hearth_error *err)
{
    size_t n = (size_t)t->dim[0] * (t->rank == 2 ? (size_t)t->dim[1] : 1);
    const uint8_t *p = t->data;
    float *f;
    *data = t->data;
    if (t->type == HK_F32 && (uintptr_t)p % sizeof(float) == 0)
        return HEARTH_OK;
    HB_TRY(HB_ARENA_NEW(b->arena, float, n, &f, err));
    for (size_t i = 0; i < n; i++) {
        uint32_t bf16 = t->type == HK_BF16 ? hb_load_u16le(p + 2 * i) << 16 : 0;
        if (t->type == HK_F32)
            f[i] = hb_load_f32le(p + 4 * i);
        else if (t->type == HK_F16)
            f[i] = build_half(hb_load_u16le(p + 2 * i));
        else
            memcpy(&f[i], &bf16, sizeof f[i]);
    }
    *data = f;
    return HEARTH_OK;
}

static hearth_status build_tensor(struct hg_build *b, enum hg_slot slot, hearth_error *err)
{
    const struct build_slot *s = &build_slots[slot];
    int64_t dim[3];
    int rank = 0;
    if (s->kind == BUILD_EXPERT)
        dim[rank++] = b->hp.n_experts;
    for (int i = 0; i < 2 && s->dim[i] != BUILD_NONE; i++)
        dim[rank++] = build_dim(b, s->dim[i]);
    char name[HG_MAX_NAME + 1];
    if (s->kind != BUILD_MODEL)
        hb_format(name, sizeof name, "blk.%d.%s", (int)b->layer, s->name);
    else
        hb_format(name, sizeof name, "%s", s->name);
    const struct hg_tensor *t = hg_tensor_find(b->file, name);
    b->t[slot] = HT_NONE;
    if (!t) {
        if (b->arch->has[slot] == HG_MAY)
            return HEARTH_OK;
        return hb_fail(err, HEARTH_E_NOT_FOUND, "gguf: tensor %s is missing; architecture %s needs it",
                       name, b->arch->name);
    }
    HB_TRY(build_check(t, rank, dim, (enum build_role)s->role, err));
    b->used[t - b->file->tensors] = true;
    const void *data = t->data;
    enum hk_qtype type = (enum hk_qtype)t->type;
    if (s->role == BUILD_VECTOR) {
        HB_TRY(build_vector(b, t, &data, err));
        type = HK_F32;
    }
    return ht_graph_const(b->g, name, type, rank, dim, data, &b->t[slot], err);
}

static bool build_wants(const struct hg_build *b, uint8_t kind)
{
    return kind != (b->hp.n_experts > 0 ? BUILD_DENSE : BUILD_EXPERT);
}

static hearth_status build_tensors(struct hg_build *b, bool in_layer, hearth_error *err)
{
    for (int i = 0; i < HG_T_COUNT; i++) {
        if ((build_slots[i].kind != BUILD_MODEL) != in_layer)
            continue;
        b->t[i] = HT_NONE;
        if (b->arch->has[i] && build_wants(b, build_slots[i].kind))
            HB_TRY(build_tensor(b, (enum hg_slot)i, err));
    }
    return HEARTH_OK;
}

hearth_status hg_model_tensors(struct hg_build *b, hearth_error *err)
{
    return build_tensors(b, false, err);
}

hearth_status hg_layer(struct hg_build *b, int32_t layer, hearth_error *err)
{
    b->layer = layer;
    return build_tensors(b, true, err);
}

/* "blk.3.attn_qkv" for messages, profile and dump. */
static const char *build_name(const struct hg_build *b, const char *what, char *buffer, size_t size)
{
    hb_format(buffer, size, "blk.%d.%s", (int)b->layer, what);
    return buffer;
}

/* ---- steps ---- */

hearth_status hg_embed(struct hg_build *b, double scale, ht_id *x, hearth_error *err)
{
    HB_TRY(hg_model_tensors(b, err));
    const struct ht_embed params = {(float)scale};
    const ht_id in[2] = {b->t[HG_T_TOKEN_EMBD], b->lm->tokens};
    return ht_graph_emit(b->g, &ht_op_embed, "token_embd", &params, in, 2, x, 1, err);
}

hearth_status hg_norm(struct hg_build *b, ht_id x, enum hg_slot weight, ht_id *y, hearth_error *err)
{
    const struct ht_norm params = {.eps = (float)b->hp.eps};
    return ht_emit_norm(b->g, b->g->values[b->t[weight]].name, x, b->t[weight], HT_NONE, &params, y,
                        err);
}

/* Each head of q or k alone; weights are optional. */
static hearth_status build_head_norm(struct hg_build *b, enum hg_slot weight, ht_id *x,
                                     hearth_error *err)
{
    const struct ht_norm params = {.eps = (float)b->hp.eps, .group = (int32_t)b->hp.d_k};
    if (b->t[weight] == HT_NONE)
        return HEARTH_OK;
    return ht_emit_norm(b->g, b->g->values[b->t[weight]].name, *x, b->t[weight], HT_NONE, &params, x,
                        err);
}

static hearth_status build_matmul(struct hg_build *b, const char *what, ht_id x, const ht_id *w,
                                  const ht_id *bias, uint32_t n_w, ht_id residual, ht_id *y,
                                  hearth_error *err)
{
    char name[64];
    return ht_emit_matmul(b->g, build_name(b, what, name, sizeof name), x, w, bias, n_w, residual, 1,
                          y, err);
}

hearth_status hg_matmul(struct hg_build *b, const char *what, ht_id x, enum hg_slot w,
                        enum hg_slot bias, ht_id residual, ht_id *y, hearth_error *err)
{
    return build_matmul(b, what, x, &b->t[w], &b->t[bias], 1, residual, y, err);
}

/* n matrices of one x as one matmul where their types allow it; y: n matrices or views. */
static hearth_status build_together(struct hg_build *b, const char *what, ht_id x,
                                    const enum hg_slot *w, const enum hg_slot *bias, uint32_t n,
                                    ht_id *y, hearth_error *err)
{
    ht_id ws[3], bs[3], all;
    bool one = true;
    for (uint32_t i = 0; i < n; i++) {
        ws[i] = b->t[w[i]];
        bs[i] = b->t[bias[i]];
        one = one && ht_same_matmul_class(b->g, ws[0], ws[i]);
    }
    if (!one) {
        for (uint32_t i = 0; i < n; i++)
            HB_TRY(build_matmul(b, what, x, &ws[i], &bs[i], 1, HT_NONE, &y[i], err));
        return HEARTH_OK;
    }
    HB_TRY(build_matmul(b, what, x, ws, bs, n, HT_NONE, &all, err));
    int64_t first = 0;
    for (uint32_t i = 0; i < n; i++) {
        int64_t columns = b->g->values[ws[i]].dim[0];
        HB_TRY(ht_emit_columns(b->g, all, first, columns, &y[i], err));
        first += columns;
    }
    return HEARTH_OK;
}

hearth_status hg_qkv(struct hg_build *b, ht_id h, ht_id qkv[3], hearth_error *err)
{
    static const enum hg_slot w[3] = {HG_T_ATTN_Q, HG_T_ATTN_K, HG_T_ATTN_V};
    static const enum hg_slot bias[3] = {HG_T_ATTN_Q_B, HG_T_ATTN_K_B, HG_T_ATTN_V_B};
    if (b->t[HG_T_ATTN_QKV] == HT_NONE)
        return build_together(b, "attn_qkv", h, w, bias, 3, qkv, err);
    ht_id all;
    int64_t q = build_dim(b, BUILD_Q), k = build_dim(b, BUILD_K), v = build_dim(b, BUILD_V);
    HB_TRY(build_matmul(b, "attn_qkv", h, &b->t[HG_T_ATTN_QKV], &b->t[HG_T_ATTN_QKV_B], 1, HT_NONE,
                        &all, err));
    HB_TRY(ht_emit_columns(b->g, all, 0, q, &qkv[0], err));
    HB_TRY(ht_emit_columns(b->g, all, q, k, &qkv[1], err));
    return ht_emit_columns(b->g, all, q + k, v, &qkv[2], err);
}

static hearth_status build_rope(struct hg_build *b, ht_id table, float scale, ht_id *x,
                                hearth_error *err)
{
    const struct ht_rope params = {(int32_t)b->hp.d_k, b->arch->halves, scale};
    const ht_id in[2] = {*x, table};
    return ht_graph_emit(b->g, &ht_op_rope, "rope", &params, in, 2, x, 1, err);
}

/* In the last layer only the rows that want logits go on. */
static hearth_status build_last_rows(struct hg_build *b, ht_id *x, hearth_error *err)
{
    const ht_id in[2] = {*x, b->lm->out_rows};
    if (b->layer != b->lm->n_layers - 1)
        return HEARTH_OK;
    return ht_graph_emit(b->g, &ht_op_rows, "rows", NULL, in, 2, x, 1, err);
}

hearth_status hg_attention(struct hg_build *b, const struct hg_attn *params, ht_id h, bool add,
                           ht_id *x, ht_id *y, hearth_error *err)
{
    const struct hg_hparams *hp = &b->hp;
    const struct ht_attention attention = {
        b->layer, hp->n_heads[b->layer], hp->n_kv_heads[b->layer], (int32_t)hp->d_k, (int32_t)hp->d_v,
        params->window > 0 ? (int32_t)params->window : 0,
        hp->attn_softcap > 0 ? (float)hp->attn_softcap : 0};
    double scale = params->scale != 0 ? params->scale : 1 / hb_sqrt((double)hp->d_k);
    ht_id qkv[3], a;
    HB_TRY(hg_qkv(b, h, qkv, err));
    HB_TRY(build_head_norm(b, HG_T_ATTN_Q_NORM, &qkv[0], err));
    HB_TRY(build_head_norm(b, HG_T_ATTN_K_NORM, &qkv[1], err));
    HB_TRY(build_rope(b, params->rope, (float)scale, &qkv[0], err));
    HB_TRY(build_rope(b, params->rope, 1, &qkv[1], err));
    HB_TRY(ht_emit_attention(b->g, &attention, qkv[0], qkv[1], qkv[2], b->t[HG_T_ATTN_SINKS], &a, err));
    HB_TRY(build_last_rows(b, &a, err));
    HB_TRY(build_last_rows(b, x, err));
    return build_matmul(b, "attn_output", a, &b->t[HG_T_ATTN_OUT], &b->t[HG_T_ATTN_OUT_B], 1,
                        add ? *x : HT_NONE, y, err);
}

hearth_status hg_feed_forward(struct hg_build *b, enum ht_binary_kind act, ht_id h, ht_id residual,
                              ht_id *y, hearth_error *err)
{
    static const enum hg_slot w[2] = {HG_T_FFN_GATE, HG_T_FFN_UP};
    static const enum hg_slot bias[2] = {HG_T_FFN_GATE_B, HG_T_FFN_UP_B};
    int64_t n = b->hp.n_ff[b->layer];
    ht_id pair[2], all;
    if (b->t[HG_T_FFN_GATE_UP] == HT_NONE) {
        HB_TRY(build_together(b, "ffn_gate_up", h, w, bias, 2, pair, err));
    } else {
        HB_TRY(build_matmul(b, "ffn_gate_up", h, &b->t[HG_T_FFN_GATE_UP], NULL, 1, HT_NONE, &all,
                            err));
        HB_TRY(ht_emit_columns(b->g, all, 0, n, &pair[0], err));
        HB_TRY(ht_emit_columns(b->g, all, n, n, &pair[1], err));
    }
    HB_TRY(ht_emit_binary(b->g, act, pair[0], pair[1], &all, err));
    return build_matmul(b, "ffn_down", all, &b->t[HG_T_FFN_DOWN], &b->t[HG_T_FFN_DOWN_B], 1, residual,
                        y, err);
}

hearth_status hg_experts(struct hg_build *b, enum ht_binary_kind act, ht_id h, ht_id residual, ht_id *y,
                         hearth_error *err)
{
    const struct ht_expert_mlp mlp = {
        (int32_t)b->hp.n_experts, (int32_t)b->hp.n_experts_used, act,
        b->t[HG_T_EXP_GATE], b->t[HG_T_EXP_UP], b->t[HG_T_EXP_DOWN],
        b->t[HG_T_EXP_GATE_B], b->t[HG_T_EXP_UP_B], b->t[HG_T_EXP_DOWN_B]};
    ht_id logits;
    HB_TRY(build_matmul(b, "ffn_router", h, &b->t[HG_T_ROUTER], &b->t[HG_T_ROUTER_B], 1, HT_NONE, &logits,
                        err));
    return ht_emit_experts(b->g, &mlp, h, logits, residual, y, err);
}

hearth_status hg_plain_layer(struct hg_build *b, const struct hg_attn *attn,
                             enum ht_binary_kind act, ht_id *x, hearth_error *err)
{
    ht_id h;
    HB_TRY(hg_norm(b, *x, HG_T_ATTN_NORM, &h, err));
    HB_TRY(hg_attention(b, attn, h, true, x, x, err));
    HB_TRY(hg_norm(b, *x, HG_T_FFN_NORM, &h, err));
    if (b->hp.n_experts > 0)
        return hg_experts(b, act, h, *x, x, err);
    return hg_feed_forward(b, act, h, *x, x, err);
}

hearth_status hg_sandwich_layer(struct hg_build *b, const struct hg_attn *attn,
                                enum ht_binary_kind act, ht_id *x, hearth_error *err)
{
    ht_id h;
    HB_TRY(hg_norm(b, *x, HG_T_ATTN_NORM, &h, err));
    HB_TRY(hg_attention(b, attn, h, false, x, &h, err));
    HB_TRY(hg_norm(b, h, HG_T_ATTN_POST_NORM, &h, err));
    HB_TRY(ht_emit_binary(b->g, HT_ADD, h, *x, x, err));
    HB_TRY(hg_norm(b, *x, HG_T_FFN_NORM, &h, err));
    HB_TRY(hg_feed_forward(b, act, h, HT_NONE, &h, err));
    HB_TRY(hg_norm(b, h, HG_T_FFN_POST_NORM, &h, err));
    return ht_emit_binary(b->g, HT_ADD, h, *x, x, err);
}

hearth_status hg_plain_decoder(struct hg_build *b, enum ht_binary_kind act, hearth_error *err)
{
    struct hg_attn attn = {.window = b->hp.window};
    ht_id x;
    HB_TRY(hg_embed(b, 1, &x, err));
    HB_TRY(hg_rope_table(b, &attn.rope, err));
    for (int32_t i = 0; i < b->hp.n_layers; i++) {
        HB_TRY(hg_layer(b, i, err));
        HB_TRY(hg_plain_layer(b, &attn, act, &x, err));
    }
    return hg_head(b, x, err);
}

hearth_status hg_head(struct hg_build *b, ht_id x, hearth_error *err)
{
    ht_id output = b->t[HG_T_OUTPUT];
    if (output == HT_NONE) /* tied */
        output = b->t[HG_T_TOKEN_EMBD];
    HB_TRY(hg_norm(b, x, HG_T_OUTPUT_NORM, &x, err));
    HB_TRY(ht_emit_matmul(b->g, "output", x, &output, NULL, 1, HT_NONE, 1, &x, err));
    if (b->hp.final_softcap > 0)
        HB_TRY(ht_emit_unary(b->g, HT_SOFTCAP, (float)b->hp.final_softcap, x, &x, err));
    return ht_graph_output(b->g, x, "logits", err);
}

hearth_status hg_window_pattern(struct hg_build *b, int64_t period, bool **windowed,
                                hearth_error *err)
{
    char key[HG_KEY_BYTES];
    const struct hg_meta *m =
        hg_meta_find(b->file, hg_arch_key(b, "attention.sliding_window_pattern", key));
    int64_t n = b->hp.n_layers, v;
    HB_TRY(HB_ARENA_NEW(b->arena, bool, (size_t)n, windowed, err));
    if (m && m->array && m->type == HG_BOOL) {
        if (m->count != (size_t)n)
            return hb_fail(err, HEARTH_E_MISMATCH, "gguf: key %s has %zu elements; %lld, one a layer, "
                           "are required", key, m->count, (long long)n);
        for (int64_t i = 0; i < n; i++)
            (*windowed)[i] = hg_meta_at_int(m, (size_t)i, &v) && v;
        return HEARTH_OK;
    }
    HB_TRY(hg_meta_int(b->file, key, false, 1, INT32_MAX, &period, err));
    for (int64_t i = 0; i < n; i++)
        (*windowed)[i] = i % period != period - 1;
    return HEARTH_OK;
}
