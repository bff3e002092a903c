/* Generating: text equals tokens, stop strings are cut out wherever token borders fall, every way to
 * finish is told apart. */
#include "runtime_support.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_is_the_models),
        cmocka_unit_test(stop_strings_end_the_text_in_front_of_them),
        cmocka_unit_test(a_full_context_is_told),
        cmocka_unit_test(a_poll_that_says_stop_is_obeyed_within_a_token),
        cmocka_unit_test(a_prompt_that_does_not_fit_is_refused_whole),
        cmocka_unit_test(bad_stop_strings_are_refused),
        cmocka_unit_test(a_seed_gives_the_same_text_for_any_thread_count),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
