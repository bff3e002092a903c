/* Making a tokenizer: checks, then one table after the other. */
#include "tokenizer/hv_internal.h"

void hv_config_init(struct hv_config *config, enum hv_kind kind)
{
    *config = (struct hv_config){
        .kind = kind,
        .bos = -1, .eos = -1, .eot = -1, .eom = -1, .unk = -1, .sep = -1, .pad = -1, .cls = -1,
        .mask = -1,
        .add_bos = HV_AUTO, .add_eos = HV_AUTO, .add_sep = HV_AUTO, .add_space_prefix = HV_AUTO,
        .wpm_prefix = {"##", 2}, .max_word_chars = HV_MAX_WORD_CHARS, .cache_words = HV_CACHE_WORDS,
        .remove_extra_whitespaces = HV_AUTO, .lowercase = HV_AUTO, .strip_accents = HV_AUTO,
    };
    if (kind == HV_SPM) { /* files of the first converters leave these out */
        config->unk = 0;
        config->bos = 1;
        config->eos = 2;
    } else if (kind == HV_WPM) {
        config->pad = 0;
        config->unk = 100;
        config->cls = 101; /* and bos, if the file names no other */
        config->sep = 102;
        config->mask = 103;
    }
}

static hearth_status tokenizer_check(const struct hv_config *config, hearth_error *err)
{
    size_t n = config->n_tokens;
    if (config->kind != HV_BPE && config->kind != HV_SPM && config->kind != HV_WPM)
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "tokenizer kind %d; BPE (1), SPM (2) and WordPiece (3) are known",
                       (int)config->kind);
    if (n == 0 || !config->tokens)
        return hb_fail(err, HEARTH_E_FORMAT, "tokenizer: the vocabulary has no tokens");
    if (n > HV_MAX_TOKENS)
        return hb_fail(err, HEARTH_E_LIMIT, "tokenizer: %zu tokens; up to %zu are accepted", n,
                       HV_MAX_TOKENS);
    if (config->scores && config->n_scores != n)
        return hb_fail(err, HEARTH_E_MISMATCH, "tokenizer: %zu scores for %zu tokens",
                       config->n_scores, n);
    if (config->types && config->n_types != n)
        return hb_fail(err, HEARTH_E_MISMATCH, "tokenizer: %zu token types for %zu tokens",
                       config->n_types, n);
    for (size_t i = 0; i < n; i++)
        if (config->tokens[i].len > HV_MAX_PIECE)
            return hb_fail(err, HEARTH_E_LIMIT,
                           "tokenizer: token %zu has %zu bytes; up to %zu are accepted", i,
                           config->tokens[i].len, HV_MAX_PIECE);
    return HEARTH_OK;
}

static hearth_status tokenizer_ids(struct hv_tokenizer *tok, const struct hv_config *config,
                                   hearth_error *err)
{
    HB_MAYBE_UNUSED static const char *const names[HV_ID_COUNT] = {"bos", "eos", "eot", "eom", "unknown",
                                                   "separator", "padding", "cls", "mask"};
    const int32_t ids[HV_ID_COUNT] = {config->bos, config->eos, config->eot,
                                      config->eom, config->unk, config->sep,
                                      config->pad, config->cls, config->mask};
    for (int i = 0; i < HV_ID_COUNT; i++) {
        tok->ids[i] = ids[i] < 0 ? -1 : ids[i];
        if (tok->ids[i] < 0 || (uint32_t)ids[i] < tok->n_tokens)
            continue;
        if (i <= HV_ID_EOM)
            return hb_fail(err, HEARTH_E_RANGE, "tokenizer: %s token id %d; ids are 0 to %u",
                           names[i], ids[i], tok->n_tokens - 1);
        tok->ids[i] = -1;
    }
    return HEARTH_OK;
}

static hearth_status tokenizer_types(struct hv_tokenizer *tok, struct hb_arena *arena,
                                     const struct hv_config *config, hearth_error *err)
{
    static const uint16_t attr[] = {
        [HV_TYPE_NORMAL] = HV_ATTR_NORMAL, [HV_TYPE_UNKNOWN] = HV_ATTR_UNKNOWN,
        [HV_TYPE_CONTROL] = HV_ATTR_CONTROL, [HV_TYPE_USER] = HV_ATTR_USER,
        [HV_TYPE_UNUSED] = HV_ATTR_UNUSED, [HV_TYPE_BYTE] = HV_ATTR_BYTE,
    };
    HB_TRY(HB_ARENA_NEW(arena, uint16_t, tok->n_tokens, &tok->attr, err));
    for (uint32_t id = 0; id < tok->n_tokens; id++) {
        uint32_t type = HV_TYPE_NORMAL;
        if (config->types)
            type = hb_load_u32le((const uint8_t *)config->types + 4 * (size_t)id);
        tok->attr[id] = type >= 1 && type < HB_COUNT(attr) ? attr[type] : HV_ATTR_NORMAL;
    }
    return HEARTH_OK;
}

static bool tokenizer_flag(int given, bool usual)
{
    return given == HV_AUTO ? usual : given != 0;
}

static hearth_status tokenizer_need(bool adds, const struct hv_tokenizer *tok, int which,
                                    const char *name, hearth_error *err)
{
    if (!adds || tok->ids[which] >= 0)
        return HEARTH_OK;
    return hb_fail(err, HEARTH_E_FORMAT, "tokenizer: add_%s is set, but there is no %s token", name,
                   name);
}

static hearth_status tokenizer_flags(struct hv_tokenizer *tok, const struct hv_config *config,
                                     hearth_error *err)
{
    uint32_t pre = tok->pretok ? tok->pretok->flags : 0;
    bool wpm = tok->kind == HV_WPM, spm = tok->kind == HV_SPM;
    if (wpm && tok->ids[HV_ID_BOS] < 0)
        tok->ids[HV_ID_BOS] = tok->ids[HV_ID_CLS];
    tok->add_bos = tokenizer_flag(config->add_bos, wpm || spm || (pre & HV_PRE_ADD_BOS));
    tok->add_eos = tokenizer_flag(config->add_eos, false);
    tok->add_sep = tokenizer_flag(config->add_sep, wpm || (pre & HV_PRE_ADD_SEP)) &&
                   tok->kind != HV_SPM;
    tok->add_space_prefix = spm && tokenizer_flag(config->add_space_prefix, true);
    tok->wpm_style = config->wpm_style;
    tok->lowercase = tokenizer_flag(config->lowercase, true);
    tok->strip_accents = tokenizer_flag(config->strip_accents, tok->lowercase);
    tok->wpm_prefix = config->wpm_prefix;
    tok->max_word_chars = config->max_word_chars;
    tok->by_characters = config->by_characters;
    tok->byte_fallback = config->byte_fallback;
    tok->fuse_unk = config->fuse_unk;
    tok->word_end = config->word_end;
    if (tok->max_word_chars > HV_WORD_CHARS_CAP)
        return hb_fail(err, HEARTH_E_LIMIT, "tokenizer: words of %u characters; up to %d are accepted",
                       tok->max_word_chars, HV_WORD_CHARS_CAP);
    HB_TRY(tokenizer_need(tok->add_bos, tok, HV_ID_BOS, "bos", err));
    HB_TRY(tokenizer_need(tok->add_eos, tok, HV_ID_EOS, "eos", err));
    return tokenizer_need(tok->add_sep, tok, HV_ID_SEP, "sep", err);
}

static hearth_status tokenizer_pretok(struct hv_tokenizer *tok, const struct hv_config *config,
                                      hearth_error *err)
{
    tok->pretok = hv_pretok_find(config->pre.bytes, config->pre.len);
    if (tok->pretok)
        return HEARTH_OK;
    return hb_fail(err, HEARTH_E_UNSUPPORTED,
                   "tokenizer: pre-tokenizer '%.*s' is not known; default, gpt-2, starcoder, "
                   "smollm, refact, command-r, falcon, mpt, llama-bpe, qwen2, qwen35, gpt-4o, "
                   "tekken, deepseek-llm, deepseek-coder, deepseek-v3 and others are",
                   (int)(config->pre.len < 60 ? config->pre.len : 60), config->pre.bytes);
}

/* A power of two of sets; a small vocabulary has few words worth it. */
static hearth_status tokenizer_cache(struct hv_tokenizer *tok, struct hb_arena *arena, uint32_t words,
                                     hearth_error *err)
{
    uint32_t bits = 4;
    if (words == 0 || !HEARTH_WITH_SIMD_TOKENIZER)
        return HEARTH_OK;
    while (bits < 20 && (2u * HV_CACHE_WAYS << bits) <= words && ((uint32_t)HV_CACHE_WAYS << bits) < tok->n_tokens)
        bits++;
    tok->cache.shift = 64 - bits;
    return HB_ARENA_NEW(arena, struct hv_cache_entry, (size_t)HV_CACHE_WAYS << bits,
                        &tok->cache.entries, err);
}

hearth_status hv_tokenizer_create(struct hb_arena *arena, const struct hv_config *config,
                                  struct hv_tokenizer **out, hearth_error *err)
{
    HB_TRY(tokenizer_check(config, err));
    struct hv_tokenizer *tok;
    HB_TRY(HB_ARENA_NEW(arena, struct hv_tokenizer, 1, &tok, err));
    tok->kind = config->kind;
    tok->tokens = config->tokens;
    tok->n_tokens = (uint32_t)config->n_tokens;
    if (tok->kind == HV_BPE)
        HB_TRY(tokenizer_pretok(tok, config, err));
    HB_TRY(tokenizer_ids(tok, config, err));
    HB_TRY(tokenizer_flags(tok, config, err));
    HB_TRY(tokenizer_types(tok, arena, config, err));
    HB_TRY(hv_vocab_build(tok, arena, err));
    hv_special_mark(tok, config);
    HB_TRY(hv_special_build(tok, arena, err));
    if (tok->kind == HV_BPE)
        HB_TRY(hv_bpe_build(tok, arena, config, err));
    else if (tok->kind == HV_SPM)
        HB_TRY(hv_spm_build(tok, arena, config, err));
    else
        HB_TRY(hv_wpm_build(tok, err));
    HB_TRY(hv_pieces_build(tok, arena, err));
    HB_TRY(tokenizer_cache(tok, arena, config->cache_words, err));
    *out = tok;
    return HEARTH_OK;
}

void hv_classify_by(struct hv_tokenizer *tok, hv_classify_fn *classify)
{
    tok->classify = HEARTH_WITH_SIMD_TOKENIZER ? classify : NULL;
}

void hv_be_plain(struct hv_tokenizer *tok)
{
    tok->classify = NULL;
    tok->cache.entries = NULL;
}

const struct hv_stats *hv_tokenizer_stats(const struct hv_tokenizer *tok)
{
    return &tok->stats;
}

size_t hv_vocab_size(const struct hv_tokenizer *tok)
{
    return tok->n_tokens;
}

int32_t hv_special_id(const struct hv_tokenizer *tok, enum hv_special_kind which)
{
    return (uint32_t)which < HV_ID_COUNT ? tok->ids[which] : -1;
}

bool hv_adds_bos(const struct hv_tokenizer *tok)
{
    return tok->add_bos;
}

static bool tokenizer_has(const struct hv_tokenizer *tok, int32_t id, uint32_t attr)
{
    return id >= 0 && (uint32_t)id < tok->n_tokens && (tok->attr[id] & attr);
}

bool hv_is_eog(const struct hv_tokenizer *tok, int32_t id)
{
    return tokenizer_has(tok, id, HV_ATTR_EOG);
}

bool hv_is_control(const struct hv_tokenizer *tok, int32_t id)
{
    return tokenizer_has(tok, id, HV_ATTR_CONTROL);
}
