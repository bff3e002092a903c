/* Patterns and ranges of numbers of JSON schema as GBNF.
 *
 * Most of a regular expression is GBNF already: brackets, |, ? * + {m,n} and classes. What differs is
 * put in quotes, and characters that JSON escapes are written with their escape. A class that contains
 * such characters loses them: it cannot say an escape. */
#include "runtime/hr_schema.h"
#include "base/hb_unicode.h"
#include <string.h>

/* Of one character inside a JSON string, as GBNF text. */
static hearth_status pattern_char(struct hr_schema_text *t, const char *bytes, size_t n)
{
    HB_TRY(hr_schema_put(t, "\"", 1));
    if (n == 1 && (*bytes == '"' || *bytes == '\\'))
        HB_TRY(hr_schema_quoted(t, "\\", 1));
    HB_TRY(hr_schema_quoted(t, bytes, n));
    return hr_schema_put(t, "\" ", 2);
}

static const char *pattern_shorthand(char c)
{
    switch (c) {
    case 'd':
        return "0-9";
    case 'w':
        return "a-zA-Z0-9_";
    case 's':
        return " ";
    default:
        return NULL;
    }
}

static hearth_status pattern_refuse(struct hr_schema_text *t, const char *what)
{
    return hb_fail(t->err, HEARTH_E_UNSUPPORTED, "schema: a pattern with %s", what);
}

#define PATTERN_NEVER "\\\"\\\\\\x00-\\x1F" /* in a JSON string only as escapes: " \ and controls */

struct pattern_set {
    uint32_t lo[128], hi[128];
    size_t n;
};

static hearth_status pattern_add(struct hr_schema_text *t, struct pattern_set *set, uint32_t lo,
                                 uint32_t hi)
{
    if (set->n == HB_COUNT(set->lo))
        return pattern_refuse(t, "a class of more than 128 parts");
    set->lo[set->n] = lo;
    set->hi[set->n++] = hi;
    return HEARTH_OK;
}

/* One character of a class; *many is set for \d, \w and \s, which are added at once. */
static hearth_status pattern_member(struct hr_schema_text *t, const char *p, size_t n, size_t *i,
                                    struct pattern_set *set, uint32_t *cp, bool *many)
{
    *many = false;
    if (p[*i] == '[' && *i + 1 < n && p[*i + 1] == ':')
        return pattern_refuse(t, "a named class");
    if (p[*i] != '\\') {
        size_t len = hb_utf8_len((const uint8_t *)p + *i, n - *i);
        if (len == 0)
            return pattern_refuse(t, "a byte that is no character");
        *i += hb_utf8_take((const uint8_t *)p + *i, n - *i, cp);
        return HEARTH_OK;
    }
    if (*i + 1 >= n)
        return pattern_refuse(t, "a \\ at its end");
    char c = p[*i + 1];
    const char *ranges = pattern_shorthand(c);
    *i += 2;
    *cp = (uint8_t)c;
    if (!ranges)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
                   ? pattern_refuse(t, "this escape in a class")
                   : HEARTH_OK;
    *many = true;
    for (; *ranges; ranges += ranges[1] == '-' ? 3 : 1)
        HB_TRY(pattern_add(t, set, (uint8_t)ranges[0], (uint8_t)ranges[ranges[1] == '-' ? 2 : 0]));
    return HEARTH_OK;
}

static hearth_status pattern_put_range(struct hr_schema_text *t, uint32_t lo, uint32_t hi)
{
    char text[8];
    if (lo > hi)
        return HEARTH_OK;
    for (int k = 0; k < 2; k++) {
        uint32_t cp = k ? hi : lo;
        HB_TRY(hr_schema_print(t, k ? "-\\U" : "\\U"));
        for (int d = 0; d < 8; d++)
            text[d] = "0123456789ABCDEF"[cp >> (28 - 4 * d) & 15];
        HB_TRY(hr_schema_put(t, text, 8));
    }
    return HEARTH_OK;
}

/* A range without the three gaps that a JSON string has. */
static hearth_status pattern_put_gaps(struct hr_schema_text *t, uint32_t lo, uint32_t hi)
{
    static const uint32_t from[] = {0x20, 0x23, 0x5D}, to[] = {0x21, 0x5B, 0x10FFFF};
    for (size_t k = 0; k < 3; k++)
        HB_TRY(pattern_put_range(t, lo > from[k] ? lo : from[k], hi < to[k] ? hi : to[k]));
    return HEARTH_OK;
}

/* A class, from behind its [; *i moves behind its ]. */
static hearth_status pattern_class(struct hr_schema_text *t, const char *p, size_t n, size_t *i)
{
    struct pattern_set set = {.n = 0};
    bool negated = *i < n && p[*i] == '^', many;
    *i += negated;
    for (bool first = true; *i < n && (p[*i] != ']' || first); first = false) {
        uint32_t lo = 0, hi;
        HB_TRY(pattern_member(t, p, n, i, &set, &lo, &many));
        if (many)
            continue;
        hi = lo;
        if (*i + 1 < n && p[*i] == '-' && p[*i + 1] != ']') {
            ++*i;
            HB_TRY(pattern_member(t, p, n, i, &set, &hi, &many));
            if (many || hi < lo)
                return pattern_refuse(t, "a range that goes down");
        }
        HB_TRY(pattern_add(t, &set, lo, hi));
    }
    if (*i >= n)
        return pattern_refuse(t, "a class without its end");
    ++*i;
    HB_TRY(hr_schema_print(t, negated ? "[^" PATTERN_NEVER : "["));
    for (size_t k = 0; k < set.n; k++)
        HB_TRY(negated ? pattern_put_range(t, set.lo[k], set.hi[k])
                       : pattern_put_gaps(t, set.lo[k], set.hi[k]));
    return hr_schema_put(t, "] ", 2);
}

static hearth_status pattern_escape(struct hr_schema_text *t, char c)
{
    const char *set = pattern_shorthand(c);
    if (set)
        return hr_schema_print(t, "[%s] ", set);
    if (c == 'D')
        return hr_schema_print(t, "[^" PATTERN_NEVER "0-9] ");
    if (c == 'W')
        return hr_schema_print(t, "[^" PATTERN_NEVER "a-zA-Z0-9_] ");
    if (c == 'S')
        return hr_schema_print(t, "[^" PATTERN_NEVER " ] ");
    if (c == 'n' || c == 'r' || c == 't') {
        HB_TRY(hr_schema_put(t, "\"\\\\", 3));
        HB_TRY(hr_schema_put(t, &c, 1));
        return hr_schema_put(t, "\" ", 2);
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return pattern_refuse(t, "an escape other than \\d \\D \\w \\W \\s \\S \\n \\r \\t and of marks");
    return pattern_char(t, &c, 1);
}

/* {m}, {m,}, {m,n} as they are; anything else in braces is refused. */
static hearth_status pattern_braces(struct hr_schema_text *t, const char *p, size_t n, size_t *i)
{
    size_t begin = *i;
    while (*i < n && p[*i] != '}' && ((p[*i] >= '0' && p[*i] <= '9') || p[*i] == ',' || p[*i] == '{'))
        ++*i;
    if (*i == n || p[*i] != '}')
        return pattern_refuse(t, "a { that is no repetition");
    ++*i;
    HB_TRY(hr_schema_put(t, p + begin, *i - begin));
    return hr_schema_put(t, " ", 1);
}

static hearth_status pattern_one(struct hr_schema_text *t, const char *p, size_t n, size_t *i)
{
    char c = p[*i];
    switch (c) {
    case '\\':
        if (*i + 1 >= n)
            return pattern_refuse(t, "a \\ at its end");
        *i += 2;
        return pattern_escape(t, p[*i - 1]);
    case '[':
        ++*i;
        return pattern_class(t, p, n, i);
    case '{':
        return pattern_braces(t, p, n, i);
    case '.':
        ++*i;
        return hr_schema_print(t, "[^" PATTERN_NEVER "] ");
    case '(':
        if (*i + 2 < n && p[*i + 1] == '?' && p[*i + 2] != ':')
            return pattern_refuse(t, "look-around or a named group");
        *i += *i + 2 < n && p[*i + 1] == '?' ? 3 : 1;
        return hr_schema_put(t, "( ", 2);
    case '*':
    case '+':
    case '?':
        if (*i + 1 < n && (p[*i + 1] == '?' || p[*i + 1] == '+'))
            return pattern_refuse(t, "a lazy or possessive repetition");
        ++*i;
        HB_TRY(hr_schema_put(t, &c, 1));
        return hr_schema_put(t, " ", 1);
    case ')':
    case '|':
        ++*i;
        HB_TRY(hr_schema_put(t, &c, 1));
        return hr_schema_put(t, " ", 1);
    case '^':
    case '$':
        return pattern_refuse(t, "^ or $ inside");
    default: {
        size_t len = hb_utf8_len((const uint8_t *)p + *i, n - *i);
        if (len == 0 || (uint8_t)c < 0x20)
            return pattern_refuse(t, "a byte that is no character");
        *i += len;
        return pattern_char(t, p + *i - len, len);
    }
    }
}

hearth_status hr_schema_pattern(struct hr_schema_text *t, const char *p, size_t n)
{
    if (n < 2 || p[0] != '^' || p[n - 1] != '$' || (n > 2 && p[n - 2] == '\\'))
        return hb_fail(t->err, HEARTH_E_UNSUPPORTED, "schema: pattern \"%.*s\"; one from ^ to $ is "
                       "accepted", (int)(n > 80 ? 80 : n), p);
    HB_TRY(hr_schema_put(t, "( ", 2));
    if (n == 2)
        HB_TRY(hr_schema_put(t, "\"\" ", 3));
    for (size_t i = 1; i < n - 1;)
        HB_TRY(pattern_one(t, p, n - 1, &i));
    return hr_schema_put(t, ") ", 2);
}

/* ---- numbers ---- */

static size_t integers_digits(uint64_t v, char out[20])
{
    char back[20];
    size_t n = 0;
    do
        back[n++] = (char)('0' + v % 10);
    while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = back[n - 1 - i];
    return n;
}

static hearth_status integers_any(struct hr_schema_text *t, size_t n)
{
    return n ? hr_schema_print(t, "[0-9]{%u} ", (unsigned)n) : HEARTH_OK;
}

/* Numbers of n digits from lo to hi, whose digits before i agree: at most 20 deep. */
static hearth_status integers_between(struct hr_schema_text *t, const char *lo, const char *hi, size_t i,
                                      size_t n)
{
    bool low = true, high = true;
    for (size_t k = i; k < n; k++) {
        low &= lo[k] == '0';
        high &= hi[k] == '9';
    }
    if (low && high)
        return integers_any(t, n - i);
    if (lo[i] == hi[i]) {
        HB_TRY(hr_schema_print(t, "\"%c\" ", lo[i]));
        return i + 1 < n ? integers_between(t, lo, hi, i + 1, n) : HEARTH_OK;
    }
    char nines[20], zeros[20];
    memset(nines, '9', sizeof nines);
    memset(zeros, '0', sizeof zeros);
    HB_TRY(hr_schema_print(t, "( \"%c\" ", lo[i]));
    if (i + 1 < n)
        HB_TRY(integers_between(t, lo, nines, i + 1, n));
    if (lo[i] + 1 < hi[i]) {
        HB_TRY(hr_schema_print(t, "| [%c-%c] ", lo[i] + 1, hi[i] - 1));
        HB_TRY(integers_any(t, n - i - 1));
    }
    HB_TRY(hr_schema_print(t, "| \"%c\" ", hi[i]));
    if (i + 1 < n)
        HB_TRY(integers_between(t, zeros, hi, i + 1, n));
    return hr_schema_print(t, ") ");
}

static hearth_status integers_positive(struct hr_schema_text *t, uint64_t lo, uint64_t hi)
{
    char a[20], b[20];
    uint64_t from = lo, top = 9;
    bool first = true;
    HB_TRY(hr_schema_print(t, "( "));
    while (from <= hi) {
        while (top < from)
            top = top * 10 + 9;
        uint64_t to = top < hi ? top : hi;
        size_t n = integers_digits(from, a);
        integers_digits(to, b);
        HB_TRY(hr_schema_print(t, first ? "" : "| "));
        HB_TRY(integers_between(t, a, b, 0, n));
        first = false;
        from = to + 1;
    }
    return hr_schema_print(t, ") ");
}

hearth_status hr_schema_integers(struct hr_schema_text *t, int64_t lo, int64_t hi)
{
    HB_TRY(hr_schema_print(t, "( "));
    if (lo < 0) {
        HB_TRY(hr_schema_print(t, "\"-\" "));
        HB_TRY(integers_positive(t, hi < 0 ? (uint64_t)-hi : 1, (uint64_t)-lo));
    }
    if (hi >= 0) {
        HB_TRY(hr_schema_print(t, lo < 0 ? "| " : ""));
        HB_TRY(integers_positive(t, lo > 0 ? (uint64_t)lo : 0, (uint64_t)hi));
    }
    return hr_schema_print(t, ") ");
}
