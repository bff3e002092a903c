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

#endif
