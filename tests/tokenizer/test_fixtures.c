/* Vocabularies of real models: every text of the .inp file gives the ids of the .out file. The
 * fixtures are other people's data and lie outside of this tree. */
#include "tokenizer/vocab_support.h"
#include "tokenizer/hv_normalize.h"

static const char marker[] = "\n__ggml_vocab_test__\n";

/* Compare one line of ids; returns false at the first difference. */
static bool same_ids(const int32_t *ids, size_t n, const char *line, const char *end)
{
    size_t i = 0;
    while (line < end) {
        char *next;
        long id = strtol(line, &next, 10);
        if (next == line || next > end)
            break;
        if (i >= n || ids[i] != id)
            return false;
        i++;
        line = next;
    }
    return i == n;
}

static void check(const char *name)
{
    char path[512];
    struct vocab v;
    hearth_error err;
    size_t inp_bytes = 0, out_bytes = 0;
    snprintf(path, sizeof path, HEARTH_SHARED_DIR "/fixtures/tokenizers/ggml-vocab-%s.gguf", name);
    if (!vocab_open(&v, path, &err)) {
        if (err.text[0])
            fail_msg("%s: %s", name, err.text);
        printf("skipped: %s is not there\n", path);
        skip();
    }
    strcat(path, ".inp");
    char *inp = vocab_read(path, &inp_bytes);
    strcpy(path + strlen(path) - 3, "out");
    char *out = vocab_read(path, &out_bytes);
    assert_non_null(inp);
    assert_non_null(out);
    inp[inp_bytes] = out[out_bytes] = 0;

    size_t n_texts = 0;
    const char *line = out;
    for (char *text = inp; text; n_texts++) {
        char *end = strstr(text, marker);
        size_t len = end ? (size_t)(end - text) : strlen(text);
        const char *line_end = strchr(line, '\n');
        if (!line_end)
            line_end = line + strlen(line);
        if (!end && *line == 0) /* the marker that ends the file */
            break;
        size_t n;
        int32_t *ids = vocab_encode(v.tok, text, len, 0, &n);
        if (!same_ids(ids, n, line, line_end)) {
            for (size_t i = 0; i < n; i++)
                printf(" %d", ids[i]);
            fail_msg("%s: text %zu '%.*s' gives other ids, expected%.*s", name, n_texts, (int)len,
                     text, (int)(line_end - line), line);
        }
        free(ids);
        line = *line_end ? line_end + 1 : line_end;
        text = end ? end + strlen(marker) : NULL;
    }
    printf("%s: %zu texts, %zu bytes of memory\n", name, n_texts, hb_arena_used(&v.arena));
    assert_true(n_texts > 40);
    free(inp);
    free(out);
    vocab_close(&v);
}

static void gpt2_ids_are_exact(void **state)
{
    check("gpt-2");
}

static void starcoder_ids_are_exact(void **state)
{
    check("starcoder");
}

static void deepseek_llm_ids_are_exact(void **state)
{
    check("deepseek-llm");
}

static void llama_spm_ids_are_exact(void **state)
{
    check("llama-spm");
}

static void phi3_ids_are_exact(void **state)
{
    check("phi-3");
}

static void bert_bge_ids_are_exact(void **state)
{
    if (!hv_normalize_available()) {
        printf("skipped: WordPiece is not in this build\n");
        skip();
    }
    check("bert-bge");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_ids_are_exact),      cmocka_unit_test(starcoder_ids_are_exact),
        cmocka_unit_test(deepseek_llm_ids_are_exact), cmocka_unit_test(llama_spm_ids_are_exact),
        cmocka_unit_test(phi3_ids_are_exact),         cmocka_unit_test(bert_bge_ids_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
