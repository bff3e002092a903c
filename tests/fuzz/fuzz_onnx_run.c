/* Fuzz target: bytes as an ONNX model that is loaded, imported, fused, planned and run on zeros, with every
 * byte of memory from one counting heap.
 *
 * Oracles: a refusal has a sentence; nothing leaks; outputs are inside the session's memory and readable;
 * the second run gives the bits of the first one, and so does the graph without rewrites its shapes.
 *
 * Built with -fsanitize=fuzzer this is a libFuzzer target (FUZZ_ENGINE defined); otherwise main replays the
 * files named on the command line, or changed copies of the models of run_rows.def and of the toy BERT. */
#include "onnx/mini_onnx.h"
#include "base/os/hb_os.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RUN_INPUTS = 16, RUN_OUTPUTS = 64, RUN_BYTES = 1 << 16 };

static uint8_t zeros[RUN_BYTES] __attribute__((aligned(64)));
static size_t live;
static unsigned long n_opened, n_ran;

static void *run_alloc(void *user, size_t size)
{
    (void)user;
    live += size;
    return malloc(size);
}

static void run_free(void *user, void *p, size_t size)
{
    (void)user;
    live -= size;
    free(p);
}

static void run_require(bool ok, const char *what, const hearth_error *err)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_onnx_run: %s (%s)\n", what, err ? err->text : "");
    abort();
}

/* Zeros in the declared shapes, 2 where any number is right; false: too large or of no known type. */
static bool run_inputs(const hearth_model *model, hearth_tensor *in, size_t *n)
{
    *n = hearth_model_input_count(model);
    if (*n > RUN_INPUTS || hearth_model_output_count(model) > RUN_OUTPUTS)
        return false;
    for (size_t i = 0; i < *n; i++) {
        hearth_io_info io = {.struct_size = sizeof io};
        if (hearth_model_input(model, i, &io, NULL) != HEARTH_OK)
            return false;
        hearth_dtype type = io.type == HEARTH_DTYPE_NONE ? HEARTH_DTYPE_F32 : io.type;
        in[i] = (hearth_tensor){.name = io.name, .type = type, .rank = io.rank < 0 ? 1 : io.rank, .data = zeros,
                                .bytes = hearth_dtype_size(type)};
        for (int32_t d = 0; d < in[i].rank; d++) {
            in[i].dim[d] = io.rank < 0 || io.dim[d] < 0 ? 2 : io.dim[d];
            if (in[i].dim[d] > RUN_BYTES || (in[i].bytes *= (size_t)in[i].dim[d]) > RUN_BYTES)
                return false;
        }
    }
    return true;
}

static uint64_t run_sum(const hearth_tensor *out, size_t n)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < out[i].bytes; k++)
            h = (h ^ ((const uint8_t *)out[i].data)[k]) * 1099511628211u;
    return h;
}

static void run_model(const hearth_model *model, hearth_allocator hooks)
{
    const hearth_session_config sc = {.struct_size = sizeof sc, .max_bytes = 1 << 20, .allocator = hooks};
    hearth_tensor in[RUN_INPUTS], out[RUN_OUTPUTS];
    hearth_session *session;
    hearth_error err = {0};
    size_t n, n_out = hearth_model_output_count(model);
    hearth_status status = hearth_session_open(model, &sc, &session, &err);
    if (status != HEARTH_OK) {
        run_require(err.text[0], "a session is refused without a sentence", NULL);
        return;
    }
    if (run_inputs(model, in, &n)) {
        status = hearth_session_infer(session, in, n, out, n_out, &err);
        run_require(status == HEARTH_OK || err.text[0], "a run fails without a sentence", NULL);
        run_require(status != HEARTH_E_INTERNAL, "a defect", &err);
        if (status == HEARTH_OK) {
            uint64_t sum = run_sum(out, n_out);
            n_ran++;
            run_require(hearth_session_infer(session, in, n, out, n_out, &err) == HEARTH_OK &&
                            run_sum(out, n_out) == sum, "the second run differs", &err);
        }
    }
    hearth_session_close(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const hearth_allocator hooks = {run_alloc, run_free, NULL};
    const hearth_bytes bytes = {data, size};
    for (uint32_t flags = 0; flags <= HEARTH_MODEL_NO_FUSION; flags += HEARTH_MODEL_NO_FUSION) {
        const hearth_model_config mc = {.struct_size = sizeof mc, .flags = flags, .allocator = hooks};
        hearth_model *model;
        hearth_error err = {0};
        if (size == 0 || hearth_model_open(&bytes, 1, &mc, &model, &err) != HEARTH_OK) {
            run_require(size == 0 || err.text[0], "a refusal without a sentence", NULL);
        } else {
            n_opened++;
            run_model(model, hooks);
            hearth_model_close(model);
        }
        run_require(live == 0, "memory is lost", NULL);
    }
    return 0;
}

#ifndef FUZZ_ENGINE
static const struct {
    const char *row, *model;
} seeds[] = {
#define OK(row, model, says) {row, model},
#define NO(row, model, status, says) {row, model},
#include "onnx/run_rows.def"
#undef OK
#undef NO
};

/* Changes that keep a file interesting: bytes, small numbers, runs copied to another place, a cut. */
static void replay_changed(const uint8_t *from, size_t n, int rounds, uint64_t seed)
{
    uint8_t *bytes = malloc(n);
    for (int round = 0; round < rounds; round++) {
        size_t len = n;
        memcpy(bytes, from, n);
        for (uint64_t k = test_rand(&seed) % 3 + 1; k > 0; k--) {
            size_t at = test_rand(&seed) % n, to = test_rand(&seed) % n, run = test_rand(&seed) % 16;
            run = run < n - at ? run : n - at;
            run = run < n - to ? run : n - to;
            if (round % 4 == 0)
                memmove(bytes + to, bytes + at, run);
            else if (round % 4 == 1)
                bytes[at] = (uint8_t)(bytes[at] + test_rand(&seed) % 7 - 3);
            else
                bytes[at] ^= (uint8_t)(1u << test_rand(&seed) % 8);
            if (round % 29 == 0)
                len = to;
        }
        LLVMFuzzerTestOneInput(bytes, len);
    }
    free(bytes);
}

static int replay_file(const char *path, int rounds)
{
    struct hb_file file;
    hearth_error err;
    if (hb_os_file_open(path, HB_MAP_NO_MMAP, 0, &file, &err) != HEARTH_OK) {
        fprintf(stderr, "fuzz_onnx_run: %s\n", err.text);
        return 2;
    }
    LLVMFuzzerTestOneInput(file.bytes, file.size);
    replay_changed(file.bytes, file.size, rounds, 31);
    hb_os_file_close(&file);
    return 0;
}

int main(int argc, char **argv)
{
    int rc = argc < 2 ? replay_file(HEARTH_SOURCE_DIR "/tests/onnx/toy_bert.onnx", 3000) : 0;
    for (int i = 1; i < argc && rc == 0; i++)
        rc = replay_file(argv[i], 0);
    for (size_t i = 0; argc < 2 && i < sizeof seeds / sizeof *seeds; i++) {
        if (strcmp(seeds[i].row, "O-14") == 0)
            continue; /* loops that end after millions of turns only cost time */
        struct pb m = mini_model(seeds[i].model);
        replay_changed(m.at, m.n, 60, i);
        pb_free(&m);
    }
    printf("%lu opened, %lu ran\n", n_opened, n_ran);
    return rc ? rc : argc < 2 && n_ran < 1000;
}
#endif
