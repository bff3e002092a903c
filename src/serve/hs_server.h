/* The loop: a listening socket, connections, timers and the engine's steps, in one thread.
 *
 *   epoll ─► accept, recv ─► hs_conn ─► hs_engine ─► step ─► hs_conn ─► send
 *     ▲                                                                  │
 *     └── waits for the next deadline; not at all while the engine has work
 *
 * A step is bounded (limits.step_ms), so sockets wait no longer than that. */
#ifndef HS_SERVER_H
#define HS_SERVER_H

#include "serve/hs_conn.h"
#include "serve/hs_control.h"

struct hs_server;

struct hs_server_config {
    struct hs_engine *engine;
    struct hs_auth *auth;
    const char *path;        /* of the socket that is made; or NULL: */
    int listener;            /* a listening socket of the caller's, who closes it; -1: none, see hs_server_adopt */
    uint8_t max_version;     /* 0: what this build has */
    const struct hs_limits *limits; /* copied; NULL: hs_limits_default */
    const char *name;        /* told in welcome */
    const struct hs_worker *worker; /* of a supervisor, who accepts and gives connections; NULL: none */
};

hearth_status hs_server_open(const struct hs_server_config *config, struct hs_server **out, hearth_error *err);
/* Until hs_server_stop and the end of the drain. HEARTH_E_IO: the loop cannot go on. */
hearth_status hs_server_run(struct hs_server *s, hearth_error *err);
/* Begin to drain; from a signal's handler too. A second call ends the drain. */
void hs_server_stop(struct hs_server *s);
/* Closes everything, and removes the socket if it is still the one that was made. NULL is fine. */
void hs_server_close(struct hs_server *s);

/* A connection that somebody else has accepted; the descriptor is the server's from now on. */
hearth_status hs_server_adopt(struct hs_server *s, int fd, uint32_t uid, hearth_error *err);

/* Another descriptor in the loop: a control socket, the epoll descriptor of an HTTP library. */
struct hs_watch {
    int fd;
    void (*ready)(void *user, uint64_t now_ns);      /* it can be read; also behind every step of the engine if always */
    uint64_t (*deadline)(void *user);                /* when to call ready although it cannot; NULL: never */
    bool (*busy)(void *user); /* a drain waits for it; NULL: never */
    bool always;
    void *user;
};
hearth_status hs_server_watch(struct hs_server *s, const struct hs_watch *watch, hearth_error *err);

struct hs_server_stats {
    uint32_t connections, strangers;
    uint64_t accepted, refused, messages, bad_messages, refused_tokens, stalled, timed_out;
    uint64_t received_bytes, sent_bytes;
};
void hs_server_get_stats(const struct hs_server *s, struct hs_server_stats *stats);

/* A socket that only its owner may connect to, at a path where none is, or a dead one: (listen.c)
 * HEARTH_E_RANGE: a path too long; HEARTH_E_STATE: a server answers there, or it is no socket; HEARTH_E_IO. */
hearth_status hs_listen(const char *path, int *fd, hearth_error *err);
/* Remove it if it is still that socket. */
void hs_unlisten(const char *path, int fd);

#endif
