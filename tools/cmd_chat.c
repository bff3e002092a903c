/* hearth chat: turns with the model's chat template. A terminal or a pipe gives a message a line; -p or -f
 * gives one. What was said stays in the session: a turn computes its own tokens only.
 *
 *   said   prompt of the last turn + its answer, as text            the next prompt begins with this, or
 *   ids    the same as tokens, as they stand in the KV cache        all of it is tokenized anew
 */
#include "commands.h"
#include "generating.h"
#include "line.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct chat_settings {
    struct hc_common common;
    const char *p;
    const char *f;
    const char *system;
    const char *template_name, *template_file;
    bool no_jinja;
    bool show_prompt;
    struct hc_generating g;
};

struct chat_state {
    const struct chat_settings *s;
    const struct hc_model *m;
    hearth_chat *chat;
    struct hc_run run;
    hearth_message *messages;
    size_t n_messages, messages_capacity;
    char *said;
    size_t said_len, said_capacity;
    bool exact;          /* ids are the tokens of said */
    int32_t *ids;
    size_t n_ids, ids_capacity;
};

static int chat_out_of_memory(void)
{
    return hc_fail(HC_LIMIT, "chat", "no memory for another message");
}

static bool chat_add(struct chat_state *c, const char *role, const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    if (!copy || !hc_grow((void **)&c->messages, &c->messages_capacity, c->n_messages + 1,
                          sizeof *c->messages)) {
        free(copy);
        return false;
    }
    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    c->messages[c->n_messages++] = (hearth_message){role, copy, len};
    return true;
}

static void chat_forget(struct chat_state *c, size_t keep)
{
    while (c->n_messages > keep)
        free((char *)(uintptr_t)c->messages[--c->n_messages].content);
}

/* ---- prompts ---- */

static bool chat_append(char **text, size_t *len, size_t *capacity, const char *more, size_t n)
{
    if (!hc_grow((void **)text, capacity, *len + n, 1))
        return false;
    if (n)
        memcpy(*text + *len, more, n);
    *len += n;
    return true;
}

/* Tokens of the prompt: what is in the cache stays as it is, what is new goes behind it. */
static int chat_tokens(struct chat_state *c, const hearth_prompt *prompt)
{
    hearth_error err = {0};
    bool goes_on = c->exact && c->said_len <= prompt->text_len &&
                   memcmp(prompt->text, c->said, c->said_len) == 0;
    size_t from = goes_on ? c->said_len : 0, kept = goes_on ? c->n_ids : 0, n = 0;
    size_t capacity = prompt->text_len - from + 16;
    for (int round = 0; round < 2; round++) {
        if (!hc_grow((void **)&c->ids, &c->ids_capacity, kept + capacity, sizeof *c->ids))
            return chat_out_of_memory();
        hearth_status status =
            hearth_chat_tokenize(c->chat, prompt, from, c->ids + kept, capacity, &n, &err);
        if (status != HEARTH_OK && status != HEARTH_E_FULL)
            return hc_fail_status(HC_FAILED, "prompt", status, &err);
        if (status == HEARTH_OK)
            break;
        capacity = n;
    }
    c->n_ids = kept + n;
    c->said_len = 0;
    if (!chat_append(&c->said, &c->said_len, &c->said_capacity, prompt->text, prompt->text_len))
        return chat_out_of_memory();
    return c->n_ids ? HC_OK : hc_fail(HC_USAGE, "chat", "no tokens; at least one is needed");
}

static int chat_render(struct chat_state *c, hearth_prompt *prompt)
{
    hearth_error err = {0};
    *prompt = (hearth_prompt){.struct_size = sizeof *prompt};
    hearth_status status = hearth_chat_render(c->chat, c->messages, c->n_messages,
                                              HEARTH_CHAT_ANSWER, prompt, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, "chat", status, &err);
    if (c->s->show_prompt) {
        fputs("prompt: ", stderr);
        hc_put_escaped(stderr, prompt->text);
        fputc('\n', stderr);
    }
    return HC_OK;
}

/* What was answered belongs to the conversation. A stop string cuts text from tokens. */
static int chat_keep(struct chat_state *c, const struct hc_result *r)
{
    const char *text = r->text ? r->text : "";
    c->exact = !(c->s->g.stop.n && r->finish == HEARTH_FINISH_STOP);
    if (!hc_grow((void **)&c->ids, &c->ids_capacity, c->n_ids + r->n_tokens, sizeof *c->ids) ||
        !chat_append(&c->said, &c->said_len, &c->said_capacity, text, r->text_len) ||
        !chat_add(c, "assistant", text, r->text_len))
        return chat_out_of_memory();
    if (r->n_tokens)
        memcpy(c->ids + c->n_ids, r->tokens, r->n_tokens * sizeof *r->tokens);
    c->n_ids += r->n_tokens;
    return HC_OK;
}

static int chat_turn(struct chat_state *c, const struct hc_text *text)
{
    hearth_prompt prompt;
    struct hc_result r = {0};
    size_t before = c->n_messages;
    if (!chat_add(c, "user", text->bytes ? text->bytes : "", text->len))
        return chat_out_of_memory();
    int rc = chat_render(c, &prompt);
    if (rc == HC_OK)
        rc = chat_tokens(c, &prompt);
    size_t n_prompt = c->n_ids;
    if (rc == HC_OK) {
        hc_interrupt_flag();
        rc = hc_run_prompt(&c->run, &c->s->g, c->ids, n_prompt, c->s->common.json, &r);
        hc_interrupt_to(NULL);
    }
    if (rc == HC_OK) {
        if (c->s->common.json)
            hc_result_print_json(c->m, &c->run, c->ids, n_prompt, &r);
        else
            fputc('\n', stdout);
        rc = hc_finish_output();
        hc_result_print_stats(c->m, &c->run, n_prompt, &r);
    }
    if (rc == HC_OK)
        rc = chat_keep(c, &r);
    if (rc != HC_OK) { /* this message was not said */
        chat_forget(c, before);
        c->exact = false;
    }
    hc_result_free(&r);
    return rc;
}

/* ---- the loop ---- */

static int chat_once(struct chat_state *c)
{
    struct hc_text text;
    int rc = hc_text_take(c->s->p, c->s->f, &text);
    if (rc == HC_OK)
        rc = chat_turn(c, &text);
    if (rc == HC_OK && hc_interrupted())
        rc = hc_fail(HC_FAILED, "chat", "stopped by Ctrl-C");
    free(text.bytes);
    return rc;
}

static int chat_line(void *user, const struct hc_text *line)
{
    return chat_turn(user, line);
}

static void chat_clear(void *user)
{
    struct chat_state *c = user;
    chat_forget(c, c->s->system ? 1 : 0);
    c->exact = false;
}

/* The library's sentence holds some of the names; here there is room for all. */
static int chat_refuse(const struct chat_settings *s, hearth_status status, const hearth_error *err)
{
    char names[1024] = "";
    const char *name = s->template_name;
    bool by_name = name || status == HEARTH_E_NOT_FOUND;
    for (size_t i = 0; hearth_chat_format_name(i); i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), " %s",
                 hearth_chat_format_name(i));
    if (by_name && (status == HEARTH_E_NOT_FOUND || status == HEARTH_E_UNSUPPORTED))
        return hc_fail(name ? HC_USAGE : HC_REFUSED, name ? "--template" : s->common.model,
                       "%s; --template takes%s", name ? name : "no chat template in it", names);
    return hc_fail_status(HC_REFUSED, s->template_file ? s->template_file : s->common.model, status,
                          err);
}

static int chat_with_model(struct chat_state *c)
{
    const struct chat_settings *s = c->s;
    hearth_error err = {0};
    struct hc_text jinja = {0};
    if (s->template_file) {
        int rc = hc_text_read(s->template_file, &jinja);
        if (rc != HC_OK)
            return rc;
    }
    time_t now = time(NULL);
    struct tm local;
    hearth_chat_config config = {.struct_size = sizeof config,
                                 .flags = s->no_jinja ? HEARTH_CHAT_NO_JINJA : 0,
                                 .format = s->template_name,
                                 .jinja = s->template_file ? (jinja.bytes ? jinja.bytes : "") : NULL,
                                 .jinja_len = jinja.len,
                                 .now = localtime_r(&now, &local) ? now + local.tm_gmtoff : 0};
    hearth_status status = hearth_chat_open(c->m->model, &config, &c->chat, &err);
    free(jinja.bytes);
    if (status != HEARTH_OK)
        return chat_refuse(s, status, &err);
    if (s->system && !chat_add(c, "system", s->system, strlen(s->system)))
        return chat_out_of_memory();
    int rc = hc_run_open(&s->common, &s->g, c->m, true, &c->run);
    if (rc != HC_OK)
        return rc;
    return s->p || s->f ? chat_once(c) : hc_line_turns(chat_line, chat_clear, c);
}

static int chat_run(const void *settings)
{
    struct hc_model model = {0};
    struct chat_state c = {.s = settings, .m = &model};
    if (c.s->p && c.s->f)
        return hc_fail(HC_USAGE, "-p and -f", "both given; one of them is accepted");
    int rc = hc_model_open(&c.s->common, 0, &model);
    if (rc == HC_OK)
        rc = chat_with_model(&c);
    hc_run_close(&c.run);
    hearth_chat_close(c.chat);
    chat_forget(&c, 0);
    free(c.messages);
    free(c.said);
    free(c.ids);
    hc_model_close(&model);
    return rc;
}

#define FIELD(name) offsetof(struct chat_settings, name)
static const struct hc_option chat_options[] = {
    {"-p", HC_TEXT, FIELD(p), 0, 0, "TEXT", "one message; without it, a message a line"},
    {"-f", HC_TEXT, FIELD(f), 0, 0, "FILE", "the same from a file; - for all of standard input"},
    {"--system", HC_TEXT, FIELD(system), 0, 0, "TEXT", "the system message"},
    {"--template", HC_TEXT, FIELD(template_name), 0, 0, "NAME",
     "chat template: chatml, llama3, mistral-v7, ...; a wrong name lists them"},
    {"--template-file", HC_TEXT, FIELD(template_file), 0, 0, "FILE",
     "a Jinja template instead of the model's"},
    {"--no-jinja", HC_FLAG, FIELD(no_jinja), 0, 0, NULL,
     "interpret no template: recognise its family"},
    {"--show-prompt", HC_FLAG, FIELD(show_prompt), 0, 0, NULL, "print the prompt to stderr"},
    HC_GENERATING_OPTIONS(struct chat_settings, g),
    HC_OPTIONS_END,
};

static const struct chat_settings chat_defaults = {.g = HC_GENERATING_DEFAULTS};

const struct hc_command hc_command_chat = {
    .name = "chat",
    .synopsis = "-m FILE [-p TEXT | -f FILE] [--system TEXT] [--template NAME]",
    .text = "Talks with a model in the form it was trained on: its own chat template, or the one that\n"
            "--template names. Special tokens in messages are plain text.",
    .options = chat_options,
    .settings_size = sizeof(struct chat_settings),
    .defaults = &chat_defaults,
    .run = chat_run,
};
