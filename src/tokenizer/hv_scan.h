/* The scanners, and what they are made of. The regular expression each stands for is beside its
 * body. In all of them \s is White_Space, categories are those of hb_unicode.h, and a byte that is
 * not UTF-8 counts as U+FFFD, a symbol. */
#ifndef HV_SCAN_H
#define HV_SCAN_H

#include "base/hb_unicode.h"
#include "tokenizer/hv_pretok.h"

hv_scan_fn hv_scan_gpt2, hv_scan_llama3, hv_scan_qwen2, hv_scan_qwen35, hv_scan_seed_coder;
hv_scan_fn hv_scan_minicpm5, hv_scan_ufakzeka, hv_scan_jais2;
hv_scan_fn hv_scan_gpt4o, hv_scan_tekken, hv_scan_tekken_contracted;
hv_scan_fn hv_scan_digit, hv_scan_digits, hv_scan_digits_1_3, hv_scan_ascii_3_digits;
hv_scan_fn hv_scan_newline, hv_scan_lines, hv_scan_end_space;
hv_scan_fn hv_scan_punct_falcon, hv_scan_punct_default, hv_scan_bloom;
hv_scan_fn hv_scan_cased_words, hv_scan_wide_punct, hv_scan_cjk_hangul, hv_scan_cjk_kana;
hv_scan_fn hv_scan_deepseek3, hv_scan_spaced_letters, hv_scan_spaced_punct;

/* A character of the span: its code point, category bit and length; bit 0 past the end. */
struct hv_char {
    uint32_t cp;
    uint32_t bit;
    size_t len;
};

HB_INLINE struct hv_char hv_char_at(const uint8_t *p, size_t n, size_t pos)
{
    struct hv_char c = {0, 0, 0};
    if (HB_UNLIKELY(pos >= n))
        return c;
    if (HB_LIKELY(p[pos] < 0x80)) {
        c.cp = p[pos];
        c.bit = 1u << hb_uc_stage3[p[pos]]; /* the blocks of ASCII stand first */
        c.len = 1;
        return c;
    }
    c.len = hb_utf8_take(p + pos, n - pos, &c.cp);
    c.bit = hb_uc_bit(c.cp);
    return c;
}

/* End of the run of characters from pos whose category is in the set. */
HB_INLINE size_t hv_run(const uint8_t *p, size_t n, size_t pos, uint32_t set)
{
    for (;;) {
        struct hv_char c = hv_char_at(p, n, pos);
        if (!(c.bit & set))
            return pos;
        pos += c.len;
    }
}

HB_INLINE bool hv_is_newline(const uint8_t *p, size_t n, size_t pos)
{
    return pos < n && (p[pos] == '\r' || p[pos] == '\n');
}

/* 's|'t|'re|'ve|'m|'ll|'d at pos: its length or 0. With fold in either case; U+017F folds to s. */
HB_INLINE size_t hv_contraction(const uint8_t *p, size_t n, size_t pos, bool fold)
{
    if (pos + 1 >= n || p[pos] != '\'')
        return 0;
    uint8_t lower = fold ? 0x20 : 0;
    uint8_t a = p[pos + 1] | lower;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if (pos + 2 >= n)
        return 0;
    if (fold && p[pos + 1] == 0xC5 && p[pos + 2] == 0xBF)
        return 3;
    uint8_t b = p[pos + 2] | lower;
    return ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at a white space character: the end of the match. */
size_t hv_scan_space(const uint8_t *p, size_t n, bool newlines);

/* A scanner made of one test: matches are words, and so is what lies between two of them. */
typedef size_t hv_match_fn(const uint8_t *p, size_t n, size_t pos); /* length at pos or 0 */

HB_INLINE size_t hv_split(const uint8_t *p, size_t n, hv_match_fn *match)
{
    size_t first = match(p, n, 0);
    if (first)
        return first;
    size_t pos = hv_char_at(p, n, 0).len;
    while (pos < n && match(p, n, pos) == 0)
        pos += hv_char_at(p, n, pos).len;
    return pos;
}

/* A run of characters that pass a test. */
typedef bool hv_test_fn(struct hv_char c);

HB_INLINE size_t hv_test_run(const uint8_t *p, size_t n, size_t pos, hv_test_fn *test)
{
    size_t end = pos;
    for (;;) {
        struct hv_char c = hv_char_at(p, n, end);
        if (c.len == 0 || !test(c))
            return end - pos;
        end += c.len;
    }
}

/* \s?TEST+ at pos */
HB_INLINE size_t hv_spaced(const uint8_t *p, size_t n, size_t pos, hv_test_fn *test)
{
    struct hv_char c = hv_char_at(p, n, pos);
    if (c.bit & HB_UC_SPACE) {
        size_t run = hv_test_run(p, n, pos + c.len, test);
        if (run)
            return c.len + run;
    }
    return hv_test_run(p, n, pos, test);
}

/* The same as a scanner; between matches only the start is tested, so that runs are walked twice
 * at most. */
HB_INLINE size_t hv_split_spaced(const uint8_t *p, size_t n, hv_test_fn *test)
{
    size_t first = hv_spaced(p, n, 0, test);
    if (first)
        return first;
    size_t pos = 0;
    struct hv_char c = hv_char_at(p, n, 0);
    for (;;) {
        pos += c.len;
        struct hv_char next = hv_char_at(p, n, pos);
        if (next.len == 0 || test(next))
            return pos;
        struct hv_char third = hv_char_at(p, n, pos + next.len);
        if ((next.bit & HB_UC_SPACE) && third.len && test(third))
            return pos;
        c = next;
    }
}

#endif
