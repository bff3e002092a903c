/* Landlock: what a thread, and all that it starts, may do with files, TCP and other processes.
 * Source: Linux Documentation/userspace-api/landlock.rst and its header, of which the constants below are a copy: the
 * headers of the machine that builds may be older than the kernel of the one that runs. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "serve/hs_sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CREATE_RULESET 444
#define ADD_RULE       445
#define RESTRICT_SELF  446

#define VERSION_FLAG 1u
#define PATH_BENEATH 1

#define FS_READ_FILE 4u
#define FS_READ_DIR  8u

struct ruleset {
    uint64_t fs;
    uint64_t net;    /* from ABI 4 */
    uint64_t scoped; /* from ABI 6 */
};
struct path_beneath {
    uint64_t access;
    int32_t dir;
} __attribute__((packed));

/* All rights that an ABI knows are handled, that is refused unless a rule gives them. */
static struct ruleset landlock_rights(int abi, size_t *size)
{
    struct ruleset r = {0};
    int fs_bits = abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13; /* refer, truncate, ioctl of devices */
    r.fs = (1u << fs_bits) - 1;
    r.net = abi >= 4 ? 3 : 0;    /* bind and connect TCP */
    r.scoped = abi >= 6 ? 3 : 0; /* abstract sockets, signals */
    *size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    return r;
}

static hearth_status landlock_allow_reading(int ruleset, const char *path, hearth_error *err)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        if (error == ENOENT) /* what is not there needs no rule */
            return HEARTH_OK;
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "landlock: %s: %s", path, strerror(error));
    }
    /* a rule with a directory's rights on a file is refused */
    struct path_beneath rule = {S_ISDIR(st.st_mode) ? FS_READ_FILE | FS_READ_DIR : FS_READ_FILE, fd};
    long rc = syscall(ADD_RULE, ruleset, PATH_BENEATH, &rule, 0);
    int error = errno;
    close(fd);
    if (rc != 0)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "landlock: %s: %s", path, strerror(error));
    return HEARTH_OK;
}

hearth_status hs_landlock(const char *const *readable, size_t n, int *abi, hearth_error *err)
{
    long version = syscall(CREATE_RULESET, NULL, 0, VERSION_FLAG);
    size_t size;
    *abi = version > 0 ? (int)version : 0;
    if (version <= 0)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "landlock: %s",
                       errno == ENOSYS       ? "this kernel is built without it"
                       : errno == EOPNOTSUPP ? "it is turned off at boot"
                                             : strerror(errno));
    struct ruleset rights = landlock_rights((int)version, &size);
    int ruleset = (int)syscall(CREATE_RULESET, &rights, size, 0);
    if (ruleset < 0)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "landlock: ruleset: %s", strerror(errno));
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; i < n && status == HEARTH_OK; i++)
        status = landlock_allow_reading(ruleset, readable[i], err);
    if (status == HEARTH_OK && syscall(RESTRICT_SELF, ruleset, 0) != 0)
        status = hb_fail(err, HEARTH_E_UNSUPPORTED, "landlock: %s", strerror(errno));
    close(ruleset);
    return status;
}
