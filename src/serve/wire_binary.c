/* The binary encoding: Protocol Buffers' wire format, of which one form is canonical and the only one taken.
 *
 *   field     tag (varint of number << 3 | wire type), then
 *   type 0    varint                    U64; I64 as zig-zag
 *   type 5    4 bytes, little-endian    F32
 *   type 2    varint length, bytes      BYTES; TOKENS as varints, FLOATS as 4 bytes each; each item of a list
 *
 * Fields ascend; the items of a list follow one another; varints are no longer than needed. What is not known
 * is refused, not skipped: a parameter that a server does not know would change what the client gets.
 * Source: "Protocol Buffers: Encoding", sections "Base 128 Varints" and "Message Structure". */
#include "serve/hs_wire.h"
#include "base/hb_error.h"
#include "base/hb_reader.h"
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static uint8_t binary_type(uint8_t kind)
{
    return kind == HS_U64 || kind == HS_I64 ? WIRE_VARINT : kind == HS_F32 ? WIRE_FIXED32 : WIRE_BYTES;
}

static const void *binary_at(const void *msg, const struct hs_field *f)
{
    return (const uint8_t *)msg + f->offset;
}

/* ---- sizes ---- */

static size_t binary_varint_size(uint64_t v)
{
    return ((size_t)(63 - __builtin_clzll(v | 1)) * 9 + 73) / 64; /* bits / 7, rounded up */
}

static size_t binary_body_bound(const struct hs_message *m, const void *msg);

static size_t binary_list_bound(const struct hs_field *f, const struct hs_list *list)
{
    size_t bytes = 0;
    if (list->coded)
        return list->coded_len;
    for (size_t i = 0; i < list->n; i++) {
        bytes += 1 + 10;
        if (f->kind == HS_TEXTS)
            bytes += ((const struct hs_bytes *)list->items)[i].len;
        else
            bytes += binary_body_bound(&hs_messages[f->part],
                                       (const uint8_t *)list->items + i * hs_messages[f->part].size);
    }
    return bytes;
}

static size_t binary_body_bound(const struct hs_message *m, const void *msg)
{
    uint32_t has = *(const uint32_t *)msg;
    size_t bytes = 0;
    for (size_t i = 0; i < m->n_fields; i++) {
        const struct hs_field *f = &m->fields[i];
        const void *at = binary_at(msg, f);
        if (!(has >> f->number & 1))
            continue;
        bytes += 2 + 10;
        if (f->kind == HS_BYTES)
            bytes += ((const struct hs_bytes *)at)->len;
        else if (f->kind == HS_TOKENS)
            bytes += ((const struct hs_tokens *)at)->coded ? ((const struct hs_tokens *)at)->coded_len
                                                           : HK_VARINT_ROOM(((const struct hs_tokens *)at)->n);
        else if (f->kind == HS_FLOATS)
            bytes += 4 * ((const struct hs_floats *)at)->n;
        else if (f->kind == HS_TEXTS || f->kind == HS_LIST)
            bytes += binary_list_bound(f, at);
    }
    return bytes;
}

size_t hs_binary_bound(const struct hs_message *m, const void *msg)
{
    return HS_FRAME_HEAD + 1 + binary_body_bound(m, msg);
}

/* ---- encoding: the caller has checked the bound ---- */

static uint8_t *binary_put_varint(uint8_t *at, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *at++ = (uint8_t)(v | 0x80);
    *at++ = (uint8_t)v;
    return at;
}

static uint8_t *binary_put_bytes(uint8_t *at, const void *bytes, size_t len)
{
    at = binary_put_varint(at, len);
    if (len)
        memcpy(at, bytes, len);
    return at + len;
}

/* The length stands in front of bytes whose number is known behind: guessed, and moved if it was wrong. */
static uint8_t *binary_close(uint8_t *head, uint8_t *body, uint8_t *end)
{
    size_t len = (size_t)(end - body), size = binary_varint_size(len);
    if (head + size != body)
        memmove(head + size, body, len);
    binary_put_varint(head, len);
    return head + size + len;
}

static uint8_t *binary_put_tokens(const struct hk_table *k, uint8_t *at, const struct hs_tokens *t)
{
    if (t->coded)
        return binary_put_bytes(at, t->coded, t->coded_len);
    uint8_t *body = at + binary_varint_size(2 * t->n);
    return binary_close(at, body, body + k->varint_encode(body, t->values, t->n));
}

static uint8_t *binary_put_floats(uint8_t *at, const struct hs_floats *f)
{
    at = binary_put_varint(at, 4 * f->n);
    for (size_t i = 0; i < f->n; i++, at += 4) {
        uint32_t bits;
        if (f->coded)
            bits = hb_load_u32le(f->coded + 4 * i);
        else
            memcpy(&bits, &f->values[i], 4);
        for (int j = 0; j < 4; j++)
            at[j] = (uint8_t)(bits >> 8 * j);
    }
    return at;
}

static uint8_t *binary_put_body(const struct hk_table *k, uint8_t *at, const struct hs_message *m,
                                const void *msg);

static uint8_t *binary_put_list(const struct hk_table *k, uint8_t *at, const struct hs_field *f,
                                const struct hs_list *list)
{
    const struct hs_message *part = &hs_messages[f->part];
    uint8_t tag = (uint8_t)(f->number << 3 | WIRE_BYTES);
    if (list->coded) {
        memcpy(at, list->coded, list->coded_len);
        return at + list->coded_len;
    }
    for (size_t i = 0; i < list->n; i++) {
        *at++ = tag;
        if (f->kind == HS_TEXTS) {
            const struct hs_bytes *text = (const struct hs_bytes *)list->items + i;
            at = binary_put_bytes(at, text->at, text->len);
        } else {
            uint8_t *body = at + 1;
            at = binary_close(at, body,
                              binary_put_body(k, body, part, (const uint8_t *)list->items + i * part->size));
        }
    }
    return at;
}

static uint8_t *binary_put_field(const struct hk_table *k, uint8_t *at, const struct hs_field *f,
                                 const void *value)
{
    if (f->kind == HS_TEXTS || f->kind == HS_LIST)
        return binary_put_list(k, at, f, value);
    at = binary_put_varint(at, (uint64_t)f->number << 3 | binary_type(f->kind));
    switch ((enum hs_kind)f->kind) {
    case HS_U64:
        return binary_put_varint(at, *(const uint64_t *)value);
    case HS_I64: {
        uint64_t v = *(const uint64_t *)value;
        return binary_put_varint(at, v << 1 ^ (0 - (v >> 63)));
    }
    case HS_F32:
        memcpy(at, value, 4);
        return at + 4;
    case HS_BYTES:
        return binary_put_bytes(at, ((const struct hs_bytes *)value)->at, ((const struct hs_bytes *)value)->len);
    case HS_TOKENS:
        return binary_put_tokens(k, at, value);
    default:
        return binary_put_floats(at, value);
    }
}

static uint8_t *binary_put_body(const struct hk_table *k, uint8_t *at, const struct hs_message *m,
                                const void *msg)
{
    uint32_t has = *(const uint32_t *)msg;
    for (size_t i = 0; i < m->n_fields; i++)
        if (has >> m->fields[i].number & 1)
            at = binary_put_field(k, at, &m->fields[i], binary_at(msg, &m->fields[i]));
    return at;
}

size_t hs_binary_encode(const struct hk_table *k, const struct hs_message *m, const void *msg, uint8_t *out,
                        size_t capacity)
{
    size_t bound = hs_binary_bound(m, msg);
    if (capacity < bound || bound > UINT32_MAX)
        return 0;
    out[HS_FRAME_HEAD] = m->number;
    uint8_t *end = binary_put_body(k, out + HS_FRAME_HEAD + 1, m, msg);
    size_t len = (size_t)(end - out) - HS_FRAME_HEAD;
    for (int i = 0; i < HS_FRAME_HEAD; i++)
        out[i] = (uint8_t)(len >> 8 * i);
    return len + HS_FRAME_HEAD;
}

/* ---- decoding ---- */

static bool binary_take_varint(struct hb_reader *r, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 10; i++) {
        uint8_t byte;
        if (!hb_take_u8(r, &byte))
            return false;
        v |= (uint64_t)(byte & 0x7F) << 7 * i;
        if (byte >= 0x80)
            continue;
        *out = v;
        return (byte != 0 || i == 0) && (i < 9 || byte == 1); /* canonical, 64 bits */
    }
    return false;
}

static bool binary_take_slice(struct hb_reader *r, const uint8_t **at, size_t *len)
{
    uint64_t n;
    if (!binary_take_varint(r, &n) || n > hb_reader_left(r))
        return false;
    *len = (size_t)n;
    return hb_take_bytes(r, *len, at);
}

/* Of varints: bytes whose top bit is clear, eight at a time. */
static size_t binary_count(const uint8_t *coded, size_t len)
{
    const uint64_t ones = 0x0101010101010101u;
    size_t n = 0, i = 0;
    for (; i + 8 <= len; i += 8)
        n += (size_t)((~hb_load_u64le(coded + i) >> 7 & ones) * ones >> 56);
    for (; i < len; i++)
        n += coded[i] < 0x80;
    return n;
}

/* The items from the first tag on, which has been taken: one byte (messages.def). */
static bool binary_take_list(struct hb_reader *r, uint8_t tag, struct hs_list *list)
{
    const uint8_t *at;
    size_t len, start = r->pos - 1;
    *list = (struct hs_list){.coded = r->base + start};
    do {
        if (!binary_take_slice(r, &at, &len))
            return false;
        list->n++;
    } while (hb_reader_left(r) && r->base[r->pos] == tag && (r->pos++, true));
    list->coded_len = r->pos - start;
    return true;
}

/* Are the messages of a list well formed? Looked at once here, so that later walks cannot fail. */
static bool binary_parts_ok(const struct hs_message *part, const struct hs_list *list)
{
    union hs_any msg;
    bool more = true;
    for (size_t at = 0; more;)
        if (hs_part_next(part, list, &at, &msg, &more, NULL) != HEARTH_OK)
            return false;
    return true;
}

static bool binary_take_field(struct hb_reader *r, const struct hs_field *f, void *value)
{
    uint64_t v;
    const uint8_t *at;
    size_t len;
    switch ((enum hs_kind)f->kind) {
    case HS_U64:
        return binary_take_varint(r, value);
    case HS_I64:
        if (!binary_take_varint(r, &v))
            return false;
        v = v >> 1 ^ (0 - (v & 1));
        memcpy(value, &v, sizeof v);
        return true;
    case HS_F32:
        return hb_take_bytes(r, 4, &at) && (memcpy(value, at, 4), true);
    case HS_BYTES:
        if (!binary_take_slice(r, &at, &len))
            return false;
        *(struct hs_bytes *)value = (struct hs_bytes){(const char *)at, len};
        return true;
    case HS_TOKENS:
        if (!binary_take_slice(r, &at, &len))
            return false;
        *(struct hs_tokens *)value = (struct hs_tokens){NULL, binary_count(at, len), at, len};
        return true;
    case HS_FLOATS:
        if (!binary_take_slice(r, &at, &len) || len % 4)
            return false;
        *(struct hs_floats *)value = (struct hs_floats){NULL, len / 4, at};
        return true;
    case HS_TEXTS:
    case HS_LIST:
        break;
    }
    return binary_take_list(r, (uint8_t)(f->number << 3 | WIRE_BYTES), value) &&
           (f->kind == HS_TEXTS || binary_parts_ok(&hs_messages[f->part], value));
}

/* Fields that must be there. */
static hearth_status binary_complete(const struct hs_message *m, uint32_t has, hearth_error *err)
{
    for (size_t i = 0; i < m->n_fields; i++)
        if (m->fields[i].must && !(has >> m->fields[i].number & 1))
            return hb_fail(err, HEARTH_E_FORMAT, "message %s: field %s is missing", m->name,
                           m->fields[i].name);
    return HEARTH_OK;
}

hearth_status hs_binary_decode(const struct hs_message *m, const uint8_t *body, size_t len, void *msg,
                               hearth_error *err)
{
    struct hb_reader r = hb_reader_make(body, len);
    uint32_t has = 0;
    size_t i = 0;
    memset(msg, 0, m->size);
    while (hb_reader_left(&r)) {
        uint64_t tag = 0;
        size_t at = r.pos;
        bool whole = binary_take_varint(&r, &tag);
        while (i < m->n_fields && m->fields[i].number < tag >> 3)
            i++;
        if (!whole || i == m->n_fields || m->fields[i].number != tag >> 3 || binary_type(m->fields[i].kind) != (tag & 7))
            return hb_fail(err, HEARTH_E_FORMAT,
                           "message %s: byte %zu is 0x%x; the tag of a known field above those before is "
                           "required", m->name, at, (unsigned)body[at]);
        const struct hs_field *f = &m->fields[i++];
        if (!binary_take_field(&r, f, (uint8_t *)msg + f->offset))
            return hb_fail(err, HEARTH_E_FORMAT, "message %s: field %s is cut or not canonical", m->name,
                           f->name);
        if ((f->kind == HS_TEXTS || f->kind == HS_LIST) &&
            ((struct hs_list *)(void *)((uint8_t *)msg + f->offset))->n > HS_MAX_ITEMS)
            return hb_fail(err, HEARTH_E_LIMIT, "message %s: field %s has more than %u items", m->name,
                           f->name, HS_MAX_ITEMS);
        has |= 1u << f->number;
    }
    *(uint32_t *)msg = has;
    return binary_complete(m, has, err);
}

/* ---- reading slices ---- */

hearth_status hs_tokens_read(const struct hk_table *k, const struct hs_tokens *tokens, uint32_t *values,
                             size_t capacity, size_t *n, hearth_error *err)
{
    if (!tokens->coded) {
        *n = tokens->n;
        if (tokens->n <= capacity && tokens->n)
            memcpy(values, tokens->values, tokens->n * sizeof *values);
        return tokens->n <= capacity ? HEARTH_OK
                                     : hb_fail(err, HEARTH_E_FULL, "%zu tokens; room for %zu", *n, capacity);
    }
    size_t took = k->varint_decode(values, capacity, n, tokens->coded, tokens->coded_len);
    if (took == tokens->coded_len)
        return HEARTH_OK;
    if (*n == capacity)
        return hb_fail(err, HEARTH_E_FULL, "%zu tokens; room for %zu", tokens->n, capacity);
    return hb_fail(err, HEARTH_E_FORMAT, "token %zu is no canonical varint below 2^32", *n);
}

void hs_floats_read(const struct hs_floats *floats, float *values)
{
    for (size_t i = 0; i < floats->n; i++)
        values[i] = floats->coded ? hb_load_f32le(floats->coded + 4 * i) : floats->values[i];
}

bool hs_text_next(const struct hs_list *list, size_t *at, struct hs_bytes *item)
{
    struct hb_reader r = {list->coded, list->coded_len, *at + 1};
    const uint8_t *bytes;
    if (!list->coded) {
        if (*at == list->n)
            return false;
        *item = ((const struct hs_bytes *)list->items)[(*at)++];
        return true;
    }
    if (*at >= list->coded_len || !binary_take_slice(&r, &bytes, &item->len))
        return false;
    item->at = (const char *)bytes;
    *at = r.pos;
    return true;
}

hearth_status hs_part_next(const struct hs_message *part, const struct hs_list *list, size_t *at, void *msg,
                           bool *more, hearth_error *err)
{
    struct hs_bytes item;
    if (!list->coded) {
        *more = *at < list->n;
        if (*more)
            memcpy(msg, (const uint8_t *)list->items + (*at)++ * part->size, part->size);
        return HEARTH_OK;
    }
    *more = hs_text_next(list, at, &item);
    return *more ? hs_binary_decode(part, (const uint8_t *)item.at, item.len, msg, err) : HEARTH_OK;
}
