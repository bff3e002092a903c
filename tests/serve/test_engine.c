/* The engine over random traces: whatever is submitted, cancelled, dropped, held up or too late, every request has
 * exactly one terminal message, and nothing is left behind. The model is a machine of this file's that takes a random
 * number of steps, the clock is a number. */
#include "test_support.h"
#include "serve/hs_job.h"
#include "base/hb_error.h"

#define CLIENTS  12
#define REQUESTS 40000

static uint64_t fake_now = 1000000000;
static uint64_t fake_clock(void *user)
{
    (void)user;
    return fake_now;
}

/* ---- a model that does nothing, for a while ---- */

static uint64_t fake_seed = 5;

struct fake {
    uint32_t most_running, tokens_running, most_tokens; /* seen */
    bool rested_ran;
};
static struct fake fake;

static hearth_status fake_open(struct hs_lane *lane, hearth_error *err)
{
    (void)err;
    lane->config = (struct hs_lane_config){4, 1000, 1 << 20};
    return HEARTH_OK;
}

static void fake_close(struct hs_lane *lane)
{
    (void)lane;
}

static hearth_status fake_accept(struct hs_lane *lane, struct hs_job *job, const struct hs_message *m,
                                 const void *msg, hearth_error *err)
{
    const struct hs_generate *g = msg;
    (void)lane, (void)m;
    void *memory;
    if (g->top_k == 13)
        return hb_fail(err, HEARTH_E_RANGE, "top_k 13");
    HB_TRY(hb_arena_take(&job->arena, 1 + test_rand(&fake_seed) % 100000, 16, &memory, err));
    job->tokens = (uint32_t)g->max_tokens;
    job->bytes = 10;
    job->text.stream = g->stream == 1;
    job->text.max_tokens = (int32_t)(test_rand(&fake_seed) % 20);
    return HEARTH_OK;
}

static void fake_end(struct hs_job *job, enum hs_reason reason)
{
    struct hs_done d = {0};
    HS_SET(&d, done, id, job->id);
    HS_SET(&d, done, reason, reason);
    HS_SET(&d, done, prompt_tokens, 1);
    HS_SET(&d, done, generated_tokens, job->text.n_generated);
    hs_job_end(job, &hs_messages[HS_M_done], &d);
}

static void fake_start(struct hs_lane *lane, struct hs_job *job)
{
    (void)lane;
    if (job->text.max_tokens == 19)
        hs_job_fail(job, 500, "cannot begin");
}

static bool fake_step(struct hs_lane *lane, uint64_t until_ns)
{
    struct hs_job *next;
    uint32_t tokens = 0;
    bool ran = false;
    (void)until_ns;
    fake.most_running = lane->n_running > fake.most_running ? lane->n_running : fake.most_running;
    for (struct hs_job *job = lane->first; job; job = next) {
        next = job->lane_next;
        tokens += job->tokens;
        fake.rested_ran = fake.rested_ran || (job->client && job->client->full && !job->resting);
        if (job->resting)
            continue;
        ran = true;
        struct hs_chunk c = {0};
        HS_SET(&c, chunk, id, job->id);
        if (job->text.stream)
            hs_job_send(job, &hs_messages[HS_M_chunk], &c);
        if (job->text.n_generated++ == (uint64_t)job->text.max_tokens)
            fake_end(job, HS_LENGTH);
    }
    fake.most_tokens = tokens > fake.most_tokens ? tokens : fake.most_tokens;
    return ran;
}

static void fake_stop(struct hs_lane *lane, struct hs_job *job, enum hs_reason reason)
{
    (void)lane;
    fake_end(job, reason);
}

static void fake_rest(struct hs_lane *lane, struct hs_job *job, bool rest)
{
    (void)lane, (void)job, (void)rest;
}

static const struct hs_backend fake_backend = {.kind = "generate", .open = fake_open, .close = fake_close,
                                               .accept = fake_accept, .start = fake_start, .step = fake_step,
                                               .stop = fake_stop, .rest = fake_rest};

/* ---- clients that keep books ---- */

struct book {
    struct hs_client client;
    uint64_t next_id;
    uint16_t *submitted, *ended; /* [REQUESTS] by id */
    uint32_t room;               /* messages until it is full */
    bool gone;
};
static struct book books[CLIENTS];
static uint64_t after_drop, by_code[600], by_reason[8];

static bool book_send(void *user, const struct hs_message *m, const void *msg)
{
    struct book *b = user;
    uint64_t id;
    memcpy(&id, (const uint8_t *)msg + m->fields[0].offset, sizeof id);
    after_drop += b->gone;
    if (m == &hs_messages[HS_M_chunk]) {
        assert_int_equal(b->ended[id], b->submitted[id] - 1); /* none behind the end */
    } else {
        b->ended[id]++;
        if (m == &hs_messages[HS_M_error])
            by_code[((const struct hs_error *)msg)->code]++;
        else
            by_reason[((const struct hs_done *)msg)->reason]++;
    }
    if (b->room)
        b->room--;
    return b->room > 0;
}

static uint64_t next_session;

static void book_open(struct book *b)
{
    free(b->submitted);
    free(b->ended);
    *b = (struct book){.client = {.session = ++next_session, .send = book_send, .user = b}, .room = 50};
    b->submitted = calloc(REQUESTS, sizeof *b->submitted);
    b->ended = calloc(REQUESTS, sizeof *b->ended);
}

static void book_check(const struct book *b)
{
    for (uint64_t i = 0; i < b->next_id; i++)
        assert_int_equal(b->submitted[i], b->ended[i]);
    assert_int_equal(b->client.in_flight, 0);
    assert_null(b->client.jobs);
}

static struct hs_engine *engine_make(const struct hs_limits *limits, const char *name)
{
    struct hs_engine *e;
    const struct hs_engine_config c = {.limits = limits, .clock = fake_clock};
    assert_int_equal(hs_engine_create(&c, &e, NULL), HEARTH_OK);
    const struct hs_engine_model model = {.name = name, .backend = &fake_backend};
    assert_int_equal(hs_engine_attach(e, &model, NULL), HEARTH_OK);
    return e;
}

static void submit(struct hs_engine *e, struct book *b, uint64_t id, const struct hs_generate *request)
{
    struct hs_generate g = *request;
    HS_SET(&g, generate, id, id);
    HS_SET(&g, generate, prompt, (struct hs_bytes){"a", 1});
    b->submitted[id]++;
    hs_engine_submit(e, &b->client, &hs_messages[HS_M_generate], &g, fake_now);
}

static void random_request(struct hs_engine *e, struct book *b, uint64_t *seed)
{
    struct hs_generate g = {0};
    bool again = b->client.jobs && test_rand(seed) % 20 == 0; /* an id in flight */
    HS_SET(&g, generate, max_tokens, test_rand(seed) % 300 + (test_rand(seed) % 50 == 0 ? 900 : 0));
    HS_SET(&g, generate, stream, test_rand(seed) % 2);
    HS_SET(&g, generate, priority, test_rand(seed) % (test_rand(seed) % 30 ? 4 : 6));
    HS_SET(&g, generate, timeout_ms, test_rand(seed) % 8 ? 60 + test_rand(seed) % 3000 : test_rand(seed) % 5);
    HS_SET(&g, generate, top_k, test_rand(seed) % 40);
    if (test_rand(seed) % 40 == 0)
        HS_SET(&g, generate, model, (struct hs_bytes){"nobody", 6});
    submit(e, b, again ? b->client.jobs->id : b->next_id++, &g);
}

static void random_cancel(struct hs_engine *e, struct book *b, uint64_t *seed)
{
    struct hs_cancel c = {0};
    HS_SET(&c, cancel, id, b->next_id ? b->next_id - test_rand(seed) % (b->next_id < 9 ? b->next_id : 9) : 0);
    hs_engine_submit(e, &b->client, &hs_messages[HS_M_cancel], &c, fake_now);
}

static void every_request_ends_exactly_once(void **state)
{
    (void)state;
    uint64_t seed = 99, dropped = 0, held = 0;
    struct hs_engine_stats stats;
    struct hs_limits limits = hs_limits_default;
    limits.queue = 40;
    limits.running = 7;
    struct hs_engine *e = engine_make(&limits, "a");
    const struct hs_engine_model second = {.name = "b", .backend = &fake_backend};
    for (size_t i = 0; i < CLIENTS; i++)
        book_open(&books[i]);
    for (int step = 0; step < REQUESTS; step++) {
        struct book *b = &books[test_rand(&seed) % CLIENTS];
        uint64_t what = test_rand(&seed) % 100;
        if (what < 55) {
            random_request(e, b, &seed);
        } else if (what < 65) {
            random_cancel(e, b, &seed);
        } else if (what < 66) { /* the client goes: no message any more, and a new one comes */
            b->gone = true;
            hs_engine_drop(e, &b->client, fake_now);
            assert_int_equal(b->client.in_flight, 0);
            dropped++;
            book_open(b);
        } else if (what < 68) {
            held += b->client.full;
            b->room = (uint32_t)(1 + test_rand(&seed) % 100);
            hs_engine_resume(e, &b->client);
        } else if (what == 68) {
            hs_engine_cancel_all(e, &b->client, fake_now);
            assert_int_equal(b->client.in_flight, 0);
        } else if (step % 2000 < 3) {
            assert_int_equal(hs_engine_attach(e, &second, NULL), HEARTH_OK);
        } else {
            fake_now += test_rand(&seed) % 40 * 1000000;
            hs_engine_step(e, fake_now);
        }
        if (step % 2000 > 1000)
            hs_engine_detach(e, "b", fake_now);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        books[i].room = UINT32_MAX;
        hs_engine_resume(e, &books[i].client);
    }
    for (int i = 0; i < 10000 && (hs_engine_step(e, fake_now) || hs_engine_wake_ns(e) != HS_NEVER); i++)
        fake_now += 1000000;
    for (size_t i = 0; i < CLIENTS; i++)
        book_check(&books[i]);
    hs_engine_get_stats(e, &stats);
    assert_int_equal(stats.waiting + stats.running, 0);
    assert_int_equal(after_drop, 0);
    assert_int_equal(fake.most_running, 4);
    assert_in_range(fake.most_tokens, 500, 1000);
    assert_false(fake.rested_ran);
    print_message("%llu done, %llu cancelled, %llu late, codes 400: %llu 404: %llu 409: %llu 413: %llu 429: %llu 500: "
                  "%llu; %llu clients dropped, %llu held up\n", (unsigned long long)by_reason[HS_LENGTH],
                  (unsigned long long)by_reason[HS_CANCELLED], (unsigned long long)by_reason[HS_TIMEOUT],
                  (unsigned long long)by_code[400], (unsigned long long)by_code[404],
                  (unsigned long long)by_code[409], (unsigned long long)by_code[413],
                  (unsigned long long)by_code[429], (unsigned long long)by_code[500], (unsigned long long)dropped,
                  (unsigned long long)held);
    static const uint32_t codes[] = {400, 404, 409, 413, 429, 500};
    for (size_t i = 0; i < HB_COUNT(codes); i++)
        assert_true(by_code[codes[i]] > 0);
    assert_true(by_reason[HS_LENGTH] > 0 && by_reason[HS_CANCELLED] > 0 && by_reason[HS_TIMEOUT] > 0 && held > 0);
    while (!hs_engine_detach(e, "b", fake_now)) {
    }
    assert_true(hs_engine_detach(e, "a", fake_now));
    hs_engine_destroy(e);
    for (size_t i = 0; i < CLIENTS; i++) {
        free(books[i].submitted);
        free(books[i].ended);
        books[i] = (struct book){0};
    }
}

static void the_queue_and_the_session_have_limits(void **state)
{
    (void)state;
    struct hs_limits limits = hs_limits_default;
    limits.queue = 5;
    limits.in_flight = 3;
    struct hs_engine *e = engine_make(&limits, "a");
    struct hs_generate g = {0};
    HS_SET(&g, generate, max_tokens, 1000);
    for (size_t i = 0; i < 3; i++)
        book_open(&books[i]);
    memset(by_code, 0, sizeof by_code);
    for (uint64_t i = 0; i < 3; i++)
        submit(e, &books[0], i, &g);
    assert_int_equal(by_code[429], 0);
    submit(e, &books[0], 3, &g); /* of the session */
    assert_int_equal(by_code[429], 1);
    for (uint64_t i = 0; i < 2; i++)
        submit(e, &books[1], i, &g);
    assert_int_equal(by_code[429], 1);
    submit(e, &books[2], 0, &g); /* of the queue */
    assert_int_equal(by_code[429], 2);
    hs_engine_step(e, fake_now);
    submit(e, &books[2], 1, &g); /* one runs: there is a place */
    assert_int_equal(by_code[429], 2);
    /* the drain: nothing new, and what is left at its end has timed out */
    assert_false(hs_engine_drain(e, fake_now, fake_now + 1000));
    submit(e, &books[2], 2, &g);
    assert_int_equal(by_code[503], 1);
    by_reason[HS_TIMEOUT] = 0;
    assert_true(hs_engine_drain(e, fake_now + 1000, fake_now + 1000));
    assert_int_equal(by_reason[HS_TIMEOUT] + by_reason[HS_LENGTH] > 0, 1);
    for (size_t i = 0; i < 3; i++) {
        books[i].next_id = 3;
        book_check(&books[i]);
        free(books[i].submitted);
        free(books[i].ended);
        books[i] = (struct book){0};
    }
    assert_true(hs_engine_detach(e, "a", fake_now));
    hs_engine_destroy(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_ends_exactly_once),
        cmocka_unit_test(the_queue_and_the_session_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
