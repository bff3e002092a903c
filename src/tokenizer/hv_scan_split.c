/* Small expressions that a pre-tokenizer applies one after the other: single classes whose matches
 * stand alone. */
#include "tokenizer/hv_scan.h"

/* \p{N} */
static size_t split_digit(const uint8_t *p, size_t n, size_t pos)
{
    struct hv_char c = hv_char_at(p, n, pos);
    return c.bit & HB_UC_N ? c.len : 0;
}

size_t hv_scan_digit(const uint8_t *p, size_t n)
{
    return hv_split(p, n, split_digit);
}

/* \p{N}+ : a run of numerals or a run of the rest */
size_t hv_scan_digits(const uint8_t *p, size_t n)
{
    size_t run = hv_run(p, n, 0, HB_UC_N);
    return run ? run : hv_run(p, n, 0, ~HB_UC_N);
}

/* \p{N}{1,3} */
static size_t split_digits_1_3(const uint8_t *p, size_t n, size_t pos)
{
    size_t end = pos;
    for (int i = 0; i < 3; i++)
        end += split_digit(p, n, end);
    return end - pos;
}

size_t hv_scan_digits_1_3(const uint8_t *p, size_t n)
{
    return hv_split(p, n, split_digits_1_3);
}

/* [0-9][0-9][0-9] */
static size_t split_ascii_3(const uint8_t *p, size_t n, size_t pos)
{
    for (size_t i = 0; i < 3; i++)
        if (pos + i >= n || p[pos + i] < '0' || p[pos + i] > '9')
            return 0;
    return 3;
}

size_t hv_scan_ascii_3_digits(const uint8_t *p, size_t n)
{
    return hv_split(p, n, split_ascii_3);
}

/* [\r\n] */
static size_t split_newline(const uint8_t *p, size_t n, size_t pos)
{
    return hv_is_newline(p, n, pos);
}

size_t hv_scan_newline(const uint8_t *p, size_t n)
{
    return hv_split(p, n, split_newline);
}

/* [^\n]+|[\n]+ */
size_t hv_scan_lines(const uint8_t *p, size_t n)
{
    size_t pos = 1;
    while (pos < n && (p[pos] == '\n') == (p[0] == '\n'))
        pos++;
    return pos;
}

/* \s+$ */
size_t hv_scan_end_space(const uint8_t *p, size_t n)
{
    size_t begin = n; /* of the last run of spaces so far */
    for (size_t pos = 0; pos < n;) {
        struct hv_char c = hv_char_at(p, n, pos);
        if (!(c.bit & HB_UC_SPACE))
            begin = n;
        else if (begin == n)
            begin = pos;
        pos += c.len;
    }
    return begin ? begin : n;
}

/* Maximal runs that pass, maximal runs that do not. */
HB_INLINE size_t split_class(const uint8_t *p, size_t n, hv_test_fn *test)
{
    bool pass = test(hv_char_at(p, n, 0));
    size_t end = 0;
    do
        end += hv_char_at(p, n, end).len;
    while (end < n && test(hv_char_at(p, n, end)) == pass);
    return end;
}

/* [\p{P}\$\+<=>\^~\|`]+ */
static bool split_is_punct_falcon(struct hv_char c)
{
    return (c.bit & HB_UC_P) || (c.cp < 0x80 && (c.bit & HB_UC_S));
}

size_t hv_scan_punct_falcon(const uint8_t *p, size_t n)
{
    return split_class(p, n, split_is_punct_falcon);
}

/* [\p{P}\$\+<=>\^~\|]+ */
static bool split_is_punct_default(struct hv_char c)
{
    return c.cp != '`' && split_is_punct_falcon(c);
}

size_t hv_scan_punct_default(const uint8_t *p, size_t n)
{
    return split_class(p, n, split_is_punct_default);
}

/* \s?\p{L}+ */
static bool split_is_letter(struct hv_char c)
{
    return c.bit & HB_UC_L;
}

size_t hv_scan_spaced_letters(const uint8_t *p, size_t n)
{
    return hv_split_spaced(p, n, split_is_letter);
}

/* \s?\p{P}+ */
static bool split_is_punct(struct hv_char c)
{
    return c.bit & HB_UC_P;
}

size_t hv_scan_spaced_punct(const uint8_t *p, size_t n)
{
    return hv_split_spaced(p, n, split_is_punct);
}

/* \s?[!-/:-~！-／：-～‘-‟　-。]+ : the range : to ~ holds the ASCII letters, as its makers wrote */
static bool split_is_wide_punct(struct hv_char c)
{
    uint32_t u = c.cp;
    return (u >= '!' && u <= '/') || (u >= ':' && u <= '~') || (u >= 0xFF01 && u <= 0xFF0F) ||
           (u >= 0xFF1A && u <= 0xFF5E) || (u >= 0x2018 && u <= 0x201F) ||
           (u >= 0x3000 && u <= 0x3002);
}

size_t hv_scan_wide_punct(const uint8_t *p, size_t n)
{
    return hv_split_spaced(p, n, split_is_wide_punct);
}

/* [一-龥ࠀ-一가-퟿]+ */
static bool split_is_cjk_hangul(struct hv_char c)
{
    return (c.cp >= 0x0800 && c.cp <= 0x9FA5) || (c.cp >= 0xAC00 && c.cp <= 0xD7FF);
}

size_t hv_scan_cjk_hangul(const uint8_t *p, size_t n)
{
    return split_class(p, n, split_is_cjk_hangul);
}

/* [一-龥぀-ゟ゠-ヿ]+ */
static bool split_is_cjk_kana(struct hv_char c)
{
    return (c.cp >= 0x4E00 && c.cp <= 0x9FA5) || (c.cp >= 0x3040 && c.cp <= 0x30FF);
}

size_t hv_scan_cjk_kana(const uint8_t *p, size_t n)
{
    return split_class(p, n, split_is_cjk_kana);
}

/*  ?[^(\s|.,!?…。，、।۔،)]+ : parentheses and bar are members of the class, too */
static bool split_is_bloom(struct hv_char c)
{
    switch (c.cp) {
    case '(': case ')': case '|': case '.': case ',': case '!': case '?':
    case 0x2026: case 0x3002: case 0xFF0C: case 0x3001: case 0x0964: case 0x06D4: case 0x060C:
        return false;
    default:
        return !(c.bit & HB_UC_SPACE);
    }
}

size_t hv_scan_bloom(const uint8_t *p, size_t n)
{
    size_t begin = p[0] == ' ';
    size_t run = hv_test_run(p, n, begin, split_is_bloom);
    if (run)
        return begin + run;
    /* between matches: up to a word, or the one space in front of it */
    size_t pos = hv_char_at(p, n, 0).len;
    while (pos < n) {
        struct hv_char c = hv_char_at(p, n, pos);
        struct hv_char next = hv_char_at(p, n, pos + c.len);
        if (split_is_bloom(c) || (c.cp == ' ' && next.len && split_is_bloom(next)))
            break;
        pos += c.len;
    }
    return pos;
}

/* [!-~ but letters and digits][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
 * |\s*[\r\n]+|\s+(?!\S)|\s+ ; what is left stands between matches. */
static size_t split_deepseek3(const uint8_t *p, size_t n, size_t pos)
{
    const uint32_t word = HB_UC_L | HB_UC_M, punct = HB_UC_P | HB_UC_S;
    struct hv_char c = hv_char_at(p, n, pos);
    struct hv_char next = hv_char_at(p, n, pos + c.len);
    uint32_t lower = next.cp | 0x20;
    if (c.cp < 0x80 && (c.bit & punct) && next.len && lower >= 'a' && lower <= 'z') {
        size_t end = pos + 1;
        while (end < n && (p[end] | 0x20) >= 'a' && (p[end] | 0x20) <= 'z')
            end++;
        return end - pos;
    }
    bool prefix = c.cp != '\r' && c.cp != '\n' && !(c.bit & (HB_UC_L | punct));
    if (prefix && (next.bit & word))
        return hv_run(p, n, pos + c.len, word) - pos;
    if (c.bit & word)
        return hv_run(p, n, pos, word) - pos;
    size_t begin = pos + (c.cp == ' ' && (next.bit & punct) ? c.len : 0);
    size_t end = hv_run(p, n, begin, punct);
    if (end > begin) {
        while (hv_is_newline(p, n, end))
            end++;
        return end - pos;
    }
    return c.bit & HB_UC_SPACE ? hv_scan_space(p + pos, n - pos, true) : 0;
}

size_t hv_scan_deepseek3(const uint8_t *p, size_t n)
{
    return hv_split(p, n, split_deepseek3);
}
