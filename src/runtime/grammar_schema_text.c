/* The text of the grammar that a JSON schema becomes, as it grows. */
#include "runtime/hr_schema.h"
#include "base/hb_error.h"
#include <stdarg.h>
#include <string.h>

hearth_status hr_schema_put(struct hr_schema_text *t, const char *bytes, size_t n)
{
    if (n > t->capacity - t->len) {
        char *at;
        size_t capacity = (t->len + n) * 2 + 1024;
        if (t->len + n > HR_GRAMMAR_MAX_TEXT)
            return hb_fail(t->err, HEARTH_E_LIMIT, "schema: its grammar passes %zu bytes",
                           HR_GRAMMAR_MAX_TEXT);
        HB_TRY(hb_arena_take_raw(t->arena, capacity, 1, (void **)&at, t->err));
        if (t->len)
            memcpy(at, t->at, t->len);
        t->at = at;
        t->capacity = capacity;
    }
    memcpy(t->at + t->len, bytes, n);
    t->len += n;
    return HEARTH_OK;
}

hearth_status hr_schema_print(struct hr_schema_text *t, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    size_t n = hb_vformat(text, sizeof text, format, args);
    va_end(args);
    return hr_schema_put(t, text, n);
}

hearth_status hr_schema_quoted(struct hr_schema_text *t, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)bytes[i];
        if (c == '"' || c == '\\')
            HB_TRY(hr_schema_put(t, "\\", 1));
        if (c < 0x20 || c == 0x7F)
            HB_TRY(hr_schema_print(t, "\\x%c%c", "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15]));
        else
            HB_TRY(hr_schema_put(t, bytes + i, 1));
    }
    return HEARTH_OK;
}
