/* Reports: JSON whose commas are put where they belong, over the writer of hs_json.h. */
#ifndef HS_PUT_H
#define HS_PUT_H

#include "base/hb_error.h"
#include "serve/hs_json.h"
#include <string.h>

struct hs_put {
    struct hs_out out; /* full: something did not fit */
    bool comma;        /* a value stands before, on this level */
};

HB_INLINE void hs_put_real(struct hs_out *o, double v)
{
    char text[32];
    hs_put_raw(o, text, hb_format(text, sizeof text, "%g", v));
}

HB_INLINE void hs_put_quoted(struct hs_out *o, const char *text)
{
    hs_put_string(o, (struct hs_bytes){text, strlen(text)});
}

/* key NULL inside arrays */
HB_INLINE void hs_json_key(struct hs_put *p, const char *key)
{
    if (p->comma)
        hs_put_text(&p->out, ",");
    p->comma = true;
    if (!key)
        return;
    hs_put_quoted(&p->out, key);
    hs_put_text(&p->out, ":");
}

HB_INLINE void hs_json_open(struct hs_put *p, const char *key, const char *bracket)
{
    hs_json_key(p, key);
    hs_put_text(&p->out, bracket);
    p->comma = false;
}

HB_INLINE void hs_json_close(struct hs_put *p, const char *bracket)
{
    hs_put_text(&p->out, bracket);
    p->comma = true;
}

HB_INLINE void hs_json_u64(struct hs_put *p, const char *key, uint64_t v)
{
    hs_json_key(p, key);
    hs_put_u64(&p->out, v, false);
}

HB_INLINE void hs_json_real(struct hs_put *p, const char *key, double v)
{
    hs_json_key(p, key);
    hs_put_real(&p->out, v);
}

HB_INLINE void hs_json_text(struct hs_put *p, const char *key, const char *text)
{
    hs_json_key(p, key);
    hs_put_quoted(&p->out, text);
}

HB_INLINE void hs_json_bool(struct hs_put *p, const char *key, bool v)
{
    hs_json_key(p, key);
    hs_put_text(&p->out, v ? "true" : "false");
}

HB_INLINE void hs_json_raw(struct hs_put *p, const char *key, const char *json)
{
    hs_json_key(p, key);
    hs_put_text(&p->out, json);
}

#endif
