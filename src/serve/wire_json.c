/* The JSON encoding: one object a message, {"type": "generate", "id": 1, ...}, a member for each field that is set.
 *
 *   U64, I64   numbers up to 2^53 in magnitude, else decimal text; both are read
 *   F32        a number with nine digits, which name one float
 *   BYTES      text; what is not UTF-8 becomes U+FFFD
 *   TOKENS, FLOATS, TEXTS, lists of messages: arrays
 *
 * NaN and infinity have no form: they are written as null, and null is not read. */
#include "serve/hs_json.h"
#include "base/hb_error.h"
#include <string.h>

static void json_tokens(struct hs_out *o, const struct hk_table *k, const struct hs_tokens *t)
{
    uint32_t values[64];
    size_t done = 0, at = 0, n;
    hs_put_raw(o, "[", 1);
    while (done < t->n) {
        if (t->coded) {
            at += k->varint_decode(values, HB_COUNT(values), &n, t->coded + at, t->coded_len - at);
        } else {
            n = t->n - done < HB_COUNT(values) ? t->n - done : HB_COUNT(values);
            memcpy(values, t->values + done, n * sizeof *values);
        }
        if (n == 0)
            break;
        for (size_t i = 0; i < n; i++) {
            if (done + i)
                hs_put_raw(o, ",", 1);
            hs_put_u64(o, values[i], false);
        }
        done += n;
    }
    hs_put_raw(o, "]", 1);
}

static void json_floats(struct hs_out *o, const struct hs_floats *f)
{
    hs_put_raw(o, "[", 1);
    for (size_t i = 0; i < f->n; i++) {
        float v;
        struct hs_floats one = {f->values ? f->values + i : NULL, 1, f->coded ? f->coded + 4 * i : NULL};
        hs_floats_read(&one, &v);
        if (i)
            hs_put_raw(o, ",", 1);
        hs_put_f32(o, v);
    }
    hs_put_raw(o, "]", 1);
}

static void json_members(struct hs_out *o, const struct hk_table *k, const struct hs_message *m,
                         const void *msg, bool first);

static void json_list(struct hs_out *o, const struct hk_table *k, const struct hs_field *f,
                      const struct hs_list *list)
{
    const struct hs_message *part = &hs_messages[f->part];
    union hs_any msg;
    struct hs_bytes text;
    bool more = true;
    hs_put_raw(o, "[", 1);
    for (size_t at = 0, i = 0;; i++) {
        more = f->kind == HS_TEXTS ? hs_text_next(list, &at, &text)
                                   : hs_part_next(part, list, &at, &msg, &more, NULL) == HEARTH_OK && more;
        if (!more)
            break;
        if (i)
            hs_put_raw(o, ",", 1);
        if (f->kind == HS_TEXTS) {
            hs_put_string(o, text);
            continue;
        }
        hs_put_raw(o, "{", 1);
        json_members(o, k, part, &msg, true);
        hs_put_raw(o, "}", 1);
    }
    hs_put_raw(o, "]", 1);
}

static void json_value(struct hs_out *o, const struct hk_table *k, const struct hs_field *f, const void *v)
{
    int64_t i;
    switch ((enum hs_kind)f->kind) {
    case HS_U64:
        hs_put_u64(o, *(const uint64_t *)v, false);
        break;
    case HS_I64:
        i = *(const int64_t *)v;
        hs_put_u64(o, i < 0 ? 0 - (uint64_t)i : (uint64_t)i, i < 0);
        break;
    case HS_F32:
        hs_put_f32(o, *(const float *)v);
        break;
    case HS_BYTES:
        hs_put_string(o, *(const struct hs_bytes *)v);
        break;
    case HS_TOKENS:
        json_tokens(o, k, v);
        break;
    case HS_FLOATS:
        json_floats(o, v);
        break;
    case HS_TEXTS:
    case HS_LIST:
        json_list(o, k, f, v);
    }
}

static void json_members(struct hs_out *o, const struct hk_table *k, const struct hs_message *m,
                         const void *msg, bool first)
{
    uint32_t has = *(const uint32_t *)msg;
    for (size_t i = 0; i < m->n_fields; i++) {
        const struct hs_field *f = &m->fields[i];
        if (!(has >> f->number & 1))
            continue;
        hs_put_text(o, first ? "\"" : ",\"");
        hs_put_text(o, f->name);
        hs_put_text(o, "\":");
        json_value(o, k, f, (const uint8_t *)msg + f->offset);
        first = false;
    }
}

/* Every byte of the binary form is at most 13 here: a one-byte varint "4294967295,", a float of 4 bytes 16. */
size_t hs_json_bound(const struct hs_message *m, const void *msg)
{
    return 64 + 32 * (size_t)m->n_fields + 13 * hs_binary_bound(m, msg);
}

size_t hs_json_encode(const struct hk_table *k, const struct hs_message *m, const void *msg, uint8_t *out,
                      size_t capacity)
{
    if (capacity < HS_FRAME_HEAD)
        return 0;
    struct hs_out o = {out + HS_FRAME_HEAD, out + capacity, false};
    hs_put_text(&o, "{\"type\":\"");
    hs_put_text(&o, m->name);
    hs_put_text(&o, "\"");
    json_members(&o, k, m, msg, false);
    hs_put_text(&o, "}");
    size_t len = (size_t)(o.at - out) - HS_FRAME_HEAD;
    if (o.full || len > UINT32_MAX)
        return 0;
    for (int i = 0; i < HS_FRAME_HEAD; i++)
        out[i] = (uint8_t)(len >> 8 * i);
    return len + HS_FRAME_HEAD;
}
