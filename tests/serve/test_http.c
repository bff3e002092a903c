/* HTTP over socket pairs, with an engine that the test plays: what requests become, what answers look like, and who
 * is waited for how long. */
#define _GNU_SOURCE
#include "test_support.h"
#include "serve/hs_http.h"
#include <errno.h>
#include <jansson.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECRET "0123456789abcdef-secret"
#define AUTH   "Authorization: Bearer " SECRET "\r\n"

/* ---- allocations that fail (the linker's --wrap) ---- */

static uint64_t allocations, fail_at; /* the one that is refused; 0: none */
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *__wrap_malloc(size_t n)
{
    allocations++;
    return fail_at && allocations == fail_at ? NULL : __real_malloc(n);
}

/* ---- the engine ---- */

static struct {
    struct hs_client *client;
    const struct hs_message *m; /* the last one but cancel */
    union hs_any msg;
    uint64_t ids[64], cancelled[64];
    size_t n, n_cancelled, dropped, resumed;
    bool hold; /* answers nothing by itself */
    char model[64], text[256], schema[256], stop[64];
    uint32_t tokens[8];
} engine;

static bool fake_send(const struct hs_message *m, const void *msg)
{
    return engine.client->send(engine.client->user, m, msg);
}

static bool fake_chunk(uint64_t id, uint64_t index, const char *text)
{
    struct hs_chunk c = {0};
    HS_SET(&c, chunk, id, id);
    HS_SET(&c, chunk, index, index);
    if (text)
        HS_SET(&c, chunk, text, (struct hs_bytes){text, strlen(text)});
    return fake_send(&hs_messages[HS_M_chunk], &c);
}

static void fake_done(uint64_t id, const char *text, uint64_t reason)
{
    struct hs_done d = {0};
    HS_SET(&d, done, id, id);
    HS_SET(&d, done, reason, reason);
    HS_SET(&d, done, prompt_tokens, 7);
    HS_SET(&d, done, generated_tokens, 3);
    HS_SET(&d, done, cached_tokens, 4);
    HS_SET(&d, done, seed, 42);
    if (text)
        HS_SET(&d, done, text, (struct hs_bytes){text, strlen(text)});
    fake_send(&hs_messages[HS_M_done], &d);
}

static void fake_error(uint64_t id, uint32_t code, uint64_t retry_ms)
{
    struct hs_error e = {0};
    HS_SET(&e, error, id, id);
    HS_SET(&e, error, code, code);
    HS_SET(&e, error, message, (struct hs_bytes){"the \"engine\" says no", 20});
    if (retry_ms)
        HS_SET(&e, error, retry_ms, retry_ms);
    fake_send(&hs_messages[HS_M_error], &e);
}

static void fake_embedded(const struct hs_embed *e)
{
    static const float values[5] = {1, -2.5f, 0.1f, 0, 1e-20f};
    struct hs_vector v[HS_MAX_TEXTS];
    struct hs_embedded out = {0};
    assert_true(e->texts.n <= HS_MAX_TEXTS);
    for (size_t i = 0; i < e->texts.n; i++) {
        v[i] = (struct hs_vector){0};
        HS_SET(&v[i], vector, values, (struct hs_floats){.values = values, .n = 5});
        HS_SET(&v[i], vector, n_tokens, 2);
    }
    HS_SET(&out, embedded, id, e->id);
    HS_SET(&out, embedded, items, (struct hs_list){.items = v, .n = e->texts.n});
    fake_send(&hs_messages[HS_M_embedded], &out);
}

static void fake_classified(const struct hs_classify *c)
{
    struct hs_label labels[2] = {{0}, {0}};
    struct hs_labelled item = {0};
    struct hs_classified out = {0};
    HS_SET(&labels[0], label, name, (struct hs_bytes){"POSITIVE", 8});
    HS_SET(&labels[0], label, score, 0.75f);
    HS_SET(&labels[1], label, name, (struct hs_bytes){"NEGATIVE", 8});
    HS_SET(&labels[1], label, score, 0.25f);
    HS_SET(&item, labelled, labels, (struct hs_list){.items = labels, .n = 2});
    HS_SET(&item, labelled, n_tokens, 5);
    HS_SET(&item, labelled, truncated, 1);
    HS_SET(&out, classified, id, c->id);
    HS_SET(&out, classified, items, (struct hs_list){.items = &item, .n = 1});
    fake_send(&hs_messages[HS_M_classified], &out);
}

static void fake_models(uint64_t id)
{
    struct hs_model m = {0};
    struct hs_model_list out = {0};
    HS_SET(&m, model, name, (struct hs_bytes){"books", 5});
    HS_SET(&m, model, kind, (struct hs_bytes){"generate", 8});
    HS_SET(&m, model, state, (struct hs_bytes){"loaded", 6});
    HS_SET(&out, model_list, id, id);
    HS_SET(&out, model_list, items, (struct hs_list){.items = &m, .n = 1});
    fake_send(&hs_messages[HS_M_model_list], &out);
}

static void fake_report(uint64_t id, uint64_t ok, const char *body)
{
    struct hs_report r = {0};
    HS_SET(&r, report, id, id);
    HS_SET(&r, report, ok, ok);
    if (body)
        HS_SET(&r, report, body, (struct hs_bytes){body, strlen(body)});
    fake_send(&hs_messages[HS_M_report], &r);
}

static void fake_text(char *out, size_t size, struct hs_bytes s)
{
    snprintf(out, size, "%.*s", (int)s.len, s.at);
}

/* What must be compared later is copied: messages live for the call. */
static void fake_remember(const struct hs_message *m, const void *msg)
{
    memcpy(&engine.msg, msg, m->size);
    engine.m = m;
    if (m == &hs_messages[HS_M_generate] || m == &hs_messages[HS_M_chat]) {
        const struct hs_chat *c = msg; /* the same from model on, but for the prompt */
        const struct hs_generate *g = msg;
        bool chat = m == &hs_messages[HS_M_chat];
        size_t at = 0;
        struct hs_bytes stop;
        fake_text(engine.model, sizeof engine.model, c->model);
        fake_text(engine.schema, sizeof engine.schema, chat ? c->json_schema : g->json_schema);
        if (hs_text_next(chat ? &c->stop : &g->stop, &at, &stop))
            fake_text(engine.stop, sizeof engine.stop, stop);
        if (chat)
            fake_text(engine.text, sizeof engine.text,
                      ((const struct hs_turn *)c->turns.items)[c->turns.n - 1].content);
        else
            fake_text(engine.text, sizeof engine.text, g->prompt);
        if (!chat && g->prompt_tokens.n)
            memcpy(engine.tokens, g->prompt_tokens.values, 4 * g->prompt_tokens.n);
    }
}

void hs_engine_submit(struct hs_engine *e, struct hs_client *client, const struct hs_message *m, const void *msg,
                      uint64_t now_ns)
{
    uint64_t id = ((const struct hs_cancel *)msg)->id;
    (void)e, (void)now_ns;
    engine.client = client;
    if (m == &hs_messages[HS_M_cancel]) {
        engine.cancelled[engine.n_cancelled++] = id;
        return;
    }
    fake_remember(m, msg);
    engine.ids[engine.n++ % 64] = id;
    if (engine.hold)
        return;
    if (m == &hs_messages[HS_M_embed])
        fake_embedded(msg);
    else if (m == &hs_messages[HS_M_classify])
        fake_classified(msg);
    else if (m == &hs_messages[HS_M_models])
        fake_models(id);
    else if (m == &hs_messages[HS_M_health])
        fake_report(id, ((const struct hs_health *)msg)->kind != 1, NULL);
    else if (m == &hs_messages[HS_M_metrics])
        fake_report(id, 1, "hearth_up 1\n");
    else if (strcmp(engine.model, "full") == 0)
        fake_error(id, 429, 1500);
    else if (strcmp(engine.model, "nobody") == 0)
        fake_error(id, 404, 0);
    else if (m == &hs_messages[HS_M_chat] ? ((const struct hs_chat *)msg)->stream
                                          : ((const struct hs_generate *)msg)->stream) {
        fake_chunk(id, 0, "It ");
        fake_chunk(id, 1, NULL);
        fake_chunk(id, 2, "was \"dark\".\n");
        fake_done(id, NULL, 1);
    } else {
        fake_done(id, "It was\xFF.", 0);
    }
}

void hs_engine_resume(struct hs_engine *e, struct hs_client *client)
{
    (void)e, (void)client;
    engine.resumed++;
}

void hs_engine_drop(struct hs_engine *e, struct hs_client *client, uint64_t now_ns)
{
    (void)e, (void)client, (void)now_ns;
    engine.dropped++;
}

/* ---- a server and a client ---- */

struct bench {
    struct hs_http *http;
    struct hs_auth auth;
    uint64_t now_ns;
    char answer[1 << 20];
    size_t len;
};

static int bench_open(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    hearth_error err;
    memset(&engine, 0, sizeof engine);
    b->now_ns = 1000000000000;
    assert_int_equal(hs_auth_set(&b->auth, SECRET, strlen(SECRET), &err), HEARTH_OK);
    struct hs_http_config config = {.auth = &b->auth, .listener = -1, .now_s = 1700000000, .now_ns = b->now_ns};
    hearth_status status = hs_http_open(&config, &b->http, &err);
    if (status == HEARTH_E_UNSUPPORTED) {
        fprintf(stderr, "skipped: %s\n", err.text);
        exit(77);
    }
    assert_int_equal(status, HEARTH_OK);
    *state = b;
    return 0;
}

static int bench_close(void **state)
{
    struct bench *b = *state;
    hs_http_close(b->http);
    free(b);
    return 0;
}

static int bench_connect(struct bench *b)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_true(hs_http_add(b->http, pair[0], 1000, b->now_ns));
    return pair[1];
}

static void bench_run(struct bench *b)
{
    for (int i = 0; i < 4; i++)
        hs_http_run(b->http, b->now_ns);
}

static void bench_write(struct bench *b, int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
        bench_run(b);
        if (n < 0)
            return; /* closed, or it takes no more */
    }
}

/* What there is to read; true: and the connection is closed. */
static bool bench_read(struct bench *b, int fd)
{
    ssize_t n;
    b->len = 0;
    do {
        bench_run(b);
        n = recv(fd, b->answer + b->len, sizeof b->answer - 1 - b->len, 0);
        b->len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    b->answer[b->len] = 0;
    return n == 0 || errno == ECONNRESET;
}

static void bench_post(struct bench *b, int fd, const char *path, const char *body)
{
    char request[4096];
    int n = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Length: %zu\r\n\r\n%s",
                     path, strlen(body), body);
    assert_true(n > 0 && (size_t)n < sizeof request);
    bench_write(b, fd, request, (size_t)n);
}

static void bench_contains(const struct bench *b, const char *row, const char *text)
{
    if (text && !strstr(b->answer, text))
        fail_msg("%s: the answer lacks %s:\n%s", row, text, b->answer);
}

/* ---- heads ---- */

static const struct {
    const char *request, *status, *has;
    bool closed;
} heads[] = {
    {"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200", "{\"status\":\"ok\"}", false},
    {"GET http://x/health HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200", "{\"status\":\"ok\"}", false},
    {"GET /health HTTP/1.0\r\n\r\n", "HTTP/1.1 200", "{\"status\":\"ok\"}", true},
    {"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", NULL, true},
    {"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200", "Content-Length: 16", false},
    {"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503", "Retry-After: 1", false},
    {"GET /health/full HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 401", "WWW-Authenticate: Bearer", false},
    {"GET /v1/models HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n", "HTTP/1.1 200",
     "\"data\":[{\"id\":\"books\",\"object\":\"model\",\"owned_by\":\"hearth\",\"created\":1700000000", false},
    {"GET /v1/models/books HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n", "HTTP/1.1 200", "{\"id\":\"books\"", false},
    {"GET /v1/models/other HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n", "HTTP/1.1 404", "\"code\":\"model_not_found\"", false},
    {"GET /v1/models/ HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n", "HTTP/1.1 404", "\"code\":\"unknown_url\"", false},
    {"GET /metrics HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n", "HTTP/1.1 200", "Content-Type: text/plain; version=0.0.4",
     false},
    {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 401", "\"type\":\"authentication_error\"", false},
    {"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " SECRET "\r\n\r\n", "HTTP/1.1 401", NULL, false},
    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404", "\"code\":\"unknown_url\"", false},
    {"GET /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405", "Allow: POST, OPTIONS", false},
    {"DELETE /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405", "Allow: GET, HEAD, OPTIONS", false},
    {"OPTIONS /v1/embeddings HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 204", "Allow: POST, OPTIONS", false},
    {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 204", "Allow: GET, HEAD, POST, OPTIONS", false},
    {"BREW /health HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405", NULL, false},
    {"GET /health HTTP/1.1\r\n\r\n", "HTTP/1.1 400", NULL, true}, /* no Host */
    {"GET /health HTTP/3.7\r\nHost: x\r\n\r\n", "HTTP/1.", NULL, true},
    {"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
     "HTTP/1.1 400", NULL, true},
    {"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\n" AUTH
     "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "HTTP/1.1 400", NULL, true},
    {"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
     "HTTP/1.1 415", NULL, true},
    {"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Length: 16777217\r\n\r\n", "HTTP/1.1 413",
     "16777216 bytes", true},
    {"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 16777217\r\n\r\n", "HTTP/1.1 401", NULL, true},
    {"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Length: -1\r\n\r\n", "HTTP/1.1 400", NULL, true},
    {"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\n" AUTH
     "Transfer-Encoding: chunked\r\n\r\nd\r\n{\"input\":\"a\"}\r\n0\r\n\r\n",
     "HTTP/1.1 200", "\"embedding\":[1,-2.5,", false},
};

static void heads_are_answered(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < HB_COUNT(heads); i++) {
        int fd = bench_connect(b);
        bench_write(b, fd, heads[i].request, strlen(heads[i].request));
        bool closed = bench_read(b, fd);
        if (strncmp(b->answer, heads[i].status, strlen(heads[i].status)) != 0 || closed != heads[i].closed)
            fail_msg("%s: %s expected, closed %d; got, closed %d:\n%s", heads[i].request, heads[i].status,
                     heads[i].closed, closed, b->answer);
        bench_contains(b, heads[i].request, heads[i].has);
        close(fd);
        bench_run(b);
    }
    assert_false(hs_http_full(b->http));
    assert_false(hs_http_busy(b->http));
}

/* ---- bodies ---- */

#define CHAT  "/v1/chat/completions"
#define TEXT  "/v1/completions"
#define EMBED "/v1/embeddings"
#define LABEL "/v1/classify"
#define HI    "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"

static const struct {
    const char *path, *body;
    int status;
    const char *has, *param;
} bodies[] = {
    {CHAT, "{" HI "}", 200,
     "\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"default\",\"choices\":[{\"index\":0,"
     "\"message\":{\"role\":\"assistant\",\"content\":\"It was\xEF\xBF\xBD.\",\"refusal\":null},\"logprobs\":null,"
     "\"finish_reason\":\"stop\",\"stop_reason\":\"stop\",\"seed\":42}],\"usage\":{\"prompt_tokens\":7,\"completion_"
     "tokens\":3,"
     "\"prompt_tokens_details\":{\"cached_tokens\":4},\"total_tokens\":10}}\n",
     NULL},
    {CHAT, "{\"model\":\"books\"," HI ",\"n\":2}", 200, "\"seed\":42},{\"index\":1,", NULL},
    {CHAT, "{\"model\":\"books\"," HI ",\"n\":2}", 200, "{\"prompt_tokens\":7,\"completion_tokens\":6,", NULL},
    {TEXT, "{\"prompt\":[\"a\",\"b\"],\"n\":2}", 200, "{\"prompt_tokens\":14,\"completion_tokens\":12,", NULL},
    {TEXT, "{\"prompt\":[\"a\",\"b\"],\"n\":2}", 200, "{\"index\":3,\"text\":\"It was\xEF\xBF\xBD.\",\"logprobs\":null",
     NULL},
    {CHAT,
     "{" HI
     ",\"model\":null,\"temperature\":null,\"stop\":null,\"tools\":null,\"logit_bias\":null,\"dimensions\":null}",
     400, NULL, "dimensions"},
    {CHAT,
     "{" HI
     ",\"user\":\"u\",\"metadata\":{\"a\":1},\"store\":true,\"service_tier\":\"auto\",\"prediction\":{},\"tools\":[],"
     "\"tool_choice\":\"auto\",\"logit_bias\":{},\"logprobs\":false,\"modalities\":[\"text\"],\"n\":1}",
     200, NULL, NULL},
    {CHAT, "{" HI ",\"colour\":1}", 400, "parameter \\\"colour\\\" is unknown", "colour"},
    {CHAT, "{" HI ",\"tools\":[{}]}", 400, "no tools are called", "tools"},
    {CHAT, "{" HI ",\"logprobs\":true}", 400, NULL, "logprobs"},
    {CHAT, "{" HI ",\"logit_bias\":{\"1\":5}}", 400, NULL, "logit_bias"},
    {CHAT, "{" HI ",\"n\":0}", 400, NULL, "n"},
    {CHAT, "{" HI ",\"n\":17}", 400, "1 to 16", "n"},
    {CHAT, "{" HI ",\"seed\":1.5}", 400, NULL, "seed"},
    {CHAT, "{" HI ",\"temperature\":\"hot\"}", 400, NULL, "temperature"},
    {CHAT, "{" HI ",\"temperature\":1e39}", 400, "32-bit floats", "temperature"},
    {CHAT, "{" HI ",\"temperature\":1e999}", 400, "JSON, byte", NULL},
    {CHAT, "{" HI ",\"max_tokens\":-1}", 400, "a whole number from 0 on", "max_tokens"},
    {CHAT, "{" HI ",\"max_tokens\":1.0}", 400, NULL, "max_tokens"},
    {CHAT, "{" HI ",\"max_tokens\":5,\"max_completion_tokens\":6}", 400, NULL, "max_completion_tokens"},
    {CHAT, "{" HI ",\"stream\":1}", 400, "true or false", "stream"},
    {CHAT, "{" HI ",\"stream_options\":{\"include_usage\":true}}", 400, NULL, "stream_options"},
    {CHAT, "{" HI ",\"stop\":[1]}", 400, "item 0 is no text", "stop"},
    {CHAT, "{" HI ",\"response_format\":{\"type\":\"xml\"}}", 400, NULL, "response_format"},
    {CHAT, "{" HI ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\"}}}", 400,
     "schema is missing", "response_format"},
    {CHAT, "{}", 400, "messages is missing", "messages"},
    {CHAT, "{\"messages\":[]}", 400, NULL, "messages"},
    {CHAT, "{\"messages\":[{\"role\":\"user\"}]}", 400, NULL, "messages"},
    {CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":null}]}", 400, NULL, "messages"},
    {CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"name\":\"Ann\"}]}", 400, "\\\"name\\\"", "messages"},
    {CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]}", 400,
     "image_url", "messages"},
    {CHAT, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":[{}]}]}", 400, NULL, "messages"},
    {CHAT, "[]", 400, "a JSON object is required", NULL},
    {CHAT, "", 400, "JSON", NULL},
    {CHAT, "{" HI "} x", 400, "JSON", NULL},
    {CHAT, "{" HI "," HI "}", 400, "JSON", NULL},
    {CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}", 400, "JSON", NULL},
    {CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]}", 200, NULL, NULL},
    {CHAT, "{\"model\":\"full\"," HI "}", 429, "\"type\":\"rate_limit_error\"", NULL},
    {CHAT, "{\"model\":\"full\"," HI "}", 429, "Retry-After: 2\r\n", NULL},
    {CHAT, "{\"model\":\"full\"," HI "}", 429, "retry-after-ms: 1500\r\n", NULL},
    {CHAT, "{\"model\":\"full\"," HI ",\"stream\":true,\"n\":3}", 429, "the \\\"engine\\\" says no", NULL},
    {CHAT, "{\"model\":\"nobody\"," HI "}", 404, "\"code\":\"model_not_found\"", "model"},
    {TEXT, "{\"prompt\":\"Once\",\"echo\":true}", 400, NULL, "echo"},
    {TEXT, "{\"prompt\":\"Once\",\"logprobs\":0}", 400, NULL, "logprobs"},
    {TEXT, "{\"prompt\":[]}", 400, "prompt is missing", "prompt"},
    {TEXT, "{\"prompt\":[1,-2]}", 400, "item 1", "prompt"},
    {TEXT, "{\"prompt\":[[1],\"a\"]}", 400, "item 1", "prompt"},
    {TEXT, "{\"prompt\":[\"a\",1]}", 400, "item 1", "prompt"},
    {TEXT, "{\"prompt\":[\"a\",\"b\"],\"n\":9}", 400, "18 choices", "n"},
    {EMBED, "{\"input\":[\"a\",\"b\"]}", 200,
     "{\"object\":\"embedding\",\"index\":1,\"embedding\":[1,-2.5,0.100000001,0,9.99999968e-21]}],"
     "\"model\":\"default\",\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}",
     NULL},
    {EMBED, "{\"input\":\"a\",\"encoding_format\":\"base64\"}", 200, "\"embedding\":\"AACAPwAAIMDNzMw9AAAAAAjlPB4=\"}",
     NULL},
    {EMBED, "{\"input\":\"a\",\"encoding_format\":\"hex\"}", 400, NULL, "encoding_format"},
    {EMBED, "{\"input\":\"a\",\"dimensions\":5}", 400, "vectors are given whole", "dimensions"},
    {EMBED, "{\"input\":[1,2]}", 400, "token ids", "input"},
    {EMBED, "{\"input\":[]}", 400, NULL, "input"},
    {EMBED, "{\"input\":7}", 400, NULL, "input"},
    {EMBED, "{\"input\":\"a\",\"temperature\":1}", 400, "unknown", "temperature"},
    {LABEL, "{\"input\":\"good\"}", 200,
     "{\"object\":\"list\",\"data\":[{\"object\":\"classification\",\"index\":0,\"label\":\"POSITIVE\",\"score\":0.75,"
     "\"scores\":[{\"label\":\"POSITIVE\",\"score\":0.75},{\"label\":\"NEGATIVE\",\"score\":0.25}],\"truncated\":true}]"
     ","
     "\"model\":\"default\",\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}",
     NULL},
};

static void bodies_are_answered(void **state)
{
    struct bench *b = *state;
    int fd = bench_connect(b); /* all of them on one connection */
    for (size_t i = 0; i < HB_COUNT(bodies); i++) {
        char want[64];
        bench_post(b, fd, bodies[i].path, bodies[i].body);
        if (bench_read(b, fd))
            fail_msg("%s: closed", bodies[i].body);
        snprintf(want, sizeof want, "HTTP/1.1 %d ", bodies[i].status);
        if (strncmp(b->answer, want, strlen(want)) != 0)
            fail_msg("%s: %s expected:\n%s", bodies[i].body, want, b->answer);
        bench_contains(b, bodies[i].body, bodies[i].has);
        snprintf(want, sizeof want, "\"param\":\"%s\"", bodies[i].param ? bodies[i].param : "");
        bench_contains(b, bodies[i].body, bodies[i].param ? want : NULL);
    }
    assert_int_equal(engine.dropped, 0);
    close(fd);
}

static void parameters_reach_their_fields(void **state)
{
    struct bench *b = *state;
    int fd = bench_connect(b);
    bench_post(
        b, fd, CHAT,
        "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"Be brief.\"},{\"role\":\"user\","
        "\"content\":[{\"type\":\"text\",\"text\":\"Hel\"},{\"type\":\"text\",\"text\":\"lo\"}]}],\"max_completion_"
        "tokens\":9,"
        "\"temperature\":0.5,\"top_p\":1,\"top_k\":3,\"min_p\":0.25,\"repeat_penalty\":1.5,\"presence_penalty\":-1,"
        "\"frequency_penalty\":2,\"seed\":-1,\"stop\":\"END\",\"priority\":2,\"timeout_ms\":77,\"ignore_end\":true,"
        "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"strict\":true,\"schema\":{"
        "\"type\":\"integer\"}}}}");
    const struct hs_chat *c = &engine.msg.chat;
    assert_ptr_equal(engine.m, &hs_messages[HS_M_chat]);
    assert_string_equal(engine.model, "m");
    assert_string_equal(engine.text, "Hello");
    assert_string_equal(engine.schema, "{\"type\":\"integer\"}");
    assert_string_equal(engine.stop, "END");
    assert_true(c->turns.n == 2 && c->max_tokens == 9 && c->top_k == 3 && c->priority == 2 && c->timeout_ms == 77);
    assert_true(c->seed == UINT64_MAX && c->ignore_end == 1 && c->stream == 0);
    assert_true(c->temperature == 0.5f && c->top_p == 1 && c->min_p == 0.25f && c->repeat_penalty == 1.5f);
    assert_true(c->presence_penalty == -1 && c->frequency_penalty == 2);
    assert_false(HS_HAS(c, chat, grammar));
    bench_read(b, fd);
    bench_post(b, fd, TEXT,
               "{\"prompt\":[5,0,4294967295],\"seed\":\"18446744073709551615\",\"n\":2,\"parse_special\":true}");
    assert_true(engine.msg.generate.prompt_tokens.n == 3 && engine.tokens[2] == UINT32_MAX);
    assert_true(engine.msg.generate.seed == 0); /* of the second choice */
    assert_true(engine.msg.generate.parse_special == 1);
    assert_false(HS_HAS(&engine.msg.generate, generate, prompt));
    bench_read(b, fd);
    bench_post(b, fd, CHAT, "{" HI ",\"response_format\":{\"type\":\"json_object\"}}");
    assert_string_equal(engine.schema, "{\"type\":\"object\"}");
    bench_read(b, fd);
    bench_post(b, fd, CHAT, "{" HI "}");
    assert_int_equal(engine.msg.chat.has, HS_HAS_chat_id | HS_HAS_chat_turns); /* defaults are the engine's */
    bench_read(b, fd);
    close(fd);
}

/* ---- streams ---- */

/* The body alone; pieces put together in place. */
static void unchunk(struct bench *b)
{
    char *body = strstr(b->answer, "\r\n\r\n"), *in = body + 4, *out = in, *end;
    bool chunked = strstr(b->answer, "Transfer-Encoding: chunked") != NULL;
    assert_non_null(body);
    if (!chunked) { /* all of it was there at once */
        memmove(b->answer, body + 4, strlen(body + 4) + 1);
        return;
    }
    for (unsigned long n = strtoul(in, &end, 16); n; n = strtoul(in, &end, 16)) {
        memmove(out, end + 2, n);
        out += n;
        in = end + 2 + n + 2;
    }
    assert_string_equal(end, "\r\n\r\n");
    *out = 0;
    memmove(b->answer, body + 4, strlen(body + 4) + 1);
}

static void streams_are_events(void **state)
{
    struct bench *b = *state;
    int fd = bench_connect(b);
    bench_post(b, fd, CHAT, "{\"model\":\"m\"," HI ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    bench_read(b, fd);
    bench_contains(b, "stream", "Content-Type: text/event-stream");
    bench_contains(b, "stream", "X-Accel-Buffering: no");
    unchunk(b);
    char *event = strtok(b->answer, "\n");
    static const char *const ends[] = {
        ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"It "
        "\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}",
        ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"was "
        "\\\"dark\\\".\\u000a\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}",
        ",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\",\"stop_reason\":"
        "\"length\",\"seed\":42}],\"usage\":null}",
        ",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_"
        "tokens\":4},\"total_tokens\":10}}",
        "data: [DONE]"};
    for (size_t i = 0; i < HB_COUNT(ends); i++, event = strtok(NULL, "\n")) {
        assert_non_null(event);
        assert_true(strlen(event) >= strlen(ends[i]));
        assert_string_equal(event + strlen(event) - strlen(ends[i]), ends[i]);
        assert_memory_equal(event, "data: ", 6);
    }
    assert_null(event);
    bench_post(b, fd, TEXT, "{\"prompt\":\"a\",\"stream\":true,\"n\":2}");
    bench_read(b, fd);
    unchunk(b);
    bench_contains(b, "n", "\"object\":\"text_completion\"");
    bench_contains(b, "n", "{\"index\":1,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"length\"");
    assert_null(strstr(b->answer, "\"usage\""));
    close(fd);
}

static void streams_of_http_1_0_end_with_the_connection(void **state)
{
    struct bench *b = *state;
    int fd = bench_connect(b);
    static const char request[] =
        "POST /v1/completions HTTP/1.0\r\n" AUTH "Content-Length: 28\r\n\r\n{\"prompt\":\"a\",\"stream\":true}";
    bench_write(b, fd, request, sizeof request - 1);
    assert_true(bench_read(b, fd));
    assert_null(strstr(b->answer, "chunked"));
    assert_string_equal(b->answer + b->len - 14, "data: [DONE]\n\n");
    close(fd);
}

static void pieces_are_sent_as_they_come(void **state)
{
    struct bench *b = *state;
    int fd = bench_connect(b);
    engine.hold = true;
    bench_post(b, fd, CHAT, "{" HI ",\"stream\":true}");
    assert_false(bench_read(b, fd));
    assert_int_equal(b->len, 0);
    assert_true(hs_http_busy(b->http));
    assert_true(hs_http_wake_ns(b->http) == UINT64_MAX); /* asleep, however long the engine takes */
    b->now_ns += 3600000000000u;
    fake_chunk(engine.ids[0], 0, "one");
    assert_true(hs_http_wake_ns(b->http) <= b->now_ns);
    bench_read(b, fd);
    bench_contains(b, "first", "one");
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof text, "<%d>", i);
        assert_true(fake_chunk(engine.ids[0], (uint64_t)i + 1, text));
        assert_false(bench_read(b, fd));
        bench_contains(b, "next", text);
    }
    fake_error(engine.ids[0], 503, 0); /* too late for a status: the last event */
    bench_read(b, fd);
    bench_contains(b, "error",
                   "data: {\"error\":{\"message\":\"the \\\"engine\\\" says no\",\"type\":\"server_error\"");
    assert_null(strstr(b->answer, "[DONE]"));
    engine.hold = false;
    bench_post(b, fd, CHAT, "{" HI "}"); /* the connection goes on */
    bench_read(b, fd);
    bench_contains(b, "after", "HTTP/1.1 200");
    close(fd);
}

static void one_failure_ends_the_other_choices(void **state)
{
    struct bench *b = *state;
    int fd = bench_connect(b);
    engine.hold = true;
    bench_post(b, fd, CHAT, "{" HI ",\"n\":4}");
    assert_int_equal(engine.n, 4);
    fake_done(engine.ids[2], "done", 0);
    fake_error(engine.ids[1], 500, 0);
    bench_read(b, fd);
    bench_contains(b, "failure", "HTTP/1.1 500");
    assert_int_equal(engine.n_cancelled, 2);
    assert_true(engine.cancelled[0] == engine.ids[0] && engine.cancelled[1] == engine.ids[3]);
    fake_done(engine.ids[0], "late", 3); /* their own ends find nobody */
    fake_done(engine.ids[3], "late", 3);
    bench_read(b, fd);
    assert_int_equal(b->len, 0);
    close(fd);
}

static void parts_are_told_in_order(void **state)
{
    struct bench *b = *state;
    int fd = bench_connect(b);
    static char body[8192];
    char *p = body + sprintf(body, "{\"input\":[\"x\"");
    for (int i = 1; i < 512; i++)
        p += sprintf(p, ",\"x\"");
    strcpy(p, "]}");
    char request[256];
    int n = snprintf(request, sizeof request,
                     "POST " EMBED " HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Length: %zu\r\n\r\n", strlen(body));
    bench_write(b, fd, request, (size_t)n);
    bench_write(b, fd, body, strlen(body));
    bench_read(b, fd);
    assert_int_equal(engine.n, 16);
    const char *at = b->answer;
    for (int i = 0; i < 512; i++) {
        char want[32];
        snprintf(want, sizeof want, "\"index\":%d,", i);
        at = strstr(at, want);
        assert_non_null(at);
    }
    strcpy(p, ",\"x\"]}");
    n = snprintf(request, sizeof request, "POST " EMBED " HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Length: %zu\r\n\r\n",
                 strlen(body));
    bench_write(b, fd, request, (size_t)n);
    bench_write(b, fd, body, strlen(body));
    bench_read(b, fd);
    bench_contains(b, "513", "513 texts; at most 512");
    close(fd);
}

/* ---- connections ---- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct bench *b = *state;
    int fd = bench_connect(b);
    char request[8192], *p = request;
    for (int i = 0; i < 20; i++)
        p += sprintf(p, "GET %s HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n", i % 2 ? "/health" : "/v1/models");
    bench_write(b, fd, request, strlen(request));
    assert_false(bench_read(b, fd));
    const char *at = b->answer;
    for (int i = 0; i < 20; i++) {
        at = strstr(at, i % 2 ? "{\"status\":\"ok\"}" : "\"object\":\"list\"");
        assert_non_null(at++);
    }
    close(fd);
}

static void bytes_may_come_one_by_one(void **state)
{
    struct bench *b = *state;
    int fd = bench_connect(b);
    static const char request[] =
        "POST /v1/completions HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Length: 14\r\n\r\n{\"prompt\":\"a\"}";
    for (size_t i = 0; i < sizeof request - 1; i++) {
        send(fd, request + i, 1, MSG_NOSIGNAL);
        bench_run(b);
        b->now_ns += 1000000;
    }
    bench_read(b, fd);
    bench_contains(b, "bytes", "HTTP/1.1 200");
    close(fd);
}

static void a_vanished_client_ends_its_request(void **state)
{
    struct bench *b = *state;
    engine.hold = true;
    for (int stream = 0; stream < 3; stream++) {
        int fd = bench_connect(b);
        bench_post(b, fd, CHAT, stream ? "{" HI ",\"stream\":true}" : "{" HI "}");
        if (stream == 2)
            fake_chunk(engine.ids[engine.n - 1], 0, "begun");
        bench_run(b);
        assert_int_equal(engine.dropped, stream);
        close(fd);
        bench_run(b);
        assert_int_equal(engine.dropped, stream + 1);
    }
    /* one that ends within a request is closed, though its end came with its bytes */
    for (int how = 0; how < 2; how++) {
        int fd = bench_connect(b);
        assert_true(send(fd, "POST /v1/completions HTTP/1.1\r\nHost", 34, MSG_NOSIGNAL) == 34);
        if (how)
            shutdown(fd, SHUT_WR);
        else
            close(fd);
        bench_run(b);
        assert_int_equal(engine.dropped, 4 + how);
        if (how)
            assert_true(bench_read(b, fd));
        if (how)
            close(fd);
    }
    /* one that only stops writing gets its answer */
    int fd = bench_connect(b);
    bench_post(b, fd, CHAT, "{" HI "}");
    shutdown(fd, SHUT_WR);
    bench_run(b);
    fake_done(engine.ids[engine.n - 1], "late, but here", 0);
    bench_read(b, fd);
    bench_contains(b, "half", "late, but here");
    close(fd);
    bench_run(b);
    assert_false(hs_http_busy(b->http));
}

static void slow_readers_are_bounded(void **state)
{
    struct bench *b = *state;
    int fd = bench_connect(b), small = 4096;
    char text[4096];
    size_t sent = 0, taken = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    engine.hold = true;
    bench_post(b, fd, TEXT, "{\"prompt\":\"a\",\"stream\":true}");
    while (sent < 1000 && fake_chunk(engine.ids[0], sent, text)) {
        sent++;
        bench_run(b);
    }
    assert_in_range(sent, HS_OUT_FULL / 4200, 2 * (HS_OUT_FULL / 4096) + 128);
    assert_int_equal(engine.resumed, 0);
    while (engine.resumed == 0 && taken < 1000) { /* it reads again: the session goes on */
        assert_false(bench_read(b, fd));
        taken++;
    }
    assert_int_equal(engine.resumed, 1);
    sent = 0;
    while (sent < 1000 && fake_chunk(engine.ids[0], sent, text)) {
        sent++;
        bench_run(b);
    }
    b->now_ns += (uint64_t)HS_STALL_MS * 1000000 - 1;
    bench_run(b);
    assert_int_equal(engine.dropped, 0);
    assert_true(hs_http_wake_ns(b->http) == b->now_ns + 1);
    b->now_ns += 1;
    bench_run(b);
    assert_int_equal(engine.dropped, 1);
    close(fd);
}

static const struct {
    const char *begin;
    uint64_t ms;
} silences[] = {
    {"", HS_STRANGER_MS},
    {"G", HS_HEAD_MS},
    {"GET /health HTTP/1.1\r\nHost: x\r\n", HS_HEAD_MS},
    {"POST /v1/completions HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Length: 14\r\n\r\n", HS_BODY_MS},
    {"POST /v1/completions HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Length: 14\r\n\r\n{\"prompt\"", HS_BODY_MS},
    {"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", HS_STRANGER_MS},
    {"GET /v1/models HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n", HS_IDLE_MS},
};

static void silent_clients_are_closed_in_time(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < HB_COUNT(silences); i++) {
        int fd = bench_connect(b);
        bench_run(b);
        bench_write(b, fd, silences[i].begin, strlen(silences[i].begin));
        bench_read(b, fd);
        b->now_ns += silences[i].ms * 1000000 - 1;
        assert_false(bench_read(b, fd));
        assert_true(hs_http_wake_ns(b->http) == b->now_ns + 1);
        b->now_ns += 1;
        assert_true(bench_read(b, fd));
        assert_int_equal(b->len, 0);
        close(fd);
    }
    /* a drop now and then does not help */
    int fd = bench_connect(b);
    bool closed = false;
    for (int i = 0; i < 40 && !closed; i++) {
        bench_write(b, fd, "G", 1);
        closed = bench_read(b, fd);
        b->now_ns += 100000000;
    }
    assert_true(closed);
    close(fd);
}

static void heads_and_bodies_have_a_limit(void **state)
{
    struct bench *b = *state;
    int fd = bench_connect(b);
    char line[1024];
    memset(line, 'a', sizeof line);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    memcpy(line, "X: ", 3);
    bench_write(b, fd, "GET /health HTTP/1.1\r\nHost: x\r\n", 31);
    for (int i = 0; i < 8; i++)
        bench_write(b, fd, line, sizeof line);
    bench_write(b, fd, "\r\nGET /health HTTP/1.1\r\nHost: x\r\n", 33);
    assert_false(bench_read(b, fd));
    bench_contains(b, "head", "HTTP/1.1 200");
    for (int i = 0; i < 64; i++)
        bench_write(b, fd, line, sizeof line);
    bool closed = bench_read(b, fd);
    bench_contains(b, "head", "HTTP/1.1 431");
    assert_true(closed);
    close(fd);
    /* a body that does not say how long it is, one byte beyond */
    for (int more = 0; more < 2; more++) {
        static char chunk[65536 + 16];
        fd = bench_connect(b);
        static const char head[] =
            "POST /v1/completions HTTP/1.1\r\nHost: x\r\n" AUTH "Transfer-Encoding: chunked\r\n\r\n";
        bench_write(b, fd, head, sizeof head - 1);
        memset(chunk, ' ', sizeof chunk);
        memcpy(chunk, "10000\r\n", 7);
        memcpy(chunk + 7 + 65536, "\r\n", 2);
        for (int i = 0; i < 255; i++)
            bench_write(b, fd, chunk, 7 + 65536 + 2);
        memcpy(chunk, more ? "10001\r\n{\"prompt\":\"a\"}" : "10000\r\n{\"prompt\":\"a\"}", 21);
        memcpy(chunk + 7 + 65536 + more, "\r\n", 2);
        bench_write(b, fd, chunk, 7 + 65536 + 2 + (size_t)more);
        bench_write(b, fd, "0\r\n\r\n", 5);
        bench_read(b, fd);
        bench_contains(b, "limit", more ? "HTTP/1.1 413" : "HTTP/1.1 200");
        close(fd);
        bench_run(b);
    }
}

static void wrong_tokens_are_counted(void **state)
{
    struct bench *b = *state;
    static const char wrong[] =
        "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer 0123456789abcdef-wrong!\r\n\r\n";
    static const char none[] = "GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char right[] = "GET /v1/models HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n";
    int fd = bench_connect(b);
    for (int i = 0; i < 10; i++) { /* no token is no attempt */
        bench_write(b, fd, none, sizeof none - 1);
        bench_read(b, fd);
        bench_contains(b, "none", "HTTP/1.1 401");
    }
    for (int i = 0; i < HS_FAILURES; i++) {
        bench_write(b, fd, wrong, sizeof wrong - 1);
        bench_read(b, fd);
        bench_contains(b, "wrong", i < HS_FAILURES - 1 ? "HTTP/1.1 401" : "HTTP/1.1 429");
    }
    bench_contains(b, "wrong", "Retry-After: 30");
    bench_write(b, fd, right, sizeof right - 1); /* the right one, too late */
    bench_read(b, fd);
    bench_contains(b, "blocked", "HTTP/1.1 429");
    assert_int_equal(engine.n, 0);
    b->now_ns += (uint64_t)HS_BLOCK_MS * 1000000 + 1;
    close(fd);
    bench_run(b);
    fd = bench_connect(b);
    bench_write(b, fd, right, sizeof right - 1);
    bench_read(b, fd);
    bench_contains(b, "later", "HTTP/1.1 200");
    close(fd);
}

static void strangers_and_connections_are_counted(void **state)
{
    struct bench *b = *state;
    int fds[HS_MAX_CONNECTIONS];
    static const char right[] = "GET /v1/models HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n";
    for (int i = 0; i < HS_MAX_STRANGERS; i++) {
        assert_false(hs_http_full(b->http));
        fds[i] = bench_connect(b);
    }
    assert_true(hs_http_full(b->http));
    for (int i = 0; i < HS_MAX_CONNECTIONS; i++) {
        if (i >= HS_MAX_STRANGERS)
            fds[i] = bench_connect(b);
        bench_write(b, fds[i], right, sizeof right - 1);
        bench_read(b, fds[i]);
    }
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_false(hs_http_add(b->http, pair[0], 1000, b->now_ns));
    close(pair[1]);
    assert_true(hs_http_full(b->http));
    for (int i = 0; i < HS_MAX_CONNECTIONS; i++)
        close(fds[i]);
    bench_run(b);
    assert_false(hs_http_full(b->http));
}

static void closing_ends_what_runs(void **state)
{
    struct bench *b = *state;
    int fds[3];
    engine.hold = true;
    for (int i = 0; i < 3; i++) {
        fds[i] = bench_connect(b);
        bench_post(b, fds[i], CHAT, i ? "{" HI ",\"stream\":true}" : "{" HI "}");
        if (i == 2)
            fake_chunk(engine.ids[2], 0, "begun");
        bench_run(b);
    }
    hs_http_close(b->http);
    b->http = NULL;
    assert_int_equal(engine.dropped, 3);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

/* Requests with bits turned, cut, or of any bytes. Whatever comes of it, the next client is served. */
static void hostile_bytes_do_no_harm(void **state)
{
    struct bench *b = *state;
    static const char good[] = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" AUTH
                               "Content-Type: application/json\r\nContent-Length: 96\r\n\r\n"
                               "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"temperature\":0.5,\"stop\":["
                               "\"a\"],\"n\":2,\"stream\":true}";
    uint64_t seed = 7;
    for (int i = 0; i < 3000; i++) {
        char bytes[sizeof good];
        size_t len = sizeof good - 1;
        int fd = bench_connect(b);
        memcpy(bytes, good, sizeof good);
        if (i % 3 == 0)
            for (uint64_t n = 1 + test_rand(&seed) % 4; n > 0; n--)
                bytes[test_rand(&seed) % len] ^= (char)(1 << test_rand(&seed) % 8);
        else if (i % 3 == 1)
            len = test_rand(&seed) % len;
        else
            for (size_t j = 0; j < len; j++)
                bytes[j] = (char)test_rand(&seed);
        bench_write(b, fd, bytes, len);
        bench_read(b, fd);
        close(fd);
        bench_run(b);
    }
    b->now_ns += (uint64_t)HS_BLOCK_MS * 1000000 + 1; /* some of the tokens were wrong */
    int fd = bench_connect(b);
    bench_write(b, fd, good, sizeof good - 1);
    bench_read(b, fd);
    bench_contains(b, "after", "HTTP/1.1 200");
    close(fd);
}

/* Each allocation of a request in our code fails once. What comes of it is a refusal or the end of the connection, and
 * the next request is served. Those of the JSON library are left alone: jansson 2.14 asserts on some of its own. */
static void every_allocation_may_fail(void **state)
{
    struct bench *b = *state;
    static const char *const asked[][2] = {
        {CHAT,
         "{" HI
         ",\"stop\":[\"a\"],\"n\":2,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"schema\":{\"type\":\"integer\"}}},\"tools\":[]}"},
        {TEXT, "{\"prompt\":[[1,2],[3]],\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
        {EMBED, "{\"input\":[\"a\",\"b\"],\"encoding_format\":\"base64\"}"},
        {LABEL, "{\"input\":\"a\"}"}};
    json_set_alloc_funcs(__real_malloc, free);
    for (size_t i = 0; i < HB_COUNT(asked); i++) {
        bool whole = false;
        size_t n = 0, refused = 0;
        for (n = 1; n < 500 && !whole; n++) {
            int fd = bench_connect(b);
            allocations = 0;
            fail_at = n;
            bench_post(b, fd, asked[i][0], asked[i][1]);
            bench_read(b, fd);
            whole = allocations < n;
            fail_at = 0;
            if (whole)
                bench_contains(b, asked[i][1], "HTTP/1.1 200");
            else if (strncmp(b->answer, "HTTP/1.1 200", 12) != 0)
                refused++;
            close(fd);
            bench_run(b);
        }
        assert_true(whole);
        assert_true(n > 4 && refused > 2);
    }
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        ROW(heads_are_answered),
        ROW(bodies_are_answered),
        ROW(parameters_reach_their_fields),
        ROW(streams_are_events),
        ROW(streams_of_http_1_0_end_with_the_connection),
        ROW(pieces_are_sent_as_they_come),
        ROW(one_failure_ends_the_other_choices),
        ROW(parts_are_told_in_order),
        ROW(pipelined_requests_are_answered_in_order),
        ROW(bytes_may_come_one_by_one),
        ROW(a_vanished_client_ends_its_request),
        ROW(slow_readers_are_bounded),
        ROW(silent_clients_are_closed_in_time),
        ROW(heads_and_bodies_have_a_limit),
        ROW(wrong_tokens_are_counted),
        ROW(strangers_and_connections_are_counted),
        ROW(closing_ends_what_runs),
        ROW(hostile_bytes_do_no_harm),
        ROW(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
