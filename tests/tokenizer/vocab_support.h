/* Vocabularies for tests: from a GGUF file, or made up in a few lines. */
#ifndef VOCAB_SUPPORT_H
#define VOCAB_SUPPORT_H

#include "test_support.h"
#include "gguf/hg_vocab.h"
#include "tokenizer/hv_tokenizer.h"

struct vocab {
    struct hb_arena arena;
    char *file;
    size_t file_bytes;
    struct hg_file gguf;
    struct hv_config config;
    struct hv_tokenizer *tok;
};

static inline void *vocab_alloc(void *user, size_t size)
{
    (void)user;
    return malloc(size);
}

static inline void vocab_free(void *user, void *ptr, size_t size)
{
    (void)user;
    (void)size;
    free(ptr);
}

static const struct hb_alloc vocab_heap = {vocab_alloc, vocab_free, NULL};

/* A whole file, NULL if it is not there. */
static inline char *vocab_read(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*size + 1);
    if (bytes && fread(bytes, 1, *size, f) != *size) {
        free(bytes);
        bytes = NULL;
    }
    fclose(f);
    return bytes;
}

static inline void vocab_close(struct vocab *v)
{
    hb_arena_release(&v->arena);
    free(v->file);
}

/* The tokenizer of a GGUF file; false if the file is not there (err->text is empty) or refused. */
static inline bool vocab_open(struct vocab *v, const char *path, hearth_error *err)
{
    memset(v, 0, sizeof *v);
    hb_arena_init_growing(&v->arena, &vocab_heap);
    v->file = vocab_read(path, &v->file_bytes);
    if (!v->file)
        return false;
    hearth_bytes bytes = {v->file, v->file_bytes};
    err->text[0] = 0;
    struct hg_vocab vocab;
    if (hg_open(&bytes, 1, &v->arena, &v->gguf, err) == HEARTH_OK &&
        hg_vocab_config(&v->gguf, &v->arena, &vocab, err) == HEARTH_OK) {
        v->config = vocab.config;
        if (hv_tokenizer_create(&v->arena, &v->config, &v->tok, err) == HEARTH_OK)
            return true;
    }
    vocab_close(v);
    return false;
}

/* All ids of a text, in memory of the heap. */
static inline int32_t *vocab_encode(const struct hv_tokenizer *tok, const char *text, size_t len,
                                    uint32_t flags, size_t *n)
{
    size_t bytes = hv_encode_scratch_for(tok, text, len, flags);
    size_t most = hv_encode_max_ids(tok, len);
    void *scratch = malloc(bytes + 1);
    int32_t *ids = malloc(most * sizeof *ids);
    hearth_error err;
    if (hv_encode(tok, text, len, flags, scratch, bytes, ids, most, n, &err) != HEARTH_OK) {
        fprintf(stderr, "encode: %s\n", err.text);
        abort();
    }
    free(scratch);
    return ids;
}

#endif
