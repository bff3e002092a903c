/* What the two files of generate and chat share: engine_text.c takes requests, engine_text_run.c runs them. */
#ifndef HS_TEXT_H
#define HS_TEXT_H

#include "serve/hs_job.h"

#define HS_TEXT_PAGE 16 /* positions of a page of the cache */

#define HS_KEPT_GRAMMARS 32

struct hs_kept_grammar {
    hearth_grammar *grammar; /* NULL: a free place */
    uint8_t key[HS_SHA256_BYTES];
    uint32_t users;          /* jobs */
    uint64_t used;           /* when, counted in uses */
};

struct hs_text_lane {
    struct hs_kept_grammar grammars[HS_KEPT_GRAMMARS];
    uint64_t n_grammar_uses;
    hearth_batch *batch;
    hearth_chat *chat; /* NULL: the model has no template: */
    hearth_error no_chat;
    hearth_session_info info;
    int32_t most;      /* positions of a sequence */
    int32_t chunk;     /* prompt tokens of a step */
};

/* hs_backend.accept. */
hearth_status hs_text_accept(struct hs_lane *lane, struct hs_job *job, const struct hs_message *m, const void *msg,
                             hearth_error *err);

/* The grammar of a request, if it has one; HEARTH_E_MEMORY: all places are in use. Given back when its job is over. */
hearth_status hs_text_take_grammar(struct hs_lane *lane, const struct hs_generate *g, hearth_grammar **out,
                                   hearth_error *err);
void hs_text_give_grammar(struct hs_lane *lane, const hearth_grammar *grammar); /* NULL is fine */
void hs_text_close_grammars(struct hs_text_lane *own);

#endif
