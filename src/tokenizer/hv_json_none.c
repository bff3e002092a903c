/* A build without jansson. */
#include "tokenizer/hv_pipe.h"

hearth_status hv_pipe_from_json(const void *bytes, size_t size, struct hb_arena *arena,
                                struct hv_pipe **out, hearth_error *err)
{
    return hb_fail(err, HEARTH_E_UNSUPPORTED,
                   "tokenizer: this library was built without JSON (HEARTH_JSON); vocab.txt is read");
}
