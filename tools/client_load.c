/* hearth client load: requests on a fixed schedule, whatever the server does (an open loop), so that what a stall
 * delays is counted as delayed. Request i is meant to start at i / rate and goes to client i mod n; its times count
 * from then on. Without --rate every client sends its next request when its last has ended (a closed loop): that
 * measures throughput, and hides waiting.
 *
 * One thread: ppoll over the connections until the next intended start. */
#include "client_command.h"
#include "load.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOAD_SLOTS      64 /* requests in flight of one client */
#define LOAD_MOST_WORDS 65536
#define LOAD_SHOW_NS    500000000u
#define LOAD_RETRY_NS   100000000u /* between attempts to connect again */

struct load_settings {
    struct client_settings client;
    float rate, duration_s, cancel_share, vanish_share;
    int32_t clients, n, drain_s;
    int32_t generate, classify, embed; /* parts of the mix */
    const char *classify_model, *embed_model;
    struct hc_ints words;
    const char *f;
    bool same_prompts, no_ignore_eos;
    struct hc_seed seed;
    int32_t requests;
};

enum load_kind { LOAD_GENERATE, LOAD_CLASSIFY, LOAD_EMBED };

struct load_slot {
    bool live, cancelled;
    enum load_kind kind;
    uint64_t id, start_ns, last_ns, cancel_ns;
    uint64_t tokens, cancel_at, vanish_at; /* act when so many tokens have come; 0: never */
};

struct load_client {
    struct wc *wire;
    struct load_slot slot[LOAD_SLOTS];
    size_t n_live;
    uint64_t retry_ns;
};

struct load {
    const struct load_settings *s;
    struct wc_config config;
    char token[2048];
    struct load_client *clients; /* [s->clients] */
    struct pollfd *polls;
    struct load_stats stats;
    struct hc_text text; /* words of prompts */
    size_t *word;        /* where each begins, and the end behind the last */
    size_t n_words;
    char *prompt;
    size_t prompt_capacity;
    uint64_t random, start_ns, stop_ns, next_ns, n_scheduled, shown_ns;
    int shown_lines;
    bool stopped; /* by Ctrl-C */
};

static uint64_t load_random(struct load *l) /* xorshift64* */
{
    l->random ^= l->random >> 12;
    l->random ^= l->random << 25;
    l->random ^= l->random >> 27;
    return l->random * 0x2545F4914F6CDD1Du >> 16;
}

static bool load_chance(struct load *l, float share)
{
    return share > 0 && (double)(load_random(l) & 0xFFFFFF) < (double)share * 0x1000000;
}

/* ---- prompts ---- */

static const char load_words[] =
    "The captain looked at the sea and said that the wind would turn before the morning. Nobody answered him, for "
    "the men had been at work since noon and there was little light left in the west. In the village behind the "
    "harbour a bell rang; a window was opened, a voice called a name, and the window was closed again. He thought of "
    "the letter in his pocket, which he had read so often that he knew it by heart, and of the house on the hill "
    "with its two chimneys, where they would be sitting at the fire and talking of things that he would never hear.";

static int load_text(struct load *l)
{
    const char *f = l->s->f;
    int rc = f ? hc_text_read(f, &l->text) : hc_text_take(load_words, NULL, &l->text);
    l->word = rc == HC_OK ? malloc((LOAD_MOST_WORDS + 1) * sizeof *l->word) : NULL;
    if (rc == HC_OK && !l->word)
        return hc_fail(HC_LIMIT, "load", "no memory for words");
    for (size_t at = 0; rc == HC_OK && at < l->text.len && l->n_words < LOAD_MOST_WORDS;) {
        const char *space = memchr(l->text.bytes + at, ' ', l->text.len - at);
        l->word[l->n_words++] = at;
        at = space ? (size_t)(space - l->text.bytes) + 1 : l->text.len;
        l->word[l->n_words] = at;
    }
    if (rc == HC_OK && l->n_words == 0)
        return hc_fail(HC_REFUSED, f, "no words in it");
    return rc;
}

/* A prompt of one of the lengths of --words, from a random place on; a number before it makes it one of its own. */
static struct hs_bytes load_prompt(struct load *l)
{
    const struct hc_ints *lengths = &l->s->words;
    size_t n = (size_t)lengths->item[load_random(l) % lengths->n], len = 0;
    size_t at = l->s->same_prompts ? 0 : load_random(l) % l->n_words;
    if (!l->s->same_prompts)
        len = (size_t)snprintf(l->prompt, l->prompt_capacity, "%llu. ", (unsigned long long)l->n_scheduled);
    for (size_t i = 0; i < n; i++, at = (at + 1) % l->n_words) {
        size_t bytes = l->word[at + 1] - l->word[at];
        if (len + bytes + 1 > l->prompt_capacity)
            break;
        memcpy(l->prompt + len, l->text.bytes + l->word[at], bytes);
        len += bytes;
        if (l->prompt[len - 1] != ' ') /* the last word of the text */
            l->prompt[len++] = ' ';
    }
    return (struct hs_bytes){l->prompt, len ? len - 1 : 0};
}

/* ---- sending ---- */

/* What a client has in flight will not be answered. */
static void load_lose(struct load_client *c, uint64_t *counter)
{
    for (size_t i = 0; i < LOAD_SLOTS; i++)
        if (c->slot[i].live) {
            ++*counter;
            c->slot[i].live = false;
        }
    c->n_live = 0;
    c->retry_ns = hc_now_ns();
}

static enum load_kind load_choose(struct load *l)
{
    const struct load_settings *s = l->s;
    uint64_t at = load_random(l) % (uint64_t)(s->generate + s->classify + s->embed);
    return at < (uint64_t)s->generate                 ? LOAD_GENERATE
           : at < (uint64_t)(s->generate + s->classify) ? LOAD_CLASSIFY
                                                        : LOAD_EMBED;
}

#define LOAD_FIELDS(l, msg, message, name)                                                         \
    do {                                                                                           \
        const char *load_model_ = (name) ? (name) : (l)->s->client.common.model;                   \
        HS_SET(msg, message, id, slot->id);                                                        \
        if (load_model_)                                                                           \
            HS_SET(msg, message, model, wc_bytes(load_model_));                                    \
        CLIENT_LIMITS(&limits, msg, message);                                                      \
    } while (0)

static hearth_status load_queue(struct load *l, struct load_client *c, struct load_slot *slot, hearth_error *err)
{
    const struct client limits = {.s = &l->s->client};
    struct hs_bytes prompt = load_prompt(l);
    if (slot->kind == LOAD_GENERATE) {
        struct hs_generate msg = {0};
        LOAD_FIELDS(l, &msg, generate, NULL);
        HS_SET(&msg, generate, prompt, prompt);
        HS_SET(&msg, generate, max_tokens, (uint64_t)l->s->n);
        HS_SET(&msg, generate, temperature, 0);
        HS_SET(&msg, generate, repeat_penalty, 1);
        HS_SET(&msg, generate, stream, 1);
        if (!l->s->no_ignore_eos)
            HS_SET(&msg, generate, ignore_end, 1);
        return wc_queue(c->wire, HS_M_generate, &msg, err);
    }
    struct hs_list texts = {.items = &prompt, .n = 1};
    if (slot->kind == LOAD_CLASSIFY) {
        struct hs_classify msg = {0};
        LOAD_FIELDS(l, &msg, classify, l->s->classify_model);
        HS_SET(&msg, classify, texts, texts);
        HS_SET(&msg, classify, truncate, 1);
        return wc_queue(c->wire, HS_M_classify, &msg, err);
    }
    struct hs_embed msg = {0};
    LOAD_FIELDS(l, &msg, embed, l->s->embed_model);
    HS_SET(&msg, embed, texts, texts);
    HS_SET(&msg, embed, truncate, 1);
    return wc_queue(c->wire, HS_M_embed, &msg, err);
}

static struct load_slot *load_free_slot(struct load_client *c)
{
    for (size_t i = 0; i < LOAD_SLOTS; i++)
        if (!c->slot[i].live)
            return &c->slot[i];
    return NULL;
}

static void load_cancel(struct load_client *c, struct load_slot *slot, uint64_t now)
{
    struct hs_cancel msg = {0};
    HS_SET(&msg, cancel, id, slot->id);
    slot->cancelled = true;
    slot->cancel_ns = now;
    if (wc_queue(c->wire, HS_M_cancel, &msg, NULL) == HEARTH_OK)
        wc_flush(c->wire, NULL);
}

/* `intended` is when it should have started. */
static void load_send(struct load *l, struct load_client *c, uint64_t intended)
{
    struct load_slot *slot = load_free_slot(c);
    bool at_once = false;
    l->n_scheduled++;
    if (!slot || wc_fd(c->wire) < 0) { /* its time passes all the same */
        l->stats.unsent++;
        return;
    }
    *slot = (struct load_slot){.live = true, .kind = load_choose(l), .id = wc_new_id(c->wire), .start_ns = intended};
    if (slot->kind == LOAD_GENERATE) {
        uint64_t some = load_random(l) % (uint64_t)l->s->n;
        bool cancel = load_chance(l, l->s->cancel_share);
        slot->cancel_at = cancel ? some : 0;
        at_once = cancel && some == 0;
        slot->vanish_at = load_chance(l, l->s->vanish_share) ? some + 1 : 0;
    }
    if (load_queue(l, c, slot, NULL) != HEARTH_OK) {
        slot->live = false;
        l->stats.unsent++;
        return;
    }
    c->n_live++;
    l->stats.sent++;
    if (at_once)
        load_cancel(c, slot, hc_now_ns());
    if (wc_flush(c->wire, NULL) != HEARTH_OK)
        load_lose(c, &l->stats.lost);
    uint64_t now = hc_now_ns();
    bn_latency_record(&l->stats.time[LOAD_T_late], now > intended ? now - intended : 0);
}

/* ---- answers ---- */

static struct load_slot *load_find(struct load_client *c, uint64_t id)
{
    for (size_t i = 0; i < LOAD_SLOTS; i++)
        if (c->slot[i].live && c->slot[i].id == id)
            return &c->slot[i];
    return NULL;
}

static uint64_t load_since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

/* true: the client is to vanish. */
static bool load_chunk(struct load *l, struct load_client *c, struct load_slot *slot, const struct hs_chunk *chunk,
                       uint64_t now)
{
    uint64_t n = chunk->tokens.n;
    if (n == 0)
        return false;
    if (slot->tokens == 0)
        bn_latency_record(&l->stats.time[LOAD_T_first_token], load_since(now, slot->start_ns));
    for (uint64_t i = 0; i < n && slot->tokens; i++)
        bn_latency_record(&l->stats.time[LOAD_T_inter_token], load_since(now, slot->last_ns) / n);
    slot->tokens += n;
    slot->last_ns = now;
    l->stats.tokens += n;
    l->stats.served[c - l->clients].tokens += n;
    if (slot->cancel_at && slot->tokens >= slot->cancel_at && !slot->cancelled)
        load_cancel(c, slot, now);
    return slot->vanish_at && slot->tokens >= slot->vanish_at;
}

static void load_done(struct load *l, const struct hs_done *d)
{
    bn_latency_record(&l->stats.time[LOAD_T_queue], d->queue_us * 1000);
    if (HS_HAS(d, done, prompt_us))
        bn_latency_record(&l->stats.time[LOAD_T_prefill], d->prompt_us * 1000);
    l->stats.prompt_tokens += d->prompt_tokens;
    if (d->reason < LOAD_REASONS)
        l->stats.reasons[d->reason]++;
}

static void load_end(struct load *l, struct load_client *c, struct load_slot *slot, const struct hs_message *m,
                     const union hs_any *msg, uint64_t now)
{
    static const enum load_time total[] = {LOAD_T_generate, LOAD_T_classify, LOAD_T_embed};
    struct load_served *served = &l->stats.served[c - l->clients];
    if (m == &hs_messages[HS_M_done])
        load_done(l, &msg->done);
    if (slot->cancelled)
        bn_latency_record(&l->stats.time[LOAD_T_cancel], load_since(now, slot->cancel_ns));
    if (m == &hs_messages[HS_M_error]) {
        hc_load_refusal(&l->stats, msg->error.code);
    } else if (m == &hs_messages[HS_M_done] && msg->done.reason == 3) {
        l->stats.cancelled++;
    } else {
        l->stats.ok++;
        bn_latency_record(&l->stats.time[total[slot->kind]], load_since(now, slot->start_ns));
        served->requests++;
        served->sum_ms += (double)load_since(now, slot->start_ns) * 1e-6;
    }
    slot->live = false;
    c->n_live--;
}

static void load_vanish(struct load *l, struct load_client *c)
{
    load_lose(c, &l->stats.abandoned);
    if (wc_reopen(c->wire, NULL) == HEARTH_OK)
        l->stats.reconnects++;
}

/* One client's messages. A broken connection loses what was in flight. */
static void load_take(struct load *l, struct load_client *c)
{
    const struct hs_message *m;
    union hs_any msg;
    hearth_error err;
    hearth_status status = wc_fill(c->wire, &err);
    uint64_t now = hc_now_ns();
    while (status == HEARTH_OK) {
        status = wc_next(c->wire, &m, &msg, &err);
        if (status != HEARTH_OK || !m)
            break;
        struct load_slot *slot = load_find(c, wc_id(m, &msg));
        if (slot && m == &hs_messages[HS_M_chunk]) {
            if (load_chunk(l, c, slot, &msg.chunk, now)) {
                load_vanish(l, c);
                return;
            }
        } else if (slot) {
            load_end(l, c, slot, m, &msg, now);
        }
    }
    if (status != HEARTH_OK) {
        if (!l->shown_lines)
            fprintf(stderr, "hearth: client %td: %s\n", c - l->clients, err.text);
        load_lose(c, &l->stats.lost);
    }
}

/* ---- the loop ---- */

static void load_reconnect(struct load *l, struct load_client *c, uint64_t now)
{
    if (wc_fd(c->wire) >= 0 || now < c->retry_ns)
        return;
    if (wc_reopen(c->wire, NULL) == HEARTH_OK)
        l->stats.reconnects++;
    else
        c->retry_ns = now + LOAD_RETRY_NS;
}

static bool load_over(const struct load *l, uint64_t now)
{
    const struct load_settings *s = l->s;
    return l->stopped || now >= l->stop_ns || (s->requests && l->n_scheduled >= (uint64_t)s->requests);
}

/* What is due now; returns when to come again. */
static uint64_t load_due(struct load *l, uint64_t now)
{
    const struct load_settings *s = l->s;
    if (s->rate > 0) {
        while (l->next_ns <= now && !load_over(l, l->next_ns)) {
            load_send(l, &l->clients[l->n_scheduled % (uint64_t)s->clients], l->next_ns);
            l->next_ns = l->start_ns + (uint64_t)((double)l->n_scheduled * 1e9 / (double)s->rate);
        }
        return l->next_ns;
    }
    for (int32_t i = 0; i < s->clients && !load_over(l, now); i++)
        if (l->clients[i].n_live == 0 && wc_fd(l->clients[i].wire) >= 0)
            load_send(l, &l->clients[i], now);
    return now + LOAD_SHOW_NS;
}

static size_t load_live(const struct load *l)
{
    size_t n = 0;
    for (int32_t i = 0; i < l->s->clients; i++)
        n += l->clients[i].n_live;
    return n;
}

static void load_show(struct load *l, uint64_t now)
{
    if (!isatty(STDERR_FILENO) || now - l->shown_ns < LOAD_SHOW_NS)
        return;
    l->shown_ns = now;
    l->stats.seconds = (double)(now - l->start_ns) * 1e-9;
    if (l->shown_lines)
        fprintf(stderr, "\033[%dA", l->shown_lines);
    l->shown_lines = hc_load_print_table(&l->stats, stderr);
}

static void load_poll(struct load *l, uint64_t until)
{
    nfds_t n = (nfds_t)l->s->clients;
    uint64_t now = hc_now_ns(), wait = until > now ? until - now : 0;
    if (wait > LOAD_RETRY_NS)
        wait = LOAD_RETRY_NS;
    for (nfds_t i = 0; i < n; i++)
        l->polls[i] = (struct pollfd){wc_fd(l->clients[i].wire),
                                      (short)(POLLIN | (wc_unsent(l->clients[i].wire) ? POLLOUT : 0)), 0};
    const struct timespec ts = {0, (long)wait};
    if (ppoll(l->polls, n, &ts, NULL) <= 0)
        return;
    for (nfds_t i = 0; i < n; i++) {
        struct load_client *c = &l->clients[i];
        if (l->polls[i].revents & POLLOUT && wc_flush(c->wire, NULL) != HEARTH_OK)
            load_lose(c, &l->stats.lost);
        if (l->polls[i].revents & (POLLIN | POLLHUP | POLLERR) && wc_fd(c->wire) >= 0)
            load_take(l, c);
    }
}

static void load_loop(struct load *l)
{
    uint64_t now = hc_now_ns(), give_up = 0;
    l->start_ns = l->next_ns = now;
    l->stop_ns = now + (uint64_t)((double)l->s->duration_s * 1e9);
    hc_interrupt_flag();
    for (;;) {
        l->stopped = hc_interrupted();
        bool over = load_over(l, now) || (l->s->rate > 0 && l->next_ns >= l->stop_ns);
        if (over && !give_up)
            give_up = now + (uint64_t)l->s->drain_s * 1000000000u;
        if (over && (load_live(l) == 0 || now >= give_up))
            break;
        load_poll(l, over ? give_up : load_due(l, now));
        now = hc_now_ns();
        for (int32_t i = 0; i < l->s->clients; i++)
            load_reconnect(l, &l->clients[i], now);
        load_show(l, now);
    }
    l->stats.seconds = (double)(now - l->start_ns) * 1e-9;
    for (int32_t i = 0; i < l->s->clients; i++) {
        struct wc_stats wire = wc_get_stats(l->clients[i].wire);
        l->stats.doubles += wire.doubles;
        l->stats.strays += wire.strays;
        load_lose(&l->clients[i], &l->stats.lost);
    }
    hc_interrupt_to(NULL);
}

/* ---- the command ---- */

static int load_open(struct load *l)
{
    const struct load_settings *s = l->s;
    hearth_error err = {0};
    size_t n = (size_t)s->clients, longest = 0;
    int rc = client_config(&s->client, l->token, &l->config);
    if (rc == HC_OK && s->generate + s->classify + s->embed == 0)
        rc = hc_fail(HC_USAGE, "--generate", "no part of the mix is above 0");
    if (rc == HC_OK)
        rc = load_text(l);
    if (rc != HC_OK)
        return rc;
    for (size_t i = 0; i < s->words.n; i++)
        longest = (size_t)s->words.item[i] > longest ? (size_t)s->words.item[i] : longest;
    l->prompt_capacity = 64 + longest * 32;
    l->clients = calloc(n, sizeof *l->clients);
    l->polls = calloc(n, sizeof *l->polls);
    l->stats.served = calloc(n, sizeof *l->stats.served);
    l->prompt = malloc(l->prompt_capacity);
    l->stats.n_clients = n;
    l->stats.open = s->rate > 0;
    l->stats.rate = (double)s->rate;
    l->random = (s->seed.given ? s->seed.value : 1) * 2 + 1;
    if (!l->clients || !l->polls || !l->stats.served || !l->prompt)
        return hc_fail(HC_LIMIT, "load", "no memory for %zu clients", n);
    for (size_t i = 0; i < n; i++) {
        hearth_status status = wc_open(&l->config, &l->clients[i].wire, &err);
        if (status != HEARTH_OK)
            return hc_fail_status(HC_FAILED, s->client.socket, status, &err);
    }
    return HC_OK;
}

static void load_close(struct load *l)
{
    for (int32_t i = 0; l->clients && i < l->s->clients; i++)
        wc_close(l->clients[i].wire);
    free(l->clients);
    free(l->polls);
    free(l->stats.served);
    free(l->prompt);
    free(l->word);
    free(l->text.bytes);
    free(l);
}

/* A lost answer, or a second one, is a fault of the server. */
static int load_verdict(const struct load *l)
{
    if (l->stats.lost)
        return hc_fail(HC_FAILED, l->s->client.socket, "%llu requests were not answered",
                       (unsigned long long)l->stats.lost);
    return hc_finish_output();
}

static int load_run(const void *settings)
{
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        return hc_fail(HC_LIMIT, "load", "no memory");
    l->s = settings;
    int rc = load_open(l);
    if (rc == HC_OK) {
        load_loop(l);
        if (l->shown_lines)
            fprintf(stderr, "\033[%dA\033[J", l->shown_lines);
        if (l->s->client.common.json)
            hc_load_print_json(&l->stats);
        else
            hc_load_print_table(&l->stats, stdout);
        rc = load_verdict(l);
    }
    load_close(l);
    return rc;
}

#define FIELD(name) offsetof(struct load_settings, name)
static const struct hc_option load_options[] = {
    {"--rate", HC_REAL, FIELD(rate), 0, 1e6, "R", "requests a second, of all clients together; 0: closed loop (0)"},
    {"--clients", HC_INT, FIELD(clients), 1, 4096, "N", "connections (4)"},
    {"--duration", HC_REAL, FIELD(duration_s), 0, 1e6, "S", "seconds in which requests start (10)"},
    {"--requests", HC_INT, FIELD(requests), 1, INT32_MAX, "N", "no more than so many"},
    {"--drain", HC_INT, FIELD(drain_s), 0, 86400, "S", "seconds to wait for the last answers (30)"},
    {"--generate", HC_INT, FIELD(generate), 0, 1 << 20, "W", "part of the mix that generates (1)"},
    {"--classify", HC_INT, FIELD(classify), 0, 1 << 20, "W", "that classifies (0)"},
    {"--embed", HC_INT, FIELD(embed), 0, 1 << 20, "W", "that embeds (0)"},
    {"--classify-model", HC_TEXT, FIELD(classify_model), 0, 0, "NAME", "model to classify with (that of -m)"},
    {"--embed-model", HC_TEXT, FIELD(embed_model), 0, 0, "NAME", "model to embed with (that of -m)"},
    {"--words", HC_INTS, FIELD(words), 1, 1 << 20, "N,N", "lengths of prompts, chosen by chance (8,32,128)"},
    {"-f", HC_TEXT, FIELD(f), 0, 0, "FILE", "text whose words are the prompts'"},
    {"-n", HC_INT, FIELD(n), 1, 1 << 20, "N", "tokens to generate (32)"},
    {"--no-ignore-eos", HC_FLAG, FIELD(no_ignore_eos), 0, 0, NULL, "end tokens end a text before that"},
    {"--same-prompts", HC_FLAG, FIELD(same_prompts), 0, 0, NULL, "prompts are alike, so that a prefix cache has them"},
    {"--cancel-share", HC_REAL, FIELD(cancel_share), 0, 1, "P", "of texts are cancelled on the way (0)"},
    {"--vanish-share", HC_REAL, FIELD(vanish_share), 0, 1, "P", "of texts' clients vanish on the way, and come back (0)"},
    {"-s", HC_SEED, FIELD(seed), 0, 0, "SEED", "of what is chosen by chance (1)"},
    HC_OPTIONS_END,
};

static const struct load_settings load_defaults = {.client = CLIENT_DEFAULTS, .clients = 4, .duration_s = 10,
                                                   .generate = 1, .n = 32, .drain_s = 30,
                                                   .words = {{8, 32, 128}, 3}};

const struct hc_command client_load = {
    .name = "client load",
    .synopsis = "--socket PATH --rate R [--clients N] [--duration S]",
    .text = "Sends requests on a fixed schedule and tells how long they took, from when each was meant to start.\n"
            "--cancel-share and --vanish-share make some clients impatient. Exit status 1 if an answer was lost.",
    .options = load_options,
    .common = client_common_options,
    .settings_size = sizeof(struct load_settings),
    .defaults = &load_defaults,
    .run = load_run,
};
