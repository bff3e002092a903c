/* hb_fail and the small bounded formatter under it. stdio is not used in the core: it drags in
 * locale, files and allocation on small targets. */
#include "base/hb_error.h"
#include "base/hb_unicode.h"
#include <string.h>

const char *hearth_status_text(hearth_status status)
{
    switch (status) {
#define STATUS_CASE(name, value, text)                                                             \
    case HEARTH_##name:                                                                            \
        return text;
        HEARTH_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    }
    return "unknown status";
}

struct error_sink {
    char *dst;
    size_t size;   /* including room for the NUL */
    size_t len;    /* written */
    bool cut;
};

static void error_put(struct error_sink *s, char c)
{
    if (s->len + 1 < s->size)
        s->dst[s->len++] = c;
    else
        s->cut = true;
}

static void error_put_escaped(struct error_sink *s, const char *text, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < n && !s->cut;) {
        size_t len = hb_utf8_len(p + i, n - i);
        bool control = p[i] < 0x20 || p[i] == 0x7F;
        if (len == 0 || control) {
            error_put(s, '\\');
            error_put(s, 'x');
            error_put(s, hex[p[i] >> 4]);
            error_put(s, hex[p[i] & 15]);
            i++;
            continue;
        }
        if (s->len + len >= s->size) { /* never half a character */
            s->cut = true;
            return;
        }
        for (size_t j = 0; j < len; j++)
            error_put(s, (char)p[i + j]);
        i += len;
    }
}

static void error_put_unsigned(struct error_sink *s, unsigned long long v, unsigned base)
{
    char digits[24];
    int n = 0;
    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    while (n)
        error_put(s, digits[--n]);
}

static void error_put_signed(struct error_sink *s, long long v)
{
    if (v < 0)
        error_put(s, '-');
    error_put_unsigned(s, v < 0 ? 0ull - (unsigned long long)v : (unsigned long long)v, 10);
}

/* %g in six significant digits, enough for a message: digits by repeated scaling in double. */
static void error_put_double(struct error_sink *s, double v)
{
    if (v != v) {
        error_put_escaped(s, "nan", 3);
        return;
    }
    if (v < 0) {
        error_put(s, '-');
        v = -v;
    }
    if (v > 1.7976931348623157e308) {
        error_put_escaped(s, "inf", 3);
        return;
    }
    int exponent = 0;
    if (v != 0) {
        while (v >= 10) {
            v /= 10;
            exponent++;
        }
        while (v < 1) {
            v *= 10;
            exponent--;
        }
    }
    unsigned digits = (unsigned)(v * 100000 + 0.5);
    if (digits >= 1000000) {
        digits /= 10;
        exponent++;
    }
    char text[6];
    for (int i = 5; i >= 0; i--, digits /= 10)
        text[i] = (char)('0' + digits % 10);
    int last = 5;
    while (last > 0 && text[last] == '0')
        last--;
    bool scientific = exponent < -5 || exponent > 5;
    int point = scientific ? 0 : exponent;
    if (point < 0) {
        error_put(s, '0');
        error_put(s, '.');
        for (int i = -1; i > point; i--)
            error_put(s, '0');
    }
    for (int i = 0; i <= (last > point ? last : point); i++) {
        error_put(s, text[i]);
        if (i == point && i < last)
            error_put(s, '.');
    }
    if (scientific) {
        error_put(s, 'e');
        error_put_signed(s, exponent);
    }
}

/* One integer directive; `length` counts the l's, 3 means z. */
static void error_put_integer(struct error_sink *s, char conv, int length, va_list *args)
{
    if (conv == 'd') {
        long long v = length == 0   ? va_arg(*args, int)
                      : length == 1 ? va_arg(*args, long)
                      : length == 2 ? va_arg(*args, long long)
                                    : (long long)va_arg(*args, ptrdiff_t);
        error_put_signed(s, v);
        return;
    }
    unsigned long long v = length == 0   ? va_arg(*args, unsigned)
                           : length == 1 ? va_arg(*args, unsigned long)
                           : length == 2 ? va_arg(*args, unsigned long long)
                                         : va_arg(*args, size_t);
    error_put_unsigned(s, v, conv == 'x' ? 16 : 10);
}

/* One directive; f points behind '%'. Returns the position behind it. */
static const char *error_directive(struct error_sink *s, const char *f, va_list *args)
{
    int precision = -1, length = 0;
    if (f[0] == '.' && f[1] == '*') {
        precision = va_arg(*args, int);
        f += 2;
    }
    for (; *f == 'l' || *f == 'z'; f++)
        length = *f == 'z' ? 3 : length + 1;
    switch (*f) {
    case 's': {
        const char *text = va_arg(*args, const char *);
        if (!text)
            text = "(none)";
        size_t n = precision >= 0 ? (size_t)precision : strlen(text);
        error_put_escaped(s, text, n);
        break;
    }
    case 'c': {
        char c = (char)va_arg(*args, int);
        error_put_escaped(s, &c, 1);
        break;
    }
    case 'd':
    case 'u':
    case 'x':
        error_put_integer(s, *f, length, args);
        break;
    case 'g':
        error_put_double(s, va_arg(*args, double));
        break;
    case '%':
        error_put(s, '%');
        break;
    case 0:
        return f;
    default: /* unknown directive: print it, take nothing */
        error_put(s, '%');
        error_put(s, *f);
    }
    return f + 1;
}

size_t hb_vformat(char *dst, size_t size, const char *format, va_list args)
{
    if (size == 0)
        return 0;
    struct error_sink s = {dst, size, 0, false};
    va_list copy;
    va_copy(copy, args);
    for (const char *f = format; *f;) {
        if (*f == '%')
            f = error_directive(&s, f + 1, &copy);
        else
            error_put(&s, *f++);
    }
    va_end(copy);
    if (s.cut && size > 4) { /* show that something is missing, on a character boundary */
        size_t end = s.len < size - 4 ? s.len : size - 4;
        while (end > 0 && ((unsigned char)dst[end] & 0xC0) == 0x80)
            end--;
        memcpy(dst + end, "...", 3);
        s.len = end + 3;
    }
    dst[s.len] = 0;
    return s.len;
}

size_t hb_format(char *dst, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t n = hb_vformat(dst, size, format, args);
    va_end(args);
    return n;
}

#if HEARTH_ERROR_TEXT
hearth_status hb_fail(hearth_error *err, hearth_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        hb_vformat(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}
#else
hearth_status hb_fail_code(hearth_error *err, hearth_status status)
{
    if (err) {
        err->status = status;
        err->text[0] = 0;
    }
    return status;
}
#endif
