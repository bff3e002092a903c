#include "bn_tier.h"
#include "base/hb_error.h"
#include "bench/suites/bn_run.h"
#include <jansson.h>
#include <string.h>

static hearth_status tier_text(const char *path, const json_t *of, const char *key, char *dst, size_t size,
                               hearth_error *err)
{
    const json_t *v = json_object_get(of, key);
    if (!json_is_string(v) || json_string_length(v) >= size)
        return hb_fail(err, HEARTH_E_FORMAT, "%s: %s is no text of at most %zu bytes", path, key, size - 1);
    strcpy(dst, json_string_value(v));
    return HEARTH_OK;
}

static hearth_status tier_targets(const char *path, const json_t *of, struct bn_tier *t, hearth_error *err)
{
    static const struct {
        const char *key;
        size_t off;
    } rows[] = {
#define TIER_ROW(key) {#key, offsetof(struct bn_tier, key)},
        BN_TARGETS(TIER_ROW)
#undef TIER_ROW
    };
    const char *key;
    json_t *value;
    if (!json_is_object(of))
        return hb_fail(err, HEARTH_E_FORMAT, "%s: targets is no object", path);
    json_object_foreach((json_t *)(uintptr_t)of, key, value)
    {
        size_t i = 0;
        while (i < sizeof rows / sizeof *rows && strcmp(rows[i].key, key) != 0)
            i++;
        if (i == sizeof rows / sizeof *rows)
            return hb_fail(err, HEARTH_E_FORMAT, "%s: targets.%s is not known", path, key);
        if (!json_is_number(value) || !(json_number_value(value) > 0))
            return hb_fail(err, HEARTH_E_FORMAT, "%s: targets.%s is no number above 0", path, key);
        double v = json_number_value(value);
        memcpy((char *)t + rows[i].off, &v, sizeof v);
    }
    return HEARTH_OK;
}

static hearth_status tier_models(const char *path, const json_t *of, struct bn_tier *t, hearth_error *err)
{
    const char *key, *inner;
    json_t *value, *part;
    if (!json_is_object(of))
        return hb_fail(err, HEARTH_E_FORMAT, "%s: models is no object", path);
    json_object_foreach((json_t *)(uintptr_t)of, key, value)
    {
        size_t i = 0;
        while (i < BN_TIER_MODELS && strcmp(bn_role_name((enum bn_role)i), key) != 0)
            i++;
        if (i == BN_TIER_MODELS)
            return hb_fail(err, HEARTH_E_FORMAT, "%s: models.%s is not known; classifier, embedder, generator and "
                           "fast are", path, key);
        json_object_foreach(value, inner, part)
        {
            if (strcmp(inner, "file") != 0 && strcmp(inner, "size") != 0 && strcmp(inner, "purpose") != 0)
                return hb_fail(err, HEARTH_E_FORMAT, "%s: models.%s.%s is not known", path, key, inner);
        }
        HB_TRY(tier_text(path, value, "file", t->model[i].file, sizeof t->model[i].file, err));
        HB_TRY(tier_text(path, value, "size", t->model[i].size, sizeof t->model[i].size, err));
        HB_TRY(tier_text(path, value, "purpose", t->model[i].purpose, sizeof t->model[i].purpose, err));
        if (strchr(t->model[i].file, '/'))
            return hb_fail(err, HEARTH_E_FORMAT, "%s: models.%s.file is a name without folders", path, key);
    }
    return HEARTH_OK;
}

static hearth_status tier_suite(const char *path, const char *name, bool on, struct bn_tier *t, hearth_error *err)
{
    enum bn_suite_id suite = bn_suite_find(name, strlen(name));
    if (suite == BN_SUITES)
        return hb_fail(err, HEARTH_E_FORMAT, "%s: benchmarks.%s is no suite", path, name);
    t->suite[suite] = on;
    return HEARTH_OK;
}

static hearth_status tier_suites(const char *path, const json_t *of, struct bn_tier *t, hearth_error *err)
{
    _Static_assert(BN_SUITES <= sizeof t->suite / sizeof *t->suite, "a place for each suite");
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_array(of)) {
        json_array_foreach(of, i, value)
        {
            if (!json_is_string(value))
                return hb_fail(err, HEARTH_E_FORMAT, "%s: benchmarks[%zu] is no name", path, i);
            HB_TRY(tier_suite(path, json_string_value(value), true, t, err));
        }
        return HEARTH_OK;
    }
    if (!json_is_object(of))
        return hb_fail(err, HEARTH_E_FORMAT, "%s: benchmarks is neither a list of suites nor an object of switches", path);
    json_object_foreach((json_t *)(uintptr_t)of, key, value)
    {
        if (!json_is_boolean(value))
            return hb_fail(err, HEARTH_E_FORMAT, "%s: benchmarks.%s is neither true nor false", path, key);
        HB_TRY(tier_suite(path, key, json_is_true(value), t, err));
    }
    return HEARTH_OK;
}

static hearth_status tier_features(const char *path, const json_t *of, struct bn_tier *t, hearth_error *err)
{
    json_t *value;
    size_t i;
    if (of && !json_is_array(of))
        return hb_fail(err, HEARTH_E_FORMAT, "%s: features is no list of names", path);
    if (!of)
        for (size_t k = 0; k < BN_FEATURES; k++)
            t->features |= bn_features[k].built ? 1u << k : 0;
    json_array_foreach(of, i, value)
    {
        const char *name = json_is_string(value) ? json_string_value(value) : "";
        bool full = strcmp(name, "full") == 0, known = full; /* full: both formats */
        for (size_t k = 0; k < BN_FEATURES; k++) {
            if (strcmp(bn_features[k].name, name) != 0 && !(full && (k == BN_F_onnx || k == BN_F_gguf)))
                continue;
            known = true;
            if (!bn_features[k].built)
                return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s asks for the feature %s, and this build was made without it",
                               path, bn_features[k].name);
            t->features |= 1u << k;
        }
        if (!known)
            return hb_fail(err, HEARTH_E_FORMAT, "%s: features[%zu] is no feature: %s", path, i, name);
    }
    return HEARTH_OK;
}

static hearth_status tier_take(const char *path, const json_t *root, struct bn_tier *t, hearth_error *err)
{
    static const char *const keys[] = {"name", "description", "targets", "models", "benchmarks", "features"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)root, key, value)
    {
        size_t i = 0;
        while (i < sizeof keys / sizeof *keys && strcmp(keys[i], key) != 0)
            i++;
        if (i == sizeof keys / sizeof *keys)
            return hb_fail(err, HEARTH_E_FORMAT, "%s: the key %s is not known; name, description, targets, models, "
                           "benchmarks and features are", path, key);
    }
    HB_TRY(tier_text(path, root, "name", t->name, sizeof t->name, err));
    HB_TRY(tier_text(path, root, "description", t->description, sizeof t->description, err));
    HB_TRY(tier_targets(path, json_object_get(root, "targets"), t, err));
    if (json_object_get(root, "models"))
        HB_TRY(tier_models(path, json_object_get(root, "models"), t, err));
    HB_TRY(tier_suites(path, json_object_get(root, "benchmarks"), t, err));
    return tier_features(path, json_object_get(root, "features"), t, err);
}

hearth_status bn_tier_read(const char *path, struct bn_tier *tier, hearth_error *err)
{
    json_error_t why;
    struct bn_tier t = {.name = ""};
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return hb_fail(err, HEARTH_E_FORMAT, "%s is no JSON: line %d: %s", path, why.line, why.text);
    hearth_status status = tier_take(path, root, &t, err);
    json_decref(root);
    if (status == HEARTH_OK)
        *tier = t;
    return status;
}
