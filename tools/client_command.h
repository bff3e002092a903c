/* What the commands of `hearth client` share: the options of a connection, asking and waiting, errors. */
#ifndef CLIENT_COMMAND_H
#define CLIENT_COMMAND_H

#include "client.h"
#include "wire_client.h"

#define HC_CLIENT(name, text) extern const struct hc_command client_##name;
#include "client_commands.def"
#undef HC_CLIENT

/* First member of the settings of each of them. common.model is a name on the server, NULL its default. */
struct client_settings {
    struct hc_common common;
    const char *socket;
    const char *token_file;
    int32_t wire;     /* newest version to speak */
    int32_t retry_s;  /* wait for a server that is not there yet */
    int32_t timeout_ms; /* of a request; 0: the server's own */
    int32_t priority; /* -1: the server's default */
};
#define CLIENT_DEFAULTS {.wire = 2, .priority = -1}
extern const struct hc_option client_common_options[];

struct client {
    const struct client_settings *s;
    char token[2048];
    struct wc *wire;
};

/* Connects; an error line if the exit status is not HC_OK. client_close is due in any case. */
int client_open(const struct client_settings *s, struct client *c);
void client_close(struct client *c);
/* The configuration of further connections like this one; token as room for the secret. */
int client_config(const struct client_settings *s, char token[2048], struct wc_config *config);

/* Fields that most requests have, in any message that has them. */
#define CLIENT_REQUEST(c, msg, message)                                                            \
    do {                                                                                           \
        HS_SET(msg, message, id, wc_new_id((c)->wire));                                            \
        if ((c)->s->common.model)                                                                  \
            HS_SET(msg, message, model, wc_bytes((c)->s->common.model));                           \
    } while (0)
#define CLIENT_LIMITS(c, msg, message)                                                             \
    do {                                                                                           \
        if ((c)->s->priority >= 0)                                                                 \
            HS_SET(msg, message, priority, (uint64_t)(c)->s->priority);                            \
        if ((c)->s->timeout_ms > 0)                                                                \
            HS_SET(msg, message, timeout_ms, (uint64_t)(c)->s->timeout_ms);                        \
    } while (0)

/* Sends a request and waits for its terminal message, *answer; chunks go to `chunk`, which returns an exit status.
 * Ctrl-C sends cancel, once. wait_ms < 0: as long as it takes. An error of the server is an error line. */
typedef int client_chunk(void *user, const struct hs_chunk *chunk);
struct client_call {
    enum hs_index message, answer; /* what is sent; what is accepted, besides error */
    const void *msg;
    int64_t wait_ms;
    client_chunk *chunk;
    void *user;
};
int client_ask(struct client *c, const struct client_call *call, union hs_any *answer);

/* An error of the library, or of the server, as an error line and exit status. */
int client_fail(const struct client *c, hearth_status status, const hearth_error *err);
int client_fail_error(const struct hs_error *error, const char *object);

/* The sub-commands that only look or manage wait this long. */
#define CLIENT_PROBE_MS 10000

#endif
