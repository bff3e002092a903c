/* The main of a fuzz target that is replayed: files named on the command line, or without any a generated corpus.
 * Built with -fsanitize=fuzzer (FUZZ_ENGINE defined) a target has no main of its own. */
#ifndef FUZZ_REPLAY_H
#define FUZZ_REPLAY_H

#include "test_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_REQUIRE(ok, what)                                                                     \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, what);                              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* How many inputs got as far as what is tested; a corpus that gets nowhere shows here. */
static unsigned long fuzz_inputs, fuzz_taken;

static inline int fuzz_replay(int argc, char **argv, void (*generated)(void))
{
    static uint8_t bytes[1 << 20];
    if (argc < 2)
        generated();
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) {
            fprintf(stderr, "%s: cannot be read\n", argv[i]);
            return 2;
        }
        size_t size = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        LLVMFuzzerTestOneInput(bytes, size);
    }
    printf("%lu inputs, %lu taken\n", fuzz_inputs, fuzz_taken);
    if (argc < 2)
        FUZZ_REQUIRE(fuzz_taken > 1000, "the corpus gets nowhere");
    return 0;
}

#endif
