/* Encoding: special tokens are cut out, the stretches between them go to the kind's encoder. */
#include "tokenizer/hv_internal.h"

hearth_status hv_sink_scratch(struct hv_sink *sink, size_t word, size_t bytes, uint8_t **mem)
{
    *mem = NULL;
    if (bytes > sink->scratch_need)
        sink->scratch_need = bytes;
    if (sink->measuring)
        return HEARTH_OK;
    if (bytes > sink->scratch_bytes)
        return hb_fail(sink->err, HEARTH_E_MEMORY,
                       "tokenizer: a word of %zu bytes needs %zu bytes of scratch; %zu are given",
                       word, bytes, sink->scratch_bytes);
    *mem = sink->scratch;
    return HEARTH_OK;
}

static bool encode_is_space(uint8_t c) /* isspace of the C locale */
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static hearth_status encode_stretch(struct hv_sink *sink, const uint8_t *text, size_t n,
                                    bool prefix)
{
    switch (sink->tok->kind) {
    case HV_BPE:
        return hv_bpe_encode(sink, text, n);
    case HV_SPM:
        return hv_spm_encode(sink, text, n, prefix);
    case HV_WPM:
        hv_wpm_encode(sink, text, n);
    }
    return HEARTH_OK;
}

static hearth_status encode_text(struct hv_sink *sink, const uint8_t *text, size_t len,
                                 uint32_t flags)
{
    const struct hv_tokenizer *tok = sink->tok;
    /* SPM puts a space in front of the text and of what follows a special token */
    bool prefix = tok->add_space_prefix && !(flags & HV_NO_PREFIX);
    struct hv_match match;
    for (size_t pos = 0; pos < len;) {
        bool found = hv_special_next(tok, text, sink->marks, len, pos, flags, &match);
        size_t end = found ? match.begin : len;
        if (found && (tok->attr[match.id] & HV_ATTR_LSTRIP))
            while (end > pos && encode_is_space(text[end - 1]))
                end--;
        if (end > pos) {
            HB_TRY(encode_stretch(sink, text + pos, end - pos, prefix));
            prefix = false;
        }
        if (!found)
            break;
        hv_emit(sink, match.id);
        prefix = tok->add_space_prefix;
        pos = match.end;
        if (tok->attr[match.id] & HV_ATTR_RSTRIP)
            while (pos < len && encode_is_space(text[pos]))
                pos++;
    }
    return HEARTH_OK;
}

static hearth_status encode_all(struct hv_sink *sink, const uint8_t *text, size_t len,
                                uint32_t flags)
{
    const struct hv_tokenizer *tok = sink->tok;
    if (len > HV_MAX_TEXT)
        return hb_fail(sink->err, HEARTH_E_LIMIT, "tokenizer: a text of %zu bytes; up to %zu are "
                       "accepted", len, HV_MAX_TEXT);
    if ((flags & HV_ADD_SPECIAL) && tok->add_bos)
        hv_emit(sink, tok->ids[HV_ID_BOS]);
    HB_TRY(encode_text(sink, text, len, flags));
    if ((flags & HV_ADD_SPECIAL) && tok->add_eos)
        hv_emit(sink, tok->ids[HV_ID_EOS]);
    if ((flags & HV_ADD_SPECIAL) && tok->add_sep)
        hv_emit(sink, tok->ids[HV_ID_SEP]);
    return HEARTH_OK;
}

hearth_status hv_encode(const struct hv_tokenizer *tok, const char *text, size_t len,
                        uint32_t flags, void *scratch, size_t scratch_bytes, int32_t *ids,
                        size_t capacity, size_t *n, hearth_error *err)
{
    return hv_encode_marked(tok, text, NULL, len, flags, scratch, scratch_bytes, ids, capacity, n,
                            err);
}

hearth_status hv_encode_marked(const struct hv_tokenizer *tok, const char *text,
                               const uint8_t *marks, size_t len, uint32_t flags, void *scratch,
                               size_t scratch_bytes, int32_t *ids, size_t capacity, size_t *n,
                               hearth_error *err)
{
    struct hv_sink sink = {.tok = tok, .marks = marks, .ids = ids,
                           .capacity = ids ? capacity : 0, .err = err};
    size_t skip = (size_t)(-(uintptr_t)scratch & 7);
    if (scratch && scratch_bytes > skip) {
        sink.scratch = (uint8_t *)scratch + skip;
        sink.scratch_bytes = scratch_bytes - skip;
    }
    HB_TRY(encode_all(&sink, (const uint8_t *)text, len, flags));
    *n = sink.n;
    if (ids && sink.n > capacity)
        return hb_fail(err, HEARTH_E_FULL, "the text has %zu tokens; there is room for %zu", sink.n,
                       capacity);
    return HEARTH_OK;
}

size_t hv_encode_scratch_for(const struct hv_tokenizer *tok, const char *text, size_t len,
                             uint32_t flags)
{
    return hv_encode_scratch_marked(tok, text, NULL, len, flags);
}

size_t hv_encode_scratch_marked(const struct hv_tokenizer *tok, const char *text,
                                const uint8_t *marks, size_t len, uint32_t flags)
{
    struct hv_sink sink = {.tok = tok, .marks = marks, .measuring = true};
    if (tok->kind == HV_WPM)
        return 0;
    if (encode_all(&sink, (const uint8_t *)text, len, flags) != HEARTH_OK)
        return SIZE_MAX;
    return sink.scratch_need ? sink.scratch_need + 8 : 0;
}

size_t hv_encode_scratch(const struct hv_tokenizer *tok, size_t len)
{
    size_t per_byte = tok->kind == HV_BPE ? 32 : tok->kind == HV_SPM ? 37 : 0;
    size_t bytes;
    if (len > HV_MAX_TEXT || !hb_mul_size(len + 1, per_byte, &bytes) ||
        !hb_add_size(bytes, 8, &bytes))
        return SIZE_MAX;
    return bytes;
}

size_t hv_encode_max_ids(const struct hv_tokenizer *tok, size_t len)
{
    /* SPM: three byte tokens for a space, and one put after every special token of one byte */
    size_t per_byte = tok->kind == HV_SPM ? 4 : 1, n;
    if (!hb_mul_size(len, per_byte, &n) || !hb_add_size(n, 6, &n))
        return SIZE_MAX;
    return n;
}
