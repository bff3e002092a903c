/* Statements of templates, and the small steps of both parsers. */
#include "tokenizer/hv_jinja.h"

/* ---- steps ---- */

hearth_status hv_jparse_unexpected(struct hv_jparser *p, const char *wanted)
{
    static const char *const kinds[] = {"the end", "text", "{{", "}}", "{%", "%}"};
    const struct hv_jtoken *t = &p->token;
    int n = t->len > 40 ? 40 : (int)t->len;
    if (t->kind <= HV_JT_BLOCK_END)
        return hb_fail(p->err, HEARTH_E_FORMAT, "template line %u: found %s; %s is accepted here",
                       (unsigned)hv_jlex_line(&p->lex, t->at), kinds[t->kind], wanted);
    return hb_fail(p->err, HEARTH_E_FORMAT, "template line %u: found \"%.*s\"; %s is accepted here",
                   (unsigned)hv_jlex_line(&p->lex, t->at), n, t->at, wanted);
}

hearth_status hv_jparse_next(struct hv_jparser *p)
{
    return hv_jlex_next(&p->lex, &p->token);
}

bool hv_jparse_is(const struct hv_jparser *p, enum hv_jtok kind, const char *text)
{
    return p->token.kind == kind && strlen(text) == p->token.len &&
           memcmp(p->token.at, text, p->token.len) == 0;
}

hearth_status hv_jparse_skip(struct hv_jparser *p, enum hv_jtok kind, const char *text, bool *took)
{
    *took = hv_jparse_is(p, kind, text);
    return *took ? hv_jparse_next(p) : HEARTH_OK;
}

hearth_status hv_jparse_expect(struct hv_jparser *p, enum hv_jtok kind, const char *text)
{
    return hv_jparse_is(p, kind, text) ? hv_jparse_next(p) : hv_jparse_unexpected(p, text);
}

hearth_status hv_jparse_node(struct hv_jparser *p, enum hv_jop op, struct hv_jnode **out)
{
    HB_TRY(HB_ARENA_NEW(p->arena, struct hv_jnode, 1, out, p->err));
    (*out)->op = (uint8_t)op;
    (*out)->line = hv_jlex_line(&p->lex, p->token.at);
    (*out)->height = 1;
    return HEARTH_OK;
}

hearth_status hv_jparse_nest(struct hv_jparser *p)
{
    if (++p->nesting > HV_J_MAX_NESTING)
        return hb_fail(p->err, HEARTH_E_LIMIT, "template line %u: nested deeper than %d",
                       (unsigned)hv_jlex_line(&p->lex, p->token.at), HV_J_MAX_NESTING);
    return HEARTH_OK;
}

hearth_status hv_jparse_done(struct hv_jparser *p, struct hv_jnode *node)
{
    uint16_t most = 0;
    const struct hv_jnode *parts[] = {node->a, node->b, node->c};
    for (size_t i = 0; i < HB_COUNT(parts); i++)
        if (parts[i] && parts[i]->height > most)
            most = parts[i]->height;
    for (const struct hv_jnode *part = node->list; part; part = part->next)
        if (part->height > most)
            most = part->height;
    node->height = (uint16_t)(most + 1);
    if (node->height > HV_J_MAX_HEIGHT)
        return hb_fail(p->err, HEARTH_E_LIMIT, "template line %u: an expression of more than %d steps",
                       (unsigned)node->line, HV_J_MAX_HEIGHT);
    return HEARTH_OK;
}

static hearth_status parse_name(struct hv_jparser *p, struct hv_jstr *name)
{
    if (p->token.kind != HV_JT_NAME)
        return hv_jparse_unexpected(p, "a name");
    *name = (struct hv_jstr){p->token.at, NULL, p->token.len};
    return hv_jparse_next(p);
}

static hearth_status parse_block_end(struct hv_jparser *p)
{
    if (p->token.kind != HV_JT_BLOCK_END)
        return hv_jparse_unexpected(p, "%}");
    return hv_jparse_next(p);
}

/* ---- statements ---- */

/* Which of the words ended a body: its number; the tag is taken up to behind the word. */
static hearth_status parse_body(struct hv_jparser *p, const char *const *ends, struct hv_jnode **list,
                                int *which);

static hearth_status parse_end(struct hv_jparser *p, const char *word, struct hv_jnode **list)
{
    const char *const ends[] = {word, NULL};
    int which;
    HB_TRY(parse_body(p, ends, list, &which));
    return parse_block_end(p);
}

/* IF: list of branches BODY with a the condition (NULL: else) and b its statements. */
static hearth_status parse_if(struct hv_jparser *p, struct hv_jnode *node)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const last[] = {"endif", NULL};
    struct hv_jnode **tail = &node->list;
    node->op = HV_JN_IF;
    for (int which = 0; which < 2;) {
        HB_TRY(hv_jparse_node(p, HV_JN_BODY, tail));
        if (node->list == *tail || which == 0)
            HB_TRY(hv_jparse_tuple(p, &(*tail)->a));
        HB_TRY(parse_block_end(p));
        bool is_else = !(*tail)->a;
        HB_TRY(parse_body(p, is_else ? last : ends, &(*tail)->b, &which));
        tail = &(*tail)->next;
        if (is_else)
            break;
    }
    return parse_block_end(p);
}

/* FOR: list of targets (NAME), a what is walked, c the filter, b a BODY with a the statements and b
 * those of else. */
static hearth_status parse_for(struct hv_jparser *p, struct hv_jnode *node)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    struct hv_jnode **tail = &node->list;
    bool took = true, bracket = false;
    int which;
    node->op = HV_JN_FOR;
    HB_TRY(hv_jparse_skip(p, HV_JT_OP, "(", &bracket));
    while (took) {
        HB_TRY(hv_jparse_node(p, HV_JN_NAME, tail));
        HB_TRY(parse_name(p, &(*tail)->name));
        tail = &(*tail)->next;
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, ",", &took));
    }
    if (bracket)
        HB_TRY(hv_jparse_expect(p, HV_JT_OP, ")"));
    HB_TRY(hv_jparse_expect(p, HV_JT_NAME, "in"));
    HB_TRY(hv_jparse_or(p, &node->a)); /* an `if` belongs to the loop */
    HB_TRY(hv_jparse_skip(p, HV_JT_NAME, "if", &took));
    if (took)
        HB_TRY(hv_jparse_expr(p, &node->c));
    if (hv_jparse_is(p, HV_JT_NAME, "recursive"))
        return hb_fail(p->err, HEARTH_E_UNSUPPORTED, "template line %u: recursive loops are not known",
                       (unsigned)node->line);
    HB_TRY(parse_block_end(p));
    HB_TRY(hv_jparse_node(p, HV_JN_BODY, &node->b));
    HB_TRY(parse_body(p, ends, &node->b->a, &which));
    if (which == 0) {
        HB_TRY(parse_block_end(p));
        return parse_end(p, "endfor", &node->b->b);
    }
    return parse_block_end(p);
}

/* SET: name, or a the value before the dot and name the attribute; b the value. More than one target:
 * list of names. SET_BLOCK: name, b the statements; entry a filter. */
static hearth_status parse_set(struct hv_jparser *p, struct hv_jnode *node)
{
    bool took = false;
    node->op = HV_JN_SET;
    HB_TRY(parse_name(p, &node->name));
    HB_TRY(hv_jparse_skip(p, HV_JT_OP, ".", &took));
    if (took) {
        HB_TRY(hv_jparse_node(p, HV_JN_NAME, &node->a));
        node->a->name = node->name;
        HB_TRY(parse_name(p, &node->name));
    }
    struct hv_jnode **tail = &node->list;
    HB_TRY(hv_jparse_skip(p, HV_JT_OP, ",", &took));
    if (took) { /* set a, b = x */
        HB_TRY(hv_jparse_node(p, HV_JN_NAME, tail));
        (*tail)->name = node->name;
        for (tail = &(*tail)->next; took; tail = &(*tail)->next) {
            HB_TRY(hv_jparse_node(p, HV_JN_NAME, tail));
            HB_TRY(parse_name(p, &(*tail)->name));
            HB_TRY(hv_jparse_skip(p, HV_JT_OP, ",", &took));
        }
    }
    HB_TRY(hv_jparse_skip(p, HV_JT_OP, "=", &took));
    if (took) {
        HB_TRY(hv_jparse_tuple(p, &node->b));
        return parse_block_end(p);
    }
    node->op = HV_JN_SET_BLOCK;
    if (node->a || node->list)
        return hv_jparse_unexpected(p, "=");
    HB_TRY(hv_jparse_skip(p, HV_JT_OP, "|", &took));
    if (took) {
        struct hv_jstr name = {NULL, NULL, 0};
        HB_TRY(parse_name(p, &name));
        node->entry = hv_jfilter_find(name);
        if (!node->entry)
            return hb_fail(p->err, HEARTH_E_UNSUPPORTED,
                           "template line %u: filter %.*s is not known", (unsigned)node->line,
                           (int)name.n, name.b);
    }
    HB_TRY(parse_block_end(p));
    return parse_end(p, "endset", &node->b);
}

/* MACRO: name; list of parameters BODY with name and a the default (NULL: none); b the statements. */
static hearth_status parse_macro(struct hv_jparser *p, struct hv_jnode *node)
{
    struct hv_jnode **tail = &node->list;
    bool took = false;
    node->op = HV_JN_MACRO;
    HB_TRY(parse_name(p, &node->name));
    HB_TRY(hv_jparse_expect(p, HV_JT_OP, "("));
    while (!hv_jparse_is(p, HV_JT_OP, ")")) {
        HB_TRY(hv_jparse_node(p, HV_JN_BODY, tail));
        HB_TRY(parse_name(p, &(*tail)->name));
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, "=", &took));
        if (took)
            HB_TRY(hv_jparse_expr(p, &(*tail)->a));
        tail = &(*tail)->next;
        HB_TRY(hv_jparse_skip(p, HV_JT_OP, ",", &took));
        if (!took)
            break;
    }
    HB_TRY(hv_jparse_expect(p, HV_JT_OP, ")"));
    HB_TRY(parse_block_end(p));
    return parse_end(p, "endmacro", &node->b);
}

static hearth_status parse_simple(struct hv_jparser *p, struct hv_jnode *node, enum hv_jop op)
{
    node->op = (uint8_t)op;
    return parse_block_end(p);
}

static hearth_status parse_statement(struct hv_jparser *p, struct hv_jnode **out)
{
    struct hv_jstr word = {NULL, NULL, 0};
    HB_TRY(hv_jparse_node(p, HV_JN_BODY, out));
    struct hv_jnode *node = *out;
    HB_TRY(parse_name(p, &word));
    if (hv_jis(word, "if"))
        return parse_if(p, node);
    if (hv_jis(word, "for"))
        return parse_for(p, node);
    if (hv_jis(word, "set"))
        return parse_set(p, node);
    if (hv_jis(word, "macro"))
        return parse_macro(p, node);
    if (hv_jis(word, "break"))
        return parse_simple(p, node, HV_JN_BREAK);
    if (hv_jis(word, "continue"))
        return parse_simple(p, node, HV_JN_CONTINUE);
    if (hv_jis(word, "generation")) { /* marks the assistant's part for training: only a body */
        HB_TRY(parse_block_end(p));
        return parse_end(p, "endgeneration", &node->b);
    }
    if (hv_jis(word, "raw")) {
        if (p->token.kind != HV_JT_BLOCK_END)
            return hv_jparse_unexpected(p, "%}");
        struct hv_jtoken raw;
        HB_TRY(hv_jlex_raw(&p->lex, &raw));
        node->op = HV_JN_TEXT;
        node->name = (struct hv_jstr){raw.at, NULL, raw.len};
        return hv_jparse_next(p);
    }
    return hb_fail(p->err, HEARTH_E_UNSUPPORTED, "template line %u: statement %.*s is not known here",
                   (unsigned)node->line, (int)(word.n > 40 ? 40 : word.n), word.b);
}

static hearth_status parse_print(struct hv_jparser *p, struct hv_jnode **out)
{
    HB_TRY(hv_jparse_next(p));
    HB_TRY(hv_jparse_node(p, HV_JN_PRINT, out));
    HB_TRY(hv_jparse_tuple(p, &(*out)->a));
    if (p->token.kind != HV_JT_VAR_END)
        return hv_jparse_unexpected(p, "}}");
    return hv_jparse_next(p);
}

static hearth_status parse_body(struct hv_jparser *p, const char *const *ends, struct hv_jnode **list,
                                int *which)
{
    HB_TRY(hv_jparse_nest(p));
    for (struct hv_jnode **tail = list;; tail = &(*tail)->next) {
        switch (p->token.kind) {
        case HV_JT_DATA:
            HB_TRY(hv_jparse_node(p, HV_JN_TEXT, tail));
            (*tail)->name = (struct hv_jstr){p->token.at, NULL, p->token.len};
            HB_TRY(hv_jparse_next(p));
            break;
        case HV_JT_VAR:
            HB_TRY(parse_print(p, tail));
            break;
        case HV_JT_BLOCK:
            HB_TRY(hv_jparse_next(p));
            for (*which = 0; ends && ends[*which]; ++*which)
                if (hv_jparse_is(p, HV_JT_NAME, ends[*which])) {
                    p->nesting--;
                    return hv_jparse_next(p);
                }
            HB_TRY(parse_statement(p, tail));
            break;
        default:
            if (ends || p->token.kind != HV_JT_END)
                return hv_jparse_unexpected(p, ends ? ends[0] : "text");
            p->nesting--;
            return HEARTH_OK;
        }
    }
}

/* Line breaks become \n, and the last one goes, as Jinja does with both. */
static hearth_status parse_lines(struct hb_arena *arena, const char **text, size_t *len,
                                 hearth_error *err)
{
    const char *s = *text;
    size_t n = 0;
    if (memchr(s, '\r', *len)) {
        char *copy;
        HB_TRY(HB_ARENA_NEW(arena, char, *len, &copy, err));
        for (size_t i = 0; i < *len; i++) {
            if (s[i] == '\r' && i + 1 < *len && s[i + 1] == '\n')
                continue;
            copy[n++] = s[i] == '\r' ? '\n' : s[i];
        }
        *text = copy;
        *len = n;
    }
    if (*len && (*text)[*len - 1] == '\n')
        --*len;
    return HEARTH_OK;
}

hearth_status hv_jinja_parse(struct hb_arena *arena, const char *text, size_t len,
                             struct hv_jinja **out, hearth_error *err)
{
    struct hv_jinja *jinja;
    struct hv_jparser p = {.arena = arena, .err = err};
    int which;
    if (len > HV_CHAT_MAX_TEMPLATE)
        return hb_fail(err, HEARTH_E_LIMIT, "template: %zu bytes; at most %zu are accepted", len,
                       HV_CHAT_MAX_TEMPLATE);
    HB_TRY(parse_lines(arena, &text, &len, err));
    p.lex = (struct hv_jlex){.text = text, .len = len, .inside = HV_JT_DATA, .err = err};
    HB_TRY(HB_ARENA_NEW(arena, struct hv_jinja, 1, &jinja, err));
    HB_TRY(hv_jparse_next(&p));
    HB_TRY(parse_body(&p, NULL, &jinja->body, &which));
    *out = jinja;
    return HEARTH_OK;
}
