/* Keys and values. Values stay in the file; what is checked here once (bounds of every string, types,
 * bools) later code need not doubt. */
#include "gguf/hg_read.h"
#include <string.h>

/* The shortest record: length, one byte of key, type, one byte of value. */
#define META_MIN_BYTES (8 + 1 + 4 + 1)

hearth_status hg_read_text(struct hg_part *p, const char *what, size_t max, struct hg_text *out,
                           hearth_error *err)
{
    uint64_t len;
    HB_MAYBE_UNUSED size_t at = p->in.pos; /* for the sentence only */
    const uint8_t *bytes;
    if (!hb_take_u64(&p->in, &len))
        return hb_fail(err, HEARTH_E_TRUNCATED, "%s: the file ends in the length of %s at byte %zu",
                       p->where, what, at);
    if (len > max)
        return hb_fail(err, HEARTH_E_LIMIT, "%s: %s at byte %zu has %llu bytes; at most %zu",
                       p->where, what, at, (unsigned long long)len, max);
    if (!hb_take_bytes(&p->in, (size_t)len, &bytes))
        return hb_fail(err, HEARTH_E_TRUNCATED,
                       "%s: %s at byte %zu has %llu bytes, %zu are left in the file", p->where,
                       what, at, (unsigned long long)len, hb_reader_left(&p->in));
    *out = (struct hg_text){(const char *)bytes, (size_t)len};
    return HEARTH_OK;
}

bool hg_name_ok(struct hg_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (t.bytes[i] < 0x20 || t.bytes[i] > 0x7E)
            return false;
    return t.len > 0;
}

static hearth_status read_meta_strings(struct hg_part *p, const struct hg_meta *m,
                                       hearth_error *err)
{
    struct hg_text t;
    for (size_t i = 0; i < m->count; i++)
        HB_TRY(hg_read_text(p, m->key, HG_MAX_STRING, &t, err));
    return HEARTH_OK;
}

/* m->count elements of m->type from here on; m->key is printable by now. */
static hearth_status read_meta_elements(struct hg_part *p, struct hg_meta *m, hearth_error *err)
{
    size_t at = p->in.pos, width = hg_value_bytes[m->type];
    size_t fit = hb_reader_left(&p->in) / (width ? width : 8);
    if (m->count > fit)
        return hb_fail(err, HEARTH_E_TRUNCATED,
                       "%s: key %s at byte %zu has %zu elements of %s; the rest of the file has room "
                       "for %zu", p->where, m->key, at, m->count, hg_value_name(m->type), fit);
    m->data = p->in.base + p->in.pos;
    if (width)
        p->in.pos += m->count * width;
    else
        HB_TRY(read_meta_strings(p, m, err));
    m->bytes = p->in.pos - at;
    if (m->type == HG_BOOL)
        for (size_t i = 0; i < m->count; i++)
            if (m->data[i] > 1)
                return hb_fail(err, HEARTH_E_FORMAT,
                               "%s: key %s: bool with value %d at byte %zu; 0 and 1 are allowed",
                               p->where, m->key, (int)m->data[i], at + i);
    return HEARTH_OK;
}

static hearth_status read_meta_value(struct hg_part *p, struct hg_meta *m, hearth_error *err)
{
    uint32_t type;
    uint64_t count = 1;
    HB_MAYBE_UNUSED size_t at = p->in.pos; /* for the sentence only */
    if (!hb_take_u32(&p->in, &type))
        goto truncated;
    if (type == HG_ARRAY) {
        m->array = true;
        if (!hb_take_u32(&p->in, &type) || !hb_take_u64(&p->in, &count))
            goto truncated;
        if (type == HG_ARRAY)
            return hb_fail(err, HEARTH_E_UNSUPPORTED,
                           "%s: key %s at byte %zu is an array of arrays; arrays hold plain values",
                           p->where, m->key, at);
        if (type < HG_VALUE_TYPES && count > HG_MAX_ARRAY)
            return hb_fail(err, HEARTH_E_LIMIT,
                           "%s: key %s at byte %zu has %llu elements; at most %u", p->where, m->key,
                           at, (unsigned long long)count, HG_MAX_ARRAY);
    }
    if (type >= HG_VALUE_TYPES)
        return hb_fail(err, HEARTH_E_FORMAT, "%s: key %s at byte %zu has value type %u; 0 to %d exist",
                       p->where, m->key, at, type, HG_VALUE_TYPES - 1);
    m->type = (uint8_t)type;
    m->count = (size_t)count;
    return read_meta_elements(p, m, err);
truncated:
    return hb_fail(err, HEARTH_E_TRUNCATED, "%s: the file ends in the value of key %s at byte %zu",
                   p->where, m->key, at);
}

static hearth_status read_meta_one(struct hg_part *p, struct hb_arena *arena, struct hg_meta *m,
                                   hearth_error *err)
{
    struct hg_text key;
    HB_MAYBE_UNUSED size_t at = p->in.pos; /* for the sentence only */
    HB_TRY(hg_read_text(p, "a key", HG_MAX_KEY, &key, err));
    if (!hg_name_ok(key))
        return hb_fail(err, HEARTH_E_FORMAT,
                       "%s: the key at byte %zu is \"%.*s\"; keys are 1 to %d printable ASCII letters",
                       p->where, at, (int)(key.len < 60 ? key.len : 60), key.bytes, HG_MAX_KEY);
    HB_TRY(hb_arena_text(arena, key.bytes, key.len, &m->key, err));
    m->key_len = (uint32_t)key.len;
    return read_meta_value(p, m, err);
}

static int read_meta_compare(const struct hg_meta *m, const char *key, size_t len)
{
    size_t n = m->key_len < len ? m->key_len : len;
    int c = memcmp(m->key, key, n);
    return c ? c : (m->key_len > len) - (m->key_len < len);
}

static bool read_meta_less(const void *ctx, uint32_t a, uint32_t b)
{
    const struct hg_meta *m = ctx;
    return read_meta_compare(&m[a], m[b].key, m[b].key_len) < 0;
}

const struct hg_meta *hg_metas_find(const struct hg_metas *metas, const char *key, size_t len)
{
    size_t low = 0, high = metas->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct hg_meta *m = &metas->at[metas->order[mid]];
        int c = read_meta_compare(m, key, len);
        if (c == 0)
            return m;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

hearth_status hg_read_meta(struct hg_part *p, struct hb_arena *arena, hearth_error *err)
{
    struct hg_metas *t = &p->meta;
    if (p->n_meta > hb_reader_left(&p->in) / META_MIN_BYTES)
        return hb_fail(err, HEARTH_E_TRUNCATED, "%s: %zu keys are announced, %zu bytes are left",
                       p->where, p->n_meta, hb_reader_left(&p->in));
    HB_TRY(HB_ARENA_NEW(arena, struct hg_meta, p->n_meta, &t->at, err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, p->n_meta, &t->order, err));
    for (size_t i = 0; i < p->n_meta; i++) {
        HB_TRY(read_meta_one(p, arena, &t->at[i], err));
        t->order[i] = (uint32_t)i;
    }
    t->n = p->n_meta;
    hg_sort(t->order, t->n, read_meta_less, t->at);
    for (size_t i = 1; i < t->n; i++)
        if (!read_meta_less(t->at, t->order[i - 1], t->order[i]))
            return hb_fail(err, HEARTH_E_FORMAT, "%s: key %s is given twice", p->where,
                           t->at[t->order[i]].key);
    return HEARTH_OK;
}
