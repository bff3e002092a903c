#include "client.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- models ---- */

#define CLIENT_SPLIT_TAIL "-00001-of-00002.gguf" /* five digits each */

/* Is path the part `no` of `count` of a split model? Counted from 1. */
static bool client_split_name(const char *path, int *no, int *count)
{
    size_t len = strlen(path), tail = strlen(CLIENT_SPLIT_TAIL);
    if (len < tail)
        return false;
    const char *p = path + len - tail;
    int used = 0;
    return sscanf(p, "-%5d-of-%5d.gguf%n", no, count, &used) == 2 && used == (int)tail &&
           *no >= 1 && *no <= *count;
}

static int client_file_open(const struct hc_common *common, const char *path, struct hc_model *m)
{
    hearth_file_config config = {.struct_size = sizeof config,
                                 .flags = common->no_mmap ? HEARTH_FILE_NO_MMAP : 0};
    hearth_error err = {0};
    if (common->memory_limit) {
        if (m->file_bytes >= common->memory_limit)
            return hc_fail(HC_LIMIT, path, "the parts before it have %llu bytes; "
                           "--memory-limit is %llu", (unsigned long long)m->file_bytes,
                           (unsigned long long)common->memory_limit);
        config.max_bytes = common->memory_limit - m->file_bytes;
    }
    hearth_status status = hearth_file_open(path, &config, &m->files[m->n_files], &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, path, status, &err);
    m->file_bytes += hearth_file_size(m->files[m->n_files++]);
    return HC_OK;
}

/* Without --memory-limit the library's own: 2 GiB beyond the files. */
static int client_memory_open(const struct hc_common *common, struct hc_model *m)
{
    hearth_error err = {0};
    hearth_memory_config config = {.struct_size = sizeof config, .n_calls = 1, .n_buffers = 1};
    if (common->memory_limit)
        config.max_bytes = common->memory_limit - m->file_bytes;
    if (common->memory_limit && common->memory_limit <= m->file_bytes)
        return hc_fail(HC_LIMIT, m->path, "the file has %llu bytes; --memory-limit is %llu",
                       (unsigned long long)m->file_bytes, (unsigned long long)common->memory_limit);
    hearth_status status = hearth_memory_open(&config, &m->memory, &err);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_LIMIT, "--memory-limit", status, &err);
}

static bool client_weights(const char *name, hearth_weights *weights)
{
    *weights = !name                       ? HEARTH_WEIGHTS_STORED
               : strcmp(name, "q8_0") == 0 ? HEARTH_WEIGHTS_Q8_0
                                           : HEARTH_WEIGHTS_BF16;
    return !name || strcmp(name, "q8_0") == 0 || strcmp(name, "bf16") == 0;
}

int hc_files_open(const struct hc_common *common, struct hc_model *m)
{
    int no = 1, count = 1;
    *m = (struct hc_model){.path = common->model, .external_data = common->external_data,
                           .no_simd_tokenizer = common->no_simd_tokenizer,
                           .process_bytes = hc_process_rss()};
    if (!client_weights(common->weights, &m->weights))
        return hc_fail(HC_USAGE, "--weights", "%s; q8_0 and bf16 are accepted", common->weights);
    bool split = client_split_name(m->path, &no, &count);
    if (split && no != 1)
        return hc_fail(HC_USAGE, m->path, "part %d of a split model; its first part, "
                       "NAME-00001-of-%05d.gguf, is accepted", no, count);
    m->files = calloc((size_t)count, sizeof *m->files);
    size_t size = strlen(m->path) + 32;
    char *path = malloc(size);
    int rc = m->files && path ? HC_OK : hc_fail(HC_LIMIT, m->path, "no memory for its name");
    for (int i = 1; rc == HC_OK && i <= count; i++) {
        size_t stem = strlen(m->path) - (split ? strlen(CLIENT_SPLIT_TAIL) : 0);
        snprintf(path, size, "%.*s", (int)stem, m->path);
        if (split)
            snprintf(path + stem, size - stem, "-%05d-of-%05d.gguf", i, count);
        rc = client_file_open(common, path, m);
    }
    free(path);
    return rc == HC_OK ? client_memory_open(common, m) : rc;
}

hearth_status hc_model_from_files(struct hc_model *m, uint32_t flags, hearth_error *err)
{
    hearth_bytes *bytes = calloc(m->n_files, sizeof *bytes);
    if (!bytes)
        return HEARTH_E_MEMORY;
    for (size_t i = 0; i < m->n_files; i++)
        bytes[i] = (hearth_bytes){hearth_file_bytes(m->files[i]), hearth_file_size(m->files[i])};
    flags |= m->no_simd_tokenizer ? HEARTH_MODEL_NO_SIMD_TOKENIZER : 0;
    hearth_model_config config = {.struct_size = sizeof config, .flags = flags, .weights = m->weights,
                                  .allocator = hearth_memory_allocator(m->memory)};
    const char *slash = strrchr(m->path, '/');
    char *dir = NULL; /* the model's own */
    if (m->external_data) {
        dir = slash ? strndup(m->path, (size_t)(slash - m->path) + 1) : strdup(".");
        config.external_dir = dir;
    }
    hearth_status status = hearth_model_open(bytes, m->n_files, &config, &m->model, err);
    free(dir);
    free(bytes);
    if (status != HEARTH_OK)
        return status;
    m->info.struct_size = sizeof m->info;
    hearth_model_get_info(m->model, &m->info);
    return HEARTH_OK;
}

int hc_model_open(const struct hc_common *common, uint32_t flags, struct hc_model *m)
{
    hearth_error err = {0};
    int rc = hc_files_open(common, m);
    if (rc != HC_OK)
        return rc;
    hearth_status status = hc_model_from_files(m, flags, &err);
    hearth_memory_info info = {.struct_size = sizeof info};
    hearth_memory_get_info(m->memory, &info);
    if (status == HEARTH_E_MEMORY && info.refusals > 0)
        return hc_fail(HC_LIMIT, m->path, "the model needs more than the %llu bytes that are in use; "
                       "the limit beyond its file is %llu", (unsigned long long)info.peak_bytes,
                       (unsigned long long)info.max_bytes);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_REFUSED, m->path, status, &err);
}

void hc_model_close(struct hc_model *m)
{
    hearth_model_close(m->model);
    for (size_t i = 0; i < m->n_files; i++)
        hearth_file_close(m->files[i]);
    free(m->files);
    hearth_memory_close(m->memory);
    *m = (struct hc_model){0};
}

uint64_t hc_model_token_bytes(const struct hc_model *m)
{
    uint64_t all = 0, embedding = 0, row = 0;
    bool output = false;
    size_t n = hearth_model_tensor_count(m->model);
    for (size_t i = 0; i < n; i++) {
        hearth_tensor_info t = {.struct_size = sizeof t};
        if (hearth_model_tensor(m->model, i, &t, NULL) != HEARTH_OK)
            break;
        if (m->info.n_experts > 0 && strstr(t.name, "_exps."))
            t.bytes = t.bytes / (uint64_t)m->info.n_experts * (uint64_t)m->info.n_experts_used;
        all += t.bytes;
        output = output || strcmp(t.name, "output.weight") == 0;
        if (strcmp(t.name, "token_embd.weight") == 0 && t.rank > 0 && t.dim[0] > 0) {
            embedding = t.bytes;
            row = t.bytes / (uint64_t)t.dim[0];
        }
    }
    return output ? all - embedding + row : all;
}

/* ---- sessions ---- */

static bool client_level_known(const char *level)
{
    const char *name;
    for (size_t i = 0; (name = hearth_level_name(i)) != NULL; i++)
        if (strcmp(name, level) == 0)
            return true;
    return false;
}

static int client_refuse_level(const char *level)
{
    char known[256] = "";
    const char *name;
    for (size_t i = 0; (name = hearth_level_name(i)) != NULL; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", name);
    return hc_fail(HC_USAGE, "--level", "%s; this machine runs %s", level, known);
}

static hearth_status client_pool_open(const struct hc_common *common, hearth_pool **pool,
                                      hearth_error *err)
{
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = common->threads};
    hearth_pool_info info = {.struct_size = sizeof info};
    config.flags = (common->cpu_strict ? HEARTH_POOL_STRICT : 0) |
                   (common->no_thread_pool ? HEARTH_POOL_OFF : 0);
    if (common->cpus.given) {
        config.cpu_mask = common->cpus.word;
        config.cpu_mask_words = HC_CPU_WORDS;
        config.flags |= HEARTH_POOL_BIND_CALLER; /* the main thread computes too */
    }
    hearth_status status = hearth_pool_open(&config, pool, err);
    if (status != HEARTH_OK)
        return status;
    hearth_pool_get_info(*pool, &info);
    if (info.affinity == HEARTH_AFFINITY_REDUCED)
        fprintf(stderr, "hearth: --cpu-mask: some of its CPUs are not allowed here; the others are "
                        "used\n");
    if (info.affinity == HEARTH_AFFINITY_REFUSED)
        fprintf(stderr, "hearth: --cpu-mask: none of its CPUs is allowed here; threads are not "
                        "bound\n");
    return HEARTH_OK;
}

static int client_session_open(const struct hc_common *common, const struct hc_model *m,
                               hearth_model_kind kind, hearth_session_config *config,
                               struct hc_session *s)
{
    static const char *const kinds[] = {
        [HEARTH_MODEL_GENERATIVE] = "a model that generates text",
        [HEARTH_MODEL_TENSOR] = "a graph of tensors",
        [HEARTH_MODEL_VOCAB] = "a vocabulary without tensors",
    };
    *s = (struct hc_session){0};
    if (m->info.kind != kind)
        return hc_fail(HC_REFUSED, m->path, "%s; %s is accepted", kinds[m->info.kind], kinds[kind]);
    if (common->level && !client_level_known(common->level))
        return client_refuse_level(common->level);
    hearth_error err = {0};
    hearth_status status = client_pool_open(common, &s->pool, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(status == HEARTH_E_IO ? HC_FAILED : HC_USAGE, "threads", status,
                              &err);
    config->struct_size = sizeof *config;
    config->flags |= common->no_arena ? HEARTH_SESSION_NO_ARENA : 0;
    config->pool = s->pool;
    config->level = common->level;
    config->memory = m->memory;
    if (kind == HEARTH_MODEL_TENSOR && common->memory_limit) { /* what is left is its plan */
        hearth_memory_info info = {.struct_size = sizeof info};
        hearth_memory_get_info(m->memory, &info);
        config->max_bytes = info.max_bytes - info.used_bytes;
    }
    status = hearth_session_open(m->model, config, &s->session, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_USAGE, "session", status, &err);
    s->info.struct_size = sizeof s->info;
    hearth_session_get_info(s->session, &s->info);
    for (size_t i = 0; i < m->n_files && kind == HEARTH_MODEL_TENSOR; i++)
        hearth_file_forget(m->files[i]); /* the session has its own layout of most of it */
    if (m->weights != HEARTH_WEIGHTS_STORED)
        fprintf(stderr, "weights: %d matrices as %s, largest difference of a weight %.3g\n",
                (int)s->info.n_converted, common->weights, (double)s->info.converted_error);
    return HC_OK;
}

int hc_session_open(const struct hc_common *common, const struct hc_model *m,
                    hearth_session_config *config, struct hc_session *s)
{
    return client_session_open(common, m, HEARTH_MODEL_GENERATIVE, config, s);
}

int hc_tensor_session_open(const struct hc_common *common, const struct hc_model *m,
                           hearth_session_config *config, struct hc_session *s)
{
    return client_session_open(common, m, HEARTH_MODEL_TENSOR, config, s);
}

void hc_session_close(struct hc_session *s)
{
    hc_interrupt_to(NULL);
    hearth_session_close(s->session);
    hearth_pool_close(s->pool);
    *s = (struct hc_session){0};
}

uint64_t hc_planned_bytes(const struct hc_model *m, const struct hc_session *s)
{
    return m->process_bytes + m->file_bytes + m->info.model_bytes + s->info.planned_bytes;
}

/* ---- texts and tokens ---- */

#define CLIENT_TEXT_LIMIT ((size_t)1 << 30)

static int client_read_all(FILE *f, const char *path, struct hc_text *text)
{
    size_t capacity = 0;
    for (;;) {
        if (text->len == capacity) {
            if (capacity >= CLIENT_TEXT_LIMIT)
                return hc_fail(HC_LIMIT, path, "longer than 1 GiB; shorter texts are accepted");
            capacity = capacity ? capacity * 2 : 65536;
            char *bytes = realloc(text->bytes, capacity);
            if (!bytes)
                return hc_fail(HC_LIMIT, path, "no memory for %zu bytes of text", capacity);
            text->bytes = bytes;
        }
        size_t n = fread(text->bytes + text->len, 1, capacity - text->len, f);
        text->len += n;
        if (n == 0 && ferror(f))
            return hc_fail(HC_REFUSED, path, "cannot be read: %s", strerror(errno));
        if (n == 0)
            return HC_OK;
    }
}

int hc_text_read(const char *path, struct hc_text *text)
{
    *text = (struct hc_text){0};
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "rb");
    if (!f)
        return hc_fail(HC_REFUSED, path, "cannot be opened: %s", strerror(errno));
    int rc = client_read_all(f, path, text);
    if (!standard)
        fclose(f);
    if (rc != HC_OK) {
        free(text->bytes);
        *text = (struct hc_text){0};
    }
    return rc;
}

int hc_text_take(const char *p, const char *f, struct hc_text *text)
{
    *text = (struct hc_text){0};
    if (!p == !f)
        return hc_fail(HC_USAGE, p ? "-p and -f" : "-p", p ? "both given; one of them is accepted"
                                                          : "not given; a text, or -f with a file, "
                                                            "is needed");
    if (f)
        return hc_text_read(f, text);
    text->len = strlen(p);
    text->bytes = malloc(text->len + 1);
    if (!text->bytes)
        return hc_fail(HC_LIMIT, "-p", "no memory for %zu bytes of text", text->len);
    memcpy(text->bytes, p, text->len + 1);
    return HC_OK;
}

/* Ids of a text by either kind of tokenizer. Hardly ever more ids than bytes; the second round knows
 * the number. */
static int client_tokenize(const hearth_model *model, const hearth_tokenizer *tokenizer,
                           const struct hc_text *text, uint32_t flags, struct hc_tokens *tokens)
{
    hearth_error err = {0};
    hearth_status status = HEARTH_E_FULL;
    const char *bytes = text->bytes ? text->bytes : "";
    size_t capacity = text->len + 16;
    *tokens = (struct hc_tokens){0};
    for (int round = 0; round < 2 && status == HEARTH_E_FULL; round++) {
        int32_t *ids = realloc(tokens->ids, capacity * sizeof *ids);
        if (!ids) {
            free(tokens->ids);
            tokens->ids = NULL;
            return hc_fail(HC_LIMIT, "text", "no memory for %zu tokens", capacity);
        }
        tokens->ids = ids;
        status = tokenizer ? hearth_tokenizer_encode(tokenizer, bytes, text->len, flags, ids,
                                                     capacity, &tokens->n, &err)
                           : hearth_tokenize(model, bytes, text->len, flags, ids, capacity,
                                             &tokens->n, &err);
        capacity = tokens->n;
    }
    if (status == HEARTH_OK)
        return HC_OK;
    free(tokens->ids);
    *tokens = (struct hc_tokens){0};
    return hc_fail_status(HC_FAILED, "text", status, &err);
}

int hc_tokenize(const struct hc_model *m, const struct hc_text *text, uint32_t flags,
                struct hc_tokens *tokens)
{
    return client_tokenize(m->model, NULL, text, flags, tokens);
}

int hc_tokenizer_open(const char *path, hearth_tokenizer **tokenizer)
{
    hearth_file *file;
    hearth_error err = {0};
    hearth_status status = hearth_file_open(path, NULL, &file, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, path, status, &err);
    hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
    status = hearth_tokenizer_open(&bytes, NULL, tokenizer, &err);
    hearth_file_close(file);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_REFUSED, path, status, &err);
}

int hc_tokenizer_encode(const hearth_tokenizer *tokenizer, const struct hc_text *text,
                        uint32_t flags, struct hc_tokens *tokens)
{
    return client_tokenize(NULL, tokenizer, text, flags, tokens);
}

/* ---- the machine ---- */

uint64_t hc_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

double hc_ms_since(uint64_t start_ns)
{
    return (double)(hc_now_ns() - start_ns) * 1e-6;
}

/* A figure of the process as the system tells it, in bytes; 0 where it does not. */
static uint64_t client_status(const char *key)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kib = 0;
    size_t len = strlen(key);
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, len) == 0 && sscanf(line + len, ": %llu", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

uint64_t hc_peak_rss(void)
{
    return client_status("VmHWM");
}

uint64_t hc_process_rss(void)
{
    uint64_t whole = client_status("RssAnon") + client_status("VmExe") + client_status("VmLib");
    uint64_t now = hc_peak_rss();
    return whole > now ? whole : now;
}

uint64_t hc_random_seed(void)
{
    uint64_t seed = hc_now_ns() ^ (uint64_t)getpid() << 40;
    FILE *f = fopen("/dev/urandom", "rb");
    if (f) {
        if (fread(&seed, sizeof seed, 1, f) != 1)
            seed ^= 0x9E3779B97F4A7C15u;
        fclose(f);
    }
    return seed >> 32; /* short enough to be typed again */
}

static hearth_session *volatile client_session;
static volatile sig_atomic_t client_interrupt;

static void client_on_interrupt(int number)
{
    (void)number;
    hearth_session *session = client_session;
    client_interrupt = 1;
    if (session)
        hearth_session_cancel(session);
}

void hc_interrupt_to(hearth_session *session)
{
    client_session = session;
    if (!session) {
        signal(SIGINT, SIG_DFL);
        return;
    }
    struct sigaction action = {.sa_handler = client_on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
}

void hc_interrupt_flag(void)
{
    struct sigaction action = {.sa_handler = client_on_interrupt};
    client_interrupt = 0;
    sigaction(SIGINT, &action, NULL);
}

bool hc_interrupted(void)
{
    return client_interrupt != 0;
}

int hc_finish_output(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return hc_fail(HC_FAILED, "standard output", "cannot be written: %s", strerror(errno));
    return HC_OK;
}
