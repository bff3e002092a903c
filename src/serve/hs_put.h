/* Text into a buffer of fixed size, and JSON of it: commas are put where they belong. What does not fit is not put, and
 * `cut` says so. */
#ifndef HS_PUT_H
#define HS_PUT_H

#include "base/hb_error.h"
#include <string.h>

struct hs_put {
    char *at;
    size_t len, size;
    bool cut;
    bool comma; /* a value stands before, on this level */
};

HB_INLINE void hs_put_bytes(struct hs_put *p, const char *text, size_t n)
{
    if (n >= p->size - p->len) {
        p->cut = true;
        return;
    }
    memcpy(p->at + p->len, text, n);
    p->len += n;
    p->at[p->len] = 0;
}

HB_INLINE void hs_put_text(struct hs_put *p, const char *text)
{
    hs_put_bytes(p, text, strlen(text));
}

HB_INLINE void hs_put_u64(struct hs_put *p, uint64_t v)
{
    char text[24];
    hs_put_bytes(p, text, hb_format(text, sizeof text, "%llu", (unsigned long long)v));
}

HB_INLINE void hs_put_real(struct hs_put *p, double v)
{
    char text[32];
    hs_put_bytes(p, text, hb_format(text, sizeof text, "%g", v));
}

/* In quotes, for JSON and for labels of Prometheus; control characters become spaces. */
HB_INLINE void hs_put_quoted(struct hs_put *p, const char *text)
{
    hs_put_text(p, "\"");
    for (; *text; text++) {
        const char c = (unsigned char)*text < 32 ? ' ' : *text;
        if (c == '"' || c == '\\')
            hs_put_text(p, "\\");
        hs_put_bytes(p, &c, 1);
    }
    hs_put_text(p, "\"");
}

/* ---- JSON: key NULL inside arrays ---- */

HB_INLINE void hs_json_key(struct hs_put *p, const char *key)
{
    if (p->comma)
        hs_put_text(p, ",");
    p->comma = true;
    if (!key)
        return;
    hs_put_quoted(p, key);
    hs_put_text(p, ":");
}

HB_INLINE void hs_json_open(struct hs_put *p, const char *key, const char *bracket)
{
    hs_json_key(p, key);
    hs_put_text(p, bracket);
    p->comma = false;
}

HB_INLINE void hs_json_close(struct hs_put *p, const char *bracket)
{
    hs_put_text(p, bracket);
    p->comma = true;
}

HB_INLINE void hs_json_u64(struct hs_put *p, const char *key, uint64_t v)
{
    hs_json_key(p, key);
    hs_put_u64(p, v);
}

HB_INLINE void hs_json_real(struct hs_put *p, const char *key, double v)
{
    hs_json_key(p, key);
    hs_put_real(p, v);
}

HB_INLINE void hs_json_text(struct hs_put *p, const char *key, const char *text)
{
    hs_json_key(p, key);
    hs_put_quoted(p, text);
}

HB_INLINE void hs_json_bool(struct hs_put *p, const char *key, bool v)
{
    hs_json_key(p, key);
    hs_put_text(p, v ? "true" : "false");
}

HB_INLINE void hs_json_raw(struct hs_put *p, const char *key, const char *json)
{
    hs_json_key(p, key);
    hs_put_text(p, json);
}

#endif
