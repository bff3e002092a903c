/* A build without jansson reads binary messages only. */
#include "serve/hs_wire.h"
#include "base/hb_error.h"

hearth_status hs_json_decode(const uint8_t *text, size_t len, struct hb_arena *arena,
                             const struct hs_message **m, union hs_any *msg, hearth_error *err)
{
    (void)text, (void)len, (void)arena, (void)m, (void)msg;
    return hb_fail(err, HEARTH_E_UNSUPPORTED,
                   "message: this program was built without JSON (HEARTH_JSON); version 2 is spoken");
}
