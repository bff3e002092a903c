/* The parameters that need more than a row of http.def: conversations, prompts, lists of texts, answer formats.
 * Texts stay where the JSON library has them; lists and joined parts lie in the call's arena. */
#include "serve/hs_http_call.h"
#include "base/hb_error.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct hs_bytes input_text(const json_t *v)
{
    return (struct hs_bytes){json_string_value(v), json_string_length(v)};
}

static bool input_memory(struct http_call *c)
{
    http_call_fail(c, 503, NULL, "no memory for this request");
    return false;
}

/* A text, or an array of texts. The list is in the arena. */
static bool input_texts(struct http_call *c, const char *name, const json_t *v, const struct hs_bytes **texts,
                        size_t *n)
{
    struct hs_bytes *out;
    size_t i;
    const json_t *item;
    *n = json_is_array(v) ? json_array_size(v) : 1;
    if (*n > HS_MAX_ITEMS)
        return http_refuse(c, name, "%s: %zu items; at most %u are accepted", name, *n, HS_MAX_ITEMS);
    if (HB_ARENA_NEW(&c->arena, struct hs_bytes, *n + 1, &out, NULL) != HEARTH_OK)
        return input_memory(c);
    *texts = out;
    if (json_is_string(v)) {
        out[0] = input_text(v);
        return true;
    }
    json_array_foreach(v, i, item)
    {
        if (!json_is_string(item))
            return http_refuse(c, name, "%s: item %zu is no text", name, i);
        out[i] = input_text(item);
    }
    return json_is_array(v) || http_refuse(c, name, "%s: a text or an array of texts is required", name);
}

static bool input_tokens(struct http_call *c, const json_t *v, struct hs_tokens *out)
{
    uint32_t *values;
    size_t i;
    const json_t *item;
    if (HB_ARENA_NEW(&c->arena, uint32_t, json_array_size(v) + 1, &values, NULL) != HEARTH_OK)
        return input_memory(c);
    json_array_foreach(v, i, item)
    {
        json_int_t id = json_integer_value(item);
        if (!json_is_integer(item) || id < 0 || id > UINT32_MAX)
            return http_refuse(c, "prompt", "prompt: item %zu of token ids is no whole number from 0 to 4294967295", i);
        values[i] = (uint32_t)id;
    }
    *out = (struct hs_tokens){.values = values, .n = json_array_size(v)};
    return true;
}

bool http_take_prompt(struct http_call *c, json_t *v)
{
    const json_t *first = json_array_get(v, 0);
    bool one = json_is_integer(first);
    struct hs_tokens *tokens;
    if (!one && !json_is_array(first))
        return input_texts(c, "prompt", v, &c->texts, &c->n_texts);
    c->n_texts = one ? 1 : json_array_size(v);
    if (c->n_texts > HTTP_MAX_PARTS)
        return http_refuse(c, "prompt", "prompt: %zu prompts; at most %u are accepted", c->n_texts, HTTP_MAX_PARTS);
    if (HB_ARENA_NEW(&c->arena, struct hs_tokens, c->n_texts, &tokens, NULL) != HEARTH_OK)
        return input_memory(c);
    c->tokens = tokens;
    for (size_t i = 0; i < c->n_texts; i++) {
        const json_t *ids = one ? v : json_array_get(v, i);
        if (!json_is_array(ids))
            return http_refuse(c, "prompt", "prompt: item %zu is no array of token ids, and others are", i);
        if (!input_tokens(c, ids, &tokens[i]))
            return false;
    }
    return true;
}

bool http_take_input(struct http_call *c, json_t *v)
{
    const json_t *first = json_array_get(v, 0);
    if (json_is_integer(first) || json_is_array(first))
        return http_refuse(c, "input", "input: token ids are not accepted; give the texts");
    return input_texts(c, "input", v, &c->texts, &c->n_texts);
}

/* ---- conversations ---- */

/* Text, or parts of type text, one behind the other. */
static bool input_content(struct http_call *c, const json_t *v, size_t turn, struct hs_bytes *out)
{
    struct http_buf joined = {0};
    size_t i;
    json_t *part;
    if (json_is_string(v)) {
        *out = input_text(v);
        return true;
    }
    if (!json_is_array(v))
        return http_refuse(c, "messages", "messages: content of message %zu is neither text nor an array of parts",
                           turn);
    json_array_foreach(v, i, part)
    {
        const json_t *type = json_object_get(part, "type"), *text = json_object_get(part, "text");
        const char *name = json_is_string(type) ? json_string_value(type) : "";
        if (strcmp(name, "text") != 0 || !json_is_string(text) || json_object_size(part) != 2) {
            http_buf_free(&joined);
            return http_refuse(
                c, "messages",
                "messages: part %zu of message %zu has type \"%s\"; {\"type\": \"text\", \"text\": ...} is accepted", i,
                turn, name);
        }
        http_buf_raw(&joined, json_string_value(text), json_string_length(text));
    }
    out->len = joined.len;
    bool ok =
        !joined.failed && hb_arena_text(&c->arena, joined.at ? joined.at : "", joined.len, &out->at, NULL) == HEARTH_OK;
    http_buf_free(&joined);
    return ok || input_memory(c);
}

/* Members besides role and content: only what says nothing. tool_call_id names a call that the turn before would
 * have had, and those are refused. */
static bool input_silent(const char *key, const json_t *v)
{
    if (strcmp(key, "role") == 0 || strcmp(key, "content") == 0 || strcmp(key, "tool_call_id") == 0)
        return true;
    return json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0);
}

static bool input_turn(struct http_call *c, json_t *v, size_t turn, struct hs_turn *out)
{
    const json_t *role = json_object_get(v, "role"), *content = json_object_get(v, "content");
    const char *key;
    json_t *member;
    struct hs_bytes text;
    if (!json_is_string(role) || !content)
        return http_refuse(c, "messages", "messages: message %zu needs role, a text, and content", turn);
    json_object_foreach(v, key, member) if (!input_silent(key, member)) return http_refuse(
        c, "messages", "messages: message %zu has \"%s\"; role and content are accepted", turn, key);
    if (!input_content(c, content, turn, &text))
        return false;
    /* developer is the later name of system */
    HS_SET(out, turn, role,
           strcmp(json_string_value(role), "developer") == 0 ? (struct hs_bytes){"system", 6} : input_text(role));
    HS_SET(out, turn, content, text);
    return true;
}

bool http_take_messages(struct http_call *c, json_t *v)
{
    struct hs_turn *turns;
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n > HS_MAX_ITEMS)
        return http_refuse(c, "messages", "messages: an array of at most %u messages is required", HS_MAX_ITEMS);
    if (HB_ARENA_NEW(&c->arena, struct hs_turn, n + 1, &turns, NULL) != HEARTH_OK)
        return input_memory(c);
    for (size_t i = 0; i < n; i++)
        if (!input_turn(c, json_array_get(v, i), i, &turns[i]))
            return false;
    HS_SET(&c->base.chat, chat, turns, (struct hs_list){.items = turns, .n = n});
    c->n_texts = n > 0;
    return true;
}

/* ---- the rest ---- */

bool http_take_seed(struct http_call *c, json_t *v)
{
    uint64_t seed;
    bool minus;
    if (!hs_json_whole(v, &seed, &minus))
        return http_refuse(c, "seed", "seed: a whole number of 64 bits is required, or one as text");
    seed = minus ? 0 - seed : seed;
    if (c->route == HTTP_chat)
        HS_SET(&c->base.chat, chat, seed, seed);
    else
        HS_SET(&c->base.generate, generate, seed, seed);
    return true;
}

bool http_take_stop(struct http_call *c, json_t *v)
{
    const struct hs_bytes *texts;
    struct hs_list list = {0};
    if (!input_texts(c, "stop", v, &texts, &list.n))
        return false;
    list.items = texts;
    if (list.n && c->route == HTTP_chat)
        HS_SET(&c->base.chat, chat, stop, list);
    else if (list.n)
        HS_SET(&c->base.generate, generate, stop, list);
    return true;
}

bool http_take_n(struct http_call *c, json_t *v)
{
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 1 || n > HTTP_MAX_PARTS)
        return http_refuse(c, "n", "n: a whole number from 1 to %u is required", HTTP_MAX_PARTS);
    c->n_choices = (size_t)n;
    return true;
}

bool http_take_stream_options(struct http_call *c, json_t *v)
{
    const char *key;
    json_t *value;
    if (!json_is_object(v))
        return http_refuse(c, "stream_options", "stream_options: an object is required");
    json_object_foreach(v, key, value)
    {
        bool usage = strcmp(key, "include_usage") == 0;
        if ((!usage && strcmp(key, "include_obfuscation") != 0) || !json_is_boolean(value))
            return http_refuse(c, "stream_options",
                               "stream_options: include_usage and include_obfuscation are accepted, true or false");
        c->usage |= usage && json_is_true(value);
    }
    return true;
}

static bool input_schema(struct http_call *c, const json_t *schema)
{
    char *text = json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
    struct hs_bytes copy = {NULL, text ? strlen(text) : 0};
    bool ok = text && hb_arena_text(&c->arena, text, copy.len, &copy.at, NULL) == HEARTH_OK;
    if (text)
        hb_wipe(text, copy.len);
    free(text);
    if (!ok)
        return input_memory(c);
    HS_SET(&c->base.chat, chat, json_schema, copy);
    return true;
}

/* {"type": "json_schema", "json_schema": {"name": ..., "schema": {...}, "strict": ...}} */
static bool input_named_schema(struct http_call *c, json_t *v)
{
    static const char *const known[] = {"name", "schema", "strict", "description"};
    json_t *schema = json_object_get(v, "schema"), *member;
    const char *key;
    json_object_foreach(v, key, member)
    {
        bool found = false;
        for (size_t i = 0; i < HB_COUNT(known); i++)
            found |= strcmp(known[i], key) == 0;
        if (!found)
            return http_refuse(
                c, "response_format",
                "response_format: json_schema has \"%s\"; name, schema, strict, description are accepted", key);
    }
    if (!json_is_object(schema) && !json_is_boolean(schema))
        return http_refuse(c, "response_format", "response_format: json_schema.schema is missing");
    return input_schema(c, schema);
}

bool http_take_response_format(struct http_call *c, json_t *v)
{
    const json_t *type = json_object_get(v, "type");
    const char *name = json_is_string(type) ? json_string_value(type) : "";
    bool named = strcmp(name, "json_schema") == 0;
    if (json_object_size(v) != (named ? 2u : 1u))
        return http_refuse(c, "response_format",
                           "response_format: {\"type\": ...} is accepted, with json_schema for that type");
    if (named)
        return input_named_schema(c, json_object_get(v, "json_schema"));
    if (strcmp(name, "json_object") == 0) {
        HS_SET(&c->base.chat, chat, json_schema, (struct hs_bytes){"{\"type\":\"object\"}", 17});
        return true;
    }
    return strcmp(name, "text") == 0 ||
           http_refuse(c, "response_format",
                       "response_format: type \"%s\"; text, json_object and json_schema are accepted", name);
}

bool http_take_encoding_format(struct http_call *c, json_t *v)
{
    const char *name = json_is_string(v) ? json_string_value(v) : "";
    c->base64 = strcmp(name, "base64") == 0;
    return c->base64 || strcmp(name, "float") == 0 ||
           http_refuse(c, "encoding_format", "encoding_format: \"%s\"; float and base64 are accepted", name);
}
