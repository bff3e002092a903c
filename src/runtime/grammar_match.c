/* Matching bytes: sets of stacks, made into states when they are met and remembered by byte.
 *
 * A character of several bytes is matched when its last byte came. Before that a state keeps those
 * stacks whose character can still begin with these bytes, so that a dead end is seen at its first byte. */
#include "runtime/hr_grammar.h"
#include "base/hb_check.h"
#include <string.h>

#define MATCH_STACK_MASK (HR_G_STACKS - 1)
#define MATCH_STATE_MASK (HR_G_STATES - 1)

/* ---- stacks ---- */

static uint32_t match_hash(uint32_t a, uint32_t b)
{
    uint32_t h = a * 0x9E3779B1u ^ (b * 0x85EBCA6Bu + 0x27220A95u);
    h ^= h >> 15;
    h *= 0x2C1B3C6Du;
    return h ^ h >> 13;
}

/* The stack with this top, made if it is new; 0: no room. */
static uint32_t match_stack(struct hr_grammar_place *p, uint32_t pc, uint32_t parent)
{
    uint32_t h = match_hash(pc, parent) & MATCH_STACK_MASK;
    for (uint32_t i = p->stack_hash[h]; i; i = p->stacks[i].chain)
        if (p->stacks[i].pc == pc && p->stacks[i].parent == parent)
            return i;
    if (p->n_stacks == HR_G_STACKS)
        return 0;
    p->stacks[p->n_stacks] = (struct hr_gstack){.pc = pc, .parent = parent,
                                                .chain = p->stack_hash[h],
                                                .depth = p->stacks[parent].depth + 1};
    return p->stack_hash[h] = p->n_stacks++;
}

/* ---- closures: from where a step stands to the characters that may come next ---- */

struct closure {
    struct hr_grammar_place *p;
    uint32_t n_work;
    uint32_t first; /* of the set under way: it grows at the end of p->sets */
    bool ends;
    bool full;      /* a table has no room */
};

static void closure_push(struct closure *c, uint32_t pc, uint32_t parent)
{
    if (c->n_work == HR_G_WORK)
        c->full = true;
    else
        c->p->work[c->n_work++] = (struct hr_gstack){.pc = pc, .parent = parent};
}

/* Has this closure been here? Splits are where ways meet again and where loops without text turn. */
static bool closure_seen(struct closure *c, uint32_t pc, uint32_t parent, uint32_t *stack)
{
    *stack = match_stack(c->p, pc, parent);
    if (*stack == 0) {
        c->full = true;
        return true;
    }
    if (c->p->stacks[*stack].seen == c->p->epoch)
        return true;
    c->p->stacks[*stack].seen = c->p->epoch;
    return false;
}

static uint32_t closure_follow(const struct hearth_grammar *g, uint32_t pc)
{
    while (g->code[pc].op == HR_G_JUMP)
        pc = g->code[pc].a;
    return pc;
}

/* One way, up to characters, an end, or a split; returns false where it stops. */
static bool closure_step(struct closure *c, uint32_t *pc, uint32_t *parent)
{
    const struct hearth_grammar *g = c->p->g;
    uint32_t stack;
    *pc = closure_follow(g, *pc);
    switch (g->code[*pc].op) {
    case HR_G_CALL: {
        uint32_t back = closure_follow(g, *pc + 1);
        if (g->code[back].op != HR_G_RETURN) { /* a call at the end needs no way back */
            if (c->p->stacks[*parent].depth >= HR_GRAMMAR_MAX_DEPTH)
                return false;
            *parent = match_stack(c->p, back, *parent);
            c->full |= *parent == 0;
        }
        *pc = g->rules[g->code[*pc].a].start;
        return !c->full;
    }
    case HR_G_SPLIT:
        if (closure_seen(c, *pc, *parent, &stack))
            return false;
        closure_push(c, g->code[*pc].a, *parent);
        ++*pc;
        return true;
    case HR_G_RETURN:
        if (*parent == 0) {
            c->ends = true;
            return false;
        }
        *pc = c->p->stacks[*parent].pc;
        *parent = c->p->stacks[*parent].parent;
        return true;
    default:
        if (closure_seen(c, *pc, *parent, &stack))
            return false;
        if (c->p->n_sets == HR_G_SETS)
            c->full = true;
        else
            c->p->sets[c->p->n_sets++] = stack;
        return false;
    }
}

static void closure_run(struct closure *c)
{
    while (c->n_work && !c->full) {
        struct hr_gstack way = c->p->work[--c->n_work];
        while (closure_step(c, &way.pc, &way.parent))
            c->p->steps++;
        if (++c->p->steps > c->p->max_steps) {
            c->p->fault = HEARTH_E_LIMIT;
            c->full = true;
        }
    }
}

/* ---- states ---- */

static void match_sort(uint32_t *ids, uint32_t n)
{
    for (uint32_t gap = n / 2; gap > 0; gap /= 2)
        for (uint32_t i = gap; i < n; i++)
            for (uint32_t k = i; k >= gap && ids[k - gap] > ids[k]; k -= gap) {
                uint32_t swap = ids[k];
                ids[k] = ids[k - gap];
                ids[k - gap] = swap;
            }
}

/* The state of the set that stands at the end of p->sets, which it takes if it is new. 0: no room. */
static uint16_t match_state(struct hr_grammar_place *p, uint32_t first, bool ends, uint32_t partial,
                            uint8_t left, uint8_t length)
{
    uint32_t n = p->n_sets - first, h = match_hash(n * 2 + ends, partial * 8 + left);
    match_sort(p->sets + first, n);
    if (n == 0 && !ends) {
        p->n_sets = first;
        return HR_G_DEAD;
    }
    for (uint32_t i = 0; i < n; i++)
        h = match_hash(h, p->sets[first + i]);
    h &= MATCH_STATE_MASK;
    for (uint32_t i = p->state_hash[h]; i; i = p->states[i].chain) {
        const struct hr_gstate *s = &p->states[i];
        if (s->n == n && s->ends == ends && s->partial == partial && s->left == left &&
            s->length == length &&
            memcmp(p->sets + s->first, p->sets + first, n * sizeof *p->sets) == 0) {
            p->n_sets = first;
            return (uint16_t)i;
        }
    }
    if (p->n_states == HR_G_STATES) {
        p->n_sets = first;
        return 0;
    }
    struct hr_gstate *s = &p->states[p->n_states];
    memset(s, 0, sizeof *s);
    s->first = first;
    s->n = n;
    s->partial = partial;
    s->left = left;
    s->length = length;
    s->ends = ends;
    s->chain = p->state_hash[h];
    p->state_hash[h] = p->n_states;
    return (uint16_t)p->n_states++;
}

/* Does the character at pc have a value in [lo, hi]? */
static bool match_meets(const struct hearth_grammar *g, uint32_t pc, uint32_t lo, uint32_t hi)
{
    const struct hr_gcode *code = &g->code[pc];
    if (code->op == HR_G_CHAR)
        return code->a >= lo && code->a <= hi;
    const struct hr_gclass *k = &g->classes[code->a];
    const struct hr_grange *r = g->ranges + k->first;
    uint32_t low = 0, high = k->n; /* the first range that ends at lo or behind */
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (r[mid].hi < lo)
            low = mid + 1;
        else
            high = mid;
    }
    return low < k->n && r[low].lo <= hi;
}

/* After the first bytes of a character: values in [lo, hi] are still to be had. */
static uint16_t match_partial(struct hr_grammar_place *p, const struct hr_gstate *from,
                              uint32_t partial, uint8_t left, uint8_t length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t first = p->n_sets, lo = partial << 6 * left, hi = lo | ((1u << 6 * left) - 1);
    lo = lo > smallest[length] ? lo : smallest[length];
    hi = hi < 0x10FFFF ? hi : 0x10FFFF;
    if (from->n > HR_G_SETS - p->n_sets)
        return 0;
    for (uint32_t i = 0; lo <= hi && i < from->n; i++) {
        uint32_t stack = p->sets[from->first + i];
        if (match_meets(p->g, p->stacks[stack].pc, lo, hi))
            p->sets[p->n_sets++] = stack;
    }
    p->steps += from->n;
    return match_state(p, first, false, partial, left, length);
}

static uint16_t match_closed(struct closure *c)
{
    struct hr_grammar_place *p = c->p;
    closure_run(c);
    if (c->full) {
        p->n_sets = c->first;
        return 0;
    }
    return match_state(p, c->first, c->ends, 0, 0, 0);
}

static uint16_t match_whole(struct hr_grammar_place *p, const struct hr_gstate *from, uint32_t cp)
{
    struct closure c = {.p = p, .first = p->n_sets};
    p->epoch++;
    p->steps += from->n;
    for (uint32_t i = 0; i < from->n && !c.full; i++) {
        const struct hr_gstack *s = &p->stacks[p->sets[from->first + i]];
        if (match_meets(p->g, s->pc, cp, cp)) {
            closure_push(&c, s->pc + 1, s->parent);
            closure_run(&c);
        }
    }
    return match_closed(&c);
}

static uint16_t match_compute(struct hr_grammar_place *p, uint16_t state, uint8_t byte)
{
    const struct hr_gstate *s = &p->states[state];
    if (s->left) {
        uint32_t value = s->partial << 6 | (byte & 0x3Fu);
        if ((byte & 0xC0) != 0x80)
            return HR_G_DEAD;
        return s->left == 1 ? match_whole(p, s, value)
                            : match_partial(p, s, value, (uint8_t)(s->left - 1), s->length);
    }
    if (byte < 0x80)
        return match_whole(p, s, byte);
    if (byte < 0xC2 || byte > 0xF4)
        return HR_G_DEAD;
    uint8_t length = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    return match_partial(p, s, byte & (0x7Fu >> length), (uint8_t)(length - 1), length);
}

/* ---- collecting: only the states in back and path stay ---- */

static void match_keep(uint16_t *ids, uint32_t n, const uint16_t *map)
{
    for (uint32_t i = 0; i < n; i++)
        ids[i] = map[ids[i]];
}

static void match_collect(struct hr_grammar_place *p)
{
    uint16_t map[HR_G_STATES] = {0};
    uint32_t n_states = 1, n_sets = 0, n_stacks = 1;
    p->collections++;
    for (uint32_t i = 0; i <= HR_GRAMMAR_BACK; i++)
        map[p->back[i]] = 1;
    for (uint32_t i = 0; i < p->n_path; i++)
        map[p->path[i]] = 1;
    map[0] = 0;
    p->epoch++; /* marks what is reachable: parents come before their children */
    for (uint32_t i = 1; i < p->n_states; i++)
        for (uint32_t k = 0; map[i] && k < p->states[i].n; k++)
            p->stacks[p->sets[p->states[i].first + k]].seen = p->epoch;
    for (uint32_t i = p->n_stacks; i-- > 1;)
        if (p->stacks[i].seen == p->epoch)
            p->stacks[p->stacks[i].parent].seen = p->epoch;
    memset(p->stack_hash, 0, HR_G_STACKS * sizeof *p->stack_hash);
    memset(p->state_hash, 0, HR_G_STATES * sizeof *p->state_hash);
    for (uint32_t i = 1; i < p->n_stacks; i++) { /* chain tells the new id of an old one */
        if (p->stacks[i].seen != p->epoch)
            continue;
        struct hr_gstack s = p->stacks[i];
        s.parent = s.parent ? p->work[s.parent].chain : 0;
        s.seen = 0;
        p->work[i].chain = n_stacks;
        p->stacks[n_stacks++] = s;
    }
    for (uint32_t i = 1; i < p->n_states; i++) {
        if (!map[i])
            continue;
        struct hr_gstate s = p->states[i];
        for (uint32_t k = 0; k < s.n; k++)
            p->sets[n_sets + k] = p->work[p->sets[s.first + k]].chain;
        s.first = n_sets;
        n_sets += s.n;
        memset(s.to, 0, sizeof s.to);
        map[i] = (uint16_t)n_states;
        p->states[n_states++] = s;
    }
    p->n_states = n_states;
    p->n_sets = n_sets;
    p->n_stacks = n_stacks;
    for (uint32_t i = 1; i < n_stacks; i++) {
        uint32_t h = match_hash(p->stacks[i].pc, p->stacks[i].parent) & MATCH_STACK_MASK;
        p->stacks[i].chain = p->stack_hash[h];
        p->stack_hash[h] = i;
    }
    /* states are not entered into their hash again: one met anew gets a second number, no harm done */
    match_keep(p->back, HR_GRAMMAR_BACK + 1, map);
    match_keep(p->path, p->n_path, map);
}

uint16_t hr_place_step(struct hr_grammar_place *p, uint16_t state, uint8_t byte)
{
    uint16_t to = p->states[state].to[byte];
    if (to)
        return to;
    to = match_compute(p, state, byte);
    if (to == 0 && !p->fault) { /* full: state is in path, whose last entry it is */
        uint16_t kept = p->path[p->n_path];
        p->path[p->n_path++] = state;
        match_collect(p);
        state = p->path[--p->n_path];
        p->path[p->n_path] = kept;
        to = match_compute(p, state, byte);
    }
    if (to == 0) {
        p->fault = HEARTH_E_LIMIT;
        return HR_G_DEAD;
    }
    p->states[state].to[byte] = to;
    return to;
}

/* ---- places ---- */

size_t hr_place_bytes(void)
{
    return HR_G_STATES * sizeof(struct hr_gstate) + 2 * HR_G_STACKS * sizeof(struct hr_gstack) +
           HR_G_SETS * 4 + HR_G_STACKS * 4 + HR_G_STATES * 4 + 64;
}

hearth_status hr_place_init(struct hr_grammar_place *p, const struct hearth_grammar *g, void *mem,
                            hearth_error *err)
{
    uint8_t *at = mem;
    memset(p, 0, sizeof *p);
    p->g = g;
    p->stacks = (struct hr_gstack *)(void *)at;
    p->work = p->stacks + HR_G_STACKS; /* as many: collecting maps old ids there */
    p->sets = (uint32_t *)(void *)(p->work + HR_G_STACKS);
    p->stack_hash = p->sets + HR_G_SETS;
    p->state_hash = p->stack_hash + HR_G_STACKS;
    p->states = (struct hr_gstate *)(void *)(p->state_hash + HR_G_STATES);
    return hr_place_reset(p, err);
}

hearth_status hr_place_reset(struct hr_grammar_place *p, hearth_error *err)
{
    memset(p->stack_hash, 0, HR_G_STACKS * sizeof *p->stack_hash);
    memset(p->state_hash, 0, HR_G_STATES * sizeof *p->state_hash);
    memset(p->back, 0, sizeof p->back);
    p->stacks[0] = (struct hr_gstack){0};
    p->n_states = p->n_stacks = 1;
    p->n_sets = p->n_path = p->at = p->n_back = 0;
    p->epoch = 1;
    p->steps = 0;
    p->max_steps = HR_G_STEPS;
    p->fault = HEARTH_OK;
    struct closure c = {.p = p};
    closure_push(&c, p->g->rules[p->g->root].start, 0);
    uint16_t start = match_closed(&c);
    if (start == 0 || start == HR_G_DEAD)
        return hb_fail(err, HEARTH_E_LIMIT, "grammar: too many ways to begin");
    p->back[0] = start;
    return HEARTH_OK;
}

bool hr_place_may_end(const struct hr_grammar_place *p)
{
    return p->states[p->back[p->at]].ends;
}

bool hr_place_must_end(const struct hr_grammar_place *p)
{
    const struct hr_gstate *s = &p->states[p->back[p->at]];
    return s->ends && s->n == 0;
}

bool hr_place_back(struct hr_grammar_place *p, uint32_t n)
{
    if (n > p->n_back)
        return false;
    p->at = (p->at + HR_GRAMMAR_BACK + 1 - n) % (HR_GRAMMAR_BACK + 1);
    p->n_back -= n;
    p->fault = HEARTH_OK;
    return true;
}

void hr_place_copy(struct hr_grammar_place *to, const struct hr_grammar_place *from)
{
    struct hr_grammar_place own = *to;
    *to = *from;
    to->states = own.states;
    to->stacks = own.stacks;
    to->sets = own.sets;
    to->stack_hash = own.stack_hash;
    to->state_hash = own.state_hash;
    to->work = own.work;
    memcpy(to->states, from->states, from->n_states * sizeof *to->states);
    memcpy(to->stacks, from->stacks, from->n_stacks * sizeof *to->stacks);
    memcpy(to->sets, from->sets, from->n_sets * sizeof *to->sets);
    memcpy(to->stack_hash, from->stack_hash, HR_G_STACKS * sizeof *to->stack_hash);
    memcpy(to->state_hash, from->state_hash, HR_G_STATES * sizeof *to->state_hash);
}
