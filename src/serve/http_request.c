/* Requests of HTTP become messages of the engine: the rows of http.def, walked by the members of the body. Nothing is
 * checked here but form; what a value may be is the engine's to say. */
#include "serve/hs_http_call.h"
#include "base/hb_error.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct http_path http_paths[HTTP_ROUTES] = {
#define OPEN                                      true
#define CLOSED                                    false
#define HS_ROUTE(name, method, path, token, text) [HTTP_##name] = {path, HTTP_##method, token},
#include "serve/http.def"
#undef OPEN
#undef CLOSED
};

enum http_how { HTTP_FIELD, HTTP_FLAG, HTTP_OWN, HTTP_SKIP, HTTP_ONE, HTTP_NEVER };

struct http_param {
    const char *name, *arg, *text;
    unsigned routes; /* bits of enum http_route */
    enum http_how how;
    bool (*take)(struct http_call *c, json_t *v);
};

#define ON_C    (1u << HTTP_chat)
#define ON_P    (1u << HTTP_completions)
#define ON_E    (1u << HTTP_embeddings)
#define ON_L    (1u << HTTP_classify)
#define ON_CP   (ON_C | ON_P)
#define ON_EL   (ON_E | ON_L)
#define ON_CPEL (ON_CP | ON_EL)

#define ARG_FIELD(arg)                            #arg, NULL
#define ARG_FLAG(arg)                             #arg, NULL
#define ARG_OWN(arg)                              NULL, http_take_##arg
#define ARG_SKIP(arg)                             NULL, NULL
#define ARG_ONE(arg)                              arg, NULL
#define ARG_NEVER(arg)                            NULL, NULL
#define PARAM(routes, how, name, text, arg, take) {name, arg, text, ON_##routes, HTTP_##how, take},
#define PARAM_OF(...)                             PARAM(__VA_ARGS__)

static const struct http_param http_params[] = {
#define HS_PARAM(routes, how, name, arg, text) PARAM_OF(routes, how, #name, text, ARG_##how(arg))
#include "serve/http.def"
};

enum http_route http_route_of(const char *path, const char **rest)
{
    if (strncmp(path, "http://", 7) == 0) { /* whole URIs are allowed; whose they are is not asked */
        const char *slash = strchr(path + 7, '/');
        path = slash ? slash : "/";
    }
    for (int i = 0; i < HTTP_ROUTES; i++) {
        const size_t n = strcspn(http_paths[i].path, "{");
        *rest = path + n;
        if (strncmp(path, http_paths[i].path, n) == 0 && (http_paths[i].path[n] == 0) == (path[n] == 0))
            return (enum http_route)i;
    }
    return HTTP_ROUTES;
}

bool http_refuse(struct http_call *c, const char *param, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    hb_vformat(text, sizeof text, format, args);
    va_end(args);
    http_call_fail(c, 400, param, text);
    return false;
}

/* ---- fields by their descriptors ---- */

static const struct hs_field *request_field(const struct http_call *c, const char *name)
{
    for (size_t i = 0; i < c->message->n_fields; i++)
        if (strcmp(c->message->fields[i].name, name) == 0)
            return &c->message->fields[i];
    return NULL;
}

static bool request_value(struct http_call *c, const struct http_param *p, const struct hs_field *f, const json_t *v,
                          void *out)
{
    switch ((enum hs_kind)f->kind) {
    case HS_U64:
        if (p->how == HTTP_FLAG ? json_is_boolean(v) : json_is_integer(v) && json_integer_value(v) >= 0) {
            *(uint64_t *)out = json_is_integer(v) ? (uint64_t)json_integer_value(v) : (uint64_t)json_is_true(v);
            return true;
        }
        return http_refuse(c, p->name, "%s: %s is required", p->name,
                           p->how == HTTP_FLAG ? "true or false" : "a whole number from 0 on");
    case HS_F32:
        if (json_is_number(v) && isfinite((float)json_number_value(v))) {
            *(float *)out = (float)json_number_value(v);
            return true;
        }
        return http_refuse(c, p->name, "%s: a number that fits 32-bit floats is required", p->name);
    case HS_BYTES:
        if (json_is_string(v)) {
            *(struct hs_bytes *)out = (struct hs_bytes){json_string_value(v), json_string_length(v)};
            return true;
        }
        break;
    default:
        break;
    }
    return http_refuse(c, p->name, "%s: text is required", p->name);
}

static bool request_set(struct http_call *c, const struct http_param *p, const json_t *v)
{
    const struct hs_field *f = request_field(c, p->arg);
    uint32_t *has = (uint32_t *)(void *)&c->base, bit = f ? 1u << f->number : 0;
    if (!f)
        return http_refuse(c, p->name, "%s is not accepted here", p->name);
    if (*has & bit)
        return http_refuse(c, p->name, "%s has been given already, as max_tokens or max_completion_tokens", p->arg);
    if (!request_value(c, p, f, v, (uint8_t *)&c->base + f->offset))
        return false;
    *has |= bit;
    return true;
}

/* ---- rows ---- */

static bool request_one(struct http_call *c, const struct http_param *p, json_t *v)
{
    json_t *values = json_loads(p->arg, 0, NULL);
    bool same = false;
    for (size_t i = 0; i < json_array_size(values); i++)
        same |= json_equal(json_array_get(values, i), v) == 1;
    json_decref(values);
    return same || http_refuse(c, p->name, "%s: only a value of %s is accepted: %s", p->name, p->arg, p->text);
}

static bool request_member(struct http_call *c, const char *key, json_t *v)
{
    const struct http_param *p = NULL;
    for (size_t i = 0; i < HB_COUNT(http_params) && !p; i++)
        if (http_params[i].routes >> c->route & 1 && strcmp(http_params[i].name, key) == 0)
            p = &http_params[i];
    if (!p)
        return http_refuse(c, strlen(key) < 64 ? key : NULL,
                           "parameter \"%s\" is unknown; docs/http.md lists what is accepted", key);
    if (json_is_null(v))
        return true;
    switch (p->how) {
    case HTTP_FIELD:
    case HTTP_FLAG:
        return request_set(c, p, v);
    case HTTP_OWN:
        return p->take(c, v);
    case HTTP_ONE:
        return request_one(c, p, v);
    case HTTP_NEVER:
        return http_refuse(c, p->name, "%s is not accepted: %s", p->name, p->text);
    case HTTP_SKIP:
        break;
    }
    return true;
}

/* ---- what a body must have, and the parts it becomes ---- */

static bool request_lists(const struct http_call *c) /* of texts that one message may hold several of */
{
    return c->route == HTTP_embeddings || c->route == HTTP_classify;
}

static bool request_split(struct http_call *c)
{
    const unsigned most = HTTP_MAX_PARTS, texts = HTTP_MAX_PARTS * HS_MAX_TEXTS;
    size_t n = request_lists(c) ? (c->n_texts + HS_MAX_TEXTS - 1) / HS_MAX_TEXTS : c->n_texts * c->n_choices;
    if (n > most && request_lists(c))
        return http_refuse(c, "input", "input: %zu texts; at most %u are accepted", c->n_texts, texts);
    if (n > most)
        return http_refuse(c, "n", "n: %zu choices of all prompts; at most %u are accepted", n, most);
    c->n_parts = n;
    return true;
}

/* What the answer must know of the message. */
static void request_remember(struct http_call *c)
{
    const struct hs_field *stream = request_field(c, "stream"), *model = request_field(c, "model");
    c->stream = stream && *(const uint64_t *)(const void *)((const uint8_t *)&c->base + stream->offset);
    if (((const struct hs_models *)&c->base)->has >> model->number & 1)
        c->model = *(const struct hs_bytes *)(const void *)((const uint8_t *)&c->base + model->offset);
}

static bool request_body(struct http_call *c)
{
    static const char *const must[] = {[HTTP_chat] = "messages",
                                       [HTTP_completions] = "prompt",
                                       [HTTP_embeddings] = "input",
                                       [HTTP_classify] = "input"};
    const char *key;
    json_t *v;
    json_object_foreach(c->root, key, v) if (!request_member(c, key, v)) return false;
    request_remember(c);
    if (c->n_texts == 0)
        return http_refuse(c, must[c->route], "%s is missing, or empty", must[c->route]);
    if (c->usage && !c->stream)
        return http_refuse(c, "stream_options", "stream_options is accepted together with stream only");
    return request_split(c);
}

static const struct hs_message *request_message(enum http_route route)
{
    static const uint8_t index[HTTP_ROUTES] = {
        [HTTP_chat] = HS_M_chat,         [HTTP_completions] = HS_M_generate, [HTTP_embeddings] = HS_M_embed,
        [HTTP_classify] = HS_M_classify, [HTTP_models] = HS_M_models,        [HTTP_model] = HS_M_models,
        [HTTP_health] = HS_M_health,     [HTTP_ready] = HS_M_health,         [HTTP_full] = HS_M_health,
        [HTTP_metrics] = HS_M_metrics};
    return &hs_messages[index[route]];
}

/* Without a body: what is asked for stands in the path. */
static bool request_get(struct http_call *c, const char *rest)
{
    c->n_parts = 1;
    if (c->route == HTTP_metrics)
        HS_SET(&c->base.metrics, metrics, prometheus, 1);
    else if (c->message == &hs_messages[HS_M_health])
        HS_SET(&c->base.health, health, kind, c->route == HTTP_full ? 2 : c->route == HTTP_ready);
    c->model.len = c->route == HTTP_model ? strlen(rest) : 0;
    if (hb_arena_text(&c->arena, rest, c->model.len, &c->model.at, NULL) == HEARTH_OK)
        return true;
    http_call_fail(c, 503, NULL, "no memory for this request");
    return false;
}

bool http_call_read(struct http_call *c, const uint8_t *body, size_t len, const char *rest)
{
    hearth_error err;
    c->message = request_message(c->route);
    c->n_choices = 1;
    c->model = (struct hs_bytes){"default", 7}; /* to the client, where it named none */
    if (http_paths[c->route].method == HTTP_GET)
        return request_get(c, rest);
    if (hs_json_load("body", body, len, &c->root, &err) != HEARTH_OK)
        return http_refuse(c, NULL, "%s", err.text);
    if (!json_is_object(c->root))
        return http_refuse(c, NULL, "body: a JSON object is required");
    return request_body(c);
}

static void request_texts(struct http_call *c, size_t part, union hs_any *msg)
{
    size_t at = part * HS_MAX_TEXTS, n = c->n_texts - at < HS_MAX_TEXTS ? c->n_texts - at : HS_MAX_TEXTS;
    struct hs_list texts = {.items = c->texts + at, .n = n};
    if (c->route == HTTP_embeddings)
        HS_SET(&msg->embed, embed, texts, texts);
    else
        HS_SET(&msg->classify, classify, texts, texts);
}

_Static_assert(offsetof(struct hs_models, id) == offsetof(struct hs_generate, id) &&
                   (int)HS_HAS_models_id == (int)HS_HAS_generate_id,
               "id is the first field of every request");

const struct hs_message *http_call_part(struct http_call *c, size_t i, uint64_t id, union hs_any *msg)
{
    size_t choice = i % c->n_choices;
    c->parts[i].id = id;
    memcpy(msg, &c->base, c->message->size);
    HS_SET(&msg->models, models, id, id);
    if (request_lists(c)) {
        request_texts(c, i, msg);
    } else if (c->route == HTTP_chat) {
        msg->chat.seed += HS_HAS(&msg->chat, chat, seed) ? choice : 0;
    } else if (c->route == HTTP_completions) {
        msg->generate.seed += HS_HAS(&msg->generate, generate, seed) ? choice : 0;
        if (c->tokens)
            HS_SET(&msg->generate, generate, prompt_tokens, c->tokens[i / c->n_choices]);
        else
            HS_SET(&msg->generate, generate, prompt, c->texts[i / c->n_choices]);
    }
    return c->message;
}

static void *request_alloc(void *user, size_t n)
{
    (void)user;
    return malloc(n);
}

static void request_free(void *user, void *p, size_t n)
{
    (void)user;
    hb_wipe(p, n);
    free(p);
}

void http_call_init(struct http_call *c, enum http_route route, uint64_t high, uint64_t low, uint64_t now_s)
{
    static const struct hb_alloc heap = {request_alloc, request_free, NULL};
    memset(c, 0, sizeof *c);
    c->route = route;
    c->json = true;
    c->created_s = now_s;
    hb_format(c->name, sizeof c->name, "%s-%llx-%llx", route == HTTP_chat ? "chatcmpl" : "cmpl",
              (unsigned long long)high, (unsigned long long)low);
    hb_arena_init_growing(&c->arena, &heap);
}

void http_call_free(struct http_call *c)
{
    json_decref(c->root);
    c->root = NULL;
    hb_arena_release(&c->arena);
    for (size_t i = 0; i < HTTP_MAX_PARTS; i++)
        http_buf_free(&c->parts[i].out);
    http_buf_free(&c->out);
}
