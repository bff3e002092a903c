/* Speculation: what comes out is what comes out without, whoever guesses and however badly; pages, length
 * and sampler are at every end what they are without. Fast cases with books-33m and its draft of 6m. */
#include "runtime_support.h"
#include "runtime/hr_generation.h"
#include "runtime/hr_session.h"
#include <math.h>

#define TARGET HEARTH_SOURCE_DIR "/fixtures/models/books-33m-q4_k_m.gguf"
#define OTHER  HEARTH_SOURCE_DIR "/fixtures/arch/llama-q8_0.gguf"

enum { TOKENS = 32, MOST_GUESSES = 8 };

static hearth_file *draft_file, *target_file;
static hearth_model *draft_model, *target_model;

static hearth_model *open_model(const char *path, hearth_file **file)
{
    hearth_error err;
    hearth_model *model;
    if (hearth_file_open(path, NULL, file, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    const hearth_bytes bytes = {hearth_file_bytes(*file), hearth_file_size(*file)};
    if (hearth_model_open(&bytes, 1, NULL, &model, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    return model;
}

static int setup(void **state)
{
    (void)state;
    draft_model = test_model(&draft_file);
    target_model = open_model(TARGET, &target_file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hearth_model_close(draft_model);
    hearth_model_close(target_model);
    hearth_file_close(draft_file);
    hearth_file_close(target_file);
    return 0;
}

/* ---- running ---- */

struct run {
    int32_t token[256];
    int n;
    int32_t length; /* of the sequence at the end */
    hearth_finish finish;
    hearth_generation_stats stats;
};

static const char *const prompts[] = {
    "It was a dark and stormy night, and the old house",
    "\"I do not know,\" said the captain, \"but",
    "The sea was calm. The sea was blue. The sea was",
    "In the year of our Lord one thousand eight hundred and",
    "He took up his hat and",
    "Once upon a time there was a king who had three daughters. The eldest",
    "My dear Watson,",
    "The train left the station at",
    "She looked at him with",
    "one two three four one two three four one two three",
};
enum { N_PROMPTS = sizeof prompts / sizeof *prompts };

static void run(hearth_session *s, const char *prompt, hearth_generation_config c, struct run *r)
{
    int32_t tokens[128];
    size_t n;
    hearth_generation *g;
    hearth_error err;
    c.struct_size = sizeof c;
    memset(r, 0, sizeof *r);
    hearth_session_reset(s);
    if (c.sampler)
        hearth_sampler_reset(c.sampler);
    assert_int_equal(hearth_tokenize(target_model, prompt, strlen(prompt), HEARTH_TOKENIZE_SPECIAL,
                                     tokens, 128, &n, &err), HEARTH_OK);
    if (hearth_generation_open(s, &c, &g, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    if (hearth_generation_prompt(g, tokens, n, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    while (!r->finish) {
        hearth_piece p = {.struct_size = sizeof p};
        if (hearth_generation_next(g, &p, &err) != HEARTH_OK)
            fail_msg("%s", err.text);
        if (p.token >= 0)
            r->token[r->n++] = p.token;
        r->finish = p.finish;
    }
    r->length = hearth_seq_length(s, 0);
    r->stats.struct_size = sizeof r->stats;
    hearth_generation_get_stats(g, &r->stats);
    hearth_generation_close(g);
    assert_int_equal(hearth_seq_length(s, 0), r->length);
}

static void assert_same(const struct run *a, const struct run *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->token, b->token, (size_t)a->n * sizeof *a->token);
    assert_int_equal(a->length, b->length);
    assert_int_equal(a->finish, b->finish);
}

static hearth_session *session_of(const hearth_model *model, int32_t n_ctx)
{
    const hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = n_ctx,
                                      .n_logits = MOST_GUESSES + 1};
    return test_session(model, &sc);
}

/* Guesses right with a probability: it knows the text, and spoils it. */
struct oracle {
    const int32_t *truth;
    size_t n_prompt;
    int n;
    uint64_t seed;
    uint64_t right_of_16;
};

static int32_t oracle_guess(void *user, const int32_t *tokens, size_t n_tokens, int32_t *guess,
                            int32_t n)
{
    struct oracle *o = user;
    (void)tokens;
    for (int32_t i = 0; i < n; i++) {
        int at = (int)(n_tokens - o->n_prompt) + i;
        bool right = test_rand(&o->seed) % 16 < o->right_of_16 && at < o->n;
        guess[i] = right ? o->truth[at] : (int32_t)(test_rand(&o->seed) % VOCAB);
    }
    return n;
}

static size_t prompt_tokens(const char *prompt)
{
    int32_t tokens[128];
    size_t n;
    assert_int_equal(hearth_tokenize(target_model, prompt, strlen(prompt), HEARTH_TOKENIZE_SPECIAL,
                                     tokens, 128, &n, NULL), HEARTH_OK);
    return n;
}

/* ---- the text is the same ---- */

static void greedy_text_is_the_same_with_every_guesser(void **state)
{
    (void)state;
    hearth_session *s = session_of(target_model, 256), *d = session_of(draft_model, 256);
    uint64_t accepted[3] = {0}, passes[3] = {0};
    for (int i = 0; i < N_PROMPTS; i++) {
        struct run plain, r;
        const hearth_generation_config c = {.max_tokens = TOKENS};
        run(s, prompts[i], c, &plain);
        assert_int_equal(plain.stats.drafted, 0);
        for (int who = 0; who < 6; who++) { /* draft, lookup, both; as it pays, or always */
            hearth_speculation_config sp = {.struct_size = sizeof sp, .max_guesses = MOST_GUESSES,
                                            .draft = who % 3 == 1 ? NULL : d, .lookup = who % 3 > 0,
                                            .flags = who < 3 ? 0 : HEARTH_SPECULATION_STEADY};
            hearth_generation_config with = c;
            with.speculation = &sp;
            run(s, prompts[i], with, &r);
            assert_same(&r, &plain);
            assert_true(r.stats.accepted <= r.stats.drafted);
            assert_int_equal(hearth_seq_length(d, 0), 0);
            if (who >= 3) {
                accepted[who - 3] += r.stats.accepted;
                passes[who - 3] += r.stats.passes;
            }
        }
    }
    for (int who = 0; who < 3; who++) { /* and it was not for nothing */
        assert_true(accepted[who] > 20);
        assert_true(passes[who] < N_PROMPTS * TOKENS - 20);
    }
    hearth_session_close(s);
    hearth_session_close(d);
}

static void certain_guesses_leave_sampled_text_as_it_is(void **state)
{
    (void)state;
    hearth_session *s = session_of(target_model, 256);
    const hearth_sampler_config configs[] = {
        {.struct_size = sizeof *configs, .temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .seed = 1},
        {.struct_size = sizeof *configs, .temperature = 1, .repeat_penalty = 1.2f, .xtc_probability = 0.5f,
         .dry_multiplier = 0.8f, .seed = 2},
        {.struct_size = sizeof *configs, .temperature = 1, .mirostat = 2, .seed = 3},
    };
    for (size_t k = 0; k < sizeof configs / sizeof *configs; k++)
        for (uint64_t right = 0; right <= 16; right += 8) {
            struct run plain, r;
            hearth_sampler *sampler;
            assert_int_equal(hearth_sampler_open(target_model, &configs[k], &sampler, NULL), HEARTH_OK);
            hearth_generation_config c = {.max_tokens = TOKENS, .sampler = sampler};
            run(s, prompts[k], c, &plain);
            struct oracle o = {plain.token, prompt_tokens(prompts[k]), plain.n, 77, right};
            const hearth_speculation_config sp = {
                .struct_size = sizeof sp, .max_guesses = MOST_GUESSES, .guess = oracle_guess,
                .guess_user = &o, .lookup = 1, .flags = HEARTH_SPECULATION_STEADY};
            c.speculation = &sp;
            run(s, prompts[k], c, &r);
            assert_same(&r, &plain);
            assert_true(right < 16 || r.stats.accepted > TOKENS / 2);
            hearth_sampler_close(sampler);
        }
    hearth_session_close(s);
}

/* Two samples of the same distribution: tokens at the second place behind a prompt, over many seeds,
 * with and without a draft. Tokens that are rare in both make one class. */
static void sampled_tokens_have_the_same_distribution_with_a_draft(void **state)
{
    (void)state;
    enum { SEEDS = 800 };
    static int count[2][VOCAB];
    hearth_session *s = session_of(target_model, 64), *d = session_of(draft_model, 64);
    const hearth_speculation_config sp = {.struct_size = sizeof sp, .max_guesses = 2, .draft = d,
                                          .flags = HEARTH_SPECULATION_STEADY};
    uint64_t accepted = 0, drafted = 0;
    memset(count, 0, sizeof count);
    for (int with = 0; with < 2; with++)
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            const hearth_sampler_config ac = {.struct_size = sizeof ac, .temperature = 1, .top_k = 12,
                                              .repeat_penalty = 1.1f, .seed = seed * 2 + (uint64_t)with};
            hearth_sampler *sampler;
            struct run r;
            assert_int_equal(hearth_sampler_open(target_model, &ac, &sampler, NULL), HEARTH_OK);
            run(s, "My dear", (hearth_generation_config){.max_tokens = 3, .sampler = sampler,
                              .ignore_end = 1, .speculation = with ? &sp : NULL}, &r);
            count[with][r.token[2]]++;
            accepted += r.stats.accepted;
            drafted += r.stats.drafted;
            hearth_sampler_close(sampler);
        }
    assert_true(accepted > drafted / 5 && accepted < drafted);
    /* sum of (a - b)^2 / (a + b) is chi-square with classes - 1 degrees of freedom */
    double chi = 0, rare[2] = {0};
    int classes = 0;
    for (int i = 0; i < VOCAB; i++) {
        double a = count[0][i], b = count[1][i];
        if (a + b < 20) {
            rare[0] += a;
            rare[1] += b;
            continue;
        }
        chi += (a - b) * (a - b) / (a + b);
        classes++;
    }
    if (rare[0] + rare[1] > 0)
        chi += (rare[0] - rare[1]) * (rare[0] - rare[1]) / (rare[0] + rare[1]);
    else
        classes--;
    /* Wilson and Hilferty: chi-square of k degrees passes this with p < 1e-4 (z = 3.72) */
    double k = classes, limit = k * pow(1 - 2 / (9 * k) + 3.72 * sqrt(2 / (9 * k)), 3);
    assert_true(classes > 10);
    if (chi > limit)
        fail_msg("chi-square %g of %d degrees; at most %g is accepted", chi, classes, limit);
    hearth_session_close(s);
    hearth_session_close(d);
}

/* ---- ends ---- */

struct stopper {
    hearth_session *cancel; /* by hearth_session_cancel, else by the poll's answer */
    int left;
    int answer;
};

static int stopper_poll(void *user, size_t done, size_t total)
{
    struct stopper *p = user;
    (void)done, (void)total;
    if (p->left-- != 0)
        return 0;
    if (p->cancel)
        hearth_session_cancel(p->cancel);
    return p->cancel ? 0 : p->answer;
}

/* Stop at every step, each way, with and without guesses: what came is a beginning of the whole text, the
 * sequence holds exactly it, and pages come back. */
static void a_stop_at_every_step_leaves_nothing_behind(void **state)
{
    (void)state;
    hearth_session *s = session_of(target_model, 128), *d = session_of(draft_model, 128);
    const hearth_speculation_config sp = {.struct_size = sizeof sp, .max_guesses = 4, .draft = d,
                                          .lookup = 1, .flags = HEARTH_SPECULATION_STEADY};
    const uint32_t all = s->kv.n_free, all_draft = d->kv.n_free;
    const int32_t n_prompt = (int32_t)prompt_tokens(prompts[2]);
    struct run whole, r;
    run(s, prompts[2], (hearth_generation_config){.max_tokens = 24}, &whole);
    for (int with = 0; with < 2; with++)
        for (int how = 0; how < 3; how++) /* poll says cancelled, or deadline; the session is cancelled */
            for (int at = 0;; at++) {
                struct stopper stop = {how == 2 ? s : NULL, at, how + 1};
                run(s, prompts[2], (hearth_generation_config){.max_tokens = 24, .poll = stopper_poll,
                                   .poll_user = &stop, .speculation = with ? &sp : NULL}, &r);
                if (r.finish == HEARTH_FINISH_LENGTH) {
                    assert_true(stop.left >= 0 && at > 4);
                    break;
                }
                assert_int_equal(r.finish, how == 1 ? HEARTH_FINISH_DEADLINE : HEARTH_FINISH_CANCELLED);
                assert_true(stop.left == -1); /* within the step: nobody was asked again */
                assert_memory_equal(r.token, whole.token, (size_t)r.n * sizeof *r.token);
                assert_int_equal(r.length, at == 0 ? 0 : n_prompt + r.n - 1);
                assert_int_equal(hearth_seq_length(d, 0), 0);
                assert_int_equal(d->kv.n_free, all_draft);
                assert_int_equal(hearth_seq_trim(s, 0, 0, NULL), HEARTH_OK);
                assert_int_equal(s->kv.n_free, all);
            }
    hearth_session_close(s);
    hearth_session_close(d);
}

static void a_full_context_ends_at_the_same_token(void **state)
{
    (void)state;
    for (int32_t n_ctx = 20; n_ctx < 30; n_ctx++) {
        hearth_session *s = session_of(target_model, n_ctx), *d = session_of(draft_model, 256);
        const hearth_speculation_config sp = {.struct_size = sizeof sp, .max_guesses = MOST_GUESSES,
                                              .draft = d, .flags = HEARTH_SPECULATION_STEADY};
        struct run plain, r;
        run(s, prompts[0], (hearth_generation_config){.ignore_end = 1}, &plain);
        run(s, prompts[0], (hearth_generation_config){.ignore_end = 1, .speculation = &sp}, &r);
        assert_same(&r, &plain);
        assert_int_equal(r.finish, HEARTH_FINISH_CONTEXT);
        hearth_session_close(s);
        hearth_session_close(d);
    }
}

static void guessing_stops_at_the_drafts_context(void **state)
{
    (void)state;
    hearth_session *s = session_of(target_model, 256), *d = session_of(draft_model, 40);
    const hearth_speculation_config sp = {.struct_size = sizeof sp, .max_guesses = MOST_GUESSES,
                                          .draft = d, .flags = HEARTH_SPECULATION_STEADY};
    struct run plain, r;
    run(s, prompts[0], (hearth_generation_config){.max_tokens = 80, .ignore_end = 1}, &plain);
    run(s, prompts[0], (hearth_generation_config){.max_tokens = 80, .ignore_end = 1,
                                                  .speculation = &sp}, &r);
    assert_same(&r, &plain);
    assert_string_equal(r.stats.off, "the draft's context is full");
    assert_in_range(r.stats.accepted, 1, 30);
    hearth_session_close(s);
    hearth_session_close(d);
}

/* A cache without room for guesses is no reason to end earlier. */
static void missing_pages_cost_guesses_only(void **state)
{
    (void)state;
    const hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 256, .n_kv_tokens = 48,
                                      .n_logits = MOST_GUESSES + 1};
    hearth_session *s = test_session(target_model, &sc), *d = session_of(draft_model, 256);
    const hearth_speculation_config sp = {.struct_size = sizeof sp, .max_guesses = MOST_GUESSES,
                                          .draft = d, .flags = HEARTH_SPECULATION_STEADY};
    struct run plain, r;
    run(s, prompts[0], (hearth_generation_config){.max_tokens = 34, .ignore_end = 1}, &plain);
    run(s, prompts[0], (hearth_generation_config){.max_tokens = 34, .ignore_end = 1,
                                                  .speculation = &sp}, &r);
    assert_same(&r, &plain);
    hearth_session_close(s);
    hearth_session_close(d);
}

/* ---- several texts in one step ---- */

static void generations_with_guesses_share_a_step(void **state)
{
    (void)state;
    enum { N = 3 };
    hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 128, .n_seqs = N, .n_logits = 12};
    hearth_session *s = test_session(target_model, &sc), *d = session_of(draft_model, 128);
    struct run alone[N];
    int32_t token[N][TOKENS];
    int n[N] = {0};
    for (int i = 0; i < N; i++)
        run(s, prompts[i], (hearth_generation_config){.max_tokens = TOKENS, .ignore_end = 1}, &alone[i]);
    hearth_session_reset(s);
    hearth_batch_config bc = {.struct_size = sizeof bc, .session = s};
    hearth_batch *b;
    assert_int_equal(hearth_batch_open(&bc, &b, NULL), HEARTH_OK);
    static int32_t tokens[N][128];
    for (int i = 0; i < N; i++) { /* one with a draft, two with lookup */
        hearth_speculation_config sp = {.struct_size = sizeof sp, .max_guesses = 3, .lookup = i > 0,
                                        .draft = i ? NULL : d, .flags = HEARTH_SPECULATION_STEADY};
        hearth_generation_config c = {.struct_size = sizeof c, .max_tokens = TOKENS, .ignore_end = 1,
                                      .speculation = &sp};
        uint64_t id;
        size_t n_tokens;
        hearth_error err;
        assert_int_equal(hearth_tokenize(target_model, prompts[i], strlen(prompts[i]),
                                         HEARTH_TOKENIZE_SPECIAL, tokens[i], 128, &n_tokens, NULL), HEARTH_OK);
        if (hearth_batch_add(b, &c, tokens[i], n_tokens, &n[i], &id, &err) != HEARTH_OK)
            fail_msg("%s", err.text);
    }
    int steps = 0;
    while (hearth_batch_count(b, NULL) > 0) {
        hearth_batch_piece p = {.struct_size = sizeof p};
        assert_int_equal(hearth_batch_step(b, NULL), HEARTH_OK);
        steps++;
        while (hearth_batch_next(b, &p)) {
            int *at = p.user, i = (int)(at - n);
            if (p.piece.token >= 0)
                token[i][(*at)++] = p.piece.token;
        }
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(n[i], alone[i].n);
        assert_memory_equal(token[i], alone[i].token, (size_t)n[i] * sizeof **token);
    }
    assert_true(steps < TOKENS + 1);
    hearth_batch_close(b);
    hearth_session_close(s);
    hearth_session_close(d);
}

/* ---- refusals ---- */

static void what_does_not_fit_is_refused_with_a_sentence(void **state)
{
    (void)state;
    hearth_file *file;
    hearth_model *other = open_model(OTHER, &file);
    hearth_session *s = session_of(target_model, 64), *d = session_of(draft_model, 64);
    hearth_session *o = session_of(other, 64);
    hearth_session *narrow = test_session(target_model, NULL);
    const struct {
        hearth_session *session;
        hearth_speculation_config sp;
        hearth_status status;
        const char *text;
    } bad[] = {
        {s, {.draft = o}, HEARTH_E_MISMATCH, "draft: its vocabulary has "},
        {s, {.draft = s}, HEARTH_E_ARGUMENT, "draft: it needs a session of its own"},
        {s, {.max_guesses = 2}, HEARTH_E_ARGUMENT, "speculation: nobody guesses"},
        {s, {.lookup = 1, .max_guesses = 65}, HEARTH_E_RANGE,
         "speculation: max_guesses 65; 1 to 64 are accepted"},
        {s, {.lookup = 1, .max_guesses = -1}, HEARTH_E_RANGE,
         "speculation: max_guesses -1; 1 to 64 are accepted"},
        {narrow, {.lookup = 1}, HEARTH_E_LIMIT, "speculation: the session keeps 1 row of logits"},
        {s, {.draft = d}, HEARTH_E_STATE, "draft: sequence 0 has 3 positions; an empty one is accepted"},
    };
    int32_t three[3] = {1, 2, 3};
    assert_int_equal(hearth_session_eval(d, three, 3, NULL, NULL), HEARTH_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hearth_speculation_config sp = bad[i].sp;
        hearth_generation_config c = {.struct_size = sizeof c, .speculation = &sp};
        hearth_generation *g;
        hearth_error err = {0};
        sp.struct_size = sizeof sp;
        assert_int_equal(hearth_generation_open(bad[i].session, &c, &g, &err), bad[i].status);
        if (strncmp(err.text, bad[i].text, strlen(bad[i].text)) != 0)
            fail_msg("\"%s\"", err.text);
    }
    hearth_session_close(s);
    hearth_session_close(d);
    hearth_session_close(o);
    hearth_session_close(narrow);
    hearth_model_close(other);
    hearth_file_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_is_the_same_with_every_guesser),
        cmocka_unit_test(certain_guesses_leave_sampled_text_as_it_is),
        cmocka_unit_test(sampled_tokens_have_the_same_distribution_with_a_draft),
        cmocka_unit_test(a_stop_at_every_step_leaves_nothing_behind),
        cmocka_unit_test(a_full_context_ends_at_the_same_token),
        cmocka_unit_test(guessing_stops_at_the_drafts_context),
        cmocka_unit_test(missing_pages_cost_guesses_only),
        cmocka_unit_test(generations_with_guesses_share_a_step),
        cmocka_unit_test(what_does_not_fit_is_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
