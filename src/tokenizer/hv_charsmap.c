/* The precompiled normalizer of SentencePiece:
 *
 *   u32 bytes of the trie | trie: u32 units of a double array | texts, each ended by a NUL
 *
 * A unit packs an offset, a label and whether a value hangs on it; the value is where in the texts
 * the replacement begins. All of it came from a file: every index is checked.
 *
 * Source: SentencePiece (normalizer.cc), darts-clone (Yata) for the bits of a unit. */
#include "tokenizer/hv_pipe_parts.h"

static bool charsmap_unit(const struct hv_charsmap *map, size_t i, uint32_t *unit)
{
    if (i >= map->n_units)
        return false;
    *unit = hb_load_u32le(map->units + 4 * i);
    return true;
}

static size_t charsmap_offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & (1u << 9)) >> 6);
}

hearth_status hv_charsmap_read(struct hv_charsmap *map, const uint8_t *bytes, size_t n,
                               hearth_error *err)
{
    struct hb_reader in = hb_reader_make(bytes, n);
    uint32_t trie_bytes;
    const uint8_t *units;
    if (!hb_take_u32(&in, &trie_bytes) || trie_bytes % 4 || trie_bytes < 4 ||
        !hb_take_bytes(&in, trie_bytes, &units))
        return hb_fail(err, HEARTH_E_FORMAT,
                       "tokenizer: precompiled_charsmap of %zu bytes: its trie does not fit into it",
                       n);
    *map = (struct hv_charsmap){units, trie_bytes / 4, (const char *)in.base + in.pos,
                                hb_reader_left(&in)};
    return HEARTH_OK;
}

bool hv_charsmap_find(const struct hv_charsmap *map, const uint8_t *bytes, size_t n,
                      struct hv_text *out)
{
    uint32_t unit;
    size_t at = 0;
    if (!charsmap_unit(map, 0, &unit))
        return false;
    at ^= charsmap_offset(unit);
    for (size_t i = 0; i < n && bytes[i]; i++) {
        at ^= bytes[i];
        if (!charsmap_unit(map, at, &unit) || (unit & (1u << 31 | 0xFF)) != bytes[i])
            return false;
        at ^= charsmap_offset(unit);
        if (!(unit >> 8 & 1))
            continue;
        /* the shortest match is what counts */
        if (!charsmap_unit(map, at, &unit))
            return false;
        size_t text = unit & 0x7FFFFFFF, end = text;
        if (text >= map->texts_bytes)
            return false;
        while (end < map->texts_bytes && map->texts[end])
            end++;
        *out = (struct hv_text){map->texts + text, end - text};
        return true;
    }
    return false;
}
