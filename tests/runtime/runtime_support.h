/* A small real model for tests of the runtime: books-draft-6m-q8_0 from fixtures/models. */
#ifndef RUNTIME_SUPPORT_H
#define RUNTIME_SUPPORT_H

#include "test_support.h"
#include <stdbool.h>

#define DRAFT_Q8 HEARTH_SOURCE_DIR "/fixtures/models/books-draft-6m-q8_0.gguf"
#define VOCAB    16384

/* Counts what is alive, and refuses the n-th allocation when asked. */
struct test_heap {
    size_t live, blocks, total;
    long refuse_at; /* -1: none */
    bool closed;    /* every allocation is a failure of the test */
};

static inline void *test_heap_alloc(void *user, size_t size)
{
    struct test_heap *h = user;
    if (h->closed)
        fail_msg("allocation of %zu bytes after create", size);
    if (h->refuse_at == 0)
        return NULL;
    if (h->refuse_at > 0)
        h->refuse_at--;
    h->live += size;
    h->blocks++;
    h->total++;
    return malloc(size);
}

static inline void test_heap_free(void *user, void *ptr, size_t size)
{
    struct test_heap *h = user;
    h->live -= size;
    h->blocks--;
    free(ptr);
}

static inline hearth_allocator test_heap_hooks(struct test_heap *h)
{
    return (hearth_allocator){test_heap_alloc, test_heap_free, h};
}

static inline hearth_model *test_model(hearth_file **file)
{
    hearth_error err;
    hearth_model *model;
    if (hearth_file_open(DRAFT_Q8, NULL, file, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    const hearth_bytes bytes = {hearth_file_bytes(*file), hearth_file_size(*file)};
    if (hearth_model_open(&bytes, 1, NULL, &model, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    return model;
}

static inline hearth_session *test_session(const hearth_model *model,
                                           const hearth_session_config *config)
{
    hearth_error err;
    hearth_session *session;
    if (hearth_session_open(model, config, &session, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    return session;
}

/* n tokens of a fixed walk through the vocabulary. */
static inline void test_tokens(int32_t *tokens, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        tokens[i] = (int32_t)(test_rand(&seed) % VOCAB);
}

#endif
