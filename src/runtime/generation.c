/* Generating text: prompt in chunks, one token at a time after it. hr_generation.h tells how it works. */
#include "runtime/hr_generation.h"
#include "runtime/hr_grammar.h"
#include "runtime/hr_spec.h"
#include "base/hb_check.h"
#include "base/os/hb_os.h"
#include <string.h>

#define GENERATION_CHUNK 256

const char *hearth_finish_text(hearth_finish finish)
{
    switch (finish) {
    case HEARTH_FINISH_NONE:
        return "none";
    case HEARTH_FINISH_STOP:
        return "stop";
    case HEARTH_FINISH_LENGTH:
        return "length";
    case HEARTH_FINISH_CONTEXT:
        return "context_full";
    case HEARTH_FINISH_CANCELLED:
        return "cancelled";
    case HEARTH_FINISH_DEADLINE:
        return "timeout";
    case HEARTH_FINISH_ERROR:
        return "error";
    }
    return "unknown";
}

/* ---- opening and closing ---- */

hearth_status hearth_generation_open(hearth_session *session,
                                     const hearth_generation_config *config,
                                     hearth_generation **gen, hearth_error *err)
{
    hearth_generation_config c = {.struct_size = sizeof c};
    hearth_session_info info = {.struct_size = sizeof info};
    struct hb_alloc hooks;
    struct hr_call own, *call;
    hearth_generation *g = NULL;
    if (config)
        memcpy(&c, config, config->struct_size < sizeof c ? config->struct_size : sizeof c);
    HB_TRY(hr_hooks(&c.allocator, &hooks, err));
    if (hearth_seq_length(session, c.seq) < 0)
        return hb_fail(err, HEARTH_E_RANGE, "generation: the session has no sequence %d", c.seq);
    if (c.max_tokens < 0)
        return hb_fail(err, HEARTH_E_RANGE, "generation: max_tokens %d; 0 or more is accepted",
                       c.max_tokens);
    if (c.n_logprobs < 0 || c.n_logprobs > HR_MAX_LOGPROBS)
        return hb_fail(err, HEARTH_E_RANGE, "generation: n_logprobs %d; 0 to %d are accepted",
                       c.n_logprobs, HR_MAX_LOGPROBS);
    HB_TRY(hr_call_begin(c.memory, &hooks, &own, &call, err));
    hearth_status status = HB_ARENA_NEW(&call->arena, hearth_generation, 1, &g, err);
    if (status != HEARTH_OK)
        return hr_call_end(call, status, err);
    hearth_session_get_info(session, &info);
    g->session = session;
    g->model = hr_session_model(session);
    g->config = c;
    g->pending = -1;
    g->n_ctx = info.n_ctx;
    g->confirmed = hearth_seq_length(session, c.seq);
    status = hr_tail_stops(&g->tail, c.stop, c.n_stop, err);
    if (status == HEARTH_OK && c.speculation)
        status = hr_spec_open(&c, session, &call->arena, &g->spec, err);
    if (status == HEARTH_OK && c.grammar)
        status = hr_constrain(c.grammar, c.sampler, &call->arena, &g->constrained, err);
    if (status != HEARTH_OK)
        return hr_call_end(call, status, err);
    if (call == &own) { /* a call of no memory moves into what it made */
        g->own = own;
        call = &g->own;
    }
    g->call = call;
    *gen = g;
    return HEARTH_OK;
}

void hr_generation_settle(hearth_generation *g)
{
    if (g->n_guess > 0)
        hearth_seq_trim(g->session, g->config.seq, g->confirmed, NULL);
    g->n_rows = g->row_at = g->n_guess = 0;
}

void hearth_generation_close(hearth_generation *g)
{
    if (!g)
        return;
    hr_generation_settle(g);
    if (g->spec)
        hr_spec_close(g->spec);
    hr_constrained_end(g->constrained);
    struct hr_call own = g->own; /* the generation lives in what is released */
    hr_call_end(g->call == &g->own ? &own : g->call, HEARTH_OK, NULL);
}

void hearth_generation_get_stats(const hearth_generation *g, hearth_generation_stats *stats)
{
    hearth_generation_stats full = {.off = ""};
    if (g->spec)
        full = g->spec->stats;
    full.passes = g->passes;
    full.struct_size = stats->struct_size;
    memcpy(stats, &full, full.struct_size < sizeof full ? full.struct_size : sizeof full);
}

/* ---- the machine ---- */

hearth_status hr_generation_begin(hearth_generation *g, const int32_t *tokens, size_t n,
                                  size_t there, hearth_error *err)
{
    hr_generation_settle(g);
    int32_t length = hearth_seq_length(g->session, g->config.seq);
    size_t room = (size_t)hr_seq_capacity(g->session, g->config.seq), pending = g->pending >= 0;
    if (n - there + pending > room)
        return hb_fail(err, HEARTH_E_FULL,
                       "prompt: %zu tokens at position %d; the context has %d positions", n,
                       length - (int32_t)there, g->n_ctx);
    if (n + pending == 0)
        return HEARTH_OK;
    HB_TRY(hr_constrained_start(g->constrained, err));
    if (g->config.sampler)
        for (size_t i = 0; i < n; i++)
            hearth_sampler_accept(g->config.sampler, tokens[i]);
    if (g->spec && g->config.match_prompt)
        hr_spec_forget(g->spec);
    for (size_t i = 0; i < n && g->spec; i++)
        hr_spec_push(g->spec, tokens[i]);
    g->prompt = tokens + there;
    g->prompt_n = n - there;
    g->prompt_done = 0;
    g->before_prompt = g->confirmed = length;
    g->before_pending = g->pending;
    g->n_generated = 0;
    g->finish = HEARTH_FINISH_NONE;
    g->over = false;
    return HEARTH_OK;
}

hearth_status hr_generation_start(hearth_generation *g, const int32_t *tokens, size_t n,
                                  hearth_error *err)
{
    int32_t there = 0;
    if (g->config.match_prompt && n > 0) {
        HB_TRY(hearth_seq_match(g->session, g->config.seq, tokens, n, &there, err));
        g->pending = -1; /* the prompt is all there is to be */
    }
    return hr_generation_begin(g, tokens, n, (size_t)there, err);
}

bool hr_generation_ready(const hearth_generation *g)
{
    bool enough = (g->config.max_tokens > 0 && g->n_generated >= g->config.max_tokens) ||
                  hr_constrained_over(g->constrained);
    return g->finish || g->row_at < g->n_rows || (enough && !g->prompt);
}

static bool generation_polled(hearth_generation *g)
{
    size_t total = 0, done = 0;
    if (g->prompt) {
        int32_t start = g->before_prompt;
        done = (size_t)(g->confirmed - start);
        total = done + g->prompt_n - g->prompt_done + (g->pending >= 0);
    }
    int stop = g->config.poll ? g->config.poll(g->config.poll_user, done, total) : 0;
    if (stop)
        g->finish = stop == 2 ? HEARTH_FINISH_DEADLINE : HEARTH_FINISH_CANCELLED;
    return stop != 0;
}

/* Let guesses be made, as many as there may be: each takes an item, a row and a position, and one more
 * token than there are guesses can come out. */
static int32_t generation_guess(hearth_generation *g, size_t capacity, size_t n_rows)
{
    size_t most = capacity < n_rows ? capacity : n_rows;
    if (g->config.max_tokens > 0) {
        size_t left = (size_t)(g->config.max_tokens - g->n_generated);
        most = most < left ? most : left;
    }
    most = g->refused ? 1 : most;
    g->refused = false;
    hr_spec_guess(g->spec, g->config.sampler, most > HR_MAX_GUESS ? HR_MAX_GUESS : (int32_t)most - 1);
    return g->spec->n_guess;
}

hearth_status hr_generation_want(hearth_generation *g, hearth_item *items, size_t capacity,
                                 size_t n_rows, size_t *n, hearth_error *err)
{
    size_t left = g->prompt ? g->prompt_n - g->prompt_done : 0, at = 0;
    *n = g->wanted = 0;
    if (hr_generation_ready(g))
        return HEARTH_OK;
    if (!g->prompt && g->pending < 0)
        return hb_fail(err, HEARTH_E_STATE, "generation: no prompt was given");
    size_t room = (size_t)hearth_seq_room(g->session, g->config.seq);
    if (room == 0)
        g->finish = HEARTH_FINISH_CONTEXT;
    if (g->finish || generation_polled(g))
        return HEARTH_OK;
    capacity = capacity < room ? capacity : room;
    if (g->pending >= 0)
        items[at++] = (hearth_item){g->pending, g->config.seq, 0};
    for (size_t i = 0; i < left && at < capacity; i++)
        items[at++] = (hearth_item){g->prompt[g->prompt_done + i], g->config.seq, 0};
    items[at - 1].want_logits = at == left + (g->pending >= 0);
    g->n_guess = g->prompt || !g->spec ? 0 : generation_guess(g, capacity, n_rows);
    for (int32_t i = 0; i < g->n_guess; i++)
        items[at++] = (hearth_item){g->spec->guess[i].token, g->config.seq, 1};
    *n = g->wanted = at;
    return HEARTH_OK;
}

/* A step that failed took its positions back, but for E_NUMERIC, where this does. */
static hearth_status generation_failed(hearth_generation *g, hearth_status status)
{
    int32_t keep = g->prompt && status != HEARTH_E_CANCELLED ? g->before_prompt : g->confirmed;
    hearth_seq_trim(g->session, g->config.seq, keep, NULL); /* a window may refuse: then all stays */
    g->confirmed = hearth_seq_length(g->session, g->config.seq);
    if (g->n_guess > 0 && status != HEARTH_E_CANCELLED) {
        g->refused = true; /* guesses are no reason to fail: again without them */
        g->n_guess = 0;
        return HEARTH_OK;
    }
    g->n_guess = 0;
    if (g->prompt && status != HEARTH_E_CANCELLED)
        g->pending = g->before_pending;
    g->prompt = NULL;
    if (status != HEARTH_E_CANCELLED)
        return status;
    g->finish = HEARTH_FINISH_CANCELLED;
    return HEARTH_OK;
}

hearth_status hr_generation_take(hearth_generation *g, hearth_status status, size_t row,
                                 uint64_t ns)
{
    size_t n = g->wanted - (size_t)g->n_guess;
    g->wanted = 0;
    if (status != HEARTH_OK)
        return generation_failed(g, status);
    g->confirmed += (int32_t)n;
    if (g->prompt)
        g->prompt_done += n - (g->pending >= 0);
    g->pending = -1;
    if (g->prompt && g->spec)
        hr_spec_saw(g->spec, n, ns);
    if (g->prompt && g->prompt_done < g->prompt_n)
        return HEARTH_OK;
    if (g->spec && !g->prompt)
        hr_spec_ran(g->spec, ns);
    g->passes++;
    g->prompt = NULL;
    g->row = row;
    g->n_rows = 1 + g->n_guess;
    g->row_at = 0;
    return HEARTH_OK;
}

/* ---- the loops ---- */

static hearth_status generation_step(hearth_generation *g, hearth_error *err)
{
    hearth_item items[GENERATION_CHUNK];
    hearth_session_info info = {.struct_size = sizeof info};
    size_t n;
    hearth_session_get_info(g->session, &info);
    size_t chunk = (size_t)(info.n_batch < GENERATION_CHUNK ? info.n_batch : GENERATION_CHUNK);
    HB_TRY(hr_generation_want(g, items, chunk, (size_t)info.n_logits, &n, err));
    if (n == 0)
        return HEARTH_OK;
    uint64_t start_ns = hb_os_now_ns();
    hearth_status status = hearth_session_step(g->session, items, n, err);
    return hr_generation_take(g, status, 0, hb_os_now_ns() - start_ns);
}

hearth_status hearth_generation_prompt(hearth_generation *g, const int32_t *tokens, size_t n,
                                       hearth_error *err)
{
    HB_TRY(hr_generation_start(g, tokens, n, err));
    while (g->prompt && !g->finish)
        HB_TRY(generation_step(g, err));
    g->prompt = NULL; /* what a stopped prompt left out is not ours to keep */
    return HEARTH_OK;
}

/* ---- pieces ---- */

/* guess: what was guessed for this row, or NULL. */
static hearth_status generation_choose(hearth_generation *g, const float *logits,
                                       const struct hr_guess *guess, int32_t *token,
                                       hearth_error *err)
{
    hearth_sampler *sampler = g->config.sampler;
    if (sampler) {
        if (guess)
            HB_TRY(hr_constrained_why(g->constrained,
                                      hr_sampler_verify(sampler, logits, guess, token, err), err));
        else
            HB_TRY(hr_constrained_why(g->constrained,
                                      hearth_sampler_sample(sampler, logits, token, err), err));
        hr_sampler_chosen(sampler, *token);
        return HEARTH_OK;
    }
    *token = 0;
    for (int32_t i = 1; i < g->model->info.vocab_size; i++)
        if (logits[i] > logits[*token])
            *token = i;
    return HEARTH_OK;
}

/* Use the next row. If it chooses what was guessed there, the row behind it is good too. */
static hearth_status generation_advance(hearth_generation *g, int32_t *token, hearth_error *err)
{
    const float *logits = hearth_session_logits(g->session, g->row + (size_t)g->row_at);
    const struct hr_guess *guess = g->row_at < g->n_guess ? &g->spec->guess[g->row_at] : NULL;
    if (!logits)
        return hb_fail(err, HEARTH_E_STATE,
                       "generation: another step took the place of the logits of its own");
    HB_TRY(generation_choose(g, logits, guess, token, err));
    if (g->config.n_logprobs > 0)
        g->logprob = hr_logprobs(logits, g->model->info.vocab_size, *token, g->top,
                                 g->config.n_logprobs);
    g->confirmed += g->row_at > 0; /* the guess before, which is pending */
    g->pending = *token;
    if (g->spec)
        hr_spec_push(g->spec, *token);
    if (guess)
        hr_spec_verified(g->spec, *token == guess->token);
    if (guess && *token == guess->token)
        g->row_at++;
    else
        hr_generation_settle(g);
    if (!g->config.ignore_end && hearth_token_is_end(g->model, *token))
        g->finish = HEARTH_FINISH_STOP;
    return HEARTH_OK;
}

static hearth_status generation_text(hearth_generation *g, int32_t token, hearth_piece *piece,
                                     hearth_error *err)
{
    bool stopped;
    if (!g->model->tokenizer || (token < 0 && !hr_tail_holds(&g->tail)))
        return HEARTH_OK;
    HB_TRY(hr_tail_add(&g->tail, g->model, token, &piece->text, &piece->text_len, &stopped, err));
    if (stopped)
        g->finish = HEARTH_FINISH_STOP;
    return HEARTH_OK;
}

hearth_status hearth_generation_next(hearth_generation *g, hearth_piece *out, hearth_error *err)
{
    hearth_piece piece = {.struct_size = out->struct_size, .token = -1, .text = ""};
    if (g->over)
        return hb_fail(err, HEARTH_E_STATE, "generation: it is over; give another prompt first");
    if (!g->finish && g->config.max_tokens > 0 && g->n_generated >= g->config.max_tokens)
        g->finish = HEARTH_FINISH_LENGTH;
    if (!g->finish && !g->prompt && hr_constrained_over(g->constrained))
        g->finish = HEARTH_FINISH_STOP;
    while (!hr_generation_ready(g))
        HB_TRY(generation_step(g, err));
    if (!g->finish)
        HB_TRY(generation_advance(g, &piece.token, err));
    if (g->finish) /* stopped before this token, or by it: it is no part of the text */
        piece.token = -1;
    else
        g->n_generated++;
    if (piece.token >= 0 && g->config.n_logprobs > 0) {
        piece.logprob = g->logprob;
        piece.top = g->top;
        piece.n_top = (size_t)g->config.n_logprobs;
    }
    HB_TRY(generation_text(g, piece.token, &piece, err));
    piece.finish = g->finish; /* now by a stop string too */
    g->over = g->finish != HEARTH_FINISH_NONE;
    if (g->over)
        hr_generation_settle(g);
    memcpy(out, &piece, piece.struct_size < sizeof piece ? piece.struct_size : sizeof piece);
    return HEARTH_OK;
}
