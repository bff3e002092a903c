#include "json_out.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Length of the valid UTF-8 character at p, 0 if there is none. Source: Unicode 15, table 3-7. */
static size_t json_utf8_length(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return n;
}

static void json_put_text(FILE *f, const char *bytes, size_t len)
{
    static const char short_escape[] = "b\bf\fn\nr\rt\t\"\"\\\\";
    fputc('"', f);
    for (size_t i = 0; i < len;) {
        const unsigned char *p = (const unsigned char *)bytes + i;
        size_t n = json_utf8_length(p, len - i);
        const char *e = NULL;
        for (size_t k = 1; k < sizeof short_escape - 1 && !e; k += 2)
            if (short_escape[k] == (char)*p)
                e = &short_escape[k - 1];
        if (e)
            fprintf(f, "\\%c", *e);
        else if (n == 0)
            fputs("\\ufffd", f);
        else if (*p < 0x20 || *p == 0x7F)
            fprintf(f, "\\u%04x", *p);
        else
            fwrite(p, 1, n, f);
        i += n ? n : 1;
    }
    fputc('"', f);
}

static void json_before(struct hj *j, const char *key)
{
    if (j->inside)
        fputc(',', j->file);
    j->inside = true;
    if (key) {
        json_put_text(j->file, key, strlen(key));
        fputc(':', j->file);
    }
}

void hj_open(struct hj *j, const char *key, char bracket)
{
    json_before(j, key);
    fputc(bracket, j->file);
    j->inside = false;
}

void hj_close(struct hj *j, char bracket)
{
    fputc(bracket, j->file);
    j->inside = true;
}

void hj_text(struct hj *j, const char *key, const char *bytes, size_t len)
{
    json_before(j, key);
    json_put_text(j->file, bytes, len);
}

void hj_string(struct hj *j, const char *key, const char *text)
{
    hj_text(j, key, text, strlen(text));
}

void hj_int(struct hj *j, const char *key, int64_t value)
{
    json_before(j, key);
    fprintf(j->file, "%" PRId64, value);
}

void hj_uint(struct hj *j, const char *key, uint64_t value)
{
    json_before(j, key);
    fprintf(j->file, "%" PRIu64, value);
}

void hj_bool(struct hj *j, const char *key, bool value)
{
    json_before(j, key);
    fputs(value ? "true" : "false", j->file);
}

void hj_format_real(char *dst, size_t size, double value)
{
    if (!isfinite(value)) {
        snprintf(dst, size, "null");
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(dst, size, "%.*g", digits, value);
        if (strtod(dst, NULL) == value)
            return;
    }
}

void hj_real(struct hj *j, const char *key, double value)
{
    char text[40];
    hj_format_real(text, sizeof text, value);
    json_before(j, key);
    fputs(text, j->file);
}
