/* The self-probe: each call that a worker has no use for is tried, by a child that has taken the same filter. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "serve/hs_sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define IO_URING_SETUP 425
/* Exit statuses of a child; smaller ones are errors. */
#define GOT_THROUGH          200
#define GOT_THROUGH_NOTHING  201 /* the filter could not be had */

/* Each asks for something that does no harm if it is granted, and gives what the kernel answered. */

static int probe_result(long rc)
{
    return rc < 0 ? errno : 0;
}

/* An answer that the kernel gives only when it has begun to do what was asked is "got through". */
static int probe_unless(long rc, int through)
{
    return rc < 0 && errno != through ? errno : 0;
}

static int probe_socket(int family)
{
    return probe_result(syscall(SYS_socket, family, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int probe_execve(void)
{
    static char *const argv[] = {(char *)(uintptr_t) "true", NULL}, *const envp[] = {NULL};
    return probe_unless(syscall(SYS_execve, "/bin/true", argv, envp), ENOENT);
}

static int probe_fork(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        syscall(SYS_exit_group, 0);
    return probe_result(pid);
}

static int probe_exec_pages(bool protect)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | (protect ? 0 : PROT_EXEC), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return errno;
    int result = protect ? probe_result(mprotect(p, 4096, PROT_READ | PROT_EXEC)) : 0;
    munmap(p, 4096);
    return result;
}

int hs_probe_attempt(enum hs_probe probe)
{
    switch (probe) {
    case HS_PROBE_socket_inet:
        return probe_socket(AF_INET);
    case HS_PROBE_socket_unix:
        return probe_socket(AF_UNIX);
    case HS_PROBE_connect:
        return probe_unless(syscall(SYS_connect, -1, NULL, 0), EBADF);
    case HS_PROBE_open_read:
        return probe_result(syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
    case HS_PROBE_open_write:
        return probe_result(syscall(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY | O_CLOEXEC, 0));
    case HS_PROBE_unlink:
        return probe_unless(syscall(SYS_unlinkat, AT_FDCWD, "/hearth-probe-of-nothing", 0), ENOENT);
    case HS_PROBE_execve:
        return probe_execve();
    case HS_PROBE_fork:
        return probe_fork();
    case HS_PROBE_ptrace:
        return probe_result(syscall(SYS_ptrace, PTRACE_TRACEME, 0, NULL, NULL));
    case HS_PROBE_kill:
        return probe_result(syscall(SYS_kill, 1, 0));
    case HS_PROBE_mmap_exec:
        return probe_exec_pages(false);
    case HS_PROBE_mprotect_exec:
        return probe_exec_pages(true);
    case HS_PROBE_io_uring:
        return probe_unless(syscall(IO_URING_SETUP, 1, NULL), EFAULT);
    case HS_PROBE_COUNT:
        break;
    }
    return EINVAL;
}

static _Noreturn void probe_child(enum hs_probe probe, const struct hs_program *program)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_NPROC, &none); /* as the worker will have it; it could not start this child then */
    bool filtered = program && hs_program_install(program, false, NULL) == HEARTH_OK;
    int error = hs_probe_attempt(probe);
    _exit(error ? error : filtered ? GOT_THROUGH : GOT_THROUGH_NOTHING);
}

static bool probe_wait(pid_t pid, int *status)
{
    pid_t got;
    do
        got = waitpid(pid, status, 0);
    while (got < 0 && errno == EINTR);
    return got == pid;
}

void hs_probe_all(struct hs_sandbox *s, const struct hs_program *program)
{
    for (int i = 0; i < HS_PROBE_COUNT; i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            probe_child((enum hs_probe)i, program);
        if (pid < 0 || !probe_wait(pid, &status))
            continue; /* not run */
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        s->probes[i].killed = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        s->probes[i].error = code < GOT_THROUGH ? code : 0;
        s->probes[i].outcome = s->probes[i].killed || s->probes[i].error ? HS_PROBED_BLOCKED
                               : code == GOT_THROUGH_NOTHING             ? HS_PROBED_NOT_ENFORCED
                                                                         : HS_PROBED_ALLOWED; /* 0: execve */
    }
}

const char *hs_probe_text(enum hs_probe probe)
{
    static const char *const names[] = {
#define X(name) #name,
        HS_PROBES(X)
#undef X
    };
    return probe < HS_PROBE_COUNT ? names[probe] : "?";
}

const char *hs_probed_text(enum hs_probed o)
{
    return o == HS_PROBED_BLOCKED        ? "blocked"
           : o == HS_PROBED_ALLOWED      ? "allowed"
           : o == HS_PROBED_NOT_ENFORCED ? "not enforced"
                                          : "not run";
}
