/* A model that answers at once, for what is about the server and not about models: conn tests, fuzzing, bench_serve.
 * generate takes prompt_tokens or a prompt, and gives 32 tokens and 96 bytes of text in its first step. */
#ifndef SERVE_NOOP_H
#define SERVE_NOOP_H

#include "base/hb_error.h"
#include "serve/hs_conn.h"
#include "serve/hs_job.h"
#include <string.h>

#define NOOP_TOKENS 32
#define NOOP_TEXT   "The kettle sang and the old clock on the wall told the hour to nobody at all, as it always did."

static hearth_status noop_open(struct hs_lane *lane, hearth_error *err)
{
    (void)err;
    lane->config = (struct hs_lane_config){64, UINT32_MAX, UINT64_MAX};
    return HEARTH_OK;
}

static void noop_close(struct hs_lane *lane)
{
    (void)lane;
}

static hearth_status noop_accept(struct hs_lane *lane, struct hs_job *job, const struct hs_message *m,
                                 const void *msg, hearth_error *err)
{
    const struct hs_generate *g = msg;
    struct hs_text_job *t = &job->text;
    size_t capacity;
    int32_t *ids = hs_engine_ids(lane->engine, &capacity);
    if (m != &hs_messages[HS_M_generate])
        return hb_fail(err, HEARTH_E_ARGUMENT, "generate is accepted");
    if (g->prompt_tokens.n > 65536)
        return hb_fail(err, HEARTH_E_FULL, "prompt: %zu tokens", g->prompt_tokens.n);
    HB_TRY(hs_tokens_read(hs_engine_kernels(lane->engine), &g->prompt_tokens, (uint32_t *)ids, capacity, &t->n_prompt,
                          err));
    HB_TRY(HB_ARENA_NEW(&job->arena, int32_t, t->n_prompt, &t->prompt, err));
    if (t->n_prompt)
        memcpy(t->prompt, ids, t->n_prompt * sizeof *ids);
    t->stream = g->stream == 1;
    job->tokens = (uint32_t)t->n_prompt + 1;
    return HEARTH_OK;
}

static void noop_done(struct hs_job *job, enum hs_reason reason)
{
    static uint32_t tokens[NOOP_TOKENS] = {5, 300, 40000};
    struct hs_done d = {0};
    HS_SET(&d, done, id, job->id);
    HS_SET(&d, done, reason, reason);
    HS_SET(&d, done, prompt_tokens, job->text.n_prompt);
    HS_SET(&d, done, generated_tokens, NOOP_TOKENS);
    if (!job->text.stream) {
        HS_SET(&d, done, text, (struct hs_bytes){NOOP_TEXT, sizeof NOOP_TEXT - 1});
        HS_SET(&d, done, tokens, (struct hs_tokens){.values = tokens, .n = NOOP_TOKENS});
    }
    hs_job_end(job, &hs_messages[HS_M_done], &d);
}

static void noop_start(struct hs_lane *lane, struct hs_job *job)
{
    (void)lane, (void)job;
}

static bool noop_step(struct hs_lane *lane, uint64_t until_ns)
{
    struct hs_job *next;
    (void)until_ns;
    for (struct hs_job *job = lane->first; job; job = next) {
        next = job->lane_next;
        if (job->resting)
            continue;
        if (job->text.stream) {
            static const uint32_t token = 7;
            struct hs_chunk c = {0};
            HS_SET(&c, chunk, id, job->id);
            HS_SET(&c, chunk, index, 0);
            HS_SET(&c, chunk, tokens, (struct hs_tokens){.values = &token, .n = 1});
            HS_SET(&c, chunk, text, (struct hs_bytes){NOOP_TEXT, 20});
            hs_job_send(job, &hs_messages[HS_M_chunk], &c);
        }
        noop_done(job, HS_LENGTH);
    }
    return false;
}

static void noop_stop(struct hs_lane *lane, struct hs_job *job, enum hs_reason reason)
{
    (void)lane;
    noop_done(job, reason);
}

static hearth_status noop_tokenize(struct hs_lane *lane, const struct hs_bytes *text, uint32_t flags, int32_t *tokens,
                                   size_t capacity, size_t *n, hearth_error *err)
{
    (void)lane, (void)flags, (void)err;
    *n = text->len < capacity ? text->len : capacity;
    for (size_t i = 0; i < *n; i++)
        tokens[i] = (uint8_t)text->at[i];
    return HEARTH_OK;
}

static const struct hs_backend noop_backend = {.kind = "generate", .open = noop_open, .close = noop_close,
                                               .accept = noop_accept, .start = noop_start, .step = noop_step,
                                               .stop = noop_stop, .tokenize = noop_tokenize};

#endif
