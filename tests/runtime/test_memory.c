/* Memory: what is planned is what is used, nothing is allocated between create and the last token,
 * and every refused allocation is a status without a leak. */
#include "runtime_support.h"

static hearth_file *file;
static hearth_bytes bytes;

static int setup(void **state)
{
    (void)state;
    hearth_model *m = test_model(&file);
    hearth_model_close(m);
    bytes = (hearth_bytes){hearth_file_bytes(file), hearth_file_size(file)};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hearth_file_close(file);
    return 0;
}

/* Open everything, say a few words, close everything. */
static uint32_t session_flags;

static hearth_status whole_run(struct test_heap *heap, bool close_heap, hearth_error *err)
{
    hearth_model *model = NULL;
    hearth_session *session = NULL;
    hearth_pool *pool = NULL;
    hearth_sampler *sampler = NULL;
    hearth_generation *gen = NULL;
    hearth_allocator hooks = test_heap_hooks(heap);
    hearth_model_config mc = {.struct_size = sizeof mc, .allocator = hooks};
    hearth_pool_config pc = {.struct_size = sizeof pc, .n_threads = 2, .allocator = hooks};
    hearth_sampler_config ac = {.struct_size = sizeof ac, .temperature = 1, .allocator = hooks};
    hearth_status status = hearth_model_open(&bytes, 1, &mc, &model, err);
    if (status == HEARTH_OK)
        status = hearth_pool_open(&pc, &pool, err);
    if (status == HEARTH_OK) {
        hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 128, .pool = pool,
                                    .allocator = hooks, .flags = session_flags};
        status = hearth_session_open(model, &sc, &session, err);
    }
    if (status == HEARTH_OK)
        status = hearth_sampler_open(model, &ac, &sampler, err);
    if (status == HEARTH_OK) {
        hearth_generation_config gc = {.struct_size = sizeof gc, .max_tokens = 8,
                                       .sampler = sampler, .allocator = hooks};
        status = hearth_generation_open(session, &gc, &gen, err);
    }
    if (status == HEARTH_OK) {
        const int32_t prompt[5] = {960, 330, 261, 1277, 288};
        hearth_piece piece = {.struct_size = sizeof piece};
        heap->closed = close_heap;
        status = hearth_generation_prompt(gen, prompt, 5, err);
        while (status == HEARTH_OK && !piece.finish)
            status = hearth_generation_next(gen, &piece, err);
        if (status == HEARTH_OK) /* failing and resetting do not allocate either */
            assert_int_equal(hearth_session_eval(session, prompt, 1000, NULL, NULL),
                             HEARTH_E_FULL);
        hearth_session_reset(session);
        heap->closed = false;
    }
    hearth_generation_close(gen);
    hearth_sampler_close(sampler);
    hearth_session_close(session);
    hearth_pool_close(pool);
    hearth_model_close(model);
    return status;
}

static void nothing_is_allocated_between_create_and_the_last_token(void **state)
{
    (void)state;
    struct test_heap heap = {.refuse_at = -1};
    hearth_error err;
    assert_int_equal(whole_run(&heap, true, &err), HEARTH_OK);
    assert_int_equal(heap.blocks, 0);
    assert_int_equal(heap.live, 0);
}

static void without_the_arena_blocks_are_many_and_all_come_back(void **state)
{
    (void)state;
    struct test_heap heap[2] = {{.refuse_at = -1}, {.refuse_at = -1}};
    hearth_error err;
    for (uint32_t i = 0; i < 2; i++) {
        session_flags = i * HEARTH_SESSION_NO_ARENA;
        assert_int_equal(whole_run(&heap[i], true, &err), HEARTH_OK);
        assert_int_equal(heap[i].live, 0);
    }
    assert_true(heap[1].total > heap[0].total);
    for (long n = 0; n < (long)heap[1].total; n++) {
        struct test_heap h = {.refuse_at = n};
        (void)whole_run(&h, false, &err);
        assert_int_equal(h.live, 0);
    }
    session_flags = 0;
}

static void every_refused_allocation_is_a_status_without_a_leak(void **state)
{
    (void)state;
    struct test_heap count = {.refuse_at = -1};
    hearth_error err;
    assert_int_equal(whole_run(&count, false, &err), HEARTH_OK);
    for (long n = 0; n < (long)count.total; n++) {
        struct test_heap heap = {.refuse_at = n};
        if (whole_run(&heap, false, &err) != HEARTH_E_MEMORY) {
            /* a growing arena may do with less than it first asked for */
            assert_int_equal(heap.blocks, 0);
            continue;
        }
        assert_int_equal(heap.blocks, 0);
        assert_int_equal(heap.live, 0);
        assert_true(strstr(err.text, "refused") != NULL);
    }
    print_message("%zu allocations refused in turn\n", count.total);
}

static void callers_memory_of_exactly_the_needed_size_is_enough(void **state)
{
    (void)state;
    size_t model_bytes, session_bytes;
    hearth_model *model;
    hearth_session *session;
    hearth_error err;
    const int32_t tokens[3] = {1, 2, 3};
    assert_int_equal(hearth_model_need(&bytes, 1, NULL, &model_bytes, &err), HEARTH_OK);
    void *m = malloc(model_bytes);
    hearth_model_config mc = {.struct_size = sizeof mc, .mem = m, .mem_bytes = model_bytes};
    assert_int_equal(hearth_model_open(&bytes, 1, &mc, &model, &err), HEARTH_OK);
    hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 64};
    assert_int_equal(hearth_session_need(model, &sc, &session_bytes, &err), HEARTH_OK);
    uint8_t *s = malloc(session_bytes + 1);
    for (int odd = 0; odd < 2; odd++) { /* any address will do */
        sc.mem = s + odd;
        sc.mem_bytes = session_bytes;
        if (hearth_session_open(model, &sc, &session, &err) != HEARTH_OK)
            fail_msg("%s", err.text);
        assert_int_equal(hearth_session_eval(session, tokens, 3, NULL, &err), HEARTH_OK);
        hearth_session_info info = {.struct_size = sizeof info};
        hearth_session_get_info(session, &info);
        assert_true(info.planned_bytes <= session_bytes);
        assert_true(info.planned_bytes + 1024 >= session_bytes);
        hearth_session_close(session);
    }
    sc.mem_bytes = session_bytes - 4096;
    assert_int_equal(hearth_session_open(model, &sc, &session, &err), HEARTH_E_MEMORY);
    mc.mem_bytes = model_bytes / 2;
    hearth_model_close(model);
    assert_int_equal(hearth_model_open(&bytes, 1, &mc, &model, &err), HEARTH_E_MEMORY);
    free(s);
    free(m);
}

static void scratch_and_activations_do_not_grow_with_the_context(void **state)
{
    (void)state;
    static const int32_t contexts[] = {512, 4096, 32768};
    hearth_model *model;
    uint64_t seen = 0;
    assert_int_equal(hearth_model_open(&bytes, 1, NULL, &model, NULL), HEARTH_OK);
    for (size_t i = 0; i < 3; i++) {
        hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = contexts[i], .n_batch = 512};
        hearth_session_info info = {.struct_size = sizeof info};
        hearth_session *s = test_session(model, &sc);
        hearth_session_get_info(s, &info);
        assert_true(seen == 0 || seen == info.activation_bytes + info.scratch_bytes);
        seen = info.activation_bytes + info.scratch_bytes;
        assert_int_equal(info.kv_bytes, info.kv_token_bytes * (uint64_t)contexts[i]);
        hearth_session_close(s);
    }
    hearth_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_allocated_between_create_and_the_last_token),
        cmocka_unit_test(without_the_arena_blocks_are_many_and_all_come_back),
        cmocka_unit_test(every_refused_allocation_is_a_status_without_a_leak),
        cmocka_unit_test(callers_memory_of_exactly_the_needed_size_is_enough),
        cmocka_unit_test(scratch_and_activations_do_not_grow_with_the_context),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
