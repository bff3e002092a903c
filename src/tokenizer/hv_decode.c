/* Ids to bytes. Every token's bytes are made once, at creation, and lie one after the other, so
 * that a piece can be borrowed. Then streams: bytes to whole characters. */
#include "tokenizer/hv_internal.h"

int hv_byte_of_text(const struct hv_text *text)
{
    if (text->len != 6 || memcmp(text->bytes, "<0x", 3) != 0 || text->bytes[5] != '>')
        return -1;
    int value = 0;
    for (int i = 3; i < 5; i++) {
        char c = text->bytes[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Byte-level BPE: characters of the alphabet are bytes, others stay as they are. */
static size_t pieces_from_alphabet(const struct hv_text *text, char *out)
{
    const uint8_t *p = (const uint8_t *)text->bytes;
    size_t n = 0;
    for (size_t pos = 0; pos < text->len;) {
        uint32_t cp;
        size_t len = hb_utf8_take(p + pos, text->len - pos, &cp);
        int byte = p[pos] < 0x80 || len > 1 ? hv_alphabet_byte(cp) : -1;
        if (byte >= 0) {
            out[n++] = (char)byte;
        } else {
            memcpy(out + n, p + pos, len);
            n += len;
        }
        pos += len;
    }
    return n;
}

/* SPM and WordPiece: U+2581 is a space. With ## the mark goes and words open with a space. */
static size_t pieces_from_marks(const struct hv_tokenizer *tok, const struct hv_text *text,
                                char *out)
{
    size_t n = 0, pos = 0;
    if (tok->kind == HV_WPM && tok->wpm_style == HV_WPM_CONTINUATION) {
        if (text->len > 2 && memcmp(text->bytes, "##", 2) == 0)
            pos = 2;
        else
            out[n++] = ' ';
    }
    while (pos < text->len) {
        if (text->len - pos >= 3 && memcmp(text->bytes + pos, "\xE2\x96\x81", 3) == 0) {
            out[n++] = ' ';
            pos += 3;
        } else {
            out[n++] = text->bytes[pos++];
        }
    }
    return n;
}

/* The bytes of a token; out has room for its text and one byte more. */
static size_t pieces_make(const struct hv_tokenizer *tok, uint32_t id, char *out)
{
    const struct hv_text *text = &tok->tokens[id];
    uint32_t attr = tok->attr[id];
    int byte = attr & HV_ATTR_BYTE ? hv_byte_of_text(text) : -1;
    if (byte >= 0) {
        out[0] = (char)byte;
        return 1;
    }
    if (text->len == 0 || (attr & HV_ATTR_UNUSED))
        return 0;
    if (attr & HV_ATTR_SPECIAL) {
        memcpy(out, text->bytes, text->len);
        return text->len;
    }
    return tok->kind == HV_BPE ? pieces_from_alphabet(text, out)
                               : pieces_from_marks(tok, text, out);
}

hearth_status hv_pieces_build(struct hv_tokenizer *tok, struct hb_arena *arena, hearth_error *err)
{
    size_t most = 0; /* a piece is no longer than its text, but for the space of a ## vocabulary */
    for (uint32_t id = 0; id < tok->n_tokens; id++)
        most += tok->tokens[id].len + 1;
    if (most > UINT32_MAX)
        return hb_fail(err, HEARTH_E_LIMIT, "tokenizer: %zu bytes of token texts; up to %u are "
                       "accepted", most, UINT32_MAX);
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, tok->n_tokens, &tok->piece_end, err));
    HB_TRY(HB_ARENA_NEW(arena, char, most, &tok->pieces, err));
    size_t end = 0;
    for (uint32_t id = 0; id < tok->n_tokens; id++) {
        end += pieces_make(tok, id, tok->pieces + end);
        tok->piece_end[id] = (uint32_t)end;
    }
    return HEARTH_OK;
}

hearth_status hv_piece(const struct hv_tokenizer *tok, int32_t id, uint32_t flags,
                       const char **bytes, size_t *len, hearth_error *err)
{
    if (id < 0 || (uint32_t)id >= tok->n_tokens)
        return hb_fail(err, HEARTH_E_RANGE, "token %d; ids are 0 to %u", id, tok->n_tokens - 1);
    uint32_t begin = id ? tok->piece_end[id - 1] : 0;
    *bytes = tok->pieces + begin;
    *len = tok->piece_end[id] - begin;
    if ((tok->attr[id] & HV_ATTR_INERT) && !(flags & HV_RENDER_SPECIAL))
        *len = 0;
    return HEARTH_OK;
}

/* ---- streams */

/* May p[0..n), n < 4, still become one well-formed character? */
static bool stream_is_prefix(const uint8_t *p, size_t n)
{
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return false;
    size_t whole = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (n >= whole)
        return false;
    uint8_t full[4] = {p[0], 0x80, 0x80, 0x80};
    /* the second byte has a narrower range after these: overlong forms, surrogates, the end */
    if (n == 1 && (p[0] == 0xE0 || p[0] == 0xF0))
        full[1] = 0xA0;
    for (size_t i = 1; i < n; i++)
        full[i] = p[i];
    return hb_utf8_len(full, whole) == whole;
}

struct stream_out {
    char *out;
    size_t capacity;
    size_t n; /* counts on past capacity */
};

static void stream_put(struct stream_out *o, const void *bytes, size_t n)
{
    if (o->n + n <= o->capacity)
        memcpy(o->out + o->n, bytes, n);
    o->n += n;
}

/* One more byte: keep what may become a character, give what is complete or cannot. */
static void stream_byte(struct hv_stream *s, uint8_t byte, uint32_t flags, struct stream_out *o)
{
    s->held[s->n_held++] = byte;
    while (s->n_held) {
        size_t len = hb_utf8_len(s->held, s->n_held);
        if (len == 0 && stream_is_prefix(s->held, s->n_held))
            return;
        if (len)
            stream_put(o, s->held, len);
        else if (flags & HV_REPLACE)
            stream_put(o, "\xEF\xBF\xBD", 3);
        else
            stream_put(o, s->held, 1);
        len += len == 0;
        s->n_held = (uint8_t)(s->n_held - len);
        for (size_t i = 0; i < s->n_held; i++)
            s->held[i] = s->held[i + len];
    }
}

hearth_status hv_stream_push(const struct hv_tokenizer *tok, struct hv_stream *stream, int32_t id,
                             uint32_t flags, char *out, size_t capacity, size_t *len,
                             hearth_error *err)
{
    const char *bytes;
    size_t n, i = 0;
    HB_TRY(hv_piece(tok, id, flags, &bytes, &n, err));
    struct hv_stream next = *stream;
    struct stream_out o = {out, capacity, 0};
    if (n && !next.started) {
        bool lead = tok->kind != HV_BPE && (flags & HV_TEXT_START) &&
                    (tok->add_space_prefix || tok->kind == HV_WPM);
        i = lead && bytes[0] == ' ' && !(tok->attr[id] & HV_ATTR_SPECIAL);
        next.started = 1;
    }
    for (; i < n; i++)
        stream_byte(&next, (uint8_t)bytes[i], flags, &o);
    if (o.n > capacity)
        return hb_fail(err, HEARTH_E_FULL, "token %d gives %zu bytes; there is room for %zu", id,
                       o.n, capacity);
    *stream = next;
    *len = o.n;
    return HEARTH_OK;
}

size_t hv_stream_flush(struct hv_stream *stream, uint32_t flags, char out[4])
{
    size_t n = stream->n_held;
    if (n && (flags & HV_REPLACE)) { /* one character, cut short */
        memcpy(out, "\xEF\xBF\xBD", 3);
        n = 3;
    } else {
        memcpy(out, stream->held, n);
    }
    *stream = (struct hv_stream){0};
    return n;
}
