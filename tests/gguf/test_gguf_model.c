/* GGUF models through hearth.h: the draft of the books continues a text as the reference does. */
#include "gguf_writer.h"
#include <math.h>

#define MODEL HEARTH_SHARED_DIR "/fixtures/models/books-draft-6m-f16.gguf"

/* books-reference.json, books-draft-6m: prompt_ids and greedy64_ids */
static const int32_t prompt[] = {
    960, 330, 261, 1277, 288, 16379, 963, 14, 288, 263, 751, 962};
static const int32_t greedy[] = {
    330, 261, 646, 507, 286, 263, 769, 14, 288, 263, 962, 330, 261, 646, 507, 286, 263, 769, 14,
    288, 263, 962, 330, 261, 646, 507, 286, 263, 769, 14, 288, 263, 962, 330, 261, 646, 507,
    286, 263, 769, 14, 288, 263, 962, 330, 261, 646, 507, 286, 263, 769, 14, 288, 263, 962, 330,
    261, 646, 507, 286, 263, 769, 14, 288};

static void greedy_ids_equal_the_reference(void **state)
{
    (void)state;
    hearth_error err;
    struct gw w = {0};
    if (!gw_read(&w, MODEL)) {
        print_message("skipped: %s is not there\n", MODEL);
        return;
    }
    hearth_bytes bytes = {w.at, w.len};
    hearth_model *model;
    hearth_session *session;
    if (hearth_model_open(&bytes, 1, NULL, &model, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    if (hearth_session_open(model, NULL, &session, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    hearth_model_info info = {.struct_size = sizeof info};
    hearth_model_get_info(model, &info);
    float *logits = malloc((size_t)info.vocab_size * sizeof *logits);
    const int32_t *next = prompt;
    size_t n = HB_COUNT(prompt);
    int32_t best = 0;
    for (size_t i = 0; i < HB_COUNT(greedy); i++) {
        if (hearth_session_eval(session, next, n, logits, &err) != HEARTH_OK)
            fail_msg("%s", err.text);
        best = 0;
        for (int32_t j = 1; j < info.vocab_size; j++)
            if (logits[j] > logits[best])
                best = j;
        assert_int_equal(best, greedy[i]);
        next = &best;
        n = 1;
    }
    free(logits);
    hearth_session_close(session);
    hearth_model_close(model);
    gw_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_ids_equal_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
