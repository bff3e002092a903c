/* The parts around the model: normalizer, pre-tokenizer, post-processor, truncation. Sequences are
 * flattened into one list of steps. */
#include "tokenizer/hv_json.h"
#include "tokenizer/hv_normalize.h"
#include "tokenizer/hv_scan.h"

#define PARTS_DEPTH 8

typedef hearth_status parts_fn(struct hv_json *j, const json_t *part, unsigned depth);

static hearth_status parts_sequence(struct hv_json *j, const json_t *part, const char *key,
                                    unsigned depth, parts_fn *each)
{
    const json_t *list = hv_json_get(part, key);
    json_t *entry;
    size_t i;
    if (!json_is_array(list) || depth >= PARTS_DEPTH)
        return hb_fail(j->err, HEARTH_E_FORMAT,
                       "tokenizer.json: a Sequence without \"%s\", or in too many others", key);
    json_array_foreach(list, i, entry)
        HB_TRY(each(j, entry, depth + 1));
    return HEARTH_OK;
}

static hearth_status parts_room(struct hv_json *j, size_t n)
{
    if (n < HV_MAX_PIPE_STEPS)
        return HEARTH_OK;
    return hb_fail(j->err, HEARTH_E_LIMIT, "tokenizer.json: more than %d parts in a row",
                   HV_MAX_PIPE_STEPS);
}

/* {"String": text} or {"Regex": text} */
static hearth_status parts_pattern(struct hv_json *j, const json_t *part, struct hv_text *text,
                                   bool *regex)
{
    const json_t *pattern = hv_json_get(part, "pattern");
    HB_TRY(hv_json_text(j, pattern, "Regex", text));
    *regex = text->bytes != NULL;
    if (!*regex)
        HB_TRY(hv_json_text(j, pattern, "String", text));
    if (!text->bytes || !text->len)
        return hb_fail(j->err, HEARTH_E_FORMAT, "tokenizer.json: \"%s\" without a pattern",
                       hv_json_type(part));
    return HEARTH_OK;
}

/* ---- normalizers */

static int parts_base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

static hearth_status parts_charsmap(struct hv_json *j, const json_t *part, struct hv_charsmap *map)
{
    struct hv_text text;
    uint8_t *bytes;
    size_t n = 0;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    HB_TRY(hv_json_text(j, part, "precompiled_charsmap", &text));
    HB_TRY(HB_ARENA_NEW(j->arena, uint8_t, text.len, &bytes, j->err));
    for (size_t i = 0; i < text.len && text.bytes[i] != '='; i++) {
        int digit = parts_base64_digit(text.bytes[i]);
        if (digit < 0)
            return hb_fail(j->err, HEARTH_E_FORMAT,
                           "tokenizer.json: precompiled_charsmap is not base64");
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            bytes[n++] = (uint8_t)(bits >> n_bits);
        }
    }
    return hv_charsmap_read(map, bytes, n, j->err);
}

static hearth_status parts_replace(struct hv_json *j, const json_t *part, struct hv_normal *n)
{
    static const struct {
        const char *regex;
        bool any_space;
        uint32_t least;
    } runs[] = {{" {2,}", false, 2}, {" +", false, 1}, {"\\s+", true, 1}, {"\\s{2,}", true, 2}};
    bool regex;
    HB_TRY(parts_pattern(j, part, &n->pattern, &regex));
    HB_TRY(hv_json_text(j, part, "content", &n->content));
    n->kind = HV_NORMAL_REPLACE;
    for (size_t i = 0; regex && i < HB_COUNT(runs); i++) {
        if (strcmp(runs[i].regex, n->pattern.bytes) != 0)
            continue;
        n->kind = HV_NORMAL_REPLACE_RUNS;
        n->any_space = runs[i].any_space;
        n->least = runs[i].least;
        return HEARTH_OK;
    }
    if (regex)
        return hb_fail(j->err, HEARTH_E_UNSUPPORTED,
                       "tokenizer.json: Replace with the expression '%s'; texts and runs of spaces "
                       "are known", n->pattern.bytes);
    return HEARTH_OK;
}

static hearth_status parts_bert(struct hv_json *j, const json_t *part, struct hv_normal *n)
{
    n->kind = HV_NORMAL_BERT;
    HB_TRY(hv_json_bool(j, part, "clean_text", true, &n->clean));
    HB_TRY(hv_json_bool(j, part, "handle_chinese_chars", true, &n->chinese));
    HB_TRY(hv_json_bool(j, part, "lowercase", true, &n->lower));
    return hv_json_bool(j, part, "strip_accents", n->lower, &n->strip_accents);
}

hearth_status hv_json_normalizer(struct hv_json *j, const json_t *part, unsigned depth)
{
    static const struct {
        const char *name;
        enum hv_normal_kind kind;
    } plain[] = {
        {"NFC", HV_NORMAL_NFC},           {"NFD", HV_NORMAL_NFD},
        {"NFKC", HV_NORMAL_NFKC},         {"NFKD", HV_NORMAL_NFKD},
        {"Lowercase", HV_NORMAL_LOWER},   {"StripAccents", HV_NORMAL_STRIP_ACCENTS},
        {"Nmt", HV_NORMAL_NMT},
    };
    const char *type = hv_json_type(part);
    if (!part)
        return HEARTH_OK;
    if (strcmp(type, "Sequence") == 0)
        return parts_sequence(j, part, "normalizers", depth, hv_json_normalizer);
    HB_TRY(parts_room(j, j->pipe->n_normals));
    if (!hv_normalize_available())
        return hb_fail(j->err, HEARTH_E_UNSUPPORTED,
                       "tokenizer.json: normalizer \"%s\" needs Unicode normal forms; this library "
                       "was built without utf8proc (HEARTH_UTF8PROC)", type);
    struct hv_normal *n = &j->pipe->normals[j->pipe->n_normals++];
    for (size_t i = 0; i < HB_COUNT(plain); i++) {
        if (strcmp(type, plain[i].name) != 0)
            continue;
        n->kind = plain[i].kind;
        return HEARTH_OK;
    }
    if (strcmp(type, "BertNormalizer") == 0)
        return parts_bert(j, part, n);
    if (strcmp(type, "Replace") == 0)
        return parts_replace(j, part, n);
    if (strcmp(type, "Prepend") == 0) {
        n->kind = HV_NORMAL_PREPEND;
        return hv_json_text(j, part, "prepend", &n->content);
    }
    if (strcmp(type, "Strip") == 0) {
        n->kind = HV_NORMAL_STRIP;
        HB_TRY(hv_json_bool(j, part, "strip_left", true, &n->left));
        return hv_json_bool(j, part, "strip_right", true, &n->right);
    }
    if (strcmp(type, "Precompiled") == 0) {
        n->kind = HV_NORMAL_CHARSMAP;
        return parts_charsmap(j, part, &n->charsmap);
    }
    return hv_json_unknown(j, "normalizer", part,
                           "BertNormalizer, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, "
                           "Replace, Prepend, Precompiled, Nmt, Sequence");
}

/* ---- pre-tokenizers */

static hearth_status parts_behavior(struct hv_json *j, const json_t *part, const char *missing,
                                    enum hv_behavior *out)
{
    static const char *const names[] = {
        [HV_REMOVED] = "Removed",
        [HV_ISOLATED] = "Isolated",
        [HV_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
        [HV_MERGED_WITH_NEXT] = "MergedWithNext",
        [HV_CONTIGUOUS] = "Contiguous",
    };
    const json_t *value = hv_json_get(part, "behavior");
    const char *text = value && json_is_string(value) ? json_string_value(value) : missing;
    for (size_t i = 0; i < HB_COUNT(names); i++) {
        if (strcmp(names[i], text) != 0)
            continue;
        *out = (enum hv_behavior)i;
        return HEARTH_OK;
    }
    return hb_fail(j->err, HEARTH_E_UNSUPPORTED, "tokenizer.json: behavior \"%s\"; Removed, Isolated, "
                   "MergedWithPrevious, MergedWithNext, Contiguous are known", text);
}

static hearth_status parts_split(struct hv_json *j, const json_t *part, struct hv_split *s)
{
    bool regex;
    HB_TRY(parts_pattern(j, part, &s->pattern, &regex));
    HB_TRY(parts_behavior(j, part, "", &s->behavior));
    HB_TRY(hv_json_bool(j, part, "invert", false, &s->invert));
    s->kind = HV_SPLIT_LITERAL;
    if (!regex)
        return HEARTH_OK;
    if (strcmp(s->pattern.bytes, "\\s+") == 0 || strcmp(s->pattern.bytes, "\\s") == 0) {
        s->kind = HV_SPLIT_WHITESPACE_SPLIT;
        /* a run is one match there, characters are matches here */
        if (s->behavior == HV_REMOVED)
            return HEARTH_OK;
    }
    s->kind = HV_SPLIT_WORDS;
    s->scan = hv_split_scan(s->pattern);
    bool words = s->behavior == HV_ISOLATED || (s->behavior == HV_REMOVED && s->invert);
    if (s->scan && words)
        return HEARTH_OK;
    return hb_fail(j->err, HEARTH_E_UNSUPPORTED,
                   "tokenizer.json: Split with the expression '%s'%s; those of known models are known",
                   s->pattern.bytes, s->scan ? " and another behavior than Isolated" : "");
}

static hearth_status parts_metaspace(struct hv_json *j, const json_t *part, struct hv_split *s)
{
    const json_t *scheme = hv_json_get(part, "prepend_scheme");
    bool prefix;
    s->kind = HV_SPLIT_METASPACE;
    HB_TRY(hv_json_text(j, part, "replacement", &s->pattern));
    if (!s->pattern.len)
        s->pattern = (struct hv_text){"\xE2\x96\x81", 3};
    HB_TRY(hv_json_bool(j, part, "split", true, &s->cut));
    HB_TRY(hv_json_bool(j, part, "add_prefix_space", true, &prefix));
    s->prepend = prefix ? HV_PREPEND_ALWAYS : HV_PREPEND_NEVER;
    if (!scheme)
        return HEARTH_OK;
    if (hv_json_is(part, "prepend_scheme", "always"))
        s->prepend = HV_PREPEND_ALWAYS;
    else if (hv_json_is(part, "prepend_scheme", "first"))
        s->prepend = HV_PREPEND_FIRST;
    else if (hv_json_is(part, "prepend_scheme", "never"))
        s->prepend = HV_PREPEND_NEVER;
    else
        return hb_fail(j->err, HEARTH_E_UNSUPPORTED,
                       "tokenizer.json: prepend_scheme of Metaspace; always, first and never are known");
    return HEARTH_OK;
}

static hearth_status parts_byte_level(struct hv_json *j, const json_t *part, struct hv_split *s)
{
    bool regex;
    s->kind = HV_SPLIT_BYTE_LEVEL;
    HB_TRY(hv_json_bool(j, part, "add_prefix_space", true, &s->add_prefix_space));
    HB_TRY(hv_json_bool(j, part, "use_regex", true, &regex));
    s->scan = regex ? hv_scan_gpt2 : NULL;
    j->pipe->byte_level = true;
    return HEARTH_OK;
}

hearth_status hv_json_pre_tokenizer(struct hv_json *j, const json_t *part, unsigned depth)
{
    const char *type = hv_json_type(part);
    if (!part)
        return HEARTH_OK;
    if (strcmp(type, "Sequence") == 0)
        return parts_sequence(j, part, "pretokenizers", depth, hv_json_pre_tokenizer);
    HB_TRY(parts_room(j, j->pipe->n_splits));
    if (j->pipe->byte_level)
        return hb_fail(j->err, HEARTH_E_UNSUPPORTED,
                       "tokenizer.json: pre-tokenizer \"%s\" after ByteLevel, which is accepted as the "
                       "last one", type);
    struct hv_split *s = &j->pipe->splits[j->pipe->n_splits++];
    s->behavior = HV_ISOLATED;
    if (strcmp(type, "BertPreTokenizer") == 0) {
        s->kind = HV_SPLIT_BERT;
        return HEARTH_OK;
    }
    if (strcmp(type, "Whitespace") == 0) {
        s->kind = HV_SPLIT_WHITESPACE;
        return HEARTH_OK;
    }
    if (strcmp(type, "WhitespaceSplit") == 0) {
        s->kind = HV_SPLIT_WHITESPACE_SPLIT;
        s->behavior = HV_REMOVED;
        return HEARTH_OK;
    }
    if (strcmp(type, "Punctuation") == 0) {
        s->kind = HV_SPLIT_PUNCTUATION;
        return parts_behavior(j, part, "Isolated", &s->behavior);
    }
    if (strcmp(type, "Digits") == 0) {
        s->kind = HV_SPLIT_DIGITS;
        HB_TRY(hv_json_bool(j, part, "individual_digits", false, &s->individual));
        s->behavior = s->individual ? HV_ISOLATED : HV_CONTIGUOUS;
        return HEARTH_OK;
    }
    if (strcmp(type, "CharDelimiterSplit") == 0) {
        s->kind = HV_SPLIT_LITERAL;
        s->behavior = HV_REMOVED;
        return hv_json_text(j, part, "delimiter", &s->pattern);
    }
    if (strcmp(type, "Split") == 0)
        return parts_split(j, part, s);
    if (strcmp(type, "Metaspace") == 0)
        return parts_metaspace(j, part, s);
    if (strcmp(type, "ByteLevel") == 0)
        return parts_byte_level(j, part, s);
    return hv_json_unknown(j, "pre-tokenizer", part,
                           "BertPreTokenizer, ByteLevel, Metaspace, Whitespace, WhitespaceSplit, "
                           "Digits, Punctuation, Split, CharDelimiterSplit, Sequence");
}

/* ---- post-processors */

static hearth_status parts_around(struct hv_json *j, json_int_t id, json_int_t type, bool after)
{
    struct hv_template *t = &j->pipe->around;
    size_t *n = after ? &t->n_after : &t->n_before;
    if (*n == HV_MAX_TEMPLATE)
        return hb_fail(j->err, HEARTH_E_LIMIT, "tokenizer.json: more than %d special tokens on a side",
                       HV_MAX_TEMPLATE);
    if (id < 0 || (uint64_t)id >= j->pipe->n_tokens)
        return hb_fail(j->err, HEARTH_E_RANGE,
                       "tokenizer.json: special token %lld of the template; ids are 0 to %zu",
                       (long long)id, j->pipe->n_tokens - 1);
    (after ? t->after : t->before)[*n] = (int32_t)id;
    (after ? t->after_type : t->before_type)[*n] = (int32_t)type;
    ++*n;
    return HEARTH_OK;
}

static hearth_status parts_template_token(struct hv_json *j, const json_t *part,
                                          const json_t *special, bool after)
{
    const char *name = json_string_value(json_object_get(special, "id"));
    const json_t *token = name ? json_object_get(hv_json_get(part, "special_tokens"), name) : NULL;
    const json_t *ids = hv_json_get(token, "ids");
    json_int_t type;
    json_t *id;
    size_t i;
    HB_TRY(hv_json_int(j, special, "type_id", 0, &type));
    if (!json_is_array(ids))
        return hb_fail(j->err, HEARTH_E_FORMAT,
                       "tokenizer.json: special token '%s' of the template has no ids",
                       name ? name : "");
    json_array_foreach(ids, i, id)
        HB_TRY(parts_around(j, json_is_integer(id) ? json_integer_value(id) : -1, type, after));
    return HEARTH_OK;
}

static hearth_status parts_template(struct hv_json *j, const json_t *part)
{
    const json_t *single = hv_json_get(part, "single");
    json_t *entry;
    size_t i, n_texts = 0;
    json_int_t type;
    json_array_foreach(single, i, entry)
    {
        const json_t *text = hv_json_get(entry, "Sequence"), *special;
        special = hv_json_get(entry, "SpecialToken");
        if (special)
            HB_TRY(parts_template_token(j, part, special, n_texts > 0));
        if (!text)
            continue;
        HB_TRY(hv_json_int(j, text, "type_id", 0, &type));
        j->pipe->around.type = (int32_t)type;
        n_texts++;
    }
    if (n_texts == 1)
        return HEARTH_OK;
    return hb_fail(j->err, HEARTH_E_UNSUPPORTED,
                   "tokenizer.json: a template with %zu times its text; once is accepted", n_texts);
}

/* ["[SEP]", 102] */
static hearth_status parts_pair(struct hv_json *j, const json_t *part, const char *key, bool after)
{
    const json_t *id = json_array_get(hv_json_get(part, key), 1);
    return parts_around(j, json_is_integer(id) ? json_integer_value(id) : -1, 0, after);
}

hearth_status hv_json_post_processor(struct hv_json *j, const json_t *part, unsigned depth)
{
    const char *type = hv_json_type(part);
    if (!part || strcmp(type, "ByteLevel") == 0) /* which is about offsets */
        return HEARTH_OK;
    if (strcmp(type, "Sequence") == 0)
        return parts_sequence(j, part, "processors", depth, hv_json_post_processor);
    if (j->pipe->around.n_before || j->pipe->around.n_after)
        return hb_fail(j->err, HEARTH_E_UNSUPPORTED,
                       "tokenizer.json: two post-processors that add tokens; one is accepted");
    if (strcmp(type, "TemplateProcessing") == 0)
        return parts_template(j, part);
    if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0) {
        HB_TRY(parts_pair(j, part, "cls", false));
        return parts_pair(j, part, "sep", true);
    }
    return hv_json_unknown(j, "post-processor", part,
                           "TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, Sequence");
}

hearth_status hv_json_truncation(struct hv_json *j, const json_t *part)
{
    json_int_t most;
    HB_TRY(hv_json_int(j, part, "max_length", 0, &most));
    if (most < 0 || (uint64_t)most > HV_MAX_TEXT)
        return hb_fail(j->err, HEARTH_E_RANGE, "tokenizer.json: truncation to %lld", (long long)most);
    j->pipe->max_ids = (size_t)most;
    j->pipe->cut_left = hv_json_is(part, "direction", "Left");
    return HEARTH_OK;
}
