/* Templates to tokens: text between tags, and what stands inside of them. White space around tags goes
 * as trim_blocks and lstrip_blocks say:
 *
 *   {%-  {{-  {#-   all white space before it      -%}  -}}  -#}   all white space behind it
 *   {%   {#         blanks before it on its line    %}   #}         one line break behind it
 *   {%+             nothing                        +%}             nothing */
#include "tokenizer/hv_jinja.h"

static bool jlex_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool jlex_name(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

static bool jlex_digit(char c)
{
    return c >= '0' && c <= '9';
}

uint32_t hv_jlex_line(struct hv_jlex *lex, const char *at)
{
    if (!lex->line_at || at < lex->line_at) {
        lex->line_at = lex->text;
        lex->line = 1;
    }
    for (; lex->line_at < at; lex->line_at++)
        lex->line += *lex->line_at == '\n';
    return lex->line;
}

static char jlex_at(const struct hv_jlex *lex, size_t pos)
{
    return pos < lex->len ? lex->text[pos] : '\0';
}

/* Behind a tag that was closed at pos: white space that goes with it. */
static void jlex_after(struct hv_jlex *lex, char sign, bool block)
{
    if (sign == '-')
        while (lex->pos < lex->len && jlex_space(lex->text[lex->pos]))
            lex->pos++;
    else if (block && sign != '+' && jlex_at(lex, lex->pos) == '\n')
        lex->pos++;
}

/* The end of text [begin, at) in front of a tag. */
static size_t jlex_before(const struct hv_jlex *lex, size_t begin, size_t at)
{
    char kind = lex->text[at + 1], sign = jlex_at(lex, at + 2);
    size_t end = at;
    if (sign == '-') {
        while (end > begin && jlex_space(lex->text[end - 1]))
            end--;
        return end;
    }
    if (kind == '{' || sign == '+')
        return at;
    while (end > begin && jlex_space(lex->text[end - 1]) && lex->text[end - 1] != '\n')
        end--;
    bool line_start = end == 0 || lex->text[end - 1] == '\n';
    return line_start ? end : at;
}

static hearth_status jlex_comment(struct hv_jlex *lex)
{
    for (size_t p = lex->pos + 2; p + 1 < lex->len; p++)
        if (lex->text[p] == '#' && lex->text[p + 1] == '}') {
            lex->pos = p + 2;
            jlex_after(lex, lex->text[p - 1], true);
            return HEARTH_OK;
        }
    return hb_fail(lex->err, HEARTH_E_FORMAT, "template line %u: a comment without its end",
                   (unsigned)hv_jlex_line(lex, lex->text + lex->pos));
}

/* Text up to the next tag, or the tag that stands here. Empty text is no token. */
static hearth_status jlex_data(struct hv_jlex *lex, struct hv_jtoken *token)
{
    while (lex->pos < lex->len) {
        size_t begin = lex->pos, at = begin;
        while (at < lex->len && !(lex->text[at] == '{' && at + 1 < lex->len &&
                                  (lex->text[at + 1] == '{' || lex->text[at + 1] == '%' ||
                                   lex->text[at + 1] == '#')))
            at++;
        size_t end = at < lex->len ? jlex_before(lex, begin, at) : at;
        if (end > begin) {
            *token = (struct hv_jtoken){HV_JT_DATA, lex->text + begin, end - begin};
            lex->pos = at;
            return HEARTH_OK;
        }
        lex->pos = at;
        if (at == lex->len)
            break;
        if (lex->text[at + 1] == '#') {
            HB_TRY(jlex_comment(lex));
            continue;
        }
        lex->inside = lex->text[at + 1] == '{' ? HV_JT_VAR : HV_JT_BLOCK;
        *token = (struct hv_jtoken){lex->inside, lex->text + at, 2};
        lex->pos += 2;
        if (jlex_at(lex, lex->pos) == '-' || jlex_at(lex, lex->pos) == '+')
            lex->pos++;
        lex->brackets = 0;
        return HEARTH_OK;
    }
    *token = (struct hv_jtoken){HV_JT_END, lex->text + lex->len, 0};
    return HEARTH_OK;
}

/* The end of the tag, if it stands here: [-+] and %} or }}. */
static bool jlex_close(struct hv_jlex *lex, struct hv_jtoken *token)
{
    size_t p = lex->pos;
    char sign = jlex_at(lex, p), c = lex->inside == HV_JT_BLOCK ? '%' : '}';
    bool block = lex->inside == HV_JT_BLOCK;
    if (lex->brackets)
        return false;
    if (sign == '-' || (block && sign == '+'))
        p++;
    else
        sign = '\0';
    if (jlex_at(lex, p) != c || jlex_at(lex, p + 1) != '}')
        return false;
    *token = (struct hv_jtoken){block ? HV_JT_BLOCK_END : HV_JT_VAR_END, lex->text + lex->pos,
                                p + 2 - lex->pos};
    lex->pos = p + 2;
    lex->inside = HV_JT_DATA;
    jlex_after(lex, sign, block);
    return true;
}

static hearth_status jlex_string(struct hv_jlex *lex, struct hv_jtoken *token)
{
    char quote = lex->text[lex->pos];
    for (size_t p = lex->pos + 1; p < lex->len; p++) {
        if (lex->text[p] == '\\') {
            p++;
        } else if (lex->text[p] == quote) {
            *token = (struct hv_jtoken){HV_JT_STRING, lex->text + lex->pos + 1, p - lex->pos - 1};
            lex->pos = p + 1;
            return HEARTH_OK;
        }
    }
    return hb_fail(lex->err, HEARTH_E_FORMAT, "template line %u: a text without its end",
                   (unsigned)hv_jlex_line(lex, lex->text + lex->pos));
}

static void jlex_number(struct hv_jlex *lex, struct hv_jtoken *token)
{
    size_t p = lex->pos;
    enum hv_jtok kind = HV_JT_INT;
    while (jlex_digit(jlex_at(lex, p)))
        p++;
    if (jlex_at(lex, p) == '.' && jlex_digit(jlex_at(lex, p + 1))) {
        kind = HV_JT_FLOAT;
        for (p++; jlex_digit(jlex_at(lex, p));)
            p++;
    }
    *token = (struct hv_jtoken){kind, lex->text + lex->pos, p - lex->pos};
    lex->pos = p;
}

static hearth_status jlex_operator(struct hv_jlex *lex, struct hv_jtoken *token)
{
    static const char two[][3] = {"==", "!=", "<=", ">=", "//", "**"};
    static const char one[] = "+-*/%~<>=|.,:;()[]{}";
    size_t len = 1;
    char c = lex->text[lex->pos];
    for (size_t i = 0; i < HB_COUNT(two); i++)
        if (c == two[i][0] && jlex_at(lex, lex->pos + 1) == two[i][1])
            len = 2;
    if (!memchr(one, c, sizeof one - 1) && len == 1)
        return hb_fail(lex->err, HEARTH_E_FORMAT, "template line %u: unexpected '%.*s' in a tag",
                       (unsigned)hv_jlex_line(lex, lex->text + lex->pos), 1, lex->text + lex->pos);
    if (c == '(' || c == '[' || c == '{')
        lex->brackets++;
    else if ((c == ')' || c == ']' || c == '}') && lex->brackets)
        lex->brackets--;
    *token = (struct hv_jtoken){HV_JT_OP, lex->text + lex->pos, len};
    lex->pos += len;
    return HEARTH_OK;
}

hearth_status hv_jlex_next(struct hv_jlex *lex, struct hv_jtoken *token)
{
    if (lex->inside != HV_JT_VAR && lex->inside != HV_JT_BLOCK)
        return jlex_data(lex, token);
    while (lex->pos < lex->len && jlex_space(lex->text[lex->pos]))
        lex->pos++;
    if (lex->pos == lex->len)
        return hb_fail(lex->err, HEARTH_E_FORMAT, "template: it ends inside a tag");
    if (jlex_close(lex, token))
        return HEARTH_OK;
    char c = lex->text[lex->pos];
    if (c == '"' || c == '\'')
        return jlex_string(lex, token);
    if (jlex_digit(c)) {
        jlex_number(lex, token);
        return HEARTH_OK;
    }
    if (!jlex_name(c, true))
        return jlex_operator(lex, token);
    size_t p = lex->pos;
    while (p < lex->len && jlex_name(lex->text[p], false))
        p++;
    *token = (struct hv_jtoken){HV_JT_NAME, lex->text + lex->pos, p - lex->pos};
    lex->pos = p;
    return HEARTH_OK;
}

hearth_status hv_jlex_raw(struct hv_jlex *lex, struct hv_jtoken *token)
{
    size_t begin = lex->pos;
    for (size_t at = begin; at + 1 < lex->len; at++) {
        if (lex->text[at] != '{' || lex->text[at + 1] != '%')
            continue;
        size_t p = at + 2;
        if (jlex_at(lex, p) == '-' || jlex_at(lex, p) == '+')
            p++;
        while (jlex_space(jlex_at(lex, p)))
            p++;
        if (lex->len - p < 6 || memcmp(lex->text + p, "endraw", 6) != 0)
            continue;
        p += 6;
        while (jlex_space(jlex_at(lex, p)))
            p++;
        size_t end = jlex_before(lex, begin, at);
        lex->pos = p;
        lex->inside = HV_JT_BLOCK;
        lex->brackets = 0;
        struct hv_jtoken close;
        if (!jlex_close(lex, &close))
            continue;
        *token = (struct hv_jtoken){HV_JT_DATA, lex->text + begin, end - begin};
        return HEARTH_OK;
    }
    return hb_fail(lex->err, HEARTH_E_FORMAT, "template: raw without endraw");
}
