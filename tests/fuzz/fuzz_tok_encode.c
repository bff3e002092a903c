/* Fuzz target: text into tokenizers of fixed small vocabularies.
 *
 * Oracles: the count fits hv_encode_max_ids; scratch as stated is enough; no control token without
 * HV_PARSE_SPECIAL; byte-level BPE gives the bytes back; every pre-tokenizer covers the text. The
 * first byte chooses flags and pre-tokenizer, the rest is the text.
 *
 * Built with -fsanitize=fuzzer this is a libFuzzer target (FUZZ_ENGINE defined); otherwise main
 * replays the files named on the command line, or without any a generated corpus. */
#include "tokenizer/small_vocabs.h"
#include "tokenizer/hv_pretok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_tok_encode: %s\n", what);
    abort();
}

static void fuzz_round_trip(const struct hv_tokenizer *tok, const int32_t *ids, size_t n,
                            const char *text, size_t len)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const char *bytes;
        size_t piece;
        hearth_status status = hv_piece(tok, ids[i], HV_RENDER_SPECIAL, &bytes, &piece, NULL);
        fuzz_require(status == HEARTH_OK, "an id is out of range");
        fuzz_require(piece <= len - at && memcmp(text + at, bytes, piece) == 0,
                     "the bytes do not come back");
        at += piece;
    }
    fuzz_require(at == len, "the bytes do not come back whole");
}

static void fuzz_one(const struct hv_tokenizer *tok, bool exact, const char *text, size_t len,
                     uint32_t flags)
{
    size_t n;
    int32_t *ids = vocab_encode(tok, text, len, flags, &n); /* aborts if scratch is too small */
    fuzz_require(n <= hv_encode_max_ids(tok, len), "more ids than hv_encode_max_ids");
    for (size_t i = 0; i < n; i++)
        fuzz_require((flags & HV_PARSE_SPECIAL) || !hv_is_control(tok, ids[i]),
                     "a control token from plain text");
    if (exact)
        fuzz_round_trip(tok, ids, n, text, len);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct small bpe, spm;
    static bool made;
    if (!made) {
        small_bpe_tokens(&bpe);
        small_spm_tokens(&spm);
        fuzz_require(small_create(&bpe, &bpe.arena) == HEARTH_OK, "no BPE");
        fuzz_require(small_create(&spm, &spm.arena) == HEARTH_OK, "no SPM");
        made = true;
    }
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    uint32_t flags = data[0] & 1 ? HV_PARSE_SPECIAL : 0;
    fuzz_one(bpe.tok, true, text, size - 1, flags);
    fuzz_one(spm.tok, false, text, size - 1, flags | (data[0] & 2 ? HV_NO_PREFIX : 0));
    size_t row = data[0] >> 1;
    while (!hv_pretok_at(row))
        row /= 2;
    struct hv_words words = {.text = data + 1, .len = size - 1};
    while (hv_words_next(hv_pretok_at(row), &words)) {
    }
    fuzz_require(words.pos == size - 1, "words do not cover the text");
    return 0;
}

#ifndef FUZZ_ENGINE
static void replay_generated(void)
{
    static const char *const units[] = {
        "a", "b", "c", "ab", "abc", " ", "  ", "\n", "\r\n", "<|end|>", "<|user|>", "<|user|>x",
        "[U]", "<s>", "</s>", "<0x41>", "\xE2\x96\x81", "\xC3\xA9", "\xF0\x9F\x98\x80", "\xFF",
        "\xE2\x96", "'s", "'LL", "1", "123", "!", "\xCC\x81", "\xE4\xB8\xAD", "\xED\xA0\x80", "A",
    };
    uint64_t seed = 17;
    uint8_t data[4096];
    for (int round = 0; round < 20000; round++) {
        size_t n = 0, count = test_rand(&seed) % 120;
        bool same = test_rand(&seed) % 8 == 0; /* one unit again and again: long words */
        const char *unit = units[0];
        data[n++] = (uint8_t)test_rand(&seed);
        for (size_t i = 0; i < count; i++) {
            if (i == 0 || !same)
                unit = units[test_rand(&seed) % (sizeof units / sizeof *units)];
            memcpy(data + n, unit, strlen(unit));
            n += strlen(unit);
        }
        if (round % 16 == 0)
            for (size_t i = 1; i < n; i++)
                data[i] = (uint8_t)(test_rand(&seed) >> 32);
        LLVMFuzzerTestOneInput(data, n);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        replay_generated();
    for (int i = 1; i < argc; i++) {
        size_t size = 0;
        char *bytes = vocab_read(argv[i], &size);
        if (!bytes) {
            fprintf(stderr, "fuzz_tok_encode: cannot read %s\n", argv[i]);
            return 2;
        }
        LLVMFuzzerTestOneInput((uint8_t *)bytes, size);
        free(bytes);
    }
    return 0;
}
#endif
