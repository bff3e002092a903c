/* The socket at a path: see hs_server.h. */
#define _GNU_SOURCE
#include "serve/hs_server.h"
#include "base/hb_error.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 128

static hearth_status listen_address(const char *path, struct sockaddr_un *a, hearth_error *err)
{
    size_t len = strlen(path);
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len == 0 || len >= sizeof a->sun_path)
        return hb_fail(err, HEARTH_E_RANGE, "socket path of %zu bytes; 1 to %zu are accepted", len,
                       sizeof a->sun_path - 1);
    memcpy(a->sun_path, path, len);
    return HEARTH_OK;
}

/* What stands at the path goes, if it is a socket of ours that nobody listens to. */
static hearth_status listen_clear(const char *path, const struct sockaddr_un *a, hearth_error *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? HEARTH_OK : hb_fail(err, HEARTH_E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return hb_fail(err, HEARTH_E_STATE, "%s is there and no socket; a free path is accepted", path);
    if (st.st_uid != geteuid())
        return hb_fail(err, HEARTH_E_STATE, "%s is a socket of user %u; a free path is accepted", path, st.st_uid);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return hb_fail(err, HEARTH_E_IO, "socket: %s", strerror(errno));
    int rc = connect(fd, (const struct sockaddr *)a, sizeof *a), why = errno;
    close(fd);
    if (rc == 0 || why != ECONNREFUSED)
        return hb_fail(err, HEARTH_E_STATE, "%s: %s", path,
                       rc == 0 || why == EAGAIN ? "a server is listening there" : strerror(why));
    if (unlink(path) != 0)
        return hb_fail(err, HEARTH_E_IO, "%s: the dead socket cannot be removed: %s", path, strerror(errno));
    return HEARTH_OK;
}

hearth_status hs_listen(const char *path, int *out, hearth_error *err)
{
    struct sockaddr_un a;
    HB_TRY(listen_address(path, &a, err));
    HB_TRY(listen_clear(path, &a, err));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return hb_fail(err, HEARTH_E_IO, "socket: %s", strerror(errno));
    mode_t before = umask(0177); /* the socket is never there with more rights */
    int rc = bind(fd, (const struct sockaddr *)&a, sizeof a);
    int why = errno;
    umask(before);
    if (rc == 0 && listen(fd, LISTEN_BACKLOG) != 0) {
        why = errno;
        unlink(path);
        rc = -1;
    }
    if (rc != 0) {
        close(fd);
        return hb_fail(err, HEARTH_E_IO, "%s: %s", path, strerror(why));
    }
    *out = fd;
    return HEARTH_OK;
}

/* A bound socket does not tell the file it made; that connecting there reaches it, it does. */
void hs_unlisten(const char *path, int fd)
{
    struct sockaddr_un a, mine;
    struct stat st;
    socklen_t len = sizeof mine;
    if (listen_address(path, &a, NULL) == HEARTH_OK && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        getsockname(fd, (struct sockaddr *)&mine, &len) == 0 && strcmp(mine.sun_path, a.sun_path) == 0)
        unlink(path);
}
