/* The wire: golden vectors of another implementation in both forms and directions; what is cut, changed or
 * hostile is refused, or is another message in canonical form. */
#define _POSIX_C_SOURCE 200809L
#include "test_support.h"
#include "base/os/hb_os.h"
#include "serve/hs_wire.h"

#define GOLDEN HEARTH_SOURCE_DIR "/tests/serve/golden.txt"

struct golden {
    char name[32];
    uint8_t *frame;
    size_t len;
    char *json;
};

static struct golden golden[128];
static size_t n_golden;
static struct hk_table kernels;

static int golden_read(void **state)
{
    (void)state;
    FILE *f = fopen(GOLDEN, "r");
    char *line = NULL;
    size_t size = 0;
    assert_non_null(f);
    hk_select(&kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    while (getline(&line, &size, f) > 0) {
        struct golden *g = &golden[n_golden++];
        char *hex = strchr(line, '\t') + 1, *json = strchr(hex, '\t') + 1;
        snprintf(g->name, sizeof g->name, "%.*s", (int)(hex - line - 1), line);
        g->len = (size_t)(json - hex - 1) / 2;
        g->frame = malloc(g->len);
        for (size_t i = 0; i < g->len; i++) {
            unsigned byte;
            assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
            g->frame[i] = (uint8_t)byte;
        }
        g->json = strdup(json);
        g->json[strcspn(g->json, "\n")] = 0;
    }
    free(line);
    fclose(f);
    assert_true(n_golden >= 40);
    return 0;
}

static int golden_free(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_golden; i++) {
        free(golden[i].frame);
        free(golden[i].json);
    }
    return 0;
}

static const struct hs_message *golden_decode(const struct golden *g, union hs_any *msg)
{
    hearth_error err;
    const struct hs_message *m = hs_message_by_number(g->frame[4]);
    assert_non_null(m);
    assert_string_equal(m->name, g->name);
    assert_int_equal(g->frame[0] | g->frame[1] << 8 | g->frame[2] << 16, g->len - 4);
    if (hs_binary_decode(m, g->frame + 5, g->len - 5, msg, &err) != HEARTH_OK)
        fail_msg("%s: %s", g->name, err.text);
    return m;
}

static void binary_decodes_and_encodes_to_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_golden; i++) {
        union hs_any msg;
        const struct hs_message *m = golden_decode(&golden[i], &msg);
        size_t bound = hs_binary_bound(m, &msg);
        uint8_t *out = malloc(bound);
        assert_int_equal(hs_binary_encode(&kernels, m, &msg, out, bound - 1), 0);
        assert_int_equal(hs_binary_encode(&kernels, m, &msg, out, bound), golden[i].len);
        assert_memory_equal(out, golden[i].frame, golden[i].len);
        free(out);
    }
}

static void binary_becomes_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_golden; i++) {
        union hs_any msg;
        const struct hs_message *m = golden_decode(&golden[i], &msg);
        size_t bound = hs_json_bound(m, &msg), n;
        uint8_t *out = malloc(bound);
        n = hs_json_encode(&kernels, m, &msg, out, bound);
        assert_true(n > 4);
        if (n - 4 != strlen(golden[i].json) || memcmp(out + 4, golden[i].json, n - 4))
            fail_msg("%s:\n%.*s\nis given,\n%s\nis golden", golden[i].name, (int)n - 4, out + 4, golden[i].json);
        for (size_t cut = 0; cut < n; cut += n / 13 + 1)
            assert_int_equal(hs_json_encode(&kernels, m, &msg, out, cut), 0);
        free(out);
    }
}

static void json_becomes_binary(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_golden; i++) {
        struct hb_arena arena;
        union hs_any msg;
        const struct hs_message *m;
        hearth_error err;
        uint8_t out[4096];
        hb_arena_init_growing(&arena, hb_os_heap());
        if (hs_json_decode((const uint8_t *)golden[i].json, strlen(golden[i].json), &arena, &m, &msg, &err))
            fail_msg("%s: %s", golden[i].name, err.text);
        assert_string_equal(m->name, golden[i].name);
        assert_int_equal(hs_binary_encode(&kernels, m, &msg, out, sizeof out), golden[i].len);
        assert_memory_equal(out, golden[i].frame, golden[i].len);
        hb_arena_release(&arena);
    }
}

static void values_arrive(void **state)
{
    (void)state;
    const uint32_t ids[5] = {1, 128, 70000, 4294967295u, 0};
    const struct hs_bytes stop[2] = {{"\n\n", 2}, {"", 0}};
    struct hs_generate sent = {0}, got;
    uint8_t out[256];
    uint32_t values[5];
    size_t n, at = 0;
    struct hs_bytes text;
    HS_SET(&sent, generate, id, 7);
    HS_SET(&sent, generate, prompt_tokens, (struct hs_tokens){.values = ids, .n = 5});
    HS_SET(&sent, generate, temperature, 0.25f);
    HS_SET(&sent, generate, stop, (struct hs_list){.items = stop, .n = 2});
    n = hs_binary_encode(&kernels, &hs_messages[HS_M_generate], &sent, out, sizeof out);
    assert_true(n > 5);
    assert_int_equal(hs_binary_decode(&hs_messages[HS_M_generate], out + 5, n - 5, &got, NULL), HEARTH_OK);
    assert_int_equal(got.id, 7);
    assert_true(got.temperature == 0.25f);
    assert_false(HS_HAS(&got, generate, prompt));
    assert_int_equal(got.prompt_tokens.n, 5);
    assert_int_equal(hs_tokens_read(&kernels, &got.prompt_tokens, values, 4, &n, NULL), HEARTH_E_FULL);
    assert_int_equal(hs_tokens_read(&kernels, &got.prompt_tokens, values, 5, &n, NULL), HEARTH_OK);
    assert_memory_equal(values, ids, sizeof ids);
    assert_int_equal(got.stop.n, 2);
    assert_true(hs_text_next(&got.stop, &at, &text) && text.len == 2 && text.at[0] == '\n');
    assert_true(hs_text_next(&got.stop, &at, &text) && text.len == 0);
    assert_false(hs_text_next(&got.stop, &at, &text));
    assert_true((const uint8_t *)got.prompt_tokens.coded > out &&
                (const uint8_t *)got.prompt_tokens.coded < out + sizeof out); /* a slice */
}

static void cut_frames_are_refused_or_canonical(void **state)
{
    (void)state;
    size_t refused = 0, taken = 0;
    for (size_t i = 0; i < n_golden; i++) {
        const struct hs_message *m = hs_message_by_number(golden[i].frame[4]);
        for (size_t len = 0; len < golden[i].len - 5; len++) {
            uint8_t *body = malloc(len + 1), out[8192]; /* a copy, so that reads past the end are seen */
            union hs_any msg;
            memcpy(body, golden[i].frame + 5, len);
            if (hs_binary_decode(m, body, len, &msg, NULL) == HEARTH_OK) {
                assert_int_equal(hs_binary_encode(&kernels, m, &msg, out, sizeof out), len + 5);
                assert_memory_equal(out + 5, body, len);
                taken++;
            } else {
                refused++;
            }
            free(body);
        }
    }
    print_message("%zu refused, %zu whole messages\n", refused, taken);
    assert_true(refused > 10 * taken);
}

/* What is taken after a bit has changed must be canonical: it encodes to the bytes it came from. Parts are looked
 * at too: the JSON form walks them. */
static void changed_bits_are_refused_or_canonical(void **state)
{
    (void)state;
    size_t refused = 0, taken = 0;
    static uint8_t out[1 << 16];
    for (size_t i = 0; i < n_golden; i++)
        for (size_t bit = 0; bit < 8 * (golden[i].len - 5); bit++) {
            const struct hs_message *m = hs_message_by_number(golden[i].frame[4]);
            size_t len = golden[i].len - 5;
            uint8_t *body = malloc(len + 1);
            union hs_any msg;
            memcpy(body, golden[i].frame + 5, len);
            body[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (hs_binary_decode(m, body, len, &msg, NULL) == HEARTH_OK) {
                assert_int_equal(hs_binary_encode(&kernels, m, &msg, out, sizeof out), len + 5);
                assert_memory_equal(out + 5, body, len);
                assert_true(hs_json_encode(&kernels, m, &msg, out, sizeof out) > 0);
                taken++;
            } else {
                refused++;
            }
            free(body);
        }
    print_message("%zu refused, %zu other messages\n", refused, taken);
    assert_true(refused > 1000 && taken > 1000);
}

static void hostile_binary_messages_are_refused(void **state)
{
    static const struct {
        const char *what, *bytes;
        size_t len;
        const char *sentence;
    } cases[] = {
        {"nothing", "", 0, "field id is missing"},
        {"field 0", "\x00\x01", 2, "tag of a known field"},
        {"unknown field 31", "\x08\x01\xF8\x01", 4, "tag of a known field"},
        {"overlong tag", "\x88\x00\x01", 3, "tag of a known field"},
        {"tag of 64 bits", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 10, "tag of a known field"},
        {"cut tag", "\x08\x01\x88", 3, "tag of a known field"},
        {"other wire type", "\x0D\x01\x00\x00\x00", 5, "tag of a known field"},
        {"group", "\x0B", 1, "tag of a known field"},
        {"twice", "\x08\x01\x08\x01", 4, "tag of a known field"},
        {"descending", "\x1A\x01 \x08\x01", 5, "tag of a known field"},
        {"overlong varint", "\x08\x81\x00", 3, "field id is cut or not canonical"},
        {"11 bytes of varint", "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 12, "not canonical"},
        {"above 64 bits", "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 11, "not canonical"},
        {"cut varint", "\x08\x80", 2, "field id is cut"},
        {"length past the end", "\x08\x01\x1A\x02 ", 5, "field prompt is cut"},
        {"length 2^64 - 1", "\x08\x01\x1A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 13, "field prompt is cut"},
        {"cut float", "\x08\x01\x35\x00\x00\x00", 6, "field temperature is cut"},
    };
    (void)state;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        union hs_any msg;
        hearth_error err;
        uint8_t *body = malloc(cases[i].len + 1);
        memcpy(body, cases[i].bytes, cases[i].len);
        if (hs_binary_decode(&hs_messages[HS_M_generate], body, cases[i].len, &msg, &err) != HEARTH_E_FORMAT ||
            !strstr(err.text, cases[i].sentence))
            fail_msg("%s: %s", cases[i].what, err.text);
        free(body);
    }
}

static void wrong_tokens_are_refused_when_read(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {{"\x81\x00", 2}, {"\x01\x80", 2}, {"\xFF\xFF\xFF\xFF\x1F", 5}, {"\xFF\xFF\xFF\xFF\xFF\x01", 6}};
    (void)state;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        struct hs_tokens t = {NULL, 0, (const uint8_t *)cases[i].bytes, cases[i].len};
        uint32_t values[8];
        size_t n;
        hearth_error err;
        assert_int_equal(hs_tokens_read(&kernels, &t, values, 8, &n, &err), HEARTH_E_FORMAT);
        assert_non_null(strstr(err.text, "no canonical varint"));
    }
}

static void long_lists_are_refused(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        size_t n = HS_MAX_ITEMS + extra;
        uint8_t *body = malloc(2 + 2 * n);
        union hs_any msg;
        memcpy(body, "\x08\x01", 2);
        for (size_t i = 0; i < n; i++)
            memcpy(body + 2 + 2 * i, "\x1A\x00", 2);
        assert_int_equal(hs_binary_decode(&hs_messages[HS_M_embed], body, 2 + 2 * n, &msg, NULL),
                         extra ? HEARTH_E_LIMIT : HEARTH_OK);
        free(body);
    }
}

/* hardening J-03 and what else JSON can be. */
static void hostile_json_is_refused(void **state)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"", "JSON"},
        {"null", "JSON"},
        {"[]", "type \"\" is unknown"},
        {"{}", "type \"\" is unknown"},
        {"{\"type\":1}", "type \"\" is unknown"},
        {"{\"type\":\"turn\"}", "type \"turn\" is unknown"},
        {"{\"type\":\"generate\"}", "field id is missing"},
        {"{\"type\":\"generate\",\"id\":1,\"idd\":2}", "no field \"idd\""},
        {"{\"type\":\"generate\",\"id\":1,\"id\":2}", "JSON"},
        {"{\"type\":\"generate\",\"id\":-1}", "whole number"},
        {"{\"type\":\"generate\",\"id\":1.5}", "whole number"},
        {"{\"type\":\"generate\",\"id\":\"18446744073709551616\"}", "whole number"},
        {"{\"type\":\"generate\",\"id\":\"1x\"}", "whole number"},
        {"{\"type\":\"generate\",\"id\":\"\"}", "whole number"},
        {"{\"type\":\"generate\",\"id\":null}", "whole number"},
        {"{\"type\":\"generate\",\"id\":1,\"temperature\":1e999}", "JSON"},
        {"{\"type\":\"generate\",\"id\":1,\"temperature\":1e300}", "fits 32-bit floats"},
        {"{\"type\":\"generate\",\"id\":1,\"temperature\":\"1\"}", "fits 32-bit floats"},
        {"{\"type\":\"generate\",\"id\":1,\"prompt\":7}", "text is required"},
        {"{\"type\":\"generate\",\"id\":1,\"prompt\":\"\\ud800\"}", "JSON"},
        {"{\"type\":\"generate\",\"id\":1,\"prompt\":\"", "JSON"},
        {"{\"type\":\"generate\",\"id\":1} x", "JSON"},
        {"{\"type\":\"generate\",\"id\":1,\"prompt_tokens\":[4294967296]}", "4294967295"},
        {"{\"type\":\"generate\",\"id\":1,\"prompt_tokens\":{}}", "an array"},
        {"{\"type\":\"chat\",\"id\":1,\"turns\":[]}", "field turns is missing"},
        {"{\"type\":\"chat\",\"id\":1,\"turns\":[{\"role\":\"user\"}]}", "message turn: field content is missing"},
        {"{\"type\":\"chat\",\"id\":1,\"turns\":[1]}", "message turn: an object"},
    };
    (void)state;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        struct hb_arena arena;
        union hs_any msg;
        const struct hs_message *m;
        hearth_error err;
        hb_arena_init_growing(&arena, hb_os_heap());
        hearth_status status =
            hs_json_decode((const uint8_t *)cases[i].text, strlen(cases[i].text), &arena, &m, &msg, &err);
        if (status == HEARTH_OK || !strstr(err.text, cases[i].sentence))
            fail_msg("%s: %s", cases[i].text, status == HEARTH_OK ? "taken" : err.text);
        hb_arena_release(&arena);
    }
}

static void deep_json_is_refused_and_deep_text_is_not(void **state)
{
    (void)state;
    static char text[20100];
    for (int quoted = 0; quoted < 2; quoted++) {
        struct hb_arena arena;
        union hs_any msg;
        const struct hs_message *m;
        hearth_error err;
        size_t n = (size_t)sprintf(text, "{\"type\":\"generate\",\"id\":1,\"prompt\":%s", quoted ? "\"\\\"" : "");
        memset(text + n, '[', 10000);
        n += 10000;
        n += (size_t)sprintf(text + n, "%s", quoted ? "\"}" : "");
        hb_arena_init_growing(&arena, hb_os_heap());
        assert_int_equal(hs_json_decode((const uint8_t *)text, n, &arena, &m, &msg, &err),
                         quoted ? HEARTH_OK : HEARTH_E_LIMIT);
        hb_arena_release(&arena);
    }
}

static void text_that_is_not_utf8_is_marked_in_json(void **state)
{
    (void)state;
    struct hs_chunk c = {0};
    uint8_t out[256];
    HS_SET(&c, chunk, id, 1);
    HS_SET(&c, chunk, index, 0);
    HS_SET(&c, chunk, tokens, (struct hs_tokens){.n = 0});
    HS_SET(&c, chunk, text, (struct hs_bytes){"a\xFF\xE7\x81" "b\0", 6});
    size_t n = hs_json_encode(&kernels, &hs_messages[HS_M_chunk], &c, out, sizeof out);
    static const char want[] = "{\"type\":\"chunk\",\"id\":1,\"index\":0,\"tokens\":[],"
                               "\"text\":\"a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" "b\\u0000\"}";
    assert_int_equal(n - 4, sizeof want - 1);
    assert_memory_equal(out + 4, want, sizeof want - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_decodes_and_encodes_to_the_same_bytes),
        cmocka_unit_test(binary_becomes_json),
        cmocka_unit_test(json_becomes_binary),
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(cut_frames_are_refused_or_canonical),
        cmocka_unit_test(changed_bits_are_refused_or_canonical),
        cmocka_unit_test(hostile_binary_messages_are_refused),
        cmocka_unit_test(wrong_tokens_are_refused_when_read),
        cmocka_unit_test(long_lists_are_refused),
        cmocka_unit_test(hostile_json_is_refused),
        cmocka_unit_test(deep_json_is_refused_and_deep_text_is_not),
        cmocka_unit_test(text_that_is_not_utf8_is_marked_in_json),
    };
    return cmocka_run_group_tests(tests, golden_read, golden_free);
}
