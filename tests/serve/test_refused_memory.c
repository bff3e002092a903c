/* Requests while memory is refused: for every n the n-th allocation of a request fails, alone or with all that follow.
 * Each ends with exactly one terminal message, and the next request is served. */
#include "test_support.h"
#include "runtime/runtime_support.h"
#include "base/os/hb_os.h"
#include "serve/hs_engine.h"
#include "serve/serve_refusal.h"

static long refuse_at = -1; /* the n-th from now; -1: none */
static bool for_ever;
static unsigned long asked;

static bool refused(void)
{
    asked++;
    if (refuse_at < 0)
        return false;
    if (refuse_at == 0) {
        refuse_at = for_ever ? 0 : -1;
        return true;
    }
    refuse_at--;
    return false;
}

static struct hs_engine *engine;
static hearth_file *file;
static hearth_model *model;
static hearth_session *session;
static unsigned ends, dones;
static uint64_t last_code;

static bool take(void *user, const struct hs_message *m, const void *msg)
{
    (void)user;
    ends += m != &hs_messages[HS_M_chunk];
    dones += m == &hs_messages[HS_M_done];
    if (m == &hs_messages[HS_M_error])
        last_code = ((const struct hs_error *)msg)->code;
    return true;
}

static struct hs_client client = {.session = 1, .send = take};

static void open_engine(void) /* a new one: an old one keeps memory for its next requests */
{
    const struct hs_engine_model m = {.name = "draft", .model = model, .session = session};
    assert_int_equal(hs_engine_create(NULL, &engine, NULL), HEARTH_OK);
    assert_int_equal(hs_engine_attach(engine, &m, NULL), HEARTH_OK);
}

static void close_engine(void)
{
    hs_engine_drop(engine, &client, 0);
    assert_true(hs_engine_detach(engine, "draft", 0));
    hs_engine_destroy(engine);
}

static int make(void **state)
{
    (void)state;
    const hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 256, .n_seqs = 2, .n_batch = 64, .n_logits = 2};
    model = test_model(&file);
    session = test_session(model, &sc);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    hearth_session_close(session);
    hearth_model_close(model);
    hearth_file_close(file);
    return 0;
}

/* Two at once: one streams and has stop strings, one has a grammar. */
static void ask(uint64_t id)
{
    static const struct hs_bytes stop[] = {{"zebra", 5}, {"xylophone", 9}};
    struct hs_generate g = {0};
    HS_SET(&g, generate, id, id);
    HS_SET(&g, generate, prompt, (struct hs_bytes){"Once upon a time", 16});
    HS_SET(&g, generate, max_tokens, 6);
    HS_SET(&g, generate, temperature, 0);
    HS_SET(&g, generate, stream, id & 1);
    if (id & 1)
        HS_SET(&g, generate, stop, (struct hs_list){.items = stop, .n = 2});
    else
        HS_SET(&g, generate, grammar, (struct hs_bytes){"root ::= [a-z ]*", 16});
    hs_engine_submit(engine, &client, &hs_messages[HS_M_generate], &g, hb_os_now_ns());
}

static void run(unsigned wanted)
{
    for (int i = 0; i < 1000 && ends < wanted; i++)
        hs_engine_step(engine, hb_os_now_ns());
}

static void every_refused_allocation_ends_in_an_answer(void **state)
{
    uint64_t id = 1;
    (void)state;
    for (int ever = 0; ever <= 1; ever++) {
        unsigned errors = 0;
        for (long n = 0;; n++) {
            open_engine();
            ends = dones = 0;
            last_code = 0;
            asked = 0;
            for_ever = ever;
            refuse_at = n;
            ask(id++);
            ask(id++);
            run(2);
            bool hit = asked > (unsigned long)n;
            refuse_at = -1;
            assert_int_equal(ends, 2);
            if (dones < 2) {
                assert_true(last_code == 503 || last_code == 500 || last_code == 413);
                errors += 2 - dones;
            }
            ends = dones = 0;
            ask(id++);
            run(1);
            assert_int_equal(dones, 1); /* memory is back: so is service */
            close_engine();
            if (!hit) {
                print_message("%ld allocations refused in turn%s: %u requests ended in error\n", n,
                              ever ? ", with all after it" : "", errors);
                assert_true(n >= 2 && errors >= 2);
                break;
            }
            assert_true(n < 5000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_refused_allocation_ends_in_an_answer, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
