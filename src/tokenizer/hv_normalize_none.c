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
