/* The client's end of the wire (docs/wire.md): one connection, either version, messages as structs of
 * serve/hs_wire.h.
 *
 *   wc_open ──► hello, welcome ──► wc_send, wc_receive            waiting, for commands
 *                                  wc_queue, wc_flush, wc_fill, wc_next   never waiting, for who polls many
 *
 * An id that was sent is in flight until its terminal message comes. A terminal message of an id that is not in
 * flight is a second one, which a server that lost its worker may send: it is dropped here and counted. */
#ifndef WIRE_CLIENT_H
#define WIRE_CLIENT_H

#include "hearth.h"
#include "serve/hs_wire.h"

struct wc;

struct wc_config {
    const char *path;  /* of the socket */
    const char *token; /* NULL: none */
    size_t token_len;
    unsigned version;    /* the newest to speak, 1 or 2; 0: 2 */
    uint32_t retry_ms;   /* keep trying to connect for as long as nobody listens; 0: try once */
    uint32_t timeout_ms; /* for the answer to hello, and for the server to take what is sent; 0: 10 s */
};

struct wc_stats {
    uint64_t doubles; /* second terminal messages, dropped */
    uint64_t strays;  /* chunks of no request in flight, dropped */
    uint64_t opened;  /* connections made */
};

/* Connects and says hello. path and token are borrowed until wc_close.
 *
 * HEARTH_E_NOT_FOUND   no socket of that name, or nobody listens
 * HEARTH_E_DEADLINE    no welcome in time
 * HEARTH_E_ARGUMENT    the server refused: code and sentence
 * HEARTH_E_IO, _FORMAT the connection broke; what came is no message of the wire */
hearth_status wc_open(const struct wc_config *config, struct wc **out, hearth_error *err);
void wc_close(struct wc *w);
/* Closes the connection and makes a new one. What was in flight is forgotten: it will not be answered. */
hearth_status wc_reopen(struct wc *w, hearth_error *err);

/* 1, 2, 3, ... over all connections of w. */
uint64_t wc_new_id(struct wc *w);
const char *wc_session(const struct wc *w); /* of welcome; "" without a token */
const char *wc_server(const struct wc *w);
unsigned wc_version(const struct wc *w);
size_t wc_in_flight(const struct wc *w);
struct wc_stats wc_get_stats(const struct wc *w);

/* Sends a message, waiting until all of it is with the system. HEARTH_E_LIMIT: larger than the server takes. */
hearth_status wc_send(struct wc *w, enum hs_index message, const void *msg, hearth_error *err);
/* The next message; what it points at lives until the next call. timeout_ms < 0: none.
 * HEARTH_E_DEADLINE: nothing came; HEARTH_E_CANCELLED: a signal did; the connection is as before after both. */
hearth_status wc_receive(struct wc *w, int64_t timeout_ms, const struct hs_message **m, union hs_any *msg,
                         hearth_error *err);

/* ---- without waiting ---- */

int wc_fd(const struct wc *w); /* -1: not connected */
hearth_status wc_queue(struct wc *w, enum hs_index message, const void *msg, hearth_error *err);
bool wc_unsent(const struct wc *w); /* wants to be writable */
hearth_status wc_flush(struct wc *w, hearth_error *err);
/* Reads what is there, once. HEARTH_E_IO: the server closed the connection. */
hearth_status wc_fill(struct wc *w, hearth_error *err);
/* A message of what was read; *m is NULL if there is no whole one. Lives as with wc_receive. */
hearth_status wc_next(struct wc *w, const struct hs_message **m, union hs_any *msg, hearth_error *err);

/* ---- what messages have in common ---- */

bool wc_terminal(const struct hs_message *m);
/* The id of a message of the server; 0 in one without. */
uint64_t wc_id(const struct hs_message *m, const union hs_any *msg);
struct hs_bytes wc_bytes(const char *text);
/* Token ids of a message, [n]; HEARTH_E_FORMAT as hs_tokens_read. */
hearth_status wc_tokens(const struct wc *w, const struct hs_tokens *tokens, uint32_t *ids, hearth_error *err);

/* The secret of a file, without a line end behind it; at most capacity bytes. */
hearth_status wc_token_read(const char *path, char *token, size_t capacity, size_t *len, hearth_error *err);

#endif
