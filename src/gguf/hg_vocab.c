/* tokenizer.ggml.* to struct hv_config. */
#include "gguf/hg_vocab.h"
#include <string.h>

static hearth_status vocab_kind(const struct hg_file *file, bool *present, enum hv_kind *kind,
                                hearth_error *err)
{
    static const struct {
        const char *name;
        enum hv_kind kind;
    } kinds[] = {{"gpt2", HV_BPE}, {"llama", HV_SPM}, {"bert", HV_WPM}};
    struct hg_text t = {"none", 4};
    HB_TRY(hg_meta_string(file, "tokenizer.ggml.model", false, 64, &t, err));
    *present = !(t.len == 4 && memcmp(t.bytes, "none", 4) == 0);
    if (!*present)
        return HEARTH_OK;
    for (size_t i = 0; i < HB_COUNT(kinds); i++)
        if (strlen(kinds[i].name) == t.len && memcmp(kinds[i].name, t.bytes, t.len) == 0) {
            *kind = kinds[i].kind;
            return HEARTH_OK;
        }
    return hb_fail(err, HEARTH_E_UNSUPPORTED,
                   "gguf: key tokenizer.ggml.model is \"%.*s\"; gpt2, llama and bert are known",
                   (int)t.len, t.bytes);
}

static hearth_status vocab_texts(const struct hg_file *file, struct hb_arena *arena,
                                 const char *key, bool required, size_t max,
                                 const struct hv_text **out, size_t *n, hearth_error *err)
{
    const struct hg_meta *m;
    struct hv_text *texts;
    HB_TRY(hg_meta_array(file, key, required, HG_STRING, max, &m, err));
    *n = m ? m->count : 0;
    HB_TRY(HB_ARENA_NEW(arena, struct hv_text, *n, &texts, err));
    const uint8_t *at = m ? m->data : NULL;
    for (size_t i = 0; i < *n; i++) {
        struct hg_text t = hg_meta_next_string(&at);
        texts[i] = (struct hv_text){t.bytes, t.len};
    }
    *out = texts;
    return HEARTH_OK;
}

static hearth_status vocab_scores_and_types(const struct hg_file *file, struct hv_config *c,
                                            hearth_error *err)
{
    const struct hg_meta *m;
    HB_TRY(hg_meta_array(file, "tokenizer.ggml.scores", false, HG_F32, HG_MAX_VOCAB, &m, err));
    c->scores = m ? m->data : NULL;
    c->n_scores = m ? m->count : 0;
    HB_TRY(hg_meta_array(file, "tokenizer.ggml.token_type", false, HG_I32, HG_MAX_VOCAB, &m, err));
    c->types = m ? m->data : NULL;
    c->n_types = m ? m->count : 0;
    return HEARTH_OK;
}

static hearth_status vocab_ids(const struct hg_file *file, struct hv_config *c, hearth_error *err)
{
    const struct {
        const char *key;
        int32_t *id;
    } ids[] = {
        {"tokenizer.ggml.bos_token_id", &c->bos},
        {"tokenizer.ggml.eos_token_id", &c->eos},
        {"tokenizer.ggml.eot_token_id", &c->eot},
        {"tokenizer.ggml.eom_token_id", &c->eom},
        {"tokenizer.ggml.unknown_token_id", &c->unk},
        {"tokenizer.ggml.seperator_token_id", &c->sep}, /* as the format spells it */
        {"tokenizer.ggml.padding_token_id", &c->pad},
        {"tokenizer.ggml.cls_token_id", &c->cls},
        {"tokenizer.ggml.mask_token_id", &c->mask},
    };
    for (size_t i = 0; i < HB_COUNT(ids); i++) {
        int64_t v = *ids[i].id;
        HB_TRY(hg_meta_int(file, ids[i].key, false, INT64_MIN, INT64_MAX, &v, err));
        if (v < 0 || v == UINT32_MAX)
            v = -1;
        *ids[i].id = v > INT32_MAX ? INT32_MAX : (int32_t)v;
    }
    return HEARTH_OK;
}

static hearth_status vocab_flags(const struct hg_file *file, struct hv_config *c, hearth_error *err)
{
    const struct {
        const char *key;
        int *flag;
    } flags[] = {
        {"tokenizer.ggml.add_bos_token", &c->add_bos},
        {"tokenizer.ggml.add_eos_token", &c->add_eos},
        {"tokenizer.ggml.add_sep_token", &c->add_sep},
        {"tokenizer.ggml.add_space_prefix", &c->add_space_prefix},
        {"tokenizer.ggml.remove_extra_whitespaces", &c->remove_extra_whitespaces},
    };
    for (size_t i = 0; i < HB_COUNT(flags); i++) {
        bool v;
        if (!hg_meta_find(file, flags[i].key))
            continue;
        HB_TRY(hg_meta_bool(file, flags[i].key, true, &v, err));
        *flags[i].flag = v;
    }
    return HEARTH_OK;
}

/* Texts that only choose a rule: of another type, or absurdly long, they count as absent. */
static struct hv_text vocab_hint(const struct hg_file *file, const char *key)
{
    struct hg_text t = {"", 0};
    if (hg_meta_string(file, key, false, 4096, &t, NULL) != HEARTH_OK)
        t.len = 0;
    return (struct hv_text){t.bytes, t.len};
}

hearth_status hg_vocab_config(const struct hg_file *file, struct hb_arena *arena,
                              struct hg_vocab *out, hearth_error *err)
{
    struct hg_vocab v = {.chat_template = {"", 0}};
    struct hg_text pre = {"", 0};
    enum hv_kind kind = HV_BPE;
    struct hv_config *c = &v.config;
    HB_TRY(hg_meta_string(file, "tokenizer.chat_template", false, HG_MAX_TEMPLATE,
                          &v.chat_template, err));
    HB_TRY(vocab_kind(file, &v.present, &kind, err));
    hv_config_init(c, kind);
    if (!v.present) {
        *out = v;
        return HEARTH_OK;
    }
    HB_TRY(hg_meta_string(file, "tokenizer.ggml.pre", false, 64, &pre, err));
    c->pre = (struct hv_text){pre.bytes, pre.len};
    HB_TRY(vocab_texts(file, arena, "tokenizer.ggml.tokens", true, HG_MAX_VOCAB, &c->tokens,
                       &c->n_tokens, err));
    HB_TRY(vocab_texts(file, arena, "tokenizer.ggml.merges", kind == HV_BPE, HG_MAX_MERGES,
                       &c->merges, &c->n_merges, err));
    HB_TRY(vocab_scores_and_types(file, c, err));
    HB_TRY(vocab_ids(file, c, err));
    HB_TRY(vocab_flags(file, c, err));
    c->strip = hv_strip_rule(vocab_hint(file, "general.name"), c->pre,
                             vocab_hint(file, "general.architecture"));
    *out = v;
    return HEARTH_OK;
}
