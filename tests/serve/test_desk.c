/* The desk in front of a real engine: what it counts, how it tells it, and who may change models. */
#define _GNU_SOURCE
#include "test_support.h"
#include "runtime/runtime_support.h"
#include "serve/hs_desk.h"
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

static struct hb_dir dir;
static struct hs_engine *engine;
static struct hs_desk *desk;
static int log_ends[2];

static struct {
    const struct hs_message *m;
    uint64_t code, ok, retry;
    char body[HS_REPORT_BYTES];
    size_t n_models;
    char state[32];
} got;

static bool take(void *user, const struct hs_message *m, const void *msg)
{
    (void)user;
    got.m = m;
    if (m == &hs_messages[HS_M_report]) {
        const struct hs_report *r = msg;
        got.ok = r->ok;
        assert_true(r->body.len < sizeof got.body);
        if (r->body.len)
            memcpy(got.body, r->body.at, r->body.len);
        got.body[r->body.len] = 0;
    } else if (m == &hs_messages[HS_M_error]) {
        const struct hs_error *e = msg;
        got.code = e->code;
        got.retry = e->retry_ms;
        snprintf(got.body, sizeof got.body, "%.*s", (int)e->message.len, e->message.at);
    } else if (m == &hs_messages[HS_M_model_list]) {
        const struct hs_model_list *l = msg;
        got.n_models = l->items.n;
        if (l->items.n)
            snprintf(got.state, sizeof got.state, "%.*s", (int)((const struct hs_model *)l->items.items)->state.len,
                     ((const struct hs_model *)l->items.items)->state.at);
    }
    return true;
}

static struct hs_client owner = {.session = 1, .owner = true, .send = take};
static struct hs_client other = {.session = 2, .send = take};

static int make(void **state)
{
    hearth_error err;
    (void)state;
    if (hb_os_dir_open(HEARTH_SOURCE_DIR "/fixtures/models", &dir, &err) != HEARTH_OK || pipe2(log_ends, O_NONBLOCK))
        return -1;
    const struct hs_desk_config config = {.models = {.dir = &dir}, .owner_only = true, .log_fd = log_ends[1],
                                          .log_level = HS_LOG_INFO, .sandbox = "{\"level\":\"off\"}", .restarts = 3};
    struct hs_engine_config ec = {0};
    if (hs_desk_create(&config, &desk, &err) != HEARTH_OK)
        return -1;
    hs_desk_engine(desk, &ec);
    const struct hs_model_spec spec = {.name = "draft", .alone = true, .model = {.file = "books-draft-6m-q8_0.gguf"},
                                       .context = 256, .sequences = 2, .idle_s = 3600, .licence = "a \"b\" \\c"};
    return hs_engine_create(&ec, &engine, &err) == HEARTH_OK &&
                   hs_models_set(hs_desk_models(desk), &spec, 1, &err) == HEARTH_OK &&
                   hs_desk_begin(desk, engine, &err) == HEARTH_OK
               ? 0
               : -1;
}

static int drop(void **state)
{
    (void)state;
    hs_desk_destroy(desk);
    hs_engine_destroy(engine);
    hb_os_dir_close(&dir);
    close(log_ends[0]);
    close(log_ends[1]);
    return 0;
}

static void run(void)
{
    for (int i = 0; i < 10000 && (!got.m || got.m == &hs_messages[HS_M_chunk]); i++) {
        hs_engine_step(engine, hb_os_now_ns());
        hs_desk_step(desk, hb_os_now_ns());
    }
}

static void generate(uint64_t id, const char *model, const char *prompt, uint64_t max_tokens)
{
    struct hs_generate g = {0};
    HS_SET(&g, generate, id, id);
    HS_SET(&g, generate, model, (struct hs_bytes){model, strlen(model)});
    HS_SET(&g, generate, prompt, (struct hs_bytes){prompt, strlen(prompt)});
    HS_SET(&g, generate, max_tokens, max_tokens);
    HS_SET(&g, generate, ignore_end, 1);
    got.m = NULL;
    hs_engine_submit(engine, &owner, &hs_messages[HS_M_generate], &g, hb_os_now_ns());
    run();
}

static void metrics(bool prometheus)
{
    struct hs_metrics q = {0};
    HS_SET(&q, metrics, id, 77);
    if (prometheus)
        HS_SET(&q, metrics, prometheus, 1);
    hs_engine_submit(engine, &owner, &hs_messages[HS_M_metrics], &q, hb_os_now_ns());
    assert_ptr_equal(got.m, &hs_messages[HS_M_report]);
}

static void health(uint64_t kind)
{
    struct hs_health q = {0};
    HS_SET(&q, health, id, 78);
    HS_SET(&q, health, kind, kind);
    hs_engine_submit(engine, &owner, &hs_messages[HS_M_health], &q, hb_os_now_ns());
}

static void manage(struct hs_client *c, const char *name, uint64_t action)
{
    struct hs_manage q = {0};
    HS_SET(&q, manage, id, 79);
    HS_SET(&q, manage, model, (struct hs_bytes){name, strlen(name)});
    HS_SET(&q, manage, action, action);
    got.m = NULL;
    hs_engine_submit(engine, c, &hs_messages[HS_M_manage], &q, hb_os_now_ns());
}

static void load(void)
{
    hearth_error err;
    assert_int_equal(hs_models_load_now(hs_desk_models(desk), "draft", &err), HEARTH_OK);
}

/* The value of a metric by its whole name with labels; fails where it is not there. */
static double value(const char *name)
{
    char line[256];
    snprintf(line, sizeof line, "\nhearth_%s ", name);
    const char *at = strstr(got.body, line);
    if (!at)
        fail_msg("no %s in\n%s", name, got.body);
    return atof(at + strlen(line));
}

/* Every line is HELP, TYPE, or a sample of the metric announced last; no metric is announced twice. */
static void exposition_is_valid(void)
{
    char metric[128] = "", copy[HS_REPORT_BYTES];
    static char seen[200][128];
    size_t n_seen = 0;
    strcpy(copy, got.body);
    assert_int_equal(copy[strlen(copy) - 1], '\n');
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) {
        char name[128];
        size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
        if (sscanf(line, "# HELP %127s", name) == 1) {
            for (size_t i = 0; i < n_seen; i++)
                assert_string_not_equal(seen[i], name);
            strcpy(seen[n_seen++], name);
            strcpy(metric, name);
        } else if (line[0] == '#') {
            char type[32];
            assert_int_equal(sscanf(line, "# TYPE %127s %31s", name, type), 2);
            assert_string_equal(name, metric);
            assert_true(!strcmp(type, "counter") || !strcmp(type, "gauge") || !strcmp(type, "summary"));
        } else {
            char *end, *at = line + n;
            assert_int_equal(strncmp(line, metric, strlen(metric)), 0);
            if (*at == '{')
                while (*++at && *at != '}')
                    if (*at == '"')
                        while (*++at != '"')
                            at += *at == '\\';
            at += *at == '}';
            assert_int_equal(*at, ' ');
            strtod(at + 1, &end);
            assert_int_equal(*end, 0);
        }
    }
}

static void requests_tokens_and_times_are_counted(void **state)
{
    (void)state;
    metrics(true);
    exposition_is_valid();
    assert_null(strstr(got.body, "quantile")); /* no data yet */
    assert_true(value("generated_tokens_total") == 0);
    load();
    for (uint64_t i = 1; i <= 3; i++)
        generate(i, "draft", "Once upon a time", 10);
    assert_ptr_equal(got.m, &hs_messages[HS_M_done]);
    generate(4, "draft", "", 10); /* 400 */
    generate(5, "nobody", "x", 10); /* 404 */
    metrics(true);
    exposition_is_valid();
    assert_true(value("requests_total{message=\"generate\",result=\"length\"}") == 3);
    assert_true(value("requests_total{message=\"generate\",result=\"error_400\"}") == 1);
    assert_true(value("requests_total{message=\"generate\",result=\"error_404\"}") == 1);
    assert_true(value("generated_tokens_total") == 30);
    assert_true(value("prompt_tokens_total") > 0);
    assert_true(value("generated_tokens_per_second") > 0);
    assert_true(value("request_seconds_count") == 3);
    assert_true(value("request_seconds{quantile=\"0.5\"}") > 0);
    assert_true(value("request_seconds{quantile=\"1\"}") >= value("request_seconds{quantile=\"0.99\"}"));
    assert_true(value("token_seconds_count") == 3);
    assert_true(value("model_kv_pages{model=\"draft\"}") > 0);
    assert_true(value("model_state{model=\"draft\",state=\"loaded\"}") == 1);
    assert_true(value("worker_restarts_total") == 3);
    assert_true(value("resident_bytes") > 1e6);
    assert_true(value("proportional_bytes") > 0);
}

static void reports_are_json_with_all_there_is(void **state)
{
    json_error_t where;
    (void)state;
    health(1);
    assert_int_equal(got.ok, 0);
    load();
    health(1);
    assert_int_equal(got.ok, 1);
    generate(1, "draft", "Once", 5);
    for (int i = 0; i < 2; i++) {
        if (i)
            health(2);
        else
            metrics(false);
        json_t *j = json_loads(got.body, JSON_REJECT_DUPLICATES, &where);
        if (!j)
            fail_msg("%s at %d: %s", where.text, where.position, got.body);
        assert_int_equal(json_integer_value(json_object_get(j, "generated_tokens_total")), 5);
        const json_t *t = json_object_get(json_object_get(j, "latency_ms"), "request");
        assert_int_equal(json_integer_value(json_object_get(t, "n")), 1);
        assert_true(json_number_value(json_object_get(t, "p99")) > 0);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(json_object_get(j, "requests"), "generate"),
                                                            "length")), 1);
        const json_t *m = json_array_get(json_object_get(j, "registry"), 0);
        assert_int_equal(m != NULL, i == 1);
        if (i) {
            assert_string_equal(json_string_value(json_object_get(m, "state")), "loaded");
            assert_string_equal(json_string_value(json_object_get(m, "licence")), "a \"b\" \\c");
            assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "limits"), "queue")), 256);
            assert_string_equal(json_string_value(json_object_get(json_object_get(j, "sandbox"), "level")), "off");
        }
        json_decref(j);
    }
}

static void models_change_for_the_owner_alone(void **state)
{
    (void)state;
    manage(&other, "draft", 1);
    assert_int_equal(got.code, 401);
    manage(&owner, "nobody", 1);
    assert_int_equal(got.code, 404);
    manage(&owner, "../x", 1);
    assert_int_equal(got.code, 404);
    manage(&owner, "draft", 2);
    assert_int_equal(got.code, 409); /* not loaded */
    manage(&owner, "draft", 1);
    assert_ptr_equal(got.m, &hs_messages[HS_M_model_list]);
    assert_string_equal(got.state, "loading");
    for (int i = 0; i < 10000 && hs_desk_step(desk, hb_os_now_ns()); i++) {
    }
    manage(&owner, "draft", 0);
    assert_string_equal(got.state, "loaded");
    manage(&owner, "draft", 3);
    assert_true(hs_desk_wake_ns(desk) == UINT64_MAX);
    manage(&owner, "draft", 4);
    assert_true(hs_desk_wake_ns(desk) != UINT64_MAX);
    manage(&owner, "draft", 2);
    assert_string_equal(got.state, "unloading");
}

static void a_request_brings_an_absent_model_back(void **state)
{
    (void)state;
    generate(1, "draft", "x", 2);
    assert_int_equal(got.code, 503);
    assert_true(got.retry > 0);
    for (int i = 0; i < 10000 && hs_desk_step(desk, hb_os_now_ns()); i++) {
    }
    generate(2, "draft", "x", 2);
    assert_ptr_equal(got.m, &hs_messages[HS_M_done]);
}

static void the_log_tells_what_happened_and_nothing_that_was_said(void **state)
{
    static char text[65536];
    (void)state;
    load();
    generate(9, "draft", "Whispered secretly", 8);
    ssize_t n = read(log_ends[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = 0;
    assert_non_null(strstr(text, "event=model model=draft state=loading"));
    assert_non_null(strstr(text, "event=model model=draft state=loaded"));
    assert_non_null(strstr(text, "event=request session=1 id=9 message=generate model=draft answer=done reason=1"));
    assert_non_null(strstr(text, "generated_tokens=8"));
    assert_null(strstr(text, "hispered"));
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, make, drop)
    const struct CMUnitTest tests[] = {
        WITH(requests_tokens_and_times_are_counted),
        WITH(reports_are_json_with_all_there_is),
        WITH(models_change_for_the_owner_alone),
        WITH(a_request_brings_an_absent_model_back),
        WITH(the_log_tells_what_happened_and_nothing_that_was_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
