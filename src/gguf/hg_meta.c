/* Typed access to metadata. */
#include "gguf/hg_gguf.h"
#include "base/hb_reader.h"
#include <string.h>

const uint8_t hg_value_bytes[HG_VALUE_TYPES] = {
    [HG_U8] = 1,  [HG_I8] = 1,  [HG_U16] = 2, [HG_I16] = 2,    [HG_U32] = 4,   [HG_I32] = 4, [HG_F32] = 4,
    [HG_BOOL] = 1, [HG_STRING] = 0, [HG_ARRAY] = 0, [HG_U64] = 8, [HG_I64] = 8, [HG_F64] = 8};

const char *hg_value_name(uint32_t type)
{
    static const char *const name[HG_VALUE_TYPES] = {"u8",     "i8",    "u16",  "i16", "u32",
                                                     "i32",    "f32",   "bool", "string",
                                                     "array",  "u64",   "i64",  "f64"};
    return type < HG_VALUE_TYPES ? name[type] : "unknown";
}

const struct hg_meta *hg_meta_find(const struct hg_file *file, const char *key)
{
    return hg_metas_find(&file->meta, key, strlen(key));
}

bool hg_meta_at_int(const struct hg_meta *meta, size_t i, int64_t *out)
{
    const uint8_t *p = meta->data + i * hg_value_bytes[meta->type];
    uint64_t u;
    switch (meta->type) {
    case HG_U8:
    case HG_BOOL:
        *out = *p;
        return true;
    case HG_I8:
        *out = (int8_t)*p;
        return true;
    case HG_U16:
        *out = hb_load_u16le(p);
        return true;
    case HG_I16:
        *out = (int16_t)hb_load_u16le(p);
        return true;
    case HG_U32:
        *out = hb_load_u32le(p);
        return true;
    case HG_I32:
        *out = (int32_t)hb_load_u32le(p);
        return true;
    case HG_I64:
        *out = (int64_t)hb_load_u64le(p);
        return true;
    case HG_U64:
        u = hb_load_u64le(p);
        if (u > INT64_MAX)
            return false;
        *out = (int64_t)u;
        return true;
    default:
        return false;
    }
}

struct hg_text hg_meta_next_string(const uint8_t **at)
{
    struct hg_text t = {(const char *)*at + 8, (size_t)hb_load_u64le(*at)};
    *at += 8 + t.len;
    return t;
}

/* Find a key; when it is absent, *out = NULL and the status says whether that is allowed. */
static hearth_status meta_want(const struct hg_file *file, const char *key, bool required,
                               const struct hg_meta **out, hearth_error *err)
{
    *out = hg_meta_find(file, key);
    if (!*out && required)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "gguf: key %s is missing", key);
    return HEARTH_OK;
}

static hearth_status meta_wrong(const struct hg_meta *m, const char *want, hearth_error *err)
{
    return hb_fail(err, HEARTH_E_FORMAT, "gguf: key %s is %s%s; %s is required", m->key,
                   m->array ? "an array of " : "", hg_value_name(m->type), want);
}

static bool meta_is_int(const struct hg_meta *m)
{
    return m->type != HG_BOOL && m->type != HG_F32 && m->type != HG_F64 && m->type != HG_STRING;
}

static hearth_status meta_int_at(const struct hg_meta *m, size_t i, int64_t min, int64_t max,
                                 int64_t *out, hearth_error *err)
{
    int64_t v;
    if (!hg_meta_at_int(m, i, &v)) /* an integer that is no int64 */
        return hb_fail(err, HEARTH_E_RANGE, "gguf: key %s is %llu; %lld to %lld is accepted", m->key,
                       (unsigned long long)hb_load_u64le(m->data + 8 * i), (long long)min,
                       (long long)max);
    if (v < min || v > max)
        return hb_fail(err, HEARTH_E_RANGE, "gguf: key %s is %lld; %lld to %lld is accepted", m->key,
                       (long long)v, (long long)min, (long long)max);
    *out = v;
    return HEARTH_OK;
}

hearth_status hg_meta_int(const struct hg_file *file, const char *key, bool required, int64_t min,
                          int64_t max, int64_t *out, hearth_error *err)
{
    const struct hg_meta *m;
    HB_TRY(meta_want(file, key, required, &m, err));
    if (!m)
        return HEARTH_OK;
    if (m->array || !meta_is_int(m))
        return meta_wrong(m, "a whole number", err);
    return meta_int_at(m, 0, min, max, out, err);
}

hearth_status hg_meta_ints(const struct hg_file *file, const char *key, bool required, int64_t min,
                           int64_t max, size_t n, int32_t *out, hearth_error *err)
{
    const struct hg_meta *m;
    HB_TRY(meta_want(file, key, required, &m, err));
    if (!m)
        return HEARTH_OK;
    if (!meta_is_int(m))
        return meta_wrong(m, "a whole number or an array of them", err);
    if (m->array && m->count != n)
        return hb_fail(err, HEARTH_E_MISMATCH, "gguf: key %s has %zu elements; %zu, one a layer, "
                       "are required", key, m->count, n);
    for (size_t i = 0; i < n; i++) {
        int64_t v;
        HB_TRY(meta_int_at(m, m->array ? i : 0, min, max, &v, err));
        out[i] = (int32_t)v;
    }
    return HEARTH_OK;
}

hearth_status hg_meta_real(const struct hg_file *file, const char *key, bool required, double min,
                           double max, double *out, hearth_error *err)
{
    const struct hg_meta *m;
    HB_TRY(meta_want(file, key, required, &m, err));
    if (!m)
        return HEARTH_OK;
    if (m->array || (m->type != HG_F32 && m->type != HG_F64))
        return meta_wrong(m, "f32", err);
    double v = m->type == HG_F32 ? (double)hb_load_f32le(m->data) : hb_load_f64le(m->data);
    if (!(v >= min && v <= max)) /* NaN too */
        return hb_fail(err, HEARTH_E_RANGE, "gguf: key %s is %g; %g to %g is accepted", key, v, min,
                       max);
    *out = v;
    return HEARTH_OK;
}

hearth_status hg_meta_bool(const struct hg_file *file, const char *key, bool required, bool *out,
                           hearth_error *err)
{
    const struct hg_meta *m;
    HB_TRY(meta_want(file, key, required, &m, err));
    if (!m)
        return HEARTH_OK;
    if (m->array || m->type != HG_BOOL)
        return meta_wrong(m, "bool", err);
    *out = m->data[0] != 0;
    return HEARTH_OK;
}

hearth_status hg_meta_string(const struct hg_file *file, const char *key, bool required,
                             size_t max_len, struct hg_text *out, hearth_error *err)
{
    const struct hg_meta *m;
    HB_TRY(meta_want(file, key, required, &m, err));
    if (!m)
        return HEARTH_OK;
    if (m->array || m->type != HG_STRING)
        return meta_wrong(m, "string", err);
    const uint8_t *at = m->data;
    struct hg_text t = hg_meta_next_string(&at);
    if (t.len > max_len)
        return hb_fail(err, HEARTH_E_LIMIT, "gguf: key %s has %zu bytes; at most %zu", key, t.len,
                       max_len);
    *out = t;
    return HEARTH_OK;
}

hearth_status hg_meta_array(const struct hg_file *file, const char *key, bool required,
                            enum hg_value_type type, size_t max_count, const struct hg_meta **out,
                            hearth_error *err)
{
    const struct hg_meta *m;
    HB_TRY(meta_want(file, key, required, &m, err));
    if (m && (!m->array || m->type != type))
        return hb_fail(err, HEARTH_E_FORMAT, "gguf: key %s is %s%s; an array of %s is required", key,
                       m->array ? "an array of " : "", hg_value_name(m->type), hg_value_name(type));
    if (m && m->count > max_count)
        return hb_fail(err, HEARTH_E_LIMIT, "gguf: key %s has %zu elements; at most %zu", key,
                       m->count, max_count);
    *out = m;
    return HEARTH_OK;
}

static size_t meta_print_one(const struct hg_meta *m, size_t i, const uint8_t **at, char *text,
                             size_t size)
{
    int64_t v;
    if (m->type == HG_STRING) {
        struct hg_text t = hg_meta_next_string(at);
        return hb_format(text, size, "%.*s", (int)(t.len < 1024 ? t.len : 1024), t.bytes);
    }
    if (m->type == HG_F32)
        return hb_format(text, size, "%g", (double)hb_load_f32le(m->data + 4 * i));
    if (m->type == HG_F64)
        return hb_format(text, size, "%g", hb_load_f64le(m->data + 8 * i));
    if (m->type == HG_BOOL)
        return hb_format(text, size, "%s", m->data[i] ? "true" : "false");
    if (hg_meta_at_int(m, i, &v))
        return hb_format(text, size, "%lld", (long long)v);
    return hb_format(text, size, "%llu", (unsigned long long)hb_load_u64le(m->data + 8 * i));
}

size_t hg_meta_print(const struct hg_meta *meta, char *text, size_t size)
{
    enum { SHOWN = 6 };
    const uint8_t *at = meta->data;
    size_t len = 0, shown = meta->count < SHOWN ? meta->count : SHOWN;
    if (size == 0)
        return 0;
    text[0] = 0;
    if (meta->array)
        len = hb_format(text, size, "%s[%zu] ", hg_value_name(meta->type), meta->count);
    for (size_t i = 0; i < shown; i++) {
        if (i)
            len += hb_format(text + len, size - len, ", ");
        len += meta_print_one(meta, i, &at, text + len, size - len);
    }
    if (shown < meta->count)
        len += hb_format(text + len, size - len, ", ...");
    return len;
}
