/* Builds without HEARTH_JSON: no labels are made, so none are asked. */
#include "base/hb_error.h"

hearth_status hearth_labels_open(const hearth_bytes *file, const hearth_allocator *allocator, hearth_labels **labels,
                                 hearth_error *err)
{
    (void)file, (void)allocator, (void)labels;
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "labels: this build has no JSON (HEARTH_JSON)");
}

void hearth_labels_close(hearth_labels *labels)
{
    (void)labels;
}

size_t hearth_labels_count(const hearth_labels *labels)
{
    (void)labels;
    return 0;
}

const char *hearth_labels_name(const hearth_labels *labels, size_t index)
{
    (void)labels, (void)index;
    return NULL;
}
