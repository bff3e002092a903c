/* A build without the interpreter (HEARTH_JINJA=OFF): families only. */
#include "tokenizer/hv_chat.h"

hearth_status hv_jinja_parse(struct hb_arena *arena, const char *text, size_t len,
                             struct hv_jinja **out, hearth_error *err)
{
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "template: this build interprets none (HEARTH_JINJA)");
}

hearth_status hv_jinja_run(const struct hv_jinja *jinja, const struct hv_chat_input *in,
                           struct hb_arena *arena, size_t max_bytes, struct hv_marked *out,
                           hearth_error *err)
{
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "template: this build interprets none (HEARTH_JINJA)");
}
