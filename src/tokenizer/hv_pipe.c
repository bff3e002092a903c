/* Running a pipe. The arena of the caller holds everything that a text needs on its way. */
#include "tokenizer/hv_pipe_parts.h"

hearth_status hv_pipe_finish(struct hv_pipe *pipe, struct hb_arena *arena, hearth_error *err)
{
    HB_TRY(hv_added_build(&pipe->of_text, arena, err));
    HB_TRY(hv_added_build(&pipe->of_normal, arena, err));
    return pipe->unigram ? hv_unigram_build(pipe->unigram, arena, err) : HEARTH_OK;
}

size_t hv_pipe_vocab_size(const struct hv_pipe *pipe)
{
    return pipe->n_tokens;
}

void hv_pipe_be_plain(struct hv_pipe *pipe)
{
    if (pipe->words)
        hv_be_plain(pipe->words);
}

size_t hv_pipe_max_ids(const struct hv_pipe *pipe)
{
    return pipe->max_ids;
}

const struct hv_text *hv_pipe_token(const struct hv_pipe *pipe, int32_t id)
{
    return id >= 0 && (size_t)id < pipe->n_tokens ? &pipe->tokens[id] : NULL;
}

bool hv_pipe_is_json(const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    size_t i = size >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (i < size && (p[i] == ' ' || p[i] == '\n' || p[i] == '\r' || p[i] == '\t'))
        i++;
    return i < size && p[i] == '{';
}

struct pipe_run {
    const struct hv_pipe *pipe;
    struct hb_arena *arena;
    bool special;
    int32_t *ids;
    size_t n, capacity;
    uint8_t *scratch;
    size_t scratch_bytes;
    struct hv_spans words;
    hearth_error *err;
};

static hearth_status pipe_room(struct pipe_run *r, size_t more)
{
    int32_t *bigger;
    size_t capacity = r->capacity ? r->capacity : 64;
    if (r->capacity - r->n >= more)
        return HEARTH_OK;
    while (capacity - r->n < more)
        capacity *= 2;
    HB_TRY(HB_ARENA_NEW(r->arena, int32_t, capacity, &bigger, r->err));
    if (r->n)
        memcpy(bigger, r->ids, r->n * sizeof *bigger);
    r->ids = bigger;
    r->capacity = capacity;
    return HEARTH_OK;
}

static hearth_status pipe_scratch(struct pipe_run *r, size_t bytes)
{
    if (bytes <= r->scratch_bytes)
        return HEARTH_OK;
    bytes *= 2;
    HB_TRY(hb_arena_take(r->arena, bytes, 16, (void **)(void *)&r->scratch, r->err));
    r->scratch_bytes = bytes;
    return HEARTH_OK;
}

/* A word in the byte alphabet, for models that work on characters of it. */
static hearth_status pipe_alphabet(struct pipe_run *r, struct hv_span *word)
{
    uint8_t *mapped;
    size_t n = 0;
    HB_TRY(HB_ARENA_NEW(r->arena, uint8_t, 2 * word->len, &mapped, r->err));
    for (size_t i = 0; i < word->len; i++)
        n += hv_alphabet_put(word->at[i], mapped + n);
    *word = (struct hv_span){mapped, n, word->first};
    return HEARTH_OK;
}

static hearth_status pipe_word(struct pipe_run *r, struct hv_span word)
{
    const struct hv_pipe *p = r->pipe;
    if (p->byte_level && (p->unigram || p->words->kind == HV_WPM || p->words->by_characters))
        HB_TRY(pipe_alphabet(r, &word));
    HB_TRY(pipe_room(r, word.len + 1));
    if (p->unigram) {
        size_t n;
        HB_TRY(pipe_scratch(r, hv_unigram_scratch(word.len)));
        HB_TRY(hv_unigram_encode(p->unigram, word.at, word.len, r->scratch, r->ids + r->n, &n,
                                 r->err));
        r->n += n;
        return HEARTH_OK;
    }
    if (p->words->kind == HV_BPE && word.len > HV_SMALL_WORD)
        HB_TRY(pipe_scratch(r, 40 * word.len + 16));
    struct hv_sink sink = {.tok = p->words, .ids = r->ids, .capacity = r->capacity, .n = r->n,
                           .scratch = r->scratch, .scratch_bytes = r->scratch_bytes,
                           .err = r->err};
    if (p->words->kind == HV_WPM)
        hv_wpm_word(&sink, word.at, word.len);
    else
        HB_TRY(hv_bpe_word(&sink, word.at, word.len, p->words->pretok->flags & HV_PRE_WHOLE_WORD));
    r->n = sink.n;
    return HEARTH_OK;
}

static hearth_status pipe_words(struct pipe_run *r, struct hv_span text)
{
    if (text.len == 0)
        return HEARTH_OK;
    HB_TRY(hv_split_run(r->pipe->splits, r->pipe->n_splits, text, r->arena, &r->words, r->err));
    for (size_t i = 0; i < r->words.n; i++)
        HB_TRY(pipe_word(r, r->words.at[i]));
    return HEARTH_OK;
}

/* Text between added tokens goes to `rest`, the tokens become ids. */
typedef hearth_status pipe_rest_fn(struct pipe_run *r, struct hv_span text);

static hearth_status pipe_cut(struct pipe_run *r, const struct hv_added *added, struct hv_span text,
                              pipe_rest_fn *rest)
{
    struct hv_added_match m;
    size_t pos = 0;
    while (hv_added_next(added, text.at, text.len, pos, r->special, &m)) {
        HB_TRY(rest(r, (struct hv_span){text.at + pos, m.begin - pos, text.first && pos == 0}));
        HB_TRY(pipe_room(r, 1));
        r->ids[r->n++] = m.id;
        pos = m.end;
    }
    return rest(r, (struct hv_span){text.at + pos, text.len - pos, text.first && pos == 0});
}

static hearth_status pipe_normal(struct pipe_run *r, struct hv_span text)
{
    struct hv_text normal;
    if (text.len == 0)
        return HEARTH_OK;
    HB_TRY(hv_normal_run(r->pipe->normals, r->pipe->n_normals, text.at, text.len, r->arena, &normal,
                         r->err));
    return pipe_cut(r, &r->pipe->of_normal,
                    (struct hv_span){(const uint8_t *)normal.bytes, normal.len, text.first},
                    pipe_words);
}

/* Around the ids of the text, shortened if they are too many. */
static hearth_status pipe_around(struct pipe_run *r, bool with, size_t max_ids,
                                 struct hv_encoding *out)
{
    const struct hv_pipe *p = r->pipe;
    const struct hv_template none = {.type = p->around.type}, *t = with ? &p->around : &none;
    size_t kept = r->n, skip = 0, n = 0;
    out->n_all = r->n + t->n_before + t->n_after;
    if (max_ids && out->n_all > max_ids) {
        if (max_ids < t->n_before + t->n_after)
            return hb_fail(r->err, HEARTH_E_LIMIT,
                           "tokenizer: %zu special tokens around every text; %zu are allowed in all",
                           t->n_before + t->n_after, max_ids);
        kept = max_ids - t->n_before - t->n_after;
        skip = p->cut_left ? r->n - kept : 0;
    }
    out->n = kept + t->n_before + t->n_after;
    HB_TRY(HB_ARENA_NEW(r->arena, int32_t, out->n, &out->ids, r->err));
    HB_TRY(HB_ARENA_NEW(r->arena, int32_t, out->n, &out->types, r->err));
    for (size_t i = 0; i < t->n_before; i++, n++) {
        out->ids[n] = t->before[i];
        out->types[n] = t->before_type[i];
    }
    for (size_t i = 0; i < kept; i++, n++) {
        out->ids[n] = r->ids[skip + i];
        out->types[n] = t->type;
    }
    for (size_t i = 0; i < t->n_after; i++, n++) {
        out->ids[n] = t->after[i];
        out->types[n] = t->after_type[i];
    }
    return HEARTH_OK;
}

hearth_status hv_pipe_encode(const struct hv_pipe *pipe, const char *text, size_t len,
                             uint32_t flags, size_t max_ids, struct hb_arena *arena,
                             struct hv_encoding *out, hearth_error *err)
{
    struct pipe_run r = {.pipe = pipe, .arena = arena, .special = flags & HV_PARSE_SPECIAL,
                         .err = err};
    if (len > HV_MAX_TEXT)
        return hb_fail(err, HEARTH_E_LIMIT, "tokenizer: a text of %zu bytes; up to %zu are accepted",
                       len, HV_MAX_TEXT);
    HB_TRY(pipe_cut(&r, &pipe->of_text, (struct hv_span){(const uint8_t *)text, len, true},
                    pipe_normal));
    return pipe_around(&r, flags & HV_ADD_SPECIAL, max_ids, out);
}
