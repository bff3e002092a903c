/* JSON text into a bounded place. What does not fit is left out and remembered in `full`. */
#include "serve/hs_json.h"
#include "base/hb_unicode.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define JSON_SAFE ((uint64_t)1 << 53)

void hs_put_raw(struct hs_out *o, const char *text, size_t len)
{
    if ((size_t)(o->end - o->at) < len) {
        o->full = true;
        return;
    }
    memcpy(o->at, text, len);
    o->at += len;
}

void hs_put_text(struct hs_out *o, const char *text)
{
    hs_put_raw(o, text, strlen(text));
}

void hs_put_string(struct hs_out *o, struct hs_bytes s)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *p = (const uint8_t *)s.at;
    hs_put_raw(o, "\"", 1);
    for (size_t i = 0; i < s.len;) {
        uint32_t c;
        size_t n = hb_utf8_take(p + i, s.len - i, &c);
        char escape[7] = {'\\', 'u', '0', '0', 0, 0, 0};
        if (c == HB_UC_REPLACEMENT) /* real, or in the place of a byte that is not UTF-8 */
            hs_put_raw(o, "\xEF\xBF\xBD", 3);
        else if (c == '"' || c == '\\') {
            escape[1] = (char)c;
            hs_put_raw(o, escape, 2);
        } else if (c < 0x20) {
            escape[4] = hex[c >> 4];
            escape[5] = hex[c & 15];
            hs_put_raw(o, escape, 6);
        } else {
            hs_put_raw(o, s.at + i, n);
        }
        i += n;
    }
    hs_put_raw(o, "\"", 1);
}

void hs_put_u64(struct hs_out *o, uint64_t v, bool minus)
{
    char text[32];
    snprintf(text, sizeof text, v > JSON_SAFE ? "\"%s%llu\"" : "%s%llu", minus ? "-" : "", (unsigned long long)v);
    hs_put_text(o, text);
}

void hs_put_f32(struct hs_out *o, float f)
{
    char text[32];
    if (f == 0 && signbit(f))
        memcpy(text, "-0.0", 5); /* "-0" is a whole number, which has no sign there */
    else
        snprintf(text, sizeof text, "%.9g", (double)f);
    hs_put_text(o, isfinite(f) ? text : "null");
}
