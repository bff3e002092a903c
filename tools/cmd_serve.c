/* hearth serve: models on a Unix socket (docs/wire.md). */
#include "commands.h"
#include "encode_texts.h"
#include "serve_desk.h"
#include "serve_http.h"
#include "serve_process.h"
#include "serve/hs_server.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct serve_settings {
    struct hc_common common;
    struct hc_texts models;
    const char *socket;
    const char *token_file;
    bool no_token;
    const char *tokenizer;
    int32_t ctx, batch, parallel;
    struct hc_texts limits;
    bool list_limits;
    bool no_v2, cache;
    struct serve_process_settings process;
    struct serve_desk_settings desk;
    struct serve_http_settings http;
};

#define SERVE_FIELD(name) offsetof(struct serve_settings, name)
static const struct hc_option serve_options[] = {
    {"-m", HC_TEXTS, SERVE_FIELD(models), 0, 0, "FILE[,NAME]", "a model and how clients call it; may be repeated"},
    {"--socket", HC_TEXT, SERVE_FIELD(socket), 0, 0, "PATH", "the Unix socket to listen on"},
    {"--token-file", HC_TEXT, SERVE_FIELD(token_file), 0, 0, "FILE",
     "the secret of clients, 16 to 256 bytes; nobody else may read the file"},
    {"--no-token", HC_FLAG, SERVE_FIELD(no_token), 0, 0, NULL, "programs of this user need no secret"},
    {"--tokenizer", HC_TEXT, SERVE_FIELD(tokenizer), 0, 0, "FILE",
     "of encoders that have none (tokenizer.json or vocab.txt beside the model)"},
    {"-c", HC_INT, SERVE_FIELD(ctx), 1, INT32_MAX, "CTX", "context of a request in tokens (2048, or the model's own)"},
    {"-b", HC_INT, SERVE_FIELD(batch), 1, INT32_MAX, "CHUNK", "most tokens in one step (512)"},
    {"--parallel", HC_INT, SERVE_FIELD(parallel), 1, 64, "N", "texts of a model that are generated together (4)"},
    {"--limit", HC_TEXTS, SERVE_FIELD(limits), 0, 0, "NAME=VALUE", "set a limit; may be repeated"},
    {"--limits", HC_FLAG, SERVE_FIELD(list_limits), 0, 0, NULL, "list the limits, with their values, and end"},
    {"--cache", HC_FLAG, SERVE_FIELD(cache), 0, 0, NULL,
     "answer a request with a seed, or of temperature 0, as the one before it with the same parameters"},
    {"--no-v2", HC_FLAG, SERVE_FIELD(no_v2), 0, 0, NULL, "speak JSON only"},
    SERVE_DESK_OPTIONS(SERVE_FIELD(desk)),
    SERVE_HTTP_OPTIONS(SERVE_FIELD(http)),
    SERVE_PROCESS_OPTIONS(SERVE_FIELD(process)),
    HC_OPTIONS_END};

/* One model with all that belongs to it. */
struct serve_model {
    struct hc_common common;
    char *path;
    const char *name;
    struct hc_model model;
    struct hc_session session;
    hearth_tokenizer *tokenizer;
    struct encode_labels labels;
};

struct serve {
    const struct serve_settings *settings;
    struct serve_model models[HC_MOST_VALUES];
    size_t n_models;
    struct hs_engine *engine;
    struct hs_server *server;
    struct hs_auth auth;
    struct hs_limits limits;
    struct serve_process process;
    struct serve_desk desk;
    struct serve_http http;
    char *readable[3 * HC_MOST_VALUES + 1]; /* that the worker opens by itself */
    size_t n_readable;
};

/* ---- models ---- */

static int serve_name(const struct serve_settings *s, size_t i, struct serve_model *m)
{
    m->common = s->common;
    m->path = strdup(s->models.item[i]);
    if (!m->path)
        return hc_fail(HC_LIMIT, "-m", "no memory");
    char *comma = strrchr(m->path, ',');
    if (comma) {
        *comma = 0;
        m->name = comma + 1;
    } else {
        const char *slash = strrchr(m->path, '/');
        m->name = slash ? slash + 1 : m->path;
    }
    m->common.model = m->path;
    return *m->name && strlen(m->name) <= HS_MAX_MODEL_NAME
               ? HC_OK
               : hc_fail(HC_USAGE, "-m", "\"%s\"; FILE,NAME with a name of 1 to %d bytes is accepted",
                         s->models.item[i], HS_MAX_MODEL_NAME);
}

/* Labels need their number, which most graphs declare. */
static int serve_encoder(const struct serve_settings *s, struct serve_model *m)
{
    hearth_session_config config = {0};
    hearth_io_info io = {.struct_size = sizeof io};
    const struct encode_settings e = {.common = m->common, .tokenizer = s->tokenizer};
    int rc = encode_tokenizer(&e, &m->model, &m->tokenizer);
    if (rc == HC_OK)
        rc = hc_tensor_session_open(&m->common, &m->model, &config, &m->session);
    if (rc == HC_OK && hearth_model_output(m->model.model, 0, &io, NULL) == HEARTH_OK && io.rank == 2 &&
        io.dim[1] > 0 && io.dim[1] <= 65536 && strstr(io.name, "logits"))
        rc = encode_labels_read(&e, (size_t)io.dim[1], &m->labels);
    return rc;
}

static int serve_text(const struct serve_settings *s, struct serve_model *m)
{
    hearth_session_config config = {.n_batch = s->batch, .n_seqs = s->parallel, .n_logits = s->parallel,
                                    .n_ctx = s->ctx ? s->ctx : 2048};
    if (!s->ctx && m->model.info.n_ctx_train > 0 && m->model.info.n_ctx_train < config.n_ctx)
        config.n_ctx = m->model.info.n_ctx_train;
    return hc_session_open(&m->common, &m->model, &config, &m->session);
}

static int serve_model_open(struct serve *serve, size_t i, struct hs_ledger *ledger)
{
    struct serve_model *m = &serve->models[serve->n_models++];
    hearth_error err = {0};
    int rc = serve_name(serve->settings, i, m);
    if (rc == HC_OK && hs_ledger_refuses(ledger, m->name))
        return hc_fail(HC_REFUSED, m->path, "workers died opening it; it is not opened again");
    if (rc == HC_OK)
        hs_ledger_opening(ledger, m->name);
    if (rc == HC_OK)
        rc = hc_model_open(&m->common, 0, &m->model);
    if (rc == HC_OK)
        rc = m->model.info.kind == HEARTH_MODEL_GENERATIVE ? serve_text(serve->settings, m)
                                                           : serve_encoder(serve->settings, m);
    if (rc != HC_OK)
        return rc;
    const struct hs_engine_model attach = {.name = m->name, .model = m->model.model, .session = m->session.session,
                                           .tokenizer = m->tokenizer,
                                           .labels = (const char *const *)m->labels.name,
                                           .n_labels = m->labels.n, .file_bytes = m->model.file_bytes};
    hearth_status status = hs_engine_attach(serve->engine, &attach, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, m->path, status, &err);
    hs_engine_warm_up(serve->engine, m->name);
    hs_ledger_opening(ledger, NULL);
    return HC_OK;
}

static void serve_model_close(struct serve *serve, struct serve_model *m)
{
    if (m->name && m->session.session)
        hs_engine_detach(serve->engine, m->name, hc_now_ns());
    encode_labels_free(&m->labels);
    hc_session_close(&m->session);
    hearth_tokenizer_close(m->tokenizer);
    hc_model_close(&m->model);
    free(m->path);
}

/* ---- limits ---- */

static int serve_limits(struct serve *serve)
{
    hearth_error err = {0};
    serve->limits = hs_limits_default;
    for (size_t i = 0; i < serve->settings->limits.n; i++) {
        hearth_status status = hs_limits_set(&serve->limits, serve->settings->limits.item[i], &err);
        if (status != HEARTH_OK)
            return hc_fail_status(HC_USAGE, "--limit", status, &err);
    }
    return HC_OK;
}

static int serve_list_limits(void)
{
    const char *name, *text;
    uint32_t value;
    for (size_t i = 0; (name = hs_limits_name(i, &text, &value)) != NULL; i++)
        printf("%-14s %10u  %s\n", name, value, text);
    return hc_finish_output();
}

/* ---- the secret ---- */

static int serve_secret(struct serve *serve)
{
    const struct serve_settings *s = serve->settings;
    char secret[HS_MAX_TOKEN + 64];
    struct stat st;
    hearth_error err = {0};
    serve->auth.no_token = s->no_token;
    if (!s->token_file == !s->no_token)
        return hc_fail(HC_USAGE, "--token-file", "%s; it or --no-token is needed",
                       s->token_file ? "given together with --no-token" : "not given");
    if (s->no_token)
        return HC_OK;
    int fd = open(s->token_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return hc_fail(HC_REFUSED, s->token_file, "cannot be read: %s", strerror(why));
    }
    ssize_t n = S_ISREG(st.st_mode) && (st.st_mode & 077) == 0 ? read(fd, secret, sizeof secret) : -2;
    close(fd);
    if (n == -2)
        return hc_fail(HC_REFUSED, s->token_file, "mode %o; a regular file that nobody else may read (0600) is "
                       "accepted", (unsigned)(st.st_mode & 07777));
    if (n < 0)
        return hc_fail(HC_REFUSED, s->token_file, "cannot be read: %s", strerror(errno));
    hearth_status status = hs_auth_set(&serve->auth, secret, (size_t)n, &err);
    explicit_bzero(secret, sizeof secret);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_REFUSED, s->token_file, status, &err);
}

/* ---- running ---- */

static struct hs_server *serve_running; /* for the handler */

static void serve_on_signal(int number)
{
    (void)number;
    hs_server_stop(serve_running);
}

static int serve_loop(struct serve *serve, const struct hs_worker *worker, int listener)
{
    const struct serve_settings *s = serve->settings;
    hearth_error err = {0};
    char name[32];
    snprintf(name, sizeof name, "hearth %s", hearth_version());
    const struct hs_server_config config = {.engine = serve->engine, .auth = &serve->auth, .listener = listener,
                                            .worker = worker,
                                            .max_version = s->no_v2 ? 1 : 2, .name = name,
                                            .limits = &serve->limits};
    hearth_status status = hs_server_open(&config, &serve->server, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, "server", status, &err);
    serve_running = serve->server;
    if (!worker->ledger) { /* else the supervisor hears them */
        struct sigaction action = {.sa_handler = serve_on_signal};
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGINT, &action, NULL);
    }
    int rc = serve_desk_join(&serve->desk, serve->server);
    if (rc == HC_OK)
        rc = serve_http_open(&serve->http, serve->engine, &serve->auth, &serve->limits, serve->server);
    if (rc == HC_OK)
        rc = serve_close_door(&serve->process, worker);
    if (rc != HC_OK)
        return rc;
    serve_desk_sandbox(&serve->desk, &serve->process.sandbox);
    status = hs_server_run(serve->server, &err);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_FAILED, "server", status, &err);
}

static int serve_work(void *user, const struct hs_worker *worker, int listener)
{
    struct serve *serve = user;
    const struct serve_settings *s = serve->settings;
    hearth_error err = {0};
    struct hs_engine_config config = {.limits = &serve->limits, .cache = s->cache};
    int rc = serve_desk_open(&serve->desk, &s->common, worker, &config);
    if (rc != HC_OK)
        return rc;
    hearth_status status = hs_engine_create(&config, &serve->engine, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_LIMIT, "engine", status, &err);
    for (size_t i = 0; i < s->models.n && rc == HC_OK; i++)
        rc = serve_model_open(serve, i, worker->ledger);
    if (rc == HC_OK)
        rc = serve_desk_begin(&serve->desk, serve->engine);
    if (rc == HC_OK)
        rc = serve_loop(serve, worker, listener);
    serve_http_close(&serve->http);
    hs_server_close(serve->server);
    for (size_t i = 0; i < serve->n_models; i++)
        serve_model_close(serve, &serve->models[i]);
    serve_desk_close(&serve->desk);
    hs_engine_destroy(serve->engine);
    return rc;
}

/* A model's directory is readable too: labels, tokenizers and external weights lie beside it. */
static int serve_readable(struct serve *serve)
{
    const struct serve_settings *s = serve->settings;
    for (size_t i = 0; i < s->models.n; i++) {
        char *path = strdup(s->models.item[i]);
        if (!path)
            return hc_fail(HC_LIMIT, "-m", "no memory");
        char *comma = strrchr(path, ','), *slash;
        if (comma)
            *comma = 0;
        slash = strrchr(path, '/');
        if (slash)
            slash[slash == path] = 0;
        else
            memcpy(path, ".", 2);
        serve->readable[serve->n_readable++] = path;
    }
    if (s->tokenizer)
        serve->readable[serve->n_readable++] = strdup(s->tokenizer);
    if (s->desk.models && s->process.no_supervisor) /* else the supervisor opens what is there */
        serve->readable[serve->n_readable++] = strdup(s->desk.models);
    return HC_OK;
}

static int serve_run(const void *settings)
{
    static struct serve serve;
    const struct serve_settings *s = serve.settings = settings;
    if (s->list_limits)
        return serve_list_limits();
    int rc = serve_limits(&serve);
    if (rc == HC_OK)
        rc = serve_secret(&serve);
    if (rc == HC_OK)
        rc = serve_readable(&serve);
    if (rc == HC_OK)
        rc = serve_desk_read(&serve.desk, &s->desk);
    if (rc == HC_OK)
        rc = serve_http_listen(&serve.http, &s->http, s->no_token);
    if (rc != HC_OK)
        return rc;
    serve.process = (struct serve_process){
        .settings = &s->process, .limits = &serve.limits, .socket = s->socket,
        .readable = (const char *const *)serve.readable, .n_readable = serve.n_readable,
        .models = s->desk.models ? &serve.desk.dir : NULL, .work = serve_work,
        .also_listens = serve.http.listener, .user = &serve};
    rc = serve_processes(&serve.process);
    serve_http_unlisten(&serve.http);
    serve_desk_forget(&serve.desk);
    for (size_t i = 0; i < serve.n_readable; i++)
        free(serve.readable[i]);
    return rc;
}

static const struct serve_settings serve_defaults = {.parallel = 4};

const struct hc_command hc_command_serve = {
    .name = "serve",
    .synopsis = "(-m FILE[,NAME] ... | --models DIR) --socket PATH (--token-file FILE | --no-token)",
    .text = "Serves models on a Unix socket, to programs of the same user; docs/wire.md says how to talk to it.\n"
            "SIGTERM and SIGINT end it: running requests have the time of limit drain_ms, a second signal ends them at once.",
    .options = serve_options,
    .without_model = true,
    .settings_size = sizeof(struct serve_settings),
    .defaults = &serve_defaults,
    .run = serve_run,
};
