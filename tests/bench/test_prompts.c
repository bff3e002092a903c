/* The prompt fixtures, and the traps that such files have been: a byte order mark, ids that end a text, more tokens
 * than there is room for, placeholders instead of models. */
#define _DEFAULT_SOURCE /* mkstemp */
#include "bench/suites/bn_fixtures.h"
#include "test_support.h"
#include <unistd.h>

#define PROMPTS HEARTH_SOURCE_DIR "/fixtures/prompts/"
#define MODELS  HEARTH_SOURCE_DIR "/fixtures/models/"

static char temporary[] = "/tmp/hearth-fixture-XXXXXX";

static void write_temporary(const char *text)
{
    FILE *f = fopen(temporary, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void the_three_prompts_have_ids_and_text(void **state)
{
    static const struct {
        const char *path;
        size_t n;
    } rows[] = {{PROMPTS "small.json", 100}, {PROMPTS "medium.json", 1000}, {PROMPTS "large.json", 4000}};
    for (size_t k = 0; k < 3; k++) {
        struct bn_prompt p;
        hearth_error err = {0};
        assert_int_equal(bn_prompt_read(rows[k].path, &p, &err), HEARTH_OK);
        assert_true(p.n == rows[k].n && p.max_tokens == 100 && p.temperature == 0.7f && strlen(p.text) > p.n);
        for (size_t i = 0; i < p.n; i++)
            assert_int_equal(p.ids[i], i + 1);
        bn_prompt_free(&p);
    }
}

#define GOOD(extra) "{\"model_id\": \"m\", \"prompt\": \"a\", \"prompt_tokens\": [1, 2], " extra                     \
                    "\"parameters\": {\"max_tokens\": 5, \"temperature\": 0.7}}"

static void other_files_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"\xEF\xBB\xBF" GOOD(""), "byte order mark"},
        {"{\"model_id\": ", "is no JSON"},
        {GOOD("\"prompt_token\": [], "), "the key prompt_token is not known"},
        {"{\"model_id\": \"m\", \"prompt_tokens\": [1], \"parameters\": {\"max_tokens\": 5, \"temperature\": 0.7}}", "prompt"},
        {"{\"model_id\": \"m\", \"prompt\": \"\", \"prompt_tokens\": [1, -2], \"parameters\": {\"max_tokens\": 5, \"temperature\": 0.7}}", "prompt_tokens[1]"},
        {"{\"model_id\": \"m\", \"prompt\": \"\", \"prompt_tokens\": [], \"parameters\": {\"max_tokens\": 5, \"temperature\": 0.7}}", "no list of 1 to"},
        {"{\"model_id\": \"m\", \"prompt\": \"\", \"prompt_tokens\": [1], \"parameters\": {\"max_tokens\": 0, \"temperature\": 0.7}}", "max_tokens 0"},
        {"{\"model_id\": \"m\", \"prompt\": \"\", \"prompt_tokens\": [1], \"parameters\": {\"max_tokens\": 5, \"temperature\": 3}}", "temperature 3"},
    };
    struct bn_prompt p;
    hearth_error err = {0};
    write_temporary(GOOD(""));
    assert_int_equal(bn_prompt_read(temporary, &p, &err), HEARTH_OK);
    bn_prompt_free(&p);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_temporary(rows[i].text);
        assert_int_not_equal(bn_prompt_read(temporary, &p, &err), HEARTH_OK);
        if (!strstr(err.text, rows[i].says))
            fail_msg("case %zu: %s", i, err.text);
    }
    assert_int_equal(bn_prompt_read("/nowhere", &p, &err), HEARTH_E_NOT_FOUND);
}

/* ---- what the engine makes of them ---- */

struct world {
    hearth_file *file;
    hearth_model *model;
    hearth_session *session;
};

static struct world world_open(const char *path)
{
    struct world w;
    assert_int_equal(hearth_file_open(path, NULL, &w.file, NULL), HEARTH_OK);
    hearth_bytes bytes = {hearth_file_bytes(w.file), hearth_file_size(w.file)};
    assert_int_equal(hearth_model_open(&bytes, 1, NULL, &w.model, NULL), HEARTH_OK);
    assert_int_equal(hearth_session_open(w.model, NULL, &w.session, NULL), HEARTH_OK);
    return w;
}

static void world_close(struct world *w)
{
    hearth_session_close(w->session);
    hearth_model_close(w->model);
    hearth_file_close(w->file);
}

static void a_prompt_beyond_the_context_is_refused_with_both_numbers(void **state)
{
    struct world w = world_open(MODELS "books-draft-6m-q8_0.gguf"); /* 1024 positions */
    struct bn_prompt p;
    hearth_generation *gen;
    hearth_error err = {0};
    const hearth_generation_config config = {.struct_size = sizeof config, .max_tokens = 100};
    assert_int_equal(bn_prompt_read(PROMPTS "large.json", &p, NULL), HEARTH_OK);
    assert_int_equal(hearth_generation_open(w.session, &config, &gen, NULL), HEARTH_OK);
    assert_int_equal(hearth_generation_prompt(gen, (const int32_t *)p.ids, p.n, &err), HEARTH_E_FULL);
    assert_non_null(strstr(err.text, "4000"));
    assert_non_null(strstr(err.text, "1024"));
    assert_int_equal(hearth_seq_length(w.session, 0), 0); /* nothing of it was taken, nothing dropped */
    hearth_generation_close(gen);
    bn_prompt_free(&p);
    world_close(&w);
}

static void an_end_token_inside_a_prompt_does_not_end_the_text(void **state)
{
    struct world w = world_open(MODELS "books-draft-6m-q8_0.gguf");
    hearth_generation *gen;
    const hearth_generation_config config = {.struct_size = sizeof config, .max_tokens = 5, .ignore_end = 0};
    int32_t prompt[] = {100, hearth_token_eos(w.model), 101, hearth_token_eos(w.model), 102, 103};
    int n = 0;
    assert_true(hearth_token_eos(w.model) >= 0 && hearth_token_is_end(w.model, prompt[1]));
    assert_int_equal(hearth_generation_open(w.session, &config, &gen, NULL), HEARTH_OK);
    assert_int_equal(hearth_generation_prompt(gen, prompt, 6, NULL), HEARTH_OK);
    for (hearth_piece piece = {.struct_size = sizeof piece}; piece.finish == HEARTH_FINISH_NONE; n++)
        assert_int_equal(hearth_generation_next(gen, &piece, NULL), HEARTH_OK);
    assert_true(n > 1);
    assert_true(hearth_seq_length(w.session, 0) >= 6);
    hearth_generation_close(gen);
    world_close(&w);
}

/* ---- model files ---- */

static void placeholders_are_refused_with_both_sizes(void **state)
{
    static const size_t sizes[] = {15, 22842};
    struct bn_manifest_row row;
    enum bn_origin origin;
    hearth_error err = {0};
    assert_int_equal(bn_manifest_find(MODELS "manifest.tsv", "phi3-mini-q4km.gguf", &row, NULL), HEARTH_OK);
    assert_true(row.bytes == 2393231072u);
    for (size_t i = 0; i < 2; i++) {
        char expected[64], filler[22843];
        memset(filler, 'x', sizes[i]);
        filler[sizes[i]] = 0;
        write_temporary(filler);
        assert_int_equal(bn_origin_of(temporary, &row, "", &origin, &err), HEARTH_E_MISMATCH);
        snprintf(expected, sizeof expected, "placeholder: %zu bytes found, 2393231072 expected", sizes[i]);
        assert_string_equal(err.text, expected);
    }
    assert_int_equal(bn_origin_of("/nowhere", &row, "", &origin, &err), HEARTH_E_NOT_FOUND);
}

static void weights_are_named_by_checksum_and_by_what_the_file_says(void **state)
{
    struct bn_manifest_row row;
    enum bn_origin origin;
    const char *own = MODELS "books-draft-6m-q8_0.gguf";
    assert_int_equal(bn_manifest_find(MODELS "manifest.tsv", "books-draft-6m-q8_0.gguf", &row, NULL), HEARTH_OK);
    assert_int_equal(bn_origin_of(own, &row, "books-draft", &origin, NULL), HEARTH_OK);
    assert_int_equal(origin, BN_OWN);
    assert_int_equal(bn_origin_of(own, &row, "synthetic x (random weights)", &origin, NULL), HEARTH_OK);
    assert_int_equal(origin, BN_SYNTHETIC);
    row.sha256[0] = row.sha256[0] == '0' ? '1' : '0';
    assert_int_equal(bn_origin_of(own, &row, "", &origin, NULL), HEARTH_OK);
    assert_int_equal(origin, BN_UNKNOWN);
    assert_int_equal(bn_manifest_find(MODELS "manifest.tsv", "no-such.gguf", &row, NULL), HEARTH_E_NOT_FOUND);
    write_temporary("name without columns\n");
    assert_int_equal(bn_manifest_find(temporary, "x", &row, NULL), HEARTH_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_prompts_have_ids_and_text),
        cmocka_unit_test(other_files_are_refused_with_a_reason),
        cmocka_unit_test(a_prompt_beyond_the_context_is_refused_with_both_numbers),
        cmocka_unit_test(an_end_token_inside_a_prompt_does_not_end_the_text),
        cmocka_unit_test(placeholders_are_refused_with_both_sizes),
        cmocka_unit_test(weights_are_named_by_checksum_and_by_what_the_file_says),
    };
    int fd = mkstemp(temporary);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(temporary);
    return failed;
}
