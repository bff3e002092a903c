/* Vocabularies of a few tokens, written out. */
#ifndef SMALL_VOCABS_H
#define SMALL_VOCABS_H

#include "tokenizer/vocab_support.h"

#define SMALL_MAX 400

struct small {
    struct hb_arena arena;
    struct hv_text tokens[SMALL_MAX], merges[64];
    int32_t types[SMALL_MAX];
    float scores[SMALL_MAX];
    char bytes[256][8]; /* texts of the byte tokens */
    struct hv_config config;
    struct hv_tokenizer *tok;
    hearth_error err;
};

static inline int32_t small_add(struct small *s, const char *text, int32_t type, float score)
{
    size_t i = s->config.n_tokens++;
    s->tokens[i] = (struct hv_text){text, strlen(text)};
    s->types[i] = type;
    s->scores[i] = score;
    return (int32_t)i;
}

static inline void small_merge(struct small *s, const char *merge)
{
    s->merges[s->config.n_merges++] = (struct hv_text){merge, strlen(merge)};
}

static inline void small_begin(struct small *s, enum hv_kind kind)
{
    memset(s, 0, sizeof *s);
    hb_arena_init_growing(&s->arena, &vocab_heap);
    hv_config_init(&s->config, kind);
    s->config.tokens = s->tokens;
    s->config.merges = s->merges;
}

static inline hearth_status small_create(struct small *s, struct hb_arena *arena)
{
    s->config.types = s->types;
    s->config.n_types = s->config.n_tokens;
    if (s->config.kind == HV_SPM) {
        s->config.scores = s->scores;
        s->config.n_scores = s->config.n_tokens;
    }
    return hv_tokenizer_create(arena, &s->config, &s->tok, &s->err);
}

static inline void small_end(struct small *s)
{
    hb_arena_release(&s->arena);
}

/* Every byte (id = byte) in the byte alphabet, then "ab", "abc", "\u0120a", "<|end|>" (control),
 * "<|user|>" (user-defined), "<|user|>x". */
enum { BPE_AB = 256, BPE_ABC, BPE_SPACE_A, BPE_END, BPE_USER, BPE_USER_X };

static inline void small_bpe_tokens(struct small *s)
{
    small_begin(s, HV_BPE);
    for (int b = 0; b < 256; b++) {
        uint32_t cp = (uint32_t)b;
        bool itself = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        if (!itself)
            cp = 0x100u + (b <= 0x20 ? cp : b == 0xAD ? 67u : cp - 0x7Fu + 33u);
        char *t = s->bytes[b];
        if (cp < 0x80) {
            t[0] = (char)cp;
        } else {
            t[0] = (char)(0xC0 | cp >> 6);
            t[1] = (char)(0x80 | (cp & 0x3F));
        }
        small_add(s, t, HV_TYPE_NORMAL, 0);
    }
    small_add(s, "ab", HV_TYPE_NORMAL, 0);
    small_add(s, "abc", HV_TYPE_NORMAL, 0);
    small_add(s, "\xC4\xA0" "a", HV_TYPE_NORMAL, 0);
    small_add(s, "<|end|>", HV_TYPE_CONTROL, 0);
    small_add(s, "<|user|>", HV_TYPE_USER, 0);
    small_add(s, "<|user|>x", HV_TYPE_CONTROL, 0);
    small_merge(s, "a b");
    small_merge(s, "ab c");
    small_merge(s, "\xC4\xA0 a");
    s->config.pre = (struct hv_text){"gpt-2", 5};
}

static inline void small_bpe(struct small *s)
{
    small_bpe_tokens(s);
    assert_int_equal(small_create(s, &s->arena), HEARTH_OK);
}

/* unk, <s>, </s>, 256 byte tokens, then SPM_*. */
enum { SPM_BYTE_0 = 3, SPM_SPACE = 259, SPM_A, SPM_B, SPM_SPACE_A, SPM_AB, SPM_SPACES, SPM_USER,
       SPM_SPACE_AB };

static inline void small_spm_tokens(struct small *s)
{
    small_begin(s, HV_SPM);
    small_add(s, "<unk>", HV_TYPE_UNKNOWN, 0);
    small_add(s, "<s>", HV_TYPE_CONTROL, 0);
    small_add(s, "</s>", HV_TYPE_CONTROL, 0);
    for (int b = 0; b < 256; b++) {
        snprintf(s->bytes[b], 8, "<0x%02X>", (unsigned)b);
        small_add(s, s->bytes[b], HV_TYPE_BYTE, 0);
    }
    small_add(s, "\xE2\x96\x81", HV_TYPE_NORMAL, -1);
    small_add(s, "a", HV_TYPE_NORMAL, -2);
    small_add(s, "b", HV_TYPE_NORMAL, -3);
    small_add(s, "\xE2\x96\x81" "a", HV_TYPE_NORMAL, -5);
    small_add(s, "ab", HV_TYPE_NORMAL, -4);
    small_add(s, "\xE2\x96\x81\xE2\x96\x81", HV_TYPE_NORMAL, -6);
    small_add(s, "[U]", HV_TYPE_USER, 0);
    small_add(s, "\xE2\x96\x81" "ab", HV_TYPE_NORMAL, -7);
}

static inline void small_spm(struct small *s)
{
    small_spm_tokens(s);
    assert_int_equal(small_create(s, &s->arena), HEARTH_OK);
}

/* Encode and compare with a list that ends with -1. */
static inline void expect_ids(const struct hv_tokenizer *tok, const char *text, uint32_t flags,
                              const int32_t *want)
{
    size_t n;
    int32_t *ids = vocab_encode(tok, text, strlen(text), flags, &n);
    for (size_t i = 0; i < n; i++)
        if (want[i] != ids[i])
            fail_msg("'%s': id %zu is %d, expected %d", text, i, ids[i], want[i]);
    assert_int_equal(want[n], -1);
    free(ids);
}

#define EXPECT(tok, text, flags, ...)                                                              \
    expect_ids((tok), (text), (flags), (const int32_t[]){__VA_ARGS__, -1})

#endif
