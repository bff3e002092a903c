/* A whole llama of one layer in some 10 KB, written from two lists, with patches: a key or a tensor
 * record may be left out, given twice, or written as the test says. */
#ifndef TOY_GGUF_H
#define TOY_GGUF_H

#include "gguf_writer.h"

enum { TOY_EMBD = 32, TOY_VOCAB = 8, TOY_Q8_0 = 8, TOY_F32 = 0 };

enum toy_how { TOY_KEEP, TOY_DROP, TOY_TWICE, TOY_WRITE };

struct toy_patch {
    const char *name; /* of the key or tensor; NULL: nothing is patched */
    enum toy_how how;
    void (*write)(struct gw *w, uint64_t a); /* TOY_WRITE: the record behind the name */
    uint64_t a;
    void (*extra)(struct gw *w, uint64_t a); /* `n_extra` more keys at the end */
    uint64_t n_extra;
    const char *extra_tensor; /* 8 f32 of this name */
    float fill;  /* of all f32 vectors; 0: 1 */
    bool nan_scale; /* first block of every q8_0 tensor has a NaN scale */
};

struct toy_tensor {
    const char *name;
    uint32_t rank, type;
    uint64_t dim[2]; /* fastest first */
};

static const struct toy_tensor toy_tensors[] = {
    {"token_embd.weight", 2, TOY_Q8_0, {32, TOY_VOCAB}},
    {"output_norm.weight", 1, TOY_F32, {32}},
    {"blk.0.attn_norm.weight", 1, TOY_F32, {32}},
    {"blk.0.attn_q.weight", 2, TOY_Q8_0, {32, 32}},
    {"blk.0.attn_k.weight", 2, TOY_Q8_0, {32, 16}},
    {"blk.0.attn_v.weight", 2, TOY_Q8_0, {32, 16}},
    {"blk.0.attn_output.weight", 2, TOY_Q8_0, {32, 32}},
    {"blk.0.ffn_norm.weight", 1, TOY_F32, {32}},
    {"blk.0.ffn_gate.weight", 2, TOY_Q8_0, {32, 32}},
    {"blk.0.ffn_up.weight", 2, TOY_Q8_0, {32, 32}},
    {"blk.0.ffn_down.weight", 2, TOY_Q8_0, {32, 32}},
};

static const char *const toy_tokens[TOY_VOCAB] = {"<unk>", "<s>", "</s>", "a", "b", "ab", "c", "d"};

static const struct toy_key {
    const char *key;
    uint32_t type;
    uint32_t u;
    float f;
    const char *s;
} toy_keys[] = {
    {"general.architecture", HG_STRING, 0, 0, "llama"},
    {"general.name", HG_STRING, 0, 0, "toy"},
    {"general.alignment", HG_U32, 32, 0, NULL},
    {"llama.context_length", HG_U32, 64, 0, NULL},
    {"llama.embedding_length", HG_U32, 32, 0, NULL},
    {"llama.block_count", HG_U32, 1, 0, NULL},
    {"llama.feed_forward_length", HG_U32, 32, 0, NULL},
    {"llama.attention.head_count", HG_U32, 2, 0, NULL},
    {"llama.attention.head_count_kv", HG_U32, 1, 0, NULL},
    {"llama.attention.layer_norm_rms_epsilon", HG_F32, 0, 1e-5f, NULL},
    {"llama.rope.freq_base", HG_F32, 0, 10000, NULL},
    {"llama.rope.dimension_count", HG_U32, 16, 0, NULL},
    {"llama.rope.scaling.type", HG_STRING, 0, 0, "linear"},
    {"llama.rope.scaling.factor", HG_F32, 0, 2, NULL},
    {"tokenizer.ggml.model", HG_STRING, 0, 0, "gpt2"},
    {"tokenizer.ggml.pre", HG_STRING, 0, 0, "gpt-2"},
    {"tokenizer.ggml.tokens", HG_ARRAY, 0, 0, NULL},
    {"tokenizer.ggml.token_type", HG_ARRAY, 1, 0, NULL},
    {"tokenizer.ggml.scores", HG_ARRAY, 2, 0, NULL},
    {"tokenizer.ggml.merges", HG_ARRAY, 3, 0, NULL},
    {"tokenizer.ggml.bos_token_id", HG_U32, 1, 0, NULL},
    {"tokenizer.ggml.eos_token_id", HG_U32, 2, 0, NULL},
    {"tokenizer.ggml.unknown_token_id", HG_U32, 0, 0, NULL},
    {"tokenizer.ggml.padding_token_id", HG_U32, 0, 0, NULL},
    {"tokenizer.chat_template", HG_STRING, 0, 0, "{{ messages[0].content }}"},
};

static inline void toy_array(struct gw *w, uint32_t which)
{
    static const int32_t types[TOY_VOCAB] = {2, 3, 3, 1, 1, 1, 1, 1};
    gw_u32(w, which == 1 ? HG_I32 : which == 2 ? HG_F32 : HG_STRING);
    gw_u64(w, which == 3 ? 1 : TOY_VOCAB);
    for (uint32_t i = 0; which == 0 && i < TOY_VOCAB; i++)
        gw_text(w, toy_tokens[i]);
    for (uint32_t i = 0; which == 1 && i < TOY_VOCAB; i++)
        gw_u32(w, (uint32_t)types[i]);
    for (uint32_t i = 0; which == 2 && i < TOY_VOCAB; i++)
        gw_f32(w, -(float)i);
    if (which == 3)
        gw_text(w, "a b");
}

static inline void toy_key(struct gw *w, const struct toy_key *k)
{
    gw_key(w, k->key, k->type);
    if (k->type == HG_STRING)
        gw_text(w, k->s);
    else if (k->type == HG_U32)
        gw_u32(w, k->u);
    else if (k->type == HG_F32)
        gw_f32(w, k->f);
    else
        toy_array(w, k->u);
}

static inline size_t toy_bytes(const struct toy_tensor *t)
{
    size_t n = (size_t)t->dim[0] * (size_t)(t->rank == 2 ? t->dim[1] : 1);
    return t->type == TOY_F32 ? 4 * n : n / 32 * 34;
}

/* 0, 1 or 2 times, or as the patch writes it. */
static inline int toy_times(const struct toy_patch *p, const char *name)
{
    if (!p->name || strcmp(p->name, name) != 0)
        return 1;
    return p->how == TOY_DROP ? 0 : p->how == TOY_TWICE ? 2 : 1;
}

static inline bool toy_writes(const struct toy_patch *p, const char *name)
{
    return p->name && p->how == TOY_WRITE && strcmp(p->name, name) == 0;
}

/* Bytes of the data section for one tensor: more where a patch may need them. */
static inline size_t toy_room(const struct toy_patch *p, const struct toy_tensor *t)
{
    return (toy_bytes(t) + (toy_writes(p, t->name) ? 2048 : 0) + 31) / 32 * 32;
}

static inline void toy_data(struct gw *w, const struct toy_tensor *t, const struct toy_patch *p,
                            uint64_t *seed)
{
    size_t n = toy_bytes(t);
    if (t->type == TOY_F32) {
        for (size_t i = 0; i < n / 4; i++)
            gw_f32(w, p->fill != 0 ? p->fill : 1);
        return;
    }
    for (size_t i = 0; i < n / 34; i++) {
        gw_int(w, p->nan_scale && i == 0 ? 0x7E00 : 0x1C00, 2); /* 1/256 */
        for (int j = 0; j < 4; j++)
            gw_u64(w, test_rand(seed));
    }
}

static inline void toy_write(struct gw *w, const struct toy_patch *p)
{
    uint64_t n_meta = p->n_extra, n_tensors = 0, offset = 0, seed = 5;
    for (size_t i = 0; i < HB_COUNT(toy_keys); i++)
        n_meta += (uint64_t)toy_times(p, toy_keys[i].key);
    for (size_t i = 0; i < HB_COUNT(toy_tensors); i++)
        n_tensors += (uint64_t)toy_times(p, toy_tensors[i].name);
    gw_header(w, 3, n_tensors + (p->extra_tensor != NULL), n_meta);
    for (size_t i = 0; i < HB_COUNT(toy_keys); i++) {
        for (int k = toy_times(p, toy_keys[i].key); k > 0; k--) {
            if (toy_writes(p, toy_keys[i].key)) {
                gw_text(w, toy_keys[i].key);
                p->write(w, p->a);
            } else {
                toy_key(w, &toy_keys[i]);
            }
        }
    }
    for (uint64_t i = 0; i < p->n_extra; i++)
        p->extra(w, i);
    for (size_t i = 0; i < HB_COUNT(toy_tensors); i++) {
        const struct toy_tensor *t = &toy_tensors[i];
        for (int k = toy_times(p, t->name); k > 0; k--) {
            if (toy_writes(p, t->name)) {
                gw_text(w, t->name);
                p->write(w, p->a);
                gw_u64(w, offset);
            } else {
                gw_tensor(w, t->name, t->rank, t->dim, t->type, offset);
            }
            offset += toy_room(p, t);
        }
    }
    const uint64_t extra_dim[1] = {8};
    if (p->extra_tensor)
        gw_tensor(w, p->extra_tensor, 1, extra_dim, TOY_F32, offset);
    gw_pad(w, 32);
    for (size_t i = 0; i < HB_COUNT(toy_tensors); i++)
        for (int k = toy_times(p, toy_tensors[i].name); k > 0; k--) {
            size_t end = w->len + toy_room(p, &toy_tensors[i]);
            toy_data(w, &toy_tensors[i], p, &seed);
            while (w->len < end)
                gw_int(w, 0, 1);
        }
    for (int i = 0; p->extra_tensor && i < 8; i++)
        gw_f32(w, 0);
}

/* Open, plan, and run one token through hearth.h, all memory from one counting heap. */
enum toy_stage { TOY_OPEN, TOY_PLAN, TOY_RUN, TOY_DONE };

static inline enum toy_stage toy_through(const void *bytes, size_t n, struct gw_heap *heap,
                                         hearth_status *status, hearth_error *err)
{
    const hearth_allocator hooks = {gw_alloc, gw_heap_free, heap};
    const hearth_model_config mc = {.struct_size = sizeof mc, .allocator = hooks};
    const hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 16, .n_batch = 4,
                                      .max_bytes = 64u << 20, .allocator = hooks};
    hearth_bytes part = {bytes, n};
    hearth_model *model;
    hearth_session *session;
    const int32_t token = 3;
    *err = (hearth_error){0};
    *status = hearth_model_open(&part, 1, &mc, &model, err);
    if (*status != HEARTH_OK)
        return TOY_OPEN;
    enum toy_stage stage = TOY_PLAN;
    *status = hearth_session_open(model, &sc, &session, err);
    if (*status == HEARTH_OK) {
        const hearth_item item = {token, 0, 1};
        stage = TOY_RUN;
        *status = hearth_session_step(session, &item, 1, err);
        if (*status == HEARTH_OK)
            stage = TOY_DONE;
        hearth_session_close(session);
    }
    hearth_model_close(model);
    return stage;
}

#endif
