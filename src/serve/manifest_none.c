/* Builds without HEARTH_JSON have models of the command line only. */
#include "serve/hs_manifest.h"

hearth_status hs_manifest_read(const char *text, size_t len, struct hb_arena *arena, struct hs_model_spec **specs,
                               size_t *n, hearth_error *err)
{
    (void)text, (void)len, (void)arena, (void)specs, (void)n;
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "manifest: this build has no JSON (HEARTH_JSON)");
}
