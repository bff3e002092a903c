/* Encoding with small vocabularies: specials, prefixes, scratch, limits. */
#include "tokenizer/small_vocabs.h"

static void merges_go_by_rank(void **state)
{
    struct small s;
    small_bpe(&s);
    EXPECT(s.tok, "abc", 0, BPE_ABC);
    EXPECT(s.tok, "aab a", 0, 'a', BPE_AB, BPE_SPACE_A);
    EXPECT(s.tok, "", 0, -1);
    small_end(&s);
}

static void control_text_is_inert_unless_asked(void **state)
{
    struct small s;
    small_bpe(&s);
    EXPECT(s.tok, "<|end|>", 0, '<', '|', 'e', 'n', 'd', '|', '>');
    EXPECT(s.tok, "ab<|end|>ab", HV_PARSE_SPECIAL, BPE_AB, BPE_END, BPE_AB);
    EXPECT(s.tok, "<|end", HV_PARSE_SPECIAL, '<', '|', 'e', 'n', 'd');
    small_end(&s);
}

static void longest_special_wins_and_user_ones_are_always_cut(void **state)
{
    struct small s;
    small_bpe(&s);
    EXPECT(s.tok, "<|user|>x", 0, BPE_USER, 'x');
    EXPECT(s.tok, "<|user|>x", HV_PARSE_SPECIAL, BPE_USER_X);
    EXPECT(s.tok, "a<|user|><|end|>", HV_PARSE_SPECIAL, 'a', BPE_USER, BPE_END);
    small_end(&s);
}

static void known_texts_end_a_generation(void **state)
{
    struct small s;
    small_bpe(&s);
    assert_true(hv_is_eog(s.tok, BPE_END));
    assert_true(hv_is_control(s.tok, BPE_END));
    assert_false(hv_is_eog(s.tok, BPE_AB));
    assert_false(hv_is_eog(s.tok, -1));
    assert_false(hv_is_eog(s.tok, INT32_MAX));
    assert_int_equal(hv_special_id(s.tok, HV_ID_EOT), BPE_END);
    assert_int_equal(hv_special_id(s.tok, HV_ID_BOS), -1);
    assert_int_equal(hv_find(s.tok, "<|user|>", 8), BPE_USER);
    assert_int_equal(hv_find(s.tok, "nothing", 7), -1);
    small_end(&s);
}

static void spm_prefix_and_byte_fallback(void **state)
{
    struct small s;
    small_spm(&s);
    EXPECT(s.tok, "ab", 0, SPM_SPACE_AB);
    EXPECT(s.tok, "ab", HV_NO_PREFIX, SPM_AB);
    EXPECT(s.tok, "a  b", 0, SPM_SPACE_A, SPM_SPACES, SPM_B);
    EXPECT(s.tok, "ab", HV_ADD_SPECIAL, 1, SPM_SPACE_AB);
    EXPECT(s.tok, "\xC3\xA9", 0, SPM_SPACE, SPM_BYTE_0 + 0xC3, SPM_BYTE_0 + 0xA9);
    EXPECT(s.tok, "\xFF", HV_NO_PREFIX, SPM_BYTE_0 + 0xFF);
    EXPECT(s.tok, "", 0, -1);
    EXPECT(s.tok, "", HV_ADD_SPECIAL, 1);
    small_end(&s);
}

static void spm_puts_a_space_after_special_tokens(void **state)
{
    struct small s;
    small_spm(&s);
    EXPECT(s.tok, "a[U]a", 0, SPM_SPACE_A, SPM_USER, SPM_SPACE_A);
    EXPECT(s.tok, "<s>a</s>", HV_PARSE_SPECIAL, 1, SPM_SPACE_A, 2);
    EXPECT(s.tok, "[U]", HV_NO_PREFIX, SPM_USER);
    small_end(&s);
}

static void spm_without_prefix_by_configuration(void **state)
{
    struct small s;
    small_spm_tokens(&s);
    s.config.add_space_prefix = 0;
    s.config.add_eos = 1;
    assert_int_equal(small_create(&s, &s.arena), HEARTH_OK);
    EXPECT(s.tok, "ab", HV_ADD_SPECIAL, 1, SPM_AB, 2);
    small_end(&s);
}

static void strip_rules_swallow_space(void **state)
{
    struct small s;
    small_spm_tokens(&s);
    s.config.strip = HV_STRIP_PHI3;
    assert_int_equal(small_create(&s, &s.arena), HEARTH_OK);
    EXPECT(s.tok, "a[U] \n a", 0, SPM_SPACE_A, SPM_USER, SPM_SPACE_A);
    EXPECT(s.tok, "<s> a", HV_PARSE_SPECIAL, 1, SPM_SPACE, SPM_SPACE_A);
    small_end(&s);

    small_bpe_tokens(&s);
    int32_t mask = small_add(&s, "<mask>", HV_TYPE_CONTROL, 0);
    s.config.strip = HV_STRIP_MASK;
    assert_int_equal(small_create(&s, &s.arena), HEARTH_OK);
    EXPECT(s.tok, "a \t<mask> b", HV_PARSE_SPECIAL, 'a', mask, ' ', 'b');
    small_end(&s);

    struct hv_text none = {"", 0}, phi = {"My Phi-3 mini", 13}, jina = {"jina-v2-de", 10};
    assert_int_equal(hv_strip_rule(phi, none, none), HV_STRIP_PHI3);
    assert_int_equal(hv_strip_rule(none, jina, none), HV_STRIP_MASK);
    assert_int_equal(hv_strip_rule(none, none, none), HV_STRIP_NONE);
}

static void capacity_is_kept_and_the_need_told(void **state)
{
    struct small s;
    int32_t ids[3] = {-7, -7, -7};
    size_t n = 99;
    hearth_error err;
    small_bpe(&s);
    assert_int_equal(hv_encode(s.tok, "xyz", 3, 0, NULL, 0, NULL, 0, &n, &err), HEARTH_OK);
    assert_int_equal(n, 3);
    assert_int_equal(hv_encode(s.tok, "xyz", 3, 0, NULL, 0, ids, 2, &n, &err), HEARTH_E_FULL);
    assert_int_equal(n, 3);
    assert_int_equal(ids[2], -7);
    assert_int_equal(hv_encode(s.tok, "xyz", 3, 0, NULL, 0, ids, 3, &n, &err), HEARTH_OK);
    assert_int_equal(ids[2], 'z');
    small_end(&s);
}

static void fill(char *text, size_t n, const char *unit)
{
    for (size_t i = 0; i < n; i++)
        text[i] = unit[i % strlen(unit)];
}

/* A word of one byte more than fits the stack goes through scratch; both give the same ids. */
static void scratch_is_stated_exactly(void **state)
{
    struct small bpe, spm;
    static char text[HV_SMALL_WORD + 2], scratch[8192];
    int32_t ids[200];
    size_t n;
    hearth_error err;
    small_bpe(&bpe);
    small_spm(&spm);
    const struct hv_tokenizer *toks[] = {bpe.tok, spm.tok};
    fill(text, sizeof text, "ab");
    for (size_t k = 0; k < 2; k++) {
        const struct hv_tokenizer *t = toks[k];
        size_t fits = k ? HV_SMALL_WORD - 1 : HV_SMALL_WORD; /* the space in front counts */
        assert_int_equal(hv_encode_scratch_for(t, text, fits, 0), 0);
        assert_int_equal(hv_encode(t, text, fits, 0, NULL, 0, ids, 200, &n, &err), HEARTH_OK);
    }
    size_t need = hv_encode_scratch_for(bpe.tok, text, HV_SMALL_WORD + 1, 0);
    assert_in_range(need, 1, hv_encode_scratch(bpe.tok, HV_SMALL_WORD + 1));
    assert_int_equal(hv_encode(bpe.tok, text, HV_SMALL_WORD + 1, 0, scratch + 1, need - 9, ids, 200,
                               &n, &err), HEARTH_E_MEMORY);
    assert_int_equal(hv_encode(bpe.tok, text, HV_SMALL_WORD + 1, 0, scratch + 1, need, ids, 200, &n,
                               &err), HEARTH_OK);
    assert_int_equal(n, HV_SMALL_WORD / 2 + 1);
    assert_int_equal(ids[0], BPE_AB);
    assert_int_equal(ids[n - 1], 'a');
    assert_int_equal(hv_encode_scratch(bpe.tok, SIZE_MAX), SIZE_MAX);
    assert_int_equal(hv_encode(bpe.tok, text, HV_MAX_TEXT + 1, 0, NULL, 0, NULL, 0, &n, &err),
                     HEARTH_E_LIMIT);
    small_end(&bpe);
    small_end(&spm);
}

/* Short words and long ones are merged by different code: a long word of short ones in a row must
 * merge the same way as a reference that scans for the best pair each time. */
static size_t naive_bpe(const char *text, size_t n, int32_t *ids)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint8_t)text[i];
    for (;;) {
        size_t best = n, rank = 3;
        for (size_t i = 0; i + 1 < n; i++) {
            size_t r = ids[i] == 'a' && ids[i + 1] == 'b'      ? 0
                       : ids[i] == BPE_AB && ids[i + 1] == 'c' ? 1
                                                               : 3;
            if (r < rank) {
                rank = r;
                best = i;
            }
        }
        if (best == n)
            return n;
        ids[best] = rank == 0 ? BPE_AB : BPE_ABC;
        memmove(ids + best + 1, ids + best + 2, (n - best - 2) * sizeof *ids);
        n--;
    }
}

static void long_words_merge_as_short_ones(void **state)
{
    struct small s;
    uint64_t seed = 5;
    small_bpe(&s);
    for (int round = 0; round < 500; round++) {
        char text[300];
        int32_t want[300];
        size_t len = 1 + test_rand(&seed) % sizeof text, n;
        for (size_t i = 0; i < len; i++)
            text[i] = "abc"[test_rand(&seed) % 3];
        size_t n_want = naive_bpe(text, len, want);
        int32_t *ids = vocab_encode(s.tok, text, len, 0, &n);
        assert_int_equal(n, n_want);
        assert_memory_equal(ids, want, n * sizeof *ids);
        free(ids);
    }
    small_end(&s);
}

/* Inputs that are one long word or many: they come back, and in time. */
static void long_texts_of_one_kind_come_back(void **state)
{
    static const char *const units[] = {"a", " ", "\n", "7", "'", "\xCC\x81", "ab", "abc", "a ",
                                        "\xF0\x9F\x91\xA9\xE2\x80\x8D", "\xFF", "<|end|>"};
    size_t len = (size_t)1 << 18, n;
    struct small s[2];
    char *text = malloc(len);
    small_bpe(&s[0]);
    small_spm(&s[1]);
    for (size_t k = 0; k < 2 * sizeof units / sizeof *units; k++) {
        struct hv_stream stream = {0};
        fill(text, len, units[k / 2]);
        const struct hv_tokenizer *tok = s[k % 2].tok;
        int32_t *ids = vocab_encode(tok, text, len, 0, &n);
        size_t at = 0, piece;
        char out[64];
        for (size_t i = 0; i < n; i++, at += piece) {
            assert_int_equal(hv_stream_push(tok, &stream, ids[i], HV_TEXT_START, out, 64, &piece,
                                            NULL), HEARTH_OK);
            assert_true(at + piece <= len && memcmp(text + at, out, piece) == 0);
        }
        assert_int_equal(at + hv_stream_flush(&stream, 0, out), len);
        free(ids);
    }
    free(text);
    small_end(&s[0]);
    small_end(&s[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_go_by_rank),
        cmocka_unit_test(control_text_is_inert_unless_asked),
        cmocka_unit_test(longest_special_wins_and_user_ones_are_always_cut),
        cmocka_unit_test(known_texts_end_a_generation),
        cmocka_unit_test(spm_prefix_and_byte_fallback),
        cmocka_unit_test(spm_puts_a_space_after_special_tokens),
        cmocka_unit_test(spm_without_prefix_by_configuration),
        cmocka_unit_test(strip_rules_swallow_space),
        cmocka_unit_test(capacity_is_kept_and_the_need_told),
        cmocka_unit_test(scratch_is_stated_exactly),
        cmocka_unit_test(long_words_merge_as_short_ones),
        cmocka_unit_test(long_texts_of_one_kind_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
