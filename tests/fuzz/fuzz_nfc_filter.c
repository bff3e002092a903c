/* Fuzz target: the content filter.
 *
 * The first byte is the size of chunks; up to eight lines up to a NUL are the words; the rest is a text. Oracles: a
 * status or a filter; chunks give what the whole gives; UTF-8 stays UTF-8; no word is in the normal form of what comes
 * out, and filtering that again changes nothing; a text without a word comes out as it went in. */
#include "fuzz_replay.h"
#include "base/os/hb_os.h"
#include "serve/hs_filter.h"
#include <utf8proc.h>

#define FUZZ_TEXT  8192
#define FUZZ_WORDS 8

struct fuzz_out {
    char text[64 * FUZZ_TEXT];
    size_t len;
};

static void fuzz_take(void *user, const char *text, size_t len)
{
    struct fuzz_out *o = user;
    FUZZ_REQUIRE(len <= sizeof o->text - o->len, "more comes out than words and replacements explain");
    if (len)
        memcpy(o->text + o->len, text, len);
    o->len += len;
}

static uint64_t fuzz_filter(const struct hs_filter *f, struct hb_arena *arena, const char *text, size_t len, size_t cut,
                            struct fuzz_out *out)
{
    struct hs_filter_stream *s;
    FUZZ_REQUIRE(hs_filter_open(f, arena, &s, NULL) == HEARTH_OK, "a stream cannot be opened");
    out->len = 0;
    for (size_t i = 0; i < len; i += cut)
        hs_filter_push(s, text + i, len - i < cut ? len - i : cut, fuzz_take, out);
    hs_filter_end(s, fuzz_take, out);
    return hs_filter_matches(s);
}

/* The normal form that is compared; 0: not UTF-8. */
static size_t fuzz_normal(const char *text, size_t len, char **out)
{
    utf8proc_uint8_t *p = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &p,
                                      (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD));
    *out = (char *)p;
    return n < 0 ? 0 : (size_t)n;
}

static bool fuzz_utf8(const char *text, size_t len)
{
    utf8proc_int32_t c;
    for (size_t i = 0; i < len;) {
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(len - i), &c);
        if (n <= 0)
            return false;
        i += (size_t)n;
    }
    return true;
}

/* Clusters of more code points than a filter looks at together are cut there, and a word may lie across the cut. */
static bool fuzz_short_clusters(const char *text, size_t len)
{
    utf8proc_int32_t c, last = 0, state = 0;
    int run = 0;
    for (size_t i = 0; i < len;) {
        i += (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(len - i), &c);
        run = last && !utf8proc_grapheme_break_stateful(last, c, &state) ? run + 1 : 1;
        last = c;
        if (run >= HS_CLUSTER_POINTS)
            return false;
    }
    return true;
}

static bool fuzz_holds(const struct hs_word *words, size_t n, const char *text, size_t len)
{
    char *normal, *word;
    size_t normal_len = fuzz_normal(text, len, &normal);
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        size_t word_len = fuzz_normal(words[i].text, words[i].len, &word);
        for (size_t at = 0; word_len && at + word_len <= normal_len; at++)
            found |= !memcmp(normal + at, word, word_len);
        free(word);
    }
    free(normal);
    return found;
}

static void fuzz_text(const struct hs_word *words, size_t n, const char *text, size_t len, size_t cut)
{
    static struct fuzz_out whole, cuts;
    struct hs_filter *f;
    struct hb_arena arena;
    hearth_error err = {0};
    hb_arena_init_growing(&arena, hb_os_heap());
    hearth_status status = hs_filter_create(words, n, "[-]", 3, &arena, &f, &err);
    if (status == HEARTH_OK) {
        fuzz_taken++;
        uint64_t matches = fuzz_filter(f, &arena, text, len, len ? len : 1, &whole);
        FUZZ_REQUIRE(matches == fuzz_filter(f, &arena, text, len, cut, &cuts), "chunks match otherwise");
        FUZZ_REQUIRE(whole.len == cuts.len && !memcmp(whole.text, cuts.text, whole.len), "chunks give another text");
        FUZZ_REQUIRE(matches || (whole.len == len && !memcmp(whole.text, text, len)), "a clean text was changed");
        if (fuzz_utf8(text, len)) {
            FUZZ_REQUIRE(fuzz_utf8(whole.text, whole.len), "a character was cut");
            if (fuzz_short_clusters(text, len) && fuzz_short_clusters(whole.text, whole.len)) {
                FUZZ_REQUIRE(fuzz_holds(words, n, text, len) == (matches > 0), "a word was missed, or none was there");
                FUZZ_REQUIRE(!fuzz_holds(words, n, whole.text, whole.len), "a word came out");
                FUZZ_REQUIRE(fuzz_filter(f, &arena, whole.text, whole.len, cut, &cuts) == 0, "it is not idempotent");
            }
        }
    } else {
        FUZZ_REQUIRE(err.text[0] != 0, "a refusal without a sentence");
    }
    hb_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_word words[FUZZ_WORDS];
    size_t n = 0, at = 1;
    fuzz_inputs++;
    if (size < 2 || size > FUZZ_TEXT)
        return 0;
    while (at < size && data[at] && n < FUZZ_WORDS) {
        size_t end = at;
        while (end < size && data[end] && data[end] != '\n')
            end++;
        words[n++] = (struct hs_word){(const char *)data + at, end - at};
        at = end + (end < size && data[end] == '\n');
    }
    while (at < size && data[at])
        at++;
    at += at < size;
    fuzz_text(words, n, (const char *)data + at, size - at, (size_t)(data[0] % 16) + 1);
    return 0;
}

#ifndef FUZZ_ENGINE
static void fuzz_generated(void)
{
    static const char *const bits[] = {"b", "o", "m", "B", "bo", "mb", "s", "S", "\xC3\x9F", "\xC5\xBF", "tra", "e", "\xCC\x81",
                                       "\xC3\xA9", "i", "\xCC\x87", "\xC4\xB0", "x", "\xE1\x84\x92", "\xE1\x85\xA1", "\xE1\x86\xAB",
                                       "\xED\x95\x9C", " ", "\n", "\xE2\x80\x8D", "\xF0\x9F\x94\xA5", "\xCD\x85", "\xCC\xA3", "\xFF",
                                       "\xE2\x82", "\xC0\x80", "\xCF\x82", "\xCF\x83", "\xCE\xA3", "[", "-", "]", "\0"};
    uint64_t seed = 11;
    uint8_t data[1024];
    for (int round = 0; round < 20000; round++) {
        size_t len = 1, n = 2 + test_rand(&seed) % 40;
        data[0] = (uint8_t)test_rand(&seed);
        for (size_t i = 0; i < n; i++) {
            const char *bit = bits[test_rand(&seed) % HB_COUNT(bits)];
            size_t k = *bit ? strlen(bit) : 1;
            memcpy(data + len, bit, k);
            len += k;
            if (i == n / 4)
                data[len++] = 0;
        }
        LLVMFuzzerTestOneInput(data, len);
    }
    memset(data, 0xCC, sizeof data); /* marks without end */
    for (size_t i = 2; i < sizeof data; i += 2)
        data[i] = 0x81;
    LLVMFuzzerTestOneInput(data, sizeof data);
}

int main(int argc, char **argv)
{
    return fuzz_replay(argc, argv, fuzz_generated);
}
#endif
