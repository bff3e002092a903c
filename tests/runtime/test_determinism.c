/* The order contract on whole models: logits are equal bit for bit for any number of threads, any
 * chunk, any company in the batch, wherever pages end, shared or computed, mapped or read, and for every
 * kernel level. Hashes are printed.
 *
 *     test_determinism           a cut through the matrix
 *     test_determinism matrix    all of it: 7 thread counts x 3 companies x 4 chunks x prefix on and off,
 *                                and each level with 4 chunks x prefix on and off */
#include "runtime_support.h"
#include "base/hb_port.h"

#define PROMPT 107 /* no whole pages; the answer crosses the end of one */

static uint64_t hash_logits(const float *logits, uint64_t h) /* FNV-1a over the bytes */
{
    const uint8_t *p = (const uint8_t *)logits;
    for (size_t i = 0; i < VOCAB * sizeof *logits; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

struct setting {
    int32_t threads, chunk, company;
    const char *level;
    uint32_t file_flags;
    const char *kv_type, *k_type; /* of values and keys; NULL: f16 */
    bool prefix; /* somebody else has computed the beginning, in other chunks */
};

/* The prompt was another sequence's; returns how much of it sequence 0 got. */
static int32_t share_prefix(hearth_session *s, const int32_t *tokens)
{
    int32_t done;
    for (int32_t at = 0; at < PROMPT - 3; at += 13) {
        hearth_item items[13];
        int32_t n = PROMPT - 3 - at < 13 ? PROMPT - 3 - at : 13;
        for (int32_t i = 0; i < n; i++)
            items[i] = (hearth_item){tokens[at + i], 8, 0};
        assert_int_equal(hearth_session_step(s, items, (size_t)n, NULL), HEARTH_OK);
    }
    assert_int_equal(hearth_seq_release(s, 8, NULL), HEARTH_OK);
    assert_int_equal(hearth_seq_match(s, 0, tokens, PROMPT, &done, NULL), HEARTH_OK);
    assert_int_equal(done, HEARTH_WITH_KV_CACHE ? (PROMPT - 3) / 16 * 16 : 0);
    return done;
}

/* Hash over the logits of the last prompt token and of eight greedy tokens after it. */
static uint64_t run(const char *path, const struct setting *t)
{
    hearth_file_config fc = {.struct_size = sizeof fc, .flags = t->file_flags};
    hearth_pool_config pc = {.struct_size = sizeof pc, .n_threads = t->threads};
    hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 128, .n_seqs = 9,
                                .n_batch = 256, .level = t->level,
                                .kv_type_k = t->k_type, .kv_type_v = t->kv_type};
    hearth_file *file;
    hearth_model *model;
    hearth_item items[256];
    int32_t tokens[PROMPT + 8], other[PROMPT];
    uint64_t h = 14695981039346656037u;
    hearth_error err;
    if (hearth_file_open(path, &fc, &file, &err) != HEARTH_OK)
        return 0;
    const hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
    assert_int_equal(hearth_model_open(&bytes, 1, NULL, &model, &err), HEARTH_OK);
    assert_int_equal(hearth_pool_open(&pc, &sc.pool, NULL), HEARTH_OK);
    hearth_session *s = test_session(model, &sc);
    test_tokens(tokens, PROMPT, 9);
    test_tokens(other, PROMPT, 10);
    for (int32_t done = t->prefix ? share_prefix(s, tokens) : 0; done < PROMPT + 8;) {
        int32_t left = PROMPT - done, now = left > t->chunk ? t->chunk : left;
        size_t n = 0;
        if (left <= 0)
            now = 1;
        for (int32_t q = 1; q <= t->company && done < PROMPT; q++) /* strangers in the same step */
            for (int32_t i = 0; i < (q < now ? q : now); i++)
                if (hearth_seq_length(s, q) + i < 100)
                    items[n++] = (hearth_item){other[(done + i + q) % PROMPT], q, 0};
        for (int32_t i = 0; i < now; i++)
            items[n++] = (hearth_item){tokens[done + i], 0, done + i + 1 >= PROMPT};
        done += now;
        if (hearth_session_step(s, items, n, &err) != HEARTH_OK)
            fail_msg("%s", err.text);
        if (done < PROMPT)
            continue;
        const float *logits = hearth_session_logits(s, 0);
        h = hash_logits(logits, h);
        int32_t best = 0;
        for (int32_t i = 1; i < VOCAB; i++)
            if (logits[i] > logits[best])
                best = i;
        if (done < PROMPT + 8)
            tokens[done] = best;
    }
    hearth_session_close(s);
    hearth_pool_close(sc.pool);
    hearth_model_close(model);
    hearth_file_close(file);
    return h;
}

static const char *const models[] = {
    DRAFT_Q8,
    HEARTH_SOURCE_DIR "/fixtures/models/books-33m-q4_k_m.gguf",
    HEARTH_SHARED_DIR "/fixtures/models/books-draft-6m-f16.gguf",
};

static void logits_do_not_depend_on_threads_chunks_or_company(void **state)
{
    (void)state;
    static const int32_t threads[] = {1, 2, 3, 8}, chunks[] = {1, 7, 32, 96};
    for (size_t m = 0; m < HB_COUNT(models); m++) {
        const struct setting plain = {.threads = 1, .chunk = PROMPT};
        uint64_t want = run(models[m], &plain);
        if (!want) {
            print_message("skipped: %s is not there\n", models[m]);
            continue;
        }
        print_message("%s: %016llx\n", strrchr(models[m], '/') + 1, (unsigned long long)want);
        for (size_t i = 0; i < HB_COUNT(threads); i++)
            for (size_t j = 0; j < HB_COUNT(chunks); j++) {
                const struct setting t = {threads[i], chunks[j], i % 2 ? 7 : 0, NULL,
                                          j % 2 ? HEARTH_FILE_NO_MMAP : 0, NULL, NULL,
                                          (i + j) % 2};
                if (run(models[m], &t) != want)
                    fail_msg("%s: %d threads, chunk %d, company %d, prefix %d", models[m], t.threads,
                             t.chunk, t.company, t.prefix);
            }
    }
}

static void every_level_gives_the_same_logits(void **state)
{
    (void)state;
    for (size_t m = 0; m < HB_COUNT(models); m++) {
        uint64_t want = 0;
        const char *level;
        for (size_t i = 0; (level = hearth_level_name(i)); i++) {
            const struct setting t = {.threads = 2, .chunk = PROMPT, .level = level};
            uint64_t h = run(models[m], &t);
            if (!h)
                break;
            print_message("%s %s: %016llx\n", strrchr(models[m], '/') + 1, level,
                          (unsigned long long)h);
            if (i > 0)
                assert_true(h == want);
            want = h;
        }
    }
}

/* Every storage type of the cache: one hash whatever the threads, the chunks and the level. */
static void cache_types_keep_the_contract(void **state)
{
    (void)state;
    static const char *const types[] = {"f32", "f16", "bf16", "q8_0", "q4_0"};
    static const char *const keys[] = {"f32", "f16+h", "bf16", "q8_0", "q4_0+h"};
    for (size_t k = 0; k < HB_COUNT(types); k++) {
        const struct setting plain = {.threads = 1, .chunk = PROMPT, .kv_type = types[k],
                                      .k_type = keys[k]};
        uint64_t want = run(DRAFT_Q8, &plain);
        const char *level;
        print_message("%s: %016llx\n", types[k], (unsigned long long)want);
        for (size_t i = 0; want && (level = hearth_level_name(i)); i++) {
            const struct setting t = {(int32_t)(1 + i), i % 2 ? 7 : 32, (int32_t)(i % 3 * 3), level, 0, types[k],
                                      keys[k], i % 2};
            uint64_t h = run(DRAFT_Q8, &t);
            if (!h)
                break;
            assert_true(h == want);
        }
    }
}

/* Runs of one model that must give `want`; chunks and prefix cache of each setting in turn. */
static size_t matrix_rows(const char *path, struct setting t, uint64_t want)
{
    static const int32_t chunks[] = {1, 7, 32, 512};
    size_t runs = 0;
    for (size_t c = 0; c < HB_COUNT(chunks); c++)
        for (int prefix = 0; prefix < 2; prefix++, runs++) {
            t.chunk = chunks[c] > PROMPT ? PROMPT : chunks[c];
            t.prefix = prefix;
            t.file_flags = (runs + (size_t)t.threads) % 2 ? HEARTH_FILE_NO_MMAP : 0;
            if (run(path, &t) != want)
                fail_msg("%s: %s: %d threads, chunk %d, company %d, prefix %d", path,
                         t.level ? t.level : "best level", t.threads, t.chunk, t.company, prefix);
        }
    return runs;
}

static void the_whole_matrix(void **state)
{
    (void)state;
    static const int32_t threads[] = {1, 2, 3, 4, 7, 8, 16}, company[] = {0, 1, 7};
    for (size_t m = 0; m < HB_COUNT(models); m++) {
        const struct setting plain = {.threads = 1, .chunk = PROMPT};
        const char *level;
        size_t runs = 2;
        uint64_t want = run(models[m], &plain);
        if (!want) {
            print_message("skipped: %s is not there\n", models[m]);
            continue;
        }
        assert_true(run(models[m], &plain) == want);
        for (size_t i = 0; i < HB_COUNT(threads); i++)
            for (size_t j = 0; j < HB_COUNT(company); j++)
                runs += matrix_rows(models[m],
                                    (struct setting){.threads = threads[i], .company = company[j]}, want);
        for (size_t i = 0; (level = hearth_level_name(i)); i++) {
            size_t n = matrix_rows(models[m], (struct setting){.threads = 2, .company = 1, .level = level},
                                   want);
            runs += n;
            print_message("%s %s: %016llx in %zu runs\n", strrchr(models[m], '/') + 1, level,
                          (unsigned long long)want, n);
        }
        print_message("%s: %016llx in %zu runs\n", strrchr(models[m], '/') + 1,
                      (unsigned long long)want, runs);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest matrix[] = {cmocka_unit_test(the_whole_matrix)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_do_not_depend_on_threads_chunks_or_company),
        cmocka_unit_test(every_level_gives_the_same_logits),
        cmocka_unit_test(cache_types_keep_the_contract),
    };
    if (argc > 1 && strcmp(argv[1], "matrix") == 0)
        return cmocka_run_group_tests(matrix, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
