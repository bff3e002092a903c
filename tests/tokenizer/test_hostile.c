/* Vocabularies that somebody broke on purpose: each is refused with a status, or does what
 * hv_tokenizer.h says. */
#include "tokenizer/small_vocabs.h"

static void expect_refusal(struct small *s, hearth_status status, const char *part)
{
    s->tok = NULL;
    assert_int_equal(hv_tokenizer_create(&s->arena, &s->config, &s->tok, &s->err), status);
    assert_null(s->tok);
    if (!strstr(s->err.text, part))
        fail_msg("'%s' does not say '%s'", s->err.text, part);
}

static void counts_that_do_not_fit_are_refused(void **state)
{
    struct small s;
    small_spm(&s);
    s.config.n_scores--;
    expect_refusal(&s, HEARTH_E_MISMATCH, "scores");
    s.config.n_scores += 2;
    expect_refusal(&s, HEARTH_E_MISMATCH, "scores");
    s.config.n_scores--;
    s.config.n_types = 1;
    expect_refusal(&s, HEARTH_E_MISMATCH, "types");
    s.config.n_types = s.config.n_tokens;
    size_t n = s.config.n_tokens;
    s.config.n_tokens = 0;
    expect_refusal(&s, HEARTH_E_FORMAT, "no tokens");
    s.config.n_tokens = HV_MAX_TOKENS + 1;
    expect_refusal(&s, HEARTH_E_LIMIT, "tokens");
    s.config.n_tokens = n;
    s.config.kind = 9;
    expect_refusal(&s, HEARTH_E_UNSUPPORTED, "kind 9");
    small_end(&s);
}

static void ids_out_of_range(void **state)
{
    struct small s;
    small_spm(&s);
    int32_t n = (int32_t)s.config.n_tokens;
    s.config.eos = n;
    expect_refusal(&s, HEARTH_E_RANGE, "eos token id");
    s.config.eos = -1;
    s.config.add_eos = 1;
    expect_refusal(&s, HEARTH_E_FORMAT, "add_eos");
    s.config.add_eos = 0;
    s.config.pad = n;
    s.config.unk = INT32_MAX;
    assert_int_equal(small_create(&s, &s.arena), HEARTH_OK);
    assert_int_equal(hv_special_id(s.tok, HV_ID_PAD), -1);
    assert_int_equal(hv_special_id(s.tok, HV_ID_UNK), -1);
    small_end(&s);
}

static void unknown_pretokenizer_is_named(void **state)
{
    struct small s;
    small_bpe_tokens(&s);
    s.config.pre = (struct hv_text){"no-such-thing", 13};
    expect_refusal(&s, HEARTH_E_UNSUPPORTED, "'no-such-thing'");
    assert_non_null(strstr(s.err.text, "llama-bpe"));
    small_end(&s);
}

static void broken_merges_are_counted_and_skipped(void **state)
{
    static const char *const bad[] = {"", " ", "  ", "a", "ab", "a ", " a", "a b c", "a  b", "q zz",
                                      "zz q", "b a", "a b", "\xFF \xFE"};
    struct small s;
    small_bpe_tokens(&s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        small_merge(&s, bad[i]);
    small_merge(&s, "<|user|> x"); /* would make a control token from text */
    assert_int_equal(small_create(&s, &s.arena), HEARTH_OK);
    assert_int_equal(hv_tokenizer_stats(s.tok)->merges_used, 3);
    assert_int_equal(hv_tokenizer_stats(s.tok)->merges_skipped, sizeof bad / sizeof *bad + 1);
    EXPECT(s.tok, "abc", 0, BPE_ABC);
    small_end(&s);
}

static void first_of_equal_tokens_encodes(void **state)
{
    struct small s;
    const char *bytes;
    size_t len;
    small_bpe_tokens(&s);
    int32_t twin = small_add(&s, "ab", HV_TYPE_NORMAL, 0);
    int32_t empty = small_add(&s, "", HV_TYPE_USER, 0);
    assert_int_equal(small_create(&s, &s.arena), HEARTH_OK);
    assert_int_equal(hv_tokenizer_stats(s.tok)->duplicate_tokens, 1);
    assert_int_equal(hv_tokenizer_stats(s.tok)->empty_tokens, 1);
    EXPECT(s.tok, "ab", HV_PARSE_SPECIAL, BPE_AB);
    assert_int_equal(hv_piece(s.tok, twin, 0, &bytes, &len, NULL), HEARTH_OK);
    assert_int_equal(len, 2);
    assert_int_equal(hv_piece(s.tok, empty, 0, &bytes, &len, NULL), HEARTH_OK);
    assert_int_equal(len, 0);
    assert_int_equal(hv_find(s.tok, "", 0), -1);
    small_end(&s);
}

static void only_empty_tokens(void **state)
{
    for (int kind = HV_BPE; kind <= HV_SPM; kind++) {
        struct small s;
        size_t n = 7;
        small_begin(&s, (enum hv_kind)kind);
        s.config.bos = s.config.eos = s.config.unk = -1;
        s.config.add_bos = 0;
        small_add(&s, "", HV_TYPE_NORMAL, 0);
        assert_int_equal(small_create(&s, &s.arena), HEARTH_OK);
        assert_int_equal(hv_encode(s.tok, "abc", 3, HV_PARSE_SPECIAL, NULL, 0, NULL, 0, &n, NULL),
                         HEARTH_OK);
        assert_int_equal(n, 0);
        small_end(&s);
    }
}

static void piece_limit_is_exact(void **state)
{
    struct small s;
    char *text = malloc(HV_MAX_PIECE + 1);
    memset(text, 'a', HV_MAX_PIECE + 1);
    small_spm_tokens(&s);
    int32_t id = small_add(&s, "", HV_TYPE_USER, 0);
    s.tokens[id] = (struct hv_text){text, HV_MAX_PIECE};
    assert_int_equal(small_create(&s, &s.arena), HEARTH_OK);
    size_t n;
    int32_t *ids = vocab_encode(s.tok, text, HV_MAX_PIECE, 0, &n);
    assert_int_equal(n, 1);
    assert_int_equal(ids[0], id);
    free(ids);
    s.tokens[id].len++;
    expect_refusal(&s, HEARTH_E_LIMIT, "65537 bytes");
    small_end(&s);
    free(text);
}

static void scores_of_any_bits_are_an_order(void **state)
{
    static const uint32_t bits[] = {0x7FC00000, 0xFFC00000, 0x7F800000, 0xFF800000, 0x80000000, 1};
    struct small s;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        small_spm_tokens(&s);
        memcpy(&s.scores[SPM_AB], &bits[i], 4);
        assert_int_equal(small_create(&s, &s.arena), HEARTH_OK);
        EXPECT(s.tok, "ab", HV_NO_PREFIX, SPM_AB);
        small_end(&s);
    }
}

/* Every take of the arena refused in turn: a status each time, nothing else. */
struct refusing {
    int left;
};

static void *refusing_alloc(void *user, size_t size)
{
    struct refusing *r = user;
    return r->left-- > 0 ? malloc(size) : NULL;
}

static void refused_memory_is_a_status(void **state)
{
    for (int kind = HV_BPE; kind <= HV_SPM; kind++) {
        struct small s;
        if (kind == HV_BPE)
            small_bpe_tokens(&s);
        else
            small_spm_tokens(&s);
        for (int allowed = 0;; allowed++) {
            struct refusing r = {allowed};
            struct hb_alloc hooks = {refusing_alloc, vocab_free, &r};
            struct hb_arena arena;
            hb_arena_init_growing(&arena, &hooks);
            hearth_status status = small_create(&s, &arena);
            hb_arena_release(&arena);
            if (status == HEARTH_OK)
                break;
            assert_int_equal(status, HEARTH_E_MEMORY);
        }
        /* a fixed arena, every size up to the need in steps */
        small_create(&s, &s.arena);
        size_t need = hb_arena_high(&s.arena);
        char *mem = malloc(need + 4096);
        hearth_status last = HEARTH_E_MEMORY;
        for (size_t size = 0; size <= need + 4096 - 64; size += 61) {
            struct hb_arena arena;
            hb_arena_init_fixed(&arena, mem, size);
            last = small_create(&s, &arena);
            assert_true(last == HEARTH_OK || last == HEARTH_E_MEMORY);
        }
        assert_int_equal(last, HEARTH_OK);
        free(mem);
        small_end(&s);
    }
}

/* Random vocabularies of short texts over a small alphabet, random types and scores: no control
 * token from plain text, ids in range, the count within hv_encode_max_ids. */
static void random_vocabularies_keep_the_promises(void **state)
{
    static char texts[SMALL_MAX][5], merges[64][8];
    uint64_t seed = 3;
    for (int round = 0; round < 3000; round++) {
        struct small s;
        small_begin(&s, round & 1 ? HV_BPE : HV_SPM);
        s.config.add_bos = 0;
        size_t n_tokens = 1 + test_rand(&seed) % 40;
        for (size_t i = 0; i < n_tokens; i++) {
            size_t len = test_rand(&seed) % 4;
            for (size_t j = 0; j < len; j++)
                texts[i][j] = "ab< \xE2\x96\x81\xFF"[test_rand(&seed) % 8];
            texts[i][len] = 0;
            small_add(&s, texts[i], (int32_t)(test_rand(&seed) % 8), test_rand_float(&seed));
        }
        for (size_t i = 0; i < 20; i++) {
            for (size_t j = 0; j < 4; j++)
                merges[i][j] = "ab< "[test_rand(&seed) % 4];
            small_merge(&s, merges[i]);
        }
        s.config.bos = s.config.eos = s.config.unk = -1;
        assert_int_equal(small_create(&s, &s.arena), HEARTH_OK);
        char text[100];
        size_t len = test_rand(&seed) % sizeof text, n;
        for (size_t i = 0; i < len; i++)
            text[i] = "ab< \xE2\x96\x81\xFF\n"[test_rand(&seed) % 9];
        for (uint32_t flags = 0; flags <= HV_PARSE_SPECIAL; flags += HV_PARSE_SPECIAL) {
            int32_t *ids = vocab_encode(s.tok, text, len, flags, &n);
            assert_true(n <= hv_encode_max_ids(s.tok, len));
            for (size_t i = 0; i < n; i++) {
                assert_in_range(ids[i], 0, n_tokens - 1);
                assert_true(flags || !hv_is_control(s.tok, ids[i]));
            }
            free(ids);
        }
        small_end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_that_do_not_fit_are_refused),
        cmocka_unit_test(ids_out_of_range),
        cmocka_unit_test(unknown_pretokenizer_is_named),
        cmocka_unit_test(broken_merges_are_counted_and_skipped),
        cmocka_unit_test(first_of_equal_tokens_encodes),
        cmocka_unit_test(only_empty_tokens),
        cmocka_unit_test(piece_limit_is_exact),
        cmocka_unit_test(scores_of_any_bits_are_an_order),
        cmocka_unit_test(refused_memory_is_a_status),
        cmocka_unit_test(random_vocabularies_keep_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
