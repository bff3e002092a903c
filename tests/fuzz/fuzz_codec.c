/* Fuzz target: messages in both encodings.
 *
 * The bytes are a frame's body: JSON where they begin with '{', else the binary form. Oracles: a status with a sentence,
 * or a message; a binary message encodes to the bytes it came from; its tokens read, and encode again; a JSON message
 * becomes the same through the binary form and through JSON again; neither says more than its bound. */
#include "fuzz_replay.h"
#include "base/os/hb_os.h"
#include "serve/hs_wire.h"

static struct hk_table fuzz_kernels;

static uint8_t *fuzz_binary(const struct hs_message *m, const void *msg, size_t *n)
{
    const size_t bound = hs_binary_bound(m, msg);
    uint8_t *out = malloc(bound);
    *n = hs_binary_encode(&fuzz_kernels, m, msg, out, bound);
    FUZZ_REQUIRE(*n >= HS_FRAME_HEAD + 1 && *n <= bound, "the binary bound is wrong");
    return out;
}

static uint8_t *fuzz_json(const struct hs_message *m, const void *msg, size_t *n)
{
    const size_t bound = hs_json_bound(m, msg);
    uint8_t *out = malloc(bound);
    *n = hs_json_encode(&fuzz_kernels, m, msg, out, bound);
    FUZZ_REQUIRE(*n <= bound, "the JSON bound is wrong");
    return out;
}

/* Tokens are read where they are used, so a message that is well formed may still hold bad ones. */
static void fuzz_tokens(const struct hs_message *m, const union hs_any *msg)
{
    for (int i = 0; i < m->n_fields; i++) {
        const struct hs_field *f = &m->fields[i];
        const struct hs_tokens *t = (const void *)((const uint8_t *)msg + f->offset);
        hearth_error err = {0};
        size_t n = 0;
        if (f->kind != HS_TOKENS || !t->coded)
            continue;
        uint32_t *values = malloc((t->n + 1) * sizeof *values);
        hearth_status status = hs_tokens_read(&fuzz_kernels, t, values, t->n, &n, &err);
        FUZZ_REQUIRE(status == HEARTH_OK || err.text[0], "a refusal without a sentence");
        FUZZ_REQUIRE(status != HEARTH_OK || n == t->n, "another number of tokens than was said");
        free(values);
    }
}

static void fuzz_from_binary(const uint8_t *data, size_t size)
{
    const struct hs_message *m = hs_message_by_number(data[0]);
    union hs_any msg;
    hearth_error err = {0};
    size_t n;
    if (!m)
        return;
    if (hs_binary_decode(m, data + 1, size - 1, &msg, &err) != HEARTH_OK) {
        FUZZ_REQUIRE(err.text[0] != 0, "a refusal without a sentence");
        return;
    }
    fuzz_taken++;
    fuzz_tokens(m, &msg);
    uint8_t *again = fuzz_binary(m, &msg, &n);
    FUZZ_REQUIRE(n == size + HS_FRAME_HEAD && !memcmp(again + HS_FRAME_HEAD, data, size), "it is not canonical");
    free(again);
}

static void fuzz_from_json(const uint8_t *data, size_t size)
{
    const struct hs_message *m = NULL, *m2 = NULL;
    union hs_any msg, msg2;
    struct hb_arena arena, arena2;
    hearth_error err = {0};
    size_t n, n2, text_len;
    hb_arena_init_growing(&arena, hb_os_heap());
    hb_arena_init_growing(&arena2, hb_os_heap());
    if (hs_json_decode(data, size, &arena, &m, &msg, &err) == HEARTH_OK) {
        fuzz_taken++;
        uint8_t *binary = fuzz_binary(m, &msg, &n), *text = fuzz_json(m, &msg, &text_len);
        FUZZ_REQUIRE(hs_binary_decode(m, binary + HS_FRAME_HEAD + 1, n - HS_FRAME_HEAD - 1, &msg2, &err) == HEARTH_OK,
                     "what was encoded cannot be decoded");
        fuzz_tokens(m, &msg2);
        FUZZ_REQUIRE(hs_json_decode(text + HS_FRAME_HEAD, text_len - HS_FRAME_HEAD, &arena2, &m2, &msg2, &err) == HEARTH_OK &&
                         m2 == m,
                     "JSON that was encoded cannot be decoded");
        uint8_t *binary2 = fuzz_binary(m, &msg2, &n2);
        FUZZ_REQUIRE(n == n2 && !memcmp(binary, binary2, n), "JSON changes the message");
        free(binary);
        free(binary2);
        free(text);
    } else {
        FUZZ_REQUIRE(err.text[0] != 0, "a refusal without a sentence");
    }
    hb_arena_release(&arena);
    hb_arena_release(&arena2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_inputs++;
    if (!fuzz_kernels.level)
        hk_select(&fuzz_kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    if (size && data[0] == '{' && HEARTH_WITH_JSON)
        fuzz_from_json(data, size);
    else if (size)
        fuzz_from_binary(data, size);
    return 0;
}

#ifndef FUZZ_ENGINE
/* Bytes that mean something to one of the encodings. */
static const char fuzz_bytes[] = "\0\x01\x7F\x80\xFF{}[]\",:019eE-+.\\u";

/* The golden vectors, each with every cut and with random changes. */
static void fuzz_changed(const uint8_t *bytes, size_t n, uint64_t *seed)
{
    uint8_t *copy = malloc(n + 8);
    LLVMFuzzerTestOneInput(bytes, n);
    for (size_t cut = 0; cut < n; cut += 1 + n / 256) {
        memcpy(copy, bytes, cut);
        LLVMFuzzerTestOneInput(copy, cut);
    }
    for (int i = 0; i < 300; i++) {
        memcpy(copy, bytes, n);
        for (uint64_t k = 1 + test_rand(seed) % 3; k; k--) {
            size_t at = test_rand(seed) % n;
            if (test_rand(seed) % 2)
                copy[at] ^= (uint8_t)(1u << test_rand(seed) % 8);
            else
                copy[at] = (uint8_t)fuzz_bytes[test_rand(seed) % (sizeof fuzz_bytes - 1)];
        }
        LLVMFuzzerTestOneInput(copy, n);
    }
    free(copy);
}

static void fuzz_generated(void)
{
    static char line[1 << 20];
    static uint8_t bytes[1 << 19];
    uint64_t seed = 3;
    FILE *f = fopen(HEARTH_SOURCE_DIR "/tests/serve/golden.txt", "r");
    FUZZ_REQUIRE(f != NULL, "golden.txt cannot be read");
    /* found by this target: zero lost its sign */
    static const char minus[] = "{\"type\":\"embedded\",\"id\":1,\"items\":[{\"values\":[-1e-80],\"n_tokens\":1}]}";
    LLVMFuzzerTestOneInput((const uint8_t *)minus, sizeof minus - 1);
    while (fgets(line, sizeof line, f)) {
        char *hex = strchr(line, '\t') + 1, *json = strchr(hex, '\t') + 1;
        size_t n = (size_t)(json - hex - 1) / 2;
        for (size_t i = 0; i < n; i++) {
            unsigned byte;
            FUZZ_REQUIRE(sscanf(hex + 2 * i, "%2x", &byte) == 1, "golden.txt is broken");
            bytes[i] = (uint8_t)byte;
        }
        fuzz_changed(bytes + HS_FRAME_HEAD, n - HS_FRAME_HEAD, &seed);
        fuzz_changed((const uint8_t *)json, strcspn(json, "\n"), &seed);
    }
    fclose(f);
}

int main(int argc, char **argv)
{
    return fuzz_replay(argc, argv, fuzz_generated);
}
#endif
