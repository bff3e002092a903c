/* Normalizers: each reads code points and writes code points. What is not UTF-8 is U+FFFD from here
 * on. Decomposing, ordering and composing are linear, whatever is stacked on one letter. */
#include "tokenizer/hv_bert.h"
#include "tokenizer/hv_normalize.h"
#include "tokenizer/hv_pipe_parts.h"

struct normal_run {
    struct hb_arena *arena;
    hearth_error *err;
};

hearth_status hv_points_room(struct hv_points *p, size_t more, struct hb_arena *arena,
                             hearth_error *err)
{
    uint32_t *bigger;
    size_t capacity = p->capacity < 64 ? 64 : p->capacity;
    if (p->capacity - p->n >= more)
        return HEARTH_OK;
    while (capacity - p->n < more)
        capacity *= 2;
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, capacity, &bigger, err));
    if (p->n)
        memcpy(bigger, p->at, p->n * sizeof *bigger);
    p->at = bigger;
    p->capacity = capacity;
    return HEARTH_OK;
}

hearth_status hv_bytes_add(struct hv_bytes *b, const void *bytes, size_t n, struct hb_arena *arena,
                           hearth_error *err)
{
    uint8_t *bigger;
    size_t capacity = b->capacity < 64 ? 64 : b->capacity;
    while (capacity - b->n < n)
        capacity *= 2;
    if (capacity > b->capacity) {
        HB_TRY(HB_ARENA_NEW(arena, uint8_t, capacity, &bigger, err));
        if (b->n)
            memcpy(bigger, b->at, b->n);
        b->at = bigger;
        b->capacity = capacity;
    }
    if (n)
        memcpy(b->at + b->n, bytes, n);
    b->n += n;
    return HEARTH_OK;
}

static hearth_status normal_put(struct normal_run *r, struct hv_points *out, const uint32_t *cp,
                                size_t n)
{
    HB_TRY(hv_points_room(out, n, r->arena, r->err));
    if (n)
        memcpy(out->at + out->n, cp, n * sizeof *cp);
    out->n += n;
    return HEARTH_OK;
}

static hearth_status normal_put_text(struct normal_run *r, struct hv_points *out,
                                     const struct hv_text *text)
{
    for (size_t pos = 0; pos < text->len;) {
        uint32_t cp;
        pos += hb_utf8_take((const uint8_t *)text->bytes + pos, text->len - pos, &cp);
        HB_TRY(normal_put(r, out, &cp, 1));
    }
    return HEARTH_OK;
}

static bool normal_is_space(uint32_t cp)
{
    return (hb_uc_bit(cp) & HB_UC_SPACE) != 0;
}

/* ---- BERT, case, accents, white space */

static hearth_status normal_bert(struct normal_run *r, const struct hv_normal *step,
                                 const struct hv_points *in, struct hv_points *out)
{
    const uint32_t space = ' ';
    for (size_t i = 0; i < in->n; i++) {
        uint32_t cp = in->at[i], parts[HV_NORMAL_MAX];
        if (step->clean && hv_bert_goes(cp))
            continue;
        if (step->clean && (normal_is_space(cp)))
            cp = ' ';
        bool alone = step->chinese && hv_bert_is_chinese(cp);
        size_t n = hv_normalize(cp, step->strip_accents, step->lower, parts);
        if (alone)
            HB_TRY(normal_put(r, out, &space, 1));
        HB_TRY(normal_put(r, out, parts, n));
        if (alone)
            HB_TRY(normal_put(r, out, &space, 1));
    }
    return HEARTH_OK;
}

static hearth_status normal_lower(struct normal_run *r, const struct hv_points *in,
                                  struct hv_points *out)
{
    for (size_t i = 0; i < in->n; i++) {
        uint32_t parts[HV_NORMAL_MAX];
        size_t n = hv_normalize(in->at[i], false, true, parts);
        HB_TRY(normal_put(r, out, parts, n));
    }
    return HEARTH_OK;
}

static hearth_status normal_strip_accents(struct normal_run *r, const struct hv_points *in,
                                          struct hv_points *out)
{
    for (size_t i = 0; i < in->n; i++)
        if (!(hb_uc_bit(in->at[i]) & HB_UC_M))
            HB_TRY(normal_put(r, out, &in->at[i], 1));
    return HEARTH_OK;
}

static hearth_status normal_strip(struct normal_run *r, const struct hv_normal *step,
                                  const struct hv_points *in, struct hv_points *out)
{
    size_t begin = 0, end = in->n;
    while (step->left && begin < end && normal_is_space(in->at[begin]))
        begin++;
    while (step->right && end > begin && normal_is_space(in->at[end - 1]))
        end--;
    return normal_put(r, out, in->at + begin, end - begin);
}

/* What SentencePiece's nmt_nfkc does before NFKC. */
static hearth_status normal_nmt(struct normal_run *r, const struct hv_points *in,
                                struct hv_points *out)
{
    for (size_t i = 0; i < in->n; i++) {
        uint32_t cp = in->at[i];
        if ((cp >= 0x01 && cp <= 0x08) || cp == 0x0B || (cp >= 0x0E && cp <= 0x1F) || cp == 0x7F ||
            cp == 0x8F || cp == 0x9F)
            continue;
        if (cp == 0x09 || cp == 0x0A || cp == 0x0C || cp == 0x0D || cp == 0x1680 ||
            (cp >= 0x200B && cp <= 0x200F) || cp == 0x2028 || cp == 0x2029 || cp == 0x2581 ||
            cp == 0xFEFF || cp == 0xFFFD)
            cp = ' ';
        HB_TRY(normal_put(r, out, &cp, 1));
    }
    return HEARTH_OK;
}

/* ---- normal forms */

/* Put a run of marks in the order of their classes, equal ones as they stand: a counting sort. */
static hearth_status normal_order_run(struct normal_run *r, uint32_t *at, size_t n)
{
    size_t count[257] = {0};
    uint32_t *sorted;
    if (n < 2)
        return HEARTH_OK;
    HB_TRY(HB_ARENA_NEW(r->arena, uint32_t, n, &sorted, r->err));
    for (size_t i = 0; i < n; i++)
        count[hv_combining_class(at[i]) + 1]++;
    for (size_t c = 0; c < 256; c++)
        count[c + 1] += count[c];
    for (size_t i = 0; i < n; i++)
        sorted[count[hv_combining_class(at[i])]++] = at[i];
    memcpy(at, sorted, n * sizeof *at);
    return HEARTH_OK;
}

static hearth_status normal_form(struct normal_run *r, bool compat, bool compose,
                                 const struct hv_points *in, struct hv_points *out)
{
    for (size_t i = 0; i < in->n; i++) {
        uint32_t parts[HV_DECOMPOSED_MAX];
        size_t n = hv_decompose(in->at[i], compat, parts);
        HB_TRY(normal_put(r, out, parts, n));
    }
    for (size_t i = 0; i < out->n;) {
        size_t end = i;
        while (end < out->n && hv_combining_class(out->at[end]))
            end++;
        HB_TRY(normal_order_run(r, out->at + i, end - i));
        i = end + 1;
    }
    if (compose)
        out->n = hv_compose(out->at, out->n);
    return HEARTH_OK;
}

/* ---- replacing */

static hearth_status normal_replace(struct normal_run *r, const struct hv_normal *step,
                                    const struct hv_points *in, struct hv_points *out)
{
    struct hv_points pattern = {0};
    HB_TRY(normal_put_text(r, &pattern, &step->pattern));
    for (size_t i = 0; i < in->n;) {
        if (pattern.n <= in->n - i &&
            memcmp(in->at + i, pattern.at, pattern.n * sizeof *pattern.at) == 0) {
            HB_TRY(normal_put_text(r, out, &step->content));
            i += pattern.n;
        } else {
            HB_TRY(normal_put(r, out, &in->at[i++], 1));
        }
    }
    return HEARTH_OK;
}

static hearth_status normal_replace_runs(struct normal_run *r, const struct hv_normal *step,
                                         const struct hv_points *in, struct hv_points *out)
{
    for (size_t i = 0; i < in->n;) {
        size_t end = i;
        while (end < in->n && (step->any_space ? normal_is_space(in->at[end]) : in->at[end] == ' '))
            end++;
        if (end - i >= step->least && end > i)
            HB_TRY(normal_put_text(r, out, &step->content));
        else
            HB_TRY(normal_put(r, out, in->at + i, end > i ? end - i : 1));
        i = end > i ? end : i + 1;
    }
    return HEARTH_OK;
}

static size_t normal_utf8(const uint32_t *points, size_t n, uint8_t *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += hb_utf8_put(points[i], out + len);
    return len;
}

/* A user-perceived character of less than six bytes is looked up as a whole, else each code point
 * by itself. */
static hearth_status normal_charsmap(struct normal_run *r, const struct hv_normal *step,
                                     const struct hv_points *in, struct hv_points *out)
{
    struct hv_text found;
    uint8_t bytes[4 * 6];
    for (size_t i = 0; i < in->n;) {
        size_t end = i + 1;
        int32_t state = 0;
        while (end < in->n && !hv_grapheme_break(in->at[end - 1], in->at[end], &state))
            end++;
        size_t len = end - i < 6 ? normal_utf8(in->at + i, end - i, bytes) : 6;
        if (len < 6 && hv_charsmap_find(&step->charsmap, bytes, len, &found)) {
            HB_TRY(normal_put_text(r, out, &found));
            i = end;
            continue;
        }
        for (; i < end; i++) {
            len = hb_utf8_put(in->at[i], bytes);
            if (hv_charsmap_find(&step->charsmap, bytes, len, &found))
                HB_TRY(normal_put_text(r, out, &found));
            else
                HB_TRY(normal_put(r, out, &in->at[i], 1));
        }
    }
    return HEARTH_OK;
}

/* ---- the steps */

static hearth_status normal_step(struct normal_run *r, const struct hv_normal *step,
                                 const struct hv_points *in, struct hv_points *out)
{
    switch (step->kind) {
    case HV_NORMAL_BERT:
        return normal_bert(r, step, in, out);
    case HV_NORMAL_NFC:
        return normal_form(r, false, true, in, out);
    case HV_NORMAL_NFD:
        return normal_form(r, false, false, in, out);
    case HV_NORMAL_NFKC:
        return normal_form(r, true, true, in, out);
    case HV_NORMAL_NFKD:
        return normal_form(r, true, false, in, out);
    case HV_NORMAL_LOWER:
        return normal_lower(r, in, out);
    case HV_NORMAL_STRIP_ACCENTS:
        return normal_strip_accents(r, in, out);
    case HV_NORMAL_STRIP:
        return normal_strip(r, step, in, out);
    case HV_NORMAL_NMT:
        return normal_nmt(r, in, out);
    case HV_NORMAL_PREPEND:
        if (in->n)
            HB_TRY(normal_put_text(r, out, &step->content));
        return normal_put(r, out, in->at, in->n);
    case HV_NORMAL_REPLACE:
        return normal_replace(r, step, in, out);
    case HV_NORMAL_REPLACE_RUNS:
        return normal_replace_runs(r, step, in, out);
    case HV_NORMAL_CHARSMAP:
        return normal_charsmap(r, step, in, out);
    }
    return HEARTH_OK;
}

hearth_status hv_normal_run(const struct hv_normal *steps, size_t n_steps, const uint8_t *text,
                            size_t len, struct hb_arena *arena, struct hv_text *out,
                            hearth_error *err)
{
    struct normal_run r = {arena, err};
    struct hv_points in = {0}, next = {0};
    uint8_t *bytes;
    *out = (struct hv_text){(const char *)text, len};
    if (n_steps == 0 || len == 0)
        return HEARTH_OK;
    HB_TRY(hv_points_room(&in, len, arena, err));
    for (size_t pos = 0; pos < len;)
        pos += hb_utf8_take(text + pos, len - pos, &in.at[in.n++]);
    for (size_t i = 0; i < n_steps; i++) {
        next.n = 0;
        HB_TRY(normal_step(&r, &steps[i], &in, &next));
        struct hv_points swap = in;
        in = next;
        next = swap;
    }
    HB_TRY(HB_ARENA_NEW(arena, uint8_t, 4 * in.n, &bytes, err));
    *out = (struct hv_text){(const char *)bytes, normal_utf8(in.at, in.n, bytes)};
    return HEARTH_OK;
}
