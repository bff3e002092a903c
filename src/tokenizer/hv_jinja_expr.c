/* Expressions of templates, by recursive descent in Jinja's order of precedence:
 *
 *   choice   a if b else c          compare  == != < <= > >= in, not in, chained
 *   or       and       not          sum + -      concat ~      product * / // %
 *   unary -  postfix .x [x] (x)     filter |x    test is x
 *
 * Nesting is counted where brackets and signs recurse; chains, which loop, by the height of nodes. */
#include "tokenizer/hv_jinja.h"

static hearth_status expr_unary(struct hv_jparser *p, bool filters, struct hv_jnode **out);

/* ---- literals ---- */

static int expr_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape at s, behind its backslash; returns how much of s it takes. */
static size_t expr_escape(const char *s, size_t n, char *out, size_t *len)
{
    static const char from[] = "ntrbfav0", to[] = "\n\t\r\b\f\a\v\0";
    const char *simple = memchr(from, s[0], sizeof from - 1);
    size_t digits = s[0] == 'x' ? 2 : s[0] == 'u' ? 4 : 0;
    uint32_t cp = 0;
    if (simple) {
        out[(*len)++] = to[simple - from];
        return 1;
    }
    if (digits && n > digits) {
        size_t i = 1;
        for (; i <= digits && expr_hex(s[i]) >= 0; i++)
            cp = cp << 4 | (uint32_t)expr_hex(s[i]);
        if (i == digits + 1 && (cp < 0xD800 || cp > 0xDFFF)) {
            *len += hb_utf8_put(cp, (uint8_t *)out + *len);
            return i;
        }
    }
    if (s[0] == '\\' || s[0] == '\'' || s[0] == '"') {
        out[(*len)++] = s[0];
        return 1;
    }
    out[(*len)++] = '\\'; /* as Python: an unknown escape stands for itself */
    return 0;
}

static hearth_status expr_string(struct hv_jparser *p, struct hv_jnode *node)
{
    /* neighbours are one text; escapes only get shorter */
    char *text;
    size_t len = 0;
    struct hv_jlex ahead = p->lex;
    struct hv_jtoken t = p->token;
    size_t total = t.len;
    for (;;) {
        HB_TRY(hv_jlex_next(&ahead, &t));
        if (t.kind != HV_JT_STRING)
            break;
        total += t.len;
    }
    HB_TRY(HB_ARENA_NEW(p->arena, char, total + 1, &text, p->err));
    while (p->token.kind == HV_JT_STRING) {
        const char *s = p->token.at;
        for (size_t i = 0; i < p->token.len;) {
            if (s[i] != '\\' || i + 1 == p->token.len)
                text[len++] = s[i++];
            else
                i += 1 + expr_escape(s + i + 1, p->token.len - i - 1, text, &len);
        }
        HB_TRY(hv_jparse_next(p));
    }
    node->value = hv_jstring((struct hv_jstr){text, NULL, len});
    return HEARTH_OK;
}

static hearth_status expr_number(struct hv_jparser *p, struct hv_jnode *node)
{
    const char *s = p->token.at;
    size_t i = 0;
    int64_t whole = 0;
    for (; i < p->token.len && s[i] != '.'; i++) {
        if (whole > (INT64_MAX - 9) / 10)
            return hv_jparse_unexpected(p, "a smaller number");
        whole = whole * 10 + (s[i] - '0');
    }
    node->value = hv_jint(whole);
    if (p->token.kind == HV_JT_FLOAT) {
        double value = (double)whole, scale = 0.1;
        for (i++; i < p->token.len; i++, scale *= 0.1)
            value += (s[i] - '0') * scale;
        node->value = (struct hv_jval){.type = HV_J_FLOAT, .as.f = value};
    }
    return hv_jparse_next(p);
}

static hearth_status expr_name(struct hv_jparser *p, struct hv_jnode *node)
{
    static const struct {
        const char *text;
        enum hv_jtype type;
        bool yes;
    } words[] = {{"true", HV_J_BOOL, true}, {"True", HV_J_BOOL, true}, {"false", HV_J_BOOL, false},
                 {"False", HV_J_BOOL, false}, {"none", HV_J_NONE, false}, {"None", HV_J_NONE, false}};
    node->op = HV_JN_NAME;
    node->name = (struct hv_jstr){p->token.at, NULL, p->token.len};
    for (size_t i = 0; i < HB_COUNT(words); i++)
        if (hv_jis(node->name, words[i].text)) {
            node->op = HV_JN_VALUE;
            node->value = (struct hv_jval){.type = words[i].type, .as.yes = words[i].yes};
        }
    return hv_jparse_next(p);
}

/* Expressions with commas between, up to the closing bracket, which is taken. */
static hearth_status expr_sequence(struct hv_jparser *p, const char *close, struct hv_jnode *node,
                                   bool *comma)
{
    struct hv_jnode **tail = &node->list;
    bool took = false;
    *comma = false;
    for (;;) {
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, close, &took));
        if (took)
            return HEARTH_OK;
        HB_TRY(hv_jparse_expr(p, tail));
        tail = &(*tail)->next;
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, ",", &took));
        *comma |= took;
        if (!took)
            return hv_jparse_expect(p, HV_JT_OP, close);
    }
}

static hearth_status expr_dict(struct hv_jparser *p, struct hv_jnode *node)
{
    struct hv_jnode **tail = &node->list;
    bool took = false;
    node->op = HV_JN_DICT;
    for (;;) {
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, "}", &took));
        if (took)
            return HEARTH_OK;
        HB_TRY(hv_jparse_expr(p, tail));
        tail = &(*tail)->next;
        HB_TRY(hv_jparse_expect(p, HV_JT_OP, ":"));
        HB_TRY(hv_jparse_expr(p, tail));
        tail = &(*tail)->next;
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, ",", &took));
        if (!took)
            return hv_jparse_expect(p, HV_JT_OP, "}");
    }
}

static hearth_status expr_bracketed(struct hv_jparser *p, struct hv_jnode **out)
{
    struct hv_jnode *node = *out;
    bool took = false, comma = false;
    HB_TRY(hv_jparse_nest(p));
    HB_TRY(hv_jparse_skip(p, HV_JT_OP, "{", &took));
    if (took) {
        HB_TRY(expr_dict(p, node));
    } else {
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, "[", &took));
        node->op = HV_JN_LIST;
        if (took) {
            HB_TRY(expr_sequence(p, "]", node, &comma));
        } else {
            HB_TRY(hv_jparse_expect(p, HV_JT_OP, "("));
            HB_TRY(expr_sequence(p, ")", node, &comma));
            if (!comma && node->list) { /* only brackets */
                *out = node->list;
                p->nesting--;
                return HEARTH_OK;
            }
        }
    }
    p->nesting--;
    return hv_jparse_done(p, node);
}

static hearth_status expr_primary(struct hv_jparser *p, struct hv_jnode **out)
{
    HB_TRY(hv_jparse_node(p, HV_JN_VALUE, out));
    switch (p->token.kind) {
    case HV_JT_STRING:
        return expr_string(p, *out);
    case HV_JT_INT:
    case HV_JT_FLOAT:
        return expr_number(p, *out);
    case HV_JT_NAME:
        return expr_name(p, *out);
    default:
        if (hv_jparse_is(p, HV_JT_OP, "(") || hv_jparse_is(p, HV_JT_OP, "[") ||
            hv_jparse_is(p, HV_JT_OP, "{"))
            return expr_bracketed(p, out);
        return hv_jparse_unexpected(p, "an expression");
    }
}

/* ---- what stands behind a primary ---- */

/* (a, b, name=c) behind a call, filter or test: nodes in node->list, named ones with their name. */
static hearth_status expr_arguments(struct hv_jparser *p, struct hv_jnode *node)
{
    struct hv_jnode **tail = &node->list;
    bool took = false;
    HB_TRY(hv_jparse_nest(p));
    for (;;) {
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, ")", &took));
        if (took)
            break;
        struct hv_jstr name = {NULL, NULL, 0};
        if (p->token.kind == HV_JT_NAME) {
            struct hv_jlex ahead = p->lex;
            struct hv_jtoken t;
            HB_TRY(hv_jlex_next(&ahead, &t));
            if (t.kind == HV_JT_OP && t.len == 1 && *t.at == '=') {
                name = (struct hv_jstr){p->token.at, NULL, p->token.len};
                HB_TRY(hv_jparse_next(p));
                HB_TRY(hv_jparse_next(p));
            }
        }
        struct hv_jnode *argument;
        HB_TRY(hv_jparse_node(p, HV_JN_BODY, &argument)); /* a box, so that its name has a place */
        HB_TRY(hv_jparse_expr(p, &argument->a));
        argument->name = name;
        HB_TRY(hv_jparse_done(p, argument));
        *tail = argument;
        tail = &argument->next;
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, ",", &took));
        if (!took) {
            HB_TRY(hv_jparse_expect(p, HV_JT_OP, ")"));
            break;
        }
    }
    p->nesting--;
    return HEARTH_OK;
}

/* [i] or [from:to:step]: a is the value, b the index; or a LIST in `list` of three parts. */
static hearth_status expr_subscript(struct hv_jparser *p, struct hv_jnode *node)
{
    struct hv_jnode *part[3] = {NULL, NULL, NULL};
    int n = 0;
    bool took = false, colon = false;
    HB_TRY(hv_jparse_nest(p));
    while (!hv_jparse_is(p, HV_JT_OP, "]")) {
        if (!hv_jparse_is(p, HV_JT_OP, ":"))
            HB_TRY(hv_jparse_expr(p, &part[n]));
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, ":", &took));
        if (!took)
            break;
        colon = true;
        if (++n > 2)
            return hv_jparse_unexpected(p, "at most two colons");
    }
    HB_TRY(hv_jparse_expect(p, HV_JT_OP, "]"));
    p->nesting--;
    if (!colon && !part[0])
        return hv_jparse_unexpected(p, "an index");
    node->op = colon ? HV_JN_SLICE : HV_JN_ITEM;
    node->b = part[0];
    node->c = part[1];
    node->list = part[2];
    return HEARTH_OK;
}

static hearth_status expr_postfix(struct hv_jparser *p, struct hv_jnode **out)
{
    for (;;) {
        struct hv_jnode *node;
        bool took = false;
        if (!hv_jparse_is(p, HV_JT_OP, ".") && !hv_jparse_is(p, HV_JT_OP, "[") &&
            !hv_jparse_is(p, HV_JT_OP, "("))
            return HEARTH_OK;
        HB_TRY(hv_jparse_node(p, HV_JN_ATTR, &node));
        node->a = *out;
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, ".", &took));
        if (took) {
            if (p->token.kind != HV_JT_NAME)
                return hv_jparse_unexpected(p, "a name");
            node->name = (struct hv_jstr){p->token.at, NULL, p->token.len};
            HB_TRY(hv_jparse_next(p));
        } else {
            HB_TRY(hv_jparse_skip(p, HV_JT_OP, "[", &took));
            if (took) {
                HB_TRY(expr_subscript(p, node));
            } else {
                HB_TRY(hv_jparse_next(p));
                node->op = HV_JN_CALL;
                HB_TRY(expr_arguments(p, node));
            }
        }
        HB_TRY(hv_jparse_done(p, node));
        *out = node;
    }
}

static hearth_status expr_filter(struct hv_jparser *p, struct hv_jnode **out)
{
    struct hv_jnode *node;
    bool took = false;
    HB_TRY(hv_jparse_node(p, HV_JN_FILTER, &node));
    if (p->token.kind != HV_JT_NAME)
        return hv_jparse_unexpected(p, "the name of a filter");
    node->a = *out;
    node->name = (struct hv_jstr){p->token.at, NULL, p->token.len};
    node->entry = hv_jfilter_find(node->name);
    if (!node->entry)
        return hb_fail(p->err, HEARTH_E_UNSUPPORTED, "template line %u: filter %.*s is not known",
                       (unsigned)node->line, (int)node->name.n, node->name.b);
    HB_TRY(hv_jparse_next(p));
    HB_TRY(hv_jparse_skip(p, HV_JT_OP, "(", &took));
    if (took)
        HB_TRY(expr_arguments(p, node));
    *out = node;
    return hv_jparse_done(p, node);
}

/* `is [not] name`, with arguments in brackets or one behind it. */
static hearth_status expr_test(struct hv_jparser *p, struct hv_jnode **out)
{
    struct hv_jnode *node, *argument;
    bool took = false;
    HB_TRY(hv_jparse_node(p, HV_JN_TEST, &node));
    node->a = *out;
    HB_TRY(hv_jparse_skip(p, HV_JT_NAME, "not", &took));
    node->which = took;
    if (p->token.kind != HV_JT_NAME && p->token.kind != HV_JT_OP)
        return hv_jparse_unexpected(p, "the name of a test");
    node->name = (struct hv_jstr){p->token.at, NULL, p->token.len};
    node->entry = hv_jtest_find(node->name);
    if (!node->entry)
        return hb_fail(p->err, HEARTH_E_UNSUPPORTED, "template line %u: test %.*s is not known",
                       (unsigned)node->line, (int)node->name.n, node->name.b);
    HB_TRY(hv_jparse_next(p));
    HB_TRY(hv_jparse_skip(p, HV_JT_OP, "(", &took));
    if (took) {
        HB_TRY(expr_arguments(p, node));
    } else if (p->token.kind == HV_JT_STRING || p->token.kind == HV_JT_INT ||
               hv_jparse_is(p, HV_JT_OP, "[") ||
               (p->token.kind == HV_JT_NAME && !hv_jparse_is(p, HV_JT_NAME, "and") &&
                !hv_jparse_is(p, HV_JT_NAME, "or") && !hv_jparse_is(p, HV_JT_NAME, "if") &&
                !hv_jparse_is(p, HV_JT_NAME, "else") && !hv_jparse_is(p, HV_JT_NAME, "is") &&
                !hv_jparse_is(p, HV_JT_NAME, "not") && !hv_jparse_is(p, HV_JT_NAME, "in"))) {
        HB_TRY(hv_jparse_node(p, HV_JN_BODY, &argument));
        HB_TRY(expr_primary(p, &argument->a));
        HB_TRY(expr_postfix(p, &argument->a));
        HB_TRY(hv_jparse_done(p, argument));
        node->list = argument;
    }
    *out = node;
    return hv_jparse_done(p, node);
}

static hearth_status expr_unary(struct hv_jparser *p, bool filters, struct hv_jnode **out)
{
    bool minus = false, plus = false, took;
    HB_TRY(hv_jparse_skip(p, HV_JT_OP, "-", &minus));
    if (!minus)
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, "+", &plus));
    if (minus) {
        struct hv_jnode *node;
        HB_TRY(hv_jparse_nest(p));
        HB_TRY(hv_jparse_node(p, HV_JN_NEGATE, &node));
        HB_TRY(expr_unary(p, false, &node->a));
        p->nesting--;
        HB_TRY(hv_jparse_done(p, node));
        *out = node;
    } else {
        HB_TRY(expr_primary(p, out));
    }
    HB_TRY(expr_postfix(p, out));
    for (;;) {
        if (filters && hv_jparse_is(p, HV_JT_OP, "|")) {
            HB_TRY(hv_jparse_next(p));
            HB_TRY(expr_filter(p, out));
        } else if (filters && hv_jparse_is(p, HV_JT_NAME, "is")) {
            HB_TRY(hv_jparse_skip(p, HV_JT_NAME, "is", &took));
            HB_TRY(expr_test(p, out));
        } else if (filters && hv_jparse_is(p, HV_JT_OP, "(")) {
            HB_TRY(expr_postfix(p, out));
        } else {
            return HEARTH_OK;
        }
    }
}

/* ---- operators with two sides ---- */

typedef hearth_status expr_level_fn(struct hv_jparser *p, struct hv_jnode **out);

/* A chain from left to right: level (op level)*. `ops` are the first bytes accepted. */
static hearth_status expr_chain(struct hv_jparser *p, expr_level_fn *level, const char *ops,
                                struct hv_jnode **out)
{
    HB_TRY(level(p, out));
    while (p->token.kind == HV_JT_OP && memchr(ops, *p->token.at, strlen(ops))) {
        struct hv_jnode *node;
        if (p->token.len == 2 && p->token.at[0] == '*')
            return hb_fail(p->err, HEARTH_E_UNSUPPORTED, "template: the operator ** is not known");
        HB_TRY(hv_jparse_node(p, HV_JN_BINARY, &node));
        node->which = (uint8_t)(p->token.len == 2 ? 'd' : *p->token.at); /* d: // */
        node->a = *out;
        HB_TRY(hv_jparse_next(p));
        HB_TRY(level(p, &node->b));
        HB_TRY(hv_jparse_done(p, node));
        *out = node;
    }
    return HEARTH_OK;
}

static hearth_status expr_factor(struct hv_jparser *p, struct hv_jnode **out)
{
    return expr_unary(p, true, out);
}
static hearth_status expr_product(struct hv_jparser *p, struct hv_jnode **out)
{
    return expr_chain(p, expr_factor, "*/%", out);
}
static hearth_status expr_concat(struct hv_jparser *p, struct hv_jnode **out)
{
    return expr_chain(p, expr_product, "~", out);
}
static hearth_status expr_sum(struct hv_jparser *p, struct hv_jnode **out)
{
    return expr_chain(p, expr_concat, "+-", out);
}

/* Which comparison stands here, taken: 0 for none. e n l g L G i j: == != < > <= >= in, not in */
static hearth_status expr_comparison(struct hv_jparser *p, uint8_t *which)
{
    static const struct {
        enum hv_jtok kind;
        const char *text;
        uint8_t which;
    } ops[] = {{HV_JT_OP, "==", 'e'}, {HV_JT_OP, "!=", 'n'}, {HV_JT_OP, "<", 'l'},
               {HV_JT_OP, ">", 'g'}, {HV_JT_OP, "<=", 'L'}, {HV_JT_OP, ">=", 'G'},
               {HV_JT_NAME, "in", 'i'}};
    bool took = false;
    *which = 0;
    for (size_t i = 0; i < HB_COUNT(ops); i++) {
        HB_TRY(hv_jparse_skip(p, ops[i].kind, ops[i].text, &took));
        if (took) {
            *which = ops[i].which;
            return HEARTH_OK;
        }
    }
    HB_TRY(hv_jparse_skip(p, HV_JT_NAME, "not", &took));
    if (!took)
        return HEARTH_OK;
    *which = 'j';
    return hv_jparse_expect(p, HV_JT_NAME, "in");
}

static hearth_status expr_compare(struct hv_jparser *p, struct hv_jnode **out)
{
    uint8_t which;
    HB_TRY(expr_sum(p, out));
    HB_TRY(expr_comparison(p, &which));
    if (!which)
        return HEARTH_OK;
    struct hv_jnode *node, **tail;
    HB_TRY(hv_jparse_node(p, HV_JN_COMPARE, &node));
    node->a = *out;
    tail = &node->list;
    for (; which; tail = &(*tail)->next) {
        HB_TRY(hv_jparse_node(p, HV_JN_BODY, tail));
        (*tail)->which = which;
        HB_TRY(expr_sum(p, &(*tail)->a));
        HB_TRY(hv_jparse_done(p, *tail));
        HB_TRY(expr_comparison(p, &which));
    }
    *out = node;
    return hv_jparse_done(p, node);
}

static hearth_status expr_not(struct hv_jparser *p, struct hv_jnode **out)
{
    bool took = false;
    HB_TRY(hv_jparse_skip(p, HV_JT_NAME, "not", &took));
    if (!took)
        return expr_compare(p, out);
    HB_TRY(hv_jparse_nest(p));
    HB_TRY(hv_jparse_node(p, HV_JN_NOT, out));
    HB_TRY(expr_not(p, &(*out)->a));
    p->nesting--;
    return hv_jparse_done(p, *out);
}

static hearth_status expr_logic(struct hv_jparser *p, expr_level_fn *level, const char *word,
                                enum hv_jop op, struct hv_jnode **out)
{
    bool took = false;
    HB_TRY(level(p, out));
    for (;;) {
        struct hv_jnode *node;
        HB_TRY(hv_jparse_skip(p, HV_JT_NAME, word, &took));
        if (!took)
            return HEARTH_OK;
        HB_TRY(hv_jparse_node(p, op, &node));
        node->a = *out;
        HB_TRY(level(p, &node->b));
        HB_TRY(hv_jparse_done(p, node));
        *out = node;
    }
}

static hearth_status expr_and(struct hv_jparser *p, struct hv_jnode **out)
{
    return expr_logic(p, expr_not, "and", HV_JN_AND, out);
}

hearth_status hv_jparse_or(struct hv_jparser *p, struct hv_jnode **out)
{
    return expr_logic(p, expr_and, "or", HV_JN_OR, out);
}

/* a if b else c: node->a is the condition, b what it chooses, c the other (NULL: undefined). */
hearth_status hv_jparse_expr(struct hv_jparser *p, struct hv_jnode **out)
{
    bool took = false;
    HB_TRY(hv_jparse_nest(p));
    HB_TRY(hv_jparse_or(p, out));
    HB_TRY(hv_jparse_skip(p, HV_JT_NAME, "if", &took));
    if (took) {
        struct hv_jnode *node;
        HB_TRY(hv_jparse_node(p, HV_JN_CHOICE, &node));
        node->b = *out;
        HB_TRY(hv_jparse_or(p, &node->a));
        HB_TRY(hv_jparse_skip(p, HV_JT_NAME, "else", &took));
        if (took)
            HB_TRY(hv_jparse_expr(p, &node->c));
        HB_TRY(hv_jparse_done(p, node));
        *out = node;
    }
    p->nesting--;
    return HEARTH_OK;
}

hearth_status hv_jparse_tuple(struct hv_jparser *p, struct hv_jnode **out)
{
    struct hv_jnode *node, **tail;
    bool took = false;
    HB_TRY(hv_jparse_expr(p, out));
    HB_TRY(hv_jparse_skip(p, HV_JT_OP, ",", &took));
    if (!took)
        return HEARTH_OK;
    HB_TRY(hv_jparse_node(p, HV_JN_LIST, &node));
    node->list = *out;
    tail = &node->list->next;
    while (took) {
        HB_TRY(hv_jparse_expr(p, tail));
        tail = &(*tail)->next;
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, ",", &took));
    }
    *out = node;
    return hv_jparse_done(p, node);
}
