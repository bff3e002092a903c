/* Tokenizers of their own: a pipe of the tokenizer room behind a handle. */
#include "runtime/hr_memory.h"
#include "runtime/hr_tokenizer.h"
#include <string.h>

hearth_status hearth_tokenizer_open(const hearth_bytes *file, const hearth_tokenizer_config *config,
                                    hearth_tokenizer **tokenizer, hearth_error *err)
{
    struct hb_alloc hooks;
    struct hb_arena arena;
    hearth_tokenizer *t = NULL;
    if (!file || !file->data || file->size == 0 || !tokenizer)
        return hb_fail(err, HEARTH_E_ARGUMENT, "tokenizer: no bytes were given");
    hearth_tokenizer_config c = {.struct_size = sizeof c};
    if (config)
        memcpy(&c, config, config->struct_size < sizeof c ? config->struct_size : sizeof c);
    HB_TRY(hr_memory_hooks(c.memory, &c.allocator, &hooks, err));
    hb_arena_init_growing(&arena, &hooks);
    hearth_status status = HB_ARENA_NEW(&arena, struct hearth_tokenizer, 1, &t, err);
    if (status == HEARTH_OK)
        status = hv_pipe_is_json(file->data, file->size)
                     ? hv_pipe_from_json(file->data, file->size, &arena, &t->pipe, err)
                     : hv_pipe_from_vocab(file->data, file->size, &arena, &t->pipe, err);
    if (status != HEARTH_OK) {
        hb_arena_release(&arena);
        return status;
    }
    t->arena = arena;
    t->hooks = hooks;
    t->memory = c.memory;
    if (c.flags & HEARTH_TOKENIZER_NO_SIMD)
        hv_pipe_be_plain(t->pipe);
    *tokenizer = t;
    return HEARTH_OK;
}

void hearth_tokenizer_close(hearth_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    struct hb_arena arena = tokenizer->arena; /* the handle lives inside it */
    hb_arena_release(&arena);
}

size_t hearth_tokenizer_vocab_size(const hearth_tokenizer *tokenizer)
{
    return hv_pipe_vocab_size(tokenizer->pipe);
}

hearth_status hearth_tokenizer_encode(const hearth_tokenizer *tokenizer, const char *text,
                                      size_t text_len, uint32_t flags, int32_t *tokens,
                                      size_t capacity, size_t *n, hearth_error *err)
{
    struct hr_call own, *call;
    struct hv_encoding e;
    uint32_t f = (flags & HEARTH_TOKENIZE_SPECIAL ? HV_ADD_SPECIAL : 0) |
                 (flags & HEARTH_TOKENIZE_PARSE_SPECIAL ? HV_PARSE_SPECIAL : 0);
    HB_TRY(hr_call_begin(tokenizer->memory, &tokenizer->hooks, &own, &call, err));
    hearth_status status =
        hv_pipe_encode(tokenizer->pipe, text, text_len, f, 0, &call->arena, &e, err);
    if (status == HEARTH_OK) {
        *n = e.n;
        if (e.n > capacity)
            status = hb_fail(err, HEARTH_E_FULL, "the text has %zu tokens; there is room for %zu",
                             e.n, capacity);
        else if (e.n)
            memcpy(tokens, e.ids, e.n * sizeof *tokens);
    }
    return hr_call_end(call, status, err);
}
