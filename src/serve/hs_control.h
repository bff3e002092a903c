/* What supervisor and worker say to each other: messages of one size over a socket that keeps them apart, some with a
 * descriptor. Both ends are ours; still the supervisor checks what it reads, since a worker may be somebody else's by
 * then. */
#ifndef HS_CONTROL_H
#define HS_CONTROL_H

#include "serve/hs_ledger.h"
#include "base/os/hb_os.h"

enum hs_control_kind {
    HS_CONTROL_CONNECTION = 1, /* to the worker: slot, uid, its socket */
    HS_CONTROL_PING,           /* to the worker: number */
    HS_CONTROL_DRAIN,          /* to the worker: no new requests, then end; a second time: now */
    HS_CONTROL_CLOSED,         /* from the worker: a slot is free */
    HS_CONTROL_READY,          /* from the worker */
    HS_CONTROL_OPEN,           /* from the worker, on its second socket: name of a file */
    HS_CONTROL_FILE            /* to the worker, there: the file, or status and text */
};

struct hs_control {
    uint32_t kind, slot, uid, number;
    char text[240]; /* terminated */
};

/* Neither waits. send: false if the socket is full or closed. recv: 1, 0 if nothing is there, -1 if the other side is
 * gone. *fd is the caller's then, -1 if none came; descriptors that were not expected are closed. */
bool hs_control_send(int socket, const struct hs_control *m, int fd);
int hs_control_recv(int socket, struct hs_control *m, int *fd);

/* ---- a worker's life, as its supervisor gives it ---- */

struct hs_worker {
    int control, files;       /* sockets; -1: there is no supervisor */
    struct hs_ledger *ledger; /* NULL likewise */
    uint32_t n_slots;
};

/* The slot of a message from the supervisor. */
HB_INLINE struct hs_slot *hs_worker_slot(const struct hs_worker *w, uint32_t slot)
{
    return w->ledger && slot < w->n_slots ? &w->ledger->slots[slot] : NULL;
}
/* It is ready for clients: its models are open and its door is closed. */
void hs_worker_ready(const struct hs_worker *w, uint32_t level);
/* It is done with a connection, and has shut it down. */
void hs_worker_closed(const struct hs_worker *w, uint32_t slot);
/* A file beneath the models' directory, opened by the supervisor. Waits for it, HS_FILE_MS at most.
 * HEARTH_E_NOT_FOUND, _ARGUMENT, _IO as hb_os_dir_open_handle; HEARTH_E_UNSUPPORTED: there is no supervisor. */
hearth_status hs_worker_open(const struct hs_worker *w, const char *name, int *fd, hearth_error *err);
#define HS_FILE_MS 5000

#endif
