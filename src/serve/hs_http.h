/* HTTP/1.1 for the server: connections of a Unix socket, driven by the server's loop, asking the same engine as the
 * wire. docs/http.md says what is answered. The protocol is read by libmicrohttpd, which is loaded when a server
 * opens HTTP: nothing else of hearth waits for it or for what it brings along.
 *
 * The caller waits until hs_http_fd is readable or hs_http_wake_ns has come, and then calls
 * hs_http_run; also after each step of the engine. Everything on one thread. */
#ifndef HS_HTTP_H
#define HS_HTTP_H

#include "serve/hs_conn.h"

struct hs_http;

struct hs_http_config {
    struct hs_engine *engine;
    struct hs_auth *auth;     /* the one of the wire: tokens and wrong ones */
    int listener;             /* a listening socket of the caller's, who closes it; -1: none, see hs_http_add */
    bool any_user;            /* whoever may open the listener's socket; else this process's user, and root */
    const struct hs_limits *limits; /* copied; NULL: hs_limits_default */
    uint64_t now_s, now_ns;   /* seconds since 1970, and the monotonic clock then */
};

/* Loads the library, for good: HEARTH_E_UNSUPPORTED where it is not installed, or in builds without HEARTH_HTTP.
 * hs_http_open does it too; a process that will close its door, or fork, does it before. */
hearth_status hs_http_load(hearth_error *err);
/* Opens descriptors; nothing later does but accept. */
hearth_status hs_http_open(const struct hs_http_config *config, struct hs_http **http, hearth_error *err);
/* Ends every connection; their requests are dropped. NULL is fine. */
void hs_http_close(struct hs_http *http);

/* A connection of this user that somebody else has accepted, ours from now on in any case; false: no place, and it is
 * closed. */
bool hs_http_add(struct hs_http *http, int fd, uint32_t uid, uint64_t now_ns);
/* No more are accepted for now: there are as many connections, or strangers, as may be. */
bool hs_http_full(const struct hs_http *http);
/* Answers are awaited or being sent: drain before close. */
bool hs_http_busy(const struct hs_http *http);

int hs_http_fd(const struct hs_http *http);
uint64_t hs_http_wake_ns(const struct hs_http *http);
void hs_http_run(struct hs_http *http, uint64_t now_ns);

#endif
