/* What WordPiece asks of a Unicode library, behind the option HEARTH_UTF8PROC: without it
 * hv_normalize_none.c stands here and WordPiece vocabularies are refused. */
#ifndef HV_NORMALIZE_H
#define HV_NORMALIZE_H

#include "base/hb_port.h"

#define HV_NORMAL_MAX 8 /* code points that one becomes; the longest canonical decomposition is 4 */

bool hv_normalize_available(void);

/* One code point in BERT's normal form: canonical decomposition without non-spacing marks if
 * strip_accents, then lower case if lowercase. Returns how many code points are in out; 0 if the
 * character goes. */
size_t hv_normalize(uint32_t cp, bool strip_accents, bool lowercase, uint32_t out[HV_NORMAL_MAX]);

/* For the normalizers of tokenizer.json. */
#define HV_DECOMPOSED_MAX 32 /* the longest compatibility decomposition is 18 */

/* Full decomposition of one code point, canonical or with `compat`; marks are not put in order. */
size_t hv_decompose(uint32_t cp, bool compat, uint32_t out[HV_DECOMPOSED_MAX]);
uint8_t hv_combining_class(uint32_t cp);
/* Canonical composition in place of a decomposed text in order; returns its length. Linear. */
size_t hv_compose(uint32_t *points, size_t n);
/* May a text be cut into user-perceived characters between these two? state is 0 at the start. */
bool hv_grapheme_break(uint32_t left, uint32_t right, int32_t *state);

#endif
