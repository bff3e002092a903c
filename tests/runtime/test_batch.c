/* Continuous batching: any number of generations on one session, each with the text that it has alone;
 * joining, leaving, cancelling and deadlines at every step. */
#include "runtime_support.h"
#include "runtime/hr_session.h"
#include <math.h>

#define MOST_GENS   16
#define MOST_TOKENS 40
#define MOST_PROMPT 90

struct job {
    int32_t prompt[MOST_PROMPT];
    size_t n_prompt;
    int32_t max_tokens;
    float temperature;
    uint64_t seed;
    int (*poll)(void *user, size_t done, size_t total);
    void *poll_user;
    const hearth_speculation_config *speculation;
};

struct answer {
    int32_t tokens[MOST_TOKENS];
    int32_t n;
    char text[4096];
    size_t text_len;
    hearth_finish finish;
    hearth_status status;
    size_t matched;
};

static hearth_model *model;

static hearth_sampler *job_sampler(const struct job *j)
{
    hearth_sampler_config c = {.struct_size = sizeof c, .temperature = j->temperature, .top_k = 40,
                               .top_p = 0.95f, .repeat_penalty = 1.1f, .seed = j->seed};
    hearth_sampler *s;
    assert_int_equal(hearth_sampler_open(model, &c, &s, NULL), HEARTH_OK);
    return s;
}

static hearth_generation_config job_config(const struct job *j, hearth_sampler *sampler)
{
    return (hearth_generation_config){.struct_size = sizeof(hearth_generation_config),
                                      .max_tokens = j->max_tokens, .ignore_end = 1,
                                      .sampler = sampler, .poll = j->poll,
                                      .poll_user = j->poll_user,
                                      .speculation = j->speculation};
}

static void answer_add(struct answer *a, const hearth_piece *p)
{
    if (p->token >= 0)
        a->tokens[a->n++] = p->token;
    memcpy(a->text + a->text_len, p->text, p->text_len);
    a->text_len += p->text_len;
    a->finish = p->finish;
}

/* Jobs of mixed lengths, greedy and sampled; some share beginnings. */
static void make_jobs(struct job *jobs, size_t n, uint64_t seed)
{
    memset(jobs, 0, n * sizeof *jobs);
    for (size_t i = 0; i < n; i++) {
        struct job *j = &jobs[i];
        j->n_prompt = 1 + test_rand(&seed) % MOST_PROMPT;
        j->max_tokens = 1 + (int32_t)(test_rand(&seed) % MOST_TOKENS);
        j->temperature = i % 3 ? 0.9f : 0;
        j->seed = i * 77 + 1;
        test_tokens(j->prompt, j->n_prompt, 1000 + i % 5);
        if (j->n_prompt > 60)
            j->prompt[60] = (int32_t)i;
    }
}

static void alone(const struct job *j, struct answer *a)
{
    hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 160};
    hearth_session *s = test_session(model, &sc);
    hearth_sampler *sampler = job_sampler(j);
    hearth_generation_config gc = job_config(j, sampler);
    hearth_generation *g;
    gc.poll = NULL;
    memset(a, 0, sizeof *a);
    assert_int_equal(hearth_generation_open(s, &gc, &g, NULL), HEARTH_OK);
    assert_int_equal(hearth_generation_prompt(g, j->prompt, j->n_prompt, NULL), HEARTH_OK);
    while (!a->finish) {
        hearth_piece p = {.struct_size = sizeof p};
        assert_int_equal(hearth_generation_next(g, &p, NULL), HEARTH_OK);
        answer_add(a, &p);
    }
    hearth_generation_close(g);
    hearth_sampler_close(sampler);
    hearth_session_close(s);
}

struct run {
    hearth_session *session;
    hearth_batch *batch;
    hearth_sampler *samplers[MOST_GENS];
    uint64_t ids[MOST_GENS];
    size_t n, steps;
    int32_t threads;
};

static void run_open(struct run *r, hearth_session_config sc, int32_t prompt_chunk)
{
    hearth_pool_config pc = {.struct_size = sizeof pc, .n_threads = r->threads};
    sc.struct_size = sizeof sc;
    if (r->threads > 1)
        assert_int_equal(hearth_pool_open(&pc, &sc.pool, NULL), HEARTH_OK);
    r->session = test_session(model, &sc);
    hearth_batch_config bc = {.struct_size = sizeof bc, .session = r->session,
                              .max_generations = MOST_GENS, .prompt_chunk = prompt_chunk};
    assert_int_equal(hearth_batch_open(&bc, &r->batch, NULL), HEARTH_OK);
}

static void run_add(struct run *r, const struct job *j, struct answer *a)
{
    hearth_error err;
    memset(a, 0, sizeof *a);
    r->samplers[r->n] = job_sampler(j);
    hearth_generation_config gc = job_config(j, r->samplers[r->n]);
    if (hearth_batch_add(r->batch, &gc, j->prompt, j->n_prompt, a, &r->ids[r->n], &err) !=
        HEARTH_OK)
        fail_msg("%s", err.text);
    r->n++;
}

static bool run_step(struct run *r)
{
    hearth_error err;
    if (hearth_batch_step(r->batch, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    r->steps++;
    hearth_batch_piece p = {.struct_size = sizeof p};
    while (hearth_batch_next(r->batch, &p)) {
        struct answer *a = p.user;
        assert_int_equal(a->finish, HEARTH_FINISH_NONE);
        answer_add(a, &p.piece);
        a->status = p.status;
        a->matched = p.matched;
    }
    return hearth_batch_count(r->batch, NULL) > 0;
}

/* Nothing is running, and every page can be had. */
static void run_close(struct run *r)
{
    const struct hr_kv *kv = &r->session->kv;
    size_t running;
    assert_int_equal(hearth_batch_count(r->batch, &running), 0);
    assert_int_equal(running, 0);
    hearth_kv_stats st = {.struct_size = sizeof st};
    hearth_session_kv_stats(r->session, &st);
    assert_int_equal(st.seqs_running, 0);
    assert_int_equal(kv->n_free + hr_kv_evictable(kv), kv->n_pages);
    hearth_batch_close(r->batch);
    for (size_t i = 0; i < r->n; i++)
        hearth_sampler_close(r->samplers[i]);
    hearth_pool *pool = r->session->config.pool;
    hearth_session_close(r->session);
    hearth_pool_close(pool);
}

static void same_answer(const struct answer *got, const struct answer *want, size_t i)
{
    if (got->n != want->n || memcmp(got->tokens, want->tokens, (size_t)want->n * 4) != 0 ||
        got->text_len != want->text_len || memcmp(got->text, want->text, want->text_len) != 0)
        fail_msg("generation %zu: %d tokens, another text than the %d alone", i, got->n, want->n);
    assert_int_equal(got->finish, want->finish);
}

static void texts_equal_those_run_alone(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 4, 8, 16};
    static struct job jobs[MOST_GENS];
    static struct answer want[MOST_GENS], got[MOST_GENS];
    make_jobs(jobs, MOST_GENS, 4);
    for (size_t i = 0; i < MOST_GENS; i++)
        alone(&jobs[i], &want[i]);
    for (size_t c = 0; c < 5; c++)
        for (int32_t variant = 0; variant < 3; variant++) {
            struct run r = {.threads = 1 + variant};
            /* all at once; small chunks; fewer sequences than generations */
            run_open(&r, (hearth_session_config){.n_ctx = 160, .n_seqs = variant == 2 ? 3 : 16,
                                                 .n_batch = variant == 1 ? 24 : 256,
                                                 .flags = variant == 1 ? HEARTH_SESSION_NO_PREFIX : 0},
                     variant == 1 ? 7 : 0);
            for (size_t i = 0; i < counts[c]; i++) {
                run_add(&r, &jobs[i], &got[i]);
                if (variant == 1 && i % 2)
                    run_step(&r); /* the next one joins later */
            }
            while (run_step(&r)) {
            }
            for (size_t i = 0; i < counts[c]; i++)
                same_answer(&got[i], &want[i], i);
            print_message("%zu generations, variant %d: %zu steps\n", counts[c], variant, r.steps);
            run_close(&r);
        }
}

/* Guesses that are mostly wrong: what followed the last token half the text ago, and one more. */
static int32_t guess_badly(void *user, const int32_t *tokens, size_t n_tokens, int32_t *guess, int32_t n)
{
    (void)user;
    for (int32_t i = 0; i < n; i++)
        guess[i] = tokens[(n_tokens / 2 + (size_t)i) % n_tokens] + (i == 2);
    return n;
}

/* Guesses of many generations in one step, in a cache that has no page to spare for them. */
static void guesses_do_not_change_a_text(void **state)
{
    (void)state;
    static const hearth_speculation_config lookup = {.struct_size = sizeof lookup, .lookup = 1,
                                                     .max_guesses = 6},
                                           badly = {.struct_size = sizeof badly, .guess = guess_badly,
                                                    .max_guesses = 4};
    static struct job jobs[8];
    static struct answer want[8], got[8];
    make_jobs(jobs, 8, 4);
    for (size_t i = 0; i < 8; i++) {
        jobs[i].max_tokens = MOST_TOKENS;
        alone(&jobs[i], &want[i]);
        jobs[i].speculation = i % 2 ? &lookup : &badly;
    }
    for (int32_t pages = 9; pages < 40; pages += 6) {
        struct run r = {.threads = 1};
        run_open(&r, (hearth_session_config){.n_ctx = 160, .n_seqs = 8, .n_batch = 40, .n_logits = 24,
                                             .n_kv_tokens = 16 * pages}, 0);
        for (size_t i = 0; i < 8; i++)
            run_add(&r, &jobs[i], &got[i]);
        while (run_step(&r)) {
        }
        for (size_t i = 0; i < 8; i++)
            same_answer(&got[i], &want[i], i);
        print_message("%d pages: %zu steps\n", pages, r.steps);
        run_close(&r);
    }
}

/* Pages for a fourth of what is asked for. */
static void a_small_cache_makes_generations_wait_not_fail(void **state)
{
    (void)state;
    static struct job jobs[12];
    static struct answer want[12], got[12];
    make_jobs(jobs, 12, 9);
    struct run r = {.threads = 1};
    run_open(&r, (hearth_session_config){.n_ctx = 160, .n_seqs = 8, .n_kv_tokens = 256}, 0);
    for (size_t i = 0; i < 12; i++) {
        alone(&jobs[i], &want[i]);
        run_add(&r, &jobs[i], &got[i]);
    }
    size_t running, most = 0;
    while (run_step(&r)) {
        hearth_batch_count(r.batch, &running);
        most = running > most ? running : most;
    }
    for (size_t i = 0; i < 12; i++)
        same_answer(&got[i], &want[i], i);
    assert_true(most > 1 && most < 8);
    run_close(&r);
}

static void a_cancel_at_every_step_ends_one_and_leaks_nothing(void **state)
{
    (void)state;
    static struct job jobs[3];
    static struct answer want[3], got[3];
    make_jobs(jobs, 3, 4);
    for (size_t i = 0; i < 3; i++) {
        jobs[i].n_prompt = 20 + 9 * i;
        jobs[i].max_tokens = 12;
        alone(&jobs[i], &want[i]);
    }
    bool reached = false;
    for (size_t at = 0; !reached; at++) {
        struct run r = {.threads = 1};
        run_open(&r, (hearth_session_config){.n_ctx = 64, .n_seqs = 2, .n_batch = 16}, 8);
        for (size_t i = 0; i < 3; i++)
            run_add(&r, &jobs[i], &got[i]);
        bool left = true;
        for (size_t i = 0; i < at && left; i++)
            left = run_step(&r);
        reached = !left;
        for (size_t v = 0; v < 3; v++) { /* the first that is still there */
            if (got[v].finish || hearth_batch_cancel(r.batch, r.ids[v], NULL) != HEARTH_OK)
                continue;
            int32_t before = got[v].n;
            run_step(&r);
            if (!got[v].finish)
                run_step(&r);
            assert_int_equal(got[v].finish, HEARTH_FINISH_CANCELLED);
            assert_int_equal(got[v].n, before);
            assert_int_equal(hearth_batch_cancel(r.batch, r.ids[v], NULL), HEARTH_E_NOT_FOUND);
            break;
        }
        while (run_step(&r)) {
        }
        for (size_t i = 0; i < 3; i++)
            if (got[i].finish != HEARTH_FINISH_CANCELLED)
                same_answer(&got[i], &want[i], i);
        run_close(&r);
        assert_true(at < 100);
    }
}

static int poll_until(void *user, size_t done, size_t total)
{
    int *left = user;
    (void)done, (void)total;
    return (*left)-- <= 0 ? 2 : 0;
}

/* Polled once a step, in the prompt, behind it, and while waiting. */
static void deadlines_end_a_generation_within_a_step(void **state)
{
    (void)state;
    static struct job jobs[3];
    static struct answer got[3];
    for (int limit = 0; limit < 14; limit++) {
        make_jobs(jobs, 3, 4);
        int left[3] = {limit, limit, limit};
        struct run r = {.threads = 1};
        run_open(&r, (hearth_session_config){.n_ctx = 64, .n_seqs = 2, .n_batch = 16}, 8);
        for (size_t i = 0; i < 3; i++) {
            jobs[i].n_prompt = 30;
            jobs[i].max_tokens = 30;
            jobs[i].poll = poll_until;
            jobs[i].poll_user = &left[i];
            run_add(&r, &jobs[i], &got[i]);
        }
        while (run_step(&r)) {
        }
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(got[i].finish, HEARTH_FINISH_DEADLINE);
        assert_in_range(r.steps, (size_t)limit + 1, (size_t)limit + 2);
        run_close(&r);
    }
}

static void what_goes_wrong_with_one_ends_that_one(void **state)
{
    (void)state;
    static struct job jobs[2];
    static struct answer want, got[2];
    static hearth_logit_bias ban[VOCAB];
    make_jobs(jobs, 2, 4);
    jobs[1].max_tokens = 20;
    alone(&jobs[1], &want);
    for (int32_t i = 0; i < VOCAB; i++)
        ban[i] = (hearth_logit_bias){i, -INFINITY};
    hearth_sampler_config c = {.struct_size = sizeof c, .temperature = 1, .bias = ban, .n_bias = VOCAB};
    hearth_sampler *none;
    hearth_error err;
    uint64_t id;
    assert_int_equal(hearth_sampler_open(model, &c, &none, NULL), HEARTH_OK);
    struct run r = {.threads = 1};
    run_open(&r, (hearth_session_config){.n_ctx = 160, .n_seqs = 2}, 0);
    hearth_generation_config gc = job_config(&jobs[0], none);
    memset(got, 0, sizeof got);
    assert_int_equal(hearth_batch_add(r.batch, &gc, jobs[0].prompt, 5, &got[0], &id, NULL), HEARTH_OK);
    run_add(&r, &jobs[1], &got[1]);
    while (run_step(&r)) {
    }
    assert_int_equal(got[0].finish, HEARTH_FINISH_ERROR);
    assert_int_equal(got[0].status, HEARTH_E_NUMERIC);
    same_answer(&got[1], &want, 1);

    int32_t bad = VOCAB;
    gc.max_tokens = 100;
    assert_int_equal(hearth_batch_add(r.batch, &gc, jobs[0].prompt, 61, NULL, &id, &err), HEARTH_E_FULL);
    assert_string_equal(err.text,
                        "batch: a prompt of 61 tokens and 100 more; context and cache take 160");
    assert_int_equal(hearth_batch_add(r.batch, &gc, jobs[0].prompt, 0, NULL, &id, NULL), HEARTH_E_RANGE);
    assert_int_equal(hearth_batch_add(r.batch, &gc, &bad, 1, NULL, &id, NULL), HEARTH_E_RANGE);
    for (int i = 0; i < MOST_GENS; i++)
        assert_int_equal(hearth_batch_add(r.batch, &gc, jobs[0].prompt, 60, &got[0], &id, NULL),
                         HEARTH_OK);
    assert_int_equal(hearth_batch_add(r.batch, &gc, jobs[0].prompt, 60, NULL, &id, NULL), HEARTH_E_FULL);
    assert_int_equal(hearth_batch_step(r.batch, NULL), HEARTH_OK);
    assert_int_equal(hearth_batch_step(r.batch, NULL), HEARTH_E_STATE); /* pieces are waiting */
    hearth_batch_close(r.batch); /* in the middle of things */
    hearth_session_close(r.session);
    hearth_sampler_close(none);
    hearth_sampler_close(r.samplers[0]);
}

static void equal_prompts_are_computed_once(void **state)
{
    (void)state;
    static struct job jobs[2];
    static struct answer want, got[2];
    make_jobs(jobs, 2, 4);
    jobs[0].n_prompt = 80;
    jobs[0].max_tokens = 8;
    test_tokens(jobs[0].prompt, 80, 3);
    alone(&jobs[0], &want);
    struct run r = {.threads = 1};
    run_open(&r, (hearth_session_config){.n_ctx = 160, .n_seqs = 2}, 0);
    run_add(&r, &jobs[0], &got[0]);
    run_step(&r);
    run_add(&r, &jobs[0], &got[1]);
    while (run_step(&r)) {
    }
    same_answer(&got[0], &want, 0);
    same_answer(&got[1], &want, 1);
    assert_int_equal(got[0].matched, 0);
    assert_int_equal(got[1].matched, HEARTH_WITH_KV_CACHE ? 64 : 0); /* 79 in whole pages */
    run_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_equal_those_run_alone),
        cmocka_unit_test(guesses_do_not_change_a_text),
        cmocka_unit_test(a_small_cache_makes_generations_wait_not_fail),
        cmocka_unit_test(a_cancel_at_every_step_ends_one_and_leaks_nothing),
        cmocka_unit_test(deadlines_end_a_generation_within_a_step),
        cmocka_unit_test(what_goes_wrong_with_one_ends_that_one),
        cmocka_unit_test(equal_prompts_are_computed_once),
    };
    hearth_file *file;
    model = test_model(&file);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    hearth_model_close(model);
    hearth_file_close(file);
    return failed;
}
