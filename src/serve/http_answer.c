/* The engine's messages become answers of HTTP: one JSON object, or server-sent events, each "data: {...}\n\n".
 *
 *   out = head, parts[0].out, ",", parts[1].out, ..., tail    when the last part has ended
 *   out = event, event, ...                                    as they come; taken away by the connection
 *
 * An error before the first byte is the answer, with its code; after that it is an event, and the last. */
#include "serve/hs_http_call.h"
#include "base/hb_error.h"
#include <stdlib.h>
#include <string.h>

/* ---- text that grows ---- */

static bool buf_room(struct http_buf *b, size_t n)
{
    size_t capacity = b->capacity ? b->capacity : 256;
    if (b->failed || n <= b->capacity - b->len)
        return !b->failed;
    while (capacity - b->len < n && capacity < SIZE_MAX / 4)
        capacity *= 2;
    char *at = capacity - b->len < n ? NULL : malloc(capacity);
    b->failed = !at;
    if (!at)
        return false;
    if (b->at) {
        memcpy(at, b->at, b->len);
        hb_wipe(b->at, b->capacity); /* requests and answers do not stay in freed memory */
        free(b->at);
    }
    b->at = at;
    b->capacity = capacity;
    return true;
}

void http_buf_raw(struct http_buf *b, const char *text, size_t len)
{
    if (!buf_room(b, len) || len == 0)
        return;
    memcpy(b->at + b->len, text, len);
    b->len += len;
}

void http_buf_text(struct http_buf *b, const char *text)
{
    http_buf_raw(b, text, strlen(text));
}

/* A writer into n more bytes, which are enough; its end is taken over by buf_took. */
static struct hs_out buf_writer(struct http_buf *b, size_t n)
{
    if (!buf_room(b, n))
        return (struct hs_out){0};
    uint8_t *at = (uint8_t *)b->at + b->len;
    return (struct hs_out){at, at + n, false};
}

static void buf_took(struct http_buf *b, const struct hs_out *o)
{
    if (!b->failed)
        b->len = (size_t)(o->at - (uint8_t *)b->at);
}

void http_buf_string(struct http_buf *b, struct hs_bytes s)
{
    if (s.len > SIZE_MAX / 8) {
        b->failed = true;
        return;
    }
    struct hs_out o = buf_writer(b, 2 + 6 * s.len);
    if (o.at)
        hs_put_string(&o, s);
    buf_took(b, &o);
}

void http_buf_u64(struct http_buf *b, uint64_t v)
{
    struct hs_out o = buf_writer(b, 24);
    if (o.at)
        hs_put_u64(&o, v, false);
    buf_took(b, &o);
}

static void buf_f32(struct http_buf *b, float v)
{
    struct hs_out o = buf_writer(b, 16);
    if (o.at)
        hs_put_f32(&o, v);
    buf_took(b, &o);
}

void http_buf_free(struct http_buf *b)
{
    if (b->at)
        hb_wipe(b->at, b->capacity);
    free(b->at);
    memset(b, 0, sizeof *b);
}

static void buf_member(struct http_buf *b, const char *name, uint64_t v) /* "name":v, with what stands before it */
{
    http_buf_text(b, name);
    http_buf_u64(b, v);
}

/* RFC 4648, section 4. */
static void buf_base64(struct http_buf *b, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i < 3 ? n - i : 3;
        uint32_t v =
            (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        char out[4] = {digits[v >> 18], digits[v >> 12 & 63], digits[v >> 6 & 63], digits[v & 63]};
        memset(out + left + 1, '=', 3 - left);
        http_buf_raw(b, out, 4);
    }
}

/* ---- errors ---- */

static const char *answer_error_type(unsigned code)
{
    return code == 401   ? "authentication_error"
           : code == 429 ? "rate_limit_error"
           : code >= 500 ? "server_error"
                         : "invalid_request_error";
}

/* The codes that programs look at. */
static const char *answer_error_code(const struct http_call *c, unsigned code)
{
    switch (code) {
    case 401:
        return "\"invalid_api_key\"";
    case 404:
        return c->route == HTTP_ROUTES ? "\"unknown_url\"" : "\"model_not_found\"";
    case 429:
        return "\"rate_limit_exceeded\"";
    default:
        return "null";
    }
}

static bool answer_streams(const struct http_call *c)
{
    return c->stream && c->status == 200;
}

static void answer_status(struct http_call *c, unsigned status)
{
    c->status = c->status ? c->status : status;
}

void http_call_fail(struct http_call *c, unsigned code, const char *param, const char *message)
{
    if (c->ended)
        return;
    http_buf_text(&c->out, answer_streams(c) ? "data: {\"error\":{\"message\":" : "{\"error\":{\"message\":");
    http_buf_string(&c->out, (struct hs_bytes){message, strlen(message)});
    http_buf_text(&c->out, ",\"type\":\"");
    http_buf_text(&c->out, answer_error_type(code));
    http_buf_text(&c->out, "\",\"param\":");
    if (param)
        http_buf_string(&c->out, (struct hs_bytes){param, strlen(param)});
    http_buf_text(&c->out, param ? ",\"code\":" : "null,\"code\":");
    http_buf_text(&c->out, answer_error_code(c, code));
    http_buf_text(&c->out, answer_streams(c) ? "}}\n\n" : "}}\n");
    answer_status(c, code);
    c->ended = true;
}

/* ---- texts ---- */

static const char *answer_reason(uint64_t reason, bool exact)
{
    static const char *const names[] = {"stop", "length", "context_full", "cancelled", "timeout", "content_filtered"};
    /* OpenAI's interface knows three of these; what was cut short of its end is length */
    static const char *const known[] = {"stop", "length", "length", "length", "length", "content_filter"};
    return reason < HB_COUNT(names) ? (exact ? names : known)[reason] : "length";
}

/* {"id": ..., "object": ..., "created": ..., "model": ..., without an end. */
static void answer_head(struct http_call *c, struct http_buf *b)
{
    const char *object = c->route == HTTP_completions ? "text_completion"
                         : c->stream                  ? "chat.completion.chunk"
                                                      : "chat.completion";
    http_buf_text(b, c->stream ? "data: {\"id\":\"" : "{\"id\":\"");
    http_buf_text(b, c->name);
    http_buf_text(b, "\",\"object\":\"");
    http_buf_text(b, object);
    buf_member(b, "\",\"created\":", c->created_s);
    http_buf_text(b, ",\"model\":");
    http_buf_string(b, c->model);
}

static void answer_end_of_choice(struct http_buf *b, const struct hs_done *done)
{
    http_buf_text(b, "\"");
    http_buf_text(b, answer_reason(done->reason, false));
    http_buf_text(b, "\",\"stop_reason\":\"");
    http_buf_text(b, answer_reason(done->reason, true));
    http_buf_text(b, "\"");
    if (HS_HAS(done, done, seed))
        buf_member(b, ",\"seed\":", done->seed);
}

static void answer_usage(const struct http_call *c, struct http_buf *b)
{
    buf_member(b, "{\"prompt_tokens\":", c->prompt_tokens);
    if (c->route == HTTP_chat || c->route == HTTP_completions) {
        buf_member(b, ",\"completion_tokens\":", c->answer_tokens);
        buf_member(b, ",\"prompt_tokens_details\":{\"cached_tokens\":", c->cached_tokens);
        http_buf_text(b, "}");
    }
    buf_member(b, ",\"total_tokens\":", c->prompt_tokens + c->answer_tokens);
    http_buf_text(b, "}");
}

/* One choice of an event: text, or with `done` how it ended. */
static void answer_event(struct http_call *c, size_t part, const struct hs_bytes *text, const struct hs_done *done)
{
    bool first = !c->parts[part].started, chat = c->route == HTTP_chat;
    struct http_buf *b = &c->out;
    c->parts[part].started = true;
    answer_head(c, b);
    buf_member(b, ",\"choices\":[{\"index\":", part);
    http_buf_text(b, chat ? ",\"delta\":{" : ",\"text\":");
    if (chat && first)
        http_buf_text(b, text ? "\"role\":\"assistant\",\"content\":" : "\"role\":\"assistant\"");
    else if (chat && text)
        http_buf_text(b, "\"content\":");
    if (text || !chat)
        http_buf_string(b, text ? *text : (struct hs_bytes){"", 0});
    http_buf_text(b, chat ? "},\"logprobs\":null,\"finish_reason\":" : ",\"logprobs\":null,\"finish_reason\":");
    if (done)
        answer_end_of_choice(b, done);
    else
        http_buf_text(b, "null");
    http_buf_text(b, c->usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
}

static void answer_choice(struct http_call *c, size_t part, const struct hs_done *done)
{
    struct http_buf *b = &c->parts[part].out;
    bool chat = c->route == HTTP_chat;
    buf_member(b, "{\"index\":", part);
    http_buf_text(b, chat ? ",\"message\":{\"role\":\"assistant\",\"content\":" : ",\"text\":");
    http_buf_string(b, done->text);
    http_buf_text(b, chat ? ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":"
                          : ",\"logprobs\":null,\"finish_reason\":");
    answer_end_of_choice(b, done);
    http_buf_text(b, "}");
}

static void answer_done(struct http_call *c, size_t part, const struct hs_done *done)
{
    if (part % c->n_choices == 0) { /* a prompt counts once, whatever the number of its choices */
        c->prompt_tokens += done->prompt_tokens;
        c->cached_tokens += done->cached_tokens;
    }
    c->answer_tokens += done->generated_tokens;
    if (c->stream)
        answer_event(c, part, NULL, done);
    else
        answer_choice(c, part, done);
}

/* ---- vectors and labels ---- */

static void answer_vector(struct http_call *c, struct http_buf *b, const struct hs_vector *v, size_t index)
{
    buf_member(b, "{\"object\":\"embedding\",\"index\":", index);
    http_buf_text(b, c->base64 ? ",\"embedding\":\"" : ",\"embedding\":[");
    for (size_t i = 0; i < v->values.n; i += 48) { /* a multiple of 3 floats: base64 has no gaps */
        float values[48];
        uint8_t bytes[sizeof values];
        size_t n = v->values.n - i < 48 ? v->values.n - i : 48;
        struct hs_floats some = {v->values.values ? v->values.values + i : NULL, n,
                                 v->values.coded ? v->values.coded + 4 * i : NULL};
        hs_floats_read(&some, values);
        for (size_t j = 0; j < n; j++) {
            uint32_t bits;
            memcpy(&bits, &values[j], sizeof bits);
            for (int k = 0; k < 4; k++)
                bytes[4 * j + (size_t)k] = (uint8_t)(bits >> 8 * k);
            if (!c->base64) {
                http_buf_text(b, i + j ? "," : "");
                buf_f32(b, values[j]);
            }
        }
        if (c->base64)
            buf_base64(b, bytes, 4 * n);
    }
    http_buf_text(b, c->base64 ? "\"" : "]");
    http_buf_text(b, v->truncated ? ",\"truncated\":true}" : "}");
    c->prompt_tokens += v->n_tokens;
}

static void answer_labels(struct http_call *c, struct http_buf *b, const struct hs_labelled *l, size_t index)
{
    struct hs_label label;
    bool more;
    buf_member(b, "{\"object\":\"classification\",\"index\":", index);
    for (size_t at = 0, i = 0;
         hs_part_next(&hs_messages[HS_M_label], &l->labels, &at, &label, &more, NULL) == HEARTH_OK && more; i++) {
        if (i == 0) {
            http_buf_text(b, ",\"label\":");
            http_buf_string(b, label.name);
            http_buf_text(b, ",\"score\":");
            buf_f32(b, label.score);
        }
        http_buf_text(b, i ? ",{\"label\":" : ",\"scores\":[{\"label\":");
        http_buf_string(b, label.name);
        http_buf_text(b, ",\"score\":");
        buf_f32(b, label.score);
        http_buf_text(b, "}");
    }
    http_buf_text(b, l->labels.n ? "]" : "");
    http_buf_text(b, l->truncated ? ",\"truncated\":true}" : "}");
    c->prompt_tokens += l->n_tokens;
}

static void answer_items(struct http_call *c, size_t part, const struct hs_message *item, const struct hs_list *list)
{
    struct http_buf *b = &c->parts[part].out;
    union hs_any any;
    bool more;
    for (size_t at = 0, i = 0; hs_part_next(item, list, &at, &any, &more, NULL) == HEARTH_OK && more; i++) {
        http_buf_text(b, i ? "," : "");
        if (item == &hs_messages[HS_M_vector])
            answer_vector(c, b, &any.vector, part * HS_MAX_TEXTS + i);
        else
            answer_labels(c, b, &any.labelled, part * HS_MAX_TEXTS + i);
    }
}

/* ---- the whole ---- */

static void answer_join(struct http_call *c, struct http_buf *b)
{
    for (size_t i = 0; i < c->n_parts; i++) {
        http_buf_text(b, i ? "," : "");
        http_buf_raw(b, c->parts[i].out.at, c->parts[i].out.len);
        b->failed |= c->parts[i].out.failed;
    }
}

/* Every part has ended. */
static void answer_end(struct http_call *c)
{
    struct http_buf *b = &c->out;
    answer_status(c, 200);
    if (c->stream) {
        if (c->usage) {
            answer_head(c, b);
            http_buf_text(b, ",\"choices\":[],\"usage\":");
            answer_usage(c, b);
            http_buf_text(b, "}\n\n");
        }
        http_buf_text(b, "data: [DONE]\n\n");
    } else if (c->route == HTTP_chat || c->route == HTTP_completions) {
        answer_head(c, b);
        http_buf_text(b, ",\"choices\":[");
        answer_join(c, b);
        http_buf_text(b, "],\"usage\":");
        answer_usage(c, b);
        http_buf_text(b, "}\n");
    } else {
        http_buf_text(b, "{\"object\":\"list\",\"data\":[");
        answer_join(c, b);
        http_buf_text(b, "],\"model\":");
        http_buf_string(b, c->model);
        http_buf_text(b, ",\"usage\":");
        answer_usage(c, b);
        http_buf_text(b, "}\n");
    }
    c->ended = true;
}

/* ---- models and reports ---- */

static void answer_model(struct http_call *c, const struct hs_model *m)
{
    struct http_buf *b = &c->out;
    http_buf_text(b, "{\"id\":");
    http_buf_string(b, m->name);
    buf_member(b, ",\"object\":\"model\",\"owned_by\":\"hearth\",\"created\":", c->created_s);
    http_buf_text(b, ",\"kind\":");
    http_buf_string(b, m->kind);
    http_buf_text(b, ",\"state\":");
    http_buf_string(b, m->state);
    if (HS_HAS(m, model, bytes))
        buf_member(b, ",\"bytes\":", m->bytes);
    if (HS_HAS(m, model, sha256)) {
        http_buf_text(b, ",\"sha256\":");
        http_buf_string(b, m->sha256);
    }
    if (HS_HAS(m, model, licence)) {
        http_buf_text(b, ",\"licence\":");
        http_buf_string(b, m->licence);
    }
    http_buf_text(b, "}");
}

static void answer_models(struct http_call *c, const struct hs_model_list *list)
{
    struct hs_model m;
    bool more, found = false, one = c->route == HTTP_model;
    http_buf_text(&c->out, one ? "" : "{\"object\":\"list\",\"data\":[");
    for (size_t at = 0, i = 0;
         hs_part_next(&hs_messages[HS_M_model], &list->items, &at, &m, &more, NULL) == HEARTH_OK && more; i++) {
        if (one && (m.name.len != c->model.len || memcmp(m.name.at, c->model.at, m.name.len) != 0))
            continue;
        http_buf_text(&c->out, i && !one ? "," : "");
        answer_model(c, &m);
        found = true;
    }
    if (one && !found) {
        http_call_fail(c, 404, "model", "this server has no model of that name; GET /v1/models lists them");
        return;
    }
    http_buf_text(&c->out, one ? "\n" : "]}\n");
    answer_status(c, 200);
    c->ended = true;
}

static void answer_report(struct http_call *c, const struct hs_report *r)
{
    bool body = HS_HAS(r, report, body);
    c->json = c->route != HTTP_metrics;
    if (body)
        http_buf_raw(&c->out, r->body.at, r->body.len);
    else if (c->json)
        http_buf_text(&c->out, r->ok ? "{\"status\":\"ok\"}\n" : "{\"status\":\"not ready\"}\n");
    answer_status(c, r->ok || c->route == HTTP_metrics ? 200 : 503);
    c->ended = true;
}

/* The engine's sentences about a field begin with "message: field: "; NULL: this one does not. */
static const char *answer_param(const struct http_call *c, const char *text)
{
    size_t n = strlen(c->message->name);
    if (strncmp(text, c->message->name, n) != 0 || strncmp(text + n, ": ", 2) != 0)
        return NULL;
    text += n + 2;
    for (size_t i = 0; i < c->message->n_fields; i++) {
        const char *name = c->message->fields[i].name;
        if (strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == ':')
            return strcmp(name, "turns") == 0 ? "messages" : strcmp(name, "texts") == 0 ? "input" : name;
    }
    return NULL;
}

static void answer_error(struct http_call *c, const struct hs_error *e)
{
    char text[512];
    hb_format(text, sizeof text, "%.*s", e->message.len < sizeof text ? (int)e->message.len : (int)sizeof text,
              e->message.at);
    c->retry_ms = e->retry_ms;
    http_call_fail(c, e->code >= 400 && e->code <= 599 ? (unsigned)e->code : 500,
                   e->code == 404 ? "model" : answer_param(c, text), text);
}

static void answer_part(struct http_call *c, size_t part, const struct hs_message *m, const void *msg)
{
    if (m == &hs_messages[HS_M_done])
        answer_done(c, part, msg);
    else if (m == &hs_messages[HS_M_embedded])
        answer_items(c, part, &hs_messages[HS_M_vector], &((const struct hs_embedded *)msg)->items);
    else if (m == &hs_messages[HS_M_classified])
        answer_items(c, part, &hs_messages[HS_M_labelled], &((const struct hs_classified *)msg)->items);
    c->parts[part].ended = true;
    if (++c->n_ended == c->n_parts)
        answer_end(c);
}

/* The id of every answer is its first field, as of every request; an error's may be absent, and is 0 then. */
void http_call_answer(struct http_call *c, const struct hs_message *m, const void *msg)
{
    uint64_t id = ((const struct hs_done *)msg)->id;
    size_t part = 0;
    while (part < c->n_parts && (c->parts[part].id != id || c->parts[part].ended))
        part++;
    if (part == c->n_parts || c->ended)
        return;
    if (c->stream && (m == &hs_messages[HS_M_chunk] || m == &hs_messages[HS_M_done]))
        answer_status(c, 200);
    if (m == &hs_messages[HS_M_error]) {
        c->parts[part].ended = true;
        answer_error(c, msg);
    } else if (m == &hs_messages[HS_M_chunk]) {
        const struct hs_chunk *chunk = msg;
        if (HS_HAS(chunk, chunk, text) && chunk->text.len)
            answer_event(c, part, &chunk->text, NULL);
    } else if (m == &hs_messages[HS_M_report]) {
        answer_report(c, msg);
    } else if (m == &hs_messages[HS_M_model_list]) {
        answer_models(c, msg);
    } else {
        answer_part(c, part, m, msg);
    }
}
