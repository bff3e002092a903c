/* Grammars of requests, kept for the next one with the same text: compiling one puts the vocabulary in order, which
 * takes longer than a step may. */
#include "serve/hs_text.h"
#include "base/hb_error.h"
#include <string.h>

static struct hs_kept_grammar *grammar_find(struct hs_text_lane *own, const uint8_t key[HS_SHA256_BYTES])
{
    for (size_t i = 0; i < HS_KEPT_GRAMMARS; i++)
        if (own->grammars[i].grammar && memcmp(own->grammars[i].key, key, HS_SHA256_BYTES) == 0)
            return &own->grammars[i];
    return NULL;
}

/* An empty place, or the one that nobody uses and was used longest ago; NULL: all are in use. */
static struct hs_kept_grammar *grammar_place(struct hs_text_lane *own)
{
    struct hs_kept_grammar *best = NULL;
    for (size_t i = 0; i < HS_KEPT_GRAMMARS; i++) {
        struct hs_kept_grammar *k = &own->grammars[i];
        if (!k->grammar)
            return k;
        if (k->users == 0 && (!best || k->used < best->used))
            best = k;
    }
    return best;
}

static hearth_status grammar_open(const struct hs_lane *lane, const struct hs_generate *g, struct hs_kept_grammar *k,
                                  hearth_error *err)
{
    hearth_grammar *made;
    bool gbnf = HS_HAS(g, generate, grammar);
    const hearth_grammar_config config = {.struct_size = sizeof config,
                                          .gbnf = gbnf ? g->grammar.at : NULL,
                                          .gbnf_len = g->grammar.len,
                                          .json_schema = gbnf ? NULL : g->json_schema.at,
                                          .json_schema_len = g->json_schema.len};
    HB_TRY(hearth_grammar_open(lane->model.model, &config, &made, err));
    hearth_grammar_close(k->grammar);
    *k = (struct hs_kept_grammar){.grammar = made};
    return HEARTH_OK;
}

hearth_status hs_text_take_grammar(struct hs_lane *lane, const struct hs_generate *g, hearth_grammar **out,
                                   hearth_error *err)
{
    struct hs_text_lane *own = lane->own;
    uint8_t key[HS_SHA256_BYTES], gbnf = HS_HAS(g, generate, grammar);
    struct hs_sha256 s;
    if (!gbnf && !HS_HAS(g, generate, json_schema))
        return HEARTH_OK;
    hs_sha256_init(&s);
    hs_sha256_add(&s, &gbnf, 1);
    hs_sha256_add(&s, gbnf ? g->grammar.at : g->json_schema.at, gbnf ? g->grammar.len : g->json_schema.len);
    hs_sha256_end(&s, key);
    struct hs_kept_grammar *k = grammar_find(own, key);
    if (!k) {
        k = grammar_place(own);
        if (!k)
            return hb_fail(err, HEARTH_E_MEMORY, "%d grammars are in use; no more are accepted now", HS_KEPT_GRAMMARS);
        HB_TRY(grammar_open(lane, g, k, err));
        memcpy(k->key, key, sizeof key);
    }
    k->users++;
    k->used = ++own->n_grammar_uses;
    *out = k->grammar;
    return HEARTH_OK;
}

void hs_text_give_grammar(struct hs_lane *lane, const hearth_grammar *grammar)
{
    struct hs_text_lane *own = lane->own;
    for (size_t i = 0; grammar && i < HS_KEPT_GRAMMARS; i++)
        own->grammars[i].users -= own->grammars[i].grammar == grammar;
}

void hs_text_close_grammars(struct hs_text_lane *own)
{
    for (size_t i = 0; i < HS_KEPT_GRAMMARS; i++)
        hearth_grammar_close(own->grammars[i].grammar);
}
