/* Reading the JSON encoding, by jansson: strict, no key twice, nesting bounded before the library sees it. */
#include "serve/hs_json.h"
#include "base/hb_error.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

struct json_in {
    struct hb_arena *arena;
    hearth_error *err;
    const struct hs_message *m; /* for sentences */
};

/* jansson walks nested values by recursion. */
static bool json_too_deep(const uint8_t *text, size_t len)
{
    bool quoted = false;
    int depth = 0;
    for (size_t i = 0; i < len; i++) {
        if (quoted) {
            quoted = text[i] != '"';
            i += text[i] == '\\';
            continue;
        }
        if (text[i] == '"')
            quoted = true;
        else if (text[i] == '{' || text[i] == '[')
            depth++;
        else if (text[i] == '}' || text[i] == ']')
            depth--;
        if (depth > HS_JSON_DEPTH)
            return true;
    }
    return false;
}

hearth_status hs_json_load(const char *what, const uint8_t *text, size_t len, json_t **value, hearth_error *err)
{
    json_error_t where;
    if (json_too_deep(text, len))
        return hb_fail(err, HEARTH_E_LIMIT, "%s: JSON nested deeper than %d", what, HS_JSON_DEPTH);
    *value = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    if (!*value)
        return hb_fail(err, HEARTH_E_FORMAT, "%s: JSON, byte %d: %s", what, where.position, where.text);
    return HEARTH_OK;
}

static hearth_status json_wrong(const struct json_in *in, const struct hs_field *f, const char *wanted)
{
    return hb_fail(in->err, HEARTH_E_FORMAT, "message %s: field %s: %s is required", in->m->name, f->name,
                   wanted);
}

bool hs_json_whole(const json_t *v, uint64_t *magnitude, bool *minus)
{
    const char *p = json_string_value(v);
    uint64_t u = 0;
    *minus = false;
    if (json_is_integer(v)) {
        json_int_t i = json_integer_value(v);
        *minus = i < 0;
        *magnitude = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
        return true;
    }
    if (!p || !*p || json_string_length(v) > 20)
        return false;
    *minus = *p == '-';
    p += *minus;
    if (!*p)
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(u, 10, &u) || __builtin_add_overflow(u, (uint64_t)(*p - '0'), &u))
            return false;
    *magnitude = u;
    return *p == 0;
}

static hearth_status json_u64(const struct json_in *in, const struct hs_field *f, const json_t *v, uint64_t max,
                              uint64_t *out)
{
    bool minus;
    if (!hs_json_whole(v, out, &minus) || (minus && *out) || *out > max)
        return json_wrong(in, f, max == UINT32_MAX ? "a whole number from 0 to 4294967295"
                                                   : "a whole number from 0 to 18446744073709551615");
    return HEARTH_OK;
}

static hearth_status json_i64(const struct json_in *in, const struct hs_field *f, const json_t *v, int64_t *out)
{
    uint64_t u;
    bool minus;
    if (!hs_json_whole(v, &u, &minus) || u > (uint64_t)INT64_MAX + minus)
        return json_wrong(in, f, "a whole number that 64 bits hold");
    *out = minus ? (int64_t)(0 - u) : (int64_t)u;
    return HEARTH_OK;
}

static hearth_status json_f32(const struct json_in *in, const struct hs_field *f, const json_t *v, float *out)
{
    double d = json_number_value(v);
    if (!json_is_number(v) || !isfinite((float)d))
        return json_wrong(in, f, "a number that fits 32-bit floats");
    *out = (float)d;
    return HEARTH_OK;
}

static hearth_status json_bytes(const struct json_in *in, const struct hs_field *f, const json_t *v,
                                struct hs_bytes *out)
{
    if (!json_is_string(v))
        return json_wrong(in, f, "text");
    out->len = json_string_length(v);
    return hb_arena_text(in->arena, json_string_value(v), out->len, &out->at, in->err);
}

static hearth_status json_items(const struct json_in *in, const struct hs_field *f, const json_t *v, size_t *n)
{
    if (!json_is_array(v))
        return json_wrong(in, f, "an array");
    *n = json_array_size(v);
    return HEARTH_OK;
}

static hearth_status json_tokens(const struct json_in *in, const struct hs_field *f, const json_t *v,
                                 struct hs_tokens *out)
{
    uint32_t *values;
    HB_TRY(json_items(in, f, v, &out->n));
    HB_TRY(HB_ARENA_NEW(in->arena, uint32_t, out->n + 1, &values, in->err));
    for (size_t i = 0; i < out->n; i++) {
        uint64_t u;
        HB_TRY(json_u64(in, f, json_array_get(v, i), UINT32_MAX, &u));
        values[i] = (uint32_t)u;
    }
    out->values = values;
    return HEARTH_OK;
}

static hearth_status json_floats(const struct json_in *in, const struct hs_field *f, const json_t *v,
                                 struct hs_floats *out)
{
    float *values;
    HB_TRY(json_items(in, f, v, &out->n));
    HB_TRY(HB_ARENA_NEW(in->arena, float, out->n + 1, &values, in->err));
    for (size_t i = 0; i < out->n; i++)
        HB_TRY(json_f32(in, f, json_array_get(v, i), &values[i]));
    out->values = values;
    return HEARTH_OK;
}

static hearth_status json_message(struct json_in in, const struct hs_message *m, json_t *object, bool top,
                                 void *msg);

static hearth_status json_list(const struct json_in *in, const struct hs_field *f, const json_t *v,
                               struct hs_list *out)
{
    const struct hs_message *part = &hs_messages[f->part];
    size_t size = f->kind == HS_TEXTS ? sizeof(struct hs_bytes) : part->size;
    uint8_t *items;
    HB_TRY(json_items(in, f, v, &out->n));
    if (out->n > HS_MAX_ITEMS)
        return hb_fail(in->err, HEARTH_E_LIMIT, "message %s: field %s has %zu items; at most %u are accepted",
                       in->m->name, f->name, out->n, HS_MAX_ITEMS);
    HB_TRY(hb_arena_take(in->arena, (out->n + 1) * size, _Alignof(union hs_any), (void **)(void *)&items,
                         in->err));
    for (size_t i = 0; i < out->n; i++)
        if (f->kind == HS_TEXTS)
            HB_TRY(json_bytes(in, f, json_array_get(v, i), (struct hs_bytes *)(void *)items + i));
        else
            HB_TRY(json_message(*in, part, json_array_get(v, i), false, items + i * size));
    out->items = items;
    return HEARTH_OK;
}

static hearth_status json_field(const struct json_in *in, const struct hs_field *f, const json_t *v, void *value)
{
    switch ((enum hs_kind)f->kind) {
    case HS_U64:
        return json_u64(in, f, v, UINT64_MAX, value);
    case HS_I64:
        return json_i64(in, f, v, value);
    case HS_F32:
        return json_f32(in, f, v, value);
    case HS_BYTES:
        return json_bytes(in, f, v, value);
    case HS_TOKENS:
        return json_tokens(in, f, v, value);
    case HS_FLOATS:
        return json_floats(in, f, v, value);
    case HS_TEXTS:
    case HS_LIST:
        break;
    }
    return json_list(in, f, v, value);
}

static const struct hs_field *json_find(const struct hs_message *m, const char *name)
{
    for (size_t i = 0; i < m->n_fields; i++)
        if (strcmp(m->fields[i].name, name) == 0)
            return &m->fields[i];
    return NULL;
}

static hearth_status json_message(struct json_in in, const struct hs_message *m, json_t *object, bool top,
                                 void *msg)
{
    const char *key;
    json_t *v;
    uint32_t has = 0;
    in.m = m;
    memset(msg, 0, m->size);
    if (!json_is_object(object))
        return hb_fail(in.err, HEARTH_E_FORMAT, "message %s: an object is required", m->name);
    json_object_foreach(object, key, v) {
        const struct hs_field *f = json_find(m, key);
        if (top && strcmp(key, "type") == 0)
            continue;
        if (!f)
            return hb_fail(in.err, HEARTH_E_FORMAT, "message %s has no field \"%s\"", m->name, key);
        HB_TRY(json_field(&in, f, v, (uint8_t *)msg + f->offset));
        /* an empty list is none, as in the binary form */
        if ((f->kind != HS_TEXTS && f->kind != HS_LIST) || json_array_size(v) > 0)
            has |= 1u << f->number;
    }
    *(uint32_t *)msg = has;
    for (size_t i = 0; i < m->n_fields; i++)
        if (m->fields[i].must && !(has >> m->fields[i].number & 1))
            return hb_fail(in.err, HEARTH_E_FORMAT, "message %s: field %s is missing", m->name,
                           m->fields[i].name);
    return HEARTH_OK;
}

hearth_status hs_json_decode(const uint8_t *text, size_t len, struct hb_arena *arena,
                             const struct hs_message **m, union hs_any *msg, hearth_error *err)
{
    struct json_in in = {arena, err, NULL};
    json_t *root;
    HB_TRY(hs_json_load("message", text, len, &root, err));
    const json_t *type = json_object_get(root, "type");
    hearth_status status;
    *m = json_is_string(type) ? hs_message_by_name(json_string_value(type), json_string_length(type)) : NULL;
    if (*m)
        status = json_message(in, *m, root, true, msg);
    else
        status = hb_fail(err, HEARTH_E_FORMAT, "message: type \"%s\" is unknown",
                         json_is_string(type) ? json_string_value(type) : "");
    json_decref(root);
    return status;
}
