/* The gguf room as a loader of the runtime: a vocabulary, and unless only that is wanted, a graph: of a
 * model that generates text, or of an encoder, which is then a graph of tensors like one from ONNX. */
#include "runtime/hr_model.h"
#include "gguf/hg_lm.h"
#include "gguf/hg_vocab.h"

static hearth_status load_gguf_tokenizer(struct hearth_model *m, const struct hg_file *file,
                                         hearth_error *err)
{
    struct hg_vocab vocab;
    HB_TRY(hg_vocab_config(file, &m->arena, &vocab, err));
    m->chat_template = (struct hv_text){vocab.chat_template.bytes, vocab.chat_template.len};
    if (!vocab.present)
        return HEARTH_OK;
    HB_TRY(hv_tokenizer_create(&m->arena, &vocab.config, &m->tokenizer, err));
    m->info.vocab_size = (int32_t)hv_vocab_size(m->tokenizer);
    return HEARTH_OK;
}

#if HEARTH_WITH_TENSORS
static hearth_io_info load_gguf_io(const char *name, hearth_dtype type, int32_t rank, int64_t last)
{
    hearth_io_info io = {.name = name, .type = type, .rank = rank, .dim = {1, -1, last}};
    for (size_t d = 0; d < HB_COUNT(io.symbol); d++)
        io.symbol[d] = d == 1 ? "tokens" : "";
    for (int32_t d = rank; d < (int32_t)HB_COUNT(io.dim); d++)
        io.dim[d] = -1;
    return io;
}

static hearth_status load_gguf_encoder(struct hearth_model *m, const struct hg_file *file,
                                       hearth_error *err)
{
    struct hg_encoder *e;
    hearth_io_info *io;
    HB_TRY(HB_ARENA_NEW(&m->arena, struct hg_encoder, 1, &e, err));
    HB_TRY(hg_load_encoder(file, &m->arena, e, err));
    HB_TRY(HB_ARENA_NEW(&m->arena, hearth_io_info, HG_ENCODER_INPUTS + 1, &io, err));
    for (uint32_t i = 0; i < HG_ENCODER_INPUTS; i++)
        io[i] = load_gguf_io(e->graph.values[e->graph.inputs[i]].name, HEARTH_DTYPE_I32, 2, -1);
    io[HG_ENCODER_INPUTS] = load_gguf_io("last_hidden_state", HEARTH_DTYPE_F32, 3, e->n_embd);
    m->graph = &e->graph;
    m->inputs = io;
    m->outputs = io + HG_ENCODER_INPUTS;
    m->pooling = e->pooling;
    m->info.kind = HEARTH_MODEL_TENSOR;
    m->info.n_ctx_train = e->n_ctx;
    m->info.n_layers = e->n_layers;
    m->info.n_embd = e->n_embd;
    m->info.n_heads = m->info.n_kv_heads = e->n_heads;
    return HEARTH_OK;
}
#else
static hearth_status load_gguf_encoder(struct hearth_model *m, const struct hg_file *file,
                                       hearth_error *err)
{
    (void)file;
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "gguf: %s is an encoder; this build generates text only",
                   m->info.architecture);
}
#endif

static hearth_status load_gguf_open(struct hearth_model *m, const hearth_bytes *files,
                                    size_t n_files, const hearth_model_config *config,
                                    hearth_error *err)
{
    struct hg_file *file;
    struct hg_facts facts;
    if (config->weights != HEARTH_WEIGHTS_STORED)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "weights: a GGUF model computes with the types of its file; ONNX "
                       "models are converted");
    HB_TRY(HB_ARENA_NEW(&m->arena, struct hg_file, 1, &file, err));
    HB_TRY(hg_open(files, n_files, &m->arena, file, err));
    HB_TRY(hg_facts(file, &m->arena, &facts, err));
    m->file = file;
    m->info.architecture = facts.architecture;
    m->info.name = facts.name;
    m->info.file_type = facts.file_type;
    m->info.n_params = facts.n_params;
    m->info.weight_bytes = facts.weight_bytes;
    HB_TRY(load_gguf_tokenizer(m, file, err));
    if (config->flags & HEARTH_MODEL_VOCAB_ONLY) {
        m->info.kind = HEARTH_MODEL_VOCAB;
        return HEARTH_OK;
    }
    if (hg_is_encoder(file))
        return load_gguf_encoder(m, file, err);
    HB_TRY(hg_load_lm(file, &m->arena, &m->lm, err));
    m->info.kind = HEARTH_MODEL_GENERATIVE;
    m->info.vocab_size = m->lm.n_vocab; /* rows of logits: some may have no token */
    m->info.n_ctx_train = m->lm.n_ctx_train;
    m->info.n_layers = m->lm.n_layers;
    m->info.n_embd = m->lm.n_embd;
    m->info.n_heads = m->lm.n_heads;
    m->info.n_kv_heads = m->lm.n_kv_heads;
    m->info.n_experts = m->lm.n_experts;
    m->info.n_experts_used = m->lm.n_experts_used;
    return HEARTH_OK;
}

static size_t load_gguf_tensor_count(const struct hearth_model *m)
{
    return ((const struct hg_file *)m->file)->n_tensors;
}

static void load_gguf_tensor(const struct hearth_model *m, size_t i, hearth_tensor_info *info)
{
    const struct hg_tensor *t = &((const struct hg_file *)m->file)->tensors[i];
    info->name = t->name;
    info->type = hk_qtype_info[t->type].name;
    info->rank = t->rank;
    info->bytes = t->bytes;
    for (int j = 0; j < t->rank; j++)
        info->dim[j] = t->dim[j];
}

static size_t load_gguf_meta_count(const struct hearth_model *m)
{
    return ((const struct hg_file *)m->file)->meta.n;
}

static void load_gguf_meta(const struct hearth_model *m, size_t i, const char **key, char *text,
                           size_t size)
{
    const struct hg_meta *meta = &((const struct hg_file *)m->file)->meta.at[i];
    *key = meta->key;
    hg_meta_print(meta, text, size);
}

const struct hr_loader hr_loader_gguf = {
    .name = "gguf",
    .off_flag = HEARTH_MODEL_NO_GGUF,
    .probe = hg_is_gguf,
    .open = load_gguf_open,
    .tensor_count = load_gguf_tensor_count,
    .tensor = load_gguf_tensor,
    .meta_count = load_gguf_meta_count,
    .meta = load_gguf_meta,
};
