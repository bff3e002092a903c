/* Pre-tokenizers: each cuts every span that it is given. A pattern turns a span into stretches that
 * match and stretches that do not, in order; the behavior says what becomes of them. */
#include "tokenizer/hv_pipe_parts.h"
#include "tokenizer/hv_scan.h"

struct split_run {
    struct hb_arena *arena;
    hearth_error *err;
};

hv_scan_fn *hv_split_scan(struct hv_text regex)
{
    static const struct {
        const char *text;
        hv_scan_fn *scan;
    } list[] = {
#define HV_REGEX(text, scan) {text, scan},
#include "tokenizer/hv_regexes.def"
#undef HV_REGEX
    };
    for (size_t i = 0; i < HB_COUNT(list); i++)
        if (strlen(list[i].text) == regex.len && memcmp(list[i].text, regex.bytes, regex.len) == 0)
            return list[i].scan;
    return NULL;
}

/* ---- where spans go */

static hearth_status split_emit(struct split_run *r, struct hv_spans *out, struct hv_span span)
{
    struct hv_span *bigger;
    if (span.len == 0)
        return HEARTH_OK;
    if (out->n == out->capacity) {
        size_t capacity = out->capacity ? 2 * out->capacity : 64;
        HB_TRY(HB_ARENA_NEW(r->arena, struct hv_span, capacity, &bigger, r->err));
        if (out->n)
            memcpy(bigger, out->at, out->n * sizeof *bigger);
        out->at = bigger;
        out->capacity = capacity;
    }
    out->at[out->n++] = span;
    return HEARTH_OK;
}

static struct hv_span split_part(struct hv_span of, size_t begin, size_t end)
{
    return (struct hv_span){of.at + begin, end - begin, of.first && begin == 0};
}

/* ---- stretches */

struct split_stretch {
    size_t begin, end;
    bool match;
};

static bool split_char_matches(const struct hv_split *step, struct hv_char c)
{
    switch (step->kind) {
    case HV_SPLIT_WHITESPACE_SPLIT:
        return (c.bit & HB_UC_SPACE) != 0;
    case HV_SPLIT_PUNCTUATION:
        return (c.bit & HB_UC_P) || (c.cp < 0x80 && (c.bit & HB_UC_S));
    case HV_SPLIT_DIGITS:
        return (c.bit & HB_UC_N) != 0;
    default:
        return false;
    }
}

static size_t split_literal_at(const struct hv_split *step, struct hv_span s, size_t pos)
{
    return s.len - pos >= step->pattern.len &&
                   memcmp(s.at + pos, step->pattern.bytes, step->pattern.len) == 0
               ? step->pattern.len
               : 0;
}

/* Length of the match at pos, 0 if there is none. */
static size_t split_match_at(const struct hv_split *step, struct hv_span s, size_t pos,
                             size_t *char_len)
{
    if (step->kind == HV_SPLIT_LITERAL || step->kind == HV_SPLIT_METASPACE) {
        *char_len = 1;
        return split_literal_at(step, s, pos);
    }
    struct hv_char c = hv_char_at(s.at, s.len, pos);
    *char_len = c.len;
    return split_char_matches(step, c) ? c.len : 0;
}

static struct split_stretch split_next(const struct hv_split *step, struct hv_span s, size_t pos)
{
    size_t len, begin = pos;
    if (step->kind == HV_SPLIT_WORDS)
        return (struct split_stretch){pos, pos + step->scan(s.at + pos, s.len - pos), true};
    size_t match = split_match_at(step, s, pos, &len);
    if (match)
        return (struct split_stretch){pos, pos + match, true};
    do
        pos += len;
    while (pos < s.len && !split_match_at(step, s, pos, &len));
    return (struct split_stretch){begin, pos, false};
}

/* Is this stretch one with the one before it? */
static bool split_joins(enum hv_behavior behavior, const struct split_stretch *last,
                        const struct split_stretch *next)
{
    switch (behavior) {
    case HV_CONTIGUOUS:
        return last->match == next->match;
    case HV_MERGED_WITH_PREVIOUS:
        return next->match && !last->match;
    case HV_MERGED_WITH_NEXT:
        return last->match && !next->match;
    default:
        return false;
    }
}

static hearth_status split_pattern(struct split_run *r, const struct hv_split *step,
                                   struct hv_span s, struct hv_spans *out)
{
    struct split_stretch held = {0, 0, false};
    for (size_t pos = 0; pos < s.len;) {
        struct split_stretch next = split_next(step, s, pos);
        pos = next.end;
        if (step->invert)
            next.match = !next.match;
        if (step->behavior == HV_REMOVED && next.match)
            continue;
        if (held.end > held.begin && held.end == next.begin &&
            split_joins(step->behavior, &held, &next)) {
            held.end = next.end;
            /* what follows a merged match is a neighbour of the match, not of what took it in */
            held.match = next.match;
            continue;
        }
        HB_TRY(split_emit(r, out, split_part(s, held.begin, held.end)));
        held = next;
    }
    return split_emit(r, out, split_part(s, held.begin, held.end));
}

/* ---- patterns of more than two kinds */

static int split_word_class(uint32_t cp, uint32_t bit)
{
    const uint32_t word = HB_UC_L | HB_UC_M | HB_UC_BIT(HB_UC_ND) | HB_UC_BIT(HB_UC_NL) |
                          HB_UC_BIT(HB_UC_PC);
    if (bit & HB_UC_SPACE)
        return 0;
    return (bit & word) || cp == 0x200C || cp == 0x200D || (cp >= 0x24B6 && cp <= 0x24E9) ||
                   (cp >= 0x1F130 && cp <= 0x1F149) || (cp >= 0x1F150 && cp <= 0x1F169) ||
                   (cp >= 0x1F170 && cp <= 0x1F189)
               ? 1
               : 2;
}

static hearth_status split_whitespace(struct split_run *r, struct hv_span s, struct hv_spans *out)
{
    for (size_t pos = 0; pos < s.len;) {
        struct hv_char c = hv_char_at(s.at, s.len, pos);
        int kind = split_word_class(c.cp, c.bit);
        size_t begin = pos;
        do {
            pos += c.len;
            c = hv_char_at(s.at, s.len, pos);
        } while (c.len && split_word_class(c.cp, c.bit) == kind);
        if (kind)
            HB_TRY(split_emit(r, out, split_part(s, begin, pos)));
    }
    return HEARTH_OK;
}

static hearth_status split_bert(struct split_run *r, struct hv_span s, struct hv_spans *out)
{
    const struct hv_split space = {.kind = HV_SPLIT_WHITESPACE_SPLIT, .behavior = HV_REMOVED};
    const struct hv_split mark = {.kind = HV_SPLIT_PUNCTUATION, .behavior = HV_ISOLATED};
    for (size_t pos = 0; pos < s.len;) {
        struct split_stretch next = split_next(&space, s, pos);
        pos = next.end;
        if (!next.match)
            HB_TRY(split_pattern(r, &mark, split_part(s, next.begin, next.end), out));
    }
    return HEARTH_OK;
}

/* ---- those that change the text */

/* The span with something in front. */
static hearth_status split_prepend(struct split_run *r, struct hv_text front, struct hv_span *s)
{
    struct hv_bytes b = {0};
    HB_TRY(hv_bytes_add(&b, front.bytes, front.len, r->arena, r->err));
    HB_TRY(hv_bytes_add(&b, s->at, s->len, r->arena, r->err));
    *s = (struct hv_span){b.at, b.n, s->first};
    return HEARTH_OK;
}

static hearth_status split_metaspace(struct split_run *r, const struct hv_split *step,
                                     struct hv_span s, struct hv_spans *out)
{
    struct hv_bytes b = {0};
    for (size_t pos = 0; pos < s.len;) {
        size_t end = pos;
        while (end < s.len && s.at[end] != ' ')
            end++;
        HB_TRY(hv_bytes_add(&b, s.at + pos, end - pos, r->arena, r->err));
        if (end < s.len)
            HB_TRY(hv_bytes_add(&b, step->pattern.bytes, step->pattern.len, r->arena, r->err));
        pos = end + 1;
    }
    struct hv_span marked = {b.at, b.n, s.first};
    bool wants = step->prepend == HV_PREPEND_ALWAYS ||
                 (step->prepend == HV_PREPEND_FIRST && s.first);
    if (wants && !split_literal_at(step, marked, 0))
        HB_TRY(split_prepend(r, step->pattern, &marked));
    const struct hv_split cut = {.kind = HV_SPLIT_METASPACE, .behavior = HV_MERGED_WITH_NEXT,
                                 .pattern = step->pattern};
    return step->cut ? split_pattern(r, &cut, marked, out) : split_emit(r, out, marked);
}

static hearth_status split_byte_level(struct split_run *r, const struct hv_split *step,
                                      struct hv_span s, struct hv_spans *out)
{
    if (step->add_prefix_space && s.at[0] != ' ')
        HB_TRY(split_prepend(r, (struct hv_text){" ", 1}, &s));
    if (!step->scan)
        return split_emit(r, out, s);
    for (size_t pos = 0, len; pos < s.len; pos += len) {
        len = step->scan(s.at + pos, s.len - pos);
        HB_TRY(split_emit(r, out, split_part(s, pos, pos + len)));
    }
    return HEARTH_OK;
}

static hearth_status split_one(struct split_run *r, const struct hv_split *step, struct hv_span s,
                               struct hv_spans *out)
{
    switch (step->kind) {
    case HV_SPLIT_BERT:
        return split_bert(r, s, out);
    case HV_SPLIT_WHITESPACE:
        return split_whitespace(r, s, out);
    case HV_SPLIT_METASPACE:
        return split_metaspace(r, step, s, out);
    case HV_SPLIT_BYTE_LEVEL:
        return split_byte_level(r, step, s, out);
    default:
        return split_pattern(r, step, s, out);
    }
}

hearth_status hv_split_run(const struct hv_split *steps, size_t n_steps, struct hv_span text,
                           struct hb_arena *arena, struct hv_spans *words, hearth_error *err)
{
    struct split_run r = {arena, err};
    struct hv_spans other = {0};
    words->n = 0;
    HB_TRY(split_emit(&r, words, text));
    for (size_t i = 0; i < n_steps; i++) {
        other.n = 0;
        for (size_t k = 0; k < words->n; k++)
            HB_TRY(split_one(&r, &steps[i], words->at[k], &other));
        struct hv_spans swap = *words;
        *words = other;
        other = swap;
    }
    return HEARTH_OK;
}
