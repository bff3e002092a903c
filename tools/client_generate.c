/* hearth client generate, chat: the server's text as it comes, or one JSON object like that of the local
 * commands. What is not given is left to the server. Ctrl-C cancels; what there is by then is printed. */
#include "client_command.h"
#include "generating.h"
#include "line.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- options ---- */

struct ask_settings {
    struct client_settings client;
    const char *p, *f;
    const char *system; /* chat */
    bool parse_special; /* generate */
    int32_t n, top_k;
    float temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty; /* NAN: not given */
    struct hc_seed seed;
    struct hc_texts stop;
    bool ignore_eos;
    const char *grammar, *json_schema;
};

static const struct ask_settings ask_defaults = {
    .client = CLIENT_DEFAULTS, .n = -1, .top_k = -1, .temperature = NAN, .top_p = NAN, .min_p = NAN,
    .repeat_penalty = NAN, .presence_penalty = NAN, .frequency_penalty = NAN};

#define FIELD(name) offsetof(struct ask_settings, name)
#define ASK_OPTIONS                                                                                \
    {"-n", HC_INT, FIELD(n), 1, INT32_MAX, "N", "most tokens to add (256)"},                       \
    {"--temp", HC_REAL, FIELD(temperature), 0, 100, "X", "temperature; 0 is greedy (0.7)"},        \
    {"--top-k", HC_INT, FIELD(top_k), 0, INT32_MAX, "K", "keep the K likeliest; 0: all (40)"},     \
    {"--top-p", HC_REAL, FIELD(top_p), 0, 1, "P", "keep the likeliest that make up P (0.9)"},      \
    {"--min-p", HC_REAL, FIELD(min_p), 0, 1, "P", "drop what is below P times the likeliest (0)"}, \
    {"--repeat-penalty", HC_REAL, FIELD(repeat_penalty), 0, 100, "X",                              \
     "divide the score of recent tokens; 1: off (1.1)"},                                           \
    {"--presence-penalty", HC_REAL, FIELD(presence_penalty), -1e3, 1e3, "X",                       \
     "subtract from the score of recent tokens (0)"},                                              \
    {"--frequency-penalty", HC_REAL, FIELD(frequency_penalty), -1e3, 1e3, "X",                     \
     "the same for each time they came (0)"},                                                      \
    {"-s", HC_SEED, FIELD(seed), 0, 0, "SEED", "seed; default: random, printed to stderr"},        \
    {"--stop", HC_TEXTS, FIELD(stop), 0, 0, "STR", "end before this text; may be repeated"},       \
    {"--ignore-eos", HC_FLAG, FIELD(ignore_eos), 0, 0, NULL, "end tokens do not end the text"},    \
    {"--grammar", HC_TEXT, FIELD(grammar), 0, 0, "FILE", "the text is one of this grammar (GBNF)"}, \
    {"--json-schema", HC_TEXT, FIELD(json_schema), 0, 0, "FILE", "the text is JSON as this schema says"}

/* Texts that a request points at. */
struct ask_texts {
    struct hs_bytes stop[HC_MOST_VALUES];
    struct hc_text grammar, json_schema;
};

static int ask_texts_read(const struct ask_settings *s, struct ask_texts *t)
{
    int rc = HC_OK;
    *t = (struct ask_texts){0};
    for (size_t i = 0; i < s->stop.n; i++)
        t->stop[i] = wc_bytes(s->stop.item[i]);
    if (s->grammar)
        rc = hc_text_read(s->grammar, &t->grammar);
    if (rc == HC_OK && s->json_schema)
        rc = hc_text_read(s->json_schema, &t->json_schema);
    return rc;
}

static void ask_texts_free(struct ask_texts *t)
{
    free(t->grammar.bytes);
    free(t->json_schema.bytes);
}

/* generate and chat have these fields alike. */
#define ASK_FLOAT(msg, message, field)                                                             \
    do {                                                                                           \
        if (!isnan(s->field))                                                                      \
            HS_SET(msg, message, field, s->field);                                                 \
    } while (0)
#define ASK_FILL(c, s, t, msg, message)                                                            \
    do {                                                                                           \
        CLIENT_REQUEST(c, msg, message);                                                           \
        CLIENT_LIMITS(c, msg, message);                                                            \
        if ((s)->n >= 0)                                                                           \
            HS_SET(msg, message, max_tokens, (uint64_t)(s)->n);                                    \
        if ((s)->top_k >= 0)                                                                       \
            HS_SET(msg, message, top_k, (uint64_t)(s)->top_k);                                     \
        ASK_FLOAT(msg, message, temperature);                                                      \
        ASK_FLOAT(msg, message, top_p);                                                            \
        ASK_FLOAT(msg, message, min_p);                                                            \
        ASK_FLOAT(msg, message, repeat_penalty);                                                   \
        ASK_FLOAT(msg, message, presence_penalty);                                                 \
        ASK_FLOAT(msg, message, frequency_penalty);                                                \
        if ((s)->seed.given)                                                                       \
            HS_SET(msg, message, seed, (s)->seed.value);                                           \
        if ((s)->stop.n)                                                                           \
            HS_SET(msg, message, stop, (struct hs_list){.items = (t)->stop, .n = (s)->stop.n});    \
        if ((s)->ignore_eos)                                                                       \
            HS_SET(msg, message, ignore_end, 1);                                                   \
        if ((s)->grammar)                                                                          \
            HS_SET(msg, message, grammar, (struct hs_bytes){(t)->grammar.bytes, (t)->grammar.len}); \
        if ((s)->json_schema)                                                                      \
            HS_SET(msg, message, json_schema,                                                      \
                   (struct hs_bytes){(t)->json_schema.bytes, (t)->json_schema.len});               \
        HS_SET(msg, message, stream, 1);                                                           \
    } while (0)

/* ---- answers ---- */

struct ask_answer {
    struct client *c;
    struct hc_result r;
    struct hs_done done;
    bool quiet;
};

static const char *ask_reason(uint64_t reason)
{
    static const char *const names[] = {"stop", "length", "context_full", "cancelled", "timeout", "content_filtered"};
    return reason < HC_COUNT(names) ? names[reason] : "unknown";
}

static int ask_take(struct ask_answer *a, const struct hs_tokens *tokens, struct hs_bytes text)
{
    hearth_error err = {0};
    int rc = hc_result_room(&a->r, tokens->n);
    if (rc != HC_OK)
        return rc;
    hearth_status status = wc_tokens(a->c->wire, tokens, (uint32_t *)(void *)(a->r.tokens + a->r.n_tokens), &err);
    if (tokens->n && status != HEARTH_OK)
        return client_fail(a->c, status, &err);
    a->r.n_tokens += tokens->n;
    return hc_result_take_text(&a->r, text.at, text.len, a->quiet);
}

static int ask_chunk(void *user, const struct hs_chunk *chunk)
{
    return ask_take(user, &chunk->tokens, chunk->text);
}

static void ask_print_stats(const struct ask_answer *a)
{
    const struct hs_done *d = &a->done;
    double ms = a->r.predicted_ms;
    fprintf(stderr, "prompt %llu tokens, %llu of them there already, in %.1f ms behind %.1f ms of waiting, text "
            "%llu tokens in %.1f ms (%.1f/s); %s", (unsigned long long)d->prompt_tokens,
            (unsigned long long)d->cached_tokens, a->r.prompt_ms, (double)d->queue_us * 1e-3,
            (unsigned long long)d->generated_tokens, ms,
            ms > 0 ? (double)d->generated_tokens * 1e3 / ms : 0, ask_reason(d->reason));
    if (HS_HAS(d, done, seed))
        fprintf(stderr, "; seed %llu", (unsigned long long)d->seed);
    fputc('\n', stderr);
}

static void ask_print_json(const struct ask_answer *a, const struct hc_tokens *prompt)
{
    struct hj j = {.file = stdout};
    hj_open(&j, NULL, '{');
    hc_result_print_text(&j, prompt ? prompt->ids : NULL, prompt ? prompt->n : (size_t)a->done.prompt_tokens, &a->r,
                         ask_reason(a->done.reason));
    hj_real(&j, "queue_ms", (double)a->done.queue_us * 1e-3);
    if (HS_HAS(&a->done, done, seed))
        hj_uint(&j, "seed", a->done.seed);
    hj_close(&j, '}');
    fputc('\n', stdout);
}

/* Asks and prints. prompt: its ids, for --json; NULL where they are not known. */
static int ask_run(struct ask_answer *a, const struct ask_settings *s, enum hs_index message, const void *msg,
                   const struct hc_tokens *prompt)
{
    union hs_any answer;
    const struct client_call call = {message, HS_M_done, msg, -1, ask_chunk, a};
    a->quiet = s->client.common.json;
    int rc = client_ask(a->c, &call, &answer);
    if (rc == HC_OK) {
        a->done = answer.done;
        rc = ask_take(a, &a->done.tokens, a->done.text); /* of a server that does not stream */
    }
    if (rc != HC_OK)
        return rc;
    a->r.prompt_ms = (double)a->done.prompt_us * 1e-3;
    a->r.predicted_ms = (double)a->done.generate_us * 1e-3;
    a->r.matched = (size_t)a->done.cached_tokens;
    if (a->quiet)
        ask_print_json(a, prompt);
    else if (message == HS_M_chat || isatty(STDOUT_FILENO))
        fputc('\n', stdout);
    rc = hc_finish_output();
    ask_print_stats(a);
    return rc;
}

/* A text that did not end by itself is printed, and is no success. */
static int ask_end(const struct ask_answer *a)
{
    if (a->done.reason == 3)
        return hc_fail(HC_FAILED, "text", "stopped by Ctrl-C after %zu tokens", a->r.n_tokens);
    if (a->done.reason == 4)
        return hc_fail(HC_LIMIT, "text", "the time limit ended it after %zu tokens", a->r.n_tokens);
    return HC_OK;
}

/* ---- generate ---- */

static int client_generate_ids(struct client *c, const struct ask_settings *s, const struct hc_text *text,
                        struct hc_tokens *ids)
{
    struct hs_tokenize msg = {0};
    union hs_any answer;
    hearth_error err = {0};
    CLIENT_REQUEST(c, &msg, tokenize);
    HS_SET(&msg, tokenize, text, (struct hs_bytes){text->bytes, text->len});
    if (s->parse_special)
        HS_SET(&msg, tokenize, parse_special, 1);
    const struct client_call call = {HS_M_tokenize, HS_M_tokenized, &msg, CLIENT_PROBE_MS, NULL, NULL};
    int rc = client_ask(c, &call, &answer);
    if (rc != HC_OK)
        return rc;
    ids->n = answer.tokenized.tokens.n;
    ids->ids = malloc((ids->n + 1) * sizeof *ids->ids);
    if (!ids->ids)
        return hc_fail(HC_LIMIT, "text", "no memory for %zu tokens", ids->n);
    hearth_status status = wc_tokens(c->wire, &answer.tokenized.tokens, (uint32_t *)(void *)ids->ids, &err);
    return status == HEARTH_OK ? HC_OK : client_fail(c, status, &err);
}

static int client_generate_run(const void *settings)
{
    const struct ask_settings *s = settings;
    struct hc_text text;
    struct ask_texts texts = {0};
    struct client c = {0};
    struct ask_answer a = {.c = &c};
    struct hc_tokens ids = {0};
    struct hs_generate msg = {0};
    int rc = hc_text_take(s->p, s->f, &text);
    if (rc == HC_OK)
        rc = ask_texts_read(s, &texts);
    if (rc == HC_OK)
        rc = client_open(&s->client, &c);
    if (rc == HC_OK && s->client.common.json)
        rc = client_generate_ids(&c, s, &text, &ids);
    if (rc == HC_OK) {
        ASK_FILL(&c, s, &texts, &msg, generate);
        HS_SET(&msg, generate, prompt, (struct hs_bytes){text.bytes, text.len});
        if (s->parse_special)
            HS_SET(&msg, generate, parse_special, 1);
        rc = ask_run(&a, s, HS_M_generate, &msg, &ids);
    }
    if (rc == HC_OK)
        rc = ask_end(&a);
    hc_result_free(&a.r);
    free(ids.ids);
    ask_texts_free(&texts);
    free(text.bytes);
    client_close(&c);
    return rc;
}

static const struct hc_option client_generate_options[] = {
    {"-p", HC_TEXT, FIELD(p), 0, 0, "TEXT", "the text to continue"},
    {"-f", HC_TEXT, FIELD(f), 0, 0, "FILE", "the same from a file; - for standard input"},
    ASK_OPTIONS,
    {"--parse-special", HC_FLAG, FIELD(parse_special), 0, 0, NULL,
     "texts of special tokens in the prompt become their ids"},
    HC_OPTIONS_END,
};

const struct hc_command client_generate = {
    .name = "client generate",
    .synopsis = "--socket PATH (-p TEXT | -f FILE) [-n N]",
    .text = "Continues a text on the server and prints what it adds as it comes. Ctrl-C cancels.",
    .options = client_generate_options,
    .common = client_common_options,
    .settings_size = sizeof(struct ask_settings),
    .defaults = &ask_defaults,
    .run = client_generate_run,
};

/* ---- chat ---- */

struct chat {
    const struct ask_settings *s;
    struct ask_texts texts;
    struct client c;
    struct hs_turn *turns;
    size_t n_turns, turns_capacity, n_system;
};

static bool client_chat_add(struct chat *chat, const char *role, const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    if (!copy || !hc_grow((void **)&chat->turns, &chat->turns_capacity, chat->n_turns + 1, sizeof *chat->turns)) {
        free(copy);
        return false;
    }
    if (len)
        memcpy(copy, text, len);
    struct hs_turn *turn = &chat->turns[chat->n_turns++];
    *turn = (struct hs_turn){0};
    HS_SET(turn, turn, role, wc_bytes(role));
    HS_SET(turn, turn, content, (struct hs_bytes){copy, len});
    return true;
}

static void client_chat_forget(struct chat *chat, size_t keep)
{
    while (chat->n_turns > keep)
        free((char *)(uintptr_t)chat->turns[--chat->n_turns].content.at);
}

/* A connection that ended since the last turn, by an idle time-out or a new server, does not end the conversation,
 * which is all here. Nothing is in flight: what comes now is the end or nothing. */
static int client_chat_connected(struct chat *chat)
{
    hearth_error err = {0};
    hearth_status status = wc_fd(chat->c.wire) >= 0 ? wc_fill(chat->c.wire, &err) : HEARTH_E_IO;
    if (status != HEARTH_OK)
        status = wc_reopen(chat->c.wire, &err);
    return status == HEARTH_OK ? HC_OK : client_fail(&chat->c, status, &err);
}

static int client_chat_turn(void *user, const struct hc_text *text)
{
    struct chat *chat = user;
    struct ask_answer a = {.c = &chat->c};
    struct hs_chat msg = {0};
    const struct ask_settings *s = chat->s;
    size_t before = chat->n_turns;
    bool added = client_chat_add(chat, "user", text->bytes, text->len);
    int rc = added ? client_chat_connected(chat) : hc_fail(HC_LIMIT, "chat", "no memory for another message");
    if (rc == HC_OK) {
        ASK_FILL(&chat->c, s, &chat->texts, &msg, chat);
        HS_SET(&msg, chat, turns, (struct hs_list){.items = chat->turns, .n = chat->n_turns});
        rc = ask_run(&a, s, HS_M_chat, &msg, NULL);
    }
    if (rc == HC_OK && !client_chat_add(chat, "assistant", a.r.text, a.r.text_len))
        rc = hc_fail(HC_LIMIT, "chat", "no memory for another message");
    if (rc != HC_OK) /* this message was not said */
        client_chat_forget(chat, before);
    else if (s->p || s->f)
        rc = ask_end(&a);
    hc_result_free(&a.r);
    return rc;
}

static void client_chat_clear(void *user)
{
    struct chat *chat = user;
    client_chat_forget(chat, chat->n_system);
}

static int client_chat_once(struct chat *chat)
{
    struct hc_text text;
    int rc = hc_text_take(chat->s->p, chat->s->f, &text);
    if (rc == HC_OK)
        rc = client_chat_turn(chat, &text);
    free(text.bytes);
    return rc;
}

static int client_chat_run(const void *settings)
{
    struct chat chat = {.s = settings};
    const struct ask_settings *s = settings;
    if (s->p && s->f)
        return hc_fail(HC_USAGE, "-p and -f", "both given; one of them is accepted");
    int rc = ask_texts_read(s, &chat.texts);
    if (rc == HC_OK)
        rc = client_open(&s->client, &chat.c);
    if (rc == HC_OK && s->system && !client_chat_add(&chat, "system", s->system, strlen(s->system)))
        rc = hc_fail(HC_LIMIT, "chat", "no memory for a message");
    chat.n_system = chat.n_turns;
    if (rc == HC_OK)
        rc = s->p || s->f ? client_chat_once(&chat) : hc_line_turns(client_chat_turn, client_chat_clear, &chat);
    client_chat_forget(&chat, 0);
    free(chat.turns);
    ask_texts_free(&chat.texts);
    client_close(&chat.c);
    return rc;
}

static const struct hc_option client_chat_options[] = {
    {"-p", HC_TEXT, FIELD(p), 0, 0, "TEXT", "one message; without it, a message a line"},
    {"-f", HC_TEXT, FIELD(f), 0, 0, "FILE", "the same from a file; - for all of standard input"},
    {"--system", HC_TEXT, FIELD(system), 0, 0, "TEXT", "the system message"},
    ASK_OPTIONS,
    HC_OPTIONS_END,
};

const struct hc_command client_chat = {
    .name = "client chat",
    .synopsis = "--socket PATH [-p TEXT | -f FILE] [--system TEXT]",
    .text = "Talks with a model of the server in its own template; the conversation is sent with every turn.\n"
            "Ctrl-C cancels an answer.",
    .options = client_chat_options,
    .common = client_common_options,
    .settings_size = sizeof(struct ask_settings),
    .defaults = &ask_defaults,
    .run = client_chat_run,
};
