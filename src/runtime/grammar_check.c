/* What a grammar must not be: left-recursive, which no stack can hold, or without an end.
 *
 * Both are asked of the code of each rule by walking it, with what is known of the rules it calls, again
 * until nothing new is learnt: can the rule be empty (then a walk goes on behind its call), can it end. */
#include "runtime/hr_grammar.h"
#include "base/hb_check.h"
#include <string.h>

#define CHECK_STEPS ((uint64_t)1 << 26)

struct check {
    const struct hearth_grammar *g;
    uint32_t *seen;   /* [n_code] the walk that was there */
    uint32_t *todo;   /* [n_code] */
    uint32_t walk;
    bool *empty;      /* [n_rules] */
    bool *ends;       /* [n_rules] */
    uint64_t steps;
    hearth_error *err;
};

static void check_push(struct check *c, uint32_t *n, uint32_t pc)
{
    if (c->seen[pc] != c->walk) {
        c->seen[pc] = c->walk;
        c->todo[(*n)++] = pc;
    }
}

/* Walk the code of a rule: behind a call where `known` says so of the rule, behind a character if
 * `through`. Does the walk come to the end? Calls that it meets go to `calls`, if that is not NULL. */
static hearth_status check_walk(struct check *c, uint32_t rule, const bool *known, bool through,
                                uint32_t *calls, uint32_t *n_calls, bool *returns)
{
    uint32_t n = 0;
    c->walk++;
    *returns = false;
    check_push(c, &n, c->g->rules[rule].start);
    while (n) {
        uint32_t pc = c->todo[--n];
        const struct hr_gcode *code = &c->g->code[pc];
        if (++c->steps > CHECK_STEPS)
            return hb_fail(c->err, HEARTH_E_LIMIT, "grammar: too entangled to be checked");
        switch (code->op) {
        case HR_G_CHAR:
        case HR_G_CLASS:
            if (through)
                check_push(c, &n, pc + 1);
            break;
        case HR_G_CALL:
            if (calls)
                calls[(*n_calls)++] = code->a;
            if (known[code->a])
                check_push(c, &n, pc + 1);
            break;
        case HR_G_SPLIT:
            check_push(c, &n, pc + 1);
            check_push(c, &n, code->a);
            break;
        case HR_G_JUMP:
            check_push(c, &n, code->a);
            break;
        default:
            *returns = true;
        }
    }
    return HEARTH_OK;
}

static hearth_status check_learn(struct check *c, bool *known, bool through)
{
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = c->g->n_rules; i-- > 0;) {
            if (known[i])
                continue;
            HB_TRY(check_walk(c, i, known, through, NULL, NULL, &known[i]));
            more |= known[i];
        }
    }
    return HEARTH_OK;
}

static hearth_status check_refuse(struct check *c, uint32_t rule, const char *what)
{
    const struct hr_grule *r = &c->g->rules[rule];
    if (!r->name)
        return hb_fail(c->err, HEARTH_E_FORMAT, "grammar: a repetition %s", what);
    return hb_fail(c->err, HEARTH_E_FORMAT, "grammar: rule %.*s %s",
                   (int)(r->name_len > 64 ? 64 : r->name_len), r->name, what);
}

/* Depth first over "begins with a call of": meeting a rule that is still open is left recursion. */
static hearth_status check_cycles(struct check *c, struct hb_arena *work)
{
    uint32_t *calls, *first, *at, *open, n_calls = 0, rules = c->g->n_rules;
    uint8_t *colour; /* 0 not met, 1 open, 2 done */
    bool ignored;
    HB_TRY(HB_ARENA_NEW(work, uint32_t, c->g->n_code, &calls, c->err));
    HB_TRY(HB_ARENA_NEW(work, uint32_t, rules + 1, &first, c->err));
    HB_TRY(HB_ARENA_NEW(work, uint32_t, rules, &at, c->err));
    HB_TRY(HB_ARENA_NEW(work, uint32_t, rules, &open, c->err));
    HB_TRY(HB_ARENA_NEW(work, uint8_t, rules, &colour, c->err));
    for (uint32_t i = 0; i < rules; i++) {
        first[i] = at[i] = n_calls; /* every call stands at one place of code: they all fit */
        HB_TRY(check_walk(c, i, c->empty, false, calls, &n_calls, &ignored));
    }
    first[rules] = n_calls;
    for (uint32_t i = 0; i < rules; i++) {
        uint32_t n = 0;
        if (colour[i])
            continue;
        open[n++] = i;
        colour[i] = 1;
        while (n) {
            uint32_t rule = open[n - 1];
            if (at[rule] == first[rule + 1]) {
                colour[rule] = 2;
                n--;
                continue;
            }
            uint32_t next = calls[at[rule]++];
            if (colour[next] == 1)
                return check_refuse(c, next, "is left-recursive: it begins with itself");
            if (colour[next] == 0) {
                colour[next] = 1;
                open[n++] = next;
            }
        }
    }
    return HEARTH_OK;
}

hearth_status hr_grammar_check(const struct hearth_grammar *g, struct hb_arena *work,
                               hearth_error *err)
{
    struct check c = {.g = g, .err = err};
    HB_TRY(HB_ARENA_NEW(work, uint32_t, g->n_code, &c.seen, err));
    HB_TRY(HB_ARENA_NEW(work, uint32_t, g->n_code, &c.todo, err));
    HB_TRY(HB_ARENA_NEW(work, bool, g->n_rules, &c.empty, err));
    HB_TRY(HB_ARENA_NEW(work, bool, g->n_rules, &c.ends, err));
    HB_TRY(check_learn(&c, c.empty, false));
    HB_TRY(check_cycles(&c, work));
    HB_TRY(check_learn(&c, c.ends, true));
    for (uint32_t i = 0; i < g->n_rules; i++)
        if (!c.ends[i])
            return check_refuse(&c, i, "never ends");
    return HEARTH_OK;
}
