/* Sequences on a real model: what was computed for one is shared by others, dropped behind a window, or
 * not kept at all, and the logits are the same bits. */
#include "runtime_support.h"

static uint64_t hash_row(const hearth_session *s, uint64_t h)
{
    const uint8_t *p = (const uint8_t *)hearth_session_logits(s, 0);
    for (size_t i = 0; i < VOCAB * sizeof(float); i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

/* Steps of `chunk` tokens; the last asks for logits, whose hash comes back. */
static uint64_t feed(hearth_session *s, int32_t seq, const int32_t *tokens, int32_t n, int32_t chunk)
{
    hearth_item items[128];
    hearth_error err;
    for (int32_t done = 0; done < n;) {
        int32_t now = n - done < chunk ? n - done : chunk;
        for (int32_t i = 0; i < now; i++)
            items[i] = (hearth_item){tokens[done + i], seq, done + i + 1 == n};
        if (hearth_session_step(s, items, (size_t)now, &err) != HEARTH_OK)
            fail_msg("%s", err.text);
        done += now;
    }
    return hash_row(s, 14695981039346656037u);
}

static hearth_kv_stats stats_of(const hearth_session *s)
{
    hearth_kv_stats stats = {.struct_size = sizeof stats};
    hearth_session_kv_stats(s, &stats);
    return stats;
}

struct fixture {
    hearth_file *file;
    hearth_model *model;
    int32_t tokens[700];
};

static void fixture_open(struct fixture *f)
{
    f->model = test_model(&f->file);
    test_tokens(f->tokens, 700, 5);
}

static void fixture_close(struct fixture *f)
{
    hearth_model_close(f->model);
    hearth_file_close(f->file);
}

static void a_shared_prefix_is_computed_once(void **state)
{
    (void)state;
    if (!HEARTH_WITH_KV_CACHE)
        skip();
    struct fixture f;
    fixture_open(&f);
    int32_t other[120], seq, done;
    memcpy(other, f.tokens, sizeof other);
    other[70] ^= 1;
    hearth_session_config config = {.struct_size = sizeof config, .n_ctx = 128, .n_seqs = 3};
    hearth_session *cold = test_session(f.model, &config), *warm = test_session(f.model, &config);
    uint64_t want = feed(cold, 0, other, 120, 120);
    hearth_session_reset(cold);
    uint64_t want_more = feed(cold, 0, f.tokens, 110, 33);

    assert_int_equal(hearth_seq_acquire(warm, f.tokens, 100, &seq, &done, NULL), HEARTH_OK);
    assert_int_equal(done, 0);
    feed(warm, seq, f.tokens, 100, 100);
    int32_t second;
    assert_int_equal(hearth_seq_acquire(warm, other, 120, &second, &done, NULL), HEARTH_OK);
    assert_int_not_equal(second, seq);
    assert_int_equal(done, 64); /* while the first is running; 70 in whole pages */
    assert_true(feed(warm, second, other + done, 120 - done, 120) == want);
    assert_int_equal(stats_of(warm).hit_tokens, 64);
    assert_int_equal(stats_of(warm).pages_shared, 4);

    /* a conversation goes on where its own sequence ends, to the token */
    assert_int_equal(hearth_seq_release(warm, seq, NULL), HEARTH_OK);
    assert_int_equal(hearth_seq_release(warm, second, NULL), HEARTH_OK);
    assert_int_equal(stats_of(warm).seqs_running, 0);
    int32_t third;
    assert_int_equal(hearth_seq_acquire(warm, f.tokens, 110, &third, &done, NULL), HEARTH_OK);
    assert_int_equal(third, seq);
    assert_int_equal(done, 100);
    assert_true(feed(warm, third, f.tokens + 100, 10, 7) == want_more);

    /* a prompt that is there as a whole leaves one token to run */
    assert_int_equal(hearth_seq_match(warm, second, f.tokens, 110, &done, NULL), HEARTH_OK);
    assert_int_equal(done, 96);
    assert_int_equal(hearth_seq_match(warm, second, f.tokens, 96, &done, NULL), HEARTH_OK);
    assert_int_equal(done, 95);
    assert_int_equal(hearth_seq_match(warm, second, f.tokens, 0, &done, NULL), HEARTH_OK);
    assert_int_equal(done, 0);
    hearth_session_close(warm);
    config.flags = HEARTH_SESSION_NO_PREFIX;
    warm = test_session(f.model, &config);
    feed(warm, 0, f.tokens, 100, 100);
    assert_int_equal(hearth_seq_acquire(warm, other, 120, &second, &done, NULL), HEARTH_OK);
    assert_int_equal(done, 0);
    hearth_session_close(warm);
    hearth_session_close(cold);
    fixture_close(&f);
}

/* Requests with common beginnings through a cache that is too small for all of them. */
static void sharing_and_eviction_do_not_change_a_bit(void **state)
{
    (void)state;
    if (!HEARTH_WITH_KV_CACHE)
        skip();
    struct fixture f;
    fixture_open(&f);
    hearth_session_config config = {.struct_size = sizeof config, .n_ctx = 128, .n_seqs = 4,
                                    .n_kv_tokens = 256};
    hearth_session *small = test_session(f.model, &config);
    config.n_seqs = 1;
    config.n_kv_tokens = 0;
    hearth_session *cold = test_session(f.model, &config);
    uint64_t seed = 3, computed = 0, asked = 0;
    for (int round = 0; round < 60; round++) {
        int32_t prompt[112], n = 40 + (int32_t)(test_rand(&seed) % 72), seq, done;
        int32_t same = (int32_t)(test_rand(&seed) % 5) * 20;
        for (int32_t i = 0; i < n; i++)
            prompt[i] = i < same ? f.tokens[i] : (int32_t)(test_rand(&seed) % VOCAB);
        assert_int_equal(hearth_seq_acquire(small, prompt, (size_t)n, &seq, &done, NULL), HEARTH_OK);
        uint64_t got = feed(small, seq, prompt + done, n - done, 50);
        computed += (uint64_t)(n - done);
        asked += (uint64_t)n;
        hearth_session_reset(cold);
        if (got != feed(cold, 0, prompt, n, 128))
            fail_msg("round %d: %d tokens, %d of them shared", round, n, done);
        hearth_seq_release(small, seq, NULL);
    }
    hearth_kv_stats st = stats_of(small);
    print_message("%llu of %llu tokens computed, %llu evictions of %llu pages, %llu merged\n",
                  (unsigned long long)computed, (unsigned long long)asked,
                  (unsigned long long)st.evictions, (unsigned long long)st.evicted_pages,
                  (unsigned long long)st.merged_pages);
    assert_int_equal(st.hit_tokens, asked - computed);
    assert_true(st.hit_tokens > 300 && st.evicted_pages > 50);
    hearth_session_close(small);
    hearth_session_close(cold);
    fixture_close(&f);
}

static void a_full_cache_refuses_only_when_all_run(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    hearth_session_config config = {.struct_size = sizeof config, .n_ctx = 128, .n_seqs = 2,
                                    .n_kv_tokens = 160};
    hearth_session *s = test_session(f.model, &config);
    hearth_item item = {1, 1, 0};
    int32_t seq, done;
    feed(s, 0, f.tokens, 128, 128);
    feed(s, 1, f.tokens + 200, 32, 32);
    assert_int_equal(hearth_seq_room(s, 0), 0);
    assert_int_equal(hearth_seq_room(s, 1), 96);
    assert_int_equal(hearth_seq_room(s, 2), -1);
    assert_int_equal(hearth_session_step(s, &item, 1, NULL), HEARTH_E_FULL);
    assert_int_equal(hearth_seq_acquire(s, NULL, 0, &seq, &done, NULL), HEARTH_E_FULL);
    assert_int_equal(hearth_seq_release(s, 0, NULL), HEARTH_OK);
    assert_int_equal(hearth_session_step(s, &item, 1, NULL), HEARTH_OK);
    assert_int_equal(hearth_seq_length(s, 0), 112);
    assert_int_equal(hearth_seq_release(s, 2, NULL), HEARTH_E_RANGE);
    int32_t bad = VOCAB;
    assert_int_equal(hearth_seq_acquire(s, &bad, 1, &seq, &done, NULL), HEARTH_E_RANGE);
    hearth_session_close(s);
    fixture_close(&f);
}

/* A stream of five contexts: any chunk and thread count gives the same bits, and no more than n_ctx is
 * held. */
static void a_window_goes_on_past_the_context(void **state)
{
    (void)state;
    if (!HEARTH_WITH_KV_CACHE)
        skip();
    static const int32_t chunks[] = {1, 7, 60};
    struct fixture f;
    fixture_open(&f);
    uint64_t want = 0;
    for (int i = 0; i < 3; i++) {
        hearth_pool_config pc = {.struct_size = sizeof pc, .n_threads = 1 + i};
        hearth_session_config config = {.struct_size = sizeof config, .n_ctx = 256, .n_sink = 4,
                                        .n_window = 40};
        hearth_error err;
        assert_int_equal(hearth_pool_open(&pc, &config.pool, NULL), HEARTH_OK);
        hearth_session *s = test_session(f.model, &config);
        uint64_t h = feed(s, 0, f.tokens, 700, chunks[i]);
        hearth_kv_stats st = stats_of(s);
        print_message("chunk %d: %016llx, %u pages held\n", chunks[i], (unsigned long long)h,
                      st.pages - st.pages_free);
        assert_true(i == 0 || h == want);
        want = h;
        assert_int_equal(hearth_seq_length(s, 0), 700);
        assert_true(st.dropped_pages * 16 + 256 >= 700);
        assert_true((st.pages - st.pages_free) * 16 <= 16 + 40 + 128);

        /* a few tokens back and on again is the same; further is refused */
        assert_int_equal(hearth_seq_trim(s, 0, 680, NULL), HEARTH_OK);
        assert_true(feed(s, 0, f.tokens + 680, 20, chunks[i]) == want);
        assert_int_equal(hearth_seq_trim(s, 0, 300, &err), HEARTH_E_STATE);
        assert_int_equal(hearth_seq_trim(s, 0, 10, NULL), HEARTH_OK);
        assert_true(feed(s, 0, f.tokens + 10, 690, chunks[i]) == want);
        hearth_session_close(s);
        hearth_pool_close(config.pool);
    }
    hearth_session_config wide = {.struct_size = sizeof wide, .n_ctx = 900, .n_window = 700};
    hearth_session *s = test_session(f.model, &wide);
    hearth_session_config plain = {.struct_size = sizeof plain, .n_ctx = 900};
    hearth_session *p = test_session(f.model, &plain);
    assert_true(feed(s, 0, f.tokens, 700, 60) == feed(p, 0, f.tokens, 700, 60));
    hearth_session_close(s);
    hearth_session_close(p);
    wide.n_window = 800;
    assert_int_equal(hearth_session_open(f.model, &wide, &s, NULL), HEARTH_E_RANGE);
    fixture_close(&f);
}

static void without_the_kv_cache_the_text_is_the_same(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    hearth_session_config config = {.struct_size = sizeof config, .n_ctx = 128, .n_seqs = 2,
                                    .n_batch = 50};
    hearth_session *with = test_session(f.model, &config);
    config.flags = HEARTH_SESSION_NO_KV_CACHE;
    hearth_session *without = test_session(f.model, &config);
    for (int32_t i = 0; i < 3; i++) {
        hearth_item items[] = {{f.tokens[i], 1, 0}, {f.tokens[i + 9], 0, 0}, {f.tokens[i], 0, 1}};
        feed(with, 0, f.tokens + i * 30, 30, 30);
        feed(without, 0, f.tokens + i * 30, 30, 30);
        assert_int_equal(hearth_session_step(with, items, 3, NULL), HEARTH_OK);
        assert_int_equal(hearth_session_step(without, items, 3, NULL), HEARTH_OK);
        assert_true(hash_row(with, 1) == hash_row(without, 1));
    }
    hearth_session_close(with);
    hearth_session_close(without);
    config.n_window = 1;
    assert_int_equal(hearth_session_open(f.model, &config, &with, NULL), HEARTH_E_RANGE);
    config.n_ctx = 256;
    assert_int_equal(hearth_session_open(f.model, &config, &with, NULL), HEARTH_E_UNSUPPORTED);
    fixture_close(&f);
}

static uint8_t *save(hearth_session *s, int32_t seq, size_t *size)
{
    *size = hearth_seq_save_size(s, seq);
    uint8_t *data = malloc(*size);
    assert_int_equal(hearth_seq_save(s, seq, data, *size, NULL), HEARTH_OK);
    return data;
}

static void a_saved_sequence_goes_on_in_another_session(void **state)
{
    (void)state;
    static const char *const types[][2] = {{"f16", "f32"}, {"f32", "f16"}, {"q8_0", "q4_0"},
                                           {"q4_0", "bf16"}, {"bf16", "q8_0"}};
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        hearth_session_config config = {.struct_size = sizeof config, .n_ctx = 128, .n_seqs = 2,
                                        .kv_type_k = types[i][0], .kv_type_v = types[i][1]};
        hearth_session *a = test_session(f.model, &config), *b = test_session(f.model, &config);
        size_t size, again;
        int32_t done;
        feed(a, 0, f.tokens + 300, 60, 60); /* other pages than in b, and what was in them */
        feed(a, 1, f.tokens, 70, 70);
        hearth_seq_trim(a, 0, 0, NULL);
        uint8_t *data = save(a, 1, &size);
        feed(b, 0, f.tokens + 100, 30, 30);
        assert_int_equal(hearth_seq_restore(b, 0, data, size, NULL), HEARTH_OK);
        assert_int_equal(hearth_seq_length(b, 0), 70);
        uint8_t *twice = save(b, 0, &again);
        assert_int_equal(again, size);
        assert_memory_equal(data, twice, size);
        assert_true(feed(a, 1, f.tokens + 70, 30, 30) == feed(b, 0, f.tokens + 70, 30, 30));
        assert_int_equal(hearth_seq_match(b, 0, f.tokens, 90, &done, NULL), HEARTH_OK);
        assert_int_equal(done, 89);
        uint32_t listed = stats_of(b).pages_listed; /* of what was restored, nothing, ever */
        assert_int_equal(hearth_seq_trim(b, 0, 5, NULL), HEARTH_OK);
        feed(b, 0, f.tokens + 5, 40, 40);
        assert_int_equal(hearth_seq_fork(b, 0, 1, 20, NULL), HEARTH_OK);
        feed(b, 1, f.tokens + 20, 40, 40);
        assert_int_equal(stats_of(b).pages_listed, listed);
        assert_int_equal(hearth_seq_trim(b, 0, 0, NULL), HEARTH_OK);
        feed(b, 0, f.tokens, 40, 40);
        assert_int_equal(stats_of(b).pages_listed, HEARTH_WITH_KV_CACHE ? listed + 2 : 0);
        free(data);
        free(twice);
        hearth_session_close(a);
        hearth_session_close(b);
    }
    fixture_close(&f);
}

static void saved_bytes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    hearth_error err;
    fixture_open(&f);
    hearth_session_config config = {.struct_size = sizeof config, .n_ctx = 128};
    hearth_session *s = test_session(f.model, &config);
    size_t size;
    feed(s, 0, f.tokens, 40, 40);
    uint8_t *data = save(s, 0, &size), *copy = malloc(size + 1);
    uint64_t seed = 8;
    for (size_t i = 0; i < 4000; i++) { /* each byte of the header, and some of the pages */
        size_t at = i < 256 ? i : test_rand(&seed) % size;
        memcpy(copy, data, size);
        copy[at] ^= (uint8_t)(1u << i % 8);
        hearth_status status = hearth_seq_restore(s, 0, copy, size, &err);
        if (status == HEARTH_OK)
            fail_msg("a change at byte %zu was not noticed", at);
        assert_int_equal(hearth_seq_length(s, 0), 40);
    }
    for (size_t n = 0; n < size; n += n < 300 ? 1 : 997)
        assert_int_not_equal(hearth_seq_restore(s, 0, data, n, NULL), HEARTH_OK);
    memcpy(copy, data, size);
    copy[size] = 0;
    assert_int_equal(hearth_seq_restore(s, 0, copy, size + 1, NULL), HEARTH_E_FORMAT);
    copy[8] = 2;
    assert_int_equal(hearth_seq_restore(s, 0, copy, size, &err), HEARTH_E_UNSUPPORTED);
    assert_string_equal(err.text, "saved sequence: version 2; 1 is known");
    assert_int_equal(hearth_seq_save(s, 0, copy, size - 1, NULL), HEARTH_E_ARGUMENT);
    assert_int_equal(hearth_seq_save(s, 0, copy + 1, size, NULL), HEARTH_E_ARGUMENT);
    assert_int_equal(hearth_seq_save(s, 1, copy, size, NULL), HEARTH_E_RANGE);

    config.kv_type_v = "f32";
    hearth_session *other = test_session(f.model, &config);
    assert_int_equal(hearth_seq_restore(other, 0, data, size, &err), HEARTH_E_MISMATCH);
    assert_string_equal(err.text, "saved sequence: V cache of type f16; the session has f32");
    hearth_session_close(other);
    config.kv_type_v = NULL;
    config.n_ctx = 32;
    other = test_session(f.model, &config);
    assert_int_equal(hearth_seq_restore(other, 0, data, size, NULL), HEARTH_E_FULL);
    hearth_session_close(other);

    hearth_file *file;
    hearth_model *model;
    if (hearth_file_open(HEARTH_SOURCE_DIR "/fixtures/models/books-33m-q4_k_m.gguf", NULL, &file, &err) !=
        HEARTH_OK)
        fail_msg("%s", err.text);
    const hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
    assert_int_equal(hearth_model_open(&bytes, 1, NULL, &model, NULL), HEARTH_OK);
    config.n_ctx = 128;
    other = test_session(model, &config);
    assert_int_equal(hearth_seq_restore(other, 0, data, size, &err), HEARTH_E_MISMATCH);
    hearth_session_close(other);
    hearth_model_close(model);
    hearth_file_close(file);
    free(data);
    free(copy);
    hearth_session_close(s);
    fixture_close(&f);
}

/* Greedy ids of a generation on sequence 0. */
static hearth_finish generate(hearth_session *s, const int32_t *prompt, size_t n, int32_t max_tokens,
                              int32_t match, int32_t *ids, int32_t *n_ids)
{
    hearth_generation_config config = {.struct_size = sizeof config, .max_tokens = max_tokens,
                                       .ignore_end = 1, .match_prompt = match};
    hearth_generation *g;
    hearth_error err;
    assert_int_equal(hearth_generation_open(s, &config, &g, NULL), HEARTH_OK);
    if (hearth_generation_prompt(g, prompt, n, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    hearth_piece p = {.struct_size = sizeof p};
    for (*n_ids = 0; !p.finish;) {
        assert_int_equal(hearth_generation_next(g, &p, NULL), HEARTH_OK);
        if (p.token >= 0)
            ids[(*n_ids)++] = p.token;
    }
    hearth_generation_close(g);
    return p.finish;
}

static void a_generation_takes_up_what_is_there(void **state)
{
    (void)state;
    if (!HEARTH_WITH_KV_CACHE)
        skip();
    struct fixture f;
    fixture_open(&f);
    int32_t first[600], second[600], n, m;
    hearth_session_config config = {.struct_size = sizeof config, .n_ctx = 128};
    hearth_session *s = test_session(f.model, &config);
    assert_int_equal(generate(s, f.tokens, 60, 10, 0, first, &n), HEARTH_FINISH_LENGTH);
    assert_int_equal(generate(s, f.tokens, 60, 10, 1, second, &m), HEARTH_FINISH_LENGTH);
    assert_int_equal(stats_of(s).hit_tokens, 59);
    assert_int_equal(m, n);
    assert_memory_equal(first, second, (size_t)n * sizeof *first);
    assert_int_equal(generate(s, f.tokens, 60, 0, 1, second, &m), HEARTH_FINISH_CONTEXT);
    assert_int_equal(hearth_seq_length(s, 0), 128);
    hearth_session_close(s);

    /* with a window, neither prompt nor text is bounded by the context */
    config.n_ctx = 192;
    config.n_sink = 4;
    config.n_window = 32;
    s = test_session(f.model, &config);
    assert_int_equal(generate(s, f.tokens, 300, 200, 0, first, &n), HEARTH_FINISH_LENGTH);
    assert_int_equal(n, 200);
    assert_int_equal(hearth_seq_length(s, 0), 300 + 199);
    hearth_session_close(s);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shared_prefix_is_computed_once),
        cmocka_unit_test(sharing_and_eviction_do_not_change_a_bit),
        cmocka_unit_test(a_full_cache_refuses_only_when_all_run),
        cmocka_unit_test(a_window_goes_on_past_the_context),
        cmocka_unit_test(without_the_kv_cache_the_text_is_the_same),
        cmocka_unit_test(a_generation_takes_up_what_is_there),
        cmocka_unit_test(a_saved_sequence_goes_on_in_another_session),
        cmocka_unit_test(saved_bytes_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
