/* The registry of models in front of a real engine: loading, hashes, swaps and unloading with requests in flight. */
#define _GNU_SOURCE
#include "test_support.h"
#include "runtime/runtime_support.h"
#include "serve/hs_models.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODELS HEARTH_SOURCE_DIR "/fixtures/models/"

static struct hb_dir dir;
static char root[64];
static struct hs_engine *engine;
static struct hs_registry *models;
static unsigned answers, dones, errors;
static hearth_error last_error;

/* ---- a world of files ---- */

static const char *at(const char *name)
{
    static char path[2][256];
    static int i;
    i ^= 1;
    snprintf(path[i], sizeof path[i], "%s/%s", root, name);
    return path[i];
}

static void copy(const char *from, const char *to)
{
    static char buffer[1 << 16];
    int in = open(from, O_RDONLY), out = open(at(to), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    ssize_t n;
    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, buffer, sizeof buffer)) > 0)
        assert_int_equal(write(out, buffer, (size_t)n), n);
    close(in);
    close(out);
}

static int make_world(void **state)
{
    (void)state;
    strcpy(root, "/tmp/hearth-models-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    copy(DRAFT_Q8, "draft.gguf");
    copy(MODELS "tinybert-classifier-int8.onnx", "bert.onnx");
    copy(MODELS "vocab.txt", "vocab.txt");
    int fd = open(at("config.json"), O_CREAT | O_WRONLY, 0600);
    static const char labels[] = "{\"id2label\": {\"0\": \"bad\", \"1\": \"good\"}}";
    if (write(fd, labels, sizeof labels - 1) != sizeof labels - 1)
        return -1;
    close(fd);
    return hb_os_dir_open(root, &dir, NULL) == HEARTH_OK ? 0 : -1;
}

static int remove_world(void **state)
{
    static const char *const names[] = {"draft.gguf", "bert.onnx", "vocab.txt", "config.json", "other.gguf", "link.gguf",
                                        "manifest.json"};
    (void)state;
    hb_os_dir_close(&dir);
    for (size_t i = 0; i < HB_COUNT(names); i++)
        unlink(at(names[i]));
    return rmdir(root);
}

static struct hs_file_spec file_spec(const char *name)
{
    struct hs_file_spec s = {.file = name, .hashed = true};
    hearth_file *f;
    struct hs_sha256 sha;
    assert_int_equal(hearth_file_open(at(name), NULL, &f, NULL), HEARTH_OK);
    hs_sha256_init(&sha);
    hs_sha256_add(&sha, hearth_file_bytes(f), hearth_file_size(f));
    hs_sha256_end(&sha, s.sha256);
    hearth_file_close(f);
    return s;
}

static struct hs_model_spec draft_spec(void)
{
    return (struct hs_model_spec){.name = "draft", .kind = HS_GENERATE, .model = file_spec("draft.gguf"), .context = 256,
                                  .sequences = 4, .batch = 64};
}

static struct hs_model_spec bert_spec(void)
{
    return (struct hs_model_spec){.name = "bert", .kind = HS_CLASSIFY, .model = file_spec("bert.onnx"),
                                  .tokenizer = file_spec("vocab.txt"), .labels = file_spec("config.json"),
                                  .memory = 64 << 20};
}

/* ---- engine and registry ---- */

static hearth_status attach(void *user, const struct hs_engine_model *model, hearth_error *err)
{
    return hs_engine_attach(user, model, err);
}

static bool detach(void *user, const char *name, uint64_t now_ns)
{
    return hs_engine_detach(user, name, now_ns);
}

static uint32_t busy(void *user, const char *name)
{
    struct hs_engine_model_stats s;
    uint32_t n = 0;
    for (size_t i = 0; hs_engine_model_at(user, i, &s); i++)
        n += strcmp(s.name, name) ? 0 : s.running + s.waiting;
    return n;
}

static void event(void *user, const char *name, enum hs_model_state state, const hearth_error *err)
{
    (void)user, (void)name, (void)state;
    if (err)
        last_error = *err;
}

static struct hs_models_config base_config(void)
{
    return (struct hs_models_config){.dir = &dir, .attach = attach, .detach = detach, .busy = busy, .event = event,
                                     .user = engine, .slice_ms = 1};
}

static int open_server(void **state)
{
    (void)state;
    hearth_error err;
    answers = dones = errors = 0;
    last_error = (hearth_error){0};
    if (hs_engine_create(NULL, &engine, &err) != HEARTH_OK)
        return -1;
    const struct hs_models_config config = base_config();
    return hs_models_create(&config, &models, &err) == HEARTH_OK ? 0 : -1;
}

static void turn(uint64_t now)
{
    hs_engine_step(engine, now);
    hs_models_step(models, now);
}

static enum hs_model_state state_of(const char *name)
{
    struct hs_model_view v;
    assert_true(hs_models_find(models, name, strlen(name), &v));
    return v.state;
}

static void until(const char *name, enum hs_model_state wanted)
{
    for (int i = 0; i < 100000 && state_of(name) != wanted; i++)
        turn(hb_os_now_ns());
    if (state_of(name) != wanted)
        fail_msg("%s is %s: %s", name, hs_model_state_name[state_of(name)], last_error.text);
}

static int close_server(void **state)
{
    (void)state;
    struct hs_model_view v;
    for (size_t i = 0; hs_models_at(models, i, &v); i++)
        if (v.state == HS_LOADED || v.state == HS_LOADING)
            hs_models_unload(models, v.spec->name, 0, NULL);
    for (int i = 0; i < 1000; i++)
        turn(hb_os_now_ns());
    for (size_t i = 0; hs_models_at(models, i, &v); i++)
        assert_int_equal(v.versions, 0);
    hs_models_destroy(models);
    hs_engine_destroy(engine);
    return 0;
}

static bool take(void *user, const struct hs_message *m, const void *msg)
{
    (void)user, (void)msg;
    answers += m != &hs_messages[HS_M_chunk];
    dones += m == &hs_messages[HS_M_done] || m == &hs_messages[HS_M_classified];
    errors += m == &hs_messages[HS_M_error];
    return true;
}

static struct hs_client client = {.session = 1, .send = take};

static void ask_text(uint64_t id, uint64_t max_tokens)
{
    struct hs_generate g = {0};
    HS_SET(&g, generate, id, id);
    HS_SET(&g, generate, model, (struct hs_bytes){"draft", 5});
    HS_SET(&g, generate, prompt, (struct hs_bytes){"Once upon a time", 16});
    HS_SET(&g, generate, max_tokens, max_tokens);
    HS_SET(&g, generate, ignore_end, 1);
    hs_engine_submit(engine, &client, &hs_messages[HS_M_generate], &g, hb_os_now_ns());
}

static void load(const struct hs_model_spec *spec)
{
    hearth_error err;
    assert_int_equal(hs_models_set(models, spec, 1, &err), HEARTH_OK);
    if (hs_models_load_now(models, spec->name, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
}

/* ---- tests ---- */

static void a_model_is_absent_loading_loaded_and_gone(void **state)
{
    struct hs_model_spec spec = draft_spec();
    struct hs_model_view v;
    hearth_error err;
    (void)state;
    assert_int_equal(hs_models_load(models, "draft", 0, &err), HEARTH_E_NOT_FOUND);
    assert_int_equal(hs_models_set(models, &spec, 1, &err), HEARTH_OK);
    assert_int_equal(state_of("draft"), HS_ABSENT);
    assert_int_equal(hs_models_unload(models, "draft", 0, &err), HEARTH_E_STATE);
    assert_int_equal(hs_models_load(models, "draft", 0, &err), HEARTH_OK);
    assert_int_equal(state_of("draft"), HS_LOADING);
    unsigned steps = 0;
    while (state_of("draft") == HS_LOADING && steps++ < 10000)
        hs_models_step(models, hb_os_now_ns());
    assert_int_equal(state_of("draft"), HS_LOADED);
    assert_true(steps >= 5); /* slices */
    hs_models_find(models, "draft", 5, &v);
    assert_int_equal(strlen(v.sha256), 64);
    assert_true(v.bytes > 7000000 && v.session_bytes > 0 && v.load_ns >= v.hash_ns && v.hash_ns > 0);
    ask_text(1, 4);
    for (int i = 0; i < 1000 && !answers; i++)
        turn(hb_os_now_ns());
    assert_int_equal(dones, 1);
    assert_int_equal(hs_models_unload(models, "draft", 0, &err), HEARTH_OK);
    until("draft", HS_ABSENT);
    ask_text(2, 4);
    assert_int_equal(errors, 1);
}

static void an_encoder_comes_with_tokenizer_and_labels(void **state)
{
    const struct hs_model_spec spec = bert_spec();
    struct hs_engine_model_stats s;
    (void)state;
    load(&spec);
    assert_true(hs_engine_model_at(engine, 0, &s));
    assert_string_equal(s.kind, "classify");
    assert_int_equal(s.model->n_labels, 2);
    assert_string_equal(s.model->labels[1], "good");
    /* of a file alone, they are looked for beside it */
    struct hs_model_spec alone = {.name = "alone", .alone = true, .model = {.file = "bert.onnx"}, .memory = 64 << 20};
    load(&alone);
    assert_true(hs_engine_model_at(engine, 1, &s));
    assert_int_equal(s.model->n_labels, 2);
    assert_null(s.model->sha256);
}

static void files_that_are_not_what_was_said_are_refused(void **state)
{
    struct {
        struct hs_model_spec spec;
        hearth_status status;
        const char *says;
    } cases[12];
    hearth_error err;
    (void)state;
    assert_true(symlink("draft.gguf", at("link.gguf")) == 0 || errno == EEXIST);
    for (size_t i = 0; i < HB_COUNT(cases); i++)
        cases[i].spec = draft_spec();
#define CASE(i, st, text, ...) cases[i].status = st, cases[i].says = text, (void)(cases[i].spec.__VA_ARGS__)
    CASE(0, HEARTH_E_MISMATCH, "sha256 is", model.sha256[31] ^= 1);
    CASE(1, HEARTH_E_MISMATCH, "the manifest says 5", model.size = 5);
    CASE(2, HEARTH_E_NOT_FOUND, "nothing.gguf", model.file = "nothing.gguf");
    CASE(3, HEARTH_E_ARGUMENT, "path down", model.file = "../draft.gguf");
    CASE(4, HEARTH_E_ARGUMENT, "path down", model.file = "/etc/passwd");
    CASE(5, HEARTH_E_IO, "link", model.file = "link.gguf");
    CASE(6, HEARTH_E_MISMATCH, "generates text", kind = HS_EMBED);
    CASE(7, HEARTH_E_UNSUPPORTED, "cache type q9", kv_type = "q9");
    CASE(8, HEARTH_E_RANGE, "weights 'q9'", weights = "q9");
    CASE(9, HEARTH_E_LIMIT, "", memory = 1 << 20);
    cases[10].spec = bert_spec();
    CASE(10, HEARTH_E_NOT_FOUND, "tokenizer", tokenizer.file = NULL);
    cases[11].spec = bert_spec();
    CASE(11, HEARTH_E_MISMATCH, "config.json", labels.sha256[0] ^= 1);
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        assert_int_equal(hs_models_set(models, &cases[i].spec, 1, &err), HEARTH_OK);
        hearth_status status = hs_models_load_now(models, cases[i].spec.name, &err);
        if (status != cases[i].status || !strstr(err.text, cases[i].says))
            fail_msg("case %zu: status %d, \"%s\"", i, status, err.text);
        assert_int_equal(state_of(cases[i].spec.name), HS_FAILED);
    }
    struct hs_model_spec good = draft_spec();
    load(&good); /* and a failed one may be loaded again */
    struct hs_model_spec bad = {.name = "../x", .model = {.file = "a"}};
    assert_int_equal(hs_models_set(models, &bad, 1, &err), HEARTH_E_RANGE);
}

/* M-02: the file is exchanged, or written to, between its opening and the end of the hash. */
static void a_file_swapped_while_it_is_hashed_is_not_run(void **state)
{
    struct hs_model_spec spec = draft_spec();
    hearth_error err;
    (void)state;
    /* another file under the same name: what was opened is hashed and run */
    assert_int_equal(hs_models_set(models, &spec, 1, &err), HEARTH_OK);
    assert_int_equal(hs_models_load(models, "draft", 0, &err), HEARTH_OK);
    hs_models_step(models, 0);
    hs_models_step(models, 0); /* some of it is hashed */
    assert_int_equal(rename(at("draft.gguf"), at("other.gguf")), 0);
    copy(MODELS "tinybert-classifier-int8.onnx", "draft.gguf");
    for (int i = 0; i < 100000 && state_of("draft") == HS_LOADING; i++)
        turn(hb_os_now_ns());
    assert_int_equal(rename(at("other.gguf"), at("draft.gguf")), 0);
    until("draft", HS_LOADED);
    hs_models_unload(models, "draft", 0, NULL);
    until("draft", HS_ABSENT);
    /* the same file, written to behind what was hashed already */
    assert_int_equal(hs_models_load(models, "draft", 0, &err), HEARTH_OK);
    hs_models_step(models, 0);
    hs_models_step(models, 0);
    int fd = open(at("draft.gguf"), O_RDWR);
    char byte;
    assert_int_equal(pread(fd, &byte, 1, 100), 1);
    assert_int_equal(pwrite(fd, &byte, 1, 100), 1); /* even the same byte */
    close(fd);
    until("draft", HS_FAILED);
    assert_non_null(strstr(last_error.text, "changed while"));
}

static void a_swap_drops_no_request(void **state)
{
    struct hs_model_spec spec = draft_spec();
    struct hs_model_view v;
    hearth_error err;
    (void)state;
    load(&spec);
    const hearth_session *before = hs_models_session(models, "draft");
    for (uint64_t id = 1; id <= 6; id++)
        ask_text(id, 60); /* four run, two wait */
    hs_engine_step(engine, hb_os_now_ns());
    spec.context = 128;
    assert_int_equal(hs_models_set(models, &spec, 1, &err), HEARTH_OK);
    assert_int_equal(hs_models_load(models, "draft", 0, &err), HEARTH_OK);
    assert_int_equal(state_of("draft"), HS_LOADED); /* the old one goes on */
    unsigned both = 0;
    uint64_t id = 100;
    for (int i = 0; i < 10000; i++) {
        turn(hb_os_now_ns());
        hs_models_find(models, "draft", 5, &v);
        both += v.versions == 2;
        if (id < 108)
            ask_text(id++, 8);
        if (v.versions == 1 && hs_models_session(models, "draft") != before && answers == 14)
            break;
    }
    assert_true(both > 0);
    assert_int_equal(answers, 14);
    assert_int_equal(dones, 14);
    assert_ptr_not_equal(hs_models_session(models, "draft"), before);
    assert_int_equal(v.spec->context, 128);
    /* a load that fails leaves what is there */
    spec.model.sha256[0] ^= 1;
    assert_int_equal(hs_models_set(models, &spec, 1, &err), HEARTH_OK);
    assert_int_equal(hs_models_load(models, "draft", 0, &err), HEARTH_OK);
    for (int i = 0; i < 100; i++)
        turn(hb_os_now_ns());
    assert_int_equal(state_of("draft"), HS_LOADED);
    hs_models_find(models, "draft", 5, &v);
    assert_non_null(strstr(v.error, "sha256"));
    ask_text(200, 4);
    for (int i = 0; i < 100 && answers < 15; i++)
        turn(hb_os_now_ns());
    assert_int_equal(dones, 15);
}

static void idle_models_leave_pinned_and_busy_ones_stay(void **state)
{
    struct hs_model_spec spec = draft_spec();
    hearth_error err;
    (void)state;
    spec.idle_s = 10;
    load(&spec);
    uint64_t now = hb_os_now_ns();
    hs_models_used(models, "draft", now);
    assert_true(hs_models_wake_ns(models) == now + 10000000000u);
    hs_models_step(models, now + 9999999999u);
    assert_int_equal(state_of("draft"), HS_LOADED);
    ask_text(1, 4);
    hs_models_step(models, now + 11000000000u); /* it has a request */
    assert_int_equal(state_of("draft"), HS_LOADED);
    for (int i = 0; i < 100 && !dones; i++)
        hs_engine_step(engine, now);
    assert_int_equal(hs_models_pin(models, "draft", true, &err), HEARTH_OK);
    hs_models_step(models, now + 30000000000u);
    assert_int_equal(state_of("draft"), HS_LOADED);
    assert_true(hs_models_wake_ns(models) == UINT64_MAX);
    hs_models_pin(models, "draft", false, &err);
    hs_models_step(models, now + 30000000000u);
    assert_int_equal(state_of("draft"), HS_ABSENT);
}

/* No memory for another session: the model that rested longest makes room. */
static void the_least_used_makes_room(void **state)
{
    const hearth_memory_config limit = {.struct_size = sizeof limit, .max_bytes = 24 << 20};
    struct hs_models_config config = base_config();
    struct hs_registry *r;
    hearth_memory *memory;
    struct hs_model_spec spec[3] = {draft_spec(), draft_spec(), draft_spec()};
    struct hs_model_view v[3];
    hearth_error err;
    (void)state;
    assert_int_equal(hearth_memory_open(&limit, &memory, &err), HEARTH_OK);
    config.memory = memory;
    const uint64_t empty = hearth_memory_used(memory);
    assert_int_equal(hs_models_create(&config, &r, &err), HEARTH_OK);
    spec[0].name = "a", spec[1].name = "b", spec[2].name = "c";
    assert_int_equal(hs_models_set(r, spec, 3, &err), HEARTH_OK);
    unsigned loaded = 0;
    for (int i = 0; i < 3; i++) {
        if (hs_models_load_now(r, spec[i].name, &err) != HEARTH_OK)
            fail_msg("%s", err.text);
        hs_models_used(r, spec[i].name, (uint64_t)i + 1);
    }
    for (int i = 0; i < 3; i++) {
        hs_models_find(r, spec[i].name, 1, &v[i]);
        loaded += v[i].state == HS_LOADED;
    }
    print_message("%u of 3 sessions of %llu bytes fit %llu\n", loaded, (unsigned long long)v[2].session_bytes,
                  (unsigned long long)limit.max_bytes);
    assert_true(loaded >= 1 && loaded < 3);
    assert_int_equal(v[2].state, HS_LOADED);
    assert_int_equal(v[0].state, HS_ABSENT);
    for (int i = 0; i < 3; i++)
        hs_models_unload(r, spec[i].name, 0, NULL);
    for (int i = 0; i < 10; i++)
        hs_models_step(r, 0);
    hs_models_destroy(r);
    assert_true(hearth_memory_used(memory) <= empty + (256 << 10)); /* what a call keeps */
    hearth_memory_close(memory);
}

static char blamed[64];
static unsigned blames;

static void loading(void *user, const char *name)
{
    (void)user;
    blames += name != NULL;
    snprintf(blamed, sizeof blamed, "%s", name ? name : "");
}

static bool refuses(void *user, const char *name)
{
    return !strcmp(user, name);
}

static void a_load_tells_whom_to_blame_and_asks_who_may_not(void **state)
{
    struct hs_models_config config = base_config();
    struct hs_registry *r;
    struct hs_model_spec specs[] = {draft_spec(), draft_spec()};
    hearth_error err;
    (void)state;
    specs[1].name = "killer";
    config.loading = loading;
    config.refuses = refuses;
    config.watch_user = (void *)(uintptr_t)"killer";
    assert_int_equal(hs_models_create(&config, &r, &err), HEARTH_OK);
    assert_int_equal(hs_models_set(r, specs, 2, &err), HEARTH_OK);
    assert_int_equal(hs_models_load_now(r, "draft", &err), HEARTH_OK);
    assert_true(blames >= 5);
    assert_string_equal(blamed, "");
    assert_int_equal(hs_models_load(r, "killer", 0, &err), HEARTH_E_STATE);
    assert_non_null(strstr(err.text, "quarantined"));
    hs_models_unload(r, "draft", 0, &err);
    hs_models_step(r, 0);
    hs_models_destroy(r);
}

static void the_manifest_is_read_through_the_same_door(void **state)
{
    char text[512], hex[65];
    struct hs_file_spec f = file_spec("draft.gguf");
    hearth_error err;
    (void)state;
    hs_sha256_hex(f.sha256, hex);
    int n = snprintf(text, sizeof text, "{\"version\": 1, \"models\": [{\"name\": \"draft\", \"kind\": \"generate\", "
                     "\"file\": \"draft.gguf\", \"sha256\": \"%s\", \"context\": 128, \"sequences\": 1}]}", hex);
    int fd = open(at("manifest.json"), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_int_equal(write(fd, text, (size_t)n), n);
    close(fd);
    assert_int_equal(hs_models_read(models, "../manifest.json", &err), HEARTH_E_ARGUMENT);
    assert_int_equal(hs_models_read(models, "vocab.txt", &err), HEARTH_E_FORMAT);
    assert_int_equal(hs_models_read(models, "manifest.json", &err), HEARTH_OK);
    assert_int_equal(hs_models_load_now(models, "draft", &err), HEARTH_OK);
}

/* ---- what stays behind ---- */

static unsigned count_lines(const char *path)
{
    FILE *f = fopen(path, "r");
    unsigned n = 0;
    for (int c; (c = getc(f)) != EOF;)
        n += c == '\n';
    fclose(f);
    return n;
}

static unsigned count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static long rss_kib(void)
{
    long pages = 0, all;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_int_equal(fscanf(f, "%ld %ld", &all, &pages), 2);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void a_hundred_loads_with_requests_in_flight_leave_nothing(void **state)
{
    const struct hs_model_spec specs[] = {draft_spec(), bert_spec()};
    unsigned fds = 0, maps = 0;
    long rss = 0;
    hearth_error err;
    (void)state;
    assert_int_equal(hs_models_set(models, specs, 2, &err), HEARTH_OK);
    for (int cycle = 0; cycle < 100; cycle++) {
        for (int i = 0; i < 2; i++)
            assert_int_equal(hs_models_load_now(models, specs[i].name, &err), HEARTH_OK);
        for (uint64_t id = 1; id <= 6; id++)
            ask_text(id, 3);
        hs_engine_step(engine, hb_os_now_ns()); /* some run, some wait */
        for (int i = 0; i < 2; i++)
            assert_int_equal(hs_models_unload(models, specs[i].name, 0, &err), HEARTH_OK);
        until("draft", HS_ABSENT);
        until("bert", HS_ABSENT);
        assert_int_equal(answers, 6 * (cycle + 1));
        if (cycle == 19) {
            fds = count_fds();
            maps = count_lines("/proc/self/maps");
            rss = rss_kib();
        }
    }
    assert_int_equal(dones, 600);
    assert_int_equal(count_fds(), fds);
    print_message("maps %u, then %u; RSS %ld KiB, then %ld\n", maps, count_lines("/proc/self/maps"), rss, rss_kib());
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which keep what was freed */
    assert_true(count_lines("/proc/self/maps") <= maps + 2);
    assert_true(rss_kib() < rss + 2048);
#endif
}

/* Every allocation of a load refused in turn: a status, nothing kept, and the next load works. */
static void every_refused_allocation_of_a_load_is_a_status(void **state)
{
    const struct hs_model_spec spec = bert_spec();
    struct test_heap heap = {.refuse_at = -1};
    struct hs_models_config config = base_config();
    struct hs_registry *r;
    hearth_error err;
    long n = 0, refused = 0;
    (void)state;
    config.allocator = test_heap_hooks(&heap);
    for (;; n++) {
        heap.refuse_at = -1;
        assert_int_equal(hs_models_create(&config, &r, &err), HEARTH_OK);
        assert_int_equal(hs_models_set(r, &spec, 1, &err), HEARTH_OK);
        size_t before = heap.total;
        heap.refuse_at = n;
        hearth_status status = hs_models_load_now(r, "bert", &err);
        bool asked = heap.refuse_at != 0 || heap.total - before < (size_t)n;
        heap.refuse_at = -1;
        if (status != HEARTH_OK) {
            assert_true(status == HEARTH_E_MEMORY || status == HEARTH_E_LIMIT);
            assert_true(err.text[0] != 0);
            refused++;
            if (n % 16 == 0) {
                assert_int_equal(hs_models_load_now(r, "bert", &err), HEARTH_OK);
                status = HEARTH_OK;
            }
        }
        hs_models_unload(r, "bert", 0, NULL);
        hs_models_step(r, 0);
        hs_models_destroy(r);
        assert_int_equal(heap.live, 0);
        if (asked)
            break;
        assert_true(n < 10000);
    }
    print_message("%ld allocations refused in turn, %ld loads failed\n", n, refused);
    assert_true(refused > 5);
}

int main(void)
{
#define SERVED(test) cmocka_unit_test_setup_teardown(test, open_server, close_server)
    const struct CMUnitTest tests[] = {
        SERVED(a_model_is_absent_loading_loaded_and_gone),
        SERVED(an_encoder_comes_with_tokenizer_and_labels),
        SERVED(files_that_are_not_what_was_said_are_refused),
        SERVED(a_file_swapped_while_it_is_hashed_is_not_run),
        SERVED(a_swap_drops_no_request),
        SERVED(idle_models_leave_pinned_and_busy_ones_stay),
        SERVED(the_least_used_makes_room),
        SERVED(a_load_tells_whom_to_blame_and_asks_who_may_not),
        SERVED(the_manifest_is_read_through_the_same_door),
        SERVED(a_hundred_loads_with_requests_in_flight_leave_nothing),
        SERVED(every_refused_allocation_of_a_load_is_a_status),
    };
    return cmocka_run_group_tests(tests, make_world, remove_world);
}
