/* The supervisor's loop, and the life of its workers. See hs_supervisor.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "serve/hs_supervisor_state.h"
#include "serve/hs_limits.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS(ms) ((uint64_t)(ms) * 1000000u)
#define SWEEP_NS 1000000000u /* closed connections whose message was lost */

void sup_log(struct supervisor *s, const char *format, ...)
{
    char line[512];
    va_list args;
    if (!s->config.log)
        return;
    va_start(args, format);
    hb_vformat(line, sizeof line, format, args);
    va_end(args);
    s->config.log(s->config.user, line);
}

/* ---- a worker begins ---- */

static _Noreturn void worker_child(struct supervisor *s, const struct hs_worker *w, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
    signal(SIGTERM, SIG_IGN); /* a terminal tells the whole group; the supervisor says when */
    signal(SIGINT, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* the self-probe waits for children */
    sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
    for (uint32_t i = 0; i < s->config.max_connections; i++)
        if (s->conns[i].held != SUP_FREE)
            close(s->conns[i].fd);
    for (uint32_t i = 0; i < SUP_TURNED_AWAY; i++)
        hb_os_handle_close(s->turned_away[i]);
    close(s->signals);
    if (s->config.listener >= 0)
        close(s->config.listener);
    close(s->control);
    close(s->files);
    exit(s->config.worker(s->config.user, w));
}

static void worker_fresh_ledger(struct supervisor *s)
{
    struct hs_ledger *l = s->ledger;
    atomic_store(&l->phase, HS_WORKER_STARTING);
    atomic_store(&l->pong, 0);
    atomic_store(&l->level, 0);
    l->opening[0] = 0;
    l->starts = s->starts;
    l->stalls = s->stalls;
    l->n_refused = 0;
    for (uint32_t i = 0; i < s->n_blamed; i++)
        if (s->blamed[i].deaths >= s->config.max_blame)
            memcpy(l->refused[l->n_refused++], s->blamed[i].name, HS_LEDGER_NAME);
}

static bool worker_start(struct supervisor *s)
{
    int control[2], files[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, control) != 0)
        return false;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, files) != 0) {
        close(control[0]), close(control[1]);
        return false;
    }
    s->starts++;
    worker_fresh_ledger(s);
    fflush(NULL); /* or the child would write it again */
    s->control = control[0];
    s->files = files[0];
    const struct hs_worker w = {control[1], files[1], s->ledger, s->config.max_connections};
    pid_t pid = fork();
    if (pid == 0)
        worker_child(s, &w, parent);
    close(control[1]), close(files[1]);
    if (pid < 0) {
        close(s->control), close(s->files);
        s->control = s->files = -1;
        return false;
    }
    s->pid = pid;
    s->start_ns = 0;
    s->ready = s->late = false;
    s->ping = s->drains = 0;
    sup_log(s, "event=worker_started pid=%d start=%u", (int)pid, (unsigned)s->starts);
    return true;
}

static void worker_is_ready(struct supervisor *s, uint64_t now_ns)
{
    if (s->ready)
        return;
    s->ready = true;
    s->ready_ns = s->ping_ns = now_ns;
    if (s->died_ns)
        sup_log(s, "event=worker_ready pid=%d start=%u after_ms=%u", (int)s->pid, (unsigned)s->starts,
                (unsigned)((now_ns - s->died_ns) / 1000000));
    else
        sup_log(s, "event=worker_ready pid=%d start=%u", (int)s->pid, (unsigned)s->starts);
    if (!s->ever_ready && s->config.ready)
        s->config.ready(s->config.user);
    s->ever_ready = true;
    for (uint32_t i = 0; i < s->n_blamed; i++) /* it was opened after all, unless it was not tried any more */
        if (s->blamed[i].deaths < s->config.max_blame)
            s->blamed[i].deaths = 0;
}

/* ---- a worker ends ---- */

static void worker_blame(struct supervisor *s)
{
    char name[HS_LEDGER_NAME];
    uint32_t i = 0;
    memcpy(name, s->ledger->opening, sizeof name);
    name[sizeof name - 1] = 0;
    if (!name[0])
        return;
    while (i < s->n_blamed && strcmp(s->blamed[i].name, name) != 0)
        i++;
    if (i == HS_LEDGER_MODELS)
        return;
    if (i == s->n_blamed)
        memcpy(s->blamed[s->n_blamed++].name, name, sizeof name);
    s->blamed[i].deaths++;
    sup_log(s, "event=model_blamed model=\"%s\" deaths=%u refused=%d", name, (unsigned)s->blamed[i].deaths,
            s->blamed[i].deaths >= s->config.max_blame);
}

/* Deaths within deaths_ms, this one too. */
static uint32_t worker_deaths(struct supervisor *s, uint64_t now_ns)
{
    uint32_t n = 0;
    s->deaths[s->n_deaths++ % SUP_DEATHS] = now_ns;
    for (uint32_t i = 0; i < SUP_DEATHS && i < s->n_deaths; i++)
        n += now_ns - s->deaths[i] <= MS(s->config.deaths_ms);
    return n;
}

static const char *worker_end_text(int status)
{
    int by = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return by == SIGSYS   ? "a system call that syscalls.def does not list; the kernel's log has its number"
           : by == SIGBUS ? "a file that changed while it was mapped, or bad memory"
           : by == SIGKILL ? "killed, perhaps for memory"
           : by           ? "a signal"
                          : "its own";
}

static hearth_status worker_ended(struct supervisor *s, int status, uint64_t now_ns, bool *over, hearth_error *err)
{
    int by = WIFSIGNALED(status) ? WTERMSIG(status) : 0, code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    bool drained = s->stops > 0;
    /* before the next one has anything: its slots are still as the worker left them */
    uint32_t lost = sup_worker_lost(s, !drained && s->ever_ready);
    sup_log(s, "event=worker_ended pid=%d signal=%d status=%d cause=\"%s\" requests_lost=%u", (int)s->pid, by, code,
            worker_end_text(status), (unsigned)lost);
    close(s->control), close(s->files);
    s->control = s->files = -1;
    s->pid = 0;
    *over = drained;
    if (drained)
        return HEARTH_OK;
    worker_blame(s);
    s->code = code;
    if (!s->ever_ready && !by)
        return hb_fail(err, HEARTH_E_STATE, "the worker could not start: exit status %d", code);
    uint32_t deaths = worker_deaths(s, now_ns);
    if (deaths >= s->config.max_deaths) {
        sup_worker_lost(s, false);
        return hb_fail(err, HEARTH_E_STATE, "%u workers died within %u s, the last by %s (signal %d); none is started again",
                       (unsigned)deaths, (unsigned)(s->config.deaths_ms / 1000), worker_end_text(status), by);
    }
    if (s->ready && now_ns - s->ready_ns >= MS(s->config.calm_ms))
        s->pause_ms = 0;
    s->pause_ms = s->pause_ms == 0 ? s->config.pause_ms : s->pause_ms * 2;
    s->pause_ms = s->pause_ms < s->config.max_pause_ms ? s->pause_ms : s->config.max_pause_ms;
    s->died_ns = now_ns;
    s->start_ns = now_ns + MS(s->pause_ms);
    s->ready = false;
    return HEARTH_OK;
}

/* ---- what comes in ---- */

static void sup_stop(struct supervisor *s, uint64_t now_ns)
{
    s->stops++;
    sup_log(s, "event=drain call=%u", (unsigned)s->stops);
    if (s->stops == 1 && s->config.stopping)
        s->config.stopping(s->config.user);
    s->kill_ns = now_ns + (s->stops == 1 ? MS(s->config.drain_ms) + MS(3000) : s->stops == 2 ? MS(3000) : 0);
}

static hearth_status sup_signals(struct supervisor *s, uint64_t now_ns, bool *over, hearth_error *err)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGCHLD)
            sup_stop(s, now_ns);
    int status;
    if (s->pid && waitpid(s->pid, &status, WNOHANG) == s->pid)
        return worker_ended(s, status, now_ns, over, err);
    return HEARTH_OK;
}

static void sup_control(struct supervisor *s, uint64_t now_ns)
{
    struct hs_control m;
    int fd;
    for (int i = 0; i < 64 && hs_control_recv(s->control, &m, &fd) == 1; i++) {
        hb_os_handle_close(fd);
        if (m.kind == HS_CONTROL_CLOSED)
            sup_closed(s, m.slot);
        else if (m.kind == HS_CONTROL_READY)
            worker_is_ready(s, now_ns);
    }
}

/* One file for the worker: what hb_os_dir_open_handle gives, if it is a regular one. */
static hearth_status sup_open(struct supervisor *s, const char *name, int *fd, hearth_error *err)
{
    struct stat st;
    if (!s->config.models)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s: no directory of models was given", name);
    HB_TRY(hb_os_dir_open_handle(s->config.models, name, fd, err));
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode))
        return HEARTH_OK;
    hb_os_handle_close(*fd);
    *fd = -1;
    return hb_fail(err, HEARTH_E_FORMAT, "%s: no regular file", name);
}

static void sup_files(struct supervisor *s)
{
    struct hs_control m;
    int fd;
    while (hs_control_recv(s->files, &m, &fd) == 1) {
        struct hs_control answer = {.kind = HS_CONTROL_FILE};
        hearth_error err = {0};
        hb_os_handle_close(fd);
        fd = -1;
        if (m.kind != HS_CONTROL_OPEN)
            continue;
        answer.number = (uint32_t)sup_open(s, m.text, &fd, &err);
        hb_format(answer.text, sizeof answer.text, "%s", err.text);
        hs_control_send(s->files, &answer, fd);
        hb_os_handle_close(fd);
    }
}

/* ---- clocks ---- */

static void sup_watch(struct supervisor *s, uint64_t now_ns)
{
    if (!s->ready || s->stops || now_ns < s->ping_ns + MS(s->config.watchdog_ms) / (s->late ? 16 : 2))
        return;
    bool answered = atomic_load(&s->ledger->pong) == s->ping;
    if (answered) {
        if (s->late)
            sup_log(s, "event=worker_answers pid=%d", (int)s->pid);
        s->late = false;
        s->ping++;
        if (hs_control_send(s->control, &(struct hs_control){.kind = HS_CONTROL_PING, .number = s->ping}, -1))
            s->ping_ns = now_ns;
        else
            s->ping--; /* full: the next round */
    } else if (!s->late && now_ns >= s->ping_ns + MS(s->config.watchdog_ms)) {
        s->late = true;
        s->ledger->stalls = ++s->stalls;
        sup_log(s, "event=worker_late pid=%d ms=%u killed=%d", (int)s->pid,
                (unsigned)((now_ns - s->ping_ns) / 1000000), s->config.watchdog_kills);
        if (s->config.watchdog_kills)
            kill(s->pid, SIGKILL);
    }
}

/* What could not be said, or was not heard, when it was due. */
static void sup_again(struct supervisor *s, uint64_t now_ns)
{
    while (s->pid && s->drains < s->stops &&
           hs_control_send(s->control, &(struct hs_control){.kind = HS_CONTROL_DRAIN}, -1))
        s->drains++;
    if (s->pid && atomic_load(&s->ledger->phase) == HS_WORKER_READY)
        worker_is_ready(s, now_ns);
}

static void sup_clocks(struct supervisor *s, uint64_t now_ns)
{
    sup_again(s, now_ns);
    if (s->pid == 0 && s->start_ns && now_ns >= s->start_ns && !s->stops && !worker_start(s))
        s->start_ns = now_ns + MS(s->config.max_pause_ms);
    if (s->pid && s->kill_ns && now_ns >= s->kill_ns) {
        kill(s->pid, SIGKILL);
        s->kill_ns = now_ns + MS(1000);
    }
    sup_watch(s, now_ns);
}

static int sup_timeout(const struct supervisor *s, uint64_t now_ns, uint64_t at)
{
    if (s->pid == 0 && s->start_ns && s->start_ns < at)
        at = s->start_ns;
    if (s->kill_ns && s->kill_ns < at)
        at = s->kill_ns;
    if (s->ready) {
        uint64_t watch = s->ping_ns + MS(s->config.watchdog_ms) / 2;
        watch = watch > now_ns ? watch : now_ns + MS(s->config.watchdog_ms) / 16 + 1000000;
        at = watch < at ? watch : at;
    }
    return at <= now_ns ? 0 : (int)((at - now_ns) / 1000000 + 1);
}

/* ---- the loop ---- */

static hearth_status sup_round(struct supervisor *s, bool *over, hearth_error *err)
{
    uint64_t now = hb_os_now_ns(), at = now + SWEEP_NS;
    bool full = !sup_hand_over(s);
    bool accepts = sup_accepts(s, now, &at);
    struct pollfd fds[] = {{s->signals, POLLIN, 0},
                           {s->control, (short)(POLLIN | (full ? POLLOUT : 0)), 0},
                           {s->files, POLLIN, 0},
                           {accepts ? s->config.listener : -1, POLLIN, 0}};
    int n = poll(fds, HB_COUNT(fds), sup_timeout(s, now, at));
    if (n < 0 && errno != EINTR)
        return hb_fail(err, HEARTH_E_IO, "poll: %s", strerror(errno));
    if (n < 0)
        return HEARTH_OK;
    now = hb_os_now_ns();
    if (fds[1].revents & POLLIN)
        sup_control(s, now);
    if (fds[2].revents & POLLIN)
        sup_files(s);
    if (fds[0].revents)
        HB_TRY(sup_signals(s, now, over, err));
    else if ((fds[1].revents & POLLHUP) && s->control >= 0) /* it ends: SIGCHLD is on its way */
        poll(fds, 1, 100);
    if (fds[3].revents)
        sup_accept(s, now);
    if (n == 0)
        sup_sweep(s, true);
    sup_clocks(s, now);
    *over = *over || (s->stops && s->pid == 0);
    return HEARTH_OK;
}

static void sup_defaults(struct hs_supervisor_config *c)
{
    static const struct hs_supervisor_config d = {
        .max_connections = HS_MAX_CONNECTIONS, .max_strangers = HS_MAX_STRANGERS, .pause_ms = HS_RESTART_MS,
        .max_pause_ms = HS_RESTART_MOST_MS, .calm_ms = 10000, .max_deaths = HS_CRASHES, .deaths_ms = HS_CRASHES_MS,
        .max_blame = HS_BLAMES, .drain_ms = HS_DRAIN_MS, .watchdog_ms = HS_WATCHDOG_MS};
#define OR(field) c->field = c->field ? c->field : d.field
    OR(max_connections), OR(max_strangers), OR(pause_ms), OR(max_pause_ms), OR(calm_ms);
    OR(max_deaths), OR(deaths_ms), OR(max_blame), OR(drain_ms), OR(watchdog_ms);
#undef OR
}

static hearth_status sup_begin(struct supervisor *s, hearth_error *err)
{
    sigset_t mask;
    s->conns = calloc(s->config.max_connections, sizeof *s->conns);
    s->frames = malloc(HS_LEDGER_IDS * 256u);
    if (!s->conns || !s->frames)
        return hb_fail(err, HEARTH_E_MEMORY, "supervisor: no memory");
    for (uint32_t i = 0; i < s->config.max_connections; i++)
        s->conns[i].fd = -1;
    memset(s->turned_away, -1, sizeof s->turned_away);
    HB_TRY(hs_ledger_create(s->config.max_connections, &s->ledger, err));
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM), sigaddset(&mask, SIGINT), sigaddset(&mask, SIGCHLD);
    s->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals < 0 || sigprocmask(SIG_BLOCK, &mask, &s->old_mask) != 0)
        return hb_fail(err, HEARTH_E_IO, "supervisor: %s", strerror(errno));
    if (!worker_start(s))
        return hb_fail(err, HEARTH_E_IO, "supervisor: a worker cannot be started: %s", strerror(errno));
    return HEARTH_OK;
}

static void sup_end(struct supervisor *s)
{
    if (s->pid) {
        kill(s->pid, SIGKILL);
        while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (s->ledger && s->conns) {
        sup_worker_lost(s, false);
        sup_sweep(s, true);
    }
    hb_os_handle_close(s->control), hb_os_handle_close(s->files);
    if (s->signals >= 0) {
        struct signalfd_siginfo info;
        while (read(s->signals, &info, sizeof info) > 0) /* none is to come behind the end */
            ;
        close(s->signals);
        sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
    }
    hs_ledger_free(s->ledger, s->config.max_connections);
    free(s->frames);
    free(s->conns);
}

hearth_status hs_supervise(const struct hs_supervisor_config *config, int *exit_status, hearth_error *err)
{
    struct supervisor s = {.config = *config, .signals = -1, .control = -1, .files = -1, .uid = geteuid()};
    bool over = false;
    sup_defaults(&s.config);
    hk_select(&s.kernels, 0, HK_LEVEL_COUNT); /* the scalar ones: an error in a while */
    hearth_status status = sup_begin(&s, err);
    while (status == HEARTH_OK && !over)
        status = sup_round(&s, &over, err);
    *exit_status = status != HEARTH_OK && !s.ever_ready ? s.code : 0;
    sup_end(&s);
    return status;
}
