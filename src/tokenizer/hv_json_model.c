/* The vocabulary of a tokenizer.json: tokens by id, merges or scores, and the tokens that are added. */
#include "tokenizer/hv_json.h"

static const struct hv_pretok model_words = {"", {NULL}, 0};
static const struct hv_pretok model_whole_words = {"", {NULL}, HV_PRE_WHOLE_WORD};

/* ---- tokens */

static hearth_status model_id(struct hv_json *j, const json_t *value, const char *token,
                              size_t *out)
{
    json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0 || (uint64_t)id >= HV_MAX_TOKENS)
        return hb_fail(j->err, HEARTH_E_RANGE,
                       "tokenizer.json: token '%s' has id %lld; 0 to %zu are accepted", token,
                       (long long)id, HV_MAX_TOKENS - 1);
    *out = (size_t)id;
    return HEARTH_OK;
}

static hearth_status model_put_token(struct hv_json *j, size_t id, const char *text, size_t len)
{
    struct hv_text *t = &j->pipe->tokens[id];
    if (len > HV_MAX_PIECE)
        return hb_fail(j->err, HEARTH_E_LIMIT,
                       "tokenizer.json: token %zu has %zu bytes; up to %zu are accepted", id, len,
                       HV_MAX_PIECE);
    t->len = len;
    return hb_arena_text(j->arena, text, len, &t->bytes, j->err);
}

/* How many ids there are: one past the largest of vocabulary and added tokens. */
static hearth_status model_count(struct hv_json *j, const json_t *vocab, const json_t *added)
{
    const char *key;
    json_t *value, *entry;
    size_t id = 0, i, n = json_is_array(vocab) ? json_array_size(vocab) : 0;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, value)
    {
        HB_TRY(model_id(j, value, key, &id));
        n = id >= n ? id + 1 : n;
    }
    json_array_foreach(added, i, entry)
    {
        HB_TRY(model_id(j, json_object_get(entry, "id"), "(added)", &id));
        n = id >= n ? id + 1 : n;
    }
    if (n == 0 || n > HV_MAX_TOKENS)
        return hb_fail(j->err, n ? HEARTH_E_LIMIT : HEARTH_E_FORMAT,
                       "tokenizer.json: a vocabulary of %zu tokens; 1 to %zu are accepted", n,
                       HV_MAX_TOKENS);
    j->pipe->n_tokens = n;
    return HB_ARENA_NEW(j->arena, struct hv_text, n, &j->pipe->tokens, j->err);
}

static hearth_status model_vocab(struct hv_json *j, const json_t *vocab)
{
    const char *key;
    json_t *value;
    size_t id = 0;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, value)
    {
        HB_TRY(model_id(j, value, key, &id));
        if (j->pipe->tokens[id].bytes)
            return hb_fail(j->err, HEARTH_E_FORMAT,
                           "tokenizer.json: tokens '%s' and '%s' have the id %zu both",
                           j->pipe->tokens[id].bytes, key, id);
        HB_TRY(model_put_token(j, id, key, strlen(key)));
    }
    return HEARTH_OK;
}

static int32_t model_find(const struct hv_json *j, const char *text, size_t len)
{
    for (size_t i = 0; i < j->pipe->n_tokens; i++)
        if (j->pipe->tokens[i].len == len && memcmp(j->pipe->tokens[i].bytes, text, len) == 0)
            return (int32_t)i;
    return -1;
}

static hearth_status model_unknown_id(struct hv_json *j, const json_t *model, int32_t *out)
{
    struct hv_text text;
    HB_TRY(hv_json_text(j, model, "unk_token", &text));
    *out = text.bytes ? model_find(j, text.bytes, text.len) : -1;
    if (text.bytes && text.len && *out < 0)
        return hb_fail(j->err, HEARTH_E_NOT_FOUND,
                       "tokenizer.json: the unknown token '%s' is not in the vocabulary",
                       text.bytes);
    return HEARTH_OK;
}

/* Special added tokens are control tokens: never made from text. */
static hearth_status model_types(struct hv_json *j, const json_t *added, struct hv_config *config)
{
    uint8_t *types;
    json_t *entry;
    size_t i;
    HB_TRY(HB_ARENA_NEW(j->arena, uint8_t, 4 * j->pipe->n_tokens, &types, j->err));
    for (i = 0; i < j->pipe->n_tokens; i++)
        types[4 * i] = HV_TYPE_NORMAL;
    json_array_foreach(added, i, entry)
        if (json_is_true(json_object_get(entry, "special")))
            types[4 * json_integer_value(json_object_get(entry, "id"))] = HV_TYPE_CONTROL;
    config->types = types;
    config->n_types = j->pipe->n_tokens;
    return HEARTH_OK;
}

static hearth_status model_create(struct hv_json *j, const json_t *added, struct hv_config *config)
{
    for (size_t i = 0; i < j->pipe->n_tokens; i++)
        if (!j->pipe->tokens[i].bytes)
            j->pipe->tokens[i].bytes = "";
    config->tokens = j->pipe->tokens;
    config->n_tokens = j->pipe->n_tokens;
    config->bos = config->eos = config->pad = config->cls = config->sep = config->mask = -1;
    config->add_bos = config->add_eos = config->add_sep = 0;
    HB_TRY(model_types(j, added, config));
    return hv_tokenizer_create(j->arena, config, &j->pipe->words, j->err);
}

/* ---- WordPiece */

static hearth_status model_word_piece(struct hv_json *j, const json_t *model, const json_t *added)
{
    struct hv_config config;
    json_int_t most;
    hv_config_init(&config, HV_WPM);
    config.wpm_style = HV_WPM_CONTINUATION;
    HB_TRY(model_vocab(j, hv_json_get(model, "vocab")));
    HB_TRY(model_unknown_id(j, model, &config.unk));
    HB_TRY(hv_json_int(j, model, "max_input_chars_per_word", 100, &most));
    HB_TRY(hv_json_text(j, model, "continuing_subword_prefix", &config.wpm_prefix));
    if (!config.wpm_prefix.bytes)
        config.wpm_prefix = (struct hv_text){"##", 2};
    if (config.unk < 0)
        return hb_fail(j->err, HEARTH_E_NOT_FOUND, "tokenizer.json: WordPiece names no unk_token");
    if (most < 1 || most > HV_WORD_CHARS_CAP)
        return hb_fail(j->err, HEARTH_E_LIMIT,
                       "tokenizer.json: max_input_chars_per_word is %lld; 1 to %d are accepted",
                       (long long)most, HV_WORD_CHARS_CAP);
    config.max_word_chars = (uint32_t)most;
    return model_create(j, added, &config);
}

/* ---- BPE */

static hearth_status model_merges(struct hv_json *j, const json_t *merges, struct hv_config *config)
{
    struct hv_text *texts;
    json_t *entry;
    size_t i, n = json_array_size(merges);
    if (n > HV_MAX_MERGES)
        return hb_fail(j->err, HEARTH_E_LIMIT, "tokenizer.json: %zu merges; up to %zu are accepted",
                       n, HV_MAX_MERGES);
    config->merge_pairs = n && json_is_array(json_array_get(merges, 0));
    HB_TRY(HB_ARENA_NEW(j->arena, struct hv_text, 2 * n, &texts, j->err));
    json_array_foreach(merges, i, entry)
    {
        if (config->merge_pairs) {
            if (json_array_size(entry) != 2)
                return hb_fail(j->err, HEARTH_E_FORMAT,
                               "tokenizer.json: merge %zu is not a pair of texts", i);
            HB_TRY(hv_json_copy(j, json_array_get(entry, 0), &texts[2 * i]));
            HB_TRY(hv_json_copy(j, json_array_get(entry, 1), &texts[2 * i + 1]));
        } else {
            HB_TRY(hv_json_copy(j, entry, &texts[i]));
        }
    }
    config->merges = texts;
    config->n_merges = n;
    return HEARTH_OK;
}

static hearth_status model_bpe(struct hv_json *j, const json_t *model, const json_t *added)
{
    struct hv_config config;
    struct hv_text prefix;
    bool ignore_merges;
    hv_config_init(&config, HV_BPE);
    HB_TRY(model_vocab(j, hv_json_get(model, "vocab")));
    HB_TRY(model_unknown_id(j, model, &config.unk));
    HB_TRY(model_merges(j, hv_json_get(model, "merges"), &config));
    HB_TRY(hv_json_text(j, model, "continuing_subword_prefix", &prefix));
    HB_TRY(hv_json_text(j, model, "end_of_word_suffix", &config.word_end));
    HB_TRY(hv_json_bool(j, model, "byte_fallback", false, &config.byte_fallback));
    HB_TRY(hv_json_bool(j, model, "fuse_unk", false, &config.fuse_unk));
    HB_TRY(hv_json_bool(j, model, "ignore_merges", false, &ignore_merges));
    if (prefix.len)
        return hb_fail(j->err, HEARTH_E_UNSUPPORTED,
                       "tokenizer.json: BPE with continuing_subword_prefix '%s'; none is accepted",
                       prefix.bytes);
    if (hv_json_get(model, "dropout") && json_number_value(hv_json_get(model, "dropout")) != 0)
        return hb_fail(j->err, HEARTH_E_UNSUPPORTED,
                       "tokenizer.json: BPE with dropout; null is accepted");
    if (!config.word_end.bytes)
        config.word_end = (struct hv_text){"", 0};
    config.by_characters = !j->pipe->byte_level || config.word_end.len || config.byte_fallback;
    HB_TRY(model_create(j, added, &config));
    j->pipe->words->pretok = ignore_merges ? &model_whole_words : &model_words;
    return HEARTH_OK;
}

/* ---- Unigram */

static hearth_status model_unigram(struct hv_json *j, const json_t *model)
{
    const json_t *vocab = hv_json_get(model, "vocab");
    struct hv_unigram *u;
    double *scores;
    json_int_t unk;
    json_t *entry;
    size_t i;
    HB_TRY(HB_ARENA_NEW(j->arena, struct hv_unigram, 1, &u, j->err));
    HB_TRY(HB_ARENA_NEW(j->arena, double, j->pipe->n_tokens, &scores, j->err));
    json_array_foreach(vocab, i, entry)
    {
        const json_t *text = json_array_get(entry, 0), *score = json_array_get(entry, 1);
        if (json_array_size(entry) != 2 || !json_is_string(text) || !json_is_number(score))
            return hb_fail(j->err, HEARTH_E_FORMAT,
                           "tokenizer.json: token %zu of Unigram is not a text and a score", i);
        HB_TRY(model_put_token(j, i, json_string_value(text), json_string_length(text)));
        scores[i] = json_number_value(score);
    }
    HB_TRY(hv_json_int(j, model, "unk_id", -1, &unk));
    HB_TRY(hv_json_bool(j, model, "byte_fallback", false, &u->byte_fallback));
    if (unk < -1 || unk >= (json_int_t)json_array_size(vocab))
        return hb_fail(j->err, HEARTH_E_RANGE, "tokenizer.json: unk_id %lld; ids are 0 to %zu",
                       (long long)unk, json_array_size(vocab) - 1);
    u->tokens = j->pipe->tokens;
    u->scores = scores;
    u->n_tokens = json_array_size(vocab);
    u->unk = (int32_t)unk;
    j->pipe->unigram = u;
    return HEARTH_OK;
}

/* ---- the model */

/* Files of old versions leave the type out. */
static const char *model_type(const json_t *model)
{
    const char *type = hv_json_type(model);
    if (*type)
        return type;
    if (json_is_array(hv_json_get(model, "merges")))
        return "BPE";
    return json_is_array(hv_json_get(model, "vocab")) ? "Unigram" : "WordPiece";
}

hearth_status hv_json_model(struct hv_json *j, const json_t *root)
{
    const json_t *model = hv_json_get(root, "model"), *added = hv_json_get(root, "added_tokens");
    const json_t *vocab = hv_json_get(model, "vocab");
    const char *type = model_type(model);
    bool unigram = strcmp(type, "Unigram") == 0;
    if (!json_is_object(model) || !(unigram ? json_is_array(vocab) : json_is_object(vocab)))
        return hb_fail(j->err, HEARTH_E_FORMAT, "tokenizer.json: \"model\" has no \"vocab\"");
    HB_TRY(model_count(j, vocab, added));
    if (unigram)
        return model_unigram(j, model);
    if (strcmp(type, "WordPiece") == 0)
        return model_word_piece(j, model, added);
    if (strcmp(type, "BPE") == 0)
        return model_bpe(j, model, added);
    return hv_json_unknown(j, "model", model, "WordPiece, BPE, Unigram");
}

/* ---- added tokens */

static hearth_status added_one(struct hv_json *j, const json_t *entry)
{
    struct hv_added_token t = {0};
    bool normalized, special;
    size_t id = 0;
    if (!json_is_string(json_object_get(entry, "content")))
        return hb_fail(j->err, HEARTH_E_FORMAT, "tokenizer.json: an added token without content");
    HB_TRY(hv_json_copy(j, json_object_get(entry, "content"), &t.text));
    HB_TRY(model_id(j, json_object_get(entry, "id"), t.text.bytes, &id));
    HB_TRY(hv_json_bool(j, entry, "special", false, &special));
    HB_TRY(hv_json_bool(j, entry, "normalized", !special, &normalized));
    HB_TRY(hv_json_bool(j, entry, "single_word", false, &t.single_word));
    HB_TRY(hv_json_bool(j, entry, "lstrip", false, &t.lstrip));
    HB_TRY(hv_json_bool(j, entry, "rstrip", false, &t.rstrip));
    t.id = (int32_t)id;
    t.special = special;
    struct hv_text *token = &j->pipe->tokens[id];
    if (!token->len) /* not of the vocabulary */
        *token = t.text;
    if (normalized) {
        struct hv_text normal;
        HB_TRY(hv_normal_run(j->pipe->normals, j->pipe->n_normals, (const uint8_t *)t.text.bytes,
                             t.text.len, j->arena, &normal, j->err));
        t.text = normal;
    }
    struct hv_added *to = normalized ? &j->pipe->of_normal : &j->pipe->of_text;
    to->tokens[to->n++] = t;
    return HEARTH_OK;
}

hearth_status hv_json_added(struct hv_json *j, const json_t *root)
{
    const json_t *added = hv_json_get(root, "added_tokens");
    json_t *entry;
    size_t i, n = json_array_size(added);
    if (added && !json_is_array(added))
        return hb_fail(j->err, HEARTH_E_FORMAT, "tokenizer.json: \"added_tokens\" is not an array");
    HB_TRY(HB_ARENA_NEW(j->arena, struct hv_added_token, n, &j->pipe->of_text.tokens, j->err));
    HB_TRY(HB_ARENA_NEW(j->arena, struct hv_added_token, n, &j->pipe->of_normal.tokens, j->err));
    json_array_foreach(added, i, entry)
        HB_TRY(added_one(j, entry));
    return HEARTH_OK;
}
