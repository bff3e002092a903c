/* Names of classes: --labels, or id2label of the config.json that stands beside a model. */
#include "encode_texts.h"
#include <stdlib.h>
#include <string.h>

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
/* No config.json is fine; a broken one is an error. */
static int labels_config(const char *path, struct encode_labels *labels)
{
    hearth_file *file;
    hearth_labels *names = NULL;
    hearth_error err;
    hearth_status status = hearth_file_open(path, NULL, &file, &err);
    if (status == HEARTH_E_NOT_FOUND)
        return HC_OK;
    if (status == HEARTH_OK) {
        const hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
        status = hearth_labels_open(&bytes, NULL, &names, &err);
        hearth_file_close(file);
    }
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, path, status, &err);
    bool ok = true;
    for (size_t i = 0; i < labels->n && ok; i++) {
        const char *name = hearth_labels_name(names, i);
        ok = !name || labels_set(labels, i, name, strlen(name));
    }
    hearth_labels_close(names);
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
