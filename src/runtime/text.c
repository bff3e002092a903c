/* Text and tokens: the tokenizer room behind the public names. */
#include "runtime/hr_model.h"
#include <string.h>

static hearth_status text_tokenizer(const hearth_model *model, struct hv_tokenizer **tok,
                                    hearth_error *err)
{
    if (!model->tokenizer)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "model: it has no tokenizer");
    *tok = model->tokenizer;
    return HEARTH_OK;
}

hearth_status hearth_tokenize(const hearth_model *model, const char *text, size_t text_len,
                              uint32_t flags, int32_t *tokens, size_t capacity, size_t *n,
                              hearth_error *err)
{
    return hearth_tokenize_marked(model, text, NULL, text_len, flags, tokens, capacity, n, err);
}

hearth_status hearth_tokenize_marked(const hearth_model *model, const char *text,
                                     const uint8_t *marks, size_t text_len, uint32_t flags,
                                     int32_t *tokens, size_t capacity, size_t *n, hearth_error *err)
{
    struct hv_tokenizer *tok = NULL;
    HB_TRY(text_tokenizer(model, &tok, err));
    uint32_t f = (flags & HEARTH_TOKENIZE_SPECIAL ? HV_ADD_SPECIAL : 0) |
                 (flags & HEARTH_TOKENIZE_PARSE_SPECIAL ? HV_PARSE_SPECIAL : 0) |
                 (flags & HEARTH_TOKENIZE_CONTINUES ? HV_NO_PREFIX : 0);
    /* only a very long word needs scratch, so it is asked for when one was met */
    hearth_status status =
        hv_encode_marked(tok, text, marks, text_len, f, NULL, 0, tokens, capacity, n, err);
    if (status != HEARTH_E_MEMORY)
        return status;
    size_t need = hv_encode_scratch_marked(tok, text, marks, text_len, f);
    struct hb_alloc hooks = model->hooks;
    if (!hooks.alloc)
        HB_TRY(hr_hooks(NULL, &hooks, err));
    void *scratch = hooks.alloc(hooks.user, need);
    if (!scratch)
        return hb_fail(err, HEARTH_E_MEMORY, "text: the allocator refused %zu bytes", need);
    status = hv_encode_marked(tok, text, marks, text_len, f, scratch, need, tokens, capacity, n, err);
    hooks.free(hooks.user, scratch, need);
    return status;
}

hearth_status hearth_token_bytes(const hearth_model *model, int32_t token, int special,
                                 const char **bytes, size_t *len, hearth_error *err)
{
    struct hv_tokenizer *tok = NULL;
    HB_TRY(text_tokenizer(model, &tok, err));
    return hv_piece(tok, token, special ? HV_RENDER_SPECIAL : 0, bytes, len, err);
}

int32_t hearth_token_bos(const hearth_model *model)
{
    return model->tokenizer ? hv_special_id(model->tokenizer, HV_ID_BOS) : -1;
}

int32_t hearth_token_eos(const hearth_model *model)
{
    return model->tokenizer ? hv_special_id(model->tokenizer, HV_ID_EOS) : -1;
}

int hearth_token_is_end(const hearth_model *model, int32_t token)
{
    return model->tokenizer && hv_is_eog(model->tokenizer, token);
}

_Static_assert(sizeof(struct hv_stream) <= sizeof(hearth_detokenizer), "the stream fits");

hearth_status hearth_detokenize(const hearth_model *model, hearth_detokenizer *d, int32_t token,
                                char *text, size_t capacity, size_t *len, hearth_error *err)
{
    struct hv_tokenizer *tok = NULL;
    struct hv_stream stream;
    char rest[4];
    HB_TRY(text_tokenizer(model, &tok, err));
    memcpy(&stream, d, sizeof stream);
    if (token >= 0) {
        HB_TRY(hv_stream_push(tok, &stream, token, 0, text, capacity, len, err));
    } else {
        struct hv_stream before = stream;
        size_t n = hv_stream_flush(&stream, 0, rest);
        if (n > capacity) {
            stream = before;
            return hb_fail(err, HEARTH_E_FULL, "text: %zu bytes do not fit into %zu", n, capacity);
        }
        memcpy(text, rest, n);
        *len = n;
    }
    memcpy(d, &stream, sizeof stream);
    return HEARTH_OK;
}
