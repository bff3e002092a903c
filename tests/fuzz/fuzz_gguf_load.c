/* Fuzz target: bytes to a model, a plan, and one token.
 *
 * Oracles: the sanitizers; no leak; refusals have a status and a sentence and are never an internal
 * error; memory below 96 MiB, so no count of the file makes us allocate more than the file can fill.
 *
 * Built with -fsanitize=fuzzer this is a libFuzzer target (FUZZ_ENGINE defined):
 *
 *     cmake -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DHEARTH_DEBUG=ON \
 *           -DHEARTH_SANITIZE=fuzzer-no-link,address,undefined && cmake --build build/fuzz --target hearth
 *     clang -g -O1 -std=c11 -DFUZZ_ENGINE -fsanitize=fuzzer,address,undefined -Iinclude -Isrc -Itests \
 *           tests/fuzz/fuzz_gguf_load.c build/fuzz/libhearth.a -lcmocka -o build/fuzz/fuzz_gguf_load
 *     build/fuzz/fuzz_gguf_load -dict=tests/fuzz/gguf.dict -max_len=16384 CORPUS
 *
 * test_gguf_read writes seeds with HEARTH_WRITE_CORPUS=CORPUS. Otherwise main replays the files named on
 * the command line, or without any, mutants of the toy and of fixtures/arch from fixed seeds. */
#include "gguf/toy_gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_gguf_load: %s\n", what);
    abort();
}

static size_t fuzz_outcomes[TOY_DONE + 1];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_heap heap = {.refuse_at = -1};
    hearth_error err;
    hearth_status status;
    enum toy_stage stage = toy_through(data, size, &heap, &status, &err);
    fuzz_require(heap.live == 0, "memory was not given back");
    fuzz_require(status != HEARTH_E_INTERNAL, "an internal error");
    fuzz_require(status != HEARTH_E_MEMORY, "a heap that never refuses, and yet out of memory");
    fuzz_require(status == HEARTH_OK || (err.status == status && err.text[0]), "no sentence");
    fuzz_require(heap.peak < (96u << 20) + 64 * size, "too much memory");
    fuzz_outcomes[stage]++;
    return 0;
}

#ifndef FUZZ_ENGINE

static const char *const fuzz_models[] = {"llama", "llama3-bias", "qwen2", "qwen3-q8_0",
                                          "phi3-long-q8_0", "gemma2-q8_0", "gemma3"};

/* One to four changes: a byte, a number that is often wrong, a piece cut out or doubled. */
static void fuzz_mutate(struct gw *w, uint64_t *seed)
{
    static const uint64_t numbers[] = {0,       1,           0x7F,        0xFF,        0xFFFF,
                                       0x10000, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu, 1ull << 32,
                                       1ull << 61, (1ull << 63) - 1, 1ull << 63, UINT64_MAX};
    for (uint64_t n = 1 + test_rand(seed) % 4; n > 0; n--) {
        size_t head = w->len < 4096 ? w->len : 4096, at = (size_t)(test_rand(seed) % head);
        size_t some = 1 + (size_t)(test_rand(seed) % 32);
        uint64_t v = numbers[test_rand(seed) % HB_COUNT(numbers)];
        size_t width = test_rand(seed) & 1 ? 4 : 8;
        switch (test_rand(seed) % 4) {
        case 0:
            w->at[at] = (uint8_t)test_rand(seed);
            break;
        case 1:
            for (size_t i = 0; i < width && at + i < w->len; i++)
                w->at[at + i] = (uint8_t)(v >> (8 * i));
            break;
        case 2:
            some = some < w->len - at ? some : w->len - at;
            memmove(w->at + at, w->at + at + some, w->len - at - some);
            w->len -= some;
            break;
        default:
            for (size_t i = 0; i < some && at + some + i < w->len; i++)
                w->at[at + some + i] = w->at[at + i];
        }
        if (w->len == 0)
            return;
    }
}

static void fuzz_mutants(const uint8_t *bytes, size_t n, int count, uint64_t *seed)
{
    for (int i = 0; i < count; i++) {
        struct gw w = {0};
        gw_bytes(&w, bytes, n);
        if (i)
            fuzz_mutate(&w, seed);
        uint8_t *exact = malloc(w.len ? w.len : 1);
        memcpy(exact, w.at, w.len);
        LLVMFuzzerTestOneInput(exact, w.len);
        free(exact);
        gw_free(&w);
    }
}

static int fuzz_replay(int n, char **paths)
{
    for (int i = 0; i < n; i++) {
        struct gw w = {0};
        if (!gw_read(&w, paths[i])) {
            fprintf(stderr, "fuzz_gguf_load: %s: cannot be read\n", paths[i]);
            return 1;
        }
        LLVMFuzzerTestOneInput(w.at, w.len);
        gw_free(&w);
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t seed = 20;
    const struct toy_patch patch = {0};
    struct gw toy = {0};
    if (argc > 1)
        return fuzz_replay(argc - 1, argv + 1);
    toy_write(&toy, &patch);
    fuzz_mutants(toy.at, toy.len, 4000, &seed);
    gw_free(&toy);
    for (size_t i = 0; i < HB_COUNT(fuzz_models); i++) {
        char path[512];
        struct gw w = {0};
        snprintf(path, sizeof path, HEARTH_SOURCE_DIR "/fixtures/arch/%s.gguf", fuzz_models[i]);
        if (!gw_read(&w, path))
            return 1;
        fuzz_mutants(w.at, w.len, 400, &seed);
        gw_free(&w);
    }
    printf("fuzz_gguf_load: refused at open %zu, at plan %zu, at run %zu; ran %zu\n",
           fuzz_outcomes[TOY_OPEN], fuzz_outcomes[TOY_PLAN], fuzz_outcomes[TOY_RUN],
           fuzz_outcomes[TOY_DONE]);
    return 0;
}

#endif
