#include "tokenizer/hv_internal.h"
hearth_status hv_wpm_build(struct hv_tokenizer *tok, hearth_error *err)
{
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "tokenizer: WordPiece is not in this build");
}
void hv_wpm_encode(struct hv_sink *sink, const uint8_t *text, size_t n)
{
}
