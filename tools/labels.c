/* Names of classes: --labels, or id2label of the config.json that stands beside a model. */
#include "encode_texts.h"
#include <stdlib.h>
#include <string.h>
#if HEARTH_WITH_JSON
#include <jansson.h>
#endif

void encode_labels_free(struct encode_labels *labels)
{
    for (size_t i = 0; labels->name && i < labels->n; i++)
        free(labels->name[i]);
    free(labels->name);
    *labels = (struct encode_labels){0};
}

static bool labels_set(struct encode_labels *labels, size_t i, const char *text, size_t len)
{
    free(labels->name[i]);
    labels->name[i] = strndup(text, len);
    return labels->name[i] != NULL;
}

static int labels_split(const char *given, struct encode_labels *labels)
{
    size_t i = 0;
    for (const char *at = given; at; i++) {
        const char *comma = strchr(at, ',');
        if (i < labels->n && !labels_set(labels, i, at, comma ? (size_t)(comma - at) : strlen(at)))
            return hc_fail(HC_LIMIT, "--labels", "no memory");
        at = comma ? comma + 1 : NULL;
    }
    if (i != labels->n)
        return hc_fail(HC_USAGE, "--labels", "%zu names; the model has %zu classes", i, labels->n);
    return HC_OK;
}

#if HEARTH_WITH_JSON
/* A config.json without labels is none; a broken one is an error. */
static int labels_config(const char *path, struct encode_labels *labels)
{
    json_error_t where;
    json_t *root = json_load_file(path, 0, &where);
    if (!root)
        return json_error_code(&where) == json_error_cannot_open_file
                   ? HC_OK
                   : hc_fail(HC_REFUSED, path, "line %d: %s", where.line, where.text);
    const json_t *map = json_object_get(root, "id2label");
    bool ok = true;
    for (size_t i = 0; i < labels->n && ok; i++) {
        char key[32];
        snprintf(key, sizeof key, "%zu", i);
        const char *name = json_string_value(json_object_get(map, key));
        ok = !name || labels_set(labels, i, name, strlen(name));
    }
    json_decref(root);
    return ok ? HC_OK : hc_fail(HC_LIMIT, path, "no memory");
}
#endif

int encode_labels_read(const struct encode_settings *s, size_t n, struct encode_labels *labels)
{
    *labels = (struct encode_labels){calloc(n ? n : 1, sizeof *labels->name), n};
    bool ok = labels->name != NULL;
    for (size_t i = 0; i < n && ok; i++) {
        char text[32];
        int len = snprintf(text, sizeof text, "LABEL_%zu", i);
        ok = labels_set(labels, i, text, (size_t)len);
    }
    if (!ok)
        return hc_fail(HC_LIMIT, "labels", "no memory for %zu names", n);
    if (s->labels)
        return labels_split(s->labels, labels);
#if HEARTH_WITH_JSON
    char *path = encode_beside(s->common.model, "config.json");
    int rc = path ? labels_config(path, labels) : hc_fail(HC_LIMIT, "labels", "no memory");
    free(path);
    return rc;
#else
    return HC_OK;
#endif
}
