/* Trees of rules to code, in two passes over the same functions: one counts, one writes.
 *
 *   a | b     SPLIT 1; a; JUMP 2; 1: b; 2:              x?       SPLIT 1; x; 1:
 *   x*        1: SPLIT 2; x; JUMP 1; 2:                 x+       1: x; SPLIT 2; JUMP 1; 2:
 *   x{2,4}    x; x; SPLIT 1; x; SPLIT 1; x; 1:
 *
 * What is repeated by number and is more than one character becomes a rule, so that its code stands there
 * once and copies are calls. */
#include "runtime/hr_grammar.h"
#include "base/hb_check.h"
#include <string.h>

struct emit {
    struct hr_gcode *code; /* NULL: counting */
    uint32_t at;
    uint32_t n_rules;
    struct hr_grule *rules;           /* NULL: counting */
    struct hr_gtree **extra;          /* trees of pieces that repeat; NULL: counting */
    uint32_t n_named;
    hearth_error *err;
};

static hearth_status emit_put(struct emit *e, enum hr_gop op, uint32_t a)
{
    if (e->at == HR_GRAMMAR_MAX_NODES)
        return hb_fail(e->err, HEARTH_E_LIMIT, "grammar: more than %zu steps", HR_GRAMMAR_MAX_NODES);
    if (e->code)
        e->code[e->at] = (struct hr_gcode){(uint32_t)op, a};
    e->at++;
    return HEARTH_OK;
}

static void emit_patch(struct emit *e, uint32_t where)
{
    if (e->code)
        e->code[where].a = e->at;
}

static hearth_status emit_tree(struct emit *e, struct hr_gtree *t);

static hearth_status emit_sequence(struct emit *e, struct hr_gtree *t)
{
    for (struct hr_gtree *part = t->first; part; part = part->next)
        HB_TRY(emit_tree(e, part));
    return HEARTH_OK;
}

static hearth_status emit_alternatives(struct emit *e, struct hr_gtree *t)
{
    uint32_t last = UINT32_MAX; /* jumps to the end, each pointing to the one before until it is known */
    for (struct hr_gtree *part = t->first; part; part = part->next) {
        uint32_t split = e->at;
        if (part->next)
            HB_TRY(emit_put(e, HR_G_SPLIT, 0));
        HB_TRY(emit_sequence(e, part));
        if (!part->next)
            break;
        HB_TRY(emit_put(e, HR_G_JUMP, last));
        last = e->at - 1;
        emit_patch(e, split);
    }
    while (e->code && last != UINT32_MAX) {
        uint32_t before = e->code[last].a;
        e->code[last].a = e->at;
        last = before;
    }
    return HEARTH_OK;
}

/* A rule of its own, unless it is one character or a call already. */
static hearth_status emit_single(struct emit *e, struct hr_gtree **t)
{
    struct hr_gtree *x = *t;
    if (x->kind == HR_GT_CLASS || x->kind == HR_GT_RULE || (x->kind == HR_GT_TEXT && x->a == 1))
        return HEARTH_OK;
    if (e->n_rules - e->n_named == HR_GRAMMAR_MAX_NODES / 4)
        return hb_fail(e->err, HEARTH_E_LIMIT, "grammar: more than %zu repetitions",
                       HR_GRAMMAR_MAX_NODES / 4);
    if (e->extra)
        e->extra[e->n_rules - e->n_named] = x;
    e->n_rules++;
    return HEARTH_OK;
}

static hearth_status emit_copy(struct emit *e, struct hr_gtree *t, uint32_t rule, bool call)
{
    return call ? emit_put(e, HR_G_CALL, rule) : emit_tree(e, t);
}

static hearth_status emit_counted(struct emit *e, struct hr_gtree *t)
{
    uint32_t rule = e->n_rules, splits = UINT32_MAX;
    HB_TRY(emit_single(e, &t->first));
    bool call = e->n_rules > rule;
    for (uint32_t i = 0; i < t->a; i++)
        HB_TRY(emit_copy(e, t->first, rule, call));
    for (uint32_t i = t->a; t->b != UINT32_MAX && i < t->b; i++) {
        HB_TRY(emit_put(e, HR_G_SPLIT, splits));
        splits = e->at - 1;
        HB_TRY(emit_copy(e, t->first, rule, call));
    }
    while (e->code && splits != UINT32_MAX) {
        uint32_t before = e->code[splits].a;
        e->code[splits].a = e->at;
        splits = before;
    }
    if (t->b != UINT32_MAX)
        return HEARTH_OK;
    uint32_t loop = e->at;
    HB_TRY(emit_put(e, HR_G_SPLIT, 0));
    HB_TRY(emit_copy(e, t->first, rule, call));
    HB_TRY(emit_put(e, HR_G_JUMP, loop));
    emit_patch(e, loop);
    return HEARTH_OK;
}

static hearth_status emit_repeat(struct emit *e, struct hr_gtree *t)
{
    uint32_t at = e->at;
    if (t->a > 1 || (t->b != UINT32_MAX && t->b > 1))
        return emit_counted(e, t);
    if (t->b == 0)
        return HEARTH_OK;
    if (t->a == 1 && t->b == 1)
        return emit_tree(e, t->first);
    if (t->a == 1) { /* + */
        HB_TRY(emit_tree(e, t->first));
        uint32_t split = e->at;
        HB_TRY(emit_put(e, HR_G_SPLIT, 0));
        HB_TRY(emit_put(e, HR_G_JUMP, at));
        emit_patch(e, split);
        return HEARTH_OK;
    }
    HB_TRY(emit_put(e, HR_G_SPLIT, 0)); /* ? and * */
    HB_TRY(emit_tree(e, t->first));
    if (t->b == UINT32_MAX)
        HB_TRY(emit_put(e, HR_G_JUMP, at));
    emit_patch(e, at);
    return HEARTH_OK;
}

/* As deep as the parser let brackets nest. */
static hearth_status emit_tree(struct emit *e, struct hr_gtree *t)
{
    switch (t->kind) {
    case HR_GT_TEXT:
        for (uint32_t i = 0; i < t->a; i++)
            HB_TRY(emit_put(e, HR_G_CHAR, t->text[i]));
        return HEARTH_OK;
    case HR_GT_CLASS:
        return emit_put(e, HR_G_CLASS, t->a);
    case HR_GT_RULE:
        return emit_put(e, HR_G_CALL, t->a);
    case HR_GT_ALTERNATIVES:
        return emit_alternatives(e, t);
    case HR_GT_SEQUENCE:
        return emit_sequence(e, t);
    case HR_GT_REPEAT:
        return emit_repeat(e, t);
    }
    return HEARTH_OK;
}

static hearth_status emit_all(struct emit *e, struct hr_gtree *const *trees,
                              struct hr_gtree **extra)
{
    e->at = 0;
    e->n_rules = e->n_named;
    for (uint32_t i = 0; i < e->n_rules; i++) {
        if (e->rules)
            e->rules[i].start = e->at;
        HB_TRY(emit_tree(e, i < e->n_named ? trees[i] : extra[i - e->n_named]));
        HB_TRY(emit_put(e, HR_G_RETURN, 0));
    }
    return HEARTH_OK;
}

hearth_status hr_grammar_emit(struct hearth_grammar *g, struct hr_gtree *const *trees,
                              struct hb_arena *work, hearth_error *err)
{
    struct emit e = {.n_named = g->n_rules, .err = err};
    struct hr_gtree **extra;
    struct hr_grule *rules;
    HB_TRY(HB_ARENA_NEW(work, struct hr_gtree *, HR_GRAMMAR_MAX_NODES / 4, &extra, err));
    e.extra = extra;
    HB_TRY(emit_all(&e, trees, extra));
    HB_TRY(HB_ARENA_NEW(&g->arena, struct hr_grule, e.n_rules, &rules, err));
    memcpy(rules, g->rules, g->n_rules * sizeof *rules);
    HB_TRY(HB_ARENA_NEW(&g->arena, struct hr_gcode, e.at, &g->code, err));
    g->n_code = e.at;
    for (uint32_t i = g->n_rules; i < e.n_rules; i++)
        rules[i].defined = true;
    e.rules = g->rules = rules;
    e.code = g->code;
    HB_TRY(emit_all(&e, trees, extra));
    g->n_rules = e.n_rules;
    return HEARTH_OK;
}
