/* The processes of hearth serve: the listening socket, the supervisor, the worker and its sandbox. cmd_serve.c is what
 * the worker does. */
#ifndef SERVE_PROCESS_H
#define SERVE_PROCESS_H

#include "cli.h"
#include "serve/hs_limits.h"
#include "serve/hs_sandbox.h"
#include "serve/hs_supervisor.h"

/* What the command line says of it. */
struct serve_process_settings {
    const char *sandbox;
    bool sandbox_errno, no_supervisor, watchdog_kill;
};

/* Rows of the table of options; `at` is the offset of the settings. */
#define SERVE_PROCESS_FIELD(at, name) ((at) + offsetof(struct serve_process_settings, name))
#define SERVE_PROCESS_OPTIONS(at)                                                                  \
    {"--sandbox", HC_TEXT, SERVE_PROCESS_FIELD(at, sandbox), 0, 0, "MODE",                         \
     "on: all that the system gives (docs/sandbox.md); require: all there is, or no start; off"},  \
    {"--sandbox-errno", HC_FLAG, SERVE_PROCESS_FIELD(at, sandbox_errno), 0, 0, NULL,               \
     "for development: calls outside the sandbox fail, they do not end the worker"},               \
    {"--no-supervisor", HC_FLAG, SERVE_PROCESS_FIELD(at, no_supervisor), 0, 0, NULL,               \
     "one process: nobody answers and starts again when it dies"},                                 \
    {"--watchdog-kill", HC_FLAG, SERVE_PROCESS_FIELD(at, watchdog_kill), 0, 0, NULL,               \
     "a worker that does not answer within limit watchdog_ms is ended and started again; else it is logged"}

struct serve_process {
    const struct serve_process_settings *settings;
    const struct hs_limits *limits;
    const char *socket;          /* NULL: systemd's */
    const char *const *readable; /* files and directories that a worker opens by itself */
    size_t n_readable;
    const struct hb_dir *models; /* the supervisor opens files beneath it; NULL: none */
    /* The worker's work; the listener is -1 where the supervisor accepts. Returns its exit status. */
    int (*work)(void *user, const struct hs_worker *worker, int listener);
    int also_listens; /* another listening socket, of which the worker accepts by itself; -1: none */
    void *user;

    /* the worker's */
    struct hs_sandbox sandbox;
    int listener;
};

/* Returns the exit status of the command. */
int serve_processes(struct serve_process *p);
/* From the work, when all is open and all threads run: closes the door and tells the supervisor. HC_LIMIT, with its
 * line, if the sandbox is required and not full. */
int serve_close_door(struct serve_process *p, const struct hs_worker *worker);

#endif
