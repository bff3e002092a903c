/* vocab.txt, as BERT came with it: a token a line, the number of the line is its id.
 *
 * The file does not say whether text is to be lower-cased. Vocabularies that are not have ordinary
 * tokens in upper case; that decides. */
#include "tokenizer/hv_normalize.h"
#include "tokenizer/hv_pipe_parts.h"

static size_t vocab_line(const uint8_t *p, size_t size, size_t pos, struct hv_text *line)
{
    size_t end = pos;
    while (end < size && p[end] != '\n')
        end++;
    size_t len = end - pos;
    if (len && p[pos + len - 1] == '\r')
        len--;
    *line = (struct hv_text){(const char *)p + pos, len};
    return end < size ? end + 1 : end;
}

static hearth_status vocab_tokens(struct hv_pipe *pipe, const uint8_t *p, size_t size,
                                  struct hb_arena *arena, hearth_error *err)
{
    struct hv_text line;
    for (size_t pos = 0; pos < size;) {
        pos = vocab_line(p, size, pos, &line);
        pipe->n_tokens++;
        if (line.len > HV_MAX_PIECE || pipe->n_tokens > HV_MAX_TOKENS)
            return hb_fail(err, HEARTH_E_LIMIT,
                           "vocab.txt: line %zu has %zu bytes; up to %zu lines of %zu bytes are accepted",
                           pipe->n_tokens, line.len, HV_MAX_TOKENS, HV_MAX_PIECE);
    }
    HB_TRY(HB_ARENA_NEW(arena, struct hv_text, pipe->n_tokens, &pipe->tokens, err));
    size_t n = 0;
    for (size_t pos = 0; pos < size; n++) {
        pos = vocab_line(p, size, pos, &line);
        HB_TRY(hb_arena_text(arena, line.bytes, line.len, &pipe->tokens[n].bytes, err));
        pipe->tokens[n].len = line.len;
    }
    return HEARTH_OK;
}

static int32_t vocab_find(const struct hv_pipe *pipe, const char *text)
{
    for (size_t i = 0; i < pipe->n_tokens; i++)
        if (strcmp(pipe->tokens[i].bytes, text) == 0)
            return (int32_t)i;
    return -1;
}

static bool vocab_is_cased(const struct hv_pipe *pipe)
{
    for (size_t i = 0; i < pipe->n_tokens; i++) {
        const char *s = pipe->tokens[i].bytes;
        if (*s == '[')
            continue;
        for (; *s; s++)
            if (*s >= 'A' && *s <= 'Z')
                return true;
    }
    return false;
}

static hearth_status vocab_specials(struct hv_pipe *pipe, struct hb_arena *arena,
                                    struct hv_config *config, hearth_error *err)
{
    static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    int32_t *const ids[] = {&config->pad, &config->unk, &config->cls, &config->sep, &config->mask};
    uint8_t *types;
    HB_TRY(HB_ARENA_NEW(arena, uint8_t, 4 * pipe->n_tokens, &types, err));
    HB_TRY(HB_ARENA_NEW(arena, struct hv_added_token, HB_COUNT(names), &pipe->of_text.tokens, err));
    for (size_t i = 0; i < pipe->n_tokens; i++)
        types[4 * i] = HV_TYPE_NORMAL;
    for (size_t i = 0; i < HB_COUNT(names); i++) {
        *ids[i] = vocab_find(pipe, names[i]);
        if (*ids[i] < 0)
            continue;
        types[4 * *ids[i]] = HV_TYPE_CONTROL;
        pipe->of_text.tokens[pipe->of_text.n++] = (struct hv_added_token){
            .text = pipe->tokens[*ids[i]], .id = *ids[i], .special = true};
    }
    if (config->unk < 0 || config->cls < 0 || config->sep < 0)
        return hb_fail(err, HEARTH_E_NOT_FOUND,
                       "vocab.txt: one of the lines [UNK], [CLS] and [SEP] is missing");
    config->types = types;
    config->n_types = pipe->n_tokens;
    return HEARTH_OK;
}

hearth_status hv_pipe_from_vocab(const void *bytes, size_t size, struct hb_arena *arena,
                                 struct hv_pipe **out, hearth_error *err)
{
    struct hv_pipe *pipe;
    struct hv_config config;
    HB_TRY(HB_ARENA_NEW(arena, struct hv_pipe, 1, &pipe, err));
    HB_TRY(vocab_tokens(pipe, bytes, size, arena, err));
    hv_config_init(&config, HV_WPM);
    HB_TRY(vocab_specials(pipe, arena, &config, err));
    config.wpm_style = HV_WPM_CONTINUATION;
    config.tokens = pipe->tokens;
    config.n_tokens = pipe->n_tokens;
    config.add_bos = config.add_eos = config.add_sep = 0;
    HB_TRY(hv_tokenizer_create(arena, &config, &pipe->words, err));
    bool lower = !vocab_is_cased(pipe);
    pipe->normals[pipe->n_normals++] = (struct hv_normal){
        .kind = HV_NORMAL_BERT, .clean = true, .chinese = true, .lower = lower,
        .strip_accents = lower};
    pipe->splits[pipe->n_splits++] = (struct hv_split){.kind = HV_SPLIT_BERT};
    pipe->around = (struct hv_template){.before = {config.cls}, .after = {config.sep},
                                        .n_before = 1, .n_after = 1};
    HB_TRY(hv_pipe_finish(pipe, arena, err));
    *out = pipe;
    return HEARTH_OK;
}
