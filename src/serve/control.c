/* Messages between supervisor and worker: see hs_control.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "serve/hs_control.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL_DESCRIPTORS 4 /* more than one come from nobody we know */

union control_room {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(CONTROL_DESCRIPTORS * sizeof(int))];
};

bool hs_control_send(int socket, const struct hs_control *m, int fd)
{
    union control_room room = {.bytes = {0}};
    struct iovec part = {(void *)(uintptr_t)m, sizeof *m};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;
    if (fd >= 0) {
        head.msg_control = &room;
        head.msg_controllen = CMSG_SPACE(sizeof fd);
        room.head.cmsg_level = SOL_SOCKET;
        room.head.cmsg_type = SCM_RIGHTS;
        room.head.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&room.head), &fd, sizeof fd);
    }
    do
        n = sendmsg(socket, &head, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *m;
}

/* The first descriptor of a message; others are closed. */
static int control_descriptor(struct msghdr *head)
{
    int first = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (first < 0)
                first = fd;
            else
                close(fd);
        }
    }
    return first;
}

int hs_control_recv(int socket, struct hs_control *m, int *fd)
{
    union control_room room = {.bytes = {0}};
    struct iovec part = {m, sizeof *m};
    ssize_t n;
    *fd = -1;
    for (;;) {
        struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &room,
                              .msg_controllen = sizeof room};
        n = recvmsg(socket, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        if (n == 0)
            return -1;
        *fd = control_descriptor(&head);
        if (n == (ssize_t)sizeof *m) {
            m->text[sizeof m->text - 1] = 0;
            return 1;
        }
        hb_os_handle_close(*fd); /* not one of ours */
        *fd = -1;
    }
}

/* ---- a worker's side ---- */

void hs_worker_ready(const struct hs_worker *w, uint32_t level)
{
    if (!w->ledger)
        return;
    atomic_store(&w->ledger->level, level);
    atomic_store(&w->ledger->phase, HS_WORKER_READY);
    hs_control_send(w->control, &(struct hs_control){.kind = HS_CONTROL_READY}, -1);
}

void hs_worker_closed(const struct hs_worker *w, uint32_t slot)
{
    hs_slot_drop(hs_worker_slot(w, slot)); /* which the supervisor finds, should the message not fit */
    if (w->ledger)
        hs_control_send(w->control, &(struct hs_control){.kind = HS_CONTROL_CLOSED, .slot = slot}, -1);
}

hearth_status hs_worker_open(const struct hs_worker *w, const char *name, int *fd, hearth_error *err)
{
    struct hs_control m = {.kind = HS_CONTROL_OPEN};
    struct pollfd ready = {.fd = w->files, .events = POLLIN};
    int handle = -1, rc;
    size_t len = strlen(name);
    if (!w->ledger)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s: there is no supervisor who could open it", name);
    if (len >= sizeof m.text)
        return hb_fail(err, HEARTH_E_ARGUMENT, "%s: a name of %zu bytes; at most %zu are accepted", name, len,
                       sizeof m.text - 1);
    memcpy(m.text, name, len + 1);
    if (!hs_control_send(w->files, &m, -1))
        return hb_fail(err, HEARTH_E_IO, "%s: the supervisor cannot be asked", name);
    do
        rc = poll(&ready, 1, HS_FILE_MS);
    while (rc < 0 && errno == EINTR);
    if (rc <= 0 || hs_control_recv(w->files, &m, &handle) != 1)
        return hb_fail(err, HEARTH_E_IO, "%s: the supervisor does not answer", name);
    if (m.kind == HS_CONTROL_FILE && handle >= 0) {
        *fd = handle;
        return HEARTH_OK;
    }
    hb_os_handle_close(handle);
    return hb_fail(err, m.number ? (hearth_status)m.number : HEARTH_E_IO, "%s", m.text);
}
