/* generate and chat, as they come in: prompt or conversation to ids, sampling, grammar, and what the text may take. */
#include "serve/hs_text.h"
#include "base/hb_check.h"
#include "base/hb_error.h"
#include "base/os/hb_os.h"
#include <string.h>
#include <sys/random.h>

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
    struct hs_text_lane *own = lane->own;
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

/* How long the text may become, and what that takes. */
static hearth_status text_plan(struct hs_job *job, const struct hs_generate *g, hearth_error *err)
{
    const struct hs_text_lane *own = job->lane->own;
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
    job->tokens = (uint32_t)hb_round_up(t->n_prompt + (size_t)t->max_tokens, HS_TEXT_PAGE);
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

hearth_status hs_text_accept(struct hs_lane *lane, struct hs_job *job, const struct hs_message *m, const void *msg,
                             hearth_error *err)
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
    HB_TRY(hs_text_take_grammar(lane, &r.g, &t->grammar, err));
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
