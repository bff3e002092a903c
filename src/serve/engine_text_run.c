/* generate and chat: a hearth_batch for each model.
 *
 *   prompt ──► ids ──► job ──scheduler──► batch ──pieces──► chunk, chunk, ... done
 *
 * The scheduler admits no more than the batch can run at once, so that it decides who is next. The time of a step
 * is bounded by the prompt tokens in it: their number is halved and doubled with what steps are measured to take. */
#include "serve/hs_text.h"
#include "base/hb_error.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_CHUNK_MIN   16
#define TEXT_CHUNK_FIRST 64 /* until steps have been measured */

static void text_release(struct hs_job *job)
{
    hearth_sampler_close(job->text.sampler);
    hs_text_give_grammar(job->lane, job->text.grammar);
}

/* ---- answers ---- */

static void text_done(struct hs_job *job, enum hs_reason reason)
{
    const struct hs_text_job *t = &job->text;
    struct hs_done d = {0};
    uint64_t now = hs_engine_now(job->engine);
    HS_SET(&d, done, id, job->id);
    HS_SET(&d, done, reason, reason);
    HS_SET(&d, done, prompt_tokens, t->n_prompt);
    HS_SET(&d, done, generated_tokens, t->n_generated);
    if (t->n_cached)
        HS_SET(&d, done, cached_tokens, t->n_cached);
    if (!t->stream) {
        HS_SET(&d, done, text, (struct hs_bytes){t->text, t->text_len});
        if (!t->answer.stream)
            HS_SET(&d, done, tokens, (struct hs_tokens){.values = t->tokens, .n = t->n_generated});
    }
    HS_SET(&d, done, seed, t->seed);
    uint64_t started = job->started_ns ? job->started_ns : now, first = job->first_ns ? job->first_ns : now;
    HS_SET(&d, done, queue_us, (started - job->submitted_ns) / 1000);
    HS_SET(&d, done, prompt_us, (first - started) / 1000);
    HS_SET(&d, done, generate_us, (now - first) / 1000);
    job->lane->prompt_tokens += t->n_prompt - t->n_cached;
    if (t->cacheable && reason <= HS_CONTEXT)
        hs_cache_put(hs_engine_cache(job->engine), t->key,
                     &(struct hs_cached){t->text, t->text_len, t->tokens, t->n_generated, (uint8_t)reason}, now);
    hs_job_end(job, &hs_messages[HS_M_done], &d);
}

/* Room for `need` elements of `size` bytes: twice as much each time, from the job's memory. */
static bool text_room(struct hs_job *job, void **at, size_t *capacity, size_t used, size_t need, size_t size)
{
    void *bigger;
    size_t n = need * 2 + 64;
    if (need <= *capacity)
        return true;
    if (hb_arena_take_array(&job->arena, n, size, 16, &bigger, NULL) != HEARTH_OK)
        return false;
    if (used)
        memcpy(bigger, *at, used * size);
    *at = bigger;
    *capacity = n;
    return true;
}

static void text_chunk(struct hs_job *job, const hearth_piece *piece, const struct hs_bytes *text)
{
    struct hs_chunk c = {0};
    uint32_t token = (uint32_t)piece->token;
    HS_SET(&c, chunk, id, job->id);
    HS_SET(&c, chunk, index, job->text.n_chunks++);
    HS_SET(&c, chunk, tokens, (struct hs_tokens){.values = &token, .n = piece->token >= 0 && !job->text.answer.stream});
    if (text->len)
        HS_SET(&c, chunk, text, *text);
    hs_job_send(job, &hs_messages[HS_M_chunk], &c);
}

/* false: no memory. */
static bool text_keep(struct hs_job *job, const hearth_piece *piece, const struct hs_bytes *text)
{
    struct hs_text_job *t = &job->text;
    if (piece->token >= 0) {
        if (!text_room(job, (void **)(void *)&t->tokens, &t->tokens_capacity, t->n_generated, t->n_generated + 1,
                       sizeof *t->tokens))
            return false;
        t->tokens[t->n_generated] = (uint32_t)piece->token;
    }
    if (text->len == 0)
        return true;
    if (!text_room(job, (void **)(void *)&t->text, &t->text_capacity, t->text_len, t->text_len + text->len, 1))
        return false;
    memcpy(t->text + t->text_len, text->at, text->len);
    t->text_len += text->len;
    return true;
}

static enum hs_reason text_reason(const struct hs_text_job *t, hearth_finish finish)
{
    if (t->stopping)
        return (enum hs_reason)t->reason;
    if (t->answer.end != HS_ANSWER_GOES_ON)
        return t->answer.end == HS_ANSWER_BLOCKED ? HS_FILTERED : HS_LENGTH;
    switch (finish) {
    case HEARTH_FINISH_STOP:
        return HS_STOP;
    case HEARTH_FINISH_LENGTH:
        return t->capped ? HS_CONTEXT : HS_LENGTH;
    case HEARTH_FINISH_CONTEXT:
        return HS_CONTEXT;
    case HEARTH_FINISH_DEADLINE:
        return HS_TIMEOUT;
    default:
        return HS_CANCELLED;
    }
}

static void text_piece(struct hs_job *job, const hearth_batch_piece *p)
{
    struct hs_text_job *t = &job->text;
    struct hs_bytes text;
    const bool over = p->piece.finish != HEARTH_FINISH_NONE;
    t->n_cached = p->matched;
    if (p->piece.token >= 0 && !job->first_ns)
        job->first_ns = hs_engine_now(job->engine);
    const bool ends = hs_answer_text(&t->answer, p->piece.text, p->piece.text_len, over, &text) != HS_ANSWER_GOES_ON;
    if (t->stream && (text.len || (p->piece.token >= 0 && !t->answer.stream)))
        text_chunk(job, &p->piece, &text);
    const bool kept = (t->stream && !t->cacheable) || text_keep(job, &p->piece, &text);
    if (p->piece.token >= 0 && kept) {
        t->n_generated++;
        job->lane->generated_tokens++;
    }
    if (p->piece.finish == HEARTH_FINISH_ERROR)
        hs_job_fail(job, hs_engine_code(p->status), p->text);
    else if (over)
        text_done(job, text_reason(t, p->piece.finish));
    else if (ends || !kept)
        job->lane->backend->stop(job->lane, job, t->answer.end == HS_ANSWER_BLOCKED ? HS_FILTERED : HS_LENGTH);
}

/* After the last call no ended generation is left in the batch, so jobs may be released. */
static void text_pieces(struct hs_text_lane *own)
{
    hearth_batch_piece piece = {.struct_size = sizeof piece};
    while (hearth_batch_next(own->batch, &piece))
        text_piece(piece.user, &piece);
}

/* ---- running ---- */

/* The same was asked before: the answer is there. */
static bool text_again(struct hs_job *job)
{
    struct hs_text_job *t = &job->text;
    const struct hs_cached *a = t->cacheable ? hs_cache_find(hs_engine_cache(job->engine), t->key,
                                                             job->started_ns) : NULL;
    if (!a)
        return false;
    if (t->stream) {
        struct hs_chunk c = {0};
        HS_SET(&c, chunk, id, job->id);
        HS_SET(&c, chunk, index, 0);
        HS_SET(&c, chunk, tokens, (struct hs_tokens){.values = a->tokens, .n = t->answer.stream ? 0 : a->n_tokens});
        HS_SET(&c, chunk, text, (struct hs_bytes){a->text, a->text_len});
        hs_job_send(job, &hs_messages[HS_M_chunk], &c);
    }
    t->text = (char *)(uintptr_t)a->text;
    t->text_len = a->text_len;
    t->tokens = (uint32_t *)(uintptr_t)a->tokens;
    t->n_generated = a->n_tokens;
    t->n_cached = t->n_prompt;
    t->cacheable = false;
    text_done(job, (enum hs_reason)a->reason);
    return true;
}

static void text_start(struct hs_lane *lane, struct hs_job *job)
{
    struct hs_text_lane *own = lane->own;
    hearth_error err = {0};
    struct hs_text_job *t = &job->text;
    if (text_again(job))
        return;
    hearth_status status = hearth_sampler_open(lane->model.model, &t->sampling, &t->sampler, &err);
    t->config.sampler = t->sampler;
    if (status == HEARTH_OK)
        status = hearth_batch_add(own->batch, &t->config, t->prompt, t->n_prompt, job, &t->batch_id, &err);
    if (status != HEARTH_OK)
        hs_job_fail(job, hs_engine_code(status), err.text);
}

static void text_stop(struct hs_lane *lane, struct hs_job *job, enum hs_reason reason)
{
    struct hs_text_lane *own = lane->own;
    if (job->state == HS_JOB_ENDED || job->text.stopping)
        return;
    job->text.stopping = true;
    job->text.reason = (uint8_t)reason;
    if (!job->text.batch_id) {
        text_done(job, reason);
        return;
    }
    hearth_batch_cancel(own->batch, job->text.batch_id, NULL);
    text_pieces(own);
}

static void text_rest(struct hs_lane *lane, struct hs_job *job, bool rest)
{
    hearth_batch_rest(((struct hs_text_lane *)lane->own)->batch, job->text.batch_id, rest, NULL);
}

static void text_adapt(struct hs_lane *lane, uint64_t took_ns)
{
    struct hs_text_lane *own = lane->own;
    uint64_t aim = hs_engine_step_ns(lane->engine);
    if (took_ns > aim && own->chunk > TEXT_CHUNK_MIN)
        own->chunk = own->chunk / 2 > TEXT_CHUNK_MIN ? own->chunk / 2 : TEXT_CHUNK_MIN;
    else if (took_ns < aim / 3 && own->chunk < own->info.n_batch)
        own->chunk = own->chunk * 2 < own->info.n_batch ? own->chunk * 2 : own->info.n_batch;
    else
        return;
    hearth_batch_set_prompt_chunk(own->batch, own->chunk);
}

static bool text_step(struct hs_lane *lane, uint64_t until_ns)
{
    struct hs_text_lane *own = lane->own;
    bool prompts = false, runs = false;
    (void)until_ns; /* one step, bounded by its prompt tokens */
    for (const struct hs_job *job = lane->first; job; job = job->lane_next) {
        runs = runs || !job->resting;
        prompts = prompts || (!job->resting && !job->first_ns);
    }
    if (!runs)
        return false;
    uint64_t start_ns = hs_engine_now(lane->engine);
    hearth_batch_step(own->batch, NULL);
    if (prompts)
        text_adapt(lane, hs_engine_now(lane->engine) - start_ns);
    text_pieces(own);
    return lane->n_jobs > 0;
}

static void text_warm_up(struct hs_lane *lane)
{
    struct hs_text_lane *own = lane->own;
    hearth_batch_piece piece = {.struct_size = sizeof piece};
    const hearth_generation_config config = {.struct_size = sizeof config, .max_tokens = 1};
    int32_t bos = hearth_token_bos(lane->model.model);
    const int32_t token = bos >= 0 ? bos : 0;
    uint64_t id;
    if (hearth_batch_add(own->batch, &config, &token, 1, NULL, &id, NULL) != HEARTH_OK)
        return;
    while (hearth_batch_count(own->batch, NULL) > 0 && hearth_batch_step(own->batch, NULL) == HEARTH_OK)
        while (hearth_batch_next(own->batch, &piece)) {
        }
}

static hearth_status text_tokenize(struct hs_lane *lane, const struct hs_bytes *text, uint32_t flags,
                                   int32_t *tokens, size_t capacity, size_t *n, hearth_error *err)
{
    return hearth_tokenize(lane->model.model, text->at, text->len, flags, tokens, capacity, n, err);
}

/* ---- opening ---- */

static void text_close(struct hs_lane *lane)
{
    struct hs_text_lane *own = lane->own;
    if (!own)
        return;
    hearth_batch_close(own->batch);
    hs_text_close_grammars(own);
    hearth_chat_close(own->chat);
    free(own);
    lane->own = NULL;
}

static hearth_status text_open(struct hs_lane *lane, hearth_error *err)
{
    struct hs_text_lane *own = calloc(1, sizeof *own);
    if (!own)
        return hb_fail(err, HEARTH_E_MEMORY, "model \"%s\": no memory", lane->name);
    lane->own = own;
    own->info.struct_size = sizeof own->info;
    hearth_session_get_info(lane->model.session, &own->info);
    const hearth_batch_config config = {.struct_size = sizeof config, .session = lane->model.session};
    const hearth_chat_config chat = {.struct_size = sizeof chat, .now = (int64_t)time(NULL)};
    hearth_status status = hearth_batch_open(&config, &own->batch, err);
    if (status != HEARTH_OK) {
        text_close(lane);
        return status;
    }
    hearth_chat_open(lane->model.model, &chat, &own->chat, &own->no_chat);
    int32_t cache = own->info.n_kv_tokens / HS_TEXT_PAGE * HS_TEXT_PAGE;
    own->most = own->info.n_ctx < cache ? own->info.n_ctx : cache;
    own->chunk = own->info.n_batch < TEXT_CHUNK_FIRST ? own->info.n_batch : TEXT_CHUNK_FIRST;
    hearth_batch_set_prompt_chunk(own->batch, own->chunk);
    lane->config = (struct hs_lane_config){(uint32_t)own->info.n_seqs, (uint32_t)cache, own->info.kv_bytes};
    return HEARTH_OK;
}

const struct hs_backend hs_backend_text = {
    .kind = "generate",
    .open = text_open,
    .close = text_close,
    .accept = hs_text_accept,
    .start = text_start,
    .step = text_step,
    .stop = text_stop,
    .rest = text_rest,
    .release = text_release,
    .warm_up = text_warm_up,
    .tokenize = text_tokenize,
};
