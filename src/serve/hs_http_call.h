/* One request of HTTP, from its body to its answer: the translator, without socket and engine.
 *
 *   body ──► http_call_read: struct of messages.def ──► http_call_part(0), (1), ... ──► engine
 *   answer text ◄── out ◄── http_call_answer ◄── done, chunk, embedded, ... of each part ◄──┘
 *
 * A request becomes several of the engine's where it asks for several choices, has several prompts, or more texts than
 * a message holds: its parts. Their texts are gathered in the order of the parts; streamed ones as they come. */
#ifndef HS_HTTP_CALL_H
#define HS_HTTP_CALL_H

#include "serve/hs_json.h"
#include "serve/hs_limits.h"

enum http_method { HTTP_GET, HTTP_POST };
enum http_route {
#define HS_ROUTE(name, method, path, token, text) HTTP_##name,
#include "serve/http.def"
    HTTP_ROUTES
};
struct http_path {
    const char *path;
    enum http_method method;
    bool open; /* without a token */
};
extern const struct http_path http_paths[HTTP_ROUTES];
/* HTTP_ROUTES: none. *rest: what stands in the place of {name}. */
enum http_route http_route_of(const char *path, const char **rest);

/* Text that grows; `failed` where there was no memory, and nothing is added from then on. */
struct http_buf {
    char *at;
    size_t len, capacity;
    bool failed;
};
void http_buf_raw(struct http_buf *b, const char *text, size_t len);
void http_buf_text(struct http_buf *b, const char *text);
void http_buf_string(struct http_buf *b, struct hs_bytes s); /* of JSON, with quotes */
void http_buf_u64(struct http_buf *b, uint64_t v);
void http_buf_free(struct http_buf *b);

#define HTTP_MAX_PARTS HS_MAX_IN_FLIGHT

struct http_part {
    uint64_t id;         /* of the request at the engine */
    bool ended, started; /* started: its first chunk was written */
    struct http_buf out; /* its choices, vectors or labels, when it has ended */
};

struct http_call {
    enum http_route route;
    struct json_t *root; /* the body; messages point into it */
    struct hb_arena arena;
    union hs_any base; /* what all parts have in common */
    const struct hs_message *message;
    struct hs_bytes model;
    const struct hs_bytes *texts;     /* prompts of completions, texts of embeddings and classify */
    const struct hs_tokens *tokens;   /* instead of prompts */
    size_t n_texts, n_choices;
    bool stream, usage, base64;

    size_t n_parts;
    struct http_part parts[HTTP_MAX_PARTS];
    char name[48]; /* "chatcmpl-...", for answers */
    uint64_t created_s;

    unsigned status;      /* of HTTP; 0: not known yet */
    bool ended;           /* out is whole */
    bool json;            /* out is JSON */
    uint64_t retry_ms;    /* 0: not told */
    struct http_buf out;  /* the body, or events that wait to be sent */
    uint64_t prompt_tokens, answer_tokens, cached_tokens;
    size_t n_ended;
};

/* Zeroes it. name: a number that no other call of any server has. */
void http_call_init(struct http_call *c, enum http_route route, uint64_t high, uint64_t low, uint64_t now_s);
void http_call_free(struct http_call *c);

/* Body, or NULL and what follows the path, to messages. false: refused, and out has the answer. */
bool http_call_read(struct http_call *c, const uint8_t *body, size_t len, const char *rest);
/* Message i, below n_parts, with its id. It points into the call. */
const struct hs_message *http_call_part(struct http_call *c, size_t i, uint64_t id, union hs_any *msg);
/* A message of the engine, for any part; what belongs to none is passed over. */
void http_call_answer(struct http_call *c, const struct hs_message *m, const void *msg);
/* The call is over with an error, in OpenAI's form; param may be NULL. Part of the events where those have begun. */
void http_call_fail(struct http_call *c, unsigned code, const char *param, const char *message);

/* ---- shared by the files of the translator ---- */

bool http_refuse(struct http_call *c, const char *param, const char *format, ...) HB_PRINTF(3, 4); /* 400; false */
bool http_take_messages(struct http_call *c, struct json_t *v);
bool http_take_prompt(struct http_call *c, struct json_t *v);
bool http_take_input(struct http_call *c, struct json_t *v);
bool http_take_seed(struct http_call *c, struct json_t *v);
bool http_take_stop(struct http_call *c, struct json_t *v);
bool http_take_n(struct http_call *c, struct json_t *v);
bool http_take_stream_options(struct http_call *c, struct json_t *v);
bool http_take_response_format(struct http_call *c, struct json_t *v);
bool http_take_encoding_format(struct http_call *c, struct json_t *v);

#endif
