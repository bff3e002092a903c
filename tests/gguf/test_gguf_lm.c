/* Files to graphs: the models at hand, and what a build refuses (hardening rows G-13 ... G-18, G-27 ...
 * G-29). */
#include "gguf_writer.h"
#include "gguf/hg_lm.h"

static void the_books_models_become_graphs(void **state)
{
    (void)state;
    static const struct {
        const char *path, *type;
        int32_t n_layers, n_embd, n_heads, n_kv_heads, n_ctx;
    } models[] = {
        {HEARTH_SOURCE_DIR "/fixtures/models/books-33m-q4_k_m.gguf", "q4_k", 8, 512, 8, 4, 4096},
        {HEARTH_SOURCE_DIR "/fixtures/models/books-draft-6m-q8_0.gguf", "q8_0", 3, 256, 4, 2, 1024},
        {HEARTH_SHARED_DIR "/fixtures/models/books-draft-6m-f16.gguf", "f16", 3, 256, 4, 2, 1024},
    };
    for (size_t i = 0; i < HB_COUNT(models); i++) {
        struct gw w = {0};
        hearth_error err;
        if (!gw_read(&w, models[i].path)) {
            print_message("skipped: %s is not there\n", models[i].path);
            continue;
        }
        struct gw_heap heap = {.refuse_at = -1};
        struct hb_arena arena = gw_arena(&heap);
        struct hg_file file;
        struct hg_facts facts;
        struct ht_lm lm;
        hearth_bytes part = {w.at, w.len};
        assert_int_equal(hg_open(&part, 1, &arena, &file, &err), HEARTH_OK);
        if (hg_load_lm(&file, &arena, &lm, &err) != HEARTH_OK)
            fail_msg("%s: %s", models[i].path, err.text);
        assert_int_equal(hg_facts(&file, &arena, &facts, &err), HEARTH_OK);
        assert_string_equal(facts.architecture, "llama");
        assert_string_equal(facts.file_type, models[i].type);
        assert_int_equal(lm.n_layers, models[i].n_layers);
        assert_int_equal(lm.n_embd, models[i].n_embd);
        assert_int_equal(lm.n_heads, models[i].n_heads);
        assert_int_equal(lm.n_kv_heads, models[i].n_kv_heads);
        assert_int_equal(lm.n_ctx_train, models[i].n_ctx);
        assert_int_equal(lm.n_vocab, 16384);
        assert_int_equal(lm.kv[1].d_k, lm.n_embd / lm.n_heads);
        assert_int_equal(lm.graph.n_outputs, 1);
        hb_arena_release(&arena);
        assert_int_equal(heap.live, 0);
        gw_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_books_models_become_graphs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
