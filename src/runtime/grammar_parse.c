/* GBNF to trees of rules.
 *
 *   rule      ::= name "::=" alternatives newline          comments from # to the end of the line
 *   alternatives: sequences with | between; in brackets they may go over lines
 *   element:  "text" | [class] | [^class] | . | name | ( alternatives ), each with ? * + {m} {m,} {m,n}
 *   escapes:  \n \r \t \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH
 *
 * Source: the GBNF guide of llama.cpp (grammars/README.md). Refused here although it is accepted there: an
 * empty class, a rule without anything, a rule defined twice. */
#include "runtime/hr_grammar.h"
#include "base/hb_check.h"
#include "base/hb_unicode.h"
#include <string.h>

struct parse {
    struct hearth_grammar *g;
    const char *text;
    size_t len, pos;
    struct hb_arena *work;
    struct hr_gtree **trees;  /* [HR_GRAMMAR_MAX_RULES] */
    uint32_t *name_hash;      /* [2 * HR_GRAMMAR_MAX_RULES] rule + 1 */
    struct hr_grange *class_ranges; /* of the class at work */
    uint32_t n_class_ranges;
    uint32_t n_classes, n_ranges, n_trees, nesting;
    hearth_error *err;
};

#define PARSE_MAX_REPEATS  4 /* as in x?*: what follows recurses along them */
#define PARSE_CLASS_RANGES 4096
#define PARSE_CLASSES      ((size_t)1 << 16)

static unsigned parse_line(const struct parse *p)
{
    unsigned line = 1;
    for (size_t i = 0; i < p->pos; i++)
        line += p->text[i] == '\n';
    return line;
}

#define PARSE_FAIL(p, status, format, ...)                                                         \
    hb_fail((p)->err, (status), "grammar line %u: " format, parse_line(p), __VA_ARGS__)

static char parse_at(const struct parse *p, size_t ahead)
{
    return ahead < p->len - p->pos ? p->text[p->pos + ahead] : '\0';
}

static bool parse_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* Blanks and comments, and line breaks where they do not end the rule. */
static void parse_space(struct parse *p, bool lines)
{
    while (p->pos < p->len) {
        char c = p->text[p->pos];
        if (c == '#') {
            while (p->pos < p->len && p->text[p->pos] != '\n')
                p->pos++;
        } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
            p->pos++;
        } else {
            return;
        }
    }
}

static hearth_status parse_tree(struct parse *p, enum hr_gtree_kind kind, struct hr_gtree **out)
{
    if (++p->n_trees > HR_GRAMMAR_MAX_TREE)
        return PARSE_FAIL(p, HEARTH_E_LIMIT, "more than %zu elements", HR_GRAMMAR_MAX_TREE);
    HB_TRY(HB_ARENA_NEW(p->work, struct hr_gtree, 1, out, p->err));
    (*out)->kind = kind;
    return HEARTH_OK;
}

/* ---- characters ---- */

static int parse_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static hearth_status parse_escape(struct parse *p, uint32_t *cp)
{
    static const char from[] = "nrt\\\"[]-^/'", to[] = "\n\r\t\\\"[]-^/'";
    char c = parse_at(p, 1);
    const char *simple = c ? memchr(from, c, sizeof from - 1) : NULL;
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (simple) {
        *cp = (uint8_t)to[simple - from];
        p->pos += 2;
        return HEARTH_OK;
    }
    if (digits == 0)
        return PARSE_FAIL(p, HEARTH_E_FORMAT, "escape \\%.*s; \\n \\r \\t \\x \\u \\U and marks are "
                          "known", c != '\0', &p->text[p->pos + (c != '\0')]);
    *cp = 0;
    for (size_t i = 0; i < digits; i++) {
        int v = parse_hex(parse_at(p, 2 + i));
        if (v < 0 || *cp > 0xFFFFFFF)
            return PARSE_FAIL(p, HEARTH_E_FORMAT, "\\%c needs %zu hexadecimal digits", c, digits);
        *cp = *cp << 4 | (uint32_t)v;
    }
    if (*cp > 0x10FFFF || (*cp >= 0xD800 && *cp <= 0xDFFF))
        return PARSE_FAIL(p, HEARTH_E_RANGE, "U+%x is no character", (unsigned)*cp);
    p->pos += 2 + digits;
    return HEARTH_OK;
}

static hearth_status parse_char(struct parse *p, uint32_t *cp)
{
    if (p->text[p->pos] == '\\')
        return parse_escape(p, cp);
    const uint8_t *at = (const uint8_t *)p->text + p->pos;
    size_t len = hb_utf8_len(at, p->len - p->pos);
    if (len == 0)
        return PARSE_FAIL(p, HEARTH_E_FORMAT, "byte 0x%x is no UTF-8", (unsigned)*at);
    p->pos += hb_utf8_take(at, p->len - p->pos, cp);
    return HEARTH_OK;
}

static hearth_status parse_text(struct parse *p, struct hr_gtree **out)
{
    size_t n = 0, most = 0;
    uint32_t *cps;
    HB_TRY(parse_tree(p, HR_GT_TEXT, out));
    for (size_t i = p->pos + 1; i < p->len && p->text[i] != '"' && p->text[i] != '\n'; i++, most++)
        i += p->text[i] == '\\';
    HB_TRY(HB_ARENA_NEW(p->work, uint32_t, most + 1, &cps, p->err));
    for (p->pos++; parse_at(p, 0) != '"'; n++) {
        if (p->pos >= p->len || p->text[p->pos] == '\n')
            return PARSE_FAIL(p, HEARTH_E_FORMAT, "%s without its end", "a text");
        HB_TRY(parse_char(p, &cps[n]));
    }
    p->pos++;
    (*out)->text = cps;
    (*out)->a = (uint32_t)n;
    return HEARTH_OK;
}

/* ---- classes ---- */

static void parse_sort_ranges(struct hr_grange *r, uint32_t n)
{
    for (uint32_t gap = n / 2; gap > 0; gap /= 2)
        for (uint32_t i = gap; i < n; i++)
            for (uint32_t k = i; k >= gap && r[k - gap].lo > r[k].lo; k -= gap) {
                struct hr_grange swap = r[k];
                r[k] = r[k - gap];
                r[k - gap] = swap;
            }
}

static hearth_status parse_keep_range(struct parse *p, uint32_t lo, uint32_t hi)
{
    if (lo > hi)
        return HEARTH_OK;
    if (p->n_ranges == HR_GRAMMAR_MAX_RANGES)
        return PARSE_FAIL(p, HEARTH_E_LIMIT, "more than %zu ranges", HR_GRAMMAR_MAX_RANGES);
    p->g->ranges[p->n_ranges++] = (struct hr_grange){lo, hi};
    p->g->classes[p->n_classes].n++;
    return HEARTH_OK;
}

/* The same without surrogates, which are no characters. */
static hearth_status parse_add_range(struct parse *p, uint32_t lo, uint32_t hi)
{
    HB_TRY(parse_keep_range(p, lo, hi < 0xD7FF ? hi : 0xD7FF));
    return parse_keep_range(p, lo > 0xE000 ? lo : 0xE000, hi);
}

/* The collected ranges, sorted and joined, or what they leave out. */
static hearth_status parse_class_done(struct parse *p, bool negated, struct hr_gtree *tree)
{
    struct hr_grange *r = p->class_ranges;
    uint32_t n = p->n_class_ranges, kept = 0, next = 0;
    if (p->n_classes == PARSE_CLASSES)
        return PARSE_FAIL(p, HEARTH_E_LIMIT, "more than %zu classes", PARSE_CLASSES);
    parse_sort_ranges(r, n);
    for (uint32_t i = 0; i < n; i++) {
        if (kept && r[i].lo <= r[kept - 1].hi + 1) {
            if (r[i].hi > r[kept - 1].hi)
                r[kept - 1].hi = r[i].hi;
        } else {
            r[kept++] = r[i];
        }
    }
    p->g->classes[p->n_classes] = (struct hr_gclass){p->n_ranges, 0};
    for (uint32_t i = 0; i < kept; i++) {
        if (!negated)
            HB_TRY(parse_add_range(p, r[i].lo, r[i].hi));
        else if (r[i].lo > next)
            HB_TRY(parse_add_range(p, next, r[i].lo - 1));
        next = r[i].hi + 1;
    }
    if (negated && next <= 0x10FFFF)
        HB_TRY(parse_add_range(p, next, 0x10FFFF));
    if (p->g->classes[p->n_classes].n == 0)
        return PARSE_FAIL(p, HEARTH_E_FORMAT, "%s", "a class that no character is in");
    tree->a = p->n_classes++;
    return HEARTH_OK;
}

static hearth_status parse_class(struct parse *p, struct hr_gtree **out)
{
    HB_TRY(parse_tree(p, HR_GT_CLASS, out));
    p->n_class_ranges = 0;
    p->pos++;
    bool negated = parse_at(p, 0) == '^';
    p->pos += negated;
    if (parse_at(p, 0) == ']')
        return PARSE_FAIL(p, HEARTH_E_FORMAT, "%s", "an empty class; . is any character");
    while (parse_at(p, 0) != ']') {
        struct hr_grange r;
        if (p->pos >= p->len || p->text[p->pos] == '\n')
            return PARSE_FAIL(p, HEARTH_E_FORMAT, "%s without its end", "a class");
        HB_TRY(parse_char(p, &r.lo));
        r.hi = r.lo;
        if (parse_at(p, 0) == '-' && parse_at(p, 1) != ']' && p->pos + 1 < p->len) {
            p->pos++;
            HB_TRY(parse_char(p, &r.hi));
        }
        if (r.hi < r.lo)
            return PARSE_FAIL(p, HEARTH_E_RANGE, "a range from U+%x down to U+%x", (unsigned)r.lo,
                              (unsigned)r.hi);
        if (p->n_class_ranges == PARSE_CLASS_RANGES)
            return PARSE_FAIL(p, HEARTH_E_LIMIT, "more than %d ranges in a class",
                              PARSE_CLASS_RANGES);
        p->class_ranges[p->n_class_ranges++] = r;
    }
    p->pos++;
    return parse_class_done(p, negated, *out);
}

static hearth_status parse_any(struct parse *p, struct hr_gtree **out)
{
    HB_TRY(parse_tree(p, HR_GT_CLASS, out));
    p->pos++;
    p->n_class_ranges = 0;
    return parse_class_done(p, true, *out);
}

/* ---- rules ---- */

/* The rule with this name, made when it is met first. */
static hearth_status parse_rule_of(struct parse *p, const char *name, size_t len, uint32_t *rule)
{
    uint32_t h = 2166136261u, mask = 2 * HR_GRAMMAR_MAX_RULES - 1;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 16777619u;
    for (h &= mask; p->name_hash[h]; h = (h + 1) & mask) {
        const struct hr_grule *r = &p->g->rules[p->name_hash[h] - 1];
        if (r->name_len == len && memcmp(r->name, name, len) == 0) {
            *rule = p->name_hash[h] - 1;
            return HEARTH_OK;
        }
    }
    if (p->g->n_rules == HR_GRAMMAR_MAX_RULES)
        return PARSE_FAIL(p, HEARTH_E_LIMIT, "more than %d rules", HR_GRAMMAR_MAX_RULES);
    *rule = p->g->n_rules++;
    p->name_hash[h] = *rule + 1;
    p->g->rules[*rule] = (struct hr_grule){.name = name, .name_len = (uint32_t)len};
    return HEARTH_OK;
}

static size_t parse_name(struct parse *p)
{
    size_t begin = p->pos;
    while (p->pos < p->len && parse_name_byte(p->text[p->pos]))
        p->pos++;
    return p->pos - begin;
}

static hearth_status parse_alternatives(struct parse *p, bool nested, struct hr_gtree **out);

static hearth_status parse_element(struct parse *p, struct hr_gtree **out)
{
    char c = parse_at(p, 0);
    if (c == '"')
        return parse_text(p, out);
    if (c == '[')
        return parse_class(p, out);
    if (c == '.')
        return parse_any(p, out);
    if (parse_name_byte(c)) {
        const char *name = p->text + p->pos;
        HB_TRY(parse_tree(p, HR_GT_RULE, out));
        return parse_rule_of(p, name, parse_name(p), &(*out)->a);
    }
    if (c == '(') {
        if (++p->nesting > HR_GRAMMAR_MAX_NESTING)
            return PARSE_FAIL(p, HEARTH_E_LIMIT, "brackets deeper than %d", HR_GRAMMAR_MAX_NESTING);
        p->pos++;
        HB_TRY(parse_alternatives(p, true, out));
        if (parse_at(p, 0) != ')')
            return PARSE_FAIL(p, HEARTH_E_FORMAT, "%s without its end", "a bracket");
        p->pos++;
        p->nesting--;
        return HEARTH_OK;
    }
    return PARSE_FAIL(p, HEARTH_E_FORMAT, "found '%.*s'; a text, class, rule or bracket is accepted",
                      p->pos < p->len, p->text + p->pos);
}

static hearth_status parse_number(struct parse *p, uint32_t *n)
{
    uint64_t v = 0;
    if (parse_at(p, 0) < '0' || parse_at(p, 0) > '9')
        return PARSE_FAIL(p, HEARTH_E_FORMAT, "%s", "a number is missing in { }");
    for (; parse_at(p, 0) >= '0' && parse_at(p, 0) <= '9'; p->pos++)
        v = v > UINT32_MAX ? v : v * 10 + (uint64_t)(p->text[p->pos] - '0');
    if (v > HR_GRAMMAR_MAX_REPEAT)
        return PARSE_FAIL(p, HEARTH_E_LIMIT, "a repetition of more than %d", HR_GRAMMAR_MAX_REPEAT);
    *n = (uint32_t)v;
    return HEARTH_OK;
}

/* ? * + {m} {m,} {m,n} behind an element, any number of them. */
static hearth_status parse_repeats(struct parse *p, bool nested, struct hr_gtree **element)
{
    for (int i = 0;; i++) {
        uint32_t min = 0, max = UINT32_MAX;
        parse_space(p, nested);
        char c = parse_at(p, 0);
        if (c != '?' && c != '*' && c != '+' && c != '{')
            return HEARTH_OK;
        if (i == PARSE_MAX_REPEATS)
            return PARSE_FAIL(p, HEARTH_E_LIMIT, "more than %d repetitions of one element", i);
        p->pos++;
        min = c == '+';
        max = c == '?' ? 1 : max;
        if (c == '{') {
            HB_TRY(parse_number(p, &min));
            bool comma = parse_at(p, 0) == ',';
            p->pos += comma;
            max = comma ? max : min;
            if (comma && parse_at(p, 0) != '}')
                HB_TRY(parse_number(p, &max));
            if (parse_at(p, 0) != '}')
                return PARSE_FAIL(p, HEARTH_E_FORMAT, "%s", "a repetition without }");
            p->pos++;
            if (max < min)
                return PARSE_FAIL(p, HEARTH_E_RANGE, "a repetition from %u to %u", (unsigned)min,
                                  (unsigned)max);
        }
        struct hr_gtree *repeat;
        HB_TRY(parse_tree(p, HR_GT_REPEAT, &repeat));
        repeat->first = *element;
        repeat->a = min;
        repeat->b = max;
        *element = repeat;
    }
}

static bool parse_sequence_ends(const struct parse *p, bool nested)
{
    char c = parse_at(p, 0);
    return p->pos >= p->len || c == '|' || c == ')' || (!nested && (c == '\n' || c == '\r'));
}

static hearth_status parse_alternatives(struct parse *p, bool nested, struct hr_gtree **out)
{
    HB_TRY(parse_tree(p, HR_GT_ALTERNATIVES, out));
    for (struct hr_gtree **tail = &(*out)->first;; tail = &(*tail)->next) {
        HB_TRY(parse_tree(p, HR_GT_SEQUENCE, tail));
        struct hr_gtree **part = &(*tail)->first;
        for (parse_space(p, nested); !parse_sequence_ends(p, nested); parse_space(p, nested)) {
            HB_TRY(parse_element(p, part));
            HB_TRY(parse_repeats(p, nested, part));
            part = &(*part)->next;
        }
        if (parse_at(p, 0) != '|')
            return HEARTH_OK;
        p->pos++;
        parse_space(p, true); /* behind | a rule goes on in the next line */
    }
}

/* A rule may go on in a line that begins with |. */
static bool parse_goes_on(struct parse *p)
{
    size_t pos = p->pos;
    parse_space(p, true);
    if (parse_at(p, 0) == '|')
        return true;
    p->pos = pos;
    return false;
}

static hearth_status parse_rule(struct parse *p)
{
    const char *name = p->text + p->pos;
    uint32_t rule;
    size_t len = parse_name(p);
    if (len == 0)
        return PARSE_FAIL(p, HEARTH_E_FORMAT, "found '%.*s'; the name of a rule is accepted",
                          p->pos < p->len, p->text + p->pos);
    HB_TRY(parse_rule_of(p, name, len, &rule));
    parse_space(p, false);
    if (parse_at(p, 0) != ':' || parse_at(p, 1) != ':' || parse_at(p, 2) != '=')
        return PARSE_FAIL(p, HEARTH_E_FORMAT, "rule %.*s without ::=", (int)len, name);
    if (p->g->rules[rule].defined)
        return PARSE_FAIL(p, HEARTH_E_FORMAT, "rule %.*s is defined twice", (int)len, name);
    p->pos += 3;
    p->g->rules[rule].defined = true;
    HB_TRY(parse_alternatives(p, false, &p->trees[rule]));
    struct hr_gtree *last = p->trees[rule]->first;
    while (parse_goes_on(p)) {
        struct hr_gtree *more;
        p->pos++;
        HB_TRY(parse_alternatives(p, false, &more));
        while (last->next)
            last = last->next;
        last->next = more->first;
    }
    if (!p->trees[rule]->first->first && !p->trees[rule]->first->next)
        return PARSE_FAIL(p, HEARTH_E_FORMAT, "rule %.*s is empty; \"\" is the empty text", (int)len,
                          name);
    if (parse_at(p, 0) == ')')
        return PARSE_FAIL(p, HEARTH_E_FORMAT, "%s", "a ) without its (");
    return HEARTH_OK;
}

static hearth_status parse_all(struct parse *p)
{
    for (parse_space(p, true); p->pos < p->len; parse_space(p, true))
        HB_TRY(parse_rule(p));
    for (uint32_t i = 0; i < p->g->n_rules; i++)
        if (!p->g->rules[i].defined)
            return hb_fail(p->err, HEARTH_E_NOT_FOUND, "grammar: rule %.*s is used and not defined",
                           (int)p->g->rules[i].name_len, p->g->rules[i].name);
    for (uint32_t i = 0; i < p->g->n_rules; i++)
        if (p->g->rules[i].name_len == 4 && memcmp(p->g->rules[i].name, "root", 4) == 0) {
            p->g->root = i;
            return HEARTH_OK;
        }
    return hb_fail(p->err, HEARTH_E_NOT_FOUND, "grammar: no rule is called root");
}

hearth_status hr_grammar_parse(struct hearth_grammar *g, const char *text, size_t len,
                               struct hb_arena *work, hearth_error *err)
{
    struct parse p = {.g = g, .text = text, .len = len, .work = work, .err = err};
    const size_t rules = HR_GRAMMAR_MAX_RULES;
    if (len > HR_GRAMMAR_MAX_TEXT)
        return hb_fail(err, HEARTH_E_LIMIT, "grammar: %zu bytes; at most %zu are accepted", len,
                       HR_GRAMMAR_MAX_TEXT);
    /* a class takes a byte of text or more; it has at most two ranges for each of its bytes */
    size_t classes = len + 4 < PARSE_CLASSES ? len + 4 : PARSE_CLASSES;
    size_t ranges = len * 2 + 16 < HR_GRAMMAR_MAX_RANGES ? len * 2 + 16 : HR_GRAMMAR_MAX_RANGES;
    HB_TRY(HB_ARENA_NEW(work, struct hr_gtree *, rules, &p.trees, err));
    HB_TRY(HB_ARENA_NEW(work, uint32_t, 2 * rules, &p.name_hash, err));
    HB_TRY(HB_ARENA_NEW(work, struct hr_grange, PARSE_CLASS_RANGES, &p.class_ranges, err));
    HB_TRY(HB_ARENA_NEW(work, struct hr_grule, rules, &g->rules, err));
    HB_TRY(HB_ARENA_NEW(&g->arena, struct hr_gclass, classes, &g->classes, err));
    HB_TRY(HB_ARENA_NEW(&g->arena, struct hr_grange, ranges, &g->ranges, err));
    HB_TRY(parse_all(&p));
    return hr_grammar_emit(g, p.trees, work, err);
}
