/* The manifest: hardening rows M-01, M-02 and M-04. */
#include "test_support.h"
#include "base/os/hb_os.h"
#include "serve/hs_manifest.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define BASE "\"name\": \"m\", \"kind\": \"generate\", \"file\": \"m.gguf\", \"sha256\": \"" SHA "\""
#define ONE(row) "{\"version\": 1, \"models\": [{" row "}]}"

static struct hb_arena arena;
static struct hs_model_spec *specs;
static size_t n_specs;
static hearth_error err;

static hearth_status read_bytes(const char *text, size_t len)
{
    hb_arena_release(&arena);
    hb_arena_init_growing(&arena, hb_os_heap());
    err.text[0] = 0;
    return hs_manifest_read(text, len, &arena, &specs, &n_specs, &err);
}

static void a_whole_row_is_read(void **state)
{
    static const char text[] =
        ONE("\"name\": \"books-33m\", \"kind\": \"classify\", \"file\": \"a/b.onnx\", \"sha256\": \"" SHA "\",\r\n"
            "\"size\": 123, \"tokenizer\": {\"file\": \"t.json\", \"sha256\": \"" SHA "\", \"size\": 9},\r\n"
            "\"labels\": {\"file\": \"config.json\", \"sha256\": \"" SHA "\"}, \"licence\": \"MIT\",\n\"version\": \"2\","
            "\"context\": 4096, \"sequences\": 3, \"batch\": 64, \"kv_tokens\": 8192, \"kv_type\": \"q8_0\","
            "\"weights\": \"q8_0\", \"memory\": 4294967296, \"idle_s\": 60, \"pinned\": true, \"preload\": true,"
            "\"mmap\": false");
    uint8_t digest[32];
    (void)state;
    assert_int_equal(read_bytes(text, sizeof text - 1), HEARTH_OK);
    assert_int_equal(n_specs, 1);
    const struct hs_model_spec *s = specs;
    hs_sha256_parse(SHA, 64, digest);
    assert_string_equal(s->name, "books-33m");
    assert_int_equal(s->kind, HS_CLASSIFY);
    assert_string_equal(s->model.file, "a/b.onnx");
    assert_memory_equal(s->model.sha256, digest, 32);
    assert_true(s->model.hashed && s->tokenizer.hashed && s->labels.hashed);
    assert_int_equal(s->model.size, 123);
    assert_string_equal(s->tokenizer.file, "t.json");
    assert_int_equal(s->tokenizer.size, 9);
    assert_string_equal(s->labels.file, "config.json");
    assert_string_equal(s->licence, "MIT");
    assert_string_equal(s->version, "2");
    assert_string_equal(s->kv_type, "q8_0");
    assert_string_equal(s->weights, "q8_0");
    assert_int_equal(s->context, 4096);
    assert_int_equal(s->sequences, 3);
    assert_int_equal(s->batch, 64);
    assert_int_equal(s->kv_tokens, 8192);
    assert_true(s->memory == 4294967296u);
    assert_int_equal(s->idle_s, 60);
    assert_true(s->pinned && s->preload && s->no_mmap);
    assert_int_equal(read_bytes(ONE(BASE), sizeof ONE(BASE) - 1), HEARTH_OK); /* no line end: fine */
    assert_false(specs->pinned || specs->preload || specs->no_mmap);
    assert_int_equal(read_bytes("{\"version\": 1, \"models\": []}", 28), HEARTH_OK);
    assert_int_equal(n_specs, 0);
}

static void what_is_wrong_is_refused_by_name(void **state)
{
    static const struct {
        const char *text, *says;
        hearth_status status;
    } cases[] = {
        {"", "line", HEARTH_E_FORMAT},
        {"[]", "required", HEARTH_E_FORMAT},
        {"{\"models\": []}", "required", HEARTH_E_FORMAT},
        {"{\"version\": 2, \"models\": []}", "version 2", HEARTH_E_UNSUPPORTED},
        {"{\"version\": 1, \"models\": [], \"model\": 1}", "\"model\"", HEARTH_E_FORMAT},
        {"{\"version\": 1, \"version\": 1, \"models\": []}", "duplicate", HEARTH_E_FORMAT},
        {"{\"version\": 1, \"models\": []} x", "end of file", HEARTH_E_FORMAT},
        {"{\"version\": 1, \"models\": [", "line 1", HEARTH_E_FORMAT},
        {"\xEF\xBB\xBF{\"version\": 1, \"models\": []}", "byte order mark", HEARTH_E_FORMAT},
        {"{\"version\": 1, \"models\": [7]}", "model 1", HEARTH_E_FORMAT},
        {ONE(BASE ", \"contxt\": 1"), "\"contxt\"", HEARTH_E_FORMAT},
        {ONE(BASE ", \"name\": \"m\""), "duplicate", HEARTH_E_FORMAT},
        {ONE(BASE ", \"context\": \"4096\""), "whole number", HEARTH_E_FORMAT},
        {ONE(BASE ", \"context\": 4096.0"), "whole number", HEARTH_E_FORMAT},
        {ONE(BASE ", \"context\": null"), "whole number", HEARTH_E_FORMAT},
        {ONE(BASE ", \"context\": 15"), "context\" is 15; 16 to", HEARTH_E_RANGE},
        {ONE(BASE ", \"context\": 16777217"), "16777217", HEARTH_E_RANGE},
        {ONE(BASE ", \"memory\": 99999999999999999999"), "line 1", HEARTH_E_FORMAT}, /* beyond 64 bits */
        {ONE(BASE ", \"memory\": 1e999"), "line 1", HEARTH_E_FORMAT},
        {ONE(BASE ", \"memory\": -1"), "-1", HEARTH_E_RANGE},
        {ONE(BASE ", \"pinned\": 1"), "true or false", HEARTH_E_FORMAT},
        {ONE(BASE ", \"licence\": \"\""), "1 to 255", HEARTH_E_FORMAT},
        {ONE(BASE ", \"licence\": \"a\\nb\""), "control", HEARTH_E_FORMAT},
        {ONE(BASE ", \"licence\": \"a\\u0000b\""), "line 1", HEARTH_E_FORMAT},
        {ONE(BASE ", \"licence\": \"\xFF\""), "line 1", HEARTH_E_FORMAT},
        {ONE(BASE ", \"tokenizer\": \"t.json\""), "tokenizer", HEARTH_E_FORMAT},
        {ONE(BASE ", \"tokenizer\": {\"file\": \"t\"}"), "sha256", HEARTH_E_FORMAT},
        {ONE(BASE ", \"labels\": {\"file\": \"t\", \"sha256\": \"" SHA "\"}"), "classify", HEARTH_E_FORMAT},
        {ONE("\"kind\": \"generate\", \"file\": \"m\", \"sha256\": \"" SHA "\""), "\"name\" is missing", HEARTH_E_FORMAT},
        {ONE("\"name\": \"m\", \"kind\": \"generate\", \"file\": \"m\""), "\"sha256\" is missing", HEARTH_E_FORMAT},
        {ONE("\"name\": \"m\", \"kind\": \"Generate\", \"file\": \"m\", \"sha256\": \"" SHA "\""), "embed", HEARTH_E_FORMAT},
        {ONE("\"name\": \"m\", \"kind\": \"embed\", \"file\": \"m\", \"sha256\": \"abc\""), "64", HEARTH_E_FORMAT},
        {ONE("\"name\": \"m\", \"kind\": \"embed\", \"file\": \"m\", \"sha256\": 3"), "64", HEARTH_E_FORMAT},
        {"{\"version\": 1, \"models\": [{" BASE "}, {" BASE "}]}", "twice", HEARTH_E_FORMAT},
    };
    (void)state;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        hearth_status status = read_bytes(cases[i].text, strlen(cases[i].text));
        if (status != cases[i].status || !strstr(err.text, cases[i].says))
            fail_msg("%s: status %d, \"%s\"; \"%s\" was expected", cases[i].text, status, err.text, cases[i].says);
    }
}

static void names_are_plain(void **state)
{
    static const struct {
        const char *name;
        size_t len;
        bool ok;
    } cases[] = {
        {"m", 1, true}, {"Phi-3:mini+q4_k_m.v2", 20, true}, {"", 0, false}, {"a/b", 3, false}, {"..", 2, false},
        {".a", 2, false}, {"-m", 2, false}, {"a b", 3, false}, {"a\nb", 3, false}, {"a\0b", 3, false},
        {"\xFF", 1, false}, {"\xC3\xA9", 2, false}, {"a\"b", 3, false}, {"a%b", 3, false}, {"a..b", 4, true},
    };
    char longest[4097];
    (void)state;
    for (size_t i = 0; i < HB_COUNT(cases); i++)
        assert_int_equal(hs_model_name_ok(cases[i].name, cases[i].len), cases[i].ok);
    memset(longest, 'a', sizeof longest);
    assert_true(hs_model_name_ok(longest, HS_MODEL_NAME));
    assert_false(hs_model_name_ok(longest, HS_MODEL_NAME + 1));
    assert_false(hs_model_name_ok(longest, sizeof longest));
    assert_int_equal(read_bytes(ONE("\"name\": \"a/b\", \"kind\": \"embed\", \"file\": \"m\", \"sha256\": \"" SHA "\""),
                                strlen(ONE("\"name\": \"a/b\", \"kind\": \"embed\", \"file\": \"m\", \"sha256\": \"" SHA "\""))),
                     HEARTH_E_RANGE);
}

static void size_and_number_of_models_are_bounded(void **state)
{
    size_t len = HS_MANIFEST_BYTES + 1;
    char *text = malloc(10u << 20);
    (void)state;
    memset(text, ' ', 10u << 20);
    memcpy(text, "{\"version\": 1, \"models\": []}", 28);
    assert_int_equal(read_bytes(text, HS_MANIFEST_BYTES), HEARTH_OK);
    assert_int_equal(read_bytes(text, len), HEARTH_E_LIMIT);
    assert_int_equal(read_bytes(text, 10u << 20), HEARTH_E_LIMIT);
    for (unsigned n = HS_MAX_MODELS; n <= HS_MAX_MODELS + 1; n++) {
        size_t at = (size_t)sprintf(text, "{\"version\": 1, \"models\": [");
        for (unsigned i = 0; i < n; i++)
            at += (size_t)sprintf(text + at, "%s{\"name\": \"m%u\", \"kind\": \"embed\", \"file\": \"m\", \"sha256\": \"" SHA "\"}",
                                  i ? "," : "", i);
        at += (size_t)sprintf(text + at, "]}");
        assert_int_equal(read_bytes(text, at), n == HS_MAX_MODELS ? HEARTH_OK : HEARTH_E_LIMIT);
    }
    memset(text, '[', 1 << 20); /* nesting is bounded by the library */
    assert_int_equal(read_bytes(text, 1 << 20), HEARTH_E_FORMAT);
    free(text);
    hb_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_row_is_read),
        cmocka_unit_test(what_is_wrong_is_refused_by_name),
        cmocka_unit_test(names_are_plain),
        cmocka_unit_test(size_and_number_of_models_are_bounded),
    };
    hb_arena_init_growing(&arena, hb_os_heap());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
