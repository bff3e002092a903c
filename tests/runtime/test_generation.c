/* Generating: text equals tokens, stop strings are cut out wherever token borders fall, every way to
 * finish is told apart. */
#include "runtime_support.h"
#include "runtime/hr_generation.h"
#include <math.h>

static hearth_file *file;
static hearth_model *model;

static int setup(void **state)
{
    (void)state;
    model = test_model(&file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hearth_model_close(model);
    hearth_file_close(file);
    return 0;
}

static const char prompt_text[] = "It was a dark and stormy night, and the old house";

struct result {
    char text[8192];
    size_t len;
    int n_tokens;
    hearth_finish finish;
};

static void generate(const hearth_session_config *sc, hearth_generation_config c, struct result *r)
{
    int32_t tokens[64];
    size_t n;
    hearth_generation *g;
    hearth_error err;
    hearth_session *s = test_session(model, sc);
    c.struct_size = sizeof c;
    memset(r, 0, sizeof *r);
    assert_int_equal(hearth_tokenize(model, prompt_text, strlen(prompt_text),
                                     HEARTH_TOKENIZE_SPECIAL, tokens, 64, &n, &err),
                     HEARTH_OK);
    assert_int_equal(hearth_generation_open(s, &c, &g, &err), HEARTH_OK);
    assert_int_equal(hearth_generation_prompt(g, tokens, n, &err), HEARTH_OK);
    while (!r->finish) {
        hearth_piece p = {.struct_size = sizeof p};
        if (hearth_generation_next(g, &p, &err) != HEARTH_OK)
            fail_msg("%s", err.text);
        memcpy(r->text + r->len, p.text, p.text_len);
        r->len += p.text_len;
        r->n_tokens += p.token >= 0;
        r->finish = p.finish;
    }
    hearth_piece p = {.struct_size = sizeof p};
    assert_int_equal(hearth_generation_next(g, &p, &err), HEARTH_E_STATE);
    hearth_generation_close(g);
    hearth_session_close(s);
}

static void greedy_text_is_the_models(void **state)
{
    (void)state;
    struct result r;
    generate(NULL, (hearth_generation_config){.max_tokens = 20, .ignore_end = 1}, &r);
    assert_string_equal(r.text, " was a little out of the way, and the house was a little out of "
                                "the way, and");
    assert_int_equal(r.n_tokens, 20);
    assert_int_equal(r.finish, HEARTH_FINISH_LENGTH);
}

static void stop_strings_end_the_text_in_front_of_them(void **state)
{
    (void)state;
    static const struct {
        const char *stop[3];
        size_t n;
        const char *want;
        hearth_finish finish;
    } cases[] = {
        {{" house"}, 1, " was a little out of the way, and the", HEARTH_FINISH_STOP},
        {{"e way, a"}, 1, " was a little out of th", HEARTH_FINISH_STOP}, /* inside tokens */
        {{"way, but", "ay, and th"}, 2, " was a little out of the w", HEARTH_FINISH_STOP},
        {{"wa"}, 1, " ", HEARTH_FINISH_STOP},
        {{"way, and a"}, 1, /* begun and never completed */
         " was a little out of the way, and the house was a little out of the way, and",
         HEARTH_FINISH_LENGTH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct result r;
        generate(NULL, (hearth_generation_config){.max_tokens = 20, .stop = cases[i].stop,
                                                  .n_stop = cases[i].n, .ignore_end = 1}, &r);
        assert_string_equal(r.text, cases[i].want);
        assert_int_equal(r.finish, cases[i].finish);
    }
}

static void a_full_context_is_told(void **state)
{
    (void)state;
    struct result r;
    const hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 20};
    generate(&sc, (hearth_generation_config){.ignore_end = 1}, &r);
    assert_int_equal(r.finish, HEARTH_FINISH_CONTEXT);
    assert_int_equal(r.n_tokens, 20 - 12 + 1); /* the last one never enters the context */
}

static int poll_after(void *user, size_t done, size_t total)
{
    int *left = user;
    (void)done, (void)total;
    return (*left)-- == 0 ? 2 : 0;
}

static void a_poll_that_says_stop_is_obeyed_within_a_token(void **state)
{
    (void)state;
    struct result r;
    int left = 4; /* prompt, then before each following token */
    generate(NULL, (hearth_generation_config){.max_tokens = 50, .poll = poll_after,
                                              .poll_user = &left, .ignore_end = 1}, &r);
    assert_int_equal(r.finish, HEARTH_FINISH_DEADLINE);
    assert_int_equal(r.n_tokens, 4);
}

static void a_prompt_that_does_not_fit_is_refused_whole(void **state)
{
    (void)state;
    int32_t tokens[64];
    hearth_generation *g;
    hearth_error err;
    const hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 32};
    hearth_session *s = test_session(model, &sc);
    test_tokens(tokens, 64, 1);
    assert_int_equal(hearth_generation_open(s, NULL, &g, &err), HEARTH_OK);
    assert_int_equal(hearth_generation_prompt(g, tokens, 33, &err), HEARTH_E_FULL);
    assert_string_equal(err.text, "prompt: 33 tokens at position 0; the context has 32 positions");
    assert_int_equal(hearth_seq_length(s, 0), 0);
    assert_int_equal(hearth_generation_prompt(g, tokens, 32, &err), HEARTH_OK);
    hearth_generation_close(g);
    hearth_session_close(s);
}

static void bad_stop_strings_are_refused(void **state)
{
    (void)state;
    char longer[258];
    const char *many[17];
    hearth_generation *g;
    hearth_session *s = test_session(model, NULL);
    memset(longer, 'x', 257);
    longer[257] = 0;
    for (int i = 0; i < 17; i++)
        many[i] = "a";
    const char *one = longer, *empty = "";
    const hearth_generation_config bad[] = {
        {.struct_size = sizeof *bad, .stop = many, .n_stop = 17},
        {.struct_size = sizeof *bad, .stop = &one, .n_stop = 1},
        {.struct_size = sizeof *bad, .stop = &empty, .n_stop = 1},
    };
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(hearth_generation_open(s, &bad[i], &g, NULL), HEARTH_E_LIMIT);
    longer[256] = 0;
    const hearth_generation_config good = {.struct_size = sizeof good, .stop = many, .n_stop = 16};
    assert_int_equal(hearth_generation_open(s, &good, &g, NULL), HEARTH_OK);
    hearth_generation_close(g);
    hearth_session_close(s);
}

static void a_seed_gives_the_same_text_for_any_thread_count(void **state)
{
    (void)state;
    static struct result first, r;
    for (int32_t threads = 1; threads <= 3; threads++) {
        hearth_pool_config pc = {.struct_size = sizeof pc, .n_threads = threads};
        hearth_session_config sc = {.struct_size = sizeof sc};
        hearth_sampler_config c = {.struct_size = sizeof c, .temperature = 1, .top_p = 0.95f,
                                   .seed = 7};
        hearth_sampler *sampler;
        assert_int_equal(hearth_pool_open(&pc, &sc.pool, NULL), HEARTH_OK);
        assert_int_equal(hearth_sampler_open(model, &c, &sampler, NULL), HEARTH_OK);
        generate(&sc, (hearth_generation_config){.max_tokens = 24, .sampler = sampler,
                                                 .ignore_end = 1}, &r);
        hearth_sampler_close(sampler);
        hearth_pool_close(sc.pool);
        if (threads == 1)
            first = r;
        assert_string_equal(r.text, first.text);
    }
}

/* Three generations of one session, one step for all of them, prompts in chunks of four beside the
 * others' tokens: each has the text it has alone. */
static void generations_in_one_step_say_what_they_say_alone(void **state)
{
    (void)state;
    enum { N = 3, TOKENS = 12 };
    static const size_t prompt_len[N] = {3, 11, 17};
    hearth_session_config sc = {.struct_size = sizeof sc, .n_seqs = N, .n_ctx = 64};
    hearth_generation_config gc = {.struct_size = sizeof gc, .max_tokens = TOKENS, .ignore_end = 1};
    int32_t prompt[N][17], alone[N][TOKENS], together[N][TOKENS], n_together[N] = {0};
    hearth_piece p = {.struct_size = sizeof p};
    hearth_generation *g[N];
    hearth_session *s = test_session(model, &sc);
    for (int i = 0; i < N; i++) {
        test_tokens(prompt[i], prompt_len[i], (uint64_t)i + 5);
        gc.seq = i;
        assert_int_equal(hearth_generation_open(s, &gc, &g[i], NULL), HEARTH_OK);
        assert_int_equal(hearth_generation_prompt(g[i], prompt[i], prompt_len[i], NULL), HEARTH_OK);
        for (int at = 0; at < TOKENS; at++) {
            assert_int_equal(hearth_generation_next(g[i], &p, NULL), HEARTH_OK);
            alone[i][at] = p.token;
        }
        hearth_generation_close(g[i]);
    }
    hearth_session_reset(s);
    for (int i = 0; i < N; i++) {
        gc.seq = i;
        assert_int_equal(hearth_generation_open(s, &gc, &g[i], NULL), HEARTH_OK);
        assert_int_equal(hr_generation_start(g[i], prompt[i], prompt_len[i], NULL), HEARTH_OK);
    }
    for (size_t n = 1; n;) {
        hearth_item items[N * 4];
        size_t wanted[N], row[N], rows = 0;
        n = 0;
        for (int i = 0; i < N; i++) {
            while (hr_generation_ready(g[i]) && n_together[i] < TOKENS) {
                assert_int_equal(hearth_generation_next(g[i], &p, NULL), HEARTH_OK);
                together[i][n_together[i]++] = p.token;
            }
            row[i] = rows;
            wanted[i] = 0;
            if (n_together[i] < TOKENS)
                assert_int_equal(hr_generation_want(g[i], items + n, 4, 1, &wanted[i], NULL),
                                 HEARTH_OK);
            for (size_t k = 0; k < wanted[i]; k++)
                rows += items[n + k].want_logits != 0;
            n += wanted[i];
        }
        hearth_status status = n ? hearth_session_step(s, items, n, NULL) : HEARTH_OK;
        for (int i = 0; i < N; i++)
            if (wanted[i])
                assert_int_equal(hr_generation_take(g[i], status, row[i], 0), HEARTH_OK);
    }
    assert_memory_equal(together, alone, sizeof alone);
    for (int i = 0; i < N; i++)
        hearth_generation_close(g[i]);
    hearth_session_close(s);
}

/* What was chosen last goes in front of the next turn's prompt, so two turns equal one text. */
static void a_second_prompt_continues_behind_the_text(void **state)
{
    (void)state;
    const hearth_generation_config gc = {.struct_size = sizeof gc, .max_tokens = 5, .ignore_end = 1};
    int32_t all[30], second[5];
    hearth_piece p = {.struct_size = sizeof p};
    hearth_generation *g;
    hearth_session *s = test_session(model, NULL);
    test_tokens(all, 20, 3);
    memmove(all + 15, all + 10, 10 * sizeof *all); /* 10 of a prompt, 5 of text, 10 of a prompt */
    assert_int_equal(hearth_generation_open(s, &gc, &g, NULL), HEARTH_OK);
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(hearth_generation_prompt(g, all + 15 * turn, 10, NULL), HEARTH_OK);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(hearth_generation_next(g, &p, NULL), HEARTH_OK);
            (turn ? second : all + 10)[i] = p.token;
        }
        assert_int_equal(hearth_generation_next(g, &p, NULL), HEARTH_OK);
        assert_int_equal(p.finish, HEARTH_FINISH_LENGTH);
        assert_int_equal(hearth_generation_next(g, &p, NULL), HEARTH_E_STATE);
    }
    hearth_generation_close(g);
    hearth_session_reset(s);
    assert_int_equal(hearth_generation_open(s, &gc, &g, NULL), HEARTH_OK);
    assert_int_equal(hearth_generation_prompt(g, all, 25, NULL), HEARTH_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(hearth_generation_next(g, &p, NULL), HEARTH_OK);
        assert_int_equal(p.token, second[i]);
    }
    hearth_generation_close(g);
    hearth_session_close(s);
}

/* Greedy, so the first of the list is the token; the sum over the vocabulary is checked against a
 * softmax in double of the row itself. */
static void logprobs_are_those_of_the_model(void **state)
{
    (void)state;
    enum { TOP = 5 };
    const hearth_logit_bias ban = {0, -INFINITY};
    hearth_sampler_config ac = {.struct_size = sizeof ac, .bias = &ban, .n_bias = 1};
    hearth_sampler *sampler;
    assert_int_equal(hearth_sampler_open(model, &ac, &sampler, NULL), HEARTH_OK);
    const hearth_generation_config gc = {.struct_size = sizeof gc, .n_logprobs = TOP, .max_tokens = 8,
                                         .ignore_end = 1, .sampler = sampler};
    int32_t prompt[6];
    hearth_generation *g;
    hearth_session *s = test_session(model, NULL);
    test_tokens(prompt, 6, 8);
    assert_int_equal(hearth_generation_open(s, &gc, &g, NULL), HEARTH_OK);
    assert_int_equal(hearth_generation_prompt(g, prompt, 6, NULL), HEARTH_OK);
    for (int i = 0; i < 8; i++) {
        hearth_piece p = {.struct_size = sizeof p};
        double total = 0;
        assert_int_equal(hearth_generation_next(g, &p, NULL), HEARTH_OK);
        const float *row = hearth_session_logits(s, 0);
        for (int k = 0; k < VOCAB; k++)
            total += exp((double)row[k]);
        assert_int_equal(p.n_top, TOP);
        for (int k = 0; k < TOP; k++) {
            int larger = 0;
            for (int v = 0; v < VOCAB; v++)
                larger += row[v] > row[p.top[k].token];
            assert_int_equal(larger, k);
            assert_true(fabs((double)p.top[k].logprob - ((double)row[p.top[k].token] - log(total))) < 1e-4);
        }
        assert_true(fabs((double)p.logprob - ((double)row[p.token] - log(total))) < 1e-4);
        assert_true(p.token != 0 && (p.top[0].token == p.token || p.top[0].token == 0));
    }
    hearth_piece p = {.struct_size = sizeof p};
    assert_int_equal(hearth_generation_next(g, &p, NULL), HEARTH_OK);
    assert_int_equal(p.n_top, 0);
    hearth_generation_close(g);
    for (int32_t n = -1; n <= 65; n += 66) {
        const hearth_generation_config bad = {.struct_size = sizeof bad, .n_logprobs = n};
        assert_int_equal(hearth_generation_open(s, &bad, &g, NULL), HEARTH_E_RANGE);
    }
    hearth_sampler_close(sampler);
    hearth_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_is_the_models),
        cmocka_unit_test(stop_strings_end_the_text_in_front_of_them),
        cmocka_unit_test(a_full_context_is_told),
        cmocka_unit_test(a_poll_that_says_stop_is_obeyed_within_a_token),
        cmocka_unit_test(a_prompt_that_does_not_fit_is_refused_whole),
        cmocka_unit_test(bad_stop_strings_are_refused),
        cmocka_unit_test(generations_in_one_step_say_what_they_say_alone),
        cmocka_unit_test(logprobs_are_those_of_the_model),
        cmocka_unit_test(a_second_prompt_continues_behind_the_text),
        cmocka_unit_test(a_seed_gives_the_same_text_for_any_thread_count),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
