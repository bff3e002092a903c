/* generate and chat: a hearth_batch for each model.
 *
 *   prompt ──► ids ──► job ──scheduler──► batch ──pieces──► chunk, chunk, ... done
 *
 * The scheduler admits no more than the batch can run at once, so that it decides who is next. The time of a step
 * is bounded by the prompt tokens in it: their number is halved and doubled with what steps are measured to take. */
#include "serve/hs_job.h"
#include "base/hb_check.h"
#include "base/hb_error.h"
#include "base/os/hb_os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define TEXT_CHUNK_MIN   16
#define TEXT_CHUNK_FIRST 64 /* until steps have been measured */
#define TEXT_PAGE      16

struct text_lane {
    hearth_batch *batch;
    hearth_chat *chat; /* NULL: the model has no template: */
    hearth_error no_chat;
    hearth_session_info info;
    int32_t most;      /* positions of a sequence */
    int32_t chunk;     /* prompt tokens of a step */
};

/* What generate and chat say about sampling, as one struct. */
struct text_request {
    struct hs_generate g; /* of chat: the fields they share */
    const struct hs_chat *chat;
};

static void text_common(const struct hs_message *m, const void *msg, struct text_request *r)
{
    const struct hs_chat *c = msg;
    r->chat = NULL;
    if (m == &hs_messages[HS_M_generate]) {
        r->g = *(const struct hs_generate *)msg;
        return;
    }
    r->chat = c;
    r->g = (struct hs_generate){.id = c->id};
#define TEXT_SHARED(field)                                                                         \
    if (HS_HAS(c, chat, field))                                                                    \
        HS_SET(&r->g, generate, field, c->field);
    TEXT_SHARED(max_tokens)
    TEXT_SHARED(temperature)
    TEXT_SHARED(top_k)
    TEXT_SHARED(top_p)
    TEXT_SHARED(min_p)
    TEXT_SHARED(repeat_penalty)
    TEXT_SHARED(presence_penalty)
    TEXT_SHARED(frequency_penalty)
    TEXT_SHARED(seed)
    TEXT_SHARED(stop)
    TEXT_SHARED(stream)
    TEXT_SHARED(ignore_end)
    TEXT_SHARED(grammar)
    TEXT_SHARED(json_schema)
}

/* ---- prompts ---- */

static hearth_status text_ids(struct hs_lane *lane, const struct text_request *r, int32_t *ids, size_t capacity,
                              size_t *n, hearth_error *err)
{
    if (HS_HAS(&r->g, generate, prompt_tokens))
        return hs_tokens_read(hs_engine_kernels(lane->engine), &r->g.prompt_tokens, (uint32_t *)ids, capacity, n, err);
    return hearth_tokenize(lane->model.model, r->g.prompt.at, r->g.prompt.len,
                           HEARTH_TOKENIZE_SPECIAL | (r->g.parse_special ? HEARTH_TOKENIZE_PARSE_SPECIAL : 0), ids,
                           capacity, n, err);
}

static hearth_status text_turns(struct hs_job *job, const struct hs_chat *c, hearth_message **out, size_t *n_out,
                                hearth_error *err)
{
    struct hs_turn turn;
    hearth_message *turns;
    size_t at = 0, n = 0;
    bool more = true;
    HB_TRY(HB_ARENA_NEW(&job->arena, hearth_message, c->turns.n, &turns, err));
    for (;;) {
        HB_TRY(hs_part_next(&hs_messages[HS_M_turn], &c->turns, &at, &turn, &more, err));
        if (!more)
            break;
        HB_TRY(hb_arena_text(&job->arena, turn.role.at, turn.role.len, &turns[n].role, err));
        turns[n].content = turn.content.at;
        turns[n++].content_len = turn.content.len;
    }
    *out = turns;
    *n_out = n;
    return HEARTH_OK;
}

static hearth_status text_chat_ids(struct hs_lane *lane, struct hs_job *job, const struct hs_chat *c, int32_t *ids,
                                   size_t capacity, size_t *n, hearth_error *err)
{
    struct text_lane *own = lane->own;
    hearth_prompt prompt = {.struct_size = sizeof prompt};
    hearth_message *turns = NULL;
    size_t n_turns = 0;
    if (!own->chat) {
        *err = own->no_chat;
        return own->no_chat.status;
    }
    HB_TRY(text_turns(job, c, &turns, &n_turns, err));
    HB_TRY(hearth_chat_render(own->chat, turns, n_turns, HEARTH_CHAT_ANSWER, &prompt, err));
    return hearth_chat_tokenize(own->chat, &prompt, 0, ids, capacity, n, err);
}

/* ---- accepting ---- */

/* Stop strings, terminated, in the job's memory. */
static hearth_status text_stops(struct hs_job *job, const struct hs_list *list, hearth_error *err)
{
    const char **stops;
    struct hs_bytes text;
    size_t at = 0, n = 0;
    HB_TRY(HB_ARENA_NEW(&job->arena, const char *, list->n, &stops, err));
    while (hs_text_next(list, &at, &text)) {
        if (memchr(text.at, 0, text.len))
            return hb_fail(err, HEARTH_E_RANGE, "stop: text %zu has a NUL; others are accepted", n + 1);
        HB_TRY(hb_arena_text(&job->arena, text.at, text.len, &stops[n++], err));
    }
    job->text.config.stop = stops;
    job->text.config.n_stop = n;
    return HEARTH_OK;
}

static hearth_allocator text_allocator(struct hs_job *job)
{
    return (hearth_allocator){job->hooks.alloc, job->hooks.free, job->hooks.user};
}

static uint64_t text_random(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        hb_os_random(&seed, sizeof seed);
    return seed >> 11; /* what a double holds: JSON clients can give it back */
}

/* What the sampler will be; it is opened when the request runs, since one takes memory for the vocabulary. */
static void text_sampling(struct hs_job *job, const struct hs_generate *g)
{
    struct hs_text_job *t = &job->text;
    t->seed = HS_HAS(g, generate, seed) ? g->seed : text_random();
    t->sampling = (hearth_sampler_config){
        .struct_size = sizeof t->sampling,
        .temperature = HS_HAS(g, generate, temperature) ? g->temperature : 0.7f,
        .top_k = HS_HAS(g, generate, top_k) ? (int32_t)g->top_k : 40,
        .top_p = HS_HAS(g, generate, top_p) ? g->top_p : 0.9f,
        .min_p = g->min_p,
        .repeat_penalty = HS_HAS(g, generate, repeat_penalty) ? g->repeat_penalty : 1.1f,
        .presence_penalty = g->presence_penalty,
        .frequency_penalty = g->frequency_penalty,
        .seed = t->seed,
        .allocator = text_allocator(job)};
}

static hearth_status text_grammar(struct hs_job *job, const struct hs_generate *g, hearth_error *err)
{
    if (!HS_HAS(g, generate, grammar) && !HS_HAS(g, generate, json_schema))
        return HEARTH_OK;
    const hearth_grammar_config config = {.struct_size = sizeof config,
                                          .gbnf = HS_HAS(g, generate, grammar) ? g->grammar.at : NULL,
                                          .gbnf_len = g->grammar.len,
                                          .json_schema = HS_HAS(g, generate, json_schema) ? g->json_schema.at : NULL,
                                          .json_schema_len = g->json_schema.len,
                                          .allocator = text_allocator(job)};
    return hearth_grammar_open(job->lane->model.model, &config, &job->text.grammar, err);
}

/* How long the text may become, and what that takes. */
static hearth_status text_plan(struct hs_job *job, const struct hs_generate *g, hearth_error *err)
{
    const struct text_lane *own = job->lane->own;
    struct hs_text_job *t = &job->text;
    uint64_t want = HS_HAS(g, generate, max_tokens) ? g->max_tokens : 256;
    if (t->n_prompt == 0)
        return hb_fail(err, HEARTH_E_RANGE, "prompt: it has no tokens; at least one is needed");
    if (t->n_prompt > hs_engine_limits(job->engine)->prompt_tokens)
        return hb_fail(err, HEARTH_E_LIMIT, "prompt: %zu tokens; at most %u are accepted", t->n_prompt,
                       hs_engine_limits(job->engine)->prompt_tokens);
    if (t->n_prompt >= (size_t)own->most)
        return hb_fail(err, HEARTH_E_FULL, "prompt: %zu tokens; the context takes %d and at least one more",
                       t->n_prompt, own->most);
    uint64_t room = (uint64_t)own->most - t->n_prompt;
    t->capped = want > room;
    t->max_tokens = (int32_t)(t->capped ? room : want);
    job->tokens = (uint32_t)hb_round_up(t->n_prompt + (size_t)t->max_tokens, TEXT_PAGE);
    job->bytes = (uint64_t)job->tokens * own->info.kv_token_bytes;
    return HEARTH_OK;
}

/* ---- answers that are given again ---- */

static void text_key_bytes(struct hs_sha256 *s, const void *bytes, size_t len)
{
    const uint64_t n = len; /* so that two fields cannot read as one */
    hs_sha256_add(s, &n, sizeof n);
    if (len)
        hs_sha256_add(s, bytes, len);
}

/* All that the text follows from. A model is told by its place in time, which no other shares. */
static void text_key(struct hs_job *job, const struct hs_generate *g)
{
    struct hs_text_job *t = &job->text;
    const hearth_sampler_config *c = &t->sampling;
    const uint64_t numbers[] = {job->lane->order, (uint64_t)t->max_tokens, t->capped, t->config.ignore_end != 0,
                                (uint64_t)c->top_k, c->temperature > 0 ? c->seed : 0,
                                HS_HAS(g, generate, grammar), t->config.n_stop};
    const float reals[] = {c->temperature, c->top_p, c->min_p, c->repeat_penalty, c->presence_penalty,
                           c->frequency_penalty};
    struct hs_sha256 s;
    hs_sha256_init(&s);
    text_key_bytes(&s, numbers, sizeof numbers);
    text_key_bytes(&s, reals, sizeof reals);
    for (size_t i = 0; i < t->config.n_stop; i++)
        text_key_bytes(&s, t->config.stop[i], strlen(t->config.stop[i]));
    text_key_bytes(&s, g->grammar.at, g->grammar.len);
    text_key_bytes(&s, g->json_schema.at, g->json_schema.len);
    text_key_bytes(&s, t->prompt, t->n_prompt * sizeof *t->prompt);
    hs_sha256_end(&s, t->key);
}

static hearth_status text_accept(struct hs_lane *lane, struct hs_job *job, const struct hs_message *m,
                                 const void *msg, hearth_error *err)
{
    struct hs_text_job *t = &job->text;
    struct text_request r;
    size_t capacity;
    int32_t *ids = hs_engine_ids(lane->engine, &capacity);
    if (m != &hs_messages[HS_M_generate] && m != &hs_messages[HS_M_chat])
        return hb_fail(err, HEARTH_E_ARGUMENT, "model \"%s\" generates text; generate and chat are accepted",
                       lane->name);
    text_common(m, msg, &r);
    HB_TRY(r.chat ? text_chat_ids(lane, job, r.chat, ids, capacity, &t->n_prompt, err)
                  : text_ids(lane, &r, ids, capacity, &t->n_prompt, err));
    HB_TRY(text_plan(job, &r.g, err));
    HB_TRY(HB_ARENA_NEW(&job->arena, int32_t, t->n_prompt, &t->prompt, err));
    memcpy(t->prompt, ids, t->n_prompt * sizeof *ids);
    HB_TRY(text_stops(job, &r.g.stop, err));
    text_sampling(job, &r.g);
    HB_TRY(text_grammar(job, &r.g, err));
    const struct hs_engine_config *c = hs_engine_settings(lane->engine);
    HB_TRY(hs_answer_open(&t->answer, c->blocked_out, c->stop_at_blocked, hs_engine_limits(lane->engine)->answer_chars,
                          &job->arena, err));
    t->stream = r.g.stream == 1;
    t->config.struct_size = sizeof t->config;
    t->config.max_tokens = t->max_tokens;
    t->config.ignore_end = r.g.ignore_end == 1;
    t->config.grammar = t->grammar;
    t->config.allocator = text_allocator(job);
    t->cacheable = hs_engine_cache(lane->engine) &&
                   (t->sampling.temperature <= 0 || HS_HAS(&r.g, generate, seed));
    if (t->cacheable)
        text_key(job, &r.g);
    return HEARTH_OK;
}

static void text_release(struct hs_job *job)
{
    hearth_sampler_close(job->text.sampler);
    hearth_grammar_close(job->text.grammar);
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
static void text_pieces(struct text_lane *own)
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
    struct text_lane *own = lane->own;
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
    struct text_lane *own = lane->own;
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
    hearth_batch_rest(((struct text_lane *)lane->own)->batch, job->text.batch_id, rest, NULL);
}

static void text_adapt(struct hs_lane *lane, uint64_t took_ns)
{
    struct text_lane *own = lane->own;
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
    struct text_lane *own = lane->own;
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
    struct text_lane *own = lane->own;
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
    struct text_lane *own = lane->own;
    if (!own)
        return;
    hearth_batch_close(own->batch);
    hearth_chat_close(own->chat);
    free(own);
    lane->own = NULL;
}

static hearth_status text_open(struct hs_lane *lane, hearth_error *err)
{
    struct text_lane *own = calloc(1, sizeof *own);
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
    int32_t cache = own->info.n_kv_tokens / TEXT_PAGE * TEXT_PAGE;
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
    .accept = text_accept,
    .start = text_start,
    .step = text_step,
    .stop = text_stop,
    .rest = text_rest,
    .release = text_release,
    .warm_up = text_warm_up,
    .tokenize = text_tokenize,
};
