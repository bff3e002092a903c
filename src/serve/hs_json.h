/* JSON, for the JSON form of the wire and for HTTP: values written one by one, and texts read by jansson. */
#ifndef HS_JSON_H
#define HS_JSON_H

#include "serve/hs_wire.h"

struct hs_out {
    uint8_t *at, *end;
    bool full;
};

void hs_put_raw(struct hs_out *o, const char *text, size_t len);
void hs_put_text(struct hs_out *o, const char *text);
/* In quotes, at most 2 + 6 bytes for each byte. What is not UTF-8 becomes U+FFFD. */
void hs_put_string(struct hs_out *o, struct hs_bytes s);
void hs_put_u64(struct hs_out *o, uint64_t v, bool minus); /* above 2^53 as decimal text; at most 23 bytes */
void hs_put_f32(struct hs_out *o, float f);                /* null where it is not finite; at most 16 bytes */

/* Strict: no key twice, no NaN, nothing behind, nested at most HS_JSON_DEPTH deep. HEARTH_E_FORMAT, HEARTH_E_LIMIT;
 * the sentence begins with `what`. The value is the caller's, for json_decref. Allocates from the C heap. */
#define HS_JSON_DEPTH 64
struct json_t;
hearth_status hs_json_load(const char *what, const uint8_t *text, size_t len, struct json_t **value,
                           hearth_error *err);
/* A whole number, or one as decimal text of at most 20 bytes. */
bool hs_json_whole(const struct json_t *v, uint64_t *magnitude, bool *minus);

#endif
