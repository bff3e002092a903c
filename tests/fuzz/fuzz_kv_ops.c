/* Fuzz target: operations on the KV cache, against a naive model of it (tests/runtime/kv_world.h).
 *
 * The first byte chooses policy, window and prefix cache; then four bytes are an operation each, from appends
 * to restores. An operation whose first byte is 0xFF changes a byte of the sequence that was saved last:
 * restoring it must be refused and change nothing.
 *
 * Built with -fsanitize=fuzzer this is a libFuzzer target (FUZZ_ENGINE defined); otherwise main replays the
 * files named on the command line, or without any a generated corpus. */
#include "runtime/kv_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_damage(struct world *w, const uint8_t b[4])
{
    if (!w->file || b[3] == 0)
        return;
    size_t at = ((size_t)b[1] << 8 | b[2]) % w->file_bytes;
    w->file[at] ^= b[3];
    if (hr_kv_restore(&w->kv, &w->origin, b[1] % WORLD_SEQS, w->file, w->file_bytes, NULL) == HEARTH_OK)
        fail_msg("a change at byte %zu of a saved sequence was not noticed", at);
    w->file[at] ^= b[3];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int32_t windows[][2] = {{0, 0}, {4, 100}, {0, 64}, {70, 33}};
    static struct world w;
    if (size == 0)
        return 0;
    const struct world_config c = {.sink = windows[data[0] % 4][0], .window = windows[data[0] % 4][1],
                                   .policy = (hearth_evict)((data[0] >> 2) % 3),
                                   .no_prefix = data[0] >> 7};
    world_make(&w, &c);
    for (size_t i = 1; i + 4 <= size; i += 4) {
        if (data[i] == 0xFF)
            fuzz_damage(&w, data + i);
        else
            world_op(&w, data + i);
        world_check(&w);
    }
    world_free(&w);
    return 0;
}

#ifndef FUZZ_ENGINE
static int replay_file(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "fuzz_kv_ops: cannot read %s\n", path);
        return 2;
    }
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    return LLVMFuzzerTestOneInput(bytes, n);
}

static void replay_generated(void)
{
    uint64_t seed = 23;
    for (int round = 0; round < 120; round++) {
        uint8_t data[1 + 4 * 400];
        for (size_t i = 0; i < sizeof data; i++)
            data[i] = (uint8_t)(test_rand(&seed) >> 32);
        LLVMFuzzerTestOneInput(data, sizeof data);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        replay_generated();
    for (int i = 1; i < argc; i++)
        if (replay_file(argv[i]) != 0)
            return 2;
    return 0;
}
#endif
