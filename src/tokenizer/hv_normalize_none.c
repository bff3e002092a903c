/* A build without utf8proc. */
#include "tokenizer/hv_normalize.h"

bool hv_normalize_available(void)
{
    return false;
}

size_t hv_normalize(uint32_t cp, bool strip_accents, bool lowercase, uint32_t out[HV_NORMAL_MAX])
{
    out[0] = cp;
    return 1;
}

size_t hv_decompose(uint32_t cp, bool compat, uint32_t out[HV_DECOMPOSED_MAX])
{
    out[0] = cp;
    return 1;
}

uint8_t hv_combining_class(uint32_t cp)
{
    return 0;
}

size_t hv_compose(uint32_t *points, size_t n)
{
    return n;
}

bool hv_grapheme_break(uint32_t left, uint32_t right, int32_t *state)
{
    return true;
}
