/* Texts of templates: every piece carries the marks of the bytes it came from. */
#include "tokenizer/hv_jinja.h"

/* ---- growing ---- */

void hv_jbuf_open(struct hv_jrun *run, struct hv_marked *buf)
{
    *buf = (struct hv_marked){.arena = run->arena, .max = run->max_bytes};
}

hearth_status hv_jbuf_str(struct hv_jrun *run, struct hv_marked *buf, struct hv_jstr s)
{
    size_t before = buf->capacity;
    HB_TRY(hv_jcharge(run, s.n / 64));
    HB_TRY(hv_marked_put(buf, s.b, s.mark, s.n, run->err));
    run->bytes_used += (buf->capacity - before) * 2;
    if (run->bytes_used > run->max_bytes)
        return HV_JFAIL(run, HEARTH_E_LIMIT, "more than %zu bytes of memory", run->max_bytes);
    return HEARTH_OK;
}

struct hv_jstr hv_jbuf_close(const struct hv_marked *buf)
{
    bool any = buf->len && memchr(buf->mark, 1, buf->len) != NULL;
    return (struct hv_jstr){buf->len ? buf->bytes : "", any ? buf->mark : NULL, buf->len};
}

/* ---- pieces ---- */

struct hv_jstr hv_jcut(struct hv_jstr s, size_t begin, size_t end)
{
    return (struct hv_jstr){s.b + begin, s.mark ? s.mark + begin : NULL, end - begin};
}

size_t hv_jchars(struct hv_jstr s)
{
    size_t n = 0;
    for (size_t at = 0; at < s.n; n++) {
        uint32_t cp;
        at += hb_utf8_take((const uint8_t *)s.b + at, s.n - at, &cp);
    }
    return n;
}

size_t hv_jfind(struct hv_jstr text, struct hv_jstr what, size_t from)
{
    if (what.n == 0)
        return from <= text.n ? from : SIZE_MAX;
    while (from < text.n && what.n <= text.n - from) {
        const char *p = memchr(text.b + from, what.b[0], text.n - what.n - from + 1);
        if (!p)
            return SIZE_MAX;
        from = (size_t)(p - text.b);
        if (memcmp(p, what.b, what.n) == 0)
            return from;
        from++;
    }
    return SIZE_MAX;
}

hearth_status hv_jjoin(struct hv_jrun *run, struct hv_jstr a, struct hv_jstr b, struct hv_jstr *out)
{
    struct hv_marked buf;
    if (a.n == 0 || b.n == 0) {
        *out = a.n ? a : b;
        return HEARTH_OK;
    }
    hv_jbuf_open(run, &buf);
    HB_TRY(hv_jbuf_str(run, &buf, a));
    HB_TRY(hv_jbuf_str(run, &buf, b));
    *out = hv_jbuf_close(&buf);
    return HEARTH_OK;
}

/* Is the character at p, n bytes from the end, to be stripped? Its length, 0 if not. */
static size_t text_strips(const char *p, size_t n, const struct hv_jstr *set)
{
    uint32_t cp;
    size_t len = hb_utf8_take((const uint8_t *)p, n, &cp);
    if (!set) /* what Python strips: White_Space and the four separators of ASCII */
        return (hb_uc_bit(cp) & HB_UC_SPACE) || (cp >= 0x1C && cp <= 0x1F) ? len : 0;
    return hv_jfind(*set, (struct hv_jstr){p, NULL, len}, 0) != SIZE_MAX ? len : 0;
}

struct hv_jstr hv_jstrip(struct hv_jstr s, const struct hv_jstr *set, bool left, bool right)
{
    size_t begin = 0, end = s.n;
    for (size_t len = 1; left && begin < end && len; begin += len)
        len = text_strips(s.b + begin, end - begin, set);
    while (right && end > begin) {
        size_t at = end - 1;
        while (at > begin && end - at < 4 && ((uint8_t)s.b[at] & 0xC0) == 0x80)
            at--;
        if (hb_utf8_len((const uint8_t *)s.b + at, end - at) != end - at)
            at = end - 1;
        if (!text_strips(s.b + at, end - at, set))
            break;
        end = at;
    }
    return hv_jcut(s, begin, end);
}

hearth_status hv_jreplace(struct hv_jrun *run, struct hv_jstr s, struct hv_jstr old,
                          struct hv_jstr new_text, int64_t most, struct hv_jstr *out)
{
    struct hv_marked buf;
    size_t at = 0;
    hv_jbuf_open(run, &buf);
    HB_TRY(hv_jcharge(run, s.n / 64));
    while (most != 0) {
        size_t found = old.n ? hv_jfind(s, old, at) : SIZE_MAX; /* an empty text is found nowhere */
        if (found == SIZE_MAX)
            break;
        HB_TRY(hv_jcharge(run, 1));
        HB_TRY(hv_jbuf_str(run, &buf, hv_jcut(s, at, found)));
        HB_TRY(hv_jbuf_str(run, &buf, new_text));
        at = found + old.n;
        most -= most > 0;
    }
    if (at == 0) {
        *out = s;
        return HEARTH_OK;
    }
    HB_TRY(hv_jbuf_str(run, &buf, hv_jcut(s, at, s.n)));
    *out = hv_jbuf_close(&buf);
    return HEARTH_OK;
}
