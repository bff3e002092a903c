/* hearth_memory: caps hold, refusals are typed and leave nothing, what is given back is wiped, calls in
 * several threads never meet; and the plan of a session is refused before it is made. */
#define _GNU_SOURCE
#include "runtime_support.h"
#include "runtime/hr_memory.h"
#include "base/hb_budget.h"
#include "base/os/hb_os.h"
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PAGES_ARE_REAL 0
#else
#define PAGES_ARE_REAL 1
#endif

static hearth_memory *memory_of(const hearth_memory_config *config)
{
    hearth_memory *m;
    hearth_error err;
    if (hearth_memory_open(config, &m, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    return m;
}

static hearth_memory_info info_of(const hearth_memory *m)
{
    hearth_memory_info info = {.struct_size = sizeof info};
    hearth_memory_get_info(m, &info);
    return info;
}

/* ---- counting ---- */

struct counter {
    struct hb_budget *budget;
    _Atomic uint64_t *over; /* sightings of more than the maximum */
    uint64_t taken, seed;
};

static void counter_main(void *arg)
{
    struct counter *c = arg;
    for (int i = 0; i < 20000; i++) {
        uint64_t n = 1 + test_rand(&c->seed) % 60;
        if (hb_budget_take(c->budget, n)) {
            c->taken++;
            if (hb_budget_used(c->budget) > c->budget->max)
                atomic_fetch_add(c->over, 1);
            hb_budget_give(c->budget, n);
        } else if (hb_budget_used(c->budget) > c->budget->max) {
            atomic_fetch_add(c->over, 1);
        }
    }
}

static void a_budget_never_shows_more_than_its_maximum(void **state)
{
    (void)state;
    static struct hb_budget b;
    struct counter c[4];
    struct hb_os_thread t[4];
    _Atomic uint64_t over = 0;
    hb_budget_init(&b, 100);
    assert_true(hb_budget_take(&b, 100));
    assert_false(hb_budget_take(&b, 1));
    assert_false(hb_budget_take(&b, UINT64_MAX)); /* no wrap */
    hb_budget_give(&b, 100);
    for (int i = 0; i < 4; i++) {
        c[i] = (struct counter){&b, &over, 0, (uint64_t)i + 1};
        assert_int_equal(hb_os_thread_start(&t[i], counter_main, &c[i], NULL), HEARTH_OK);
    }
    for (int i = 0; i < 4; i++) {
        hb_os_thread_join(&t[i]);
        assert_true(c[i].taken > 0);
    }
    assert_int_equal(atomic_load(&over), 0);
    assert_int_equal(hb_budget_used(&b), 0);
    assert_true(b.peak <= 100);
}

/* ---- buffers ---- */

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void buffers_are_capped_wiped_and_come_back(void **state)
{
    (void)state;
    hearth_memory *m = memory_of(&(hearth_memory_config){sizeof(hearth_memory_config), .n_buffers = 70});
    void *buffer[70], *more = NULL;
    hearth_error err;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 70; i++) {
            assert_int_equal(hearth_memory_take_buffer(m, &buffer[i], &err), HEARTH_OK);
            for (int k = 0; k < i; k++)
                assert_ptr_not_equal(buffer[k], buffer[i]);
            assert_true(all_zero(buffer[i], HEARTH_BUFFER_BYTES));
            memset(buffer[i], 0xEE, HEARTH_BUFFER_BYTES);
        }
        assert_int_equal(hearth_memory_take_buffer(m, &more, &err), HEARTH_E_LIMIT);
        assert_string_equal(err.text, "buffer: all of the 70 buffers of 4096 bytes are taken");
        assert_null(more);
        assert_int_equal(info_of(m).n_buffers, 70);
        for (int i = 0; i < 70; i++) {
            assert_int_equal(hearth_memory_give_buffer(m, buffer[i], &err), HEARTH_OK);
            assert_true(all_zero(buffer[i], HEARTH_BUFFER_BYTES)); /* wiped at once, not at the next take */
        }
        assert_int_equal(info_of(m).n_buffers, 0);
        assert_int_equal(info_of(m).refusals, round + 1);
    }
    assert_int_equal(hearth_memory_give_buffer(m, buffer[3], &err), HEARTH_E_STATE);
    assert_int_equal(hearth_memory_give_buffer(m, (uint8_t *)buffer[3] + 8, &err), HEARTH_E_ARGUMENT);
    assert_int_equal(hearth_memory_give_buffer(m, &err, &err), HEARTH_E_ARGUMENT);
    hearth_memory_close(m);
}

struct grabber {
    hearth_memory *memory;
    uint32_t id, refused, dirty, mixed;
};

static void grabber_main(void *arg)
{
    struct grabber *g = arg;
    for (int i = 0; i < 3000; i++) {
        uint32_t *p;
        if (hearth_memory_take_buffer(g->memory, (void **)&p, NULL) != HEARTH_OK) {
            g->refused++;
            continue;
        }
        g->dirty += p[0] != 0 || p[1023] != 0;
        p[0] = p[1023] = g->id;
        for (volatile int spin = 0; spin < 20; spin++) {
        }
        g->mixed += p[0] != g->id || p[1023] != g->id;
        hearth_memory_give_buffer(g->memory, p, NULL);
    }
}

static void buffers_of_several_threads_never_meet(void **state)
{
    (void)state;
    hearth_memory *m = memory_of(&(hearth_memory_config){sizeof(hearth_memory_config), .n_buffers = 3});
    struct grabber g[5];
    struct hb_os_thread t[5];
    for (uint32_t i = 0; i < 5; i++) {
        g[i] = (struct grabber){.memory = m, .id = i + 1};
        assert_int_equal(hb_os_thread_start(&t[i], grabber_main, &g[i], NULL), HEARTH_OK);
    }
    for (int i = 0; i < 5; i++) {
        hb_os_thread_join(&t[i]);
        assert_int_equal(g[i].dirty, 0);
        assert_int_equal(g[i].mixed, 0);
    }
    assert_int_equal(info_of(m).n_buffers, 0);
    hearth_memory_close(m);
}

/* ---- calls ---- */

static void a_call_is_bounded_wiped_and_counted(void **state)
{
    (void)state;
    hearth_memory *m = memory_of(&(hearth_memory_config){
        sizeof(hearth_memory_config), .n_calls = 2, .n_buffers = 1, .max_bytes = 1 << 20,
        .max_call_bytes = 512 << 10, .call_bytes = 8192});
    struct hr_call *call[3] = {0}, own;
    uint64_t idle = hearth_memory_used(m);
    hearth_error err;
    void *p, *first = NULL;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++)
            assert_int_equal(hr_call_begin(m, NULL, &own, &call[i], &err), HEARTH_OK);
        assert_int_equal(hr_call_begin(m, NULL, &own, &call[2], &err), HEARTH_E_LIMIT);
        assert_string_equal(err.text, "call: all of the 2 places for calls are taken");
        assert_int_equal(hearth_memory_used(m), idle + 2 * 8192);
        assert_int_equal(hb_arena_take_raw(&call[0]->arena, 1000, 16, &p, &err), HEARTH_OK);
        assert_true(!first || p == first); /* the block stays */
        first = p;
        assert_true(all_zero(p, 1000));
        memset(p, 0xEE, 1000);
        assert_int_equal(hb_arena_take_raw(&call[0]->arena, 100000, 16, &p, &err), HEARTH_OK);
        assert_true(hearth_memory_used(m) >= idle + 2 * 8192 + 100000);
        hearth_status status = hb_arena_take_raw(&call[0]->arena, 500000, 16, &p, &err);
        assert_int_equal(status, HEARTH_E_MEMORY);
        assert_int_equal(hr_call_end(call[0], status, &err), HEARTH_E_LIMIT);
        assert_non_null(strstr(err.text, "the limit is 524288 for one call"));
        assert_true(all_zero(first, 1000));
        /* the limit of all: 600000 of the 1 MiB are taken elsewhere */
        hearth_allocator hooks = hearth_memory_allocator(m);
        void *big = hooks.alloc(hooks.user, 700000);
        assert_non_null(big);
        assert_null(hooks.alloc(hooks.user, 700000));
        status = hb_arena_take_raw(&call[1]->arena, 400000, 16, &p, &err);
        assert_int_equal(status, HEARTH_E_MEMORY);
        assert_int_equal(hr_call_end(call[1], status, &err), HEARTH_E_LIMIT);
        assert_non_null(strstr(err.text, "the limit is 1048576"));
        assert_null(strstr(err.text, "one call"));
        hooks.free(hooks.user, big, 700000);
        assert_int_equal(info_of(m).n_calls, 0);
    }
    assert_int_equal(hearth_memory_trim(m), 2 * 8192);
    assert_int_equal(hearth_memory_used(m), idle);
    assert_int_equal(hearth_memory_trim(m), 0);
    assert_int_equal(hr_call_begin(m, NULL, &own, &call[0], &err), HEARTH_OK);
    assert_true(all_zero(call[0]->block, 8192));
    assert_int_equal(hearth_memory_trim(m), 0); /* a call in progress is left alone */
    assert_int_equal(hr_call_end(call[0], HEARTH_OK, &err), HEARTH_OK);
    hearth_memory_close(m);
}

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0, all = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%llu %llu", &all, &pages) != 2)
        pages = 0;
    if (f)
        fclose(f);
    return pages * 4096;
}

static void trim_gives_pages_back_to_the_system(void **state)
{
    (void)state;
    const size_t bytes = (size_t)64 << 20;
    hearth_memory *m = memory_of(&(hearth_memory_config){sizeof(hearth_memory_config), .n_calls = 1,
                                                          .call_bytes = bytes});
    struct hr_call *call, own;
    void *p;
    assert_int_equal(hr_call_begin(m, NULL, &own, &call, NULL), HEARTH_OK);
    assert_int_equal(hb_arena_take_raw(&call->arena, bytes, 1, &p, NULL), HEARTH_OK);
    memset(p, 1, bytes);
    hr_call_end(call, HEARTH_OK, NULL);
    uint64_t before = resident_bytes();
    assert_int_equal(hearth_memory_trim(m), bytes);
    uint64_t after = resident_bytes();
    if (before > bytes && PAGES_ARE_REAL)
        assert_true(before - after > bytes / 2);
    hearth_memory_close(m);
}

/* ---- sessions and generations ---- */

static void a_plan_that_does_not_fit_is_refused_with_both_numbers(void **state)
{
    (void)state;
    hearth_file *file;
    hearth_model *model = test_model(&file);
    hearth_session *s = NULL;
    hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 256};
    size_t need;
    hearth_error err;
    char numbers[2][64];
    assert_int_equal(hearth_session_need(model, &sc, &need, &err), HEARTH_OK);
    hearth_memory *empty = memory_of(NULL);
    uint64_t idle = hearth_memory_used(empty);
    hearth_memory_close(empty);
    for (int fits = 0; fits < 2; fits++) {
        hearth_memory_config mc = {.struct_size = sizeof mc, .max_bytes = idle + need - 512 + 1024 * (unsigned)fits};
        sc.memory = memory_of(&mc);
        snprintf(numbers[0], sizeof numbers[0], "it needs %zu", need / 1000); /* but for alignment */
        snprintf(numbers[1], sizeof numbers[1], "the limit is %llu", (unsigned long long)mc.max_bytes);
        hearth_status status = hearth_session_open(model, &sc, &s, &err);
        if (status != (fits ? HEARTH_OK : HEARTH_E_LIMIT))
            fail_msg("%s", err.text);
        if (!fits) {
            assert_non_null(strstr(err.text, numbers[0]));
            assert_non_null(strstr(err.text, numbers[1]));
        } else {
            assert_true(hearth_memory_used(sc.memory) + 512 > idle + need);
            hearth_session_close(s);
        }
        assert_int_equal(hearth_memory_used(sc.memory), idle);
        assert_true(info_of(sc.memory).peak_bytes <= mc.max_bytes);
        hearth_memory_close(sc.memory);
    }
    hearth_model_close(model);
    hearth_file_close(file);
}

static void a_generation_is_a_call(void **state)
{
    (void)state;
    hearth_file *file;
    hearth_model *model = test_model(&file);
    hearth_memory *m = memory_of(&(hearth_memory_config){sizeof(hearth_memory_config), .n_calls = 1});
    hearth_session *s = test_session(model, &(hearth_session_config){sizeof(hearth_session_config),
                                                                     .n_ctx = 64});
    hearth_generation_config gc = {.struct_size = sizeof gc, .max_tokens = 3, .memory = m};
    hearth_generation *gen, *other;
    hearth_error err;
    const int32_t prompt[2] = {960, 330};
    for (int i = 0; i < 3; i++) {
        hearth_piece piece = {.struct_size = sizeof piece};
        assert_int_equal(hearth_generation_open(s, &gc, &gen, &err), HEARTH_OK);
        assert_int_equal(info_of(m).n_calls, 1);
        assert_int_equal(hearth_generation_open(s, &gc, &other, &err), HEARTH_E_LIMIT);
        assert_int_equal(hearth_generation_prompt(gen, prompt, 2, &err), HEARTH_OK);
        while (!piece.finish)
            assert_int_equal(hearth_generation_next(gen, &piece, &err), HEARTH_OK);
        hearth_generation_close(gen);
        assert_int_equal(info_of(m).n_calls, 0);
        hearth_session_reset(s);
    }
    hearth_session_close(s);
    hearth_memory_close(m);
    hearth_model_close(model);
    hearth_file_close(file);
}

/* The system itself refuses (RLIMIT_AS): a status and a sentence, not a signal. In a child, since the
 * limit cannot be taken back. */
static void a_system_that_refuses_memory_is_a_status(void **state)
{
    (void)state;
    if (!PAGES_ARE_REAL)
        skip(); /* sanitizers need the address space */
    hearth_file *file;
    hearth_model *model = test_model(&file);
    pid_t child = fork();
    if (child == 0) {
        hearth_session *s;
        hearth_error err = {0};
        hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 2048, .n_seqs = 512};
        struct rlimit limit = {(rlim_t)256 << 20, (rlim_t)256 << 20};
        setrlimit(RLIMIT_AS, &limit);
        hearth_status status = hearth_session_open(model, &sc, &s, &err);
        bool told = strstr(err.text, "refused") != NULL;
        sc.n_seqs = 1;
        bool next_works = hearth_session_open(model, &sc, &s, &err) == HEARTH_OK;
        _exit(status == HEARTH_E_MEMORY && told && next_works ? 0 : 1);
    }
    int how = -1;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    hearth_model_close(model);
    hearth_file_close(file);
}

static void settings_out_of_range_are_refused(void **state)
{
    (void)state;
    hearth_memory *m = NULL;
    hearth_error err;
    hearth_memory_config many = {.struct_size = sizeof many, .n_calls = 1025};
    hearth_memory_config small = {.struct_size = sizeof small, .call_bytes = 100};
    hearth_memory_config tight = {.struct_size = sizeof tight, .max_bytes = 1000};
    assert_int_equal(hearth_memory_open(&many, &m, &err), HEARTH_E_RANGE);
    assert_int_equal(hearth_memory_open(&small, &m, &err), HEARTH_E_RANGE);
    assert_int_equal(hearth_memory_open(&tight, &m, &err), HEARTH_E_LIMIT);
    assert_null(m);
    for (long n = 0; n < 2; n++) {
        struct test_heap heap = {.refuse_at = n};
        hearth_memory_config c = {.struct_size = sizeof c, .allocator = test_heap_hooks(&heap)};
        assert_int_equal(hearth_memory_open(&c, &m, &err), HEARTH_E_MEMORY);
        assert_int_equal(heap.live, 0);
    }
    struct test_heap heap = {.refuse_at = -1};
    hearth_memory_config c = {.struct_size = sizeof c, .allocator = test_heap_hooks(&heap)};
    assert_int_equal(hearth_memory_open(&c, &m, &err), HEARTH_OK);
    struct hr_call *call, own;
    assert_int_equal(hr_call_begin(m, NULL, &own, &call, &err), HEARTH_OK);
    hr_call_end(call, HEARTH_OK, NULL);
    assert_true(hearth_memory_trim(m) > 0); /* without pages of our own the block is freed */
    assert_int_equal(hr_call_begin(m, NULL, &own, &call, &err), HEARTH_OK);
    hr_call_end(call, HEARTH_OK, NULL);
    hearth_memory_close(m);
    assert_int_equal(heap.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_never_shows_more_than_its_maximum),
        cmocka_unit_test(buffers_are_capped_wiped_and_come_back),
        cmocka_unit_test(buffers_of_several_threads_never_meet),
        cmocka_unit_test(a_call_is_bounded_wiped_and_counted),
        cmocka_unit_test(trim_gives_pages_back_to_the_system),
        cmocka_unit_test(a_plan_that_does_not_fit_is_refused_with_both_numbers),
        cmocka_unit_test(a_generation_is_a_call),
        cmocka_unit_test(a_system_that_refuses_memory_is_a_status),
        cmocka_unit_test(settings_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
