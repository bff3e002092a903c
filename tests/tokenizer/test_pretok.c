/* Pre-tokenizers: the stored words of tools/check_pretokenizers.py, and properties that hold for
 * any bytes. */
#include "test_support.h"
#include "base/hb_port.h"
#include "tokenizer/hv_pretok.h"

#define CASES HEARTH_SOURCE_DIR "/tests/tokenizer/pretok_cases.txt"

static int hex(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Undo the escapes of one line: the text, and where its words end. */
static size_t read_case(const char *line, uint8_t *text, size_t *ends, size_t *n_words)
{
    size_t n = 0;
    *n_words = 0;
    for (; *line && *line != '\n'; line++) {
        if (*line == '|') {
            ends[(*n_words)++] = n;
        } else if (*line == '\\') {
            text[n++] = (uint8_t)(hex(line[1]) * 16 + hex(line[2]));
            line += 2;
        } else {
            text[n++] = (uint8_t)*line;
        }
    }
    ends[(*n_words)++] = n;
    return n;
}

static void replay(const char *name, size_t name_len, const char *line, size_t number)
{
    uint8_t text[4096];
    size_t ends[4096], n_words, i = 0;
    const struct hv_pretok *pretok = hv_pretok_find(name, name_len);
    if (!pretok)
        fail_msg("no pre-tokenizer %.*s", (int)name_len, name);
    size_t n = read_case(line, text, ends, &n_words);
    struct hv_words words = {.text = text, .len = n};
    while (hv_words_next(pretok, &words)) {
        if (i >= n_words || words.pos != ends[i])
            fail_msg("%.*s: line %zu, word %zu ends at byte %zu, expected %zu", (int)name_len, name,
                     number, i, words.pos, i < n_words ? ends[i] : n);
        i++;
    }
    assert_int_equal(i, n_words);
}

static void stored_words_are_exact(void **state)
{
    FILE *f = fopen(CASES, "r");
    assert_non_null(f);
    static char line[16384], names[16384];
    size_t n_cases = 0, number = 0;
    while (fgets(line, sizeof line, f)) {
        number++;
        if (line[0] == '#')
            continue;
        if (line[0] == '=') {
            strcpy(names, line + 2);
            continue;
        }
        /* all names of a line share their scanners; replay each all the same */
        for (const char *name = names; *name && *name != '\n';) {
            size_t len = strcspn(name, " \n");
            replay(name, len, line, number);
            name += len + (name[len] == ' ');
            n_cases++;
        }
    }
    fclose(f);
    printf("%zu cases\n", n_cases);
    assert_true(n_cases > 5000);
}

static void every_name_is_found_once(void **state)
{
    for (size_t i = 0; hv_pretok_at(i); i++) {
        const char *name = hv_pretok_at(i)->name;
        assert_ptr_equal(hv_pretok_find(name, strlen(name)), hv_pretok_at(i));
    }
    assert_string_equal(hv_pretok_find("", 0)->name, "default");
    assert_null(hv_pretok_find("no-such", 7));
}

/* Pieces that bytes are made of: all classes, whole and broken. */
static const char *const pieces[] = {
    "a",  "B",  "'",    "s",        "1",        " ",        "\n",       "\r",   "\t", "!",
    "/",  "\0", "\x80", "\xC3",     "\xC3\xA9", "\xE4\xB8", "\xCC\x81", "\xFF", "$",  "\xC2\xA0",
    "'S", "ll", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80", "\xF0\x9F", "\xD9\xA3", "\xE3\x80\x80", "Ab",
};

static void any_bytes_are_covered_by_words(void **state)
{
    uint64_t seed = 11;
    uint8_t text[200];
    for (int round = 0; round < 3000; round++) {
        size_t n = 0, count = 1 + test_rand(&seed) % 40;
        for (size_t i = 0; i < count; i++) {
            const char *p = pieces[test_rand(&seed) % HB_COUNT(pieces)];
            size_t len = *p ? strlen(p) : 1;
            memcpy(text + n, p, len);
            n += len;
        }
        for (size_t r = 0; hv_pretok_at(r); r++) {
            struct hv_words words = {.text = text, .len = n};
            size_t sum = 0, len;
            while ((len = hv_words_next(hv_pretok_at(r), &words)) > 0) {
                sum += len;
                assert_int_equal(words.pos, sum);
            }
            assert_int_equal(sum, n);
        }
    }
}

/* Linear: characters looked at are not counted, but a quadratic scanner would not come back. */
static void long_runs_come_back(void **state)
{
    static const char *const runs[] = {" ", "\n", "a", "A", "1", "'", "!", "\xCC\x81", "\xFF",
                                       " \n", "A\xE4\xB8\xAD", "a ", "\xE3\x80\x80", "$", "1a"};
    size_t n = 1 << 18;
    uint8_t *text = malloc(n);
    for (size_t k = 0; k < HB_COUNT(runs); k++) {
        size_t len = strlen(runs[k]);
        for (size_t i = 0; i < n; i++)
            text[i] = (uint8_t)runs[k][i % len];
        for (size_t r = 0; hv_pretok_at(r); r++) {
            struct hv_words words = {.text = text, .len = n};
            while (hv_words_next(hv_pretok_at(r), &words)) {
            }
            assert_int_equal(words.pos, n);
        }
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_words_are_exact),
        cmocka_unit_test(every_name_is_found_once),
        cmocka_unit_test(any_bytes_are_covered_by_words),
        cmocka_unit_test(long_runs_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
