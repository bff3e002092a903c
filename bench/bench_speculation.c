/* What does speculation give, and what would it have to agree on to give more?
 *
 *     bench_speculation passes TARGET                      cost of small passes, and what follows from it
 *     bench_speculation draft TARGET DRAFT TOKENS [N]      N prompts of a file of u16 ids, plain beside draft
 *     bench_speculation copy TARGET TOKENS [N]             prompts that ask for a copy, plain beside lookup
 *     bench_speculation oracle TARGET [AGREEMENT]          guesses right at a stated rate, at a stated cost
 *
 * Each prompt runs plain and with guesses, in alternating order, and the ids must be the same: if they
 * are not, the exit status is 1. One JSON line per question. Times are of the processor on one thread
 * (time_cpu) and of the clock (time_wall): on a machine that others use too the first says more. The
 * oracle is a function that knows the plain text, spoils each token with probability 1 - agreement, and
 * burns what a draft of a twentieth of the model's weights would take. */
#define _POSIX_C_SOURCE 200809L
#include "hearth.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PROMPT = 48, TEXT = 96, MOST = 8, N_CTX = 512, SMALL = 17 };

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what, const hearth_error *err)
{
    fprintf(stderr, "bench_speculation: %s: %s\n", what, err ? err->text : "");
    exit(2);
}

static hearth_model *open_model(const char *path)
{
    hearth_error err;
    hearth_file *file; /* stays mapped until the process ends */
    hearth_model *model;
    if (hearth_file_open(path, NULL, &file, &err) != HEARTH_OK)
        die(path, &err);
    const hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
    if (hearth_model_open(&bytes, 1, NULL, &model, &err) != HEARTH_OK)
        die(path, &err);
    return model;
}

static hearth_session *open_session(const hearth_model *model, int32_t n_ctx, int32_t n_logits)
{
    hearth_error err;
    hearth_session *session;
    const hearth_session_config c = {.struct_size = sizeof c, .n_ctx = n_ctx, .n_batch = 64,
                                     .n_logits = n_logits};
    if (hearth_session_open(model, &c, &session, &err) != HEARTH_OK)
        die("session", &err);
    return session;
}

/* ---- one text ---- */

struct text {
    int32_t token[TEXT];
    int n;
    double cpu, wall; /* of the text, behind its prompt */
    hearth_generation_stats stats;
};

static void run(hearth_session *session, const int32_t *prompt, size_t n_prompt, int n,
                const hearth_speculation_config *speculation, struct text *t)
{
    hearth_error err;
    hearth_generation *g;
    const hearth_generation_config c = {.struct_size = sizeof c, .max_tokens = n, .ignore_end = 1,
                                        .speculation = speculation};
    hearth_session_reset(session);
    memset(t, 0, sizeof *t);
    if (hearth_generation_open(session, &c, &g, &err) != HEARTH_OK ||
        hearth_generation_prompt(g, prompt, n_prompt, &err) != HEARTH_OK)
        die("prompt", &err);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    for (;;) {
        hearth_piece p = {.struct_size = sizeof p};
        if (hearth_generation_next(g, &p, &err) != HEARTH_OK)
            die("text", &err);
        if (p.finish)
            break;
        t->token[t->n++] = p.token;
    }
    t->cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    t->wall = seconds(CLOCK_MONOTONIC) - wall;
    t->stats.struct_size = sizeof t->stats;
    hearth_generation_get_stats(g, &t->stats);
    hearth_generation_close(g);
}

/* ---- pairs ---- */

struct pairs {
    double cpu[2], wall[2], worst; /* [with guesses]; worst: of one pair, by cpu */
    uint64_t tokens, passes, drafted, accepted, different, off;
    int n;
};

/* Plain and with guesses, the order changing from pair to pair. `truth` receives the plain text before
 * guesses are asked for, so the plain run of a first pair is always first. */
static void pair(hearth_session *session, const int32_t *prompt, size_t n_prompt, int n,
                 const hearth_speculation_config *speculation, struct pairs *p, struct text *truth)
{
    struct text plain, with;
    if (p->n % 2 == 0 || truth) {
        run(session, prompt, n_prompt, n, NULL, &plain);
        if (truth)
            *truth = plain;
        run(session, prompt, n_prompt, n, speculation, &with);
    } else {
        run(session, prompt, n_prompt, n, speculation, &with);
        run(session, prompt, n_prompt, n, NULL, &plain);
    }
    p->cpu[0] += plain.cpu;
    p->cpu[1] += with.cpu;
    p->wall[0] += plain.wall;
    p->wall[1] += with.wall;
    p->worst = p->n == 0 || plain.cpu / with.cpu < p->worst ? plain.cpu / with.cpu : p->worst;
    p->tokens += (uint64_t)with.n;
    p->passes += with.stats.passes;
    p->drafted += with.stats.drafted;
    p->accepted += with.stats.accepted;
    p->off += *with.stats.off != 0;
    p->different += plain.n != with.n || memcmp(plain.token, with.token, sizeof plain.token) != 0;
    p->n++;
}

static int report(const char *what, const struct pairs *p)
{
    printf("{\"bench\":\"speculation\",\"case\":\"%s\",\"texts\":%d,\"tokens\":%llu,\"drafted\":%llu,"
           "\"accepted\":%llu,\"acceptance\":%.3f,\"tokens_per_pass\":%.3f,\"ended_off\":%llu,"
           "\"speed_cpu\":%.3f,\"speed_wall\":%.3f,\"worst_text_cpu\":%.3f,\"plain_ms_per_token\":%.3f,"
           "\"different_ids\":%llu}\n",
           what, p->n, (unsigned long long)p->tokens, (unsigned long long)p->drafted,
           (unsigned long long)p->accepted, p->drafted ? (double)p->accepted / (double)p->drafted : 0,
           (double)p->tokens / (double)p->passes, (unsigned long long)p->off,
           p->cpu[0] / p->cpu[1], p->wall[0] / p->wall[1], p->worst,
           p->cpu[0] * 1e3 / (double)p->tokens, (unsigned long long)p->different);
    fflush(stdout);
    return p->different != 0;
}

static uint16_t *read_ids(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    uint16_t *ids = malloc(1 << 20);
    if (!f || !ids)
        die(path, NULL);
    *n = fread(ids, sizeof *ids, (1 << 20) / sizeof *ids, f);
    fclose(f);
    return ids;
}

static int bench_draft(int argc, char **argv)
{
    static const uint32_t flags[2] = {0, HEARTH_SPECULATION_STEADY};
    size_t n_ids, count = argc > 5 ? (size_t)atol(argv[5]) : 200;
    uint16_t *ids = read_ids(argv[4], &n_ids);
    hearth_session *target = open_session(open_model(argv[2]), N_CTX, MOST + 1);
    hearth_session *draft = open_session(open_model(argv[3]), N_CTX, 1);
    int rc = 0;
    for (int always = 0; always < 2; always++) {
        struct pairs p = {0};
        const hearth_speculation_config c = {.struct_size = sizeof c, .draft = draft, .flags = flags[always],
                                             .max_guesses = always ? 3 : MOST};
        for (size_t i = 0; i < count; i++) {
            int32_t prompt[PROMPT];
            size_t at = i * ((n_ids - PROMPT) / count);
            for (size_t k = 0; k < PROMPT; k++)
                prompt[k] = ids[at + k];
            pair(target, prompt, PROMPT, TEXT, &c, &p, NULL);
        }
        rc |= report(always ? "draft, always 3" : "draft", &p);
    }
    free(ids);
    return rc;
}

/* A passage three times and its first words again: what follows is mostly a copy. */
static int bench_copy(int argc, char **argv)
{
    enum { PASSAGE = 96, AGAIN = 24 };
    static const uint32_t flags[2] = {0, HEARTH_SPECULATION_STEADY};
    size_t n_ids, count = argc > 4 ? (size_t)atol(argv[4]) : 20;
    uint16_t *ids = read_ids(argv[3], &n_ids);
    const hearth_model *model = open_model(argv[2]);
    hearth_session *target = open_session(model, N_CTX, 16 + 1);
    hearth_model_info info = {.struct_size = sizeof info};
    hearth_model_get_info(model, &info);
    int rc = 0;
    for (int always = 0; always < 2; always++) {
        struct pairs p = {0};
        const hearth_speculation_config c = {.struct_size = sizeof c, .lookup = 1, .flags = flags[always],
                                             .max_guesses = always ? 8 : 16};
        for (size_t i = 0; i < count; i++) {
            int32_t prompt[3 * PASSAGE + AGAIN];
            const uint16_t *from = ids + i * ((n_ids - PASSAGE) / count);
            for (size_t k = 0; k < sizeof prompt / sizeof *prompt; k++)
                prompt[k] = from[k % PASSAGE] % info.vocab_size;
            pair(target, prompt, sizeof prompt / sizeof *prompt, PASSAGE - AGAIN, &c, &p, NULL);
        }
        rc |= report(always ? "copy, lookup, always 8" : "copy, lookup", &p);
    }
    free(ids);
    return rc;
}

/* ---- the oracle ---- */

struct oracle {
    struct text truth;
    size_t n_prompt;
    double agreement, cost; /* seconds per guess */
    uint64_t seed;
};

static double oracle_random(struct oracle *o)
{
    o->seed = o->seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(o->seed >> 11) * 0x1p-53;
}

static int32_t oracle_guess(void *user, const int32_t *tokens, size_t n_tokens, int32_t *guess, int32_t n)
{
    struct oracle *o = user;
    double end = seconds(CLOCK_PROCESS_CPUTIME_ID) + n * o->cost;
    (void)tokens;
    for (int32_t i = 0; i < n; i++) {
        size_t at = n_tokens - o->n_prompt + (size_t)i;
        int32_t right = at < TEXT ? o->truth.token[at] : 0;
        guess[i] = oracle_random(o) < o->agreement ? right : (right + 1) % 1000;
    }
    while (seconds(CLOCK_PROCESS_CPUTIME_ID) < end) {
    }
    return n;
}

static double pass_cost(hearth_session *s, int32_t n, double enough);

static int bench_oracle(int argc, char **argv)
{
    enum { TOKENS = 64, PASSES = 2 };
    double rates[3] = {0.6, 0.7, 0.8};
    int n_rates = 3, rc = 0;
    hearth_session *target = open_session(open_model(argv[2]), N_CTX, MOST + 1);
    int32_t prompt[16];
    if (argc > 3) {
        rates[0] = atof(argv[3]);
        n_rates = 1;
    }
    for (int i = 0; i < 16; i++)
        prompt[i] = 100 + 37 * i;
    double plain = pass_cost(target, 1, 1);
    for (int r = 0; r < n_rates; r++) {
        struct pairs p = {0};
        char what[64];
        for (int i = 0; i < PASSES; i++) {
            struct oracle o = {.n_prompt = 16, .agreement = rates[r], .cost = plain / 20, .seed = 9 + (uint64_t)i};
            const hearth_speculation_config c = {.struct_size = sizeof c, .guess = oracle_guess,
                                                 .guess_user = &o, .max_guesses = MOST};
            prompt[0] = 500 + i;
            pair(target, prompt, 16, TOKENS, &c, &p, &o.truth);
        }
        snprintf(what, sizeof what, "oracle %.2f, a guess 1/20 of a pass", rates[r]);
        rc |= report(what, &p);
    }
    return rc;
}

/* ---- small passes ---- */

/* Least processor time of a step of n items behind 64 positions. */
static double pass_cost(hearth_session *s, int32_t n, double enough)
{
    hearth_item items[SMALL];
    hearth_error err;
    double best = 1e9, spent = 0;
    int32_t prompt[64];
    for (int i = 0; i < 64; i++)
        prompt[i] = 100 + i;
    hearth_session_reset(s);
    if (hearth_session_eval(s, prompt, 64, NULL, &err) != HEARTH_OK)
        die("step", &err);
    for (int32_t i = 0; i < n; i++)
        items[i] = (hearth_item){200 + 3 * i, 0, 1};
    for (int round = 0; round < 3 || spent < enough; round++) {
        double start = seconds(CLOCK_PROCESS_CPUTIME_ID);
        if (hearth_session_step(s, items, (size_t)n, &err) != HEARTH_OK)
            die("step", &err);
        double took = seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
        best = took < best ? took : best;
        spent += took;
        if (hearth_seq_trim(s, 0, 64, &err) != HEARTH_OK)
            die("trim", &err);
    }
    return best;
}

/* Speed with the best number of guesses: E(k) T(1) / (T(k + 1) + k d). */
static double best_speed(const double *t, double a, double d, int *best)
{
    double top = 0;
    for (int k = 0; k < SMALL; k++) {
        double tokens = 1, p = 1;
        for (int i = 0; i < k; i++)
            tokens += p *= a;
        double speed = tokens * t[1] / (t[k + 1] + k * d);
        if (speed > top) {
            top = speed;
            *best = k;
        }
    }
    return top;
}

static int bench_passes(char **argv)
{
    static const double drafts[] = {0, 0.05, 0.1, 0.2, 0.33};
    hearth_session *s = open_session(open_model(argv[2]), N_CTX, SMALL);
    double t[SMALL + 1] = {0};
    for (int round = 0; round < 2; round++)
        for (int32_t n = 1; n <= SMALL; n++) {
            double cost = pass_cost(s, n, 0.3);
            t[n] = round == 0 || cost < t[n] ? cost : t[n];
        }
    printf("{\"bench\":\"speculation\",\"case\":\"passes\",\"plain_ms\":%.3f,\"cost\":[", t[1] * 1e3);
    for (int n = 1; n <= SMALL; n++)
        printf("%s%.2f", n > 1 ? "," : "", t[n] / t[1]);
    printf("]}\n");
    for (size_t i = 0; i < sizeof drafts / sizeof *drafts; i++) {
        int k = 0;
        double need[3] = {0}, speed[3] = {1.0001, 1.5, 2};
        for (int j = 0; j < 3; j++)
            for (need[j] = 0; need[j] < 1 && best_speed(t, need[j], drafts[i] * t[1], &k) < speed[j];)
                need[j] += 0.005;
        printf("{\"bench\":\"speculation\",\"case\":\"arithmetic\",\"guess_cost\":%.2f,\"agreement_for\":{\"1\":%.3f,"
               "\"1.5\":%.3f,\"2\":%.3f},\"speed_at\":{\"0.59\":%.3f,\"0.7\":%.3f,\"0.8\":%.3f}}\n",
               drafts[i], need[0], need[1], need[2], best_speed(t, 0.59, drafts[i] * t[1], &k),
               best_speed(t, 0.7, drafts[i] * t[1], &k), best_speed(t, 0.8, drafts[i] * t[1], &k));
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "passes") == 0)
        return bench_passes(argv);
    if (argc > 4 && strcmp(argv[1], "draft") == 0)
        return bench_draft(argc, argv);
    if (argc > 3 && strcmp(argv[1], "copy") == 0)
        return bench_copy(argc, argv);
    if (argc > 2 && strcmp(argv[1], "oracle") == 0)
        return bench_oracle(argc, argv);
    fputs("bench_speculation passes TARGET | draft TARGET DRAFT TOKENS [N] | copy TARGET TOKENS [N] | "
          "oracle TARGET [AGREEMENT]\n", stderr);
    return 2;
}
