/* The sandbox of a worker: two calls that close its door, and the proof that it is closed.
 *
 *   enter   first thing in the process, which has one thread: descriptors that strayed in are closed, namespaces,
 *           no_new_privs, capabilities, Landlock. Threads that start later have all of it; these layers cannot be
 *           given to threads that run already. Then the self-probe: children take the filter and try.
 *           ... open and map models, allocate, start threads ...
 *   close   rlimits, what Landlock still left, and last that filter of system calls for all threads. Only then is
 *           the first byte of a client read.
 *
 * Each layer that the system does not give is told with its reason, and the level follows from the layers and the
 * probe. Nothing is downgraded in silence: HS_SANDBOX_REQUIRE makes close fail unless the level is full. */
#ifndef HS_SANDBOX_H
#define HS_SANDBOX_H

#include "serve/hs_seccomp.h"

/* ---- what is asked for ---- */

enum hs_sandbox_mode {
    HS_SANDBOX_ON,      /* as much as the system gives */
    HS_SANDBOX_REQUIRE, /* all of it, or no worker */
    HS_SANDBOX_OFF
};

struct hs_sandbox_config {
    enum hs_sandbox_mode mode;
    enum hs_refusal refusal;
    /* Descriptors that stay open over enter, besides 0, 1, 2. keep_all: all do (tests, embedding). */
    const int *keep;
    size_t n_keep;
    bool keep_all;
    /* Files and directories that may be read until close; /proc, /sys and /dev/urandom always may. */
    const char *const *readable;
    size_t n_readable;
    uint32_t max_files;    /* RLIMIT_NOFILE; 0: as it is */
    uint64_t memory_bytes; /* RLIMIT_DATA; 0: as it is */
};

/* ---- what became of it ---- */

/*        name             must    text: full needs those with must */
#define HS_LAYERS(X)                                                                               \
    X(descriptors, true, "descriptors that strayed in are closed")                                 \
    X(namespaces, false, "no network, no shared memory of others: namespaces of its own")          \
    X(no_new_privs, true, "no program can give it rights")                                         \
    X(capabilities, true, "none, and none to be had")                                              \
    X(landlock, true, "no file, TCP port, foreign abstract socket or foreign process is reached")  \
    X(limits, true, "no core dumps, no growing files, no processes, few descriptors")              \
    X(seccomp, true, "the system calls of syscalls.def and no others")

enum hs_layer {
#define X(name, must, text) HS_LAYER_##name,
    HS_LAYERS(X)
#undef X
    HS_LAYER_COUNT
};

enum hs_held {
    HS_HELD_OFF,         /* not asked for */
    HS_HELD_UNAVAILABLE, /* the system does not have it or refused: why */
    HS_HELD_DEGRADED,    /* in force in part: why */
    HS_HELD_ENFORCED
};

/* Calls that no worker has a use for. */
#define HS_PROBES(X)                                                                               \
    X(socket_inet)                                                                                 \
    X(socket_unix)                                                                                 \
    X(connect)                                                                                     \
    X(open_read)                                                                                   \
    X(open_write)                                                                                  \
    X(unlink)                                                                                      \
    X(execve)                                                                                      \
    X(fork)                                                                                        \
    X(ptrace)                                                                                      \
    X(kill)                                                                                        \
    X(mmap_exec)                                                                                   \
    X(mprotect_exec)                                                                               \
    X(io_uring)

enum hs_probe {
#define X(name) HS_PROBE_##name,
    HS_PROBES(X)
#undef X
    HS_PROBE_COUNT
};

enum hs_probed {
    HS_PROBED_NOT_RUN,
    HS_PROBED_BLOCKED,      /* refused, or it ended the process that tried */
    HS_PROBED_ALLOWED,      /* got through although the filter is in force */
    HS_PROBED_NOT_ENFORCED  /* got through, and no filter is in force */
};

enum hs_level { HS_LEVEL_NONE, HS_LEVEL_PARTIAL, HS_LEVEL_FULL };

struct hs_sandbox {
    enum hs_sandbox_mode mode;
    enum hs_refusal refusal;
    enum hs_level level; /* full: every must layer is enforced and every probe blocked */
    struct {
        enum hs_held held;
        char why[88]; /* what is in force, or why it is not */
    } layers[HS_LAYER_COUNT];
    struct {
        enum hs_probed outcome;
        int error;  /* that it failed with; 0: none */
        int killed; /* the signal that ended who tried; 0: none */
    } probes[HS_PROBE_COUNT];
    int landlock_abi; /* 0: none */
    uint64_t enter_ns, close_ns; /* that the calls took */
    uint32_t max_files; /* for close */
    uint64_t memory_bytes;
    struct hs_program program;
};

/* What is missing stands in `s`; only close fails. Starts a child for each probe and waits for it, so SIGCHLD must not
 * be ignored; here, where the process is small and a child costs little. */
void hs_sandbox_enter(struct hs_sandbox *s, const struct hs_sandbox_config *config);
/* HEARTH_E_UNSUPPORTED: required, and not full; the sentence names the layer or the probe. The process should end
 * then: what could be closed is closed. */
hearth_status hs_sandbox_close(struct hs_sandbox *s, hearth_error *err);

const char *hs_level_text(enum hs_level level);     /* none, partial, full */
const char *hs_held_text(enum hs_held held);        /* off, not available, degraded, enforced */
const char *hs_probed_text(enum hs_probed o);     /* not run, blocked, allowed, not enforced */
const char *hs_layer_text(enum hs_layer layer);     /* its name */
const char *hs_probe_text(enum hs_probe probe);
/* The report as JSON, terminated and cut at `size` if that is too small (4 KiB is enough). Returns its length. */
size_t hs_sandbox_json(const struct hs_sandbox *s, char *out, size_t size);

/* ---- the parts ---- */

/* Landlock for the calling thread and those it starts: nothing but reading beneath these may be done with files,
 * nothing at all with TCP, and with others' abstract sockets and processes, as far as the system's ABI goes (*abi;
 * 0: it has none). HEARTH_E_UNSUPPORTED with the reason. */
hearth_status hs_landlock(const char *const *readable, size_t n, int *abi, hearth_error *err);

/* Does what the probe is named for, in the calling process, which ends if the filter is in force and kills. Returns
 * 0: it got through; otherwise the error. */
int hs_probe_attempt(enum hs_probe probe);
/* Each in a child that takes `program` first (NULL: none). */
void hs_probe_all(struct hs_sandbox *s, const struct hs_program *program);

#endif
