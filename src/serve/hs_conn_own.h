/* A connection from inside: conn.c has frames, clocks and its life, conn_message.c what is in frames, conn_buffer.c the
 * memory. */
#ifndef HS_CONN_OWN_H
#define HS_CONN_OWN_H

#include "serve/hs_conn.h"

#define CONN_MS(ms) ((uint64_t)(ms) * 1000000u)

static inline size_t hs_buffer_used(const struct hs_buffer *b)
{
    return b->to - b->from;
}

/* Forget what is there, leaving nothing readable; memory beyond `keep` bytes is given back. */
void hs_buffer_wipe(struct hs_buffer *b, size_t keep);
/* Room for n bytes behind what is there; false: no memory. */
bool hs_buffer_reserve(struct hs_buffer *b, size_t n);

/* One whole message of the client. */
void hs_conn_message(struct hs_conn *c, const uint8_t *bytes, size_t len);
/* hs_client.send of a connection. */
bool hs_conn_send(void *user, const struct hs_message *m, const void *msg);
/* id: of a request; NULL: the connection's. retry_ms 0: not told. */
void hs_conn_error(struct hs_conn *c, const uint64_t *id, uint32_t code, const char *text, uint64_t retry_ms);
/* No more is read, its requests end; what waits is sent. */
void hs_conn_closing(struct hs_conn *c, const char *why);

#endif
