/* Tokens that are known by their text: those that end a generation, those cut out of text before
 * anything else, and those that swallow white space beside them.
 *
 * Cutting looks for the leftmost match and takes the longest there. (llama.cpp looks for the
 * longest token everywhere first; the two differ only if texts of special tokens overlap each
 * other, which no published vocabulary has.) The ids lie sorted by text with a range for
 * every first byte, and a longer prefix narrows the range by bisection. */
#include "tokenizer/hv_prefix.h"
#include "tokenizer/hv_internal.h"

/* ---- marks */

static const char *const special_eog[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
    "<\xEF\xBD\x9C" "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>", "[e~[",
};

/* End of turn, when the file names none: the first that exists. */
static const char *const special_eot[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>",
    "<EOT>", "_<EOT>", "[EOT]",
    "<\xEF\xBD\x9C" "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>", "<end_of_utterance>",
};

/* Fill-in-the-middle marks are control tokens whatever the file says; padding, repository and
 * file separator also end a generation. One of each group. */
struct special_group {
    const char *texts[9];
    bool eog;
};
static const struct special_group special_fim[] = {
    {{"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>",
      "<\xEF\xBD\x9C" "fim\xE2\x96\x81" "begin\xEF\xBD\x9C>", "<PRE>", "\xE2\x96\x81<PRE>",
      "<|code_prefix|>"}, false},
    {{"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",
      "<\xEF\xBD\x9C" "fim\xE2\x96\x81hole\xEF\xBD\x9C>", "<SUF>", "\xE2\x96\x81<SUF>",
      "<|code_suffix|>"}, false},
    {{"<|fim_middle|>", "<fim-middle>", "<fim_middle>",
      "<\xEF\xBD\x9C" "fim\xE2\x96\x81" "end\xEF\xBD\x9C>", "<MID>", "\xE2\x96\x81<MID>",
      "<|code_middle|>"}, false},
    {{"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}, true},
    {{"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}, true},
    {{"<|file_sep|>"}, true},
};

static int32_t special_find(const struct hv_tokenizer *tok, const char *text)
{
    return hv_find(tok, text, strlen(text));
}

static void special_set(struct hv_tokenizer *tok, const char *text, uint32_t attr)
{
    int32_t id = special_find(tok, text);
    if (id >= 0)
        tok->attr[id] |= (uint16_t)attr;
}

/* In vocabularies with <|return|> and <|call|> (harmony) or <|calls|> and <|flush|>, <|end|> only
 * ends a message; and some marks are part of what is shown. */
static void special_harmony(struct hv_tokenizer *tok)
{
    static const char *const shown[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};
    for (size_t i = 0; i < HB_COUNT(shown); i++) {
        int32_t id = special_find(tok, shown[i]);
        if (id >= 0)
            tok->attr[id] = HV_ATTR_USER | HV_ATTR_SHOWN;
    }
    bool call = special_find(tok, "<|call|>") >= 0 || special_find(tok, "<|calls|>") >= 0;
    bool more = special_find(tok, "<|return|>") >= 0 || special_find(tok, "<|flush|>") >= 0;
    int32_t end = special_find(tok, "<|end|>");
    if (call && more && end >= 0)
        tok->attr[end] = HV_ATTR_USER;
    int32_t s = special_find(tok, "</s>");
    if (special_find(tok, "<|tool_response>") >= 0 && s >= 0)
        tok->attr[s] = HV_ATTR_NORMAL; /* Gemma 4 uses it for strike-through */
}

static void special_strip(struct hv_tokenizer *tok, enum hv_strip strip)
{
    static const char *const phi3_not[] = {"<unk>", "<s>", "<|endoftext|>"};
    if (strip == HV_STRIP_MASK) {
        special_set(tok, "<mask>", HV_ATTR_LSTRIP);
        special_set(tok, "[MASK]", HV_ATTR_LSTRIP);
    }
    if (strip != HV_STRIP_PHI3)
        return;
    for (uint32_t id = 0; id < tok->n_tokens; id++)
        if (tok->attr[id] & HV_ATTR_SPECIAL)
            tok->attr[id] |= HV_ATTR_RSTRIP;
    for (size_t i = 0; i < HB_COUNT(phi3_not); i++) {
        int32_t id = special_find(tok, phi3_not[i]);
        if (id >= 0)
            tok->attr[id] &= (uint16_t)~HV_ATTR_RSTRIP;
    }
}

void hv_special_mark(struct hv_tokenizer *tok, const struct hv_config *config)
{
    for (size_t i = 0; tok->ids[HV_ID_EOT] < 0 && i < HB_COUNT(special_eot); i++)
        tok->ids[HV_ID_EOT] = special_find(tok, special_eot[i]);
    if (tok->ids[HV_ID_EOM] < 0)
        tok->ids[HV_ID_EOM] = special_find(tok, "<|eom_id|>");
    for (size_t g = 0; g < HB_COUNT(special_fim); g++) {
        int32_t id = -1;
        for (size_t i = 0; id < 0 && special_fim[g].texts[i]; i++)
            id = special_find(tok, special_fim[g].texts[i]);
        if (id >= 0)
            tok->attr[id] |= HV_ATTR_CONTROL | (special_fim[g].eog ? HV_ATTR_EOG : 0);
    }
    for (size_t i = 0; i < HB_COUNT(special_eog); i++)
        special_set(tok, special_eog[i], HV_ATTR_CONTROL | HV_ATTR_EOG);
    static const enum hv_special_kind ends[] = {HV_ID_EOS, HV_ID_EOT, HV_ID_EOM};
    special_harmony(tok);
    for (size_t i = 0; i < HB_COUNT(ends); i++)
        if (tok->ids[ends[i]] >= 0)
            tok->attr[tok->ids[ends[i]]] |= HV_ATTR_EOG;
    special_strip(tok, config->strip);
}

/* ---- the sorted index */

static bool special_is(const struct hv_tokenizer *tok, uint32_t id)
{
    return (tok->attr[id] & HV_ATTR_SPECIAL) && tok->tokens[id].len > 0;
}

hearth_status hv_special_build(struct hv_tokenizer *tok, struct hb_arena *arena, hearth_error *err)
{
    struct hv_specials *s = &tok->specials;
    for (uint32_t id = 0; id < tok->n_tokens; id++)
        s->n += special_is(tok, id);
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, s->n, &s->ids, err));
    uint32_t n = 0;
    for (uint32_t id = 0; id < tok->n_tokens; id++) {
        if (!special_is(tok, id))
            continue;
        uint8_t first = (uint8_t)tok->tokens[id].bytes[0];
        s->ids[n++] = id;
        s->first[first + 1]++;
        s->starts_any[first] = true;
        if (!(tok->attr[id] & HV_ATTR_INERT))
            s->starts_user[first] = s->has_user = true;
    }
    for (size_t b = 0; b < 256; b++)
        s->first[b + 1] += s->first[b];
    hv_sort_texts(tok->tokens, s->ids, s->n);
    tok->stats.n_special = s->n;
    return HEARTH_OK;
}

/* ---- matching */

/* In the sorted range [lo, hi), whose texts agree in `depth` bytes and are longer: the first whose
 * next byte is at least `byte`. */
static uint32_t special_bisect(const struct hv_tokenizer *tok, uint32_t lo, uint32_t hi,
                               size_t depth, uint32_t byte)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if ((uint8_t)tok->tokens[tok->specials.ids[mid]].bytes[depth] < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The longest special token at text[0..n) that has none of the attributes `without`; -1 if there is
 * none. */
static int32_t special_longest(const struct hv_tokenizer *tok, const uint8_t *text, size_t n,
                               uint32_t without)
{
    const struct hv_specials *s = &tok->specials;
    uint32_t lo = s->first[text[0]], hi = s->first[text[0] + 1u];
    int32_t found = -1;
    for (size_t depth = 1; lo < hi; depth++) {
        /* texts that end here sort first; of equal ones the lowest id counts */
        bool taken = false;
        for (; lo < hi && tok->tokens[s->ids[lo]].len == depth; lo++) {
            if (!taken && !(tok->attr[s->ids[lo]] & without)) {
                found = (int32_t)s->ids[lo];
                taken = true;
            }
        }
        if (depth >= n)
            break;
        uint32_t from = special_bisect(tok, lo, hi, depth, text[depth]);
        hi = special_bisect(tok, from, hi, depth, text[depth] + 1u);
        lo = from;
    }
    return found;
}

/* The same where some bytes are marked: a control token has to stand in front of the first of them. */
static int32_t special_unmarked(const struct hv_tokenizer *tok, const uint8_t *text,
                                const uint8_t *marks, size_t n, uint32_t without)
{
    size_t seen = n < HV_MAX_MARKED ? n : HV_MAX_MARKED;
    const uint8_t *first = memchr(marks, 1, seen);
    size_t run = first ? (size_t)(first - marks) : seen;
    int32_t clear = run ? special_longest(tok, text, run, without) : -1;
    if (run == n)
        return clear;
    int32_t any = special_longest(tok, text, n, HV_ATTR_INERT | HV_ATTR_SHOWN);
    return clear < 0 || (any >= 0 && tok->tokens[any].len > tok->tokens[clear].len) ? any : clear;
}

bool hv_special_next(const struct hv_tokenizer *tok, const uint8_t *text, const uint8_t *marks,
                     size_t len, size_t pos, uint32_t flags, struct hv_match *match)
{
    const struct hv_specials *s = &tok->specials;
    bool parse = flags & HV_PARSE_SPECIAL;
    const bool *starts = parse ? s->starts_any : s->starts_user;
    if (parse ? s->n == 0 : !s->has_user)
        return false;
    for (; pos < len; pos++) {
        if (!starts[text[pos]])
            continue;
        uint32_t without = parse ? 0 : HV_ATTR_INERT;
        int32_t id = marks ? special_unmarked(tok, text + pos, marks + pos, len - pos, without)
                           : special_longest(tok, text + pos, len - pos, without);
        if (id >= 0) {
            *match = (struct hv_match){pos, pos + tok->tokens[id].len, id};
            return true;
        }
    }
    return false;
}

/* ---- names */

static bool special_contains(struct hv_text text, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= text.len; i++) {
        size_t j = 0;
        while (j < n) {
            char c = text.bytes[i + j];
            if (c >= 'A' && c <= 'Z')
                c = (char)(c | 0x20);
            if (c != part[j])
                break;
            j++;
        }
        if (j == n)
            return true;
    }
    return false;
}

enum hv_strip hv_strip_rule(struct hv_text model_name, struct hv_text pre, struct hv_text arch)
{
    if (special_contains(pre, "jina-v2-de") || special_contains(pre, "jina-v2-es") ||
        special_contains(pre, "jina-v2-code") || special_contains(arch, "nomic-bert-moe") ||
        special_contains(arch, "jina-bert-v3") || special_contains(model_name, "modern-bert"))
        return HV_STRIP_MASK;
    if (special_contains(model_name, "phi-3") || special_contains(model_name, "phi3"))
        return HV_STRIP_PHI3;
    return HV_STRIP_NONE;
}
