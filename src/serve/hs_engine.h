/* The engine of the server: messages in, messages out. No socket, no encoding, no thread and no clock of its
 * own, so that the wire, HTTP and the tests drive the same thing.
 *
 *   submit ──► checked ──► scheduler ──► step: batch of a model ──► client->send, at last one terminal message
 *      └── refused: error ◄──┘ expire, cancel, drop ──┘
 *
 * Requests are the client's messages of messages.def as structs; answers are the server's. Every id that is submitted
 * gets exactly one terminal message (done, classified, embedded, tokenized, report, model_list or error), in the
 * submit itself where it is known at once. One caller at a time; the caller steps while there is work. */
#ifndef HS_ENGINE_H
#define HS_ENGINE_H

#include "serve/hs_wire.h"

struct hs_engine;

/* A connection, to the engine. The caller's until hs_engine_drop has been called. */
struct hs_client {
    uint64_t session; /* number of the connection, never used again: ids of requests are unique within it */
    bool owner;       /* may change models */
    /* An answer. It and what it points at live for the call. The message is taken in any case; false: the client
     * is full, and the jobs of this session rest until hs_engine_resume. Must not call the engine. */
    bool (*send)(void *user, const struct hs_message *m, const void *msg);
    void *user;
};

/* A request: any of the client's messages but hello. What it points at is copied where it outlives the call.
 * cancel has no answer of its own. */
void hs_engine_submit(struct hs_engine *e, const struct hs_client *client, const struct hs_message *m, const void *msg,
                      uint64_t now_ns);
/* The client takes answers again. */
void hs_engine_resume(struct hs_engine *e, uint64_t session);
/* The client is gone: its requests end, and nothing more is sent to it. */
void hs_engine_drop(struct hs_engine *e, uint64_t session, uint64_t now_ns);

/* One step of what can run; true if there is more to do at once. Takes about config.step_ms. */
bool hs_engine_step(struct hs_engine *e, uint64_t now_ns);
/* When to step although nothing was submitted: a deadline, a model's idle time; HS_NEVER. */
uint64_t hs_engine_wake_ns(const struct hs_engine *e);

/* No new requests from now on (error 503); true when none is left. Those left at `deadline_ns` end as timed out. */
bool hs_engine_drain(struct hs_engine *e, uint64_t now_ns, uint64_t deadline_ns);

#endif
