/* A build without JSON. */
#include "runtime/hr_grammar.h"

hearth_status hr_schema_grammar(const char *text, size_t len, struct hb_arena *work, const char **gbnf,
                                size_t *gbnf_len, hearth_error *err)
{
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "schema: this build reads no JSON (HEARTH_JSON)");
}
