/* What the files of the supervisor share: supervisor.c (the loop and the worker's life) and supervisor_conns.c (the
 * connections). */
#ifndef HS_SUPERVISOR_STATE_H
#define HS_SUPERVISOR_STATE_H

#include "serve/hs_supervisor.h"
#include <signal.h>
#include <sys/types.h>

enum sup_held { SUP_FREE, SUP_HELD /* for the next worker that can take it */, SUP_GIVEN };

struct sup_conn {
    int fd;
    enum sup_held held;
    uint32_t uid;
};

#define SUP_DEATHS      64
#define SUP_TURNED_AWAY 8

struct supervisor {
    struct hs_supervisor_config config;
    struct hs_ledger *ledger;
    struct sup_conn *conns; /* [max_connections], by slot */
    struct hk_table kernels;
    uint8_t *frames;        /* room for errors */
    uint32_t uid;           /* ours */
    int signals;            /* signalfd */
    sigset_t old_mask;
    uint64_t accept_ns;     /* no accept before; 0 */
    int turned_away[SUP_TURNED_AWAY]; /* told why, and not closed yet; -1 */
    uint32_t n_turned_away;
    /* the worker */
    pid_t pid;              /* 0: none */
    int control, files;     /* -1: none */
    bool ready, ever_ready;
    uint64_t ready_ns, died_ns, start_ns; /* start: of the next one; 0: none is wanted */
    uint32_t pause_ms, starts, stalls;
    uint64_t deaths[SUP_DEATHS];
    uint32_t n_deaths;
    int code;               /* exit status of the last one */
    /* models that end workers: ours, since the ledger is the worker's to write */
    struct {
        char name[HS_LEDGER_NAME];
        uint32_t deaths;
    } blamed[HS_LEDGER_MODELS];
    uint32_t n_blamed;
    /* the watchdog */
    uint32_t ping;
    uint64_t ping_ns;
    bool late;
    /* the drain */
    uint32_t stops, drains; /* signals; of which the worker was told */
    uint64_t kill_ns; /* the worker has until then; 0 */
};

void sup_log(struct supervisor *s, const char *format, ...) HB_PRINTF(2, 3);

/* Accept what waits. */
void sup_accept(struct supervisor *s, uint64_t now_ns);
/* Does the listener want to be looked at? *again_ns: when, if not now. */
bool sup_accepts(struct supervisor *s, uint64_t now_ns, uint64_t *again_ns);
/* Give held connections to the worker; false: its socket is full. */
bool sup_hand_over(struct supervisor *s);
/* Let go of those the worker has closed; quiet: and of those that were turned away. */
void sup_sweep(struct supervisor *s, bool quiet);
void sup_closed(struct supervisor *s, uint32_t slot);
/* The worker is gone: answer, and keep what the next one can have (keep), or close all. Returns how many requests were
 * answered for. */
uint32_t sup_worker_lost(struct supervisor *s, bool keep);

#endif
