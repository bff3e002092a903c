/* Requests at once: a queue that fills, sequences that generate together in one process, and clients of a running
 * server, whose answers are all accounted for. Texts must be what they are alone. */
#include "base/os/hb_os.h"
#include "bn_run.h"
#include "serve/hs_sched.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the queue ---- */

struct queue {
    struct hs_sched *s;
    uint64_t next, n;
};

static bool queue_push(struct queue *q)
{
    struct hs_request r = {.key = {1, q->next++}, .priority = (uint8_t)(q->next & 3), .tokens = 10, .bytes = 10,
                           .deadline_ns = HS_NEVER};
    return hs_sched_push(q->s, &r, q->next) == HS_ADMITTED;
}

static bool queue_pop(struct queue *q, size_t n)
{
    struct hs_request r[8];
    size_t got = hs_sched_take(q->s, 0, q->next, 0, r, n);
    for (size_t i = 0; i < got; i++)
        hs_sched_finish(q->s, r[i].key);
    return got == n;
}

static bool queue_push_pop(void *ctx) /* at the fill that stands */
{
    return queue_push(ctx) && queue_pop(ctx, 1);
}

static bool queue_pops(void *ctx)
{
    struct queue *q = ctx;
    for (uint64_t i = 0; i < q->n; i++)
        if (!queue_push(q))
            return false;
    return queue_pop(q, q->n);
}

static int queue_row(struct bn_run *run, uint32_t capacity, uint64_t fill, uint64_t pop)
{
    const struct hs_lane_config lane = {8, 100000, 1 << 20};
    const struct hs_sched_config config = {capacity, 8, 1000000000, 1, &lane};
    struct queue q = {.next = 1, .n = pop};
    struct hb_arena arena;
    int rc = 0;
    hb_arena_init_growing(&arena, hb_os_heap());
    if (hs_sched_create(&config, &arena, &q.s, NULL) != HEARTH_OK)
        rc = bn_refuse(run, "no memory for %u requests", capacity);
    for (uint64_t i = 0; rc == 0 && i < fill; i++)
        if (!queue_push(&q))
            rc = bn_wrong(run, "a queue of %u refuses request %llu", capacity, (unsigned long long)i);
    if (rc == 0) {
        struct bn_result *r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, pop ? "push and pop %llu" : "push and pop at %llu %%",
                                     (unsigned long long)(pop ? pop : 100 * fill / capacity));
        bn_params(r, "queue of %u, %llu wait, four priorities", capacity, (unsigned long long)fill);
        rc = bn_time(run, r, pop ? queue_pops : queue_push_pop, &q, (double)(pop ? pop : 1));
    }
    hb_arena_release(&arena);
    return rc;
}

static int queue_rows(struct bn_run *run)
{
    static const uint32_t sizes[] = {100, 500, 1000};
    static const uint64_t pops[] = {1, 4, 8};
    int rc = queue_row(run, 256, 0, 0);
    rc = rc == 0 ? queue_row(run, 256, 128, 0) : rc;
    rc = rc == 0 ? queue_row(run, 256, 230, 0) : rc;
    for (size_t i = 0; rc == 0 && i < 3; i++)
        rc = queue_row(run, 256, 100, pops[i]);
    for (size_t i = 0; rc == 0 && i < 3; i++)
        rc = queue_row(run, sizes[i], sizes[i] / 2, 0);
    return rc;
}

/* ---- one process, many sequences ---- */

#define LOAD_PROMPT 32
#define LOAD_TOKENS 48

struct load {
    int32_t prompt[16][LOAD_PROMPT];
    int32_t text[16][LOAD_TOKENS]; /* what each is alone */
};

static int load_together(struct bn_run *run, struct bn_model *m, struct load *l, int n, int threads, bool keep, double *rate)
{
    struct bn_session s;
    hearth_batch *batch = NULL;
    hearth_error err = {0};
    hearth_session_config config = {.n_ctx = 128, .n_seqs = n, .n_logits = n, .flags = HEARTH_SESSION_NO_PREFIX};
    size_t got[16] = {0}, all = 0;
    int rc = bn_session_open(run, m, &config, threads, &s);
    const hearth_batch_config bc = {.struct_size = sizeof bc, .session = s.session};
    if (rc == 0 && hearth_batch_open(&bc, &batch, &err) != HEARTH_OK)
        rc = bn_refuse(run, "%s", err.text);
    uint64_t t0 = bn_began();
    for (int i = 0; rc == 0 && i < n; i++) {
        uint64_t id;
        const hearth_generation_config gc = {.struct_size = sizeof gc, .max_tokens = LOAD_TOKENS, .ignore_end = 1};
        if (hearth_batch_add(batch, &gc, l->prompt[i], LOAD_PROMPT, (void *)(intptr_t)i, &id, &err) != HEARTH_OK)
            rc = bn_wrong(run, "%s", err.text);
    }
    while (rc == 0 && hearth_batch_count(batch, NULL) > 0) {
        hearth_batch_piece p = {.struct_size = sizeof p};
        if (hearth_batch_step(batch, &err) != HEARTH_OK)
            rc = bn_wrong(run, "%s", err.text);
        while (hearth_batch_next(batch, &p)) {
            size_t who = (size_t)(intptr_t)p.user;
            if (p.piece.token < 0 || got[who] >= LOAD_TOKENS)
                continue;
            if (keep)
                l->text[who][got[who]] = p.piece.token;
            else if (l->text[who][got[who]] != p.piece.token)
                rc = bn_wrong(run, "%s: a text in company of %d is not what it is alone", m->label, n);
            got[who]++;
            all++;
        }
    }
    *rate = (double)all * 1e9 / bn_ended(run, t0);
    if (rc == 0 && all != (size_t)n * LOAD_TOKENS)
        rc = bn_wrong(run, "%zu tokens of %d came", all, n * LOAD_TOKENS);
    hearth_batch_close(batch);
    bn_session_close(&s);
    return rc;
}

static int load_model(struct bn_run *run, struct bn_model *m)
{
    static const int counts[] = {1, 2, 4, 8, 16};
    struct load *l = calloc(1, sizeof *l), *one = calloc(1, sizeof *one);
    double rate, alone = 0;
    int rc = l && one ? 0 : bn_refuse(run, "no memory"), cores = bn_run_threads(run);
    for (int i = 0; rc == 0 && i < 16; i++) {
        for (int k = 0; k < LOAD_PROMPT; k++)
            l->prompt[i][k] = 100 + (i * 997 + k * 37) % 5000;
        memcpy(one->prompt[0], l->prompt[i], sizeof one->prompt[0]);
        rc = i < (run->smoke ? 2 : 16) ? load_together(run, m, one, 1, 0, true, &rate) : 0;
        memcpy(l->text[i], one->text[0], sizeof l->text[i]);
    }
    for (size_t k = 0; rc == 0 && k < (run->smoke ? 2 : 5); k++) {
        struct bn_result *r = bn_add(run, "tokens/s", BN_HIGHER, BN_THROUGHPUT, "%d at once", counts[k]);
        bn_of_model(r, m);
        r->threads = cores;
        bn_params(r, "prompts of %d and texts of %d tokens together, %d threads", LOAD_PROMPT, LOAD_TOKENS, cores);
        for (size_t rep = 0; rc == 0 && rep < bn_rounds(run, 5); rep++) {
            rc = load_together(run, m, l, counts[k], 0, false, &rate);
            bn_sample(r, rate);
        }
        bn_settle(r, "median");
    }
    /* As many requests as cores, on as many threads, beside one request on one thread: 1 would be linear. */
    struct bn_result *r = bn_add(run, "of linear", BN_HIGHER, BN_UNGATED, "scaling to %d requests", cores);
    bn_of_model(r, m);
    r->threads = cores;
    bn_params(r, "%d requests on %d threads over %d times one request on one thread", cores, cores, cores);
    if (cores < 2)
        bn_missing(r, "one thread: there is nothing to scale to");
    for (size_t rep = 0; rc == 0 && cores > 1 && cores <= 16 && rep < bn_rounds(run, 7); rep++) {
        rc = load_together(run, m, l, 1, 1, false, &alone);
        rc = rc == 0 ? load_together(run, m, l, cores, cores, false, &rate) : rc;
        bn_sample(r, rate / alone / cores);
    }
    bn_settle(r, "median");
    free(l);
    free(one);
    return rc;
}

/* ---- a server and its clients ---- */

#if HEARTH_WITH_SERVE
static int served_clients(struct bn_run *run, const struct bn_model *m, const char *socket, int clients)
{
    char out[8192], n[16], seconds[16];
    uint64_t first, end;
    snprintf(n, sizeof n, "%d", clients);
    snprintf(seconds, sizeof seconds, "%d", run->smoke ? 1 : 4);
    const char *args[] = {"client", "--socket", socket, "--retry", "30", "load", "--clients", n, "--duration", seconds, "--words",
                          "8,32", "-n", "16", "--json", NULL};
    int rc = bn_child(run, args, out, sizeof out, &first, &end);
    struct bn_result *r = bn_add(run, "ms", BN_LOWER, BN_LATENCY, "server, %d clients, first token p99", clients);
    bn_of_model(r, m);
    r->threads = bn_run_threads(run);
    if (rc != 0 && !strstr(out, "\"ok\":")) {
        bn_missing(r, "hearth client load ended with status %d", rc);
        return 0;
    }
    double lost = bn_json_number(out, "lost"), twice = bn_json_number(out, "double_terminals");
    if (lost > 0 || twice > 0)
        return bn_wrong(run, "with %d clients %g answers were lost and %g came twice", clients, lost, twice);
    bn_params(r, "closed loop, 16 tokens each, %g answered, %g refused, 0 lost, fairness %.3f", bn_json_number(out, "ok"),
              bn_json_number(out, "refused"), bn_json_number(out, "jain_requests"));
    bn_single(r, bn_json_number(out, "first_token.p99"));
    r = bn_add(run, "tokens/s", BN_HIGHER, BN_UNGATED, "server, %d clients", clients);
    bn_of_model(r, m);
    bn_single(r, bn_json_number(out, "tokens_per_s"));
    r = bn_add(run, "requests/s", BN_HIGHER, BN_UNGATED, "server, %d clients", clients);
    bn_of_model(r, m);
    bn_single(r, bn_json_number(out, "requests_per_s"));
    return 0;
}

static int served(struct bn_run *run, const struct bn_model *m)
{
    static const int clients[] = {1, 4, 16, 64};
    char socket[128], threads[16];
    long pid;
    int rc = 0;
    snprintf(socket, sizeof socket, "/tmp/hearth-bench-%ld.sock", (long)getpid());
    snprintf(threads, sizeof threads, "%d", bn_run_threads(run));
    const char *args[16] = {"serve", "-m", m->path, "--socket", socket, "--no-token", "--limit", "rate=0", "--parallel", "16", "-t",
                            threads};
    if (!BN_ON(run, v2_encoding))
        args[12] = "--no-v2";
    if (bn_serve_start(run, args, &pid) != 0) {
        bn_missing(bn_add(run, "ms", BN_LOWER, BN_UNGATED, "server"), "hearth serve could not be started");
        return 0;
    }
    for (size_t i = 0; rc == 0 && i < (run->smoke ? 2 : 4); i++)
        rc = served_clients(run, m, socket, clients[i]);
    bn_serve_stop(pid);
    unlink(socket);
    return rc;
}
#endif

int suite_concurrent_load(struct bn_run *run)
{
    struct bn_model found[2];
    char why[200];
    int rc = queue_rows(run);
    if (rc == 0 && !BN_ON(run, kv_cache)) {
        bn_missing(bn_add(run, "tokens/s", BN_HIGHER, BN_UNGATED, "at once"), "kv_cache is off: every token costs its whole text");
        bn_missing(bn_add(run, "of linear", BN_HIGHER, BN_UNGATED, "scaling"), "kv_cache is off");
        return 0;
    }
    for (int k = 0; rc == 0 && k < 2; k++) {
        enum bn_role role = k ? BN_FAST : BN_SMALL;
        if ((run->smoke && k) || bn_models_find(run, role, found, 1, why) == 0)
            continue;
        rc = bn_model_open(run, &found[0]);
        rc = rc == 0 ? load_model(run, &found[0]) : rc;
        bn_model_close(&found[0]);
#if HEARTH_WITH_SERVE
        if (rc == 0 && k == 0)
            rc = served(run, &found[0]);
#endif
    }
    return rc;
}
