/* A server as `hearth serve` runs one - supervisor, sandbox, engine, loop - with one thread more in its worker: it reads
 * a byte from standard input, tries the probe of that number and writes what came of it to standard output. So the
 * tests try each call inside a worker that serves clients, and no server for others has such a thread.
 *
 *   live_worker MODEL SOCKET kill|errno|off [FILE BYTES]
 *
 * FILE is mapped as a model's weights are; probe 255 reads its last byte. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "serve/hs_sandbox.h"
#include "serve/hs_server.h"
#include "serve/hs_supervisor.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READ_LAST_BYTE 255

static const char *model_path, *mode, *mapped_path;
static const uint8_t *mapped;
static size_t mapped_size;

static void *tries(void *user)
{
    uint8_t number;
    (void)user;
    while (read(0, &number, 1) == 1) {
        uint8_t result = number == READ_LAST_BYTE ? *(const volatile uint8_t *)&mapped[mapped_size - 1]
                                                  : (uint8_t)hs_probe_attempt((enum hs_probe)number);
        if (write(1, &result, 1) != 1)
            break;
    }
    return NULL;
}

static bool opens(struct hs_engine *engine, hearth_error *err)
{
    hearth_file *file, *extra;
    hearth_model *model;
    hearth_pool *pool;
    hearth_session *session;
    if (mapped_path) {
        if (hearth_file_open(mapped_path, NULL, &extra, err) != HEARTH_OK)
            return false;
        mapped = hearth_file_bytes(extra);
        mapped_size = hearth_file_size(extra);
    }
    return hearth_file_open(model_path, NULL, &file, err) == HEARTH_OK &&
           hearth_model_open(&(hearth_bytes){hearth_file_bytes(file), hearth_file_size(file)}, 1, NULL, &model, err) ==
               HEARTH_OK &&
           hearth_pool_open(&(hearth_pool_config){.struct_size = sizeof(hearth_pool_config), .n_threads = 2}, &pool,
                            err) == HEARTH_OK &&
           hearth_session_open(model,
                               &(hearth_session_config){.struct_size = sizeof(hearth_session_config), .pool = pool,
                                                        .n_ctx = 256, .n_seqs = 4, .n_logits = 4},
                               &session, err) == HEARTH_OK &&
           hs_engine_attach(engine, &(struct hs_engine_model){.name = "books", .model = model, .session = session},
                            err) == HEARTH_OK;
}

static int works(void *user, const struct hs_worker *w)
{
    static struct hs_auth auth = {.no_token = true};
    static struct hs_sandbox sandbox;
    const int keep[] = {w->control, w->files};
    const char *const readable[] = {model_path, mapped_path ? mapped_path : model_path};
    struct hs_engine *engine;
    struct hs_server *server;
    hearth_error err = {0};
    pthread_t thread;
    (void)user;
    hs_sandbox_enter(&sandbox, &(struct hs_sandbox_config){
                                   .mode = strcmp(mode, "off") == 0 ? HS_SANDBOX_OFF : HS_SANDBOX_ON,
                                   .refusal = strcmp(mode, "errno") == 0 ? HS_REFUSE_ERRNO : HS_REFUSE_KILL,
                                   .keep = keep, .n_keep = 2, .readable = readable, .n_readable = 2, .max_files = 96});
    if (hs_engine_create(&(struct hs_engine_config){0}, &engine, &err) != HEARTH_OK || !opens(engine, &err) ||
        hs_server_open(&(struct hs_server_config){.engine = engine, .auth = &auth, .listener = -1, .worker = w}, &server,
                       &err) != HEARTH_OK ||
        pthread_create(&thread, NULL, tries, NULL) != 0 || hs_sandbox_close(&sandbox, &err) != HEARTH_OK) {
        fprintf(stderr, "live_worker: %s\n", err.text);
        return 1;
    }
    hs_worker_ready(w, (uint32_t)sandbox.level);
    return hs_server_run(server, &err) == HEARTH_OK ? 0 : 1;
}

static void says(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "%s\n", line);
}

int main(int argc, char **argv)
{
    hearth_error err = {0};
    struct hs_supervisor_config config = {.worker = works, .log = says, .pause_ms = 1, .max_pause_ms = 5,
                                          .max_deaths = 1000};
    int status;
    if (argc < 4)
        return 2;
    model_path = argv[1];
    mode = argv[3];
    mapped_path = argc > 4 ? argv[4] : NULL;
    if (hs_listen(argv[2], &config.listener, &err) != HEARTH_OK || hs_supervise(&config, &status, &err) != HEARTH_OK) {
        fprintf(stderr, "live_worker: %s\n", err.text);
        return 1;
    }
    hs_unlisten(argv[2], config.listener);
    return 0;
}
