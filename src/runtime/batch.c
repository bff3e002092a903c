/* Continuous batching: generations as machines (hr_generation.h), pulled together into one step.
 *
 *   entries, in the order of their arrival
 *     waiting   no sequence yet
 *     running   wants items: one token, or a chunk of its prompt
 *     ended     its last piece was given; removed by the next call
 *
 *   items of a step   | tokens of running texts | chunks of prompts, first come first served |
 *
 * A generation is admitted when pages are there for all that running ones and itself may come to. So a
 * step finds its pages, unless somebody else uses the session's cache at the same time: then the youngest
 * generation ends. */
#include "runtime/hr_generation.h"
#include "runtime/hr_session.h"
#include "base/hb_check.h"
#include "base/os/hb_os.h"
#include <string.h>

struct batch_entry {
    uint64_t id;
    void *user;
    hearth_generation *gen;
    const int32_t *prompt; /* until it is admitted */
    size_t n_prompt, matched;
    int32_t most;          /* positions it may hold */
    bool running, ended, resting;
    bool in_prompt;        /* its items in this step: */
    size_t first, n;
    hearth_error error;
};

struct hearth_batch {
    hearth_session *session;
    struct hb_alloc hooks;
    size_t bytes, max_entries, n_entries, max_running, prompt_chunk;
    uint64_t last_id;
    size_t n_items;
    hearth_item *items;            /* [n_batch] */
    struct batch_entry *entries;   /* [max_entries] */
};

/* ---- opening and closing ---- */

static size_t batch_smallest(size_t a, size_t b)
{
    return a < b ? a : b;
}

hearth_status hearth_batch_open(const hearth_batch_config *config, hearth_batch **batch,
                                hearth_error *err)
{
    hearth_batch_config c = {0};
    struct hb_alloc hooks;
    memcpy(&c, config, batch_smallest(config->struct_size, sizeof c));
    const hearth_session_config *s = c.session ? &c.session->config : NULL;
    if (!s || c.session->infer)
        return hb_fail(err, HEARTH_E_ARGUMENT, "batch: a session that generates text is needed");
    if (c.max_generations < 0 || c.prompt_chunk < 0)
        return hb_fail(err, HEARTH_E_RANGE,
                       "batch: max_generations %d, prompt_chunk %d; 0 or more is accepted",
                       c.max_generations, c.prompt_chunk);
    size_t n_batch = (size_t)s->n_batch;
    size_t entries = c.max_generations ? (size_t)c.max_generations : 4 * (size_t)s->n_seqs;
    size_t items_off = hb_round_up(sizeof(hearth_batch), 64);
    size_t entries_off = hb_round_up(items_off + n_batch * sizeof(hearth_item), 64);
    size_t bytes = entries_off + entries * sizeof(struct batch_entry);
    HB_TRY(hr_hooks(&c.allocator, &hooks, err));
    uint8_t *mem = hooks.alloc(hooks.user, bytes);
    if (!mem)
        return hb_fail(err, HEARTH_E_MEMORY, "batch: the allocator refused %zu bytes", bytes);
    memset(mem, 0, bytes);
    hearth_batch *b = (hearth_batch *)(void *)mem;
    b->session = c.session;
    b->hooks = hooks;
    b->bytes = bytes;
    b->max_entries = entries;
    b->max_running = batch_smallest(batch_smallest((size_t)s->n_seqs, n_batch), (size_t)s->n_logits);
    b->prompt_chunk = c.prompt_chunk ? (size_t)c.prompt_chunk : n_batch;
    b->items = (hearth_item *)(void *)(mem + items_off);
    b->entries = (struct batch_entry *)(void *)(mem + entries_off);
    *batch = b;
    return HEARTH_OK;
}

/* Others may have what its sequence holds. */
static void batch_leave(hearth_batch *b, struct batch_entry *e)
{
    if (e->running) {
        hr_generation_settle(e->gen);
        hr_kv_release(&b->session->kv, e->gen->config.seq);
    }
    e->running = false;
}

/* Take out those that are over. */
static void batch_reap(hearth_batch *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->n_entries; i++) {
        if (b->entries[i].ended)
            hearth_generation_close(b->entries[i].gen);
        else if (kept++ < i)
            b->entries[kept - 1] = b->entries[i];
    }
    b->n_entries = kept;
}

void hearth_batch_close(hearth_batch *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n_entries; i++) {
        batch_leave(b, &b->entries[i]);
        b->entries[i].ended = true;
    }
    batch_reap(b);
    b->hooks.free(b->hooks.user, b, b->bytes);
}

/* ---- who is there ---- */

hearth_status hearth_batch_add(hearth_batch *b, const hearth_generation_config *config,
                               const int32_t *tokens, size_t n, void *user, uint64_t *id,
                               hearth_error *err)
{
    hearth_generation_config c = {.struct_size = sizeof c};
    const hearth_session *s = b->session;
    int64_t most = s->kv.n_pages * (int64_t)HK_KV_PAGE;
    most = most < s->config.n_ctx ? most : s->config.n_ctx;
    batch_reap(b);
    if (config)
        memcpy(&c, config, batch_smallest(config->struct_size, sizeof c));
    c.struct_size = sizeof c;
    c.seq = 0;
    if (b->n_entries == b->max_entries)
        return hb_fail(err, HEARTH_E_FULL, "batch: %zu generations; no more are accepted",
                       b->n_entries);
    if (n == 0)
        return hb_fail(err, HEARTH_E_RANGE, "batch: a prompt without a token");
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= s->model->lm.n_vocab)
            return hb_fail(err, HEARTH_E_RANGE, "prompt: token %d; the vocabulary has %d", tokens[i],
                           s->model->lm.n_vocab);
    if (!s->kv.window && (n > (size_t)most || c.max_tokens > most - (int64_t)n))
        return hb_fail(err, HEARTH_E_FULL,
                       "batch: a prompt of %zu tokens and %d more; context and cache take %lld", n,
                       c.max_tokens, (long long)most);
    struct batch_entry e = {.id = b->last_id + 1, .user = user, .prompt = tokens, .n_prompt = n,
                            .most = (int32_t)most};
    if (c.max_tokens > 0 && c.max_tokens < most - (int64_t)n)
        e.most = (int32_t)n + c.max_tokens;
    HB_TRY(hearth_generation_open(b->session, &c, &e.gen, err));
    b->entries[b->n_entries++] = e;
    *id = ++b->last_id;
    return HEARTH_OK;
}

static hearth_status batch_unknown(uint64_t id, hearth_error *err)
{
    return hb_fail(err, HEARTH_E_NOT_FOUND, "batch: generation %llu is over or never was",
                   (unsigned long long)id);
}

hearth_status hearth_batch_cancel(hearth_batch *b, uint64_t id, hearth_error *err)
{
    for (size_t i = 0; i < b->n_entries; i++) {
        struct batch_entry *e = &b->entries[i];
        if (e->id != id || e->ended)
            continue;
        if (!e->gen->finish)
            e->gen->finish = HEARTH_FINISH_CANCELLED;
        batch_leave(b, e);
        return HEARTH_OK;
    }
    return batch_unknown(id, err);
}

hearth_status hearth_batch_rest(hearth_batch *b, uint64_t id, int rest, hearth_error *err)
{
    for (size_t i = 0; i < b->n_entries; i++) {
        struct batch_entry *e = &b->entries[i];
        if (e->id != id || e->ended)
            continue;
        e->resting = rest != 0;
        return HEARTH_OK;
    }
    return batch_unknown(id, err);
}

void hearth_batch_set_prompt_chunk(hearth_batch *b, int32_t n)
{
    int32_t most = b->session->config.n_batch;
    b->prompt_chunk = (size_t)(n < 1 ? 1 : n > most ? most : n);
}

size_t hearth_batch_count(const hearth_batch *b, size_t *running)
{
    size_t n = 0, runs = 0;
    for (size_t i = 0; i < b->n_entries; i++) {
        n += !b->entries[i].ended;
        runs += b->entries[i].running;
    }
    if (running)
        *running = runs;
    return n;
}

/* ---- admission ---- */

static void batch_fail(struct batch_entry *e, const hearth_error *error)
{
    e->error = *error;
    e->gen->finish = HEARTH_FINISH_ERROR;
}

/* Pages that what runs may still take, all in all. */
static uint64_t batch_promised(const hearth_batch *b)
{
    const struct hr_kv *kv = &b->session->kv;
    uint64_t pages = 0;
    for (size_t i = 0; i < b->n_entries; i++) {
        const struct batch_entry *e = &b->entries[i];
        if (!e->running)
            continue;
        const struct hr_seq *s = &kv->seqs[e->gen->config.seq];
        int32_t left = e->most - (s->length - s->dropped);
        pages += left > 0 ? hr_kv_count(kv, e->gen->config.seq, left) : 0;
    }
    return pages;
}

/* Give a waiting generation a sequence; false: there is none, or not the pages. */
static bool batch_admit(hearth_batch *b, struct batch_entry *e)
{
    struct hr_kv *kv = &b->session->kv;
    int32_t seq, there;
    if (hearth_seq_acquire(b->session, e->prompt, e->n_prompt, &seq, &there, NULL) != HEARTH_OK)
        return false;
    e->gen->config.seq = seq;
    e->running = true;
    if (batch_promised(b) > (uint64_t)kv->n_free + hr_kv_evictable(kv)) {
        hr_kv_release(kv, seq);
        e->running = false;
        return false;
    }
    e->matched = (size_t)there;
    hearth_error err = {0};
    if (hr_generation_begin(e->gen, e->prompt, e->n_prompt, e->matched, &err) != HEARTH_OK)
        batch_fail(e, &err);
    return true;
}

/* The one place where a generation that takes part in no step is asked whether it should. */
static void batch_poll(struct batch_entry *e)
{
    const hearth_generation_config *c = &e->gen->config;
    int stop = c->poll && !e->gen->finish ? c->poll(c->poll_user, 0, e->n_prompt) : 0;
    if (stop)
        e->gen->finish = stop == 2 ? HEARTH_FINISH_DEADLINE : HEARTH_FINISH_CANCELLED;
}

static void batch_join(hearth_batch *b)
{
    size_t running;
    bool room = true;
    hearth_batch_count(b, &running);
    for (size_t i = 0; i < b->n_entries; i++) {
        struct batch_entry *e = &b->entries[i];
        if (e->running || e->gen->finish)
            continue;
        room = room && running < b->max_running && batch_admit(b, e);
        if (room)
            running++;
        else
            batch_poll(e);
    }
}

/* ---- a step ---- */

static bool batch_wants(const struct batch_entry *e)
{
    return e->running && !e->resting && !hr_generation_ready(e->gen);
}

/* Items of those that are in the given part of their text. Everybody gets one row, and one item if it is
 * no prompt: so many others come behind. */
static void batch_gather(hearth_batch *b, bool prompts, size_t *rows)
{
    size_t n_batch = (size_t)b->session->config.n_batch, behind = 0, start = b->n_items;
    size_t end = batch_smallest(n_batch, prompts ? start + b->prompt_chunk : n_batch);
    hearth_error err = {0};
    for (size_t i = 0; i < b->n_entries; i++)
        behind += batch_wants(&b->entries[i]) && (!prompts || b->entries[i].gen->prompt);
    for (size_t i = 0; i < b->n_entries; i++) {
        struct batch_entry *e = &b->entries[i];
        if (!batch_wants(e) || (e->gen->prompt != NULL) != prompts || e->n)
            continue;
        behind--;
        size_t left = end - b->n_items - (prompts ? 0 : behind);
        if (left == 0) {
            batch_poll(e);
            continue;
        }
        e->first = b->n_items;
        e->in_prompt = prompts;
        hearth_status status = hr_generation_want(e->gen, b->items + e->first, left, *rows - behind,
                                                  &e->n, &err);
        if (status != HEARTH_OK) {
            e->n = 0;
            batch_fail(e, &err);
        }
        for (size_t j = 0; j < e->n; j++)
            *rows -= b->items[e->first + j].want_logits != 0;
        b->n_items += e->n;
    }
}

static bool batch_finite(const hearth_session *s, size_t row, size_t n)
{
    for (size_t i = row; i < row + n; i++)
        if (s->kernels.max_abs_bits(hearth_session_logits(s, i), (size_t)s->model->lm.n_vocab) >=
            0x7F800000u)
            return false;
    return true;
}

/* What the step means for one. A row that is no number is the business of its generation alone. */
static void batch_take(hearth_batch *b, struct batch_entry *e, hearth_status status, size_t *row,
                       uint64_t ns, const hearth_error *error)
{
    size_t rows = 0;
    for (size_t j = 0; j < e->n; j++)
        rows += b->items[e->first + j].want_logits != 0;
    if (status == HEARTH_E_NUMERIC && batch_finite(b->session, *row, rows))
        status = HEARTH_OK;
    if (hr_generation_take(e->gen, status, *row, ns * e->n / b->n_items) != HEARTH_OK)
        batch_fail(e, error);
    *row += rows;
    e->n = 0;
}

/* Nothing was run for want of pages. Those who guessed ask again without guesses; if nobody did, somebody
 * else has taken pages, and the youngest ends. */
static void batch_no_pages(hearth_batch *b, const hearth_error *error)
{
    struct batch_entry *youngest = NULL;
    bool guessed = false;
    for (size_t i = 0; i < b->n_entries; i++) {
        struct batch_entry *e = &b->entries[i];
        if (!e->n)
            continue;
        youngest = e;
        if (e->gen->n_guess > 0)
            guessed = hr_generation_take(e->gen, HEARTH_E_FULL, 0, 0) == HEARTH_OK || guessed;
        e->gen->wanted = e->n = 0;
    }
    if (!guessed)
        batch_fail(youngest, error);
}

static void batch_run(hearth_batch *b)
{
    hearth_error err = {0};
    size_t row = 0;
    uint64_t start_ns = hb_os_now_ns();
    hearth_status status = hearth_session_step(b->session, b->items, b->n_items, &err);
    uint64_t ns = hb_os_now_ns() - start_ns;
    if (status == HEARTH_E_FULL) {
        batch_no_pages(b, &err);
        return;
    }
    for (int prompts = 0; prompts < 2; prompts++)
        for (size_t i = 0; i < b->n_entries; i++)
            if (b->entries[i].n && b->entries[i].in_prompt == prompts)
                batch_take(b, &b->entries[i], status, &row, ns, &err);
}

hearth_status hearth_batch_step(hearth_batch *b, hearth_error *err)
{
    size_t rows = (size_t)b->session->config.n_logits;
    batch_reap(b);
    for (size_t i = 0; i < b->n_entries; i++)
        if (hr_generation_ready(b->entries[i].gen) && !b->entries[i].gen->finish)
            return hb_fail(err, HEARTH_E_STATE, "batch: pieces of the last step were not taken");
    batch_join(b);
    b->n_items = 0;
    batch_gather(b, false, &rows);
    batch_gather(b, true, &rows);
    if (b->n_items)
        batch_run(b);
    return HEARTH_OK;
}

/* ---- pieces ---- */

int hearth_batch_next(hearth_batch *b, hearth_batch_piece *out)
{
    batch_reap(b);
    for (size_t i = 0; i < b->n_entries; i++) {
        struct batch_entry *e = &b->entries[i];
        if (!hr_generation_ready(e->gen))
            continue;
        hearth_batch_piece piece = {.struct_size = out->struct_size, .id = e->id, .user = e->user,
                                    .piece = {.struct_size = sizeof piece.piece, .token = -1},
                                    .matched = e->matched};
        hearth_error err = {0};
        if (hearth_generation_next(e->gen, &piece.piece, &err) != HEARTH_OK) {
            piece.piece = (hearth_piece){.struct_size = sizeof piece.piece, .token = -1, .text = "",
                                         .finish = HEARTH_FINISH_ERROR};
            e->error = err;
        }
        piece.status = e->error.status;
        piece.text = e->error.text;
        if (piece.piece.finish)
            batch_leave(b, e);
        e->ended = piece.piece.finish != HEARTH_FINISH_NONE;
        memcpy(out, &piece, batch_smallest(piece.struct_size, sizeof piece));
        return 1;
    }
    return 0;
}
