/* hearth client: asks a server, over its Unix socket. A command of its own stands behind the options of the
 * connection: hearth client --socket PATH generate -p TEXT; they may stand behind it too. */
#include "client_command.h"
#include "commands.h"
#include <stdlib.h>
#include <string.h>

static const struct {
    const struct hc_command *command;
    const char *name, *text;
} client_commands[] = {
#define HC_CLIENT(name, text) {&client_##name, #name, text},
#include "client_commands.def"
#undef HC_CLIENT
};

/* ---- connections ---- */

int client_config(const struct client_settings *s, char token[2048], struct wc_config *config)
{
    hearth_error err = {0};
    *config = (struct wc_config){.path = s->socket, .version = (unsigned)s->wire,
                                 .retry_ms = (uint32_t)s->retry_s * 1000u};
    if (!s->socket)
        return hc_fail(HC_USAGE, "--socket", "not given; the path of the server's socket is needed");
    if (!s->token_file)
        return HC_OK;
    hearth_status status = wc_token_read(s->token_file, token, 2048, &config->token_len, &err);
    config->token = token;
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_REFUSED, s->token_file, status, &err);
}

int client_open(const struct client_settings *s, struct client *c)
{
    hearth_error err = {0};
    struct wc_config config;
    *c = (struct client){.s = s};
    int rc = client_config(s, c->token, &config);
    if (rc != HC_OK)
        return rc;
    hearth_status status = wc_open(&config, &c->wire, &err);
    return status == HEARTH_OK ? HC_OK : client_fail(c, status, &err);
}

void client_close(struct client *c)
{
    hc_interrupt_to(NULL);
    wc_close(c->wire);
    c->wire = NULL;
}

/* ---- errors ---- */

int client_fail(const struct client *c, hearth_status status, const hearth_error *err)
{
    return hc_fail_status(HC_FAILED, c->s->socket, status, err);
}

int client_fail_error(const struct hs_error *error, const char *object)
{
    int rc = error->code == 400                          ? HC_USAGE
             : error->code == 404                        ? HC_REFUSED
             : error->code == 413 || error->code == 429 ? HC_LIMIT
                                                         : HC_FAILED;
    char again[48] = "";
    if (HS_HAS(error, error, retry_ms))
        snprintf(again, sizeof again, "; try again in %llu ms", (unsigned long long)error->retry_ms);
    return hc_fail((enum hc_exit)rc, object, "%llu, %.*s%s", (unsigned long long)error->code,
                   (int)error->message.len, error->message.at, again);
}

/* ---- asking ---- */

static hearth_status client_send_cancel(struct client *c, uint64_t id, hearth_error *err)
{
    struct hs_cancel cancel = {0};
    HS_SET(&cancel, cancel, id, id);
    hc_interrupt_to(NULL); /* another Ctrl-C ends the process */
    return wc_send(c->wire, HS_M_cancel, &cancel, err);
}

/* The next message; a Ctrl-C meanwhile is sent on. */
static hearth_status client_next(struct client *c, uint64_t id, int64_t wait_ms, bool *cancelled,
                                 const struct hs_message **m, union hs_any *msg, hearth_error *err)
{
    const int64_t slice = 200; /* a signal just before the system call is seen after it */
    for (uint64_t start = hc_now_ns();;) {
        if (hc_interrupted() && !*cancelled) {
            *cancelled = true;
            hearth_status sent = client_send_cancel(c, id, err);
            if (sent != HEARTH_OK)
                return sent;
        }
        int64_t left = wait_ms < 0 ? slice : wait_ms - (int64_t)hc_ms_since(start);
        if (left <= 0)
            return HEARTH_E_DEADLINE;
        hearth_status status = wc_receive(c->wire, left < slice ? left : slice, m, msg, err);
        if (status != HEARTH_E_CANCELLED && status != HEARTH_E_DEADLINE)
            return status;
    }
}

int client_ask(struct client *c, const struct client_call *call, union hs_any *answer)
{
    hearth_error err = {0};
    const struct hs_message *m;
    bool cancelled = false;
    uint64_t id = wc_id(&hs_messages[call->message], call->msg);
    hc_interrupt_flag();
    hearth_status status = wc_send(c->wire, call->message, call->msg, &err);
    while (status == HEARTH_OK) {
        status = client_next(c, id, call->wait_ms, &cancelled, &m, answer, &err);
        if (status != HEARTH_OK)
            break;
        if (m == &hs_messages[HS_M_chunk] && answer->chunk.id == id && call->chunk) {
            int rc = call->chunk(call->user, &answer->chunk);
            if (rc != HC_OK)
                return rc;
        } else if (m == &hs_messages[HS_M_error]) {
            return client_fail_error(&answer->error, c->s->socket);
        } else if (m == &hs_messages[call->answer]) {
            return HC_OK;
        } else {
            return hc_fail(HC_FAILED, c->s->socket, "answered %s with %s", hs_messages[call->message].name, m->name);
        }
    }
    if (status == HEARTH_E_DEADLINE)
        return hc_fail(HC_FAILED, c->s->socket, "no answer to %s in %lld ms", hs_messages[call->message].name,
                       (long long)call->wait_ms);
    return client_fail(c, status, &err);
}

/* ---- the command ---- */

#define FIELD(name) offsetof(struct client_settings, name)
#define CLIENT_CONNECTION_OPTIONS                                                                  \
    {"--socket", HC_TEXT, FIELD(socket), 0, 0, "PATH", "the server's socket"},                     \
    {"--token-file", HC_TEXT, FIELD(token_file), 0, 0, "FILE", "the secret the server was given"}, \
    {"--wire", HC_INT, FIELD(wire), 1, 2, "N", "newest version to speak: 1 JSON, 2 binary (2)"},   \
    {"--retry", HC_INT, FIELD(retry_s), 0, 3600, "S",                                              \
     "wait so many seconds for a server that does not listen yet (0)"}

const struct hc_option client_common_options[] = {
    CLIENT_CONNECTION_OPTIONS,
    {"-m", HC_TEXT, FIELD(common.model), 0, 0, "NAME", "model, by its name on the server (its default)"},
    {"--timeout", HC_INT, FIELD(timeout_ms), 1, INT32_MAX, "MS", "time limit of a request (the server's)"},
    {"--priority", HC_INT, FIELD(priority), 0, 3, "N", "0 low, 1 normal, 2 high, 3 critical (1)"},
    {"--json", HC_FLAG, FIELD(common.json), 0, 0, NULL, "print the result as JSON"},
    HC_OPTIONS_END,
};

/* The options that stood before the command are the defaults of those behind it. */
static int client_run_command(const struct hc_command *command, const struct client_settings *s)
{
    struct hc_command own = *command;
    char *defaults = malloc(own.settings_size), *settings = malloc(own.settings_size);
    int rc = HC_LIMIT;
    if (defaults && settings) {
        memcpy(defaults, own.defaults, own.settings_size);
        memcpy(defaults, s, sizeof *s);
        ((struct hc_common *)(void *)defaults)->n_rest = 0;
        own.defaults = defaults;
        if (hc_parse(&own, s->common.n_rest - 1, s->common.rest + 1, settings, &rc))
            rc = own.run(settings);
    } else {
        hc_fail(HC_LIMIT, own.name, "no memory for its settings");
    }
    free(defaults);
    free(settings);
    return rc;
}

static int client_run(const void *settings)
{
    const struct client_settings *s = settings;
    if (!s->common.n_rest)
        return hc_fail(HC_USAGE, "command", "none given; hearth client -h lists them");
    for (size_t i = 0; i < HC_COUNT(client_commands); i++)
        if (strcmp(s->common.rest[0], client_commands[i].name) == 0)
            return client_run_command(client_commands[i].command, s);
    return hc_fail(HC_USAGE, s->common.rest[0], "no command of the client; hearth client -h lists them");
}

static const struct hc_option client_options[] = {HC_OPTIONS_END};
static const struct client_settings client_defaults = CLIENT_DEFAULTS;

const struct hc_command hc_command_client = {
    .name = "client",
    .synopsis = "--socket PATH [--token-file FILE] COMMAND ...",
    .text = "Asks a server (hearth serve). hearth client COMMAND -h lists the options of a command:\n\n"
#define HC_CLIENT(name, text) "  " #name ": " text "\n"
#include "client_commands.def"
#undef HC_CLIENT
            ,
    .options = client_options,
    .common = client_common_options,
    .without_model = true,
    .takes_command = true,
    .settings_size = sizeof(struct client_settings),
    .defaults = &client_defaults,
    .run = client_run,
};
