/* What pages cost and what the cache saves, on a model file:
 *
 *     bench_kv MODEL [DEPTH [THREADS]]
 *
 * Prints JSON lines. "paged": time of a token at DEPTH with the pages in ascending order, which is a
 * contiguous cache, over that with shuffled pages. "kv_cache": time of a token at 512 computed from the
 * beginning over that with the cache. Both sides run in turn, the least time of each counts, and the logits
 * must be the same bits. "seqs": tokens per second of 1 to 16 sequences at depth 128 that generate together,
 * from the least time of a step, beside as many times those of one.
 *
 * With one thread (the default) times are of the processor, which others on the machine disturb less. */
#define _POSIX_C_SOURCE 200809L
#include "runtime/hr_session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TOKENS_TIMED 8
#define MOST_DEPTH   (1 << 20)
#define SEQS_MOST    16
#define SEQS_DEPTH   128
#define SEQS_STEPS   60

static clockid_t bench_clock = CLOCK_PROCESS_CPUTIME_ID;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(bench_clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void fail(const char *what, const hearth_error *err)
{
    fprintf(stderr, "bench_kv: %s: %s\n", what, err->text);
    exit(1);
}

struct side {
    hearth_session *session;
    int32_t depth;
    double least_ms;
    float *logits; /* after the last token that was timed */
};

static int32_t bench_token(int32_t i, int32_t vocab)
{
    return (int32_t)(((uint64_t)i * 2654435761u >> 7) % (uint64_t)vocab);
}

static void side_feed(struct side *s, int32_t from, int32_t n, int32_t logits)
{
    static hearth_item items[512];
    hearth_error err;
    int32_t vocab = s->session->model->lm.n_vocab;
    for (int32_t done = 0, now; done < n; done += now) {
        now = n - done < 512 ? n - done : 512;
        for (int32_t i = 0; i < now; i++)
            items[i] = (hearth_item){bench_token(from + done + i, vocab), 0,
                                     logits && done + i + 1 == n};
        if (hearth_session_step(s->session, items, (size_t)now, &err) != HEARTH_OK)
            fail("step", &err);
    }
}

static struct side side_open(const hearth_model *model, hearth_session_config config, int32_t depth)
{
    struct side s = {.depth = depth, .least_ms = 1e30};
    hearth_error err;
    config.struct_size = sizeof config;
    config.n_ctx = depth + TOKENS_TIMED;
    if (hearth_session_open(model, &config, &s.session, &err) != HEARTH_OK)
        fail("session", &err);
    s.logits = malloc((size_t)model->lm.n_vocab * sizeof *s.logits);
    return s;
}

static void side_close(struct side *s)
{
    hearth_session_close(s->session);
    free(s->logits);
}

/* Tokens at the depth, one by one; the least time of one. */
static void side_time(struct side *s, int32_t n)
{
    hearth_seq_trim(s->session, 0, s->depth, NULL);
    for (int32_t i = 0; i < n; i++) {
        double start = now_ms();
        side_feed(s, s->depth + i, 1, 1);
        double ms = now_ms() - start;
        s->least_ms = ms < s->least_ms ? ms : s->least_ms;
    }
    memcpy(s->logits, hearth_session_logits(s->session, 0),
           (size_t)s->session->model->lm.n_vocab * sizeof *s->logits);
}

static void shuffle_pages(struct hr_kv *kv)
{
    uint64_t x = 88172645463325252u;
    for (uint32_t i = kv->n_free; i-- > 1;) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        uint32_t j = (uint32_t)(x % (i + 1)), page = kv->free_pages[i];
        kv->free_pages[i] = kv->free_pages[j];
        kv->free_pages[j] = page;
    }
}

static void compare(const char *name, struct side *a, struct side *b, int32_t rounds, int32_t tokens)
{
    for (int32_t i = 0; i < rounds; i++) {
        side_time(a, tokens);
        side_time(b, tokens);
    }
    if (memcmp(a->logits, b->logits, (size_t)a->session->model->lm.n_vocab * sizeof(float)) != 0) {
        fprintf(stderr, "bench_kv: %s: the logits differ\n", name);
        exit(1);
    }
    printf("{\"test\":\"%s\",\"depth\":%d,\"threads\":%d,\"level\":\"%s\",\"a_ms\":%.4f,\"b_ms\":%.4f,"
           "\"a_over_b\":%.4f}\n", name, a->depth, a->session->plan->n_workers, a->session->kernels.level,
           a->least_ms, b->least_ms, a->least_ms / b->least_ms);
    side_close(a);
    side_close(b);
}

/* Least time of a step of n sequences, each a token of its own further than the others'. */
static double seqs_step_ms(hearth_session *s, int32_t n)
{
    hearth_item items[SEQS_MOST];
    hearth_error err;
    double least = 1e30;
    for (int32_t i = 0; i < SEQS_STEPS; i++) {
        for (int32_t q = 0; q < n; q++) {
            hearth_seq_trim(s, q, SEQS_DEPTH, NULL);
            items[q] = (hearth_item){bench_token(i * 31 + q, s->model->lm.n_vocab), q, 1};
        }
        double start = now_ms();
        if (hearth_session_step(s, items, (size_t)n, &err) != HEARTH_OK)
            fail("step", &err);
        double ms = now_ms() - start;
        least = ms < least ? ms : least;
    }
    return least;
}

static void seqs(const hearth_model *model, hearth_session_config config)
{
    hearth_session *s;
    hearth_error err;
    hearth_item items[SEQS_DEPTH];
    double one = 0;
    config.struct_size = sizeof config;
    config.n_ctx = SEQS_DEPTH + 16;
    config.n_seqs = SEQS_MOST;
    if (hearth_session_open(model, &config, &s, &err) != HEARTH_OK)
        fail("session", &err);
    for (int32_t q = 0; q < SEQS_MOST; q++) {
        for (int32_t i = 0; i < SEQS_DEPTH; i++)
            items[i] = (hearth_item){bench_token(q * 1000 + i, model->lm.n_vocab), q, 0};
        if (hearth_session_step(s, items, SEQS_DEPTH, &err) != HEARTH_OK)
            fail("step", &err);
    }
    for (int32_t n = 1; n <= SEQS_MOST; n *= 2) {
        double ms = seqs_step_ms(s, n), rate = n * 1000 / ms;
        one = n == 1 ? rate : one;
        printf("{\"test\":\"seqs\",\"n\":%d,\"depth\":%d,\"threads\":%d,\"step_ms\":%.4f,"
               "\"tokens_per_s\":%.1f,\"of_linear\":%.3f}\n", n, SEQS_DEPTH, s->plan->n_workers, ms,
               rate, rate / (n * one));
    }
    hearth_session_close(s);
}

int main(int argc, char **argv)
{
    hearth_error err;
    hearth_file *file;
    hearth_model *model;
    int32_t depth = argc > 2 ? atoi(argv[2]) : 1024;
    hearth_pool_config pc = {.struct_size = sizeof pc, .n_threads = argc > 3 ? atoi(argv[3]) : 1};
    hearth_session_config config = {0};
    if (argc < 2 || depth < 1 || depth > MOST_DEPTH) {
        fprintf(stderr, "bench_kv MODEL [DEPTH [THREADS]]\n");
        return 2;
    }
    if (pc.n_threads != 1)
        bench_clock = CLOCK_MONOTONIC;
    if (hearth_file_open(argv[1], NULL, &file, &err) != HEARTH_OK)
        fail(argv[1], &err);
    const hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
    if (hearth_model_open(&bytes, 1, NULL, &model, &err) != HEARTH_OK ||
        hearth_pool_open(&pc, &config.pool, &err) != HEARTH_OK)
        fail(argv[1], &err);

    seqs(model, config);
    struct side ascending = side_open(model, config, depth), shuffled = side_open(model, config, depth);
    shuffle_pages(&shuffled.session->kv);
    side_feed(&ascending, 0, depth, 0);
    side_feed(&shuffled, 0, depth, 0);
    compare("paged", &ascending, &shuffled, 12, TOKENS_TIMED);

    struct side with = side_open(model, config, 512);
    config.flags = HEARTH_SESSION_NO_KV_CACHE;
    struct side without = side_open(model, config, 512);
    side_feed(&with, 0, 512, 0);
    side_feed(&without, 0, 512, 0);
    compare("kv_cache", &without, &with, 3, 1);
    hearth_pool_close(config.pool);
    hearth_model_close(model);
    hearth_file_close(file);
    return 0;
}
