/* Which model files a run finds, and how it opens them. */
#define _GNU_SOURCE
#include "bench/tiers/bn_tier.h"
#include "bn_run.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *const role_names[BN_ROLES] = {"classifier", "embedder", "generator", "fast", "small"};

/* Files that may stand for a role beside the one that the tier names: a synthetic file as synth_model.py calls it,
 * and this tree's own of the same kind. */
static const char *const role_files[BN_ROLES][3] = {
    [BN_CLASSIFIER] = {"synthetic-tinybert-classifier.onnx", "tinybert-classifier-int8.onnx", NULL},
    [BN_EMBEDDER] = {"synthetic-minilm-embedder.onnx", "sentence-embedder-int8.onnx", NULL},
    [BN_GENERATOR] = {"phi-3-mini-q4_k_m.gguf", NULL, NULL},
    [BN_FAST] = {"smollm-360m-q8_0.gguf", NULL, NULL},
    [BN_SMALL] = {"books-33m-q4_k_m.gguf", NULL, NULL},
};

const char *bn_role_name(enum bn_role role)
{
    return role_names[role];
}

static bool models_there(char *path, size_t size, const char *dir, const char *name)
{
    struct stat st;
    snprintf(path, size, "%s/%s", dir, name);
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Does the file call itself synthetic? GGUF and ONNX both have the name near one of their ends. */
static const char *models_own_name(const char *path)
{
    static char piece[2][1 << 16];
    const char *found = "";
    FILE *f = fopen(path, "rb");
    for (int end = 0; f && end < 2; end++) {
        size_t n;
        if (end && fseek(f, -(long)sizeof piece[0], SEEK_END) != 0)
            break;
        n = fread(piece[end], 1, sizeof piece[end], f);
        if (memmem(piece[end], n, "synthetic", 9))
            found = "synthetic";
    }
    if (f)
        fclose(f);
    return found;
}

/* true: m is filled. A file that is not what the manifest says is not used, and *why tells. */
static bool models_look(const struct bn_run *run, enum bn_role role, const char *name, struct bn_model *m,
                        char why[200])
{
    struct bn_manifest_row row;
    char manifest[512];
    hearth_error err = {0};
    struct stat st;
    *m = (struct bn_model){.role = role};
    char own[512];
    snprintf(own, sizeof own, "%s/models", run->fixtures);
    if (!models_there(m->path, sizeof m->path, own, name) &&
        !(run->models && models_there(m->path, sizeof m->path, run->models, name))) {
        snprintf(why, 200, "%s is not there", name);
        return false;
    }
    snprintf(manifest, sizeof manifest, "%s/models/manifest.tsv", run->fixtures);
    bool known = bn_manifest_find(manifest, name, &row, NULL) == HEARTH_OK;
    if (bn_origin_of(m->path, known ? &row : NULL, models_own_name(m->path), &m->origin, &err) != HEARTH_OK) {
        snprintf(why, 200, "%s: %s", name, err.text);
        return false;
    }
    if (stat(m->path, &st) == 0)
        m->bytes = (uint64_t)st.st_size;
    snprintf(m->label, sizeof m->label, "%s%s", m->origin == BN_SYNTHETIC && !strstr(name, "synthetic") ? "synthetic " : "",
             name);
    return true;
}

size_t bn_models_find(const struct bn_run *run, enum bn_role role, struct bn_model *found, size_t most, char why[200])
{
    const char *named = run->tier && role < BN_TIER_MODELS ? run->tier->model[role].file : "";
    size_t n = 0;
    char other[200];
    bool there = false;
    why[0] = 0;
    if (named[0] && n < most && (there = models_look(run, role, named, &found[n], why)))
        n++;
    for (size_t i = 0; i < 3 && role_files[role][i] && n < most; i++) {
        struct bn_model *m = &found[n];
        if (!models_look(run, role, role_files[role][i], m, other)) {
            if (!why[0])
                snprintf(why, 200, "%s", other);
            continue;
        }
        if (!(there && m->origin == BN_SYNTHETIC)) /* the file itself is there */
            n++;
    }
    return n;
}

int bn_model_open(struct bn_run *run, struct bn_model *m)
{
    hearth_error err = {0};
    hearth_file_config file = {.struct_size = sizeof file, .flags = BN_ON(run, mmap_loading) ? 0 : HEARTH_FILE_NO_MMAP};
    hearth_model_config config = {.struct_size = sizeof config};
    config.flags = (BN_ON(run, gguf) ? 0u : HEARTH_MODEL_NO_GGUF) | (BN_ON(run, onnx) ? 0u : HEARTH_MODEL_NO_ONNX) |
                   (BN_ON(run, simd_tokenizer) ? 0u : HEARTH_MODEL_NO_SIMD_TOKENIZER);
    if (hearth_file_open(m->path, &file, &m->file, &err) != HEARTH_OK)
        return bn_refuse(run, "%s: %s", m->label, err.text);
    hearth_bytes bytes = {hearth_file_bytes(m->file), hearth_file_size(m->file)};
    if (hearth_model_open(&bytes, 1, &config, &m->model, &err) != HEARTH_OK)
        return bn_refuse(run, "%s: %s", m->label, err.text);
    m->info.struct_size = sizeof m->info;
    hearth_model_get_info(m->model, &m->info);
    return 0;
}

void bn_model_close(struct bn_model *m)
{
    hearth_model_close(m->model);
    hearth_file_close(m->file);
    m->model = NULL;
    m->file = NULL;
}

void bn_of_model(struct bn_result *r, const struct bn_model *m)
{
    snprintf(r->role, sizeof r->role, "%s", role_names[m->role]);
    snprintf(r->model, sizeof r->model, "%s", m->label);
    snprintf(r->weights, sizeof r->weights, "%s", bn_origin_text(m->origin));
}

int bn_run_threads(const struct bn_run *run)
{
    return !BN_ON(run, thread_pool) ? 1 : run->threads > 0 ? run->threads : run->machine.cpus;
}

int bn_session_open(struct bn_run *run, const struct bn_model *m, hearth_session_config *config, int threads,
                    struct bn_session *s)
{
    hearth_error err = {0};
    hearth_pool_config pool = {.struct_size = sizeof pool, .n_threads = threads ? threads : bn_run_threads(run),
                               .flags = BN_ON(run, thread_pool) ? 0 : HEARTH_POOL_OFF};
    *s = (struct bn_session){.threads = pool.n_threads};
    config->struct_size = sizeof *config;
    config->flags |= (BN_ON(run, arena_allocator) ? 0u : HEARTH_SESSION_NO_ARENA) |
                     (BN_ON(run, kv_cache) ? 0u : HEARTH_SESSION_NO_KV_CACHE);
    if (hearth_pool_open(&pool, &s->pool, &err) != HEARTH_OK)
        return bn_refuse(run, "threads: %s", err.text);
    config->pool = s->pool;
    if (hearth_session_open(m->model, config, &s->session, &err) == HEARTH_OK)
        return 0;
    return bn_refuse(run, "%s: %s", m->label, err.text);
}

void bn_session_close(struct bn_session *s)
{
    hearth_session_close(s->session);
    hearth_pool_close(s->pool);
    *s = (struct bn_session){0};
}

/* ---- processes ---- */

int bn_child(const struct bn_run *run, const char *const *args, char *out, size_t size, uint64_t *first_ns,
             uint64_t *end_ns)
{
    char *argv[32] = {(char *)(uintptr_t)run->self};
    int fds[2], status = 0;
    pid_t pid;
    size_t n = 0, used = 0;
    posix_spawn_file_actions_t actions;
    while (args[n] && n < 30)
        argv[n + 1] = (char *)(uintptr_t)args[n], n++;
    *first_ns = *end_ns = 0;
    if (!run->self || pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    uint64_t t0 = bn_now_ns();
    int rc = posix_spawn(&pid, run->self, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    for (ssize_t got = 1; rc == 0 && got > 0;) {
        char rest[4096];
        bool room = used + 1 < size;
        got = read(fds[0], room ? out + used : rest, room ? size - 1 - used : sizeof rest);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0) {
            *first_ns = *first_ns ? *first_ns : bn_now_ns() - t0;
            used += room ? (size_t)got : 0;
        }
    }
    if (size)
        out[used] = 0;
    close(fds[0]);
    if (rc != 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    *end_ns = bn_now_ns() - t0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

double bn_json_number(const char *json, const char *path)
{
    for (const char *key = path; *key;) {
        char quoted[64];
        size_t len = strcspn(key, ".");
        snprintf(quoted, sizeof quoted, "\"%.*s\":", (int)len, key);
        json = strstr(json, quoted);
        if (!json)
            return NAN;
        json += strlen(quoted);
        key += len + (key[len] == '.');
    }
    char *end;
    double v = strtod(json, &end);
    return end == json ? NAN : v;
}

/* ---- a server in the background ---- */

int bn_serve_start(const struct bn_run *run, const char *const *args, long *pid)
{
    char *argv[32] = {(char *)(uintptr_t)run->self};
    pid_t child;
    posix_spawn_file_actions_t actions;
    for (size_t n = 0; args[n] && n < 30; n++)
        argv[n + 1] = (char *)(uintptr_t)args[n];
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int rc = run->self ? posix_spawn(&child, run->self, &actions, NULL, argv, environ) : -1;
    posix_spawn_file_actions_destroy(&actions);
    *pid = child;
    return rc;
}

void bn_serve_stop(long pid)
{
    int status;
    kill((pid_t)pid, SIGTERM);
    for (int i = 0; i < 500 && waitpid((pid_t)pid, &status, WNOHANG) == 0; i++)
        poll(NULL, 0, 10);
    kill((pid_t)pid, SIGKILL); /* does nothing when it has gone */
    waitpid((pid_t)pid, &status, 0);
}
