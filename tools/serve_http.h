/* HTTP of hearth serve: its socket, which the first process makes and every worker accepts from, and its place in the
 * worker's loop. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include "cli.h"
#include "serve/hs_http.h"
#include "serve/hs_server.h"

struct serve_http_settings {
    const char *path; /* NULL: no HTTP, and all below does nothing */
    bool shared;
};

#define SERVE_HTTP_FIELD(at, name) ((at) + offsetof(struct serve_http_settings, name))
#define SERVE_HTTP_OPTIONS(at)                                                                     \
    {"--http", HC_TEXT, SERVE_HTTP_FIELD(at, path), 0, 0, "PATH", "another Unix socket, for HTTP (docs/http.md)"}, \
    {"--http-shared", HC_FLAG, SERVE_HTTP_FIELD(at, shared), 0, 0, NULL,                           \
     "that socket is for the group of this user too, such as a front's; needs a secret"}

struct serve_http {
    const struct serve_http_settings *settings;
    int listener; /* -1: none */
    struct hs_http *http;
};

/* Before any other process and before the sandbox: loads the library, makes the socket. */
int serve_http_listen(struct serve_http *h, const struct serve_http_settings *settings, bool no_token);
void serve_http_unlisten(struct serve_http *h);
/* The worker's, before its door closes. */
int serve_http_open(struct serve_http *h, struct hs_engine *engine, struct hs_auth *auth, const struct hs_limits *limits,
                    struct hs_server *server);
void serve_http_close(struct serve_http *h);

#endif
