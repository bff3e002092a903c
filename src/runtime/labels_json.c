/* hearth_labels: id2label of a config.json, by jansson. */
#include "runtime/hr_model.h"
#include <jansson.h>
#include <string.h>

#define LABELS_MAX 65536u

struct hearth_labels {
    struct hb_arena arena;
    const char **names; /* [n] */
    size_t n;
};

/* Decimal digits below LABELS_MAX, as they are written without zeros in front. */
static bool labels_number(const char *key, size_t *out)
{
    size_t v = 0, len = 0;
    for (; key[len] >= '0' && key[len] <= '9' && len < 6; len++)
        v = v * 10 + (size_t)(key[len] - '0');
    *out = v;
    return len > 0 && key[len] == 0 && v < LABELS_MAX && (key[0] != '0' || len == 1);
}

static hearth_status labels_fill(struct hearth_labels *labels, const json_t *map, hearth_error *err)
{
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        if (!labels_number(key, &i) || !json_is_string(value))
            return hb_fail(err, HEARTH_E_FORMAT, "labels: id2label has '%s'; numbers below %u with a text are accepted",
                           key, LABELS_MAX);
        labels->n = i >= labels->n ? i + 1 : labels->n;
    }
    HB_TRY(HB_ARENA_NEW(&labels->arena, const char *, labels->n, &labels->names, err));
    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        labels_number(key, &i);
        HB_TRY(hb_arena_text(&labels->arena, json_string_value(value), json_string_length(value), &labels->names[i], err));
    }
    return HEARTH_OK;
}

hearth_status hearth_labels_open(const hearth_bytes *file, const hearth_allocator *allocator, hearth_labels **labels,
                                 hearth_error *err)
{
    const hearth_allocator none = {0};
    struct hb_alloc hooks;
    struct hb_arena arena;
    struct hearth_labels *l;
    json_error_t where;
    if (!file || !labels)
        return hb_fail(err, HEARTH_E_ARGUMENT, "labels: no bytes were given");
    HB_TRY(hr_hooks(allocator ? allocator : &none, &hooks, err));
    json_t *root = json_loadb(file->data, file->size, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return hb_fail(err, HEARTH_E_FORMAT, "labels: line %d: %s", where.line, where.text);
    const json_t *map = json_object_get(root, "id2label");
    hb_arena_init_growing(&arena, &hooks);
    hearth_status status = HB_ARENA_NEW(&arena, struct hearth_labels, 1, &l, err);
    if (status == HEARTH_OK) {
        l->arena = arena;
        status = !json_is_object(root) || (map && !json_is_object(map))
                     ? hb_fail(err, HEARTH_E_FORMAT, "labels: the file, or id2label in it, is no JSON object")
                     : labels_fill(l, map, err);
        arena = l->arena;
    }
    json_decref(root);
    if (status != HEARTH_OK) {
        hb_arena_release(&arena);
        return status;
    }
    *labels = l;
    return HEARTH_OK;
}

void hearth_labels_close(hearth_labels *labels)
{
    if (!labels)
        return;
    struct hb_arena arena = labels->arena;
    hb_arena_release(&arena);
}

size_t hearth_labels_count(const hearth_labels *labels)
{
    return labels->n;
}

const char *hearth_labels_name(const hearth_labels *labels, size_t index)
{
    return index < labels->n ? labels->names[index] : NULL;
}
