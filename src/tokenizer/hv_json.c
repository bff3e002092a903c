/* tokenizer.json: parsed by jansson, then part after part. */
#include "tokenizer/hv_json.h"

const json_t *hv_json_get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value) ? value : NULL;
}

bool hv_json_is(const json_t *object, const char *key, const char *text)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static hearth_status json_wrong(struct hv_json *j, const char *key, const char *wanted)
{
    return hb_fail(j->err, HEARTH_E_FORMAT, "tokenizer.json: \"%s\" is not %s", key, wanted);
}

hearth_status hv_json_bool(struct hv_json *j, const json_t *object, const char *key, bool missing,
                           bool *out)
{
    const json_t *value = hv_json_get(object, key);
    *out = value ? json_is_true(value) : missing;
    return !value || json_is_boolean(value) ? HEARTH_OK : json_wrong(j, key, "true or false");
}

hearth_status hv_json_int(struct hv_json *j, const json_t *object, const char *key,
                          json_int_t missing, json_int_t *out)
{
    const json_t *value = hv_json_get(object, key);
    *out = value ? json_integer_value(value) : missing;
    return !value || json_is_integer(value) ? HEARTH_OK : json_wrong(j, key, "a whole number");
}

hearth_status hv_json_copy(struct hv_json *j, const json_t *string, struct hv_text *out)
{
    size_t len = json_string_length(string);
    if (!json_is_string(string))
        return hb_fail(j->err, HEARTH_E_FORMAT, "tokenizer.json: a text is expected where a token stands");
    HB_TRY(hb_arena_text(j->arena, json_string_value(string), len, &out->bytes, j->err));
    out->len = len;
    return HEARTH_OK;
}

hearth_status hv_json_text(struct hv_json *j, const json_t *object, const char *key,
                           struct hv_text *out)
{
    const json_t *value = hv_json_get(object, key);
    *out = (struct hv_text){NULL, 0};
    if (!value)
        return HEARTH_OK;
    return json_is_string(value) ? hv_json_copy(j, value, out) : json_wrong(j, key, "a text");
}

const char *hv_json_type(const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "";
}

hearth_status hv_json_unknown(struct hv_json *j, const char *what, const json_t *part,
                              const char *known)
{
    return hb_fail(j->err, HEARTH_E_UNSUPPORTED, "tokenizer.json: %s \"%s\"; known are %s", what,
                   hv_json_type(part), known);
}

static hearth_status json_pipe(struct hv_json *j, const json_t *root)
{
    HB_TRY(hv_json_normalizer(j, hv_json_get(root, "normalizer"), 0));
    HB_TRY(hv_json_pre_tokenizer(j, hv_json_get(root, "pre_tokenizer"), 0));
    HB_TRY(hv_json_model(j, root));
    HB_TRY(hv_json_added(j, root));
    HB_TRY(hv_json_post_processor(j, hv_json_get(root, "post_processor"), 0));
    HB_TRY(hv_json_truncation(j, hv_json_get(root, "truncation")));
    return hv_pipe_finish(j->pipe, j->arena, j->err);
}

hearth_status hv_pipe_from_json(const void *bytes, size_t size, struct hb_arena *arena,
                                struct hv_pipe **out, hearth_error *err)
{
    struct hv_json j = {.arena = arena, .err = err};
    json_error_t where;
    if (size > HV_MAX_JSON_BYTES)
        return hb_fail(err, HEARTH_E_LIMIT, "tokenizer.json: %zu bytes; up to %zu are accepted", size,
                       HV_MAX_JSON_BYTES);
    HB_TRY(HB_ARENA_NEW(arena, struct hv_pipe, 1, &j.pipe, err));
    json_t *root = json_loadb(bytes, size, JSON_ALLOW_NUL, &where);
    if (!root)
        return hb_fail(err, HEARTH_E_FORMAT, "tokenizer.json: line %d, column %d: %s", where.line,
                       where.column, where.text);
    hearth_status status = json_pipe(&j, root);
    json_decref(root);
    if (status == HEARTH_OK)
        *out = j.pipe;
    return status;
}
