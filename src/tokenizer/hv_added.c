/* Added tokens: cut out of a text before anything else, the leftmost first and of those the
 * longest, with conditions on what stands beside them.
 *
 * A token that is refused where it stands (special and not asked for, or part of a word) is passed
 * over as a whole, as the original does. */
#include "tokenizer/hv_pipe_parts.h"

hearth_status hv_added_build(struct hv_added *added, struct hb_arena *arena, hearth_error *err)
{
    HB_TRY(HB_ARENA_NEW(arena, struct hv_text, added->n, &added->texts, err));
    for (size_t i = 0; i < added->n; i++)
        added->texts[i] = added->tokens[i].text;
    return hv_prefix_build(&added->index, added->texts, added->n, arena, err);
}

/* \w: letters, marks, decimal digits, letter-like numbers, connectors, joiners. */
static bool added_is_word(uint32_t cp)
{
    const uint32_t set = HB_UC_L | HB_UC_M | HB_UC_BIT(HB_UC_ND) | HB_UC_BIT(HB_UC_NL) |
                         HB_UC_BIT(HB_UC_PC);
    return (hb_uc_bit(cp) & set) || cp == 0x200C || cp == 0x200D || (cp >= 0x24B6 && cp <= 0x24E9);
}

/* Where the character that ends at `end` begins. */
static size_t added_char_before(const uint8_t *text, size_t end)
{
    size_t at = end - 1;
    while (at > 0 && end - at < 4 && (text[at] & 0xC0) == 0x80)
        at--;
    return at;
}

static bool added_ends_with_word(const uint8_t *text, size_t end)
{
    uint32_t cp;
    if (end == 0)
        return false;
    size_t at = added_char_before(text, end);
    return hb_utf8_take(text + at, end - at, &cp) == end - at && added_is_word(cp);
}

static bool added_starts_with_word(const uint8_t *text, size_t n)
{
    uint32_t cp;
    if (n == 0)
        return false;
    hb_utf8_take(text, n, &cp);
    return added_is_word(cp);
}

static size_t added_space_before(const uint8_t *text, size_t from, size_t end)
{
    while (end > from) {
        size_t at = added_char_before(text, end);
        uint32_t cp;
        if (at < from || hb_utf8_take(text + at, end - at, &cp) != end - at ||
            !(hb_uc_bit(cp) & HB_UC_SPACE))
            break;
        end = at;
    }
    return end;
}

static size_t added_space_after(const uint8_t *text, size_t pos, size_t len)
{
    while (pos < len) {
        uint32_t cp;
        size_t n = hb_utf8_take(text + pos, len - pos, &cp);
        if (!(hb_uc_bit(cp) & HB_UC_SPACE))
            break;
        pos += n;
    }
    return pos;
}

static int32_t added_longest(const struct hv_added *added, const uint8_t *text, size_t n)
{
    struct hv_prefix_walk walk = {0};
    int32_t longest = -1, found;
    for (size_t i = 0; i < n && hv_prefix_step(&added->index, &walk, text[i], &found); i++)
        if (found >= 0)
            longest = found;
    return longest;
}

bool hv_added_next(const struct hv_added *added, const uint8_t *text, size_t len, size_t pos,
                   bool special_too, struct hv_added_match *match)
{
    size_t from = pos;
    while (added->n && pos < len) {
        int32_t i = added->index.first[text[pos]] == added->index.first[text[pos] + 1u]
                        ? -1
                        : added_longest(added, text + pos, len - pos);
        if (i < 0) {
            pos++;
            continue;
        }
        const struct hv_added_token *t = &added->tokens[i];
        size_t end = pos + t->text.len;
        if ((t->special && !special_too) ||
            (t->single_word &&
             (added_ends_with_word(text, pos) || added_starts_with_word(text + end, len - end)))) {
            pos = end;
            continue;
        }
        match->id = t->id;
        match->begin = t->lstrip ? added_space_before(text, from, pos) : pos;
        match->end = t->rstrip ? added_space_after(text, end, len) : end;
        return true;
    }
    return false;
}
