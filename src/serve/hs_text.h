/* What the two files of generate and chat share: engine_text.c takes requests, engine_text_run.c runs them. */
#ifndef HS_TEXT_H
#define HS_TEXT_H

#include "serve/hs_job.h"

#define HS_TEXT_PAGE 16 /* positions of a page of the cache */

struct hs_text_lane {
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

#endif
