/* Fuzz target: bodies of HTTP requests to messages of the engine.
 *
 * The first byte chooses the path. Oracles: the sanitizers; no leak; a refusal is a whole answer with a status of
 * HTTP and a sentence, in JSON that can be read; what is taken encodes in the wire's binary form, decodes again, and
 * its parts are within their limits.
 *
 * Built with -fsanitize=fuzzer this is a libFuzzer target (FUZZ_ENGINE defined); otherwise main replays the files
 * named on the command line, or without any, mutants of good bodies from fixed seeds. */
#include "test_support.h"
#include "base/os/hb_os.h"
#include "serve/hs_http_call.h"
#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t fuzz_taken, fuzz_refused;

static void fuzz_require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_http: %s\n", what);
    abort();
}

static void fuzz_refusal(struct http_call *c)
{
    json_t *answer = json_loadb(c->out.at, c->out.len, 0, NULL), *error = json_object_get(answer, "error");
    fuzz_require(c->ended && c->status >= 400 && c->status < 600, "refused without a status");
    fuzz_require(json_string_length(json_object_get(error, "message")) > 0, "refused without a sentence");
    json_decref(answer);
    fuzz_refused++;
}

static void fuzz_part(struct http_call *c, size_t i, const struct hk_table *k)
{
    union hs_any msg, again;
    const struct hs_message *m = http_call_part(c, i, i + 1, &msg);
    size_t bound = hs_binary_bound(m, &msg);
    uint8_t *frame = malloc(bound);
    size_t len = hs_binary_encode(k, m, &msg, frame, bound);
    hearth_error err;
    fuzz_require(len > HS_FRAME_HEAD, "a message does not encode");
    fuzz_require(hs_binary_decode(m, frame + HS_FRAME_HEAD + 1, len - HS_FRAME_HEAD - 1, &again, &err) == HEARTH_OK,
                 "an encoded message does not decode");
    fuzz_require(again.generate.has == msg.generate.has, "a field was lost");
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hk_table kernels;
    struct http_call c;
    if (size == 0)
        return 0;
    if (!kernels.level)
        hk_select(&kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    http_call_init(&c, (enum http_route)(data[0] % HTTP_models), 1, 2, 3);
    if (http_call_read(&c, data + 1, size - 1, "")) {
        fuzz_require(c.n_parts >= 1 && c.n_parts <= HTTP_MAX_PARTS, "no parts, or too many");
        for (size_t i = 0; i < c.n_parts; i++)
            fuzz_part(&c, i, &kernels);
        fuzz_taken++;
    } else {
        fuzz_refusal(&c);
    }
    http_call_free(&c);
    return 0;
}

#ifndef FUZZ_ENGINE

static const char *const fuzz_bodies[] = {
    "\0{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{"
    "\"type\":\"text\",\"text\":\"b\"}]},"
    "{\"role\":\"user\",\"content\":\"\\u00e9\"}],\"max_tokens\":5,\"temperature\":0.5,\"stop\":[\"x\",\"y\"],\"n\":2,"
    "\"seed\":-7,\"user\":\"u\","
    "\"tools\":[],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{\"type\":"
    "\"object\"}}},"
    "\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
    "\1{\"prompt\":[[1,2],[3]],\"top_k\":40,\"min_p\":0.1,\"grammar\":\"root ::= "
    "[a-z]\",\"seed\":\"123\",\"logit_bias\":{}}",
    "\1{\"prompt\":[\"a\",\"b\"],\"n\":8,\"echo\":false,\"best_of\":1,\"suffix\":\"\",\"timeout_ms\":10,\"priority\":"
    "3}",
    "\2{\"input\":[\"a\",\"b\",\"c\"],\"encoding_format\":\"base64\",\"pooling\":1,\"no_normalize\":true,\"truncate\":"
    "false}",
    "\3{\"input\":\"a\",\"model\":\"c\",\"truncate\":true}",
};

/* Changes that JSON may survive: digits, quotes, brackets, pieces cut out or doubled. */
static size_t fuzz_mutate(uint8_t *at, size_t len, uint64_t *seed)
{
    static const char bytes[] = "0123456789-+.eE\"\\{}[],:nulltrue \0\xff\xc3";
    for (uint64_t n = test_rand(seed) % 4; n > 0 && len > 2; n--) {
        size_t i = 1 + test_rand(seed) % (len - 1), some = 1 + test_rand(seed) % 12;
        some = some < len - i ? some : len - i;
        switch (test_rand(seed) % 4) {
        case 0:
            at[i] = (uint8_t)bytes[test_rand(seed) % (sizeof bytes - 1)];
            break;
        case 1:
            at[i] ^= (uint8_t)(1u << test_rand(seed) % 8);
            break;
        case 2:
            memmove(at + i, at + i + some, len - i - some);
            len -= some;
            break;
        default:
            memmove(at + i + some, at + i, len - i);
            len += some;
        }
    }
    return len;
}

static int fuzz_replay(int n, char **paths)
{
    static uint8_t bytes[1 << 20];
    for (int i = 0; i < n; i++) {
        FILE *f = fopen(paths[i], "rb");
        if (!f)
            return 1;
        size_t len = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        LLVMFuzzerTestOneInput(bytes, len);
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t seed = 11;
    if (argc > 1)
        return fuzz_replay(argc - 1, argv + 1);
    for (int i = 0; i < 40000; i++) {
        const char *body = fuzz_bodies[(size_t)i % HB_COUNT(fuzz_bodies)];
        size_t len = 1 + strlen(body + 1);
        uint8_t *at = malloc(len + 64);
        memcpy(at, body, len);
        len = fuzz_mutate(at, len, &seed);
        uint8_t *exact = malloc(len);
        memcpy(exact, at, len);
        LLVMFuzzerTestOneInput(exact, len);
        free(exact);
        free(at);
    }
    printf("fuzz_http: taken %zu, refused %zu\n", fuzz_taken, fuzz_refused);
    fuzz_require(fuzz_taken > 4000 && fuzz_refused > 4000, "mutants are of one kind only");
    return 0;
}

#endif
