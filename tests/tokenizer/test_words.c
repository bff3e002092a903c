/* Words by bits: the classes are those of Unicode's table, at every level that this machine has; and
 * every word is the one that the scanner of the pre-tokenizer finds. */
#include "test_support.h"
#include "base/hb_unicode.h"
#include "base/os/hb_os.h"
#include "kernels/kernels.h"
#include "tokenizer/hv_words.h"

static void each_level(void (*run)(hv_classify_fn *classify, const char *level))
{
    uint32_t features = hb_os_cpu_features();
    for (int i = 0; i < HK_LEVEL_COUNT; i++) {
        struct hk_table table;
        if (!hk_level_runs((enum hk_level)i, features))
            continue;
        hk_select(&table, features, (enum hk_level)i);
        run(table.classify, hk_level_name((enum hk_level)i));
    }
}

static void check_classes(hv_classify_fn *classify, const char *level)
{
    uint8_t bytes[256];
    uint64_t bits[4][HV_CLASSES];
    for (int c = 0; c < 256; c++)
        bytes[c] = (uint8_t)c;
    classify(&bits[0][0], bytes, 256);
    for (uint32_t c = 0; c < 256; c++) {
        uint32_t set = c < 0x80 ? hb_uc_bit(c) : 0, got = 0, want = 0;
        for (uint32_t k = 0; k < HV_CLASSES; k++)
            got |= (uint32_t)(bits[c / 64][k] >> c % 64 & 1) << k;
        want = (set & HB_UC_L ? 1u : 0) | (set & HB_UC_N ? 2u : 0) | (set & HB_UC_SPACE ? 4u : 0) |
               (c >= 0x80 ? 8u : 0);
        if (got != want)
            fail_msg("%s: byte %u is of classes %x; expected %x", level, c, got, want);
    }
}

static void classes_are_those_of_the_unicode_table(void **state)
{
    (void)state;
    each_level(check_classes);
}

#define TEXT 5000
static uint8_t text[TEXT];

static void make_text(size_t n, uint64_t *seed, int kind)
{
    static const char *const parts[] = {
        "word", " word", " ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "'", "''", "1", "123", "45678", " 9",
        "!", "?!", " (", ");\n", "a1", "\xC3\xA9", "\xE4\xB8\xAD", " \xD0\xB6", "\xCC\x81", "\xFF", "\xE2\x80\xA8",
        "\xC2\xA0", "_", "\x01", "\x1C", "\x85", "x\xCC\x81y", "THE", "\n\n\n", " \n ", "\xF0\x9F\x98\x80",
    };
    size_t at = 0;
    while (at < n) {
        if (kind == 0) { /* any ASCII */
            text[at++] = (uint8_t)(test_rand(seed) >> 9 & 127);
        } else if (kind == 1) { /* any byte, many runs */
            uint8_t c = (uint8_t)(test_rand(seed) >> 9);
            for (uint64_t k = test_rand(seed) % 90; at < n && k-- > 0;)
                text[at++] = c;
        } else {
            const char *part = parts[test_rand(seed) % HB_COUNT(parts)];
            for (size_t i = 0; part[i] && at < n; i++)
                text[at++] = (uint8_t)part[i];
        }
    }
}

static size_t n_fast;

static void check_words(hv_classify_fn *classify, const char *level)
{
    const struct hv_pretok *pretok;
    for (size_t i = 0; (pretok = hv_pretok_at(i)) != NULL; i++) {
        struct hv_words_fast fast;
        uint64_t seed = 1 + i;
        if (!hv_words_fast_begin(&fast, pretok, classify, text, 0))
            continue;
        n_fast++;
        for (int round = 0; round < 60; round++) {
            size_t n = round < 30 ? test_rand(&seed) % 300 : TEXT - test_rand(&seed) % 100;
            make_text(n, &seed, round % 3);
            struct hv_words slow = {.text = text, .len = n};
            hv_words_fast_begin(&fast, pretok, classify, text, n);
            for (size_t pos = 0;;) {
                size_t want = hv_words_next(pretok, &slow), got = hv_words_fast_next(&fast, pos);
                if (got != want)
                    fail_msg("%s, %s: the word at byte %zu of %zu has %zu bytes; expected %zu", level,
                             pretok->name, pos, n, got, want);
                if (want == 0)
                    break;
                pos += want;
            }
        }
    }
}

static void every_word_is_the_scanners(void **state)
{
    (void)state;
    each_level(check_words);
    assert_true(n_fast > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_those_of_the_unicode_table),
        cmocka_unit_test(every_word_is_the_scanners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
