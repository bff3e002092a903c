/* Expressions that cut words where a lower-case letter meets an upper-case one: o200k (GPT-4o,
 * Llama 4) and Mistral's tekken.
 *
 *   [^\r\n\p{L}\p{N}]?UPPER*LOWER+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
 *   |[^\r\n\p{L}\p{N}]?UPPER+LOWER*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
 *   |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *
 *   UPPER = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]   LOWER = [\p{Ll}\p{Lm}\p{Lo}\p{M}]
 *
 * Letters without case and marks are in both sets, so a regex engine backtracks; the places where
 * it would end up are found directly. Source: tokenizer.json of the models. */
#include "tokenizer/hv_scan.h"

#define CASED_BOTH  (HB_UC_BIT(HB_UC_LM) | HB_UC_BIT(HB_UC_LO) | HB_UC_M)
#define CASED_UPPER (HB_UC_BIT(HB_UC_LU) | HB_UC_BIT(HB_UC_LT) | CASED_BOTH)
#define CASED_LOWER (HB_UC_BIT(HB_UC_LL) | CASED_BOTH)

/* Both word alternatives from pos, without prefix: *first is the end of UPPER*LOWER+ and *second
 * that of UPPER+LOWER*, 0 where it does not match. */
static void cased_word(const uint8_t *p, size_t n, size_t pos, size_t *first, size_t *second)
{
    size_t end = pos, after_both = 0;
    for (;;) {
        struct hv_char c = hv_char_at(p, n, end);
        if (!(c.bit & CASED_UPPER))
            break;
        end += c.len;
        if (c.bit & CASED_BOTH)
            after_both = end;
    }
    size_t lower = hv_run(p, n, end, CASED_LOWER);
    if (lower > end) {
        *first = lower;
        *second = end > pos ? lower : 0;
        return;
    }
    /* UPPER* gives back to the last character that LOWER takes as well; what follows that one is
     * upper case */
    *first = after_both;
    *second = end > pos ? end : 0;
}

HB_INLINE size_t cased_scan(const uint8_t *p, size_t n, bool contractions, int digits)
{
    struct hv_char c = hv_char_at(p, n, 0);
    bool may_prefix = c.cp != '\r' && c.cp != '\n' && !(c.bit & (HB_UC_L | HB_UC_N));
    size_t first_with = 0, second_with = 0, first = 0, second = 0;
    if (may_prefix)
        cased_word(p, n, c.len, &first_with, &second_with);
    if (!first_with && (c.bit & (CASED_UPPER | CASED_LOWER)))
        cased_word(p, n, 0, &first, &second);
    /* in the order of the alternatives, with the prefix before without */
    size_t word = first_with ? first_with : first ? first : second_with ? second_with : second;
    if (word)
        return word + (contractions ? hv_contraction(p, n, word, true) : 0);

    if (c.bit & HB_UC_N) {
        size_t pos = c.len;
        for (int i = 1; i < digits; i++) {
            struct hv_char d = hv_char_at(p, n, pos);
            if (!(d.bit & HB_UC_N))
                break;
            pos += d.len;
        }
        return pos;
    }
    const uint32_t punct = ~(HB_UC_SPACE | HB_UC_L | HB_UC_N);
    size_t pos = c.cp == ' ' ? c.len : 0;
    if (hv_char_at(p, n, pos).bit & punct) {
        pos = hv_run(p, n, pos, punct);
        while (pos < n && (p[pos] == '\r' || p[pos] == '\n' || p[pos] == '/'))
            pos++;
        return pos;
    }
    return hv_scan_space(p, n, true);
}

size_t hv_scan_gpt4o(const uint8_t *p, size_t n)
{
    return cased_scan(p, n, true, 3);
}

size_t hv_scan_tekken(const uint8_t *p, size_t n)
{
    return cased_scan(p, n, false, 1);
}
