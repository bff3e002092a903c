/* WordPiece: cleaning, cutting, the length limit. */
#include "tokenizer/small_vocabs.h"
#include "tokenizer/hv_normalize.h"

enum { WPM_UNK, WPM_CLS, WPM_SEP, WPM_A, WPM_CONT_A, WPM_CONT_AA, WPM_EXCL, WPM_HAN, WPM_E };

static void wpm_make(struct small *s, enum hv_wpm_style style)
{
    bool marks = style == HV_WPM_CONTINUATION;
    small_begin(s, HV_WPM);
    s->config.wpm_style = style;
    s->config.unk = WPM_UNK;
    s->config.cls = WPM_CLS;
    s->config.sep = WPM_SEP;
    s->config.pad = s->config.mask = -1;
    small_add(s, "[UNK]", HV_TYPE_CONTROL, 0);
    small_add(s, "[CLS]", HV_TYPE_CONTROL, 0);
    small_add(s, "[SEP]", HV_TYPE_CONTROL, 0);
    small_add(s, marks ? "a" : "\xE2\x96\x81" "a", HV_TYPE_NORMAL, 0);
    small_add(s, marks ? "##a" : "a", HV_TYPE_NORMAL, 0);
    small_add(s, marks ? "##aa" : "aa", HV_TYPE_NORMAL, 0);
    small_add(s, marks ? "!" : "\xE2\x96\x81!", HV_TYPE_NORMAL, 0);
    small_add(s, marks ? "\xE4\xB8\xAD" : "\xE2\x96\x81\xE4\xB8\xAD", HV_TYPE_NORMAL, 0);
    small_add(s, marks ? "e" : "\xE2\x96\x81" "e", HV_TYPE_NORMAL, 0);
    if (!hv_normalize_available()) {
        assert_int_equal(small_create(s, &s->arena), HEARTH_E_UNSUPPORTED);
        assert_non_null(strstr(s->err.text, "WordPiece"));
        small_end(s);
        skip();
    }
    assert_int_equal(small_create(s, &s->arena), HEARTH_OK);
}

static void pieces_are_longest_first(void **state)
{
    for (int style = HV_WPM_WORD_START; style <= HV_WPM_CONTINUATION; style++) {
        struct small s;
        wpm_make(&s, (enum hv_wpm_style)style);
        EXPECT(s.tok, "a aa aaa aaaa", 0, WPM_A, WPM_A, WPM_CONT_A, WPM_A, WPM_CONT_AA, WPM_A,
               WPM_CONT_AA, WPM_CONT_A);
        EXPECT(s.tok, "A!a\xE4\xB8\xAD" "a", 0, WPM_A, WPM_EXCL, WPM_A, WPM_HAN, WPM_A);
        EXPECT(s.tok, "\xC3\xA9 e\xCC\x81 \xC3\x89", 0, WPM_E, WPM_E, WPM_E);
        EXPECT(s.tok, "ab a", 0, WPM_UNK, WPM_A);
        EXPECT(s.tok, "a\x01\xEF\xBF\xBD\xFF\xC2\xAD" "a", 0, WPM_A, WPM_CONT_A);
        EXPECT(s.tok, "a\xC2\xA0" "a", HV_ADD_SPECIAL, WPM_CLS, WPM_A, WPM_A, WPM_SEP);
        EXPECT(s.tok, "[CLS]", 0, WPM_UNK, WPM_UNK, WPM_UNK);
        EXPECT(s.tok, "[CLS]a", HV_PARSE_SPECIAL, WPM_CLS, WPM_A);
        EXPECT(s.tok, "a\xE2\x96\x81" "a", 0, WPM_UNK);
        EXPECT(s.tok, " \n", 0, -1);
        small_end(&s);
    }
}

static void longer_words_than_the_limit_are_unknown(void **state)
{
    struct small s;
    size_t n;
    wpm_make(&s, HV_WPM_CONTINUATION);
    char *text = malloc(1000000);
    memset(text, 'a', 1000000);
    static const size_t lengths[] = {99, 100, 101, 1000000};
    for (size_t i = 0; i < 4; i++) {
        int32_t *ids = vocab_encode(s.tok, text, lengths[i], 0, &n);
        assert_int_equal(ids[0], lengths[i] <= HV_MAX_WORD_CHARS ? WPM_A : WPM_UNK);
        assert_int_equal(n, lengths[i] <= HV_MAX_WORD_CHARS ? 1 + lengths[i] / 2 : 1);
        free(ids);
    }
    free(text);
    small_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_longest_first),
        cmocka_unit_test(longer_words_than_the_limit_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
