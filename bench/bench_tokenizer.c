/* Is encoding linear, and how fast is it? One thread.
 *
 *   bench_tokenizer VOCAB.gguf [--text=FILE] [--max=16777216] [--pre=NAME] [--level=NAME] [--plain]
 *
 * JSON lines: creation (ms, bytes); ns per byte of inputs that have hurt tokenizers elsewhere, from
 * 1 KiB to --max; MB/s of a text file. A vocabulary that lacks tokens for some bytes cannot give random
 * bytes back; that is said, as any other input that does not come back would be. */
#define _POSIX_C_SOURCE 200809L
#include "tokenizer/vocab_support.h"
#include "base/os/hb_os.h"
#include "kernels/kernels.h"
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* not what others take from us */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const struct {
    const char *name, *unit; /* unit NULL: random bytes */
} inputs[] = {
    {"letter", "a"}, {"space", " "}, {"newline", "\n"}, {"digit", "7"}, {"apostrophe", "'"},
    {"mark", "\xCC\x81"}, {"emoji_zwj", "\xF0\x9F\x91\xA9\xE2\x80\x8D"}, {"alternating", "a1"},
    {"letter_space", "a "}, {"cased", "aB\xE4\xB8\xAD"}, {"random", NULL},
};

static void fill(char *text, size_t n, const char *unit)
{
    uint64_t seed = 9;
    size_t len = unit ? strlen(unit) : 1;
    for (size_t i = 0; i < n; i++)
        text[i] = unit ? unit[i % len] : (char)(test_rand(&seed) >> 32);
}

/* Seconds of the fastest of a few runs; ids in *n. */
static double time_encode(const struct vocab *v, const char *text, size_t len, size_t *n)
{
    size_t need = hv_encode_scratch_for(v->tok, text, len, 0);
    size_t most = hv_encode_max_ids(v->tok, len);
    char *scratch = malloc(need + 1);
    int32_t *ids = malloc(most * sizeof *ids);
    double best = 1e9, spent = 0;
    for (int run = 0; run < 50 && (run < 3 || spent < (len > 4000000 ? 3.0 : 0.2)); run++) {
        double start = now();
        if (hv_encode(v->tok, text, len, 0, scratch, need, ids, most, n, NULL) != HEARTH_OK)
            exit(1);
        double took = now() - start;
        best = took < best ? took : best;
        spent += took;
    }
    size_t at = 0;
    for (size_t i = 0; v->config.kind == HV_BPE && i < *n; i++) {
        const char *bytes;
        size_t piece;
        if (hv_piece(v->tok, ids[i], 0, &bytes, &piece, NULL) != HEARTH_OK || piece > len - at ||
            memcmp(text + at, bytes, piece) != 0) {
            fprintf(stderr, "bench_tokenizer: byte %zu of %zu does not come back\n", at, len);
            break;
        }
        at += piece;
    }
    free(scratch);
    free(ids);
    return best;
}

static void bench_creation(struct vocab *v)
{
    double best = 1e9;
    size_t bytes = 0;
    for (int run = 0; run < 5; run++) {
        struct hb_arena arena;
        struct hv_tokenizer *tok;
        hb_arena_init_growing(&arena, &vocab_heap);
        double start = now();
        if (hv_tokenizer_create(&arena, &v->config, &tok, NULL) != HEARTH_OK)
            exit(1);
        double took = now() - start;
        best = took < best ? took : best;
        bytes = hb_arena_high(&arena);
        hb_arena_release(&arena);
    }
    printf("{\"bench\":\"create\",\"tokens\":%zu,\"merges\":%zu,\"ms\":%.2f,\"bytes\":%zu}\n",
           v->config.n_tokens, v->config.n_merges, best * 1e3, bytes);
}

int main(int argc, char **argv)
{
    struct vocab v;
    hearth_error err = {0};
    size_t max = (size_t)16 << 20;
    enum hk_level level = HK_LEVEL_COUNT;
    if (argc < 2 || !vocab_open(&v, argv[1], &err)) {
        fprintf(stderr, "bench_tokenizer: %s: %s\n", argc < 2 ? "no vocabulary" : argv[1], err.text);
        return 2;
    }
    const char *file = NULL;
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--text=", 7) == 0)
            file = argv[i] + 7;
        else if (strncmp(argv[i], "--max=", 6) == 0)
            max = (size_t)strtoull(argv[i] + 6, NULL, 10);
        else if (strncmp(argv[i], "--level=", 8) == 0)
            level = hk_level_from_name(argv[i] + 8);
        else if (strcmp(argv[i], "--plain") == 0)
            v.config.cache_words = 0;
        else if (strncmp(argv[i], "--pre=", 6) == 0)
            v.config.pre = (struct hv_text){argv[i] + 6, strlen(argv[i] + 6)};
    }
    if (hv_tokenizer_create(&v.arena, &v.config, &v.tok, &err) != HEARTH_OK)
        return 2;
    if (v.config.cache_words) {
        struct hk_table kernels;
        hk_select(&kernels, hb_os_cpu_features(), level);
        hv_classify_by(v.tok, kernels.classify);
    }
    bench_creation(&v);
    char *text = malloc(max + 1);
    for (size_t k = 0; k < sizeof inputs / sizeof *inputs; k++) {
        printf("{\"bench\":\"linear\",\"input\":\"%s\",\"ns_per_byte\":{", inputs[k].name);
        static const size_t sizes[] = {1u << 10, 1u << 14, 1u << 18, 1u << 20, 1u << 24};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes && sizes[i] <= max; i++) {
            size_t ids, n = sizes[i];
            fill(text, n, inputs[k].unit);
            double t = time_encode(&v, text, n, &ids);
            printf("%s\"%zu\":%.1f", i ? "," : "", n, t * 1e9 / (double)n);
            fflush(stdout);
        }
        printf("}}\n");
    }
    size_t len = 0, ids;
    char *bytes = file ? vocab_read(file, &len) : NULL;
    if (bytes) {
        double t = time_encode(&v, bytes, len, &ids);
        printf("{\"bench\":\"text\",\"bytes\":%zu,\"ids\":%zu,\"mb_per_s\":%.1f}\n", len, ids,
               (double)len / 1e6 / t);
    }
    return 0;
}
