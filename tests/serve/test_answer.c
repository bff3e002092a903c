/* The way of an answer: blocked words replaced or ending it, and its length in characters, over any cut. */
#include "test_support.h"
#include "base/os/hb_os.h"
#include "serve/hs_answer.h"

static struct hb_arena arena;
static char got[4096];
static size_t got_len;

static struct hs_filter *filter(void)
{
    static const struct hs_word words[] = {{"bomb", 4}, {"stra\xC3\x9F" "e", 7}};
    struct hs_filter *f;
    hearth_error err;
    hearth_status status = hs_filter_create(words, 2, "[-]", 3, &arena, &f, &err);
    if (status == HEARTH_E_UNSUPPORTED)
        skip();
    assert_int_equal(status, HEARTH_OK);
    return f;
}

/* A text in pieces of `cut` bytes, the last one empty. */
static enum hs_answer_end run(const struct hs_filter *f, bool stop, uint64_t max, const char *text, size_t cut)
{
    struct hs_answer a;
    struct hs_bytes out;
    enum hs_answer_end end = HS_ANSWER_GOES_ON;
    const size_t len = strlen(text);
    assert_int_equal(hs_answer_open(&a, f, stop, max, &arena, NULL), HEARTH_OK);
    got_len = 0;
    for (size_t i = 0; i <= len; i += cut) {
        size_t n = len - i < cut ? len - i : cut;
        end = hs_answer_text(&a, text + i, n, i + cut > len, &out);
        assert_true(got_len + out.len < sizeof got);
        if (out.len)
            memcpy(got + got_len, out.at, out.len);
        got_len += out.len;
    }
    got[got_len] = 0;
    return end;
}

static void words_are_replaced_or_end_the_text(void **state)
{
    (void)state;
    hb_arena_init_growing(&arena, hb_os_heap());
    const struct hs_filter *f = filter();
    for (size_t cut = 1; cut < 40; cut++) {
        assert_int_equal(run(f, false, 1000, "a BOMB in the STRASSE, no bom", cut), HS_ANSWER_GOES_ON);
        assert_string_equal(got, "a [-] in the [-], no bom");
        assert_int_equal(run(f, true, 1000, "a BOMB in the STRASSE, no bom", cut), HS_ANSWER_BLOCKED);
        assert_string_equal(got, "a ");
        assert_int_equal(run(f, true, 1000, "nothing here: bom", cut), HS_ANSWER_GOES_ON);
        assert_string_equal(got, "nothing here: bom");
        assert_int_equal(run(f, true, 1000, "bomb", cut), HS_ANSWER_BLOCKED);
        assert_string_equal(got, "");
    }
    hb_arena_release(&arena);
}

static void length_counts_characters_and_cuts_none(void **state)
{
    static const char text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z"; /* 1, 2, 3, 4, 1 bytes */
    static const size_t ends[] = {0, 1, 3, 6, 10, 11};
    (void)state;
    hb_arena_init_growing(&arena, hb_os_heap());
    for (size_t max = 0; max <= 6; max++) {
        assert_int_equal(run(NULL, false, max, text, 100), max < 5 ? HS_ANSWER_FULL : HS_ANSWER_GOES_ON);
        assert_int_equal(got_len, ends[max < 5 ? max : 5]);
        assert_memory_equal(got, text, got_len);
    }
    const struct hs_filter *f = filter(); /* replacements count as they come out */
    for (size_t cut = 1; cut < 8; cut++)
        for (size_t max = 0; max <= 7; max++) {
            assert_int_equal(run(f, false, max, "\xC3\xA9 bomb", cut) == HS_ANSWER_FULL, max < 5);
            assert_int_equal(got_len, max == 0 ? 0 : (max < 5 ? max : 5) + 1);
        }
    hb_arena_release(&arena);
}

static void without_a_filter_nothing_is_copied(void **state)
{
    struct hs_answer a;
    struct hs_bytes out;
    (void)state;
    hb_arena_init_fixed(&arena, NULL, 0); /* no memory at all */
    assert_int_equal(hs_answer_open(&a, NULL, false, 100, &arena, NULL), HEARTH_OK);
    const char *text = "text";
    assert_int_equal(hs_answer_text(&a, text, 4, false, &out), HS_ANSWER_GOES_ON);
    assert_ptr_equal(out.at, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_replaced_or_end_the_text),
        cmocka_unit_test(length_counts_characters_and_cuts_none),
        cmocka_unit_test(without_a_filter_nothing_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
