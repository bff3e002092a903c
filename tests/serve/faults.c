/* Preloaded into a server: every few calls of its sockets are interrupted, short, or told to come again, as a busy
 * system may do at any time. HEARTH_FAULTS is the seed. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_recvmsg)(int, struct msghdr *, int);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static int (*real_accept4)(int, struct sockaddr *, socklen_t *, int);
static int (*real_poll)(struct pollfd *, nfds_t, int);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);
static _Atomic uint64_t seed;

__attribute__((constructor)) static void begin(void)
{
    const char *s = getenv("HEARTH_FAULTS");
    seed = s ? strtoull(s, NULL, 10) : 1;
    *(void **)&real_send = dlsym(RTLD_NEXT, "send");
    *(void **)&real_recvmsg = dlsym(RTLD_NEXT, "recvmsg");
    *(void **)&real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
    *(void **)&real_accept4 = dlsym(RTLD_NEXT, "accept4");
    *(void **)&real_poll = dlsym(RTLD_NEXT, "poll");
    *(void **)&real_epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
}

static uint64_t dice(uint64_t n)
{
    uint64_t z = atomic_fetch_add(&seed, 0x9E3779B97F4A7C15u) + 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    return (z ^ (z >> 27)) % n;
}

static int fails(int error)
{
    errno = error;
    return -1;
}

ssize_t send(int fd, const void *bytes, size_t n, int flags);
ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    uint64_t what = dice(6);
    if (what == 0)
        return fails(EINTR);
    if (what == 1)
        return fails(EAGAIN);
    return real_send(fd, bytes, what < 4 && n > 1 ? 1 + dice(n) : n, flags);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags);
ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    uint64_t what = dice(6);
    if (what == 0)
        return fails(EINTR);
    if (what == 1)
        return fails(EAGAIN);
    if (what < 4 && m->msg_iovlen == 1 && !m->msg_controllen) { /* clients; messages of the supervisor come whole */
        size_t whole = m->msg_iov->iov_len;
        m->msg_iov->iov_len = 1 + dice(whole);
        ssize_t n = real_recvmsg(fd, m, flags);
        m->msg_iov->iov_len = whole;
        return n;
    }
    return real_recvmsg(fd, m, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    uint64_t what = dice(6);
    return what == 0 ? fails(EINTR) : what == 1 ? fails(EAGAIN) : real_sendmsg(fd, m, flags);
}

int accept4(int fd, struct sockaddr *a, socklen_t *len, int flags);
int accept4(int fd, struct sockaddr *a, socklen_t *len, int flags)
{
    static const int errors[] = {EINTR, ECONNABORTED, EAGAIN, EMFILE, ENFILE, ENOMEM};
    uint64_t what = dice(12);
    return what < 6 ? fails(errors[what]) : real_accept4(fd, a, len, flags);
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    return dice(4) == 0 ? fails(EINTR) : real_poll(fds, n, timeout);
}

int epoll_wait(int fd, struct epoll_event *events, int n, int timeout)
{
    return dice(4) == 0 ? fails(EINTR) : real_epoll_wait(fd, events, n, timeout);
}
