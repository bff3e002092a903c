/* Normal forms by utf8proc.
 *
 * Characters are decomposed one by one, so marks of neighbours are not put in canonical order.
 * That shows only for marks that stay, and of those no two with different combining classes
 * other than 0 exist outside of musical notation and Hangul tone marks. */
#include "tokenizer/hv_normalize.h"
#include "base/hb_unicode.h"
#include <utf8proc.h>

bool hv_normalize_available(void)
{
    return true;
}

size_t hv_normalize(uint32_t cp, bool strip_accents, bool lowercase, uint32_t out[HV_NORMAL_MAX])
{
    utf8proc_int32_t parts[HV_NORMAL_MAX] = {(utf8proc_int32_t)cp};
    utf8proc_ssize_t n = 1;
    if (strip_accents) {
        n = utf8proc_decompose_char((utf8proc_int32_t)cp, parts, HV_NORMAL_MAX - 1,
                                    UTF8PROC_DECOMPOSE, NULL);
        if (n < 1 || n > HV_NORMAL_MAX - 1) {
            parts[0] = (utf8proc_int32_t)cp;
            n = 1;
        }
    }
    size_t kept = 0;
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        uint32_t c = (uint32_t)parts[i];
        if (strip_accents && hb_uc_category(c) == HB_UC_MN)
            continue;
        if (lowercase && c == 0x130) { /* the one letter whose lower case is two: i and a dot */
            out[kept++] = 'i';
            c = 0x307;
        } else if (lowercase) {
            c = (uint32_t)utf8proc_tolower(parts[i]);
        }
        out[kept++] = c;
    }
    return kept;
}

size_t hv_decompose(uint32_t cp, bool compat, uint32_t out[HV_DECOMPOSED_MAX])
{
    utf8proc_int32_t parts[HV_DECOMPOSED_MAX];
    int options = UTF8PROC_DECOMPOSE | (compat ? UTF8PROC_COMPAT : 0);
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)cp, parts, HV_DECOMPOSED_MAX,
                                                 (utf8proc_option_t)options, NULL);
    if (n < 1 || n > HV_DECOMPOSED_MAX) {
        out[0] = cp;
        return 1;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++)
        out[i] = (uint32_t)parts[i];
    return (size_t)n;
}

uint8_t hv_combining_class(uint32_t cp)
{
    return (uint8_t)utf8proc_get_property((utf8proc_int32_t)cp)->combining_class;
}

size_t hv_compose(uint32_t *points, size_t n)
{
    utf8proc_ssize_t left = utf8proc_normalize_utf32((utf8proc_int32_t *)points, (utf8proc_ssize_t)n,
                                                     UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    return left < 0 ? n : (size_t)left;
}

bool hv_grapheme_break(uint32_t left, uint32_t right, int32_t *state)
{
    return utf8proc_grapheme_break_stateful((utf8proc_int32_t)left, (utf8proc_int32_t)right, state);
}
