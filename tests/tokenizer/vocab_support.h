/* Vocabularies for tests: from a GGUF file, or made up in a few lines. */
#ifndef VOCAB_SUPPORT_H
#define VOCAB_SUPPORT_H

#include "test_support.h"
#include "gguf/hg_gguf.h"
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

static inline const struct hv_text *vocab_texts(struct vocab *v, const char *key, size_t *n)
{
    const struct hg_meta *meta = hg_meta_find(&v->gguf, key);
    *n = 0;
    if (!meta)
        return NULL;
    struct hv_text *texts;
    if (HB_ARENA_NEW(&v->arena, struct hv_text, meta->count, &texts, NULL) != HEARTH_OK)
        return NULL;
    const uint8_t *at = meta->data;
    for (size_t i = 0; i < meta->count; i++) {
        struct hg_text t = hg_meta_next_string(&at);
        texts[i] = (struct hv_text){t.bytes, t.len};
    }
    *n = meta->count;
    return texts;
}

static inline void vocab_id(struct vocab *v, const char *key, int32_t *id)
{
    int64_t value = *id;
    hg_meta_int(&v->gguf, key, false, INT64_MIN, INT64_MAX, &value, NULL);
    *id = value < INT32_MAX ? (int32_t)value : -1;
}

static inline void vocab_flag(struct vocab *v, const char *key, int *flag)
{
    bool value;
    if (hg_meta_find(&v->gguf, key) &&
        hg_meta_bool(&v->gguf, key, true, &value, NULL) == HEARTH_OK)
        *flag = value;
}

static inline struct hv_text vocab_string(struct vocab *v, const char *key)
{
    struct hg_text t = {"", 0};
    hg_meta_string(&v->gguf, key, false, 4096, &t, NULL);
    return (struct hv_text){t.bytes, t.len};
}

static inline void vocab_config(struct vocab *v)
{
    struct hv_text model = vocab_string(v, "tokenizer.ggml.model");
    enum hv_kind kind = model.len == 5   ? HV_SPM /* llama */
                        : model.bytes[0] == 'b' ? HV_WPM /* bert */
                                                : HV_BPE; /* gpt2 */
    struct hv_config *c = &v->config;
    hv_config_init(c, kind);
    c->pre = vocab_string(v, "tokenizer.ggml.pre");
    c->tokens = vocab_texts(v, "tokenizer.ggml.tokens", &c->n_tokens);
    c->merges = vocab_texts(v, "tokenizer.ggml.merges", &c->n_merges);
    const struct hg_meta *meta = hg_meta_find(&v->gguf, "tokenizer.ggml.scores");
    c->scores = meta ? meta->data : NULL;
    c->n_scores = meta ? meta->count : 0;
    meta = hg_meta_find(&v->gguf, "tokenizer.ggml.token_type");
    c->types = meta ? meta->data : NULL;
    c->n_types = meta ? meta->count : 0;
    vocab_id(v, "tokenizer.ggml.bos_token_id", &c->bos);
    vocab_id(v, "tokenizer.ggml.eos_token_id", &c->eos);
    vocab_id(v, "tokenizer.ggml.unknown_token_id", &c->unk);
    vocab_id(v, "tokenizer.ggml.seperator_token_id", &c->sep);
    vocab_id(v, "tokenizer.ggml.padding_token_id", &c->pad);
    vocab_flag(v, "tokenizer.ggml.add_bos_token", &c->add_bos);
    vocab_flag(v, "tokenizer.ggml.add_eos_token", &c->add_eos);
    vocab_flag(v, "tokenizer.ggml.add_space_prefix", &c->add_space_prefix);
    c->strip = hv_strip_rule(vocab_string(v, "general.name"), c->pre,
                             vocab_string(v, "general.architecture"));
}

static inline void vocab_close(struct vocab *v)
{
    hb_arena_release(&v->arena);
    free(v->file);
}

/* The tokenizer of a GGUF file; false if the file is not there. Other failures end the program. */
static inline bool vocab_open(struct vocab *v, const char *path, hearth_error *err)
{
    memset(v, 0, sizeof *v);
    hb_arena_init_growing(&v->arena, &vocab_heap);
    v->file = vocab_read(path, &v->file_bytes);
    if (!v->file)
        return false;
    hearth_bytes bytes = {v->file, v->file_bytes};
    err->text[0] = 0;
    if (hg_open(&bytes, 1, &v->arena, &v->gguf, err) == HEARTH_OK) {
        vocab_config(v);
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
