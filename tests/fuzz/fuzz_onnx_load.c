/* Fuzz target: bytes into the ONNX loader.
 *
 * Oracles: the decoder takes the slim copy of what the walk lets through; a model that
 * loads has data where its tensors say, inside the bytes if they are borrowed.
 *
 * Built with -fsanitize=fuzzer this is a libFuzzer target (FUZZ_ENGINE defined); otherwise main replays
 * the files named on the command line, or without any changed copies of the toy BERT. */
#include "test_support.h"
#include "base/os/hb_os.h"
#include "onnx/hx_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_onnx_load: %s\n", what);
    abort();
}

static void fuzz_decoder(const uint8_t *data, size_t size)
{
    struct hb_arena arena;
    struct hx_wire wire;
    hb_arena_init_growing(&arena, hb_os_heap());
    if (hx_wire_walk(data, size, &arena, &wire, NULL) == HEARTH_OK) {
        HxPb__Model *slim = hx_pb__model__unpack(NULL, wire.slim_bytes, wire.slim);
        HxPb__Model *whole = hx_pb__model__unpack(NULL, size, data);
        fuzz_require(slim != NULL, "the slim copy does not decode");
        /* groups in unknown fields are dropped by the walk and not known to protobuf-c */
        fuzz_require(!whole || !slim->graph == !whole->graph, "the slim copy lost the graph");
        hx_pb__model__free_unpacked(slim, NULL);
        if (whole)
            hx_pb__model__free_unpacked(whole, NULL);
    }
    hb_arena_release(&arena);
}

static void fuzz_tensors(const struct hx_graph *g, const uint8_t *data, size_t size)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < g->n_initializers; i++) {
        const struct hx_tensor *t = &g->initializers[i];
        const uint8_t *p = t->data;
        if (t->borrowed && t->size_bytes)
            fuzz_require(p >= data && t->size_bytes <= size && p <= data + size - t->size_bytes,
                         "borrowed data outside of the bytes");
        for (size_t k = 0; p && k < t->size_bytes; k++)
            sum += p[k]; /* so that the sanitizer sees every byte */
    }
    fuzz_require(sum != UINT64_MAX, "sum");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hb_arena arena;
    struct hx_model model;
    hearth_error err;
    hb_arena_init_growing(&arena, hb_os_heap());
    if (hx_load(data, size, &arena, NULL, &model, &err) == HEARTH_OK)
        fuzz_tensors(&model.graph, data, size);
    else
        fuzz_require(err.text[0] != 0, "a refusal without a sentence");
    hb_arena_release(&arena);
    fuzz_decoder(data, size);
    return 0;
}

#ifndef FUZZ_ENGINE
/* Changes that keep a file interesting: a byte, a run copied to another place, a cut. */
static void replay_changed(const uint8_t *from, size_t n)
{
    uint64_t seed = 29;
    uint8_t *bytes = malloc(n);
    for (int round = 0; round < 3000; round++) {
        memcpy(bytes, from, n);
        size_t len = n;
        for (uint64_t k = test_rand(&seed) % 3 + 1; k > 0; k--) {
            size_t at = test_rand(&seed) % n, to = test_rand(&seed) % n, run = test_rand(&seed) % 32;
            run = run < n - at ? run : n - at;
            run = run < n - to ? run : n - to;
            if (round % 3 == 0)
                memmove(bytes + to, bytes + at, run);
            else
                bytes[at] = (uint8_t)test_rand(&seed);
            if (round % 7 == 0)
                len = to;
        }
        LLVMFuzzerTestOneInput(bytes, len);
    }
    free(bytes);
}

static int replay_file(const char *path, bool change)
{
    struct hb_file file;
    hearth_error err;
    if (hb_os_file_open(path, HB_MAP_NO_MMAP, 0, &file, &err) != HEARTH_OK) {
        fprintf(stderr, "fuzz_onnx_load: %s\n", err.text);
        return 2;
    }
    LLVMFuzzerTestOneInput(file.bytes, file.size);
    if (change)
        replay_changed(file.bytes, file.size);
    hb_os_file_close(&file);
    return 0;
}

int main(int argc, char **argv)
{
    int rc = argc < 2 ? replay_file(HEARTH_SOURCE_DIR "/tests/onnx/toy_bert.onnx", true) : 0;
    for (int i = 1; i < argc && rc == 0; i++)
        rc = replay_file(argv[i], false);
    return rc;
}
#endif
