/* The process that stays: it accepts connections, lends them to a worker, and answers for the worker when that dies.
 *
 *   clients ──► listener ─► accept, SO_PEERCRED ─► slot of the ledger ─► worker (SCM_RIGHTS; a descriptor stays here)
 *                                                        │
 *   worker dies ──► error 503 for each request listed ◄──┘──► next worker, after a pause that doubles
 *
 * It has one thread, opens no model and decodes nothing that a client sent; it forks its workers and runs no program.
 * SIGTERM and SIGINT drain the worker and then end it; a second one hurries. A worker that cannot start the first time
 * ends it too, as do too many deaths in a short time. */
#ifndef HS_SUPERVISOR_H
#define HS_SUPERVISOR_H

#include "serve/hs_control.h"

struct hs_supervisor_config {
    int listener;               /* a listening socket of the caller's, non-blocking; -1: none */
    const struct hb_dir *models; /* files beneath it are opened for the worker; NULL: none */
    bool any_user;              /* else those of another user than ours and root's are turned away */
    uint32_t max_connections, max_strangers; /* 0: 64, 8 */
    /* Zero stands for the number that is told (hs_limits.h). */
    uint32_t pause_ms, max_pause_ms; /* before the next worker: 20, doubled for each death up to 5000; */
    uint32_t calm_ms;                /* a worker that was ready for so long starts again at pause_ms: 10000 */
    uint32_t max_deaths, deaths_ms;  /* so many within that time end it all: 8 in 60000 */
    uint32_t max_blame;              /* deaths in a row while a model was being opened, until it is refused: 3 */
    uint32_t drain_ms;               /* 30000 */
    uint32_t watchdog_ms;            /* a ready worker answers within: 10000 */
    bool watchdog_kills;             /* else it is only told */

    /* A worker: runs in the child, its end is the child's exit status. 0 only behind a drain. */
    int (*worker)(void *user, const struct hs_worker *w);
    /* One line of the log, key=value, without line end. May be NULL. */
    void (*log)(void *user, const char *line);
    /* The first worker is ready, or the drain begins. May be NULL. */
    void (*ready)(void *user);
    void (*stopping)(void *user);
    void *user;
};

/* Until a drain is over: HEARTH_OK. HEARTH_E_STATE: the first worker did not become ready (*exit_status is its own, if
 * it has one; else 0), or too many died. HEARTH_E_IO: the system refused something without which it cannot begin.
 * Blocks SIGTERM, SIGINT and SIGCHLD while it runs. */
hearth_status hs_supervise(const struct hs_supervisor_config *config, int *exit_status, hearth_error *err);

#endif
