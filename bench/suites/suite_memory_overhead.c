/* What accounting and pools cost; and what models hold in memory, each in a process of its own: peak resident size over
 * file size by context and cache type, resident pages by kind, bytes a token. */
#define _GNU_SOURCE
#include "bench/instruments/bn_memory.h"
#include "bn_run.h"
#include "serve/hs_cache.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

struct pools {
    hearth_memory *memory;
    void *held[64];
    size_t n;
    hearth_allocator hooks;
    volatile uint64_t sink;
};

static bool pools_take_give(void *ctx)
{
    struct pools *b = ctx;
    for (size_t i = 0; i < b->n; i++)
        if (hearth_memory_take_buffer(b->memory, &b->held[i], NULL) != HEARTH_OK)
            return false;
    for (size_t i = 0; i < b->n; i++)
        if (hearth_memory_give_buffer(b->memory, b->held[i], NULL) != HEARTH_OK)
            return false;
    return true;
}

static bool pools_query(void *ctx)
{
    struct pools *b = ctx;
    uint64_t sum = 0;
    for (int i = 0; i < 1000; i++) {
        sum += hearth_memory_used(b->memory);
        __asm__ volatile("" ::: "memory");
    }
    b->sink = sum;
    return true;
}

static bool pools_reserve(void *ctx) /* n bytes from the hooks and back */
{
    struct pools *b = ctx;
    void *p = b->hooks.alloc(b->hooks.user, b->n);
    if (p)
        b->hooks.free(b->hooks.user, p, b->n);
    return p != NULL;
}

/* Taking alone: the give, which wipes, is not timed. */
static int pools_take(struct bn_run *run, struct pools *b)
{
    struct bn_result *r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "acquire a buffer");
    bn_params(r, "4 KiB of zeros from a pool, one thread");
    for (size_t k = 0; k < bn_rounds(run, 200); k++) {
        uint64_t t0 = bn_began();
        for (size_t i = 0; i < 64; i++)
            if (hearth_memory_take_buffer(b->memory, &b->held[i], NULL) != HEARTH_OK)
                return bn_wrong(run, "buffer %zu of 64 was refused", i);
        bn_sample(r, bn_ended(run, t0) / 64);
        if (hearth_memory_take_buffer(b->memory, &b->held[0], NULL) != HEARTH_E_LIMIT)
            return bn_wrong(run, "the pool gives more than its 64 buffers");
        for (size_t i = 0; i < 64; i++)
            hearth_memory_give_buffer(b->memory, b->held[i], NULL);
    }
    bn_settle(r, "median");
    return 0;
}

static int pools_rows(struct bn_run *run)
{
    static const size_t held[] = {5, 10, 20}, sizes[] = {1 << 10, 1 << 20, 10 << 20};
    struct pools b = {.n = 1};
    hearth_error err = {0};
    if (hearth_memory_open(NULL, &b.memory, &err) != HEARTH_OK)
        return bn_refuse(run, "%s", err.text);
    b.hooks = hearth_memory_allocator(b.memory);
    int rc = pools_take(run, &b);
    struct bn_result *r;
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        b.n = held[i];
        r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "take and give, %zu held", b.n);
        bn_params(r, "a buffer of 4 KiB, wiped when given back");
        rc = bn_time(run, r, pools_take_give, &b, (double)b.n);
    }
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        b.n = sizes[i];
        r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "reserve and give %zu KiB", b.n >> 10);
        bn_params(r, "counted memory of the heap, within the limit");
        rc = bn_time(run, r, pools_reserve, &b, 1);
    }
    if (rc == 0) {
        r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "query of bytes in use");
        bn_params(r, "a thousand calls of the public function");
        rc = bn_time(run, r, pools_query, &b, 1000);
    }
    hearth_memory_close(b.memory);
    return rc;
}

/* The longest beginning that a cache lists: what a second request with the same prompt pays. */
static int lookup_row(struct bn_run *run)
{
    struct bn_model found[1];
    char why[200];
    struct bn_session s = {0};
    hearth_session_config config = {.n_ctx = 256, .n_seqs = 2};
    int32_t ids[129], matched;
    hearth_error err = {0};
    struct bn_result *r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "prefix cache lookup");
    bn_params(r, "128 tokens, 8 pages, all of them found");
    if (!BN_ON(run, kv_cache)) {
        bn_missing(r, "kv_cache is off");
        return 0;
    }
    if (bn_models_find(run, BN_SMALL, found, 1, why) == 0) {
        bn_missing(r, "%s", why);
        return 0;
    }
    for (int32_t i = 0; i < 129; i++)
        ids[i] = 100 + i;
    int rc = bn_model_open(run, &found[0]);
    rc = rc == 0 ? bn_session_open(run, &found[0], &config, 0, &s) : rc;
    if (rc == 0 && hearth_session_eval(s.session, ids, 129, NULL, &err) != HEARTH_OK)
        rc = bn_wrong(run, "%s", err.text);
    for (size_t k = 0; rc == 0 && k < bn_rounds(run, 200); k++) {
        uint64_t t0 = bn_began();
        hearth_status status = hearth_seq_match(s.session, 1, ids, 129, &matched, &err);
        bn_sample(r, bn_ended(run, t0));
        if (status != HEARTH_OK || matched != 128)
            rc = bn_wrong(run, "the lookup found %d of 128 tokens", (int)matched);
        hearth_seq_trim(s.session, 1, 0, NULL);
    }
    bn_settle(r, "median");
    bn_session_close(&s);
    bn_model_close(&found[0]);
    return rc;
}

/* An answer that is given again: found by its digest among 500. */
struct answers {
    struct hs_cache *cache;
    uint8_t key[HS_SHA256_BYTES];
    uint64_t next;
};

static bool answers_find(void *ctx)
{
    struct answers *a = ctx;
    a->key[0] = (uint8_t)(a->next++ % 250);
    const struct hs_cached *found = hs_cache_find(a->cache, a->key, 2);
    return found && found->text_len == 5 && found->text[4] == (char)a->key[0];
}

static int answers_row(struct bn_run *run)
{
    struct answers a = {.cache = hs_cache_open(1000000000)};
    char text[] = "text?";
    int rc = a.cache ? 0 : bn_refuse(run, "no memory");
    for (int i = 0; rc == 0 && i < 500; i++) {
        a.key[0] = (uint8_t)(i % 250);
        a.key[1] = (uint8_t)(i / 250);
        text[4] = (char)a.key[0];
        hs_cache_put(a.cache, a.key, &(struct hs_cached){.text = text, .text_len = 5}, 1);
    }
    a.key[1] = 0;
    struct bn_result *r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "answer cache lookup");
    bn_params(r, "by a digest, among 500 answers, found");
    rc = rc == 0 ? bn_time(run, r, answers_find, &a, 1) : rc;
    hs_cache_close(a.cache);
    return rc;
}

/* ---- models ---- */

static int resident_case(struct bn_run *run, const struct bn_model *m, int32_t ctx, const char *type)
{
    char out[2048], c[16], p[16];
    bool tensors = m->role == BN_CLASSIFIER || m->role == BN_EMBEDDER;
    snprintf(c, sizeof c, "%d", (int)ctx);
    snprintf(p, sizeof p, "%d", (int)(tensors ? 128 : ctx - 24));
    const char *args[24] = {"bench", "probe", "-m", m->path, "-c", c, "-p", p, "-n", "16", "--ctk", type, "--ctv", type};
    size_t n = 14;
    if (!BN_ON(run, mmap_loading))
        args[n++] = "--no-mmap";
    if (!BN_ON(run, arena_allocator))
        args[n++] = "--no-arena";
    if (!BN_ON(run, thread_pool))
        args[n++] = "--no-thread-pool";
    if (!BN_ON(run, kv_cache))
        args[n++] = "--no-kv-cache";
    uint64_t first, end;
    int rc = bn_child(run, args, out, sizeof out, &first, &end);
    struct bn_result *r = bn_add(run, "x", BN_LOWER, BN_MEMORY, tensors ? "peak / file" : "peak / file, ctx %d %s", (int)ctx, type);
    bn_of_model(r, m);
    if (rc != 0) {
        bn_missing(r, "hearth bench probe ended with status %d", rc);
        return 0;
    }
    double peak = bn_json_number(out, "peak"), file = bn_json_number(out, "file_bytes");
    r->threads = bn_run_threads(run);
    if (tensors)
        bn_params(r, "128 tokens, peak %.1f MB of %.1f MB, anonymous %.1f", peak * 1e-6, file * 1e-6,
                  bn_json_number(out, "anon") * 1e-6);
    else
        bn_params(r, "full context, peak %.1f MB of %.1f MB, anonymous %.1f, Pss %.1f, %.0f bytes a token", peak * 1e-6,
                  file * 1e-6, bn_json_number(out, "anon") * 1e-6, bn_json_number(out, "pss") * 1e-6,
                  bn_json_number(out, "kv_token_bytes"));
    bn_single(r, peak / file);
    r = bn_add(run, "ms", BN_LOWER, BN_UNGATED, tensors ? "process to first result" : "process to first token, ctx %d %s",
               (int)ctx, type);
    bn_of_model(r, m);
    bn_params(r, "open %.1f, session %.1f, then the prompt", bn_json_number(out, "open_ms"), bn_json_number(out, "session_ms"));
    bn_single(r, bn_json_number(out, "first_ms"));
    return 0;
}

static int resident_role(struct bn_run *run, enum bn_role role)
{
    static const struct {
        enum bn_role role;
        int32_t ctx;
        const char *type;
    } cases[] = {
        {BN_CLASSIFIER, 512, "f16"}, {BN_EMBEDDER, 512, "f16"},
        {BN_SMALL, 512, "f16"}, {BN_SMALL, 4096, "f16"}, {BN_SMALL, 4096, "q8_0"}, {BN_SMALL, 4096, "q4_0"},
        {BN_FAST, 512, "f16"}, {BN_FAST, 2048, "f16"}, {BN_FAST, 2048, "q8_0"}, {BN_FAST, 2048, "q4_0"},
        {BN_GENERATOR, 512, "f16"}, {BN_GENERATOR, 512, "q8_0"}, {BN_GENERATOR, 4096, "q4_0"},
    };
    struct bn_model found[4];
    char why[200];
    size_t n = bn_models_find(run, role, found, 4, why);
    int rc = 0;
    if (n == 0) {
        struct bn_result *r = bn_add(run, "x", BN_LOWER, BN_UNGATED, "peak / file");
        snprintf(r->role, sizeof r->role, "%s", bn_role_name(role));
        bn_missing(r, "%s", why);
    }
    for (size_t i = 0; rc == 0 && i < n; i++)
        for (size_t k = 0; rc == 0 && k < sizeof cases / sizeof *cases; k++) {
            /* without the cache every token costs the whole text again */
            bool long_one = cases[k].ctx > 512 && !BN_ON(run, kv_cache);
            if (cases[k].role == role && !long_one && !(run->smoke && cases[k].ctx > 512))
                rc = resident_case(run, &found[i], run->smoke ? 64 : cases[k].ctx, cases[k].type);
        }
    return rc;
}

/* Peak of a worker that has answered; 0: not told. */
static double sandbox_peak(struct bn_run *run, const struct bn_model *m, const char *mode)
{
    char socket[128], path[128], out[8192];
    long pid, worker;
    uint64_t first, end;
    double peak = 0;
    snprintf(socket, sizeof socket, "/tmp/hearth-bench-%ld.sock", (long)getpid());
    const char *serve[] = {"serve", "-m", m->path, "--socket", socket, "--no-token", "--limit", "rate=0", "--sandbox", mode, NULL};
    const char *load[] = {"client", "--socket", socket, "--retry", "30", "load", "--clients", "1", "--requests", "4", "-n", "16",
                          "--words", "32", "--json", NULL};
    if (bn_serve_start(run, serve, &pid) != 0)
        return 0;
    if (bn_child(run, load, out, sizeof out, &first, &end) == 0 && bn_json_number(out, "ok") == 4) {
        snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", pid, pid);
        FILE *f = fopen(path, "r"); /* the supervisor's worker */
        worker = f && fscanf(f, "%ld", &worker) == 1 ? worker : pid;
        if (f)
            fclose(f);
        snprintf(path, sizeof path, "/proc/%ld", worker);
        peak = (double)bn_memory_at(path, "/sys/fs/cgroup").peak;
    }
    bn_serve_stop(pid);
    unlink(socket);
    return peak;
}

static void sandbox_row(struct bn_run *run)
{
    struct bn_model found[1];
    char why[200];
    struct bn_result *r = bn_add(run, "x", BN_LOWER, BN_MEMORY, "peak / peak without sandbox");
    if (bn_models_find(run, BN_SMALL, found, 1, why) == 0) {
        bn_missing(r, "%s", why);
        return;
    }
    bn_of_model(r, &found[0]);
    double on = sandbox_peak(run, &found[0], "on"), off = sandbox_peak(run, &found[0], "off");
    if (!(on > 0 && off > 0)) {
        bn_missing(r, "a worker of hearth serve did not answer, or its memory is not told");
        return;
    }
    bn_params(r, "a server's worker after 4 texts: %.1f MB with --sandbox on, %.1f off", on * 1e-6, off * 1e-6);
    bn_single(r, on / off);
}

int suite_memory_overhead(struct bn_run *run)
{
    int rc = pools_rows(run);
    rc = rc == 0 ? lookup_row(run) : rc;
    rc = rc == 0 ? answers_row(run) : rc;
    for (int role = 0; rc == 0 && role < BN_ROLES; role++)
        if (!run->smoke || role == BN_SMALL || role == BN_CLASSIFIER)
            rc = resident_role(run, (enum bn_role)role);
    /* The other two ratios of the specification. */
    if (rc == 0) {
        sandbox_row(run);
        bn_missing(bn_add(run, "x", BN_LOWER, BN_UNGATED, "peak / other engines"), "no other engine was run beside");
    }
    return rc;
}
