/* A connection without a socket: time-outs of each phase to the nanosecond, and that messages allocate nothing. */
#define _GNU_SOURCE
#include "test_support.h"
#include "base/hb_reader.h"
#include "base/os/hb_os.h"
#include "serve/serve_noop.h"
#include "serve/serve_refusal.h"
#include <malloc.h>

/* ---- counting what is allocated (the linker's --wrap) ---- */

static uint64_t allocations, fail_at, fail_n; /* so many are refused from that one on; 0: none */

static bool refused(void)
{
    allocations++;
    return fail_at && allocations >= fail_at && allocations < fail_at + fail_n;
}

/* ---- what is freed ---- */

#define SAID "what the client said "
void __real_free(void *p);
void __wrap_free(void *p);
static const char *watch_for[3]; /* texts that no freed block may hold */
static uint64_t freed, freed_unwiped;

void __wrap_free(void *p)
{
    size_t n = p && watch_for[0] ? malloc_usable_size(p) : 0;
    freed += n > 0;
    for (int i = 0; i < 3 && n > 0; i++)
        freed_unwiped += memmem(p, n, watch_for[i], strlen(watch_for[i])) != NULL;
    __real_free(p);
}

/* ---- a server around it ---- */

#define SECRET "0123456789abcdef"
#define MS     ((uint64_t)1000000)

static uint64_t now;
static uint64_t clock_now(void *user)
{
    (void)user;
    return now;
}

static struct hs_auth auth;
static struct hs_conn_host host;
static struct hs_conn conn;

static bool try_begin(const struct hs_engine_model *model)
{
    const struct hs_engine_config config = {.clock = clock_now, .cache = true};
    now = 1000 * MS;
    auth = (struct hs_auth){0};
    host = (struct hs_conn_host){.auth = &auth, .owner_uid = 1, .min_version = 1, .max_version = 2,
                                 .limits = hs_limits_default, .name = "test"};
    host.limits.rate = 0;
    hk_select(&host.kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    hb_arena_init_growing(&host.scratch, hb_os_heap());
    assert_int_equal(hs_auth_set(&auth, SECRET "\n", sizeof SECRET, NULL), HEARTH_OK);
    if (hs_engine_create(&config, &host.engine, NULL) != HEARTH_OK)
        return false;
    if (hs_engine_attach(host.engine, model, NULL) == HEARTH_OK) {
        if (hs_conn_open(&conn, &host, 1, now, NULL) == HEARTH_OK)
            return true;
        assert_true(hs_engine_detach(host.engine, model->name, now));
    }
    hs_engine_destroy(host.engine);
    return false;
}

static void begin_on(const struct hs_engine_model *model)
{
    assert_true(try_begin(model));
}

static const struct hs_engine_model noop = {.name = "noop", .backend = &noop_backend};

static void end(void)
{
    hs_conn_close(&conn, now);
    assert_int_equal(host.n_strangers, 0);
    assert_true(hs_engine_detach(host.engine, "noop", now));
    hs_engine_destroy(host.engine);
    hb_arena_release(&host.scratch);
}

static void put(const void *bytes, size_t n)
{
    uint8_t *at;
    size_t done = 0;
    while (done < n) {
        size_t room = hs_conn_room(&conn, &at);
        assert_true(room > 0);
        room = room < n - done ? room : n - done;
        memcpy(at, (const uint8_t *)bytes + done, room);
        hs_conn_took(&conn, room, now);
        done += room;
    }
}

static void say(enum hs_index which, const void *msg)
{
    uint8_t frame[4096];
    size_t n = hs_binary_encode(&host.kernels, &hs_messages[which], msg, frame, sizeof frame);
    assert_true(n > 0);
    put(frame, n);
}

/* The answers so far, counted by message; they are taken. */
static void take(uint32_t counts[HS_M_COUNT])
{
    const uint8_t *at;
    size_t n = hs_conn_pending(&conn, &at);
    for (size_t i = 0; i < n;) {
        size_t len = hb_load_u32le(at + i);
        const struct hs_message *m = hs_message_by_number(at[i + 4]);
        assert_non_null(m);
        counts[m - hs_messages]++;
        i += 4 + len;
    }
    hs_conn_sent(&conn, n, now);
}

static void say_hello(void)
{
    uint32_t counts[HS_M_COUNT] = {0};
    struct hs_hello h = {0};
    HS_SET(&h, hello, min_version, 1);
    HS_SET(&h, hello, max_version, 2);
    HS_SET(&h, hello, token, (struct hs_bytes){SECRET, sizeof SECRET - 1});
    say(HS_M_hello, &h);
    take(counts);
    assert_int_equal(counts[HS_M_welcome], 1);
    assert_int_equal(conn.phase, HS_OPEN);
}

static void generate(uint64_t id, uint64_t stream, size_t n_tokens)
{
    static uint32_t tokens[512];
    struct hs_generate g = {0};
    HS_SET(&g, generate, id, id);
    HS_SET(&g, generate, prompt_tokens, (struct hs_tokens){.values = tokens, .n = n_tokens});
    HS_SET(&g, generate, stream, stream);
    HS_SET(&g, generate, max_tokens, 3);
    say(HS_M_generate, &g);
}

/* ---- */

static void some_requests(int n, uint32_t counts[HS_M_COUNT], bool encoder)
{
    for (int i = 0; i < n; i++) {
        struct hs_tokenize t = {0};
        struct hs_health h = {0};
        struct hs_cancel c = {0};
        HS_SET(&t, tokenize, id, 1);
        HS_SET(&t, tokenize, text, (struct hs_bytes){"the old", 7});
        HS_SET(&h, health, id, 2);
        HS_SET(&c, cancel, id, 10);
        now += MS;
        for (uint64_t id = 10; id < 14; id++)
            generate(id, id % 2, encoder ? 40 : 10 + (size_t)i % 200);
        say(HS_M_tokenize, &t);
        say(HS_M_health, &h);
        say(HS_M_cancel, &c);
        while (hs_engine_step(host.engine, now)) {
        }
        take(counts);
    }
}

static void messages_allocate_nothing(void **state)
{
    (void)state;
    uint32_t counts[HS_M_COUNT] = {0};
    begin_on(&noop);
    say_hello();
    some_requests(400, counts, false);
    memset(counts, 0, sizeof counts);
    uint64_t before = allocations;
    some_requests(2000, counts, false);
    assert_int_equal(allocations - before, 0);
    assert_int_equal(counts[HS_M_done], 8000);
    assert_int_equal(counts[HS_M_tokenized], 2000);
    assert_int_equal(counts[HS_M_report], 2000);
    assert_true(counts[HS_M_chunk] > 3000);
    assert_true(before > 0);
    end();
}

#if HEARTH_WITH_GGUF
/* A model of a few kilobytes. */
static struct {
    hearth_file *file;
    hearth_model *model;
    hearth_session *session;
} tiny;

static struct hs_engine_model tiny_open(void)
{
    const hearth_session_config config = {.struct_size = sizeof config, .n_ctx = 64, .n_seqs = 4, .n_logits = 4};
    assert_int_equal(hearth_file_open(HEARTH_SOURCE_DIR "/fixtures/arch/llama-q8_0.gguf", NULL, &tiny.file, NULL), 0);
    const hearth_bytes bytes = {hearth_file_bytes(tiny.file), hearth_file_size(tiny.file)};
    assert_int_equal(hearth_model_open(&bytes, 1, NULL, &tiny.model, NULL), HEARTH_OK);
    assert_int_equal(hearth_session_open(tiny.model, &config, &tiny.session, NULL), HEARTH_OK);
    return (struct hs_engine_model){.name = "noop", .model = tiny.model, .session = tiny.session};
}

static void tiny_close(void)
{
    hearth_session_close(tiny.session);
    hearth_model_close(tiny.model);
    hearth_file_close(tiny.file);
}

static void generating_allocates_nothing(void **state)
{
    (void)state;
    uint32_t counts[HS_M_COUNT] = {0};
    const struct hs_engine_model real = tiny_open();
    begin_on(&real);
    say_hello();
    some_requests(20, counts, true);
    memset(counts, 0, sizeof counts);
    uint64_t before = allocations;
    some_requests(100, counts, true);
    assert_int_equal(allocations - before, 0);
    assert_int_equal(counts[HS_M_done], 400);
    assert_int_equal(counts[HS_M_error] + counts[HS_M_tokenized], 100); /* the fixture has no words */
    end();
    tiny_close();
}
#endif

/* Questions and answers that made buffers and arenas grow are in none of the blocks that are given back. */
static void nothing_said_is_in_freed_memory(void **state)
{
    (void)state;
    static char prompt[60000];
    static uint8_t frame[70000];
    static uint32_t ids[4000];
    uint32_t counts[HS_M_COUNT] = {0};
    for (size_t i = 0; i + sizeof SAID < sizeof prompt; i += sizeof SAID - 1)
        memcpy(prompt + i, SAID, sizeof SAID - 1);
    for (size_t i = 0; i < HB_COUNT(ids); i++)
        ids[i] = 0x44434241; /* "ABCD" in an array, five bytes each on the wire */
    begin_on(&noop);
    say_hello();
    watch_for[2] = "ABCDABCDABCDABCD";
    watch_for[0] = SAID SAID;
    watch_for[1] = "The kettle sang and the old clock"; /* of NOOP_TEXT */
    for (uint64_t id = 1; id <= 12; id++) {
        struct hs_generate g = {0};
        HS_SET(&g, generate, id, id);
        HS_SET(&g, generate, max_tokens, 3);
        if (id % 3)
            HS_SET(&g, generate, prompt, (struct hs_bytes){prompt, id % 2 ? sizeof prompt : 100});
        else
            HS_SET(&g, generate, prompt_tokens, (struct hs_tokens){.values = ids, .n = HB_COUNT(ids)});
        size_t n = hs_binary_encode(&host.kernels, &hs_messages[HS_M_generate], &g, frame, sizeof frame);
        assert_true(n > 0);
        put(frame, n);
        while (hs_engine_step(host.engine, now)) {
        }
    }
    take(counts);
    assert_int_equal(counts[HS_M_done], 12);
    end();
    watch_for[0] = NULL;
    assert_true(freed > 4);
    assert_int_equal(freed_unwiped, 0);
}

/* A server's life in which one allocation is refused, each in its turn. Returns false when none was any more. */
static bool life_without(uint64_t n, const struct hs_engine_model *model, uint64_t *ends, uint64_t *errors)
{
    uint32_t counts[HS_M_COUNT] = {0};
    uint64_t start = allocations;
    fail_at = allocations + n;
    if (try_begin(model)) {
        struct hs_hello h = {0};
        struct hs_models m = {0};
        HS_SET(&h, hello, min_version, 2);
        HS_SET(&h, hello, max_version, 2);
        HS_SET(&h, hello, token, (struct hs_bytes){SECRET, sizeof SECRET - 1});
        say(HS_M_hello, &h);
        for (uint64_t id = 1; id <= 4 && hs_conn_reads(&conn); id++)
            generate(id, id % 2, 40);
        HS_SET(&m, models, id, 5);
        if (hs_conn_reads(&conn))
            say(HS_M_models, &m);
        while (hs_engine_step(host.engine, now)) {
        }
        assert_int_equal(conn.client.in_flight, 0);
        bool open = conn.phase == HS_OPEN && !hs_conn_over(&conn);
        take(counts);
        uint32_t terminal = counts[HS_M_done] + counts[HS_M_model_list] + counts[HS_M_error];
        assert_true(!open || terminal == 5); /* or it was told so, and closed */
        *ends += terminal;
        *errors += counts[HS_M_error];
        end();
    }
    fail_at = 0;
    return allocations - start >= n;
}

static uint64_t lives_without(const struct hs_engine_model *model, uint64_t *ends, uint64_t *errors)
{
    uint64_t n = 0;
    for (uint64_t i = 1; life_without(i, model, ends, errors); i++)
        n++;
    return n;
}

static void without_memory_requests_still_end(void **state)
{
    static const uint64_t in_a_row[] = {1, 2, 1000000}; /* arenas ask twice */
    (void)state;
    for (size_t i = 0; i < HB_COUNT(in_a_row); i++) {
        uint64_t ends = 0, errors = 0;
        fail_n = in_a_row[i];
        uint64_t n = lives_without(&noop, &ends, &errors);
#if HEARTH_WITH_GGUF
        const struct hs_engine_model real = tiny_open();
        n += lives_without(&real, &ends, &errors);
        tiny_close();
#endif
        print_message("%llu allocations refused in turn, %llu in a row: %llu requests ended, %llu with an error\n",
                      (unsigned long long)n, (unsigned long long)fail_n, (unsigned long long)ends,
                      (unsigned long long)errors);
        assert_true(n > 10 && ends > 0 && (errors > 0 || fail_n == 1));
    }
}

/* What a tick does one nanosecond before and at the deadline, in each phase. */
static void phases_end_at_their_time(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        uint32_t ms;
        bool known;
    } rows[] = {
        {"", 0, HS_HELLO_MS, false},
        {"\x10", 1, HS_HELLO_MS, false},
        {"\x10", 1, HS_HEAD_MS, true},
        {"\x10\0\0", 3, HS_HEAD_MS, true},
        {"\x10\0\0\0", 4, HS_BODY_MS, true},
        {"\x10\0\0\0\x02\x08", 6, HS_BODY_MS, true},
        {"", 0, HS_IDLE_MS, true},
    };
    (void)state;
    for (size_t i = 0; i < HB_COUNT(rows); i++) {
        uint32_t counts[HS_M_COUNT] = {0};
        begin_on(&noop);
        if (rows[i].known)
            say_hello();
        put(rows[i].bytes, rows[i].n);
        assert_int_equal(hs_conn_deadline(&conn), now + rows[i].ms * MS);
        now += rows[i].ms * MS - 1;
        hs_conn_tick(&conn, now);
        assert_int_not_equal(conn.phase, HS_CLOSING);
        now++;
        hs_conn_tick(&conn, now);
        assert_int_equal(conn.phase, HS_CLOSING);
        take(counts);
        assert_int_equal(counts[HS_M_error], 1);
        assert_true(hs_conn_over(&conn));
        end();
    }
}

static void a_byte_does_not_prolong_a_phase(void **state)
{
    (void)state;
    begin_on(&noop);
    say_hello();
    put("\x40\0\0\0\x02", 5);
    uint64_t deadline = hs_conn_deadline(&conn);
    for (int i = 0; i < 20; i++) {
        now += 100 * MS;
        put("\x08", 1);
        assert_int_equal(hs_conn_deadline(&conn), deadline);
    }
    end();
}

/* Answers wait: reading stops, jobs rest; the stall ends first the jobs and then the connection. */
static void a_client_that_takes_nothing_is_held_then_cancelled(void **state)
{
    (void)state;
    uint32_t counts[HS_M_COUNT] = {0};
    begin_on(&noop);
    host.limits.out_bytes = 3000;
    say_hello();
    uint64_t id = 0;
    while (hs_conn_reads(&conn)) {
        if (conn.client.in_flight < 16)
            generate(++id, 1, 10);
        else
            hs_engine_step(host.engine, now);
        if (id % 3 == 0)
            hs_engine_step(host.engine, now);
    }
    assert_in_range(conn.out.to - conn.out.from, 3000, 3000 + 16 * 200);
    hs_conn_sent(&conn, 0, now); /* the socket took nothing */
    for (int i = 0; i < 5; i++)
        hs_engine_step(host.engine, now);
    assert_in_range(conn.out.to - conn.out.from, 3000, 3000 + 16 * 200);
    uint32_t resting = conn.client.in_flight;
    now += HS_STALL_MS * MS;
    hs_conn_tick(&conn, now);
    assert_int_equal(conn.client.in_flight, 0);
    if (resting) {
        assert_int_not_equal(conn.phase, HS_CLOSING);
        now += HS_STALL_MS * MS;
        hs_conn_tick(&conn, now);
    }
    assert_int_equal(conn.phase, HS_CLOSING);
    assert_int_equal(hs_conn_pending(&conn, &(const uint8_t *){NULL}), 0);
    take(counts);
    end();
}

/* Users are told apart; the right token is looked at again when the block is over. */
static void wrong_tokens_are_counted_by_user(void **state)
{
    (void)state;
    const struct hs_limits *l = &hs_limits_default;
    struct hs_auth a = {0};
    const struct hs_bytes right = {SECRET, sizeof SECRET - 1}, wrong = {"fedcba9876543210", 16}, none = {"", 0};
    uint64_t retry, t = 5000 * MS;
    assert_int_equal(hs_auth_set(&a, "short", 5, NULL), HEARTH_E_RANGE);
    assert_int_equal(hs_auth_set(&a, SECRET, sizeof SECRET - 1, NULL), HEARTH_OK);
    for (uint32_t i = 1; i < l->failures; i++) {
        assert_false(hs_auth_check(&a, l, 7, i % 2 ? &wrong : &none, t, &retry));
        assert_int_equal(retry, 0);
    }
    assert_false(hs_auth_check(&a, l, 7, &wrong, t, &retry));
    assert_int_equal(retry, l->block_ms);
    assert_false(hs_auth_check(&a, l, 7, &right, t + l->block_ms * MS - 1, &retry));
    assert_true(hs_auth_check(&a, l, 8, &right, t, &retry)); /* another user */
    assert_true(hs_auth_check(&a, l, 7, &right, t + l->block_ms * MS, &retry));
    for (uint32_t i = 0; i < 20; i++) /* slower than the window: never blocked */
        assert_true(!hs_auth_check(&a, l, 7, &wrong, t += l->failures_ms * MS / (l->failures - 2), &retry) &&
                    (retry == 0 || i > l->failures));
    for (uint32_t uid = 100; uid < 100 + 3 * HS_MAX_USERS; uid++) /* more users than places */
        assert_false(hs_auth_check(&a, l, uid, &wrong, t + uid, &retry));
    assert_true(hs_auth_check(&a, l, 9, &right, t + 1000, &retry));
}

/* Requests that run are finished, new ones are refused, and then it ends. */
static void an_old_session_ends_with_its_requests(void **state)
{
    (void)state;
    uint32_t counts[HS_M_COUNT] = {0};
    begin_on(&noop);
    host.limits.session_ms = 1000;
    say_hello();
    generate(1, 0, 10);
    assert_int_equal(hs_engine_wake_ns(host.engine), 0); /* there is something to do at once */
    now += 1000 * MS;
    hs_conn_tick(&conn, now);
    assert_int_equal(conn.phase, HS_OPEN);
    generate(2, 0, 10);
    hs_engine_step(host.engine, now);
    take(counts);
    assert_int_equal(counts[HS_M_done], 1);
    assert_int_equal(counts[HS_M_error], 1);
    hs_conn_tick(&conn, now);
    assert_int_equal(conn.phase, HS_CLOSING);
    end();
}

static double auth_ns(struct hs_auth *a, const struct hs_bytes *token)
{
    uint64_t retry, start = hb_os_now_ns();
    for (uint32_t i = 0; i < 20; i++)
        assert_false(hs_auth_check(a, &hs_limits_default, i, token, i, &retry));
    memset(a->users, 0, sizeof a->users);
    return (double)(hb_os_now_ns() - start);
}

/* Tokens that differ from the secret in their first and in their last byte, in random order: Welch's t of the faster
 * nine tenths of the times. */
static void comparing_takes_as_long_wherever_tokens_differ(void **state)
{
    enum { TIMES = 4000 };
    static double ns[2][TIMES];
    static const struct hs_bytes tokens[2] = {{"x123456789abcdef", 16}, {"0123456789abcdex", 16}};
    size_t n[2] = {0, 0};
    double mean[2], variance[2];
    uint64_t seed = 3;
    struct hs_auth a = {0};
    (void)state;
    hs_auth_set(&a, SECRET, sizeof SECRET - 1, NULL);
    while (n[0] < TIMES && n[1] < TIMES) {
        size_t which = test_rand(&seed) % 2;
        ns[which][n[which]++] = auth_ns(&a, &tokens[which]);
    }
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 1; i < n[k]; i++) /* insertion: they are nearly equal, and few */
            for (size_t j = i; j > 0 && ns[k][j] < ns[k][j - 1]; j--) {
                double swap = ns[k][j];
                ns[k][j] = ns[k][j - 1];
                ns[k][j - 1] = swap;
            }
        n[k] = n[k] * 9 / 10;
        mean[k] = variance[k] = 0;
        for (size_t i = 0; i < n[k]; i++)
            mean[k] += ns[k][i] / (double)n[k];
        for (size_t i = 0; i < n[k]; i++)
            variance[k] += (ns[k][i] - mean[k]) * (ns[k][i] - mean[k]) / (double)(n[k] - 1);
    }
    double gap = mean[0] - mean[1], t2 = gap * gap / (variance[0] / (double)n[0] + variance[1] / (double)n[1]);
    print_message("%.1f and %.1f ns, t^2 %.2f\n", mean[0] / 20, mean[1] / 20, t2);
    assert_true(t2 < 100); /* |t| < 10 */
}

static void limits_are_set_by_name(void **state)
{
    (void)state;
    struct hs_limits l = hs_limits_default;
    static const char *const wrong[] = {"queue", "queue=", "queue=x", "queue=0", "queue=65537", "queue=-1", "=1", "",
                                        "que=1", "queue=1x", "queue= 1", "queue=99999999999999999999999"};
    for (size_t i = 0; i < HB_COUNT(wrong); i++)
        assert_int_not_equal(hs_limits_set(&l, wrong[i], NULL), HEARTH_OK);
    assert_memory_equal(&l, &hs_limits_default, sizeof l);
    assert_int_equal(hs_limits_set(&l, "queue=65536", NULL), HEARTH_OK);
    assert_int_equal(l.queue, 65536);
    assert_int_equal(hs_limits_set(&l, "rate=0", NULL), HEARTH_OK);
    assert_int_equal(l.rate, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_allocate_nothing),
        cmocka_unit_test(nothing_said_is_in_freed_memory),
#if HEARTH_WITH_GGUF
        cmocka_unit_test(generating_allocates_nothing),
#endif
        cmocka_unit_test(without_memory_requests_still_end),
        cmocka_unit_test(phases_end_at_their_time),
        cmocka_unit_test(a_byte_does_not_prolong_a_phase),
        cmocka_unit_test(a_client_that_takes_nothing_is_held_then_cancelled),
        cmocka_unit_test(wrong_tokens_are_counted_by_user),
        cmocka_unit_test(an_old_session_ends_with_its_requests),
        cmocka_unit_test(comparing_takes_as_long_wherever_tokens_differ),
        cmocka_unit_test(limits_are_set_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
