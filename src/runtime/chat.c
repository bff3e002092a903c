/* Chat: the template of a model, and prompts made with it. */
#include "runtime/hr_model.h"
#include "base/hb_check.h"
#include "tokenizer/hv_chat.h"
#include <string.h>

struct hearth_chat {
    const hearth_model *model;
    struct hb_alloc hooks;
    struct hb_arena own;    /* the handle and the parsed template */
    struct hb_arena prompt; /* what the last call made */
    const struct hv_jinja *jinja;         /* one of the two */
    const struct hv_chatformat *format;
    struct hv_text bos, eos;
    int64_t now;
    uint64_t max_steps;
};

#define CHAT_NAMES 400

static hearth_status chat_unknown(hearth_status status, const char *what, hearth_error *err)
{
    char names[CHAT_NAMES];
    hv_chatformat_list(names, sizeof names);
    return hb_fail(err, status, "%s: %s", what, names);
}

/* The template of the model's file: interpreted, or recognised. */
static hearth_status chat_from_model(struct hearth_chat *c, const hearth_chat_config *config,
                                     hearth_error *err)
{
    struct hv_text text = c->model->chat_template;
    hearth_error why = {.text = "switched off"};
    struct hv_jinja *jinja;
    if (text.len == 0)
        return chat_unknown(HEARTH_E_NOT_FOUND, "chat: the model has no template; known ones", err);
    if (!(config->flags & HEARTH_CHAT_NO_JINJA) &&
        hv_jinja_parse(&c->own, text.bytes, text.len, &jinja, &why) == HEARTH_OK) {
        c->jinja = jinja;
        return HEARTH_OK;
    }
    c->format = hv_chatformat_recognise(text.bytes, text.len);
    if (c->format)
        return HEARTH_OK;
    char what[160];
    hb_format(what, sizeof what, "chat: the model's template is not understood (%s); known ones",
              why.text);
    return chat_unknown(HEARTH_E_UNSUPPORTED, what, err);
}

static hearth_status chat_choose(struct hearth_chat *c, const hearth_chat_config *config,
                                 hearth_error *err)
{
    const char *copy;
    struct hv_jinja *jinja;
    if (config->format) {
        c->format = hv_chatformat_find(config->format);
        if (c->format)
            return HEARTH_OK;
        char what[96];
        size_t n = strlen(config->format);
        hb_format(what, sizeof what, "chat: template %.*s is not known; these are",
                  (int)(n > 40 ? 40 : n), config->format);
        return chat_unknown(HEARTH_E_UNSUPPORTED, what, err);
    }
    if (!config->jinja)
        return chat_from_model(c, config, err);
    HB_TRY(hb_arena_text(&c->own, config->jinja, config->jinja_len, &copy, err));
    HB_TRY(hv_jinja_parse(&c->own, copy, config->jinja_len, &jinja, err));
    c->jinja = jinja;
    return HEARTH_OK;
}

/* The text of a special token as the vocabulary has it, empty where there is none. */
static struct hv_text chat_token(const hearth_model *model, enum hv_special_kind which)
{
    struct hv_text text = {"", 0};
    int32_t id = hv_special_id(model->tokenizer, which);
    if (id >= 0)
        hv_piece(model->tokenizer, id, HV_RENDER_SPECIAL, &text.bytes, &text.len, NULL);
    return text;
}

hearth_status hearth_chat_open(const hearth_model *model, const hearth_chat_config *config,
                               hearth_chat **chat, hearth_error *err)
{
    hearth_chat_config c = {.struct_size = sizeof c};
    struct hb_alloc hooks;
    struct hb_arena arena;
    struct hearth_chat *made;
    if (config)
        memcpy(&c, config, config->struct_size < sizeof c ? config->struct_size : sizeof c);
    HB_TRY(hr_hooks(&c.allocator, &hooks, err));
    if (!model->tokenizer)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "model: it has no tokenizer");
    hb_arena_init_growing(&arena, &hooks);
    hearth_status status = HB_ARENA_NEW(&arena, struct hearth_chat, 1, &made, err);
    if (status == HEARTH_OK) {
        *made = (struct hearth_chat){.model = model, .hooks = hooks, .own = arena, .now = c.now,
                                     .max_steps = c.max_steps,
                                     .bos = chat_token(model, HV_ID_BOS),
                                     .eos = chat_token(model, HV_ID_EOS)};
        hb_arena_init_growing(&made->prompt, &hooks);
        status = chat_choose(made, &c, err);
        arena = made->own;
    }
    if (status != HEARTH_OK) {
        hb_arena_release(&arena);
        return status;
    }
    *chat = made;
    return HEARTH_OK;
}

void hearth_chat_close(hearth_chat *chat)
{
    if (!chat)
        return;
    hb_arena_release(&chat->prompt);
    struct hb_arena own = chat->own; /* the handle lives inside it */
    hb_arena_release(&own);
}

const char *hearth_chat_format(const hearth_chat *chat)
{
    return chat->jinja ? "jinja" : hv_chatformat_name_of(chat->format);
}

const char *hearth_chat_format_name(size_t index)
{
    return hv_chatformat_name(index);
}

static hearth_status chat_limits(size_t bytes, size_t *max_output, size_t *max_memory,
                                 hearth_error *err)
{
    if (!hb_mul_size(bytes, HV_CHAT_OUTPUT_FACTOR, max_output) ||
        !hb_add_size(*max_output, HV_CHAT_OUTPUT_EXTRA, max_output) ||
        !hb_mul_size(bytes, HV_CHAT_MEMORY_FACTOR, max_memory) ||
        !hb_add_size(*max_memory, HV_CHAT_MEMORY_EXTRA, max_memory))
        return hb_fail(err, HEARTH_E_LIMIT, "chat: messages of %zu bytes", bytes);
    return HEARTH_OK;
}

static hearth_status chat_write(struct hearth_chat *c, const struct hv_chat_input *in,
                                struct hv_marked *out, hearth_error *err)
{
    size_t bytes = 0, max_memory = 0;
    HB_TRY(hv_chat_check(in, &bytes, err));
    HB_TRY(chat_limits(bytes, &out->max, &max_memory, err));
    if (c->jinja)
        HB_TRY(hv_jinja_run(c->jinja, in, &c->prompt, max_memory, out, err));
    else
        HB_TRY(hv_chatformat_write(c->format, in, out, err));
    out->max++;
    HB_TRY(hv_marked_fill(out, "", 1, 0, err)); /* the terminator */
    out->len--;
    return HEARTH_OK;
}

hearth_status hearth_chat_render(hearth_chat *chat, const hearth_message *messages, size_t n,
                                 uint32_t flags, hearth_prompt *prompt, hearth_error *err)
{
    struct hv_message *list;
    hb_arena_release(&chat->prompt);
    hb_arena_init_growing(&chat->prompt, &chat->hooks);
    HB_TRY(HB_ARENA_NEW(&chat->prompt, struct hv_message, n, &list, err));
    for (size_t i = 0; i < n; i++) {
        if (!messages[i].role || (!messages[i].content && messages[i].content_len))
            return hb_fail(err, HEARTH_E_ARGUMENT, "chat: message %zu has no role or no content", i);
        list[i].role = (struct hv_text){messages[i].role, strlen(messages[i].role)};
        list[i].content = (struct hv_text){messages[i].content ? messages[i].content : "",
                                           messages[i].content_len};
    }
    const struct hv_chat_input in = {.messages = list, .n = n, .bos = chat->bos, .eos = chat->eos,
                                     .add_generation_prompt = (flags & HEARTH_CHAT_ANSWER) != 0,
                                     .now = chat->now, .max_steps = chat->max_steps};
    struct hv_marked out = {.arena = &chat->prompt};
    HB_TRY(chat_write(chat, &in, &out, err));
    const hearth_prompt made = {prompt->struct_size, out.bytes, out.mark, out.len};
    memcpy(prompt, &made, made.struct_size < sizeof made ? made.struct_size : sizeof made);
    return HEARTH_OK;
}

hearth_status hearth_chat_tokenize(const hearth_chat *chat, const hearth_prompt *prompt, size_t from,
                                   int32_t *tokens, size_t capacity, size_t *n, hearth_error *err)
{
    const struct hv_tokenizer *tok = chat->model->tokenizer;
    int32_t bos = hv_special_id(tok, HV_ID_BOS);
    size_t head = 0;
    if (from > prompt->text_len)
        return hb_fail(err, HEARTH_E_RANGE, "chat: byte %zu of a prompt of %zu", from,
                       prompt->text_len);
    if (from == 0 && hv_adds_bos(tok) && bos >= 0) {
        bool there = chat->bos.len && prompt->text_len >= chat->bos.len && prompt->marks[0] == 0 &&
                     memcmp(prompt->text, chat->bos.bytes, chat->bos.len) == 0;
        head = !there;
        if (head && capacity)
            tokens[0] = bos;
    }
    size_t skip = head < capacity ? head : capacity;
    hearth_status status = hearth_tokenize_marked(
        chat->model, prompt->text + from, prompt->marks + from, prompt->text_len - from,
        HEARTH_TOKENIZE_PARSE_SPECIAL | (from ? HEARTH_TOKENIZE_CONTINUES : 0),
        tokens ? tokens + skip : NULL, capacity - skip, n, err);
    if (status == HEARTH_OK || status == HEARTH_E_FULL)
        *n += head;
    if (status == HEARTH_OK && tokens && *n > capacity)
        return hb_fail(err, HEARTH_E_FULL, "the text has %zu tokens; there is room for %zu", *n,
                       capacity);
    return status;
}
