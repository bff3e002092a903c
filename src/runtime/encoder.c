/* Encoders: text ──► ids ──► the graph's inputs ──► session ──► pooling.
 *
 * A text is one run with batch 1. Where the graph declares a fixed number of tokens the ids are padded
 * to it behind a mask of zeros; else nothing is padded. */
#include "runtime/hr_memory.h"
#include "runtime/hr_tokenizer.h"
#include "base/hb_check.h"
#include "base/hb_math.h"
#include <string.h>

#define ENCODER_INPUTS  8
#define ENCODER_OUTPUTS 64

enum encoder_role { ENCODER_IDS, ENCODER_MASK, ENCODER_TYPES, ENCODER_POSITIONS };

struct encoder_input {
    const char *name;
    enum encoder_role role;
    hearth_dtype type;
};

struct hearth_encoder {
    struct hb_alloc hooks;
    hearth_encoder_config config;
    const hearth_model *model;
    struct encoder_input inputs[ENCODER_INPUTS];
    size_t n_inputs, n_outputs;
    int32_t max_tokens;   /* 0: not known */
    int32_t fixed_tokens; /* what the graph declares, 0: any number */
    int32_t pad_id;
    bool has_mask;
    hearth_pooling pooling;
    struct hb_arena scratch; /* of the call; kept for the next one */
    float *values;
    size_t capacity;
};

/* ---- what the graph asks for */

static bool encoder_has(const char *name, const char *part)
{
    return strstr(name, part) != NULL;
}

static hearth_status encoder_role(const char *name, enum encoder_role *role, hearth_error *err)
{
    if (encoder_has(name, "mask"))
        *role = ENCODER_MASK;
    else if (encoder_has(name, "type") || encoder_has(name, "segment"))
        *role = ENCODER_TYPES;
    else if (encoder_has(name, "position"))
        *role = ENCODER_POSITIONS;
    else if (encoder_has(name, "ids") || strcmp(name, "input") == 0 || strcmp(name, "tokens") == 0)
        *role = ENCODER_IDS;
    else
        return hb_fail(err, HEARTH_E_NOT_FOUND,
                       "encoder: the graph asks for '%s'; input_ids, attention_mask, token_type_ids and "
                       "position_ids can be made from text", name);
    return HEARTH_OK;
}

static hearth_status encoder_input(struct hearth_encoder *e, size_t i, hearth_error *err)
{
    hearth_io_info io = {.struct_size = sizeof io};
    struct encoder_input *in = &e->inputs[i];
    HB_TRY(hearth_model_input(e->model, i, &io, err));
    in->name = io.name;
    in->type = io.type;
    HB_TRY(encoder_role(io.name, &in->role, err));
    if (io.type != HEARTH_DTYPE_I64 && io.type != HEARTH_DTYPE_I32 && io.type != HEARTH_DTYPE_F32)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "encoder: input '%s' is %s; i64, i32 and f32 are known",
                       io.name, hearth_dtype_name(io.type));
    if (io.rank >= 0 && io.rank != 2)
        return hb_fail(err, HEARTH_E_MISMATCH, "encoder: input '%s' has rank %d; [batch][tokens] is "
                       "expected", io.name, io.rank);
    if (io.rank == 2 && io.dim[0] > 1)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "encoder: input '%s' has a fixed batch of %lld; 1 or "
                       "any is accepted", io.name, (long long)io.dim[0]);
    if (io.rank == 2 && io.dim[1] > 0 && io.dim[1] <= INT32_MAX)
        e->fixed_tokens = (int32_t)io.dim[1];
    e->has_mask = e->has_mask || in->role == ENCODER_MASK;
    return HEARTH_OK;
}

static hearth_status encoder_inputs(struct hearth_encoder *e, hearth_error *err)
{
    bool has_ids = false;
    e->n_inputs = hearth_model_input_count(e->model);
    e->n_outputs = hearth_model_output_count(e->model);
    if (e->n_inputs == 0 || e->n_inputs > ENCODER_INPUTS || e->n_outputs > ENCODER_OUTPUTS)
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "encoder: a graph of %zu inputs and %zu outputs; 1 to %d and up to %d are accepted",
                       e->n_inputs, e->n_outputs, ENCODER_INPUTS, ENCODER_OUTPUTS);
    for (size_t i = 0; i < e->n_inputs; i++) {
        HB_TRY(encoder_input(e, i, err));
        has_ids = has_ids || e->inputs[i].role == ENCODER_IDS;
    }
    if (!has_ids)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "encoder: the graph has no input of token ids");
    if (e->fixed_tokens && !e->has_mask)
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "encoder: the graph takes %d tokens, always, and no mask", e->fixed_tokens);
    return HEARTH_OK;
}

/* Rows of the table of positions: a fact of GGUF files, else told by its name; some tables begin with
 * two unused rows. */
static int32_t encoder_positions(const hearth_model *model)
{
    if (model->info.n_ctx_train)
        return model->info.n_ctx_train;
    size_t n = hearth_model_tensor_count(model);
    for (size_t i = 0; i < n; i++) {
        hearth_tensor_info t = {.struct_size = sizeof t};
        if (hearth_model_tensor(model, i, &t, NULL) != HEARTH_OK || t.rank != 2 ||
            !encoder_has(t.name, "position_embeddings") || t.dim[0] < 3 || t.dim[0] > INT32_MAX)
            continue;
        return (int32_t)(t.dim[0] % 64 == 2 ? t.dim[0] - 2 : t.dim[0]);
    }
    return 0;
}

static int32_t encoder_least(int32_t a, int64_t b)
{
    return b > 0 && b <= INT32_MAX && (a == 0 || b < a) ? (int32_t)b : a;
}

static int32_t encoder_pad_id(const struct hv_pipe *pipe)
{
    static const char *const names[] = {"[PAD]", "<pad>"};
    const struct hv_text *t;
    for (size_t k = 0; k < HB_COUNT(names); k++)
        for (int32_t id = 0; (t = hv_pipe_token(pipe, id)) != NULL; id++)
            if (t->len == strlen(names[k]) && memcmp(t->bytes, names[k], t->len) == 0)
                return id;
    return 0;
}

hearth_status hearth_encoder_open(const hearth_encoder_config *config, hearth_encoder **encoder,
                                  hearth_error *err)
{
    struct hb_alloc hooks;
    hearth_encoder_config c = {0};
    if (!config || config->struct_size < 4)
        return hb_fail(err, HEARTH_E_ARGUMENT, "encoder: no config was given");
    memcpy(&c, config, config->struct_size < sizeof c ? config->struct_size : sizeof c);
    if (!c.session || (unsigned)c.pooling > HEARTH_POOL_LAST || c.max_tokens < 0)
        return hb_fail(err, HEARTH_E_ARGUMENT,
                       "encoder: a session, a known pooling and a limit >= 0 are needed");
    if (!c.tokenizer && !hr_session_model(c.session)->tokenizer)
        return hb_fail(err, HEARTH_E_ARGUMENT,
                       "encoder: no tokenizer was given, and the model has none of its own");
    HB_TRY(hr_memory_hooks(c.memory, &c.allocator, &hooks, err));
    hearth_encoder *e = hooks.alloc(hooks.user, sizeof *e);
    if (!e)
        return hb_fail(err, HEARTH_E_MEMORY, "encoder: the allocator refused %zu bytes", sizeof *e);
    *e = (struct hearth_encoder){.hooks = hooks, .config = c, .model = hr_session_model(c.session),
                                 .pooling = c.pooling};
    hb_arena_init_growing(&e->scratch, &e->hooks);
    if (e->pooling == HEARTH_POOL_MODEL)
        e->pooling = e->model->pooling != HEARTH_POOL_MODEL ? e->model->pooling : HEARTH_POOL_MEAN;
    hearth_status status = encoder_inputs(e, err);
    if (status != HEARTH_OK) {
        hearth_encoder_close(e);
        return status;
    }
    int64_t wish = c.tokenizer ? (int64_t)hv_pipe_max_ids(c.tokenizer->pipe) : 0;
    e->max_tokens = encoder_least(encoder_least(encoder_positions(e->model), e->fixed_tokens),
                                  c.max_tokens ? c.max_tokens : wish);
    e->pad_id = e->fixed_tokens && c.tokenizer ? encoder_pad_id(c.tokenizer->pipe) : 0;
    *encoder = e;
    return HEARTH_OK;
}

void hearth_encoder_close(hearth_encoder *e)
{
    if (!e)
        return;
    struct hb_alloc hooks = e->hooks;
    hb_arena_release(&e->scratch);
    if (e->values)
        hooks.free(hooks.user, e->values, e->capacity * sizeof *e->values);
    hooks.free(hooks.user, e, sizeof *e);
}

int32_t hearth_encoder_max_tokens(const hearth_encoder *e)
{
    return e->max_tokens;
}

/* ---- one text */

/* What the tokenizer puts behind a text, at most one id: it stays when a text is cut. */
static bool encoder_has_tail(const struct hv_tokenizer *tok, const struct hv_encoding *ids)
{
    int32_t empty[4];
    size_t n = 0;
    if (hv_encode(tok, "", 0, HV_ADD_SPECIAL, NULL, 0, empty, HB_COUNT(empty), &n, NULL) != HEARTH_OK)
        return false;
    return n > (hv_adds_bos(tok) ? 1u : 0u) && ids->n > 0 && ids->ids[ids->n - 1] == empty[n - 1];
}

/* The model's own tokenizer: ids without types. */
static hearth_status encoder_own_tokens(struct hearth_encoder *e, const char *text, size_t len,
                                        size_t cut, struct hv_encoding *ids, hearth_error *err)
{
    const struct hv_tokenizer *tok = e->model->tokenizer;
    size_t bytes = hv_encode_scratch_for(tok, text, len, HV_ADD_SPECIAL);
    size_t most = hv_encode_max_ids(tok, len);
    void *scratch;
    if (bytes == SIZE_MAX)
        return hb_fail(err, HEARTH_E_LIMIT, "text: %zu bytes; at most %zu are accepted", len, HV_MAX_TEXT);
    HB_TRY(hb_arena_take_raw(&e->scratch, bytes, 64, &scratch, err));
    HB_TRY(HB_ARENA_NEW(&e->scratch, int32_t, most, &ids->ids, err));
    HB_TRY(hv_encode(tok, text, len, HV_ADD_SPECIAL, scratch, bytes, ids->ids, most, &ids->n, err));
    ids->n_all = ids->n;
    if (cut && ids->n > cut) {
        if (encoder_has_tail(tok, ids))
            ids->ids[cut - 1] = ids->ids[ids->n - 1];
        ids->n = cut;
    }
    return HB_ARENA_NEW(&e->scratch, int32_t, ids->n, &ids->types, err);
}

static hearth_status encoder_tokenize(struct hearth_encoder *e, const char *text, size_t len,
                                      struct hv_encoding *ids, hearth_error *err)
{
    size_t cut = e->config.truncate ? (size_t)e->max_tokens : 0;
    if (e->config.tokenizer)
        HB_TRY(hv_pipe_encode(e->config.tokenizer->pipe, text, len, HV_ADD_SPECIAL, cut, &e->scratch,
                              ids, err));
    else
        HB_TRY(encoder_own_tokens(e, text, len, cut, ids, err));
    if (ids->n == 0)
        return hb_fail(err, HEARTH_E_RANGE, "text: it has no tokens; at least one is needed");
    if (e->max_tokens && ids->n > (size_t)e->max_tokens)
        return hb_fail(err, HEARTH_E_LIMIT, "text: %zu tokens; the model takes %d", ids->n,
                       e->max_tokens);
    return HEARTH_OK;
}

static int32_t encoder_value(const struct hearth_encoder *e, enum encoder_role role,
                             const struct hv_encoding *ids, size_t i)
{
    bool inside = i < ids->n;
    switch (role) {
    case ENCODER_IDS:
        return inside ? ids->ids[i] : e->pad_id;
    case ENCODER_MASK:
        return inside;
    case ENCODER_TYPES:
        return inside ? ids->types[i] : 0;
    default:
        return (int32_t)i;
    }
}

static hearth_status encoder_fill(struct hearth_encoder *e, const struct encoder_input *in,
                                  const struct hv_encoding *ids, size_t n, hearth_tensor *out,
                                  hearth_error *err)
{
    void *data;
    size_t width = hearth_dtype_size(in->type);
    HB_TRY(hb_arena_take_array(&e->scratch, n, width, 64, &data, err));
    for (size_t i = 0; i < n; i++) {
        int32_t value = encoder_value(e, in->role, ids, i);
        if (in->type == HEARTH_DTYPE_I64)
            ((int64_t *)data)[i] = value;
        else if (in->type == HEARTH_DTYPE_I32)
            ((int32_t *)data)[i] = value;
        else
            ((float *)data)[i] = (float)value;
    }
    *out = (hearth_tensor){.name = in->name, .type = in->type, .rank = 2, .dim = {1, (int64_t)n},
                           .data = data, .bytes = n * width};
    return HEARTH_OK;
}

/* Text to outputs; they stay in the session. */
static hearth_status encoder_run(struct hearth_encoder *e, const char *text, size_t len,
                                 struct hv_encoding *ids, hearth_tensor *outputs, hearth_error *err)
{
    hearth_tensor inputs[ENCODER_INPUTS];
    hb_arena_clear(&e->scratch);
    HB_TRY(encoder_tokenize(e, text, len, ids, err));
    size_t n = e->fixed_tokens ? (size_t)e->fixed_tokens : ids->n;
    for (size_t i = 0; i < e->n_inputs; i++)
        HB_TRY(encoder_fill(e, &e->inputs[i], ids, n, &inputs[i], err));
    return hearth_session_infer(e->config.session, inputs, e->n_inputs, outputs, e->n_outputs, err);
}

static hearth_status encoder_room(struct hearth_encoder *e, size_t n, hearth_error *err)
{
    size_t bytes;
    if (n <= e->capacity)
        return HEARTH_OK;
    if (!hb_mul_size(n, sizeof *e->values, &bytes))
        return hb_fail(err, HEARTH_E_LIMIT, "encoder: an output of %zu numbers", n);
    float *bigger = e->hooks.alloc(e->hooks.user, bytes);
    if (!bigger)
        return hb_fail(err, HEARTH_E_MEMORY, "encoder: the allocator refused %zu bytes", bytes);
    if (e->values)
        e->hooks.free(e->hooks.user, e->values, e->capacity * sizeof *e->values);
    e->values = bigger;
    e->capacity = n;
    return HEARTH_OK;
}

static hearth_status encoder_give(const struct hearth_encoder *e, size_t n,
                                  const struct hv_encoding *ids, hearth_encoding *out,
                                  hearth_error *err)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &e->values[i], sizeof bits);
        if ((bits & 0x7F800000u) == 0x7F800000u)
            return hb_fail(err, HEARTH_E_NUMERIC, "encoder: number %zu of the result is not finite", i);
    }
    hearth_encoding full = {out->struct_size, e->values, n, (int32_t)ids->n, ids->n_all > ids->n};
    memcpy(out, &full, out->struct_size < sizeof full ? out->struct_size : sizeof full);
    return HEARTH_OK;
}

/* The first output of floats with this rank and one item; NULL if there is none. */
static const hearth_tensor *encoder_output(const hearth_tensor *outputs, size_t n, int32_t rank)
{
    for (size_t i = 0; i < n; i++)
        if (outputs[i].type == HEARTH_DTYPE_F32 && outputs[i].rank == rank && outputs[i].dim[0] == 1)
            return &outputs[i];
    return NULL;
}

static hearth_status encoder_no_output(const char *what, hearth_error *err)
{
    return hb_fail(err, HEARTH_E_NOT_FOUND, "encoder: the graph has no output of shape %s in f32", what);
}

static hearth_status encoder_logits(struct hearth_encoder *e, const hearth_tensor *outputs, size_t *n,
                                    hearth_error *err)
{
    const hearth_tensor *t = encoder_output(outputs, e->n_outputs, 2);
    if (!t || t->dim[1] == 0)
        return encoder_no_output("[1][labels]", err);
    *n = (size_t)t->dim[1];
    HB_TRY(encoder_room(e, *n, err));
    memcpy(e->values, t->data, *n * sizeof *e->values);
    return HEARTH_OK;
}

/* ---- pooling */

static void encoder_pool(const struct hearth_encoder *e, const float *x, size_t n_tokens, size_t size)
{
    size_t row = e->pooling == HEARTH_POOL_LAST ? n_tokens - 1 : 0;
    if (e->pooling != HEARTH_POOL_MEAN) {
        memcpy(e->values, x + row * size, size * sizeof *x);
        return;
    }
    for (size_t d = 0; d < size; d++) {
        double sum = 0;
        for (size_t t = 0; t < n_tokens; t++)
            sum += (double)x[t * size + d];
        e->values[d] = (float)(sum / (double)n_tokens);
    }
}

static void encoder_normalize(float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    if (!(sum > 0) || sum > 1e300)
        return; /* zeros stay zeros; what is not finite is reported */
    double scale = 1 / hb_sqrt(sum);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] * scale);
}

static hearth_status encoder_pooled(struct hearth_encoder *e, const hearth_tensor *outputs,
                                    const struct hv_encoding *ids, size_t *n, hearth_error *err)
{
    const hearth_tensor *t = encoder_output(outputs, e->n_outputs, 3);
    const hearth_tensor *ready = encoder_output(outputs, e->n_outputs, 2);
    if (t && (size_t)t->dim[1] >= ids->n && t->dim[2] > 0) {
        *n = (size_t)t->dim[2];
        HB_TRY(encoder_room(e, *n, err));
        encoder_pool(e, t->data, ids->n, *n);
    } else if (ready && ready->dim[1] > 0) {
        *n = (size_t)ready->dim[1];
        HB_TRY(encoder_room(e, *n, err));
        memcpy(e->values, ready->data, *n * sizeof *e->values);
    } else {
        return encoder_no_output("[1][tokens][size] or [1][size]", err);
    }
    if (!e->config.no_normalize)
        encoder_normalize(e->values, *n);
    return HEARTH_OK;
}

/* ---- the two jobs */

static hearth_status encoder_encode(struct hearth_encoder *e, bool embed, const char *text, size_t len,
                                    hearth_encoding *out, hearth_error *err)
{
    hearth_tensor outputs[ENCODER_OUTPUTS];
    struct hv_encoding ids;
    size_t n = 0;
    if (!e || (!text && len) || !out || out->struct_size < 4)
        return hb_fail(err, HEARTH_E_ARGUMENT, "encoder: an encoder, a text and a result are needed");
    HB_TRY(encoder_run(e, text, len, &ids, outputs, err));
    HB_TRY(embed ? encoder_pooled(e, outputs, &ids, &n, err) : encoder_logits(e, outputs, &n, err));
    return encoder_give(e, n, &ids, out, err);
}

hearth_status hearth_encoder_classify(hearth_encoder *encoder, const char *text, size_t text_len,
                                      hearth_encoding *encoding, hearth_error *err)
{
    return encoder_encode(encoder, false, text, text_len, encoding, err);
}

hearth_status hearth_encoder_embed(hearth_encoder *encoder, const char *text, size_t text_len,
                                   hearth_encoding *encoding, hearth_error *err)
{
    return encoder_encode(encoder, true, text, text_len, encoding, err);
}
