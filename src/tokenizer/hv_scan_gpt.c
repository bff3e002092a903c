/* The GPT-2 expression and the family of the one that Llama 3 took from cl100k.
 * Source: the pre_tokenizer patterns of the models' tokenizer.json files. */
#include "tokenizer/hv_scan.h"

size_t hv_scan_space(const uint8_t *p, size_t n, bool newlines)
{
    size_t pos = 0, last = 0, after_newline = 0;
    for (;;) {
        struct hv_char c = hv_char_at(p, n, pos);
        if (!(c.bit & HB_UC_SPACE))
            break;
        last = pos;
        pos += c.len;
        if (newlines && (c.cp == '\r' || c.cp == '\n'))
            after_newline = pos;
    }
    if (after_newline)
        return after_newline;
    /* the last space of a run goes with the word behind it, unless it is alone */
    return pos < n && last > 0 ? last : pos;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t hv_scan_gpt2(const uint8_t *p, size_t n)
{
    size_t contraction = hv_contraction(p, n, 0, false);
    if (contraction)
        return contraction;
    size_t pos = p[0] == ' ' && n > 1;
    struct hv_char c = hv_char_at(p, n, pos);
    if (c.bit & HB_UC_L)
        return hv_run(p, n, pos + c.len, HB_UC_L);
    if (c.bit & HB_UC_N)
        return hv_run(p, n, pos + c.len, HB_UC_N);
    if (!(c.bit & HB_UC_SPACE))
        return hv_run(p, n, pos + c.len, ~(HB_UC_SPACE | HB_UC_L | HB_UC_N));
    return hv_scan_space(p, n, false);
}

/* What the members of the family differ in. */
struct gpt_rules {
    bool contractions;
    uint32_t letters;     /* what a word is made of */
    int digits;           /* most numerals in a word, 0: any number */
    bool tail;            /* newlines go with the punctuation before them */
};

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?LETTERS+|\p{N}{1,DIGITS}
 * | ?[^\s LETTERS \p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
HB_INLINE size_t gpt_scan(const uint8_t *p, size_t n, struct gpt_rules rules)
{
    size_t contraction = rules.contractions ? hv_contraction(p, n, 0, true) : 0;
    if (contraction)
        return contraction;
    struct hv_char c = hv_char_at(p, n, 0);
    if (c.bit & HB_UC_L)
        return hv_run(p, n, c.len, rules.letters);
    if (c.bit & HB_UC_N) {
        size_t pos = c.len;
        for (int i = 1; rules.digits == 0 || i < rules.digits; i++) {
            struct hv_char d = hv_char_at(p, n, pos);
            if (!(d.bit & HB_UC_N))
                break;
            pos += d.len;
        }
        return pos;
    }
    struct hv_char next = hv_char_at(p, n, c.len);
    if (c.cp != '\r' && c.cp != '\n' && (next.bit & rules.letters))
        return hv_run(p, n, c.len + next.len, rules.letters);
    if (c.bit & rules.letters)
        return c.len; /* a mark without letters, where marks are letters */
    size_t pos = c.cp == ' ' ? c.len : 0;
    const uint32_t punct = ~(HB_UC_SPACE | HB_UC_N | rules.letters);
    if ((pos ? next.bit : c.bit) & punct) {
        pos = hv_run(p, n, pos, punct);
        while (rules.tail && hv_is_newline(p, n, pos))
            pos++;
        return pos;
    }
    return hv_scan_space(p, n, true);
}

size_t hv_scan_llama3(const uint8_t *p, size_t n)
{
    return gpt_scan(p, n, (struct gpt_rules){true, HB_UC_L, 3, true});
}

size_t hv_scan_qwen2(const uint8_t *p, size_t n)
{
    return gpt_scan(p, n, (struct gpt_rules){true, HB_UC_L, 1, true});
}

/* [^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+ and [^\s\p{L}\p{M}\p{N}]+ */
size_t hv_scan_qwen35(const uint8_t *p, size_t n)
{
    return gpt_scan(p, n, (struct gpt_rules){true, HB_UC_L | HB_UC_M, 1, true});
}

/* punctuation without the newlines behind it */
size_t hv_scan_seed_coder(const uint8_t *p, size_t n)
{
    return gpt_scan(p, n, (struct gpt_rules){true, HB_UC_L, 1, false});
}

/* \p{N}+ */
size_t hv_scan_minicpm5(const uint8_t *p, size_t n)
{
    return gpt_scan(p, n, (struct gpt_rules){true, HB_UC_L, 0, true});
}

/* no contractions: Turkish suffixes stay with their apostrophe */
size_t hv_scan_ufakzeka(const uint8_t *p, size_t n)
{
    return gpt_scan(p, n, (struct gpt_rules){false, HB_UC_L, 1, true});
}

/* As Llama 3, but \s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1} for spaces: the
 * largest power of two that fits. */
size_t hv_scan_jais2(const uint8_t *p, size_t n)
{
    size_t all = hv_scan_llama3(p, n);
    if (hv_run(p, all, 0, HB_UC_SPACE) < all || hv_is_newline(p, n, all - 1))
        return all;
    size_t fit = 0, pos = 0;
    for (size_t count = 1; pos < all && count <= 512; count++) {
        pos += hv_char_at(p, n, pos).len;
        if ((count & (count - 1)) == 0)
            fit = pos;
    }
    return fit;
}
