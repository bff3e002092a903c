/* Sessions: what a step refuses leaves everything unchanged; sequences fork and trim as if they had
 * been computed anew. */
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

static void items_of(hearth_item *items, const int32_t *tokens, size_t n, int32_t seq)
{
    for (size_t i = 0; i < n; i++)
        items[i] = (hearth_item){tokens[i], seq, i + 1 == n};
}

/* Logits after feeding tokens to a fresh sequence. */
static void reference(const int32_t *tokens, size_t n, float *logits)
{
    hearth_session_config c = {.struct_size = sizeof c, .n_ctx = 256};
    hearth_session *s = test_session(model, &c);
    assert_int_equal(hearth_session_eval(s, tokens, n, logits, NULL), HEARTH_OK);
    hearth_session_close(s);
}

static void refused_steps_change_nothing(void **state)
{
    (void)state;
    hearth_session_config c = {.struct_size = sizeof c, .n_ctx = 32, .n_seqs = 2, .n_batch = 16,
                               .n_kv_tokens = 48};
    hearth_session *s = test_session(model, &c);
    hearth_item items[17] = {{0}};
    hearth_error err;
    assert_int_equal(hearth_session_step(s, items, 0, &err), HEARTH_E_ARGUMENT);
    assert_int_equal(hearth_session_step(s, items, 17, &err), HEARTH_E_LIMIT);
    items[3].token = VOCAB;
    assert_int_equal(hearth_session_step(s, items, 4, &err), HEARTH_E_RANGE);
    assert_string_equal(err.text, "step: item 3: token 16384; the vocabulary has 16384");
    items[3].token = -1;
    assert_int_equal(hearth_session_step(s, items, 4, &err), HEARTH_E_RANGE);
    items[3] = (hearth_item){0, 2, 0};
    assert_int_equal(hearth_session_step(s, items, 4, &err), HEARTH_E_RANGE);
    items[3] = (hearth_item){0, -1, 0};
    assert_int_equal(hearth_session_step(s, items, 4, &err), HEARTH_E_RANGE);
    for (int i = 0; i < 3; i++)
        items[i].want_logits = 1;
    items[3] = (hearth_item){0, 0, 0};
    assert_int_equal(hearth_session_step(s, items, 4, &err), HEARTH_E_LIMIT);
    assert_int_equal(hearth_seq_length(s, 0), 0);
    memset(items, 0, sizeof items);
    assert_int_equal(hearth_session_step(s, items, 16, &err), HEARTH_OK);
    assert_int_equal(hearth_session_step(s, items, 16, &err), HEARTH_OK);
    assert_int_equal(hearth_session_step(s, items, 1, &err), HEARTH_E_FULL);
    assert_string_equal(err.text, "sequence 0: 32 positions and 1 more; the context has 32");
    assert_int_equal(hearth_seq_length(s, 0), 32);
    for (int i = 0; i < 16; i++)
        items[i] = (hearth_item){1, 1, 0}; /* other tokens: equal ones would share pages */
    assert_int_equal(hearth_session_step(s, items, 16, &err), HEARTH_OK);
    assert_int_equal(hearth_session_step(s, items, 1, &err), HEARTH_E_FULL); /* pages */
    assert_string_equal(err.text, "KV cache: 1 pages wanted, 0 of 3 are free");
    assert_int_equal(hearth_seq_length(s, 1), 16);
    assert_int_equal(hearth_seq_trim(s, 0, 16, NULL), HEARTH_OK);
    assert_int_equal(hearth_session_step(s, items, 1, &err), HEARTH_OK);
    hearth_session_close(s);
}

static void interleaved_sequences_equal_each_alone(void **state)
{
    (void)state;
    static float want[2][VOCAB];
    int32_t a[40], b[40];
    hearth_item items[80];
    hearth_session_config c = {.struct_size = sizeof c, .n_ctx = 64, .n_seqs = 2, .n_batch = 80};
    test_tokens(a, 40, 1);
    test_tokens(b, 40, 2);
    reference(a, 40, want[0]);
    reference(b, 40, want[1]);
    hearth_session *s = test_session(model, &c);
    /* alternating runs of 1..4 tokens in one step, so that segments are many */
    size_t ia = 0, ib = 0, n = 0;
    for (size_t run = 1; ia < 40 || ib < 40; run++) {
        for (size_t i = 0; i < run % 4 + 1 && ia < 40; i++, ia++)
            items[n++] = (hearth_item){a[ia], 0, ia == 39};
        for (size_t i = 0; i < run % 3 + 1 && ib < 40; i++, ib++)
            items[n++] = (hearth_item){b[ib], 1, ib == 39};
    }
    assert_int_equal(hearth_session_step(s, items, n, NULL), HEARTH_OK);
    int a_last = 0;
    for (size_t i = 0; i < n; i++) /* rows come in item order */
        if (items[i].want_logits) {
            a_last = items[i].seq == 0;
            break;
        }
    assert_memory_equal(hearth_session_logits(s, a_last ? 0 : 1), want[0], sizeof want[0]);
    assert_memory_equal(hearth_session_logits(s, a_last ? 1 : 0), want[1], sizeof want[1]);
    assert_null(hearth_session_logits(s, 2));
    hearth_session_close(s);
}

static void forked_and_trimmed_sequences_equal_recomputed_ones(void **state)
{
    (void)state;
    static float want[VOCAB];
    int32_t tokens[60];
    hearth_item items[60];
    hearth_session_config c = {.struct_size = sizeof c, .n_ctx = 64, .n_seqs = 3};
    test_tokens(tokens, 60, 3);
    hearth_session *s = test_session(model, &c);
    items_of(items, tokens, 37, 0);
    assert_int_equal(hearth_session_step(s, items, 37, NULL), HEARTH_OK);
    assert_int_equal(hearth_seq_fork(s, 0, 1, 37, NULL), HEARTH_OK);
    items_of(items, tokens + 10, 9, 1); /* another continuation in the fork */
    assert_int_equal(hearth_session_step(s, items, 9, NULL), HEARTH_OK);
    items_of(items, tokens + 37, 23, 0); /* the original goes on untouched */
    assert_int_equal(hearth_session_step(s, items, 23, NULL), HEARTH_OK);
    reference(tokens, 60, want);
    assert_memory_equal(hearth_session_logits(s, 0), want, sizeof want);
    assert_int_equal(hearth_seq_trim(s, 1, 5, NULL), HEARTH_OK); /* trim, then the same again */
    items_of(items, tokens + 5, 55, 1);
    assert_int_equal(hearth_session_step(s, items, 55, NULL), HEARTH_OK);
    assert_memory_equal(hearth_session_logits(s, 0), want, sizeof want);
    assert_int_equal(hearth_seq_fork(s, 0, 2, 61, NULL), HEARTH_E_RANGE);
    assert_int_equal(hearth_seq_trim(s, 0, -1, NULL), HEARTH_E_RANGE);
    hearth_session_reset(s);
    assert_int_equal(hearth_seq_length(s, 0) + hearth_seq_length(s, 1), 0);
    assert_int_equal(hearth_seq_length(s, 3), -1);
    hearth_session_close(s);
}

static void a_cancelled_step_takes_its_positions_back(void **state)
{
    (void)state;
    static float want[VOCAB], got[VOCAB];
    int32_t tokens[20];
    hearth_error err;
    test_tokens(tokens, 20, 4);
    hearth_session *s = test_session(model, NULL);
    assert_int_equal(hearth_session_eval(s, tokens, 10, NULL, NULL), HEARTH_OK);
    hearth_session_cancel(s);
    assert_int_equal(hearth_session_eval(s, tokens + 10, 10, got, &err), HEARTH_E_CANCELLED);
    assert_int_equal(hearth_seq_length(s, 0), 10);
    assert_int_equal(hearth_session_eval(s, tokens + 10, 10, got, &err), HEARTH_OK);
    reference(tokens, 20, want);
    assert_memory_equal(got, want, sizeof want);
    hearth_session_close(s);
}

static void bad_configurations_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        hearth_session_config config;
        hearth_status status;
        const char *part;
    } cases[] = {
        {{.n_ctx = -1}, HEARTH_E_RANGE, "n_ctx -1"},
        {{.n_seqs = -1}, HEARTH_E_RANGE, "n_seqs -1"},
        {{.n_seqs = 65536}, HEARTH_E_RANGE, "65535"},
        {{.n_batch = -5}, HEARTH_E_RANGE, "n_batch -5"},
        {{.n_batch = 8, .n_logits = 9}, HEARTH_E_RANGE, "n_logits 9"},
        {{.kv_type_k = "q3"}, HEARTH_E_UNSUPPORTED, "K: cache type q3; known: f32 f16 bf16 q8_0 q4_0, rotated with +h behind"},
        {{.level = "sse9"}, HEARTH_E_UNSUPPORTED, "level sse9"},
        {{.max_bytes = 4096}, HEARTH_E_LIMIT, "the limit is 4096"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hearth_session_config c = cases[i].config;
        hearth_session *s;
        hearth_error err;
        c.struct_size = sizeof c;
        assert_int_equal(hearth_session_open(model, &c, &s, &err), cases[i].status);
        if (!strstr(err.text, cases[i].part))
            fail_msg("case %zu says: %s", i, err.text);
    }
}

static void the_profile_counts_every_step(void **state)
{
    (void)state;
    hearth_session_config c = {.struct_size = sizeof c, .flags = HEARTH_SESSION_PROFILE};
    hearth_session *s = test_session(model, &c);
    int32_t tokens[4] = {1, 2, 3, 4};
    hearth_profile_row row = {.struct_size = sizeof row};
    bool matmul = false;
    assert_int_equal(hearth_session_eval(s, tokens, 4, NULL, NULL), HEARTH_OK);
    for (size_t i = 0; hearth_session_profile(s, i, 0, &row, NULL) == HEARTH_OK; i++)
        if (strcmp(row.op, "matmul q8_0") == 0) {
            matmul = true;
            assert_true(row.calls > 0 && row.ns > 0);
            /* four tokens through three layers of 0.79 million weights, the last of which keeps one
             * row behind attention, and one row through the head of 4.2 million */
            assert_true(row.macs > 4u * 1000 * 1000 * 2 && row.macs < 4u * 1000 * 1000 * 7);
            assert_true(row.bytes > 3 * 1000 * 1000 && row.bytes < 8 * 1000 * 1000);
        }
    assert_true(matmul);
    hearth_session_close(s);
}

struct seen {
    int norms, matmuls;
    float last_norm;
};

static void look(void *user, const hearth_observation *o)
{
    struct seen *s = user;
    s->matmuls += strcmp(o->op, "matmul") == 0;
    if (strcmp(o->op, "norm") == 0 && o->data) {
        s->norms++;
        assert_int_equal(o->columns, 256);
        s->last_norm = o->data[(o->rows - 1) * o->stride];
    }
}

static void an_observer_sees_every_step(void **state)
{
    (void)state;
    struct seen seen[2] = {{0}};
    int32_t tokens[4] = {1, 2, 3, 4};
    for (int i = 0; i < 2; i++) { /* the same values for any chunk */
        hearth_session_config c = {.struct_size = sizeof c, .n_batch = i ? 4 : 2, .observe = look,
                                   .observe_user = &seen[i]};
        hearth_session *s = test_session(model, &c);
        assert_int_equal(hearth_session_eval(s, tokens, 4, NULL, NULL), HEARTH_OK);
        hearth_session_close(s);
    }
    assert_int_equal(seen[1].norms, 3 * 2 + 1); /* two a layer, and the last */
    assert_true(seen[1].matmuls >= 3 * 4 + 1);
    assert_true(seen[0].last_norm == seen[1].last_norm && seen[0].last_norm != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_steps_change_nothing),
        cmocka_unit_test(interleaved_sequences_equal_each_alone),
        cmocka_unit_test(forked_and_trimmed_sequences_equal_recomputed_ones),
        cmocka_unit_test(a_cancelled_step_takes_its_positions_back),
        cmocka_unit_test(bad_configurations_are_refused_by_name),
        cmocka_unit_test(the_profile_counts_every_step),
        cmocka_unit_test(an_observer_sees_every_step),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
