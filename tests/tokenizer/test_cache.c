/* The cache of words: a tokenizer with it gives the ids of one without it, whatever is in it, in any
 * number of threads, and when words fight for its places. */
#include "tokenizer/small_vocabs.h"
#include "tokenizer/hv_internal.h"
#include "base/os/hb_os.h"

static void make_text(char *text, size_t n, uint64_t seed)
{
    static const char *const parts[] = {"abcabc", " ab", "c", "a b", " aaaa", "bcb", "\n", "  ", "\xC3\xA9",
                                        "1234567", " zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "'s"};
    size_t at = 0;
    while (at < n) {
        const char *part = parts[test_rand(&seed) % HB_COUNT(parts)];
        for (size_t i = 0; part[i] && at < n; i++)
            text[at++] = part[i];
    }
}

/* Words of 1 to 30 bytes of four letters: every length of a key, many of them new. */
static void make_words(char *text, size_t n, uint64_t seed)
{
    for (size_t at = 0; at < n;) {
        size_t len = 1 + test_rand(&seed) % 30;
        for (size_t i = 0; i < len && at < n; i++)
            text[at++] = "abc\xC3"[test_rand(&seed) % 4];
        if (at < n)
            text[at++] = ' ';
    }
}

static void expect_same(const struct hv_tokenizer *with, const struct hv_tokenizer *without,
                        const char *text, size_t len)
{
    size_t n, m;
    int32_t *a = vocab_encode(with, text, len, 0, &n), *b = vocab_encode(without, text, len, 0, &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n * sizeof *a);
    free(a);
    free(b);
}

static void make_pair(struct small *with, struct small *without, enum hv_kind kind, uint32_t words)
{
    struct small *both[2] = {with, without};
    for (int i = 0; i < 2; i++) {
        if (kind == HV_BPE)
            small_bpe_tokens(both[i]);
        else
            small_spm_tokens(both[i]);
        both[i]->config.cache_words = i == 0 ? words : 0;
        assert_int_equal(small_create(both[i], &both[i]->arena), HEARTH_OK);
    }
}

static void cached_words_have_the_ids_of_merged_ones(void **state)
{
    (void)state;
    static char text[20000];
    for (int kind = HV_BPE; kind <= HV_SPM; kind++) {
        static struct small with, without;
        make_pair(&with, &without, (enum hv_kind)kind, 64); /* so few that words fight for places */
        for (uint64_t seed = 1; seed <= 20; seed++) {
            make_text(text, sizeof text, seed);
            expect_same(with.tok, without.tok, text, sizeof text);
            make_words(text, sizeof text, seed);
            expect_same(with.tok, without.tok, text, sizeof text);
        }
        small_end(&with);
        small_end(&without);
    }
}

static void keys_tell_all_words_apart(void **state)
{
    (void)state;
    uint8_t a[HV_CACHE_WORD], b[HV_CACHE_WORD];
    struct hv_cache_key ka, kb;
    for (size_t len = 1; len <= HV_CACHE_WORD; len++) {
        for (size_t i = 0; i < len; i++)
            a[i] = (uint8_t)(i + 1);
        hv_cache_key_of(&ka, a, len);
        for (size_t i = 0; i < len; i++) { /* every byte is in the key, once */
            memcpy(b, a, len);
            b[i] ^= 0x80;
            hv_cache_key_of(&kb, b, len);
            uint64_t differ = 0;
            for (int w = 0; w < HV_CACHE_WORD / 8; w++)
                differ |= (ka.word[w] ^ kb.word[w]) ^ ((size_t)w == i / 8 ? (uint64_t)0x80 << i % 8 * 8 : 0);
            assert_int_equal(differ, 0);
        }
    }
}

struct encoder {
    const struct hv_tokenizer *with, *without;
    uint64_t seed;
};

static void encoder_main(void *arg)
{
    struct encoder *e = arg;
    enum { LEN = 3000 };
    char *text = malloc(LEN);
    for (int i = 0; i < 40; i++) {
        if (i % 2)
            make_words(text, LEN, e->seed + (uint64_t)i / 4);
        else
            make_text(text, LEN, e->seed + (uint64_t)i / 4);
        expect_same(e->with, e->without, text, LEN);
    }
    free(text);
}

static void several_threads_share_a_cache(void **state)
{
    (void)state;
    static struct small with, without;
    struct encoder e[4];
    struct hb_os_thread t[4];
    make_pair(&with, &without, HV_BPE, 64);
    for (uint64_t i = 0; i < 4; i++) {
        e[i] = (struct encoder){with.tok, without.tok, 1 + i / 2}; /* two and two on the same words */
        assert_int_equal(hb_os_thread_start(&t[i], encoder_main, &e[i], NULL), HEARTH_OK);
    }
    for (int i = 0; i < 4; i++)
        hb_os_thread_join(&t[i]);
    small_end(&with);
    small_end(&without);
}

static void ids_past_the_capacity_are_counted_and_not_written(void **state)
{
    (void)state;
    static struct small with, without;
    static char text[500];
    make_pair(&with, &without, HV_BPE, 1024);
    make_text(text, sizeof text, 3);
    for (int round = 0; round < 2; round++)
        for (size_t capacity = 0; capacity < 200; capacity += 7) {
            int32_t ids[2][201];
            size_t n[2];
            char scratch[4096];
            const struct hv_tokenizer *toks[2] = {with.tok, without.tok};
            for (int i = 0; i < 2; i++) {
                memset(ids[i], 0xEE, sizeof ids[i]);
                hv_encode(toks[i], text, sizeof text, 0, scratch, sizeof scratch, ids[i], capacity, &n[i],
                          NULL);
            }
            assert_int_equal(n[0], n[1]);
            assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
        }
    small_end(&with);
    small_end(&without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cached_words_have_the_ids_of_merged_ones),
        cmocka_unit_test(keys_tell_all_words_apart),
        cmocka_unit_test(several_threads_share_a_cache),
        cmocka_unit_test(ids_past_the_capacity_are_counted_and_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
