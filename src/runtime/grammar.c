/* Grammars as hearth.h has them, and how a generation is held to one. */
#include "runtime/hr_grammar.h"
#include "runtime/hr_sampler.h"
#include "base/hb_check.h"
#include <string.h>

/* ---- opening ---- */

static hearth_status grammar_read(struct hearth_grammar *g, const hearth_grammar_config *c,
                                  struct hb_arena *work, hearth_error *err)
{
    const char *text = c->gbnf;
    size_t len = c->gbnf_len;
    if (!c->gbnf == !c->json_schema)
        return hb_fail(err, HEARTH_E_ARGUMENT, "grammar: one of gbnf and json_schema is needed");
    if (c->json_schema)
        HB_TRY(hr_schema_grammar(c->json_schema, c->json_schema_len, work, &text, &len, err));
    HB_TRY(hr_grammar_parse(g, text, len, work, err));
    for (uint32_t i = 0; i < g->n_rules; i++) /* names point into text, which goes */
        if (g->rules[i].name)
            HB_TRY(hb_arena_text(&g->arena, g->rules[i].name, g->rules[i].name_len, &g->rules[i].name,
                                 err));
    HB_TRY(hr_grammar_check(g, work, err));
    return hr_grammar_order(g, work, err);
}

hearth_status hearth_grammar_open(const hearth_model *model, const hearth_grammar_config *config,
                                  hearth_grammar **grammar, hearth_error *err)
{
    hearth_grammar_config c = {.struct_size = sizeof c};
    struct hb_alloc hooks;
    struct hb_arena arena, work;
    struct hearth_grammar *g;
    if (config)
        memcpy(&c, config, config->struct_size < sizeof c ? config->struct_size : sizeof c);
    HB_TRY(hr_hooks(&c.allocator, &hooks, err));
    if (!model->tokenizer)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "model: it has no tokenizer");
    hb_arena_init_growing(&arena, &hooks);
    hb_arena_init_growing(&work, &hooks);
    hearth_status status = HB_ARENA_NEW(&arena, struct hearth_grammar, 1, &g, err);
    if (status == HEARTH_OK) {
        g->model = model;
        g->arena = arena;
        status = grammar_read(g, &c, &work, err);
        arena = g->arena;
    }
    hb_arena_release(&work);
    if (status != HEARTH_OK) {
        hb_arena_release(&arena);
        return status;
    }
    *grammar = g;
    return HEARTH_OK;
}

void hearth_grammar_close(hearth_grammar *grammar)
{
    if (!grammar)
        return;
    struct hb_arena arena = grammar->arena; /* the grammar lives inside it */
    hb_arena_release(&arena);
}

/* ---- a generation's place ---- */

struct hr_constrained {
    hearth_sampler *sampler;
    struct hr_grammar_place place;
};

static bool constrained_allow(void *user, int32_t token)
{
    return hr_place_allows(&((struct hr_constrained *)user)->place, token);
}

static void constrained_mask(void *user, float *logits, int32_t n)
{
    hr_place_mask(&((struct hr_constrained *)user)->place, logits, n);
}

static void constrained_accept(void *user, int32_t token)
{
    hr_place_accept(&((struct hr_constrained *)user)->place, token);
}

static hearth_status constrained_place(const struct hearth_grammar *g, struct hb_arena *arena,
                                       struct hr_grammar_place *place, hearth_error *err)
{
    void *mem;
    HB_TRY(hb_arena_take_raw(arena, hr_place_bytes(), 16, &mem, err));
    return hr_place_init(place, g, mem, err);
}

hearth_status hr_constrain(const struct hearth_grammar *g, hearth_sampler *sampler,
                           struct hb_arena *arena, struct hr_constrained **out, hearth_error *err)
{
    struct hr_constrained *c;
    if (!sampler)
        return hb_fail(err, HEARTH_E_ARGUMENT, "grammar: it needs a sampler; temperature 0 is greedy");
    HB_TRY(HB_ARENA_NEW(arena, struct hr_constrained, 1, &c, err));
    HB_TRY(constrained_place(g, arena, &c->place, err));
    c->sampler = sampler;
    const struct hr_constraint constraint = {constrained_allow, constrained_mask, constrained_accept, c};
    hr_sampler_constrain(sampler, &constraint);
    *out = c;
    return HEARTH_OK;
}

void hr_constrained_end(struct hr_constrained *c)
{
    if (c)
        hr_sampler_constrain(c->sampler, NULL);
}

hearth_status hr_constrained_start(struct hr_constrained *c, hearth_error *err)
{
    return c ? hr_place_reset(&c->place, err) : HEARTH_OK;
}

bool hr_constrained_over(const struct hr_constrained *c)
{
    return c && hr_place_must_end(&c->place);
}

hearth_status hr_constrained_why(const struct hr_constrained *c, hearth_status status,
                                 hearth_error *err)
{
    if (!c || status == HEARTH_OK)
        return status;
    if (c->place.fault == HEARTH_E_LIMIT)
        return hb_fail(err, HEARTH_E_LIMIT, "grammar: more than %llu steps or ways for one token",
                       (unsigned long long)c->place.max_steps);
    if (status == HEARTH_E_NUMERIC)
        return hb_fail(err, status, "grammar: no token of the vocabulary can follow, or the scores are "
                       "no numbers");
    return status;
}

/* ---- texts ---- */

hearth_status hearth_grammar_match(const hearth_grammar *grammar, const char *text, size_t len,
                                   hearth_grammar_verdict *verdict, hearth_error *err)
{
    struct hr_grammar_place place, *p = &place;
    struct hb_arena arena;
    hb_arena_init_growing(&arena, &grammar->arena.hooks);
    hearth_status status = constrained_place(grammar, &arena, p, err);
    for (size_t i = 0; status == HEARTH_OK && i < len && p->back[p->at] != HR_G_DEAD; i++) {
        p->steps = 0;
        p->back[p->at] = hr_place_step(p, p->back[p->at], (uint8_t)text[i]);
        if (p->fault)
            status = hb_fail(err, p->fault, "grammar: more than %llu steps or ways for one byte",
                             (unsigned long long)p->max_steps);
    }
    if (status == HEARTH_OK)
        *verdict = p->back[p->at] == HR_G_DEAD ? HEARTH_GRAMMAR_NO
                   : hr_place_may_end(p)       ? HEARTH_GRAMMAR_WHOLE
                                               : HEARTH_GRAMMAR_BEGINS;
    hb_arena_release(&arena);
    return status;
}
