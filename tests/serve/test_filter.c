/* The content filter: hardening T-10, and the promise that nothing blocked comes out, over random texts in any cut. */
#include "test_support.h"
#include "base/os/hb_os.h"
#include "serve/hs_filter.h"
#include <utf8proc.h>

#define OUT_MAX 65536

struct sink {
    char text[OUT_MAX];
    size_t len;
};

static void sink_put(void *user, const char *text, size_t len)
{
    struct sink *s = user;
    assert_true(len <= OUT_MAX - s->len);
    memcpy(s->text + s->len, text, len);
    s->len += len;
}

static struct hb_arena arena;
static struct sink sink;

static struct hs_filter *filter_make(const char *const *words, size_t n, const char *replacement)
{
    struct hs_word w[32];
    struct hs_filter *f;
    hearth_error err;
    for (size_t i = 0; i < n; i++)
        w[i] = (struct hs_word){words[i], strlen(words[i])};
    hb_arena_init_growing(&arena, hb_os_heap());
    if (hs_filter_create(w, n, replacement, strlen(replacement), &arena, &f, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    return f;
}

/* The text in pieces of `cut` bytes. */
static uint64_t filter_run(const struct hs_filter *f, const char *text, size_t len, size_t cut)
{
    struct hs_filter_stream *s;
    assert_int_equal(hs_filter_open(f, &arena, &s, NULL), HEARTH_OK);
    sink.len = 0;
    for (size_t i = 0; i < len; i += cut)
        hs_filter_push(s, text + i, len - i < cut ? len - i : cut, sink_put, &sink);
    hs_filter_end(s, sink_put, &sink);
    return hs_filter_matches(s);
}

static const char *const words[] = {"bomb", "Straße", "\u00C9clair", "ΌΣΟΣ", "abcabd", "bca", "İx", "한글", "a z"};

static void blocked_words_are_replaced_in_any_form_and_cut(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"nothing here", "nothing here"},
        {"a bomb!", "a [-]!"},
        {"BOMB bOmB", "[-] [-]"},
        {"bombomb", "[-]omb"},
        {"bobomb", "bo[-]"},
        {"die STRASSE, straße, stras\xC5\xBF" "e", "die [-], [-], [-]"},
        {"\u00E9CLAIR e\u0301clair E\u0301clair eclair", "[-] [-] [-] eclair"},
        {"όσος ΌΣΟΣ όσοσ ο\u0301σος", "[-] [-] [-] [-]"},
        {"abcabcabd", "a[-][-]bd"},     /* bca ends first, twice */
        {"abcabd", "a[-]bd"},
        {"i\u0307x İX", "[-] [-]"},
        {"\u1112\u1161\u11AB\u1100\u1173\u11AF", "[-]"}, /* jamo */
        {"한\u1100\u1173\u11AF", "[-]"},
        {"bo\u0301mb", "bo\u0301mb"},   /* another letter */
        {"b\u043Emb", "b\u043Emb"},     /* Cyrillic o: another letter */
        {"bom\xFF" "b bomb\xE2\x82", "bom\xFF" "b [-]\xE2\x82"},
        {"bom\xC0\x80" "b", "bom\xC0\x80" "b"},
        {"bomb\u0301", "[-]"},          /* no letter of its own: b, and an accent */
        {"a bombomba z", "a [-]omb[-]"},
    };
    (void)state;
    struct hs_filter *f = filter_make(words, HB_COUNT(words), "[-]");
    for (size_t i = 0; i < HB_COUNT(cases); i++)
        for (size_t cut = 1; cut <= 7; cut++) {
            filter_run(f, cases[i].in, strlen(cases[i].in), cut);
            if (sink.len != strlen(cases[i].out) || memcmp(sink.text, cases[i].out, sink.len))
                fail_msg("\"%s\" in pieces of %zu gives \"%.*s\"; \"%s\" is right", cases[i].in, cut, (int)sink.len,
                         sink.text, cases[i].out);
        }
    hb_arena_release(&arena);
}

static void longer_words_win_where_they_end_together(void **state)
{
    static const char *const nested[] = {"art", "smart", "smarter"};
    (void)state;
    struct hs_filter *f = filter_make(nested, 3, "***");
    filter_run(f, "smart art smarter", 17, 3);
    sink.text[sink.len] = 0;
    assert_string_equal(sink.text, "*** *** ***er");
    hb_arena_release(&arena);
}

static void text_goes_out_as_soon_as_it_is_sure(void **state)
{
    (void)state;
    struct hs_filter *f = filter_make(words, 1, "[-]");
    struct hs_filter_stream *s;
    assert_int_equal(hs_filter_open(f, &arena, &s, NULL), HEARTH_OK);
    sink.len = 0;
    hs_filter_push(s, "hello bo", 8, sink_put, &sink);
    assert_int_equal(sink.len, 6); /* "bo" may become a word */
    hs_filter_push(s, "ok", 2, sink_put, &sink);
    assert_int_equal(sink.len, 9); /* "k" may still get an accent */
    hs_filter_end(s, sink_put, &sink);
    assert_int_equal(sink.len, 10);
    hb_arena_release(&arena);
}

/* ---- the promise ---- */

static size_t normal_form(const char *text, size_t len, char *out) /* of text that is UTF-8 */
{
    utf8proc_uint8_t *p;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &p,
                                      (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD));
    assert_true(n >= 0);
    memcpy(out, p, (size_t)n);
    free(p);
    return (size_t)n;
}

static bool holds(const char *text, size_t len, const char *word, size_t word_len)
{
    for (size_t i = 0; i + word_len <= len; i++)
        if (memcmp(text + i, word, word_len) == 0)
            return true;
    return false;
}

static bool holds_a_word(const char *text, size_t len)
{
    static char normal[4 * OUT_MAX], word[256];
    size_t n = normal_form(text, len, normal);
    for (size_t i = 0; i < HB_COUNT(words); i++)
        if (holds(normal, n, word, normal_form(words[i], strlen(words[i]), word)))
            return true;
    return false;
}

static void no_word_survives_and_nothing_else_is_lost(void **state)
{
    static const char *const bits[] = {
        "b", "o", "m", "B", "O", "M", "bo", "mb", "s", "S", "ß", "\xC5\xBF", "tra", "STRA", "e", "E", "\u0301", "\u00E9",
        "clair", "CLAIR", "ό", "Ο\u0301", "σ", "ς", "Σ", "ο", "Ο", "a", "c", "d", "abc", "abd", "bca", "i", "\u0307", "İ",
        "x", "\u1112", "\u1161", "\u11AB", "\u1100", "\u1173", "\u11AF", "한", "글", " ", "\n", "\u200D", "🔥", "🇩🇪",
        "\u0345", "\u0323"};
    (void)state;
    struct hs_filter *f = filter_make(words, HB_COUNT(words), "[-]");
    uint64_t seed = 5, matched = 0, clean = 0;
    for (int round = 0; round < 20000; round++) {
        char text[512];
        static char whole[OUT_MAX];
        size_t len = 0, n = 1 + test_rand(&seed) % 24, whole_len;
        for (size_t i = 0; i < n; i++) {
            const char *bit = bits[test_rand(&seed) % HB_COUNT(bits)];
            memcpy(text + len, bit, strlen(bit));
            len += strlen(bit);
        }
        uint64_t matches = filter_run(f, text, len, len);
        whole_len = sink.len;
        memcpy(whole, sink.text, whole_len);
        bool has = holds_a_word(text, len);
        if (has != (matches > 0))
            fail_msg("\"%.*s\": %d matches", (int)len, text, (int)matches);
        if (!has && (whole_len != len || memcmp(whole, text, len)))
            fail_msg("\"%.*s\" was changed", (int)len, text);
        if (holds_a_word(whole, whole_len))
            fail_msg("\"%.*s\" came out of \"%.*s\"", (int)whole_len, whole, (int)len, text);
        filter_run(f, text, len, 1 + test_rand(&seed) % 5);
        assert_int_equal(sink.len, whole_len);
        assert_memory_equal(sink.text, whole, whole_len);
        matched += has;
        clean += !has;
    }
    print_message("%d texts with words, %d without\n", (int)matched, (int)clean);
    assert_true(matched > 1000 && clean > 1000);
    hb_arena_release(&arena);
}

static void random_bytes_pass_in_any_cut(void **state)
{
    (void)state;
    struct hs_filter *f = filter_make(words, HB_COUNT(words), "[-]");
    uint64_t seed = 9;
    for (int round = 0; round < 2000; round++) {
        char text[64];
        static char whole[256];
        size_t len = test_rand(&seed) % sizeof text, whole_len;
        for (size_t i = 0; i < len; i++)
            text[i] = test_rand(&seed) % 4 ? (char)test_rand(&seed) : "\xE2\xF0\xC3\x80"[test_rand(&seed) % 4];
        uint64_t matches = filter_run(f, text, len, sizeof text);
        whole_len = sink.len;
        memcpy(whole, sink.text, whole_len);
        if (matches == 0) {
            assert_int_equal(whole_len, len);
            assert_memory_equal(whole, text, len);
        }
        filter_run(f, text, len, 1 + test_rand(&seed) % 3);
        assert_int_equal(sink.len, whole_len);
        assert_memory_equal(sink.text, whole, whole_len);
    }
    hb_arena_release(&arena);
}

static void many_marks_and_many_words_are_bounded(void **state)
{
    (void)state;
    struct hs_filter *f = filter_make(words, HB_COUNT(words), "[-]");
    static char text[40001];
    text[0] = 'o';
    for (size_t i = 0; i < 20000; i++)
        memcpy(text + 1 + 2 * i, i % 2 ? "\u0301" : "\u0323", 2); /* to be reordered */
    filter_run(f, text, sizeof text, 4096);
    assert_int_equal(sink.len, sizeof text);
    assert_memory_equal(sink.text, text, sizeof text);
    hb_arena_release(&arena);

    size_t n = 100000;
    struct hs_word *many = malloc(n * sizeof *many);
    char *letters = malloc(n * 8);
    hb_arena_init_growing(&arena, hb_os_heap());
    for (size_t i = 0; i < n; i++) {
        sprintf(letters + 8 * i, "w%05zux", i);
        many[i] = (struct hs_word){letters + 8 * i, 7};
    }
    assert_int_equal(hs_filter_create(many, n, "[-]", 3, &arena, &f, NULL), HEARTH_OK);
    filter_run(f, "W00000X w99999x w99999", 22, 1);
    sink.text[sink.len] = 0;
    assert_string_equal(sink.text, "[-] [-] w99999");
    free(many);
    free(letters);
    hb_arena_release(&arena);
}

static void wrong_lists_are_refused_by_name(void **state)
{
    static char long_word[HS_FILTER_MAX_WORD + 2];
    memset(long_word, 'q', sizeof long_word - 1);
    const struct {
        const char *word, *replacement, *sentence;
        hearth_status status;
    } cases[] = {
        {"", "[-]", "word 1 has 0 bytes", HEARTH_E_RANGE},
        {long_word, "[-]", "word 1 has 1025 bytes", HEARTH_E_RANGE},
        {long_word + 1, "[-]", "", HEARTH_OK},
        {"\xFF", "[-]", "word 1 is not UTF-8", HEARTH_E_FORMAT},
        {"x", "", "the replacement is empty", HEARTH_E_RANGE},
        {"x", "\xFF", "the replacement is not UTF-8", HEARTH_E_FORMAT},
        {"x", "x", "begins or ends", HEARTH_E_RANGE},
        {"é", "[e\u0301", "holds a word", HEARTH_E_RANGE},
        {"é", "[\u00C9", "begins or ends", HEARTH_E_RANGE},
        {"x", "[Bad]", "holds a word", HEARTH_E_RANGE},
        {"x", "[redacted]", "", HEARTH_OK},
    };
    (void)state;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        struct hs_word w[2] = {{"bad", 3}, {cases[i].word, strlen(cases[i].word)}};
        struct hs_filter *f;
        hearth_error err;
        hb_arena_init_growing(&arena, hb_os_heap());
        hearth_status status =
            hs_filter_create(w, 2, cases[i].replacement, strlen(cases[i].replacement), &arena, &f, &err);
        if (status != cases[i].status || (status && !strstr(err.text, cases[i].sentence)))
            fail_msg("%s, %s: %s", cases[i].word, cases[i].replacement, status ? err.text : "taken");
        hb_arena_release(&arena);
    }
    struct hs_word one = {"x", 1};
    struct hs_filter *f;
    assert_int_equal(hs_filter_create(&one, HS_FILTER_MAX_WORDS + 1, "[-]", 3, &arena, &f, NULL), HEARTH_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocked_words_are_replaced_in_any_form_and_cut),
        cmocka_unit_test(longer_words_win_where_they_end_together),
        cmocka_unit_test(text_goes_out_as_soon_as_it_is_sure),
        cmocka_unit_test(no_word_survives_and_nothing_else_is_lost),
        cmocka_unit_test(random_bytes_pass_in_any_cut),
        cmocka_unit_test(many_marks_and_many_words_are_bounded),
        cmocka_unit_test(wrong_lists_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
