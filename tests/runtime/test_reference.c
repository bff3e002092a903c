/* Another engine's numbers (PyTorch, float32): prompt ids, last logits, greedy continuation, and the
 * texts they make. The F16 file is read from the shared fixtures, and said to be missing if it is. */
#include "runtime_support.h"
#include <math.h>

static const char prompt[] = "It was a dark and stormy night, and the old house";

static const int32_t prompt_ids[] = {
    960, 330, 261, 1277, 288, 16379, 963, 14, 288, 263, 751, 962,
};
static const float last_logits[16] = {
    -1.163574f, -12.55921f, -12.57797f, 3.317813f, -0.6984463f, -5.486195f,
    -7.39077f, -9.37303f, -7.685746f, 0.2139381f, -4.303557f, -3.416201f,
    -5.295404f, -6.314909f, 7.507019f, 6.658293f,
};
static const int32_t top5[5] = {330, 286, 366, 14, 297};
static const int32_t greedy[64] = {
    330, 261, 646, 507, 286, 263, 769, 14, 288, 263, 962, 330, 261, 646, 507, 286,
    263, 769, 14, 288, 263, 962, 330, 261, 646, 507, 286, 263, 769, 14, 288, 263,
    962, 330, 261, 646, 507, 286, 263, 769, 14, 288, 263, 962, 330, 261, 646, 507,
    286, 263, 769, 14, 288, 263, 962, 330, 261, 646, 507, 286, 263, 769, 14, 288,
};

#define F16_FILE HEARTH_SHARED_DIR "/fixtures/models/books-draft-6m-f16.gguf"

static bool open_f16(hearth_file **file, hearth_model **model)
{
    hearth_error err;
    if (hearth_file_open(F16_FILE, NULL, file, &err) != HEARTH_OK) {
        print_message("skipped: %s\n", err.text);
        return false;
    }
    const hearth_bytes bytes = {hearth_file_bytes(*file), hearth_file_size(*file)};
    if (hearth_model_open(&bytes, 1, NULL, model, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    return true;
}

static int32_t argmax(const float *logits)
{
    int32_t best = 0;
    for (int32_t i = 1; i < VOCAB; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static void ids_logits_and_greedy_tokens_are_pytorchs(void **state)
{
    (void)state;
    static float logits[VOCAB];
    hearth_file *file;
    hearth_model *model;
    int32_t ids[64];
    size_t n;
    double worst = 0;
    if (!open_f16(&file, &model))
        skip();
    assert_int_equal(hearth_tokenize(model, prompt, strlen(prompt), HEARTH_TOKENIZE_SPECIAL, ids, 64,
                                     &n, NULL),
                     HEARTH_OK);
    assert_int_equal(n, sizeof prompt_ids / sizeof *prompt_ids);
    assert_memory_equal(ids, prompt_ids, sizeof prompt_ids);
    for (int f32 = 0; f32 < 2; f32++) { /* the cache in f16, as usual, and in f32 */
        const char *type = f32 ? "f32" : "f16";
        const hearth_session_config c = {.struct_size = sizeof c, .kv_type_k = type,
                                         .kv_type_v = type};
        hearth_session *exact = test_session(model, &c);
        assert_int_equal(hearth_session_eval(exact, ids, n, logits, NULL), HEARTH_OK);
        hearth_session_close(exact);
        worst = 0;
        for (int i = 0; i < 16; i++)
            worst = fmax(worst, fabs((double)logits[i] - (double)last_logits[i]));
        print_message("%s cache: largest difference of a logit %.2g\n", type, worst);
        assert_true(worst <= (f32 ? 2e-5 : 2e-3));
    }
    for (int i = 0; i < 5; i++) { /* the five largest, in order */
        int32_t best = argmax(logits);
        assert_int_equal(best, top5[i]);
        logits[best] = -INFINITY;
    }
    hearth_session *s = test_session(model, NULL);
    assert_int_equal(hearth_session_eval(s, ids, n, logits, NULL), HEARTH_OK);
    for (int i = 0; i < 64; i++) {
        int32_t token = argmax(logits);
        assert_int_equal(token, greedy[i]);
        assert_int_equal(hearth_session_eval(s, &token, 1, logits, NULL), HEARTH_OK);
    }
    hearth_session_close(s);
    hearth_model_close(model);
    hearth_file_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_logits_and_greedy_tokens_are_pytorchs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
