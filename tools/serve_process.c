/* Supervisor, worker, sandbox: see serve_process.h. */
#include "serve_process.h"
#include "serve/hs_server.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SPARE_DESCRIPTORS 64 /* of a worker, beside its connections */

static void process_say(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "hearth: %s\n", line);
}

/* ---- systemd ---- */

/* The socket that systemd listens on for us (sd_listen_fds(3)); -1: none. */
static int process_inherited(void)
{
    const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
    if (!pid || !n || strtol(pid, NULL, 10) != (long)getpid() || strtol(n, NULL, 10) < 1)
        return -1;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    fcntl(3, F_SETFD, FD_CLOEXEC);
    fcntl(3, F_SETFL, fcntl(3, F_GETFL) | O_NONBLOCK);
    return 3;
}

/* sd_notify(3): one datagram to a Unix socket. */
static void process_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof a.sun_path)
        return;
    memcpy(a.sun_path, path, len);
    if (path[0] == '@')
        a.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&a,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

static void process_ready(void *user)
{
    const struct serve_process *p = user;
    fprintf(stderr, "hearth: listening on %s\n", p->socket ? p->socket : "the socket of systemd");
    process_notify("READY=1");
}

static void process_stopping(void *user)
{
    (void)user;
    process_notify("STOPPING=1");
}

/* ---- the worker ---- */

static void process_enter(struct serve_process *p, const struct hs_worker *worker)
{
    const struct serve_process_settings *s = p->settings;
    const char *mode = s->sandbox ? s->sandbox : "on";
    const bool beneath = !worker->ledger && p->models && p->models->handle >= 0;
    const uint32_t doors = p->also_listens >= 0 ? 2 : 1;
    int keep[4];
    size_t n = 0;
    keep[n++] = worker->ledger ? worker->control : p->listener;
    if (worker->ledger || beneath)
        keep[n++] = worker->ledger ? worker->files : p->models->handle;
    if (p->also_listens >= 0)
        keep[n++] = p->also_listens;
    const struct hs_sandbox_config config = {
        .mode = strcmp(mode, "off") == 0       ? HS_SANDBOX_OFF
                : strcmp(mode, "require") == 0 ? HS_SANDBOX_REQUIRE
                                               : HS_SANDBOX_ON,
        .refusal = s->sandbox_errno ? HS_REFUSE_ERRNO : HS_REFUSE_KILL,
        .keep = keep, .n_keep = n,
        .readable = p->readable, .n_readable = p->n_readable,
        .max_files = doors * p->limits->connections + SPARE_DESCRIPTORS};
    hs_sandbox_enter(&p->sandbox, &config);
}

static int process_worker(void *user, const struct hs_worker *worker)
{
    struct serve_process *p = user;
    process_enter(p, worker);
    return p->work(p->user, worker, worker->ledger ? -1 : p->listener);
}

int serve_close_door(struct serve_process *p, const struct hs_worker *worker)
{
    hearth_error err = {0};
    const struct hs_sandbox *s = &p->sandbox;
    hearth_status status = hs_sandbox_close(&p->sandbox, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_LIMIT, "--sandbox", status, &err);
    fprintf(stderr, "hearth: event=sandbox level=%s us=%u", hs_level_text(s->level),
            (unsigned)((s->enter_ns + s->close_ns) / 1000));
    for (int i = 0; i < HS_LAYER_COUNT; i++)
        if (s->layers[i].held != HS_HELD_ENFORCED && s->mode != HS_SANDBOX_OFF)
            fprintf(stderr, " %s=\"%s: %s\"", hs_layer_text((enum hs_layer)i), hs_held_text(s->layers[i].held),
                    s->layers[i].why);
    fprintf(stderr, "\n");
    if (worker->ledger)
        hs_worker_ready(worker, (uint32_t)s->level);
    else
        process_ready(p);
    return HC_OK;
}

/* ---- the supervisor ---- */

static int process_supervise(struct serve_process *p)
{
    const struct serve_process_settings *s = p->settings;
    hearth_error err = {0};
    int worker_status = 0;
    const struct hs_supervisor_config config = {
        .listener = p->listener, .models = p->models, .max_connections = p->limits->connections,
        .max_strangers = p->limits->strangers, .drain_ms = p->limits->drain_ms, .pause_ms = p->limits->restart_ms,
        .max_pause_ms = p->limits->restart_most_ms, .max_deaths = p->limits->crashes, .deaths_ms = p->limits->crashes_ms,
        .max_blame = p->limits->blames,
        .watchdog_ms = p->limits->watchdog_ms, .watchdog_kills = s->watchdog_kill,
        .worker = process_worker, .log = process_say, .ready = process_ready, .stopping = process_stopping, .user = p};
    hearth_status status = hs_supervise(&config, &worker_status, &err);
    if (status == HEARTH_OK)
        return HC_OK;
    if (worker_status) /* it has said why */
        return worker_status;
    return hc_fail_status(HC_FAILED, "supervisor", status, &err);
}

static int process_settings(const struct serve_process *p)
{
    const char *mode = p->settings->sandbox;
    if (mode && strcmp(mode, "on") != 0 && strcmp(mode, "require") != 0 && strcmp(mode, "off") != 0)
        return hc_fail(HC_USAGE, "--sandbox", "\"%s\"; on, require and off are accepted", mode);
    return HC_OK;
}

int serve_processes(struct serve_process *p)
{
    hearth_error err = {0};
    int rc = process_settings(p);
    if (rc != HC_OK)
        return rc;
    p->listener = p->socket ? -1 : process_inherited();
    if (!p->socket && p->listener < 0)
        return hc_fail(HC_USAGE, "--socket", "not given; the path of a socket is needed");
    if (p->socket) {
        hearth_status status = hs_listen(p->socket, &p->listener, &err);
        if (status != HEARTH_OK)
            return hc_fail_status(HC_REFUSED, p->socket, status, &err);
    }
    static const struct hs_worker alone = {.control = -1, .files = -1};
    rc = p->settings->no_supervisor ? process_worker(p, &alone) : process_supervise(p);
    if (p->socket) /* which a sandbox without supervisor refuses: the next server clears it away */
        hs_unlisten(p->socket, p->listener);
    close(p->listener);
    return rc;
}
