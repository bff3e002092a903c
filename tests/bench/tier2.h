/* What the tests of tier 2 share: the models of this tree, opened once, and a count of the tests that ran one. The last
 * line of each program says how many did and what its weights are; reports are made from it. */
#ifndef TIER2_H
#define TIER2_H

#include "bench/instruments/bn_latency.h"
#include "bench/instruments/bn_memory.h"
#include "bench/instruments/bn_meter.h"
#include "bench/instruments/bn_stats.h"
#include "test_support.h"
#include <math.h>

#define TIER2_MODELS HEARTH_SOURCE_DIR "/fixtures/models/"

struct tier2 {
    hearth_file *file, *vocabulary;
    hearth_model *model;
    hearth_session *session;
    hearth_tokenizer *tokenizer;
    hearth_encoder *encoder;
    hearth_pool *pool;
    const char *name;
    int n_tests, n_ran; /* of them, those that ran the model */
};

static inline void tier2_open(struct tier2 *t, const char *name, int32_t n_ctx)
{
    hearth_error err = {0};
    char path[256];
    t->name = name;
    snprintf(path, sizeof path, TIER2_MODELS "%s", name);
    const hearth_pool_config pool = {.struct_size = sizeof pool};
    assert_int_equal(hearth_pool_open(&pool, &t->pool, &err), HEARTH_OK);
    hearth_session_config config = {.struct_size = sizeof config, .n_ctx = n_ctx, .pool = t->pool};
    assert_int_equal(hearth_file_open(path, NULL, &t->file, &err), HEARTH_OK);
    hearth_bytes bytes = {hearth_file_bytes(t->file), hearth_file_size(t->file)};
    assert_int_equal(hearth_model_open(&bytes, 1, NULL, &t->model, &err), HEARTH_OK);
    assert_int_equal(hearth_session_open(t->model, &config, &t->session, &err), HEARTH_OK);
}

static inline void tier2_open_encoder(struct tier2 *t, const char *name)
{
    hearth_error err = {0};
    tier2_open(t, name, 0);
    assert_int_equal(hearth_file_open(TIER2_MODELS "tokenizer.json", NULL, &t->vocabulary, &err), HEARTH_OK);
    hearth_bytes bytes = {hearth_file_bytes(t->vocabulary), hearth_file_size(t->vocabulary)};
    assert_int_equal(hearth_tokenizer_open(&bytes, NULL, &t->tokenizer, &err), HEARTH_OK);
    const hearth_encoder_config config = {.struct_size = sizeof config, .session = t->session, .tokenizer = t->tokenizer};
    assert_int_equal(hearth_encoder_open(&config, &t->encoder, &err), HEARTH_OK);
}

static inline void tier2_close(struct tier2 *t)
{
    hearth_encoder_close(t->encoder);
    hearth_tokenizer_close(t->tokenizer);
    hearth_session_close(t->session);
    hearth_model_close(t->model);
    hearth_pool_close(t->pool);
    hearth_file_close(t->file);
    hearth_file_close(t->vocabulary);
}

static inline void tier2_say(const struct tier2 *t)
{
    printf("tier2: %d tests, %d ran a model: %s, own weights\n", t->n_tests, t->n_ran, t->name);
}

#endif
