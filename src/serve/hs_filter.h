/* The content filter: words that must not come out, whatever their case and normal form, replaced as text
 * streams by.
 *
 *   text ─► clusters ─► normalised ─► automaton ─► what cannot be part of a word any more goes out
 *
 * Words and text are compared in NFC after case folding (Unicode 15, sections 3.11 and 5.18), as bytes, by an
 * Aho-Corasick automaton. The raw text is cut into grapheme clusters, since neither composition nor folding
 * reaches across them; a match takes away all clusters it touches, so nothing of a word stays behind. The first word
 * to end is taken, and of those that end there the longest.
 *
 * What comes out holds no word: the replacement begins and ends with characters that are in no word, and holds
 * none, which is checked when the filter is made. Letters of other scripts that look alike are other letters.
 *
 * Text that is not UTF-8 passes byte by byte and matches nothing. Clusters of more than 32 code points are cut there
 * (Unicode Annex 15, "Stream-Safe Text Format", has 30), so memory and time are bounded: held back is at most the
 * longest word and one cluster. */
#ifndef HS_FILTER_H
#define HS_FILTER_H

#include "base/hb_arena.h"

#define HS_FILTER_MAX_WORDS 262144u
#define HS_FILTER_MAX_WORD  1024u /* bytes, normalised */
#define HS_CLUSTER_POINTS   32
#define HS_CLUSTER_BYTES    (4 * HS_CLUSTER_POINTS)

struct hs_word {
    const char *text; /* UTF-8 */
    size_t len;
};

struct hs_filter;

/* HEARTH_E_RANGE: an empty word, one too long, a replacement that would bring a word back, all by number;
 * HEARTH_E_FORMAT: not UTF-8; HEARTH_E_LIMIT: too many words; HEARTH_E_UNSUPPORTED: a build without HEARTH_UTF8PROC. */
hearth_status hs_filter_create(const struct hs_word *words, size_t n, const char *replacement, size_t replacement_len,
                               struct hb_arena *arena, struct hs_filter **out, hearth_error *err);

typedef void hs_filter_out_fn(void *user, const char *text, size_t len);

/* One text on its way. */
struct hs_filter_stream;
hearth_status hs_filter_open(const struct hs_filter *filter, struct hb_arena *arena, struct hs_filter_stream **out,
                             hearth_error *err);
/* More of the text; what is sure goes to `out`, in any number of calls. Allocates nothing. */
void hs_filter_push(struct hs_filter_stream *s, const char *text, size_t len, hs_filter_out_fn *out, void *user);
/* The text is over: the rest goes out, and the stream may be used for the next one. */
void hs_filter_end(struct hs_filter_stream *s, hs_filter_out_fn *out, void *user);
/* Since open. It grows between what stood in front of a word and its replacement. */
uint64_t hs_filter_matches(const struct hs_filter_stream *s);

#endif
