/* The manifest, by jansson: see hs_manifest.h. Keys are a table; whatever is not in it is refused. */
#include "serve/hs_manifest.h"
#include <jansson.h>
#include <string.h>

enum manifest_type {
    MANIFEST_NAME, MANIFEST_TEXT, MANIFEST_KIND, MANIFEST_SHA, MANIFEST_FILE, MANIFEST_I32, MANIFEST_U32, MANIFEST_U64,
    MANIFEST_BOOL, MANIFEST_NOT /* a bool, stored as its opposite */
};

struct manifest_key {
    const char *key;
    uint8_t type;
    bool must;
    uint16_t offset;
    int64_t least, most; /* of numbers */
};

#define SPEC(field)      offsetof(struct hs_model_spec, field)
#define FILE_SPEC(field) offsetof(struct hs_file_spec, field)
static const struct manifest_key manifest_file_keys[] = {
    {"file", MANIFEST_TEXT, true, FILE_SPEC(file), 0, 0},
    {"sha256", MANIFEST_SHA, true, FILE_SPEC(sha256), 0, 0},
    {"size", MANIFEST_U64, false, FILE_SPEC(size), 1, INT64_MAX},
};
static const struct manifest_key manifest_keys[] = {
    {"name", MANIFEST_NAME, true, SPEC(name), 0, 0},
    {"kind", MANIFEST_KIND, true, SPEC(kind), 0, 0},
    {"file", MANIFEST_TEXT, true, SPEC(model.file), 0, 0},
    {"sha256", MANIFEST_SHA, true, SPEC(model.sha256), 0, 0},
    {"size", MANIFEST_U64, false, SPEC(model.size), 1, INT64_MAX},
    {"tokenizer", MANIFEST_FILE, false, SPEC(tokenizer), 0, 0},
    {"labels", MANIFEST_FILE, false, SPEC(labels), 0, 0},
    {"licence", MANIFEST_TEXT, false, SPEC(licence), 0, 0},
    {"version", MANIFEST_TEXT, false, SPEC(version), 0, 0},
    {"context", MANIFEST_I32, false, SPEC(context), 16, 1 << 24},
    {"sequences", MANIFEST_I32, false, SPEC(sequences), 1, 1024},
    {"batch", MANIFEST_I32, false, SPEC(batch), 1, 65536},
    {"kv_tokens", MANIFEST_I32, false, SPEC(kv_tokens), 16, INT32_MAX},
    {"kv_type", MANIFEST_TEXT, false, SPEC(kv_type), 0, 0},
    {"weights", MANIFEST_TEXT, false, SPEC(weights), 0, 0},
    {"memory", MANIFEST_U64, false, SPEC(memory), 1 << 20, INT64_MAX},
    {"idle_s", MANIFEST_U32, false, SPEC(idle_s), 1, 86400 * 365},
    {"pinned", MANIFEST_BOOL, false, SPEC(pinned), 0, 0},
    {"preload", MANIFEST_BOOL, false, SPEC(preload), 0, 0},
    {"mmap", MANIFEST_NOT, false, SPEC(no_mmap), 0, 0},
};

struct manifest_in {
    struct hb_arena *arena;
    hearth_error *err;
    char object[96]; /* for sentences */
};

static hearth_status manifest_wrong(const struct manifest_in *in, const struct manifest_key *k, const char *wanted)
{
    return hb_fail(in->err, HEARTH_E_FORMAT, "%s: \"%s\": %s is required", in->object, k->key, wanted);
}

static hearth_status manifest_number(const struct manifest_in *in, const struct manifest_key *k, const json_t *v,
                                     int64_t *out)
{
    if (!json_is_integer(v))
        return manifest_wrong(in, k, "a whole number");
    *out = json_integer_value(v);
    if (*out < k->least || *out > k->most)
        return hb_fail(in->err, HEARTH_E_RANGE, "%s: \"%s\" is %lld; %lld to %lld are accepted", in->object, k->key,
                       (long long)*out, (long long)k->least, (long long)k->most);
    return HEARTH_OK;
}

static hearth_status manifest_text(const struct manifest_in *in, const struct manifest_key *k, const json_t *v,
                                   const char **out)
{
    size_t len = json_string_length(v);
    if (!json_is_string(v) || len == 0 || len > HS_MANIFEST_TEXT)
        return manifest_wrong(in, k, "a text of 1 to 255 bytes");
    const char *text = json_string_value(v);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 32 || text[i] == 127)
            return manifest_wrong(in, k, "a text without control characters");
    if (k->type == MANIFEST_NAME && !hs_model_name_ok(text, len))
        return hb_fail(in->err, HEARTH_E_RANGE,
                       "%s: \"%s\" is '%.*s'; 1 to 63 of letters, digits and . _ + : - are accepted, not . or - first",
                       in->object, k->key, (int)(len < 80 ? len : 80), text);
    return hb_arena_text(in->arena, text, len, out, in->err);
}

static hearth_status manifest_object(struct manifest_in *in, const json_t *object, const struct manifest_key *keys,
                                     size_t n_keys, void *to);

static hearth_status manifest_kind(const struct manifest_in *in, const struct manifest_key *k, const json_t *v,
                                   uint8_t *out)
{
    for (uint8_t i = 0; i < HS_MODEL_KINDS && json_is_string(v); i++)
        if (!strcmp(json_string_value(v), hs_model_kind_name[i])) {
            *out = i;
            return HEARTH_OK;
        }
    return manifest_wrong(in, k, "\"generate\", \"classify\" or \"embed\"");
}

static hearth_status manifest_value(struct manifest_in *in, const struct manifest_key *k, const json_t *v, void *to)
{
    void *at = (char *)to + k->offset;
    int64_t number;
    switch ((enum manifest_type)k->type) {
    case MANIFEST_NAME:
    case MANIFEST_TEXT:
        return manifest_text(in, k, v, at);
    case MANIFEST_KIND:
        return manifest_kind(in, k, v, at);
    case MANIFEST_SHA:
        return json_is_string(v) && hs_sha256_parse(json_string_value(v), json_string_length(v), at)
                   ? HEARTH_OK
                   : manifest_wrong(in, k, "a text of 64 hexadecimal digits");
    case MANIFEST_FILE: {
        struct hs_file_spec *file = at;
        if (!json_is_object(v))
            return manifest_wrong(in, k, "an object with file and sha256");
        file->hashed = true;
        return manifest_object(in, v, manifest_file_keys, HB_COUNT(manifest_file_keys), file);
    }
    case MANIFEST_BOOL:
    case MANIFEST_NOT:
        if (!json_is_boolean(v))
            return manifest_wrong(in, k, "true or false");
        *(bool *)at = json_is_true(v) == (k->type == MANIFEST_BOOL);
        return HEARTH_OK;
    case MANIFEST_I32:
    case MANIFEST_U32:
        HB_TRY(manifest_number(in, k, v, &number));
        *(int32_t *)at = (int32_t)number;
        return HEARTH_OK;
    default:
        HB_TRY(manifest_number(in, k, v, &number));
        *(uint64_t *)at = (uint64_t)number;
        return HEARTH_OK;
    }
}

static hearth_status manifest_object(struct manifest_in *in, const json_t *object, const struct manifest_key *keys,
                                     size_t n_keys, void *to)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        size_t i = 0;
        while (i < n_keys && strcmp(keys[i].key, name))
            i++;
        if (i == n_keys)
            return hb_fail(in->err, HEARTH_E_FORMAT, "%s: \"%s\" is no setting that is known", in->object, name);
        HB_TRY(manifest_value(in, &keys[i], value, to));
    }
    for (size_t i = 0; i < n_keys; i++)
        if (keys[i].must && !json_object_get(object, keys[i].key))
            return hb_fail(in->err, HEARTH_E_FORMAT, "%s: \"%s\" is missing", in->object, keys[i].key);
    return HEARTH_OK;
}

static hearth_status manifest_models(struct manifest_in *in, const json_t *array, struct hs_model_spec **specs, size_t *n,
                                     hearth_error *err)
{
    struct hs_model_spec *s;
    size_t count = json_array_size(array);
    if (count > HS_MAX_MODELS)
        return hb_fail(err, HEARTH_E_LIMIT, "manifest: %zu models; at most %u are accepted", count, HS_MAX_MODELS);
    HB_TRY(HB_ARENA_NEW(in->arena, struct hs_model_spec, count, &s, err));
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(array, i);
        const char *name = json_string_value(json_object_get(row, "name"));
        hb_format(in->object, sizeof in->object, "manifest: model %zu%s%s", i + 1, name ? " " : "", name ? name : "");
        if (!json_is_object(row))
            return hb_fail(err, HEARTH_E_FORMAT, "%s: an object is required", in->object);
        HB_TRY(manifest_object(in, row, manifest_keys, HB_COUNT(manifest_keys), &s[i]));
        s[i].model.hashed = true;
        if (s[i].labels.file && s[i].kind != HS_CLASSIFY)
            return hb_fail(err, HEARTH_E_FORMAT, "%s: \"labels\" belong to kind classify", in->object);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(s[j].name, s[i].name))
                return hb_fail(err, HEARTH_E_FORMAT, "%s: the name stands twice", in->object);
    }
    *specs = s;
    *n = count;
    return HEARTH_OK;
}

static hearth_status manifest_root(struct manifest_in *in, const json_t *root, struct hs_model_spec **specs, size_t *n,
                                   hearth_error *err)
{
    const json_t *version = json_object_get(root, "version"), *models = json_object_get(root, "models");
    const char *name;
    json_t *value;
    if (!json_is_object(root) || !json_is_integer(version) || !json_is_array(models))
        return hb_fail(err, HEARTH_E_FORMAT, "manifest: {\"version\": 1, \"models\": [...]} is required");
    json_object_foreach((json_t *)(uintptr_t)root, name, value)
    {
        if (value != version && value != models)
            return hb_fail(err, HEARTH_E_FORMAT, "manifest: \"%s\" is no setting that is known", name);
    }
    if (json_integer_value(version) != 1)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "manifest: version %lld; 1 is known",
                       (long long)json_integer_value(version));
    return manifest_models(in, models, specs, n, err);
}

hearth_status hs_manifest_read(const char *text, size_t len, struct hb_arena *arena, struct hs_model_spec **specs,
                               size_t *n, hearth_error *err)
{
    struct manifest_in in = {.arena = arena, .err = err};
    json_error_t where;
    if (len > HS_MANIFEST_BYTES)
        return hb_fail(err, HEARTH_E_LIMIT, "manifest: %zu bytes; at most %u are accepted", len, HS_MANIFEST_BYTES);
    if (len >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
        return hb_fail(err, HEARTH_E_FORMAT, "manifest: begins with a byte order mark; JSON has none");
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return hb_fail(err, HEARTH_E_FORMAT, "manifest: line %d, column %d: %s", where.line, where.column, where.text);
    hearth_status status = manifest_root(&in, root, specs, n, err);
    json_decref(root);
    return status;
}
