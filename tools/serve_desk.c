/* The desk of hearth serve: see serve_desk.h. */
#include "serve_desk.h"
#include "client.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST "manifest.json"

/* ---- before the processes ---- */

/* Words of a file, a line each; empty lines and line ends of either kind do not count. */
static int desk_words(const char *path, const char *replacement, struct hb_arena *arena, struct hs_filter **out)
{
    struct hc_text text;
    hearth_error err = {0};
    int rc = hc_text_read(path, &text);
    if (rc != HC_OK)
        return rc;
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        n += text.bytes[i] == '\n';
    struct hs_word *words = calloc(n, sizeof *words);
    n = 0;
    for (size_t at = 0; words && at < text.len;) {
        const char *end = memchr(text.bytes + at, '\n', text.len - at);
        size_t next = end ? (size_t)(end - text.bytes) : text.len, len = next - at;
        len -= len && text.bytes[at + len - 1] == '\r';
        if (len)
            words[n++] = (struct hs_word){text.bytes + at, len};
        at = next + 1;
    }
    hearth_status status = words ? hs_filter_create(words, n, replacement, strlen(replacement), arena, out, &err)
                                 : HEARTH_E_MEMORY;
    free(words);
    free(text.bytes);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_REFUSED, path, status, &err);
}

static int desk_directory(struct serve_desk *d, const char *path)
{
    struct stat st;
    hearth_error err = {0};
    hearth_status status = hb_os_dir_open(path, &d->dir, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, path, status, &err);
    if (fstat(d->dir.handle, &st) == 0 && (st.st_mode & S_IWOTH))
        fprintf(stderr, "hearth: %s: mode %o; anybody may put models there\n", path, (unsigned)(st.st_mode & 07777));
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
        fprintf(stderr, "hearth: %s: a link; what it leads to now is served, whatever it leads to later\n", path);
    return HC_OK;
}

int serve_desk_read(struct serve_desk *d, const struct serve_desk_settings *settings)
{
    enum hs_log_level level;
    const char *replacement = settings->replacement ? settings->replacement : "***";
    d->settings = settings;
    d->dir.handle = d->wake = -1;
    hb_arena_init_growing(&d->arena, hb_os_heap());
    if (settings->log && strcmp(settings->log, "none") != 0 && !hs_log_level_named(settings->log, &level))
        return hc_fail(HC_USAGE, "--log", "\"%s\"; debug, info, warn, error and none are accepted", settings->log);
    int rc = settings->models ? desk_directory(d, settings->models) : HC_OK;
    if (rc == HC_OK && settings->blocklist)
        rc = desk_words(settings->blocklist, replacement, &d->arena, &d->blocked_out);
    if (rc == HC_OK && settings->block_input)
        rc = desk_words(settings->block_input, "***", &d->arena, &d->blocked_in);
    return rc;
}

void serve_desk_forget(struct serve_desk *d)
{
    hb_os_dir_close(&d->dir);
    hb_arena_release(&d->arena);
}

/* ---- in the worker ---- */

static hearth_status desk_open_file(void *user, const char *name, int *handle, hearth_error *err)
{
    return hs_worker_open(((struct serve_desk *)user)->worker, name, handle, err);
}

static void desk_loading(void *user, const char *name)
{
    hs_ledger_opening(((struct serve_desk *)user)->worker->ledger, name);
}

static bool desk_refuses(void *user, const char *name)
{
    return hs_ledger_refuses(((struct serve_desk *)user)->worker->ledger, name);
}

int serve_desk_open(struct serve_desk *d, const struct hc_common *common, const struct hs_worker *worker,
                    struct hs_engine_config *config)
{
    const struct serve_desk_settings *s = d->settings;
    const bool there = s->models != NULL, ledger = worker->ledger != NULL;
    hearth_error err = {0};
    struct hs_desk_config c = {
        .models = {.dir = there ? &d->dir : NULL, .open = ledger ? desk_open_file : NULL, .open_user = d,
                   .loading = ledger ? desk_loading : NULL, .refuses = ledger ? desk_refuses : NULL, .watch_user = d,
                   .level = common->level},
        .manifest = there ? MANIFEST : NULL, .owner_only = true, .log_fd = STDERR_FILENO, .log_level = HS_LOG_WARN,
        .sandbox = d->sandbox, .restarts = ledger && worker->ledger->starts ? worker->ledger->starts - 1 : 0};
    strcpy(d->sandbox, "null");
    d->worker = worker;
    if (s->log && strcmp(s->log, "none") == 0)
        c.log_fd = -1;
    else if (s->log)
        hs_log_level_named(s->log, &c.log_level);
    if (there) {
        const hearth_pool_config pool = {.struct_size = sizeof pool, .n_threads = common->threads,
                                         .flags = common->no_thread_pool ? HEARTH_POOL_OFF : 0};
        hearth_status status = hearth_pool_open(&pool, &d->pool, &err);
        if (status != HEARTH_OK)
            return hc_fail_status(HC_LIMIT, "threads", status, &err);
        c.models.pool = d->pool;
    }
    hearth_status status = hs_desk_create(&c, &d->desk, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_LIMIT, "desk", status, &err);
    hs_desk_engine(d->desk, config);
    config->blocked_in = d->blocked_in;
    config->blocked_out = d->blocked_out;
    config->stop_at_blocked = s->block_stops;
    return HC_OK;
}

int serve_desk_begin(struct serve_desk *d, struct hs_engine *engine)
{
    hearth_error err = {0};
    hearth_status status = hs_desk_begin(d->desk, engine, &err);
    return status == HEARTH_OK ? HC_OK
                               : hc_fail_status(HC_REFUSED, d->settings->models ? d->settings->models : "desk", status,
                                                &err);
}

static void desk_turn(void *user, uint64_t now_ns)
{
    struct serve_desk *d = user;
    d->more = hs_desk_step(d->desk, now_ns);
}

static uint64_t desk_deadline(void *user)
{
    struct serve_desk *d = user;
    return d->more ? 0 : hs_desk_wake_ns(d->desk);
}

int serve_desk_join(struct serve_desk *d, struct hs_server *server)
{
    hearth_error err = {0};
    d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const struct hs_watch watch = {.fd = d->wake, .ready = desk_turn, .deadline = desk_deadline, .always = true, .user = d};
    hearth_status status = hs_server_watch(server, &watch, &err);
    hs_desk_server(d->desk, server);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_LIMIT, "server", status, &err);
}

void serve_desk_sandbox(struct serve_desk *d, const struct hs_sandbox *sandbox)
{
    if (hs_sandbox_json(sandbox, d->sandbox, sizeof d->sandbox) == 0)
        strcpy(d->sandbox, "null");
    hs_desk_level(d->desk, hs_level_text(sandbox->level));
}

void serve_desk_close(struct serve_desk *d)
{
    hs_desk_destroy(d->desk);
    hearth_pool_close(d->pool);
    if (d->wake >= 0)
        close(d->wake);
}
