/* Every architecture against transformers: tiny random models of fixtures/arch (its README says how
 * they are made), replayed through hearth.h. Logits of f32 models within 1e-4; f16 and q8_0 stores of
 * the same weights within bounds of their rounding. The prompt is also given in chunks of seven
 * with three threads, which must change no bit. */
#include "gguf_writer.h"
#include <math.h>

#define DIR HEARTH_SOURCE_DIR "/fixtures/arch/"

struct arch_ref {
    struct gw bytes;
    uint32_t n_ctx, n_tokens, n_rows, n_vocab;
    const int32_t *tokens, *rows;
    const float *logits;
};

static void ref_read(const char *name, struct arch_ref *r)
{
    char path[512];
    snprintf(path, sizeof path, DIR "%s.ref", name);
    *r = (struct arch_ref){0};
    assert_true(gw_read(&r->bytes, path));
    const uint32_t *head = (const uint32_t *)(const void *)r->bytes.at;
    assert_memory_equal(head, "HREF", 4);
    r->n_ctx = head[1];
    r->n_tokens = head[2];
    r->n_rows = head[3];
    r->n_vocab = head[4];
    r->tokens = (const int32_t *)(const void *)(head + 5);
    r->rows = r->tokens + r->n_tokens;
    r->logits = (const float *)(const void *)(r->rows + r->n_rows);
    assert_int_equal(r->bytes.len,
                     4 * (5 + r->n_tokens + r->n_rows + (size_t)r->n_rows * r->n_vocab));
}

static hearth_model *model_open(struct gw *w, const char *name)
{
    char path[512];
    hearth_error err;
    hearth_model *model;
    snprintf(path, sizeof path, DIR "%s.gguf", name);
    assert_true(gw_read(w, path));
    hearth_bytes bytes = {w->at, w->len};
    if (hearth_model_open(&bytes, 1, NULL, &model, &err) != HEARTH_OK)
        fail_msg("%s: %s", name, err.text);
    return model;
}

/* Logits of the wanted rows, with the prompt in chunks; small ones are computed by three threads. */
static void run_prompt(const char *name, const hearth_model *model, const struct arch_ref *r,
                       size_t chunk, const char *kv, float *logits)
{
    hearth_error err;
    hearth_session *session;
    hearth_item items[64];
    hearth_pool *pool = NULL;
    const hearth_pool_config threads = {.struct_size = sizeof threads, .n_threads = 3};
    if (chunk < 64)
        assert_int_equal(hearth_pool_open(&threads, &pool, NULL), HEARTH_OK);
    const hearth_session_config config = {.struct_size = sizeof config,
                                          .n_ctx = (int32_t)r->n_ctx,
                                          .n_batch = (int32_t)chunk,
                                          .n_logits = (int32_t)chunk,
                                          .kv_type_k = kv,
                                          .kv_type_v = kv,
                                          .pool = pool};
    if (hearth_session_open(model, &config, &session, &err) != HEARTH_OK)
        fail_msg("%s: %s", name, err.text);
    size_t row = 0;
    for (size_t at = 0; at < r->n_tokens; at += chunk) {
        size_t n = r->n_tokens - at < chunk ? r->n_tokens - at : chunk, wanted = 0;
        for (size_t i = 0; i < n; i++) {
            bool want = row + wanted < r->n_rows && r->rows[row + wanted] == (int32_t)(at + i);
            items[i] = (hearth_item){r->tokens[at + i], 0, want};
            wanted += want;
        }
        if (hearth_session_step(session, items, n, &err) != HEARTH_OK)
            fail_msg("%s: %s", name, err.text);
        for (size_t i = 0; i < wanted; i++)
            memcpy(logits + (row + i) * r->n_vocab, hearth_session_logits(session, i),
                   r->n_vocab * sizeof *logits);
        row += wanted;
    }
    assert_int_equal(row, r->n_rows);
    hearth_session_close(session);
    if (pool)
        hearth_pool_close(pool);
}

static void logits_equal_the_reference(void **state)
{
    static const struct {
        const char *name, *ref;
        double bound;
    } cases[] = {
        {"llama", "llama", 1e-4},
        {"llama-f16", "llama", 2e-2},
        {"llama-q8_0", "llama", 0.4},
        {"llama3-bias", "llama3-bias", 1e-4},
        {"llama-yarn", "llama-yarn", 1e-4},
        {"mistral-window", "mistral-window", 1e-4},
        {"qwen2", "qwen2", 1e-4},
        {"qwen3", "qwen3", 1e-4},
        {"qwen3-q8_0", "qwen3", 0.4},
        {"phi3-short", "phi3-short", 1e-4},
        {"phi3-long", "phi3-long", 1e-4},
        {"phi3-long-q8_0", "phi3-long", 0.4},
        {"gemma2", "gemma2", 1e-4},
        {"gemma2-q8_0", "gemma2", 0.4},
        {"gemma3", "gemma3", 1e-4},
        {"mixtral", "mixtral", 1e-4},
        {"qwen3moe", "qwen3moe", 1e-4},
        {"qwen3moe-q8_0", "qwen3moe", 0.4},
        {"gpt-oss", "gpt-oss", 1e-4},
        {"gpt-oss-mxfp4", "gpt-oss", 0.4},
    };
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        struct arch_ref r;
        struct gw w = {0};
        ref_read(cases[i].ref, &r);
        hearth_model *model = model_open(&w, cases[i].name);
        size_t n = (size_t)r.n_rows * r.n_vocab;
        float *whole = malloc(n * sizeof *whole), *parts = malloc(n * sizeof *parts);
        run_prompt(cases[i].name, model, &r, 64, "f32", whole);
        run_prompt(cases[i].name, model, &r, 7, "f32", parts);
        assert_memory_equal(whole, parts, n * sizeof *whole);
        double worst = 0;
        for (size_t j = 0; j < n; j++)
            worst = fmax(worst, fabs((double)whole[j] - (double)r.logits[j]));
        bool ok = worst <= cases[i].bound;
        bad += !ok;
        print_message("%-16s max |difference| %.2e, bound %.0e%s\n", cases[i].name, worst,
                      cases[i].bound, ok ? "" : "  PASSED BY");
        hearth_model_close(model);
        free(whole);
        free(parts);
        gw_free(&w);
        gw_free(&r.bytes);
    }
    assert_int_equal(bad, 0);
}

/* The value of a 4-byte key, in place. */
static uint8_t *key_value(const struct gw *w, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i + n + 8 <= w->len; i++)
        if (memcmp(w->at + i, key, n) == 0)
            return w->at + i + n + 4;
    fail_msg("no key %s", key);
    return NULL;
}

/* Guards the test above: each key, set to a harmless other value, must change the logits. */
static void every_key_of_the_fixtures_matters(void **state)
{
    static const struct {
        const char *name, *key;
        double value;
        bool whole; /* a u32, else f32 */
    } cases[] = {
        {"llama", "llama.rope.freq_base", 500, false},
        {"llama", "llama.attention.layer_norm_rms_epsilon", 0.1, false},
        {"llama-yarn", "llama.rope.scaling.factor", 8, false},
        {"llama-yarn", "llama.rope.scaling.original_context_length", 64, true},
        {"llama-yarn", "llama.rope.scaling.attn_factor", 1.1, false},
        {"mistral-window", "llama.attention.sliding_window", 10, true},
        {"mistral-window", "llama.rope.scaling.factor", 1, false},
        {"phi3-long", "phi3.attention.sliding_window", 14, true},
        {"phi3-long", "phi3.rope.scaling.original_context_length", 64, true},
        {"phi3-short", "phi3.rope.scaling.original_context_length", 15, true},
        {"phi3-long", "phi3.rope.scaling.attn_factor", 1, false},
        {"gemma2", "gemma2.attention.sliding_window", 9, true},
        {"gemma2", "gemma2.attention.scale", 0.25, false},
        {"gemma2", "gemma2.attn_logit_softcapping", 50, false},
        {"gemma2", "gemma2.final_logit_softcapping", 30, false},
        {"gemma3", "gemma3.attention.sliding_window", 9, true},
        {"gemma3", "gemma3.rope.freq_base_swa", 100, false},
        {"gemma3", "gemma3.rope.freq_base", 10000, false},
        {"gemma3", "gemma3.rope.scaling.factor", 1, false},
        {"mixtral", "llama.expert_used_count", 3, true},
        {"qwen3moe", "qwen3moe.expert_used_count", 2, true},
        {"gpt-oss", "gpt-oss.expert_used_count", 1, true},
        {"gpt-oss", "gpt-oss.attention.sliding_window", 8, true},
        {"gpt-oss", "gpt-oss.rope.scaling.yarn_beta_fast", 32, false},
    };
    (void)state;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        struct arch_ref r;
        struct gw w = {0};
        char path[512];
        hearth_error err;
        hearth_model *model;
        ref_read(cases[i].name, &r);
        snprintf(path, sizeof path, DIR "%s.gguf", cases[i].name);
        assert_true(gw_read(&w, path));
        float real = (float)cases[i].value;
        uint32_t whole = (uint32_t)cases[i].value;
        memcpy(key_value(&w, cases[i].key), cases[i].whole ? (void *)&whole : (void *)&real, 4);
        hearth_bytes bytes = {w.at, w.len};
        if (hearth_model_open(&bytes, 1, NULL, &model, &err) != HEARTH_OK)
            fail_msg("%s: %s", cases[i].name, err.text);
        size_t n = (size_t)r.n_rows * r.n_vocab;
        float *logits = malloc(n * sizeof *logits);
        double worst = 0;
        run_prompt(cases[i].name, model, &r, 64, "f32", logits);
        for (size_t j = 0; j < n; j++)
            worst = fmax(worst, fabs((double)logits[j] - (double)r.logits[j]));
        if (worst < 1e-3)
            fail_msg("%s: %s changes the logits by %g only", cases[i].name, cases[i].key, worst);
        free(logits);
        hearth_model_close(model);
        gw_free(&w);
        gw_free(&r.bytes);
    }
}

/* Bytes at an odd address give the same bits. */
static void bytes_may_lie_anywhere(void **state)
{
    static const char *const names[][2] = {{"llama", "llama"}, {"qwen2", "qwen2"},
                                           {"llama-q8_0", "llama"}, {"gemma2-q8_0", "gemma2"},
                                           {"qwen3moe-q8_0", "qwen3moe"}, {"gpt-oss", "gpt-oss"}};
    (void)state;
    for (size_t i = 0; i < HB_COUNT(names); i++) {
        struct arch_ref r;
        struct gw w = {0};
        hearth_error err;
        hearth_model *odd;
        ref_read(names[i][1], &r);
        hearth_model *model = model_open(&w, names[i][0]);
        uint8_t *shifted = malloc(w.len + 1);
        memcpy(shifted + 1, w.at, w.len);
        hearth_bytes bytes = {shifted + 1, w.len};
        assert_int_equal(hearth_model_open(&bytes, 1, NULL, &odd, &err), HEARTH_OK);
        size_t n = (size_t)r.n_rows * r.n_vocab;
        float *even_logits = malloc(n * sizeof(float)), *odd_logits = malloc(n * sizeof(float));
        run_prompt(names[i][0], model, &r, 7, "f16", even_logits);
        run_prompt(names[i][0], odd, &r, 7, "f16", odd_logits);
        assert_memory_equal(even_logits, odd_logits, n * sizeof(float));
        hearth_model_close(model);
        hearth_model_close(odd);
        free(shifted);
        free(even_logits);
        free(odd_logits);
        gw_free(&w);
        gw_free(&r.bytes);
    }
}

/* NAME.tok: texts, and the ids that tokenizers gives without special tokens. */
static void ids_equal_the_reference(void **state)
{
    static const char *const names[] = {"llama3-bias", "qwen2", "gemma3"};
    (void)state;
    for (size_t i = 0; i < HB_COUNT(names); i++) {
        char path[512];
        struct gw tok = {0}, w = {0};
        hearth_error err;
        snprintf(path, sizeof path, DIR "%s.tok", names[i]);
        assert_true(gw_read(&tok, path));
        hearth_model *model = model_open(&w, names[i]);
        size_t n_texts = 0;
        for (size_t at = 0; at < tok.len; n_texts++) {
            uint32_t len, n_ids;
            int32_t want[256], ids[256];
            size_t n = 0;
            memcpy(&len, tok.at + at, 4);
            const char *text = (const char *)tok.at + at + 4;
            memcpy(&n_ids, tok.at + at + 4 + len, 4);
            assert_true(n_ids <= HB_COUNT(want));
            memcpy(want, tok.at + at + 8 + len, 4 * n_ids);
            at += 8 + len + 4 * (size_t)n_ids;
            if (hearth_tokenize(model, text, len, HEARTH_TOKENIZE_PARSE_SPECIAL, ids, HB_COUNT(ids),
                                &n, &err) != HEARTH_OK)
                fail_msg("%s: %s", names[i], err.text);
            if (n != n_ids || memcmp(ids, want, 4 * n))
                fail_msg("%s: other ids for \"%.*s\"", names[i], (int)len, text);
        }
        print_message("%s: %zu texts\n", names[i], n_texts);
        hearth_model_close(model);
        gw_free(&w);
        gw_free(&tok);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_equal_the_reference),
        cmocka_unit_test(every_key_of_the_fixtures_matters),
        cmocka_unit_test(bytes_may_lie_anywhere),
        cmocka_unit_test(ids_equal_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
