/* A build without utf8proc has no content filter: half a comparison would let words through. */
#include "serve/hs_filter.h"
#include "base/hb_error.h"

hearth_status hs_filter_create(const struct hs_word *words, size_t n, const char *replacement, size_t replacement_len,
                               struct hb_arena *arena, struct hs_filter **out, hearth_error *err)
{
    (void)words, (void)n, (void)replacement, (void)replacement_len, (void)arena, (void)out;
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "filter: this program was built without Unicode normal forms "
                   "(HEARTH_UTF8PROC)");
}

hearth_status hs_filter_open(const struct hs_filter *filter, struct hb_arena *arena, struct hs_filter_stream **out,
                             hearth_error *err)
{
    (void)filter, (void)arena, (void)out;
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "filter: not in this build");
}

void hs_filter_push(struct hs_filter_stream *s, const char *text, size_t len, hs_filter_out_fn *out, void *user)
{
    (void)s, (void)text, (void)len, (void)out, (void)user;
}

void hs_filter_end(struct hs_filter_stream *s, hs_filter_out_fn *out, void *user)
{
    (void)s, (void)out, (void)user;
}

uint64_t hs_filter_matches(const struct hs_filter_stream *s)
{
    (void)s;
    return 0;
}
