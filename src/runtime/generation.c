/* Generating text: prompt in chunks, one token at a time after it, stop strings, whole characters.
 *
 * Text goes through a tail buffer: what may still become a stop string is held back, the rest is
 * handed out.
 *
 *   tail:  | handed out already | safe now | could begin a stop string |
 */
#include "runtime/hr_model.h"
#include "base/hb_check.h"
#include <string.h>

#define GENERATION_MAX_STOPS     16
#define GENERATION_MAX_STOP_LEN  256
#define GENERATION_PIECE_BYTES   (HV_MAX_PIECE + 16)
#define GENERATION_TAIL_BYTES    (GENERATION_PIECE_BYTES + GENERATION_MAX_STOP_LEN)
#define GENERATION_CHUNK         256

struct generation_stop {
    char text[GENERATION_MAX_STOP_LEN];
    size_t len;
};

struct hearth_generation {
    hearth_session *session;
    const hearth_model *model;
    hearth_generation_config config;
    struct hb_alloc hooks;
    hearth_session_info session_info;
    struct generation_stop stop[GENERATION_MAX_STOPS];
    hearth_detokenizer detok;
    bool have_logits;   /* of the position after the last one */
    int32_t pending;    /* chosen, not yet in the sequence; -1: none */
    int32_t n_generated;
    hearth_finish finish;
    bool over;          /* the last piece was given */
    size_t handed, held; /* tail: [0, handed) was given, [handed, held) is there */
    char tail[GENERATION_TAIL_BYTES];
};

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

static hearth_status generation_stops(hearth_generation *g, hearth_error *err)
{
    if (g->config.n_stop > GENERATION_MAX_STOPS)
        return hb_fail(err, HEARTH_E_LIMIT, "stop: %zu strings; at most %d are accepted",
                       g->config.n_stop, GENERATION_MAX_STOPS);
    for (size_t i = 0; i < g->config.n_stop; i++) {
        size_t len = strlen(g->config.stop[i]);
        if (len == 0 || len > GENERATION_MAX_STOP_LEN)
            return hb_fail(err, HEARTH_E_LIMIT, "stop: string %zu has %zu bytes; 1 to %d are accepted",
                           i, len, GENERATION_MAX_STOP_LEN);
        memcpy(g->stop[i].text, g->config.stop[i], len);
        g->stop[i].len = len;
    }
    return HEARTH_OK;
}

hearth_status hearth_generation_open(hearth_session *session,
                                     const hearth_generation_config *config,
                                     hearth_generation **gen, hearth_error *err)
{
    hearth_generation_config c = {.struct_size = sizeof c};
    struct hb_alloc hooks;
    if (config)
        memcpy(&c, config, config->struct_size < sizeof c ? config->struct_size : sizeof c);
    HB_TRY(hr_hooks(&c.allocator, &hooks, err));
    if (hearth_seq_length(session, c.seq) < 0)
        return hb_fail(err, HEARTH_E_RANGE, "generation: the session has no sequence %d", c.seq);
    if (c.max_tokens < 0)
        return hb_fail(err, HEARTH_E_RANGE, "generation: max_tokens %d; 0 or more is accepted",
                       c.max_tokens);
    hearth_generation *g = hooks.alloc(hooks.user, sizeof *g);
    if (!g)
        return hb_fail(err, HEARTH_E_MEMORY, "generation: the allocator refused %zu bytes",
                       sizeof *g);
    memset(g, 0, sizeof *g);
    g->session = session;
    g->model = hr_session_model(session);
    g->config = c;
    g->hooks = hooks;
    g->pending = -1;
    g->session_info.struct_size = sizeof g->session_info;
    hearth_session_get_info(session, &g->session_info);
    hearth_status status = generation_stops(g, err);
    if (status != HEARTH_OK) {
        hooks.free(hooks.user, g, sizeof *g);
        return status;
    }
    *gen = g;
    return HEARTH_OK;
}

void hearth_generation_close(hearth_generation *g)
{
    if (g)
        g->hooks.free(g->hooks.user, g, sizeof *g);
}

static bool generation_polled(hearth_generation *g, size_t done, size_t total)
{
    int stop = g->config.poll ? g->config.poll(g->config.poll_user, done, total) : 0;
    if (stop)
        g->finish = stop == 2 ? HEARTH_FINISH_DEADLINE : HEARTH_FINISH_CANCELLED;
    return stop != 0;
}

hearth_status hearth_generation_prompt(hearth_generation *g, const int32_t *tokens, size_t n,
                                       hearth_error *err)
{
    hearth_item items[GENERATION_CHUNK];
    int32_t length = hearth_seq_length(g->session, g->config.seq);
    size_t room = (size_t)(g->session_info.n_ctx - length), pending = g->pending >= 0 ? 1 : 0;
    size_t chunk = (size_t)g->session_info.n_batch;
    chunk = chunk < GENERATION_CHUNK ? chunk : GENERATION_CHUNK;
    if (n + pending > room)
        return hb_fail(err, HEARTH_E_FULL,
                       "prompt: %zu tokens at position %d; the context has %d positions", n,
                       length, g->session_info.n_ctx);
    if (g->config.sampler)
        for (size_t i = 0; i < n; i++)
            hearth_sampler_accept(g->config.sampler, tokens[i]);
    size_t total = n + pending;
    for (size_t done = 0; done < total;) {
        if (generation_polled(g, done, total))
            return HEARTH_OK;
        size_t now = total - done < chunk ? total - done : chunk;
        for (size_t i = 0; i < now; i++) {
            size_t at = done + i;
            items[i] = (hearth_item){at < pending ? g->pending : tokens[at - pending],
                                     g->config.seq, at + 1 == total};
        }
        hearth_status status = hearth_session_step(g->session, items, now, err);
        if (status == HEARTH_E_CANCELLED) {
            g->finish = HEARTH_FINISH_CANCELLED;
            return HEARTH_OK;
        }
        if (status != HEARTH_OK) {
            hearth_seq_trim(g->session, g->config.seq, length, NULL);
            return status;
        }
        done += now;
    }
    g->pending = -1;
    g->have_logits = total > 0;
    g->over = false;
    return HEARTH_OK;
}

static hearth_status generation_choose(hearth_generation *g, int32_t *token, hearth_error *err)
{
    const float *logits = hearth_session_logits(g->session, 0);
    if (g->config.sampler) {
        HB_TRY(hearth_sampler_sample(g->config.sampler, logits, token, err));
        hearth_sampler_accept(g->config.sampler, *token);
        return HEARTH_OK;
    }
    *token = 0;
    for (int32_t i = 1; i < g->model->info.vocab_size; i++)
        if (logits[i] > logits[*token])
            *token = i;
    return HEARTH_OK;
}

/* The position behind the last one: run the pending token, or learn why that cannot be. */
static hearth_status generation_advance(hearth_generation *g, hearth_error *err)
{
    if (g->have_logits || g->finish)
        return HEARTH_OK;
    if (g->pending < 0)
        return hb_fail(err, HEARTH_E_STATE, "generation: no prompt was given");
    if (hearth_seq_length(g->session, g->config.seq) >= g->session_info.n_ctx) {
        g->finish = HEARTH_FINISH_CONTEXT;
        return HEARTH_OK;
    }
    if (generation_polled(g, 0, 0))
        return HEARTH_OK;
    const hearth_item item = {g->pending, g->config.seq, 1};
    hearth_status status = hearth_session_step(g->session, &item, 1, err);
    if (status == HEARTH_E_CANCELLED) {
        g->finish = HEARTH_FINISH_CANCELLED;
        return HEARTH_OK;
    }
    HB_TRY(status);
    g->pending = -1;
    g->have_logits = true;
    return HEARTH_OK;
}

/* First stop string in the tail; a complete one ends the text. Returns its start, or where the
 * longest possible beginning of one starts, or the end. */
static size_t generation_scan_stops(const hearth_generation *g, bool *complete)
{
    *complete = false;
    for (size_t at = g->handed; at < g->held; at++) {
        size_t left = g->held - at;
        for (size_t i = 0; i < g->config.n_stop; i++) {
            size_t n = left < g->stop[i].len ? left : g->stop[i].len;
            if (memcmp(g->tail + at, g->stop[i].text, n) != 0)
                continue;
            *complete = n == g->stop[i].len;
            return at;
        }
    }
    return g->held;
}

/* Add a token's text to the tail and hand out what is safe. token -1: the end, everything goes. */
static hearth_status generation_text(hearth_generation *g, int32_t token, hearth_piece *piece,
                                     hearth_error *err)
{
    size_t n;
    bool complete;
    memmove(g->tail, g->tail + g->handed, g->held - g->handed);
    g->held -= g->handed;
    g->handed = 0;
    HB_TRY(hearth_detokenize(g->model, &g->detok, token, g->tail + g->held,
                             sizeof g->tail - g->held, &n, err));
    g->held += n;
    size_t safe = generation_scan_stops(g, &complete);
    piece->text = g->tail;
    if (complete) {
        piece->text_len = safe;
        g->handed = g->held = 0;
        g->finish = HEARTH_FINISH_STOP;
        return HEARTH_OK;
    }
    piece->text_len = token < 0 ? g->held : safe;
    g->handed = piece->text_len;
    return HEARTH_OK;
}

static hearth_status generation_last(hearth_generation *g, hearth_piece *piece, hearth_error *err)
{
    piece->token = -1;
    piece->finish = g->finish;
    g->over = true;
    if (g->model->tokenizer && g->held > 0 && g->handed < g->held)
        return generation_text(g, -1, piece, err);
    if (g->model->tokenizer && g->detok.n_held)
        return generation_text(g, -1, piece, err);
    return HEARTH_OK;
}

hearth_status hearth_generation_next(hearth_generation *g, hearth_piece *out, hearth_error *err)
{
    hearth_piece piece = {.struct_size = out->struct_size, .token = -1, .text = ""};
    int32_t token;
    if (g->over)
        return hb_fail(err, HEARTH_E_STATE, "generation: it is over; give another prompt first");
    if (!g->finish && g->config.max_tokens > 0 && g->n_generated >= g->config.max_tokens)
        g->finish = HEARTH_FINISH_LENGTH;
    if (!g->finish)
        HB_TRY(generation_advance(g, err));
    if (!g->finish) {
        HB_TRY(generation_choose(g, &token, err));
        g->have_logits = false;
        g->pending = token;
        if (!g->config.ignore_end && hearth_token_is_end(g->model, token))
            g->finish = HEARTH_FINISH_STOP;
    }
    if (g->finish) {
        HB_TRY(generation_last(g, &piece, err));
    } else {
        g->n_generated++;
        piece.token = token;
        if (g->model->tokenizer)
            HB_TRY(generation_text(g, token, &piece, err));
        if (g->finish) { /* a stop string was completed by this token */
            piece.finish = g->finish;
            g->over = true;
        }
    }
    memcpy(out, &piece, piece.struct_size < sizeof piece ? piece.struct_size : sizeof piece);
    return HEARTH_OK;
}
