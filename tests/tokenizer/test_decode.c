/* Decoding: round trips, whole characters, ids that are not there. */
#include "tokenizer/small_vocabs.h"

/* Decode all ids as a stream; every push must leave whole characters if the text is UTF-8. */
static size_t decode(const struct hv_tokenizer *tok, const int32_t *ids, size_t n, uint32_t flags,
                     char *out, size_t capacity)
{
    struct hv_stream stream = {0};
    size_t total = 0, len;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(hv_stream_push(tok, &stream, ids[i], flags, out + total, capacity - total,
                                        &len, NULL), HEARTH_OK);
        total += len;
    }
    return total + hv_stream_flush(&stream, flags, out + total);
}

static void random_bytes_come_back_from_bpe(void **state)
{
    struct small s;
    uint64_t seed = 1;
    small_bpe(&s);
    for (int round = 0; round < 2000; round++) {
        char text[80], back[200];
        size_t len = test_rand(&seed) % sizeof text, n;
        for (size_t i = 0; i < len; i++)
            text[i] = (char)(test_rand(&seed) >> 24);
        int32_t *ids = vocab_encode(s.tok, text, len, 0, &n);
        assert_int_equal(decode(s.tok, ids, n, 0, back, sizeof back), len);
        assert_memory_equal(text, back, len);
        free(ids);
    }
    small_end(&s);
}

static void text_comes_back_from_spm(void **state)
{
    static const char *const units[] = {"a", "b", " ", "ab", "  ", "\xC3\xA9", "\n", "x",
                                        "\xF0\x9F\x98\x80"};
    struct small s;
    uint64_t seed = 2;
    small_spm(&s);
    for (int round = 0; round < 2000; round++) {
        char text[400] = "", back[400];
        size_t n, count = 1 + test_rand(&seed) % 60;
        for (size_t i = 0; i < count; i++)
            strcat(text, units[test_rand(&seed) % (sizeof units / sizeof *units)]);
        int32_t *ids = vocab_encode(s.tok, text, strlen(text), HV_ADD_SPECIAL, &n);
        size_t len = decode(s.tok, ids, n, HV_TEXT_START, back, sizeof back);
        assert_int_equal(len, strlen(text));
        assert_memory_equal(text, back, len);
        free(ids);
    }
    small_end(&s);
}

static void characters_are_never_halved(void **state)
{
    struct small s;
    char out[16];
    size_t len;
    static const int32_t smile[] = {0xF0, 0x9F, 0x98, 0x80};
    struct hv_stream stream = {0};
    small_bpe(&s);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(hv_stream_push(s.tok, &stream, smile[i], 0, out, 16, &len, NULL),
                         HEARTH_OK);
        assert_int_equal(len, i == 3 ? 4 : 0);
    }
    assert_memory_equal(out, "\xF0\x9F\x98\x80", 4);
    assert_int_equal(hv_stream_flush(&stream, 0, out), 0);
    small_end(&s);
}

static void broken_characters_pass_or_are_replaced(void **state)
{
    static const struct {
        int32_t bytes[6];
        const char *raw, *replaced;
    } rows[] = {
        {{'a', 0xFF, 'b', -1}, "a\xFF" "b", "a\xEF\xBF\xBD" "b"},
        {{0xE4, 0xB8, 'x', -1}, "\xE4\xB8x", "\xEF\xBF\xBD\xEF\xBF\xBDx"},
        {{0xED, 0xA0, 0x80, -1}, "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {{0xC0, 0x80, -1}, "\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {{0xF0, 0x9F, 0x98, -1}, "\xF0\x9F\x98", "\xEF\xBF\xBD"}, /* the end cuts it short */
        {{0xF4, 0x90, -1}, "\xF4\x90", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {{0xC3, 0xC3, 0xA9, -1}, "\xC3\xC3\xA9", "\xEF\xBF\xBD\xC3\xA9"},
    };
    struct small s;
    small_bpe(&s);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        char out[64];
        size_t n = 0;
        while (rows[r].bytes[n] >= 0)
            n++;
        size_t len = decode(s.tok, rows[r].bytes, n, 0, out, sizeof out);
        assert_int_equal(len, strlen(rows[r].raw));
        assert_memory_equal(out, rows[r].raw, len);
        len = decode(s.tok, rows[r].bytes, n, HV_REPLACE, out, sizeof out);
        assert_int_equal(len, strlen(rows[r].replaced));
        assert_memory_equal(out, rows[r].replaced, len);
    }
    small_end(&s);
}

static void ids_that_are_not_there_are_refused(void **state)
{
    static const int32_t bad[] = {-1, INT32_MIN, INT32_MAX, BPE_USER_X + 1};
    struct small s;
    const char *bytes;
    char out[8];
    size_t len;
    hearth_error err;
    struct hv_stream stream = {0};
    small_bpe(&s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(hv_piece(s.tok, bad[i], 0, &bytes, &len, &err), HEARTH_E_RANGE);
        assert_int_equal(hv_stream_push(s.tok, &stream, bad[i], 0, out, 8, &len, &err),
                         HEARTH_E_RANGE);
    }
    assert_non_null(strstr(err.text, "ids are 0 to"));
    small_end(&s);
}

static void special_tokens_are_rendered_on_request(void **state)
{
    struct small s;
    const char *bytes;
    size_t len;
    small_bpe(&s);
    assert_int_equal(hv_piece(s.tok, BPE_END, 0, &bytes, &len, NULL), HEARTH_OK);
    assert_int_equal(len, 0);
    assert_int_equal(hv_piece(s.tok, BPE_END, HV_RENDER_SPECIAL, &bytes, &len, NULL), HEARTH_OK);
    assert_int_equal(len, 7);
    assert_memory_equal(bytes, "<|end|>", 7);
    assert_int_equal(hv_piece(s.tok, BPE_USER, 0, &bytes, &len, NULL), HEARTH_OK);
    assert_int_equal(len, 8);
    small_end(&s);
}

static void a_full_buffer_leaves_the_stream(void **state)
{
    struct small s;
    struct hv_stream stream = {0};
    char out[8];
    size_t len = 0;
    small_bpe(&s);
    assert_int_equal(hv_stream_push(s.tok, &stream, BPE_ABC, 0, out, 2, &len, NULL), HEARTH_E_FULL);
    assert_int_equal(stream.started, 0);
    assert_int_equal(hv_stream_push(s.tok, &stream, BPE_ABC, 0, out, 3, &len, NULL), HEARTH_OK);
    assert_int_equal(len, 3);
    small_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytes_come_back_from_bpe),
        cmocka_unit_test(text_comes_back_from_spm),
        cmocka_unit_test(characters_are_never_halved),
        cmocka_unit_test(broken_characters_pass_or_are_replaced),
        cmocka_unit_test(ids_that_are_not_there_are_refused),
        cmocka_unit_test(special_tokens_are_rendered_on_request),
        cmocka_unit_test(a_full_buffer_leaves_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
