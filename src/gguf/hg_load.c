/* Which architecture, its hyper-parameters, then its build. */
#include "gguf/hg_build.h"
#include "base/hb_check.h"
#include <string.h>

static const struct hg_arch *const load_archs[] = {
#define HG_ARCH(name, text) &hg_arch_##name,
#include "gguf/archs.def"
#undef HG_ARCH
};

const char *hg_arch_key(const struct hg_build *b, const char *key, char *buffer)
{
    hb_format(buffer, HG_KEY_BYTES, "%s.%s", b->arch->name, key);
    return buffer;
}

static hearth_status load_arch(const struct hg_file *file, const struct hg_arch **out,
                               hearth_error *err)
{
    struct hg_text name;
    HB_TRY(hg_meta_string(file, "general.architecture", true, HG_MAX_ARCH_NAME, &name, err));
    for (size_t i = 0; i < HB_COUNT(load_archs); i++)
        if (strlen(load_archs[i]->name) == name.len &&
            memcmp(load_archs[i]->name, name.bytes, name.len) == 0) {
            *out = load_archs[i];
            return HEARTH_OK;
        }
    char known[128];
    size_t len = 0;
    for (size_t i = 0; i < HB_COUNT(load_archs); i++)
        len += hb_format(known + len, sizeof known - len, " %s", load_archs[i]->name);
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "gguf: architecture \"%.*s\"; known:%s", (int)name.len,
                   name.bytes, known);
}

/* ---- hyper-parameters ---- */

/* One pass over the list per kind of row: the layered ones need the number of layers first. */
static hearth_status load_ints(struct hg_build *b, hearth_error *err)
{
    char key[HG_KEY_BYTES];
#define HG_INT(field, name, required, min, max, absent)                                            \
    b->hp.field = (absent);                                                                        \
    HB_TRY(hg_meta_int(b->file, hg_arch_key(b, name, key), required, min, max, &b->hp.field, err));
#define HG_REAL(field, name, required, min, max, absent)
#define HG_LAYERED(field, name, required, min, max)
#include "gguf/hg_params.def"
#undef HG_INT
#undef HG_REAL
#undef HG_LAYERED
    return HEARTH_OK;
}

static hearth_status load_reals(struct hg_build *b, hearth_error *err)
{
    char key[HG_KEY_BYTES];
#define HG_INT(field, name, required, min, max, absent)
#define HG_REAL(field, name, required, min, max, absent)                                           \
    b->hp.field = (absent);                                                                        \
    HB_TRY(hg_meta_real(b->file, hg_arch_key(b, name, key), required, min, max, &b->hp.field, err));
#define HG_LAYERED(field, name, required, min, max)
#include "gguf/hg_params.def"
#undef HG_INT
#undef HG_REAL
#undef HG_LAYERED
    return HEARTH_OK;
}

static hearth_status load_layered(struct hg_build *b, hearth_error *err)
{
    size_t n = (size_t)b->hp.n_layers;
    char key[HG_KEY_BYTES];
#define HG_INT(field, name, required, min, max, absent)
#define HG_REAL(field, name, required, min, max, absent)
#define HG_LAYERED(field, name, required, min, max)                                                \
    HB_TRY(HB_ARENA_NEW(b->arena, int32_t, n, &b->hp.field, err));                                 \
    HB_TRY(hg_meta_ints(b->file, hg_arch_key(b, name, key), required, min, max, n, b->hp.field,    \
                        err));
#include "gguf/hg_params.def"
#undef HG_INT
#undef HG_REAL
#undef HG_LAYERED
    return HEARTH_OK;
}

static hearth_status load_heads(struct hg_build *b, hearth_error *err)
{
    struct hg_hparams *hp = &b->hp;
    for (int64_t i = 0; i < hp->n_layers; i++) {
        if (hp->n_kv_heads[i] == 0)
            hp->n_kv_heads[i] = hp->n_heads[i];
        if (hp->n_heads[i] % hp->n_kv_heads[i])
            return hb_fail(err, HEARTH_E_RANGE,
                           "gguf: key %s.attention.head_count_kv is %d for layer %lld; a divisor of "
                           "head_count %d is required", b->arch->name, (int)hp->n_kv_heads[i],
                           (long long)i, (int)hp->n_heads[i]);
    }
    if (hp->d_k == 0) {
        if (hp->n_embd % hp->n_heads[0] || hp->n_embd / hp->n_heads[0] > HG_MAX_HEAD_DIM)
            return hb_fail(err, HEARTH_E_RANGE,
                           "gguf: key %s.embedding_length is %lld; a multiple of head_count %d, with "
                           "heads of at most %d, is required where key_length is absent",
                           b->arch->name, (long long)hp->n_embd, (int)hp->n_heads[0],
                           HG_MAX_HEAD_DIM);
        hp->d_k = hp->n_embd / hp->n_heads[0];
    }
    if (hp->d_v == 0)
        hp->d_v = hp->d_k;
    if (hp->n_rot == 0)
        hp->n_rot = hp->d_k;
    if (!b->arch->encoder && (hp->n_rot % 2 || hp->n_rot > hp->d_k))
        return hb_fail(err, HEARTH_E_RANGE,
                       "gguf: key %s.rope.dimension_count is %lld; an even number up to the head's %lld "
                       "is required", b->arch->name, (long long)hp->n_rot, (long long)hp->d_k);
    return HEARTH_OK;
}

static hearth_status load_experts(struct hg_build *b, hearth_error *err)
{
    struct hg_hparams *hp = &b->hp;
    if (hp->n_experts > 0 && !b->arch->experts)
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "gguf: architecture %s with a mixture of %lld experts; it is known without",
                       b->arch->name, (long long)hp->n_experts);
    if (hp->n_experts > 0 && (hp->n_experts_used < 1 || hp->n_experts_used > hp->n_experts))
        return hb_fail(err, HEARTH_E_RANGE,
                       "gguf: key %s.expert_used_count is %lld; 1 to %lld, the number of experts, is "
                       "required", b->arch->name, (long long)hp->n_experts_used,
                       (long long)hp->n_experts);
    if (hp->n_ff_expert == 0)
        hp->n_ff_expert = hp->n_ff[0];
    return HEARTH_OK;
}

static hearth_status load_hparams(struct hg_build *b, hearth_error *err)
{
    struct hg_hparams *hp = &b->hp;
    HB_TRY(load_ints(b, err));
    HB_TRY(load_reals(b, err));
    if ((b->arch->encoder ? hp->ln_eps : hp->eps) == 0)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "gguf: key %s.attention.layer_norm_%sepsilon is missing",
                       b->arch->name, b->arch->encoder ? "" : "rms_");
    HB_TRY(load_layered(b, err));
    HB_TRY(load_experts(b, err));
    HB_TRY(load_heads(b, err));
    if (hp->n_ctx > HG_MAX_CONTEXT)
        hp->n_ctx = HG_MAX_CONTEXT;
    if (hp->original_ctx == 0)
        hp->original_ctx = hp->n_ctx;
    return HEARTH_OK;
}

/* Rows of the embedding count, not a key: files with padded vocabularies disagree about keys. */
static hearth_status load_vocab(struct hg_build *b, hearth_error *err)
{
    const struct hg_tensor *t = hg_tensor_find(b->file, "token_embd.weight");
    const struct hg_meta *tokens;
    if (!t)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "gguf: tensor token_embd.weight is missing");
    b->hp.n_vocab = t->dim[0];
    if (t->rank != 2 || b->hp.n_vocab > HG_MAX_VOCAB)
        return hb_fail(err, HEARTH_E_LIMIT,
                       "gguf: tensor token_embd.weight has rank %d and %lld rows; a matrix of at most "
                       "%d rows is required", t->rank, (long long)b->hp.n_vocab, HG_MAX_VOCAB);
    HB_TRY(hg_meta_array(b->file, "tokenizer.ggml.tokens", false, HG_STRING, HG_MAX_VOCAB, &tokens,
                         err));
    if (tokens && tokens->count > (size_t)b->hp.n_vocab)
        return hb_fail(err, HEARTH_E_MISMATCH,
                       "gguf: the vocabulary has %zu tokens and token_embd.weight %lld rows; rows may "
                       "only be more", tokens->count, (long long)b->hp.n_vocab);
    return HEARTH_OK;
}

/* ---- after the build ---- */

/* The block number in "blk.<n>.", -1 for other names. */
static int64_t load_block_number(const char *name)
{
    int64_t n = 0;
    if (strncmp(name, "blk.", 4) != 0 || name[4] < '0' || name[4] > '9')
        return -1;
    for (name += 4; *name >= '0' && *name <= '9'; name++)
        n = n < HG_MAX_LAYERS ? n * 10 + (*name - '0') : n;
    return *name == '.' ? n : -1;
}

/* A block's tensor that was left out would silently change what the model computes. */
static hearth_status load_left_out(const struct hg_build *b, hearth_error *err)
{
    for (size_t i = 0; i < b->file->n_tensors; i++) {
        const char *name = b->file->tensors[i].name;
        int64_t block = b->used[i] ? -1 : load_block_number(name);
        if (block >= b->hp.n_layers)
            return hb_fail(err, HEARTH_E_MISMATCH, "gguf: tensor %s; %s.block_count is %lld", name,
                           b->arch->name, (long long)b->hp.n_layers);
        if (block >= 0 && !strstr(name, ".rope_freqs.") && !strstr(name, ".attn_rot_embd."))
            return hb_fail(err, HEARTH_E_UNSUPPORTED,
                           "gguf: tensor %s is no part of architecture %s as known here", name,
                           b->arch->name);
    }
    return HEARTH_OK;
}

static hearth_status load_shape(struct hg_build *b, hearth_error *err)
{
    struct ht_kv_layer *kv;
    HB_TRY(HB_ARENA_NEW(b->arena, struct ht_kv_layer, (size_t)b->hp.n_layers, &kv, err));
    for (int64_t i = 0; i < b->hp.n_layers; i++)
        kv[i] = (struct ht_kv_layer){b->hp.n_kv_heads[i], (int32_t)b->hp.d_k, (int32_t)b->hp.d_v};
    b->lm->kv = kv;
    b->lm->n_layers = (int32_t)b->hp.n_layers;
    b->lm->n_embd = (int32_t)b->hp.n_embd;
    b->lm->n_heads = b->hp.n_heads[0];
    b->lm->n_kv_heads = b->hp.n_kv_heads[0];
    b->lm->n_vocab = (int32_t)b->hp.n_vocab;
    b->lm->n_ctx_train = (int32_t)b->hp.n_ctx;
    b->lm->n_experts = (int32_t)b->hp.n_experts;
    b->lm->n_experts_used = b->hp.n_experts > 0 ? (int32_t)b->hp.n_experts_used : 0;
    return HEARTH_OK;
}

/* What comes before the graph, of both kinds. */
static hearth_status load_begin(const struct hg_file *file, struct hb_arena *arena, bool encoder,
                                struct hg_build **out, hearth_error *err)
{
    struct hg_build *b;
    HB_TRY(HB_ARENA_NEW(arena, struct hg_build, 1, &b, err));
    b->file = file;
    b->arena = arena;
    HB_TRY(load_arch(file, &b->arch, err));
    if (b->arch->encoder != encoder)
        return hb_fail(err, HEARTH_E_STATE, "gguf: architecture %s %s", b->arch->name,
                       encoder ? "generates text" : "is an encoder");
    HB_TRY(load_hparams(b, err));
    HB_TRY(load_vocab(b, err));
    HB_TRY(HB_ARENA_NEW(arena, bool, file->n_tensors, &b->used, err));
    *out = b;
    return HEARTH_OK;
}

hearth_status hg_load_lm(const struct hg_file *file, struct hb_arena *arena, struct ht_lm *out,
                         hearth_error *err)
{
    struct ht_lm lm = {0};
    struct hg_build *b;
    HB_TRY(load_begin(file, arena, false, &b, err));
    b->lm = &lm;
    b->g = &lm.graph;
    HB_TRY(load_shape(b, err));
    HB_TRY(ht_lm_begin(&lm, arena, err));
    HB_TRY(b->arch->build(b, err));
    HB_TRY(load_left_out(b, err));
    *out = lm;
    return HEARTH_OK;
}

/* ---- encoders ---- */

bool hg_is_encoder(const struct hg_file *file)
{
    const struct hg_arch *arch;
    return load_arch(file, &arch, NULL) == HEARTH_OK && arch->encoder;
}

/* Rows of the table of token types; 0 where there is none. */
static void load_types(struct hg_build *b)
{
    const struct hg_tensor *t = hg_tensor_find(b->file, "token_types.weight");
    b->hp.n_types = t && t->rank == 2 ? t->dim[0] : 0;
}

static hearth_status load_pooling(struct hg_build *b, hearth_pooling *out, hearth_error *err)
{
    static const hearth_pooling kinds[] = {HEARTH_POOL_MEAN, HEARTH_POOL_MEAN, HEARTH_POOL_CLS,
                                           HEARTH_POOL_LAST};
    char key[HG_KEY_BYTES];
    int64_t kind = 0;
    bool causal = false;
    HB_TRY(hg_meta_int(b->file, hg_arch_key(b, "pooling_type", key), false, 0, INT32_MAX, &kind, err));
    if (kind >= (int64_t)HB_COUNT(kinds))
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "gguf: key %s is %lld; none (0), mean (1), cls (2) and last (3) are known", key,
                       (long long)kind);
    HB_TRY(hg_meta_bool(b->file, hg_arch_key(b, "attention.causal", key), false, &causal, err));
    if (causal)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "gguf: key %s is true; false is known", key);
    *out = kinds[kind];
    return HEARTH_OK;
}

static hearth_status load_encoder_inputs(struct hg_build *b, hearth_error *err)
{
    static const char *const names[HG_ENCODER_INPUTS] = {"input_ids", "token_type_ids", "position_ids"};
    static const struct ht_reshape flat = {.rank = 1, .dim = {-1}};
    ht_id *const ids[HG_ENCODER_INPUTS] = {&b->ids, &b->types, &b->positions};
    int64_t dim[2] = {1};
    HB_TRY(ht_graph_symbol(b->g, "tokens", false, &dim[1], err));
    for (int i = 0; i < HG_ENCODER_INPUTS; i++) {
        HB_TRY(ht_graph_input(b->g, names[i], HK_I32, 2, dim, ids[i], err));
        HB_TRY(ht_graph_emit(b->g, &ht_op_reshape, names[i], &flat, ids[i], 1, ids[i], 1, err));
    }
    return HEARTH_OK;
}

hearth_status hg_load_encoder(const struct hg_file *file, struct hb_arena *arena,
                              struct hg_encoder *out, hearth_error *err)
{
    struct hg_build *b;
    HB_TRY(load_begin(file, arena, true, &b, err));
    b->g = &out->graph;
    load_types(b);
    HB_TRY(load_pooling(b, &out->pooling, err));
    HB_TRY(ht_graph_init(b->g, arena, err));
    HB_TRY(load_encoder_inputs(b, err));
    HB_TRY(b->arch->build(b, err));
    HB_TRY(load_left_out(b, err));
    out->n_ctx = (int32_t)b->hp.n_ctx;
    out->n_layers = (int32_t)b->hp.n_layers;
    out->n_embd = (int32_t)b->hp.n_embd;
    out->n_heads = b->hp.n_heads[0];
    return HEARTH_OK;
}

/* ---- facts ---- */

static hearth_status facts_text(const struct hg_file *file, const char *key, size_t max,
                                struct hb_arena *arena, const char **out, hearth_error *err)
{
    struct hg_text t = {"", 0};
    if (hg_meta_string(file, key, false, SIZE_MAX, &t, NULL) != HEARTH_OK)
        t.len = 0; /* of another type: as if absent */
    if (t.len > max)
        for (t.len = max; t.len > 0 && ((unsigned char)t.bytes[t.len] & 0xC0) == 0x80;)
            t.len--; /* not half a character */
    return hb_arena_text(arena, t.bytes, t.len, out, err);
}

hearth_status hg_facts(const struct hg_file *file, struct hb_arena *arena, struct hg_facts *out,
                       hearth_error *err)
{
    struct hg_facts f = {.file_type = ""};
    uint64_t by_type[HK_QTYPE_COUNT] = {0}, most = 0;
    HB_TRY(facts_text(file, "general.architecture", HG_MAX_ARCH_NAME, arena, &f.architecture, err));
    HB_TRY(facts_text(file, "general.name", 255, arena, &f.name, err));
    for (size_t i = 0; i < file->n_tensors; i++) {
        const struct hg_tensor *t = &file->tensors[i];
        uint64_t n = 1;
        for (int j = 0; j < t->rank; j++)
            n *= (uint64_t)t->dim[j];
        by_type[t->type] += n;
        f.n_params += n;
        f.weight_bytes += t->bytes;
    }
    for (int i = 0; i < HK_QTYPE_COUNT; i++)
        if (by_type[i] > most) {
            most = by_type[i];
            f.file_type = hk_qtype_info[i].name;
        }
    *out = f;
    return HEARTH_OK;
}
