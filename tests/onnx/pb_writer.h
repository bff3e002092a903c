/* Protobuf messages for tests, right and wrong ones. A message is a growing run of bytes; fields are
 * appended in any order and as often as asked. */
#ifndef PB_WRITER_H
#define PB_WRITER_H

#include "test_support.h"

struct pb {
    uint8_t *at;
    size_t n, capacity;
};

static inline void pb_raw(struct pb *m, const void *bytes, size_t n)
{
    if (m->n + n > m->capacity) {
        m->capacity = 2 * (m->n + n) + 64;
        m->at = realloc(m->at, m->capacity);
        assert_non_null(m->at);
    }
    if (n)
        memcpy(m->at + m->n, bytes, n);
    m->n += n;
}

static inline void pb_varint(struct pb *m, uint64_t v)
{
    do {
        uint8_t byte = (uint8_t)((v & 0x7F) | (v > 0x7F ? 0x80 : 0));
        pb_raw(m, &byte, 1);
        v >>= 7;
    } while (v);
}

static inline void pb_tag(struct pb *m, uint32_t field, uint32_t type)
{
    pb_varint(m, (uint64_t)field << 3 | type);
}

static inline void pb_int(struct pb *m, uint32_t field, int64_t v)
{
    pb_tag(m, field, 0);
    pb_varint(m, (uint64_t)v);
}

static inline void pb_bytes(struct pb *m, uint32_t field, const void *bytes, size_t n)
{
    pb_tag(m, field, 2);
    pb_varint(m, n);
    pb_raw(m, bytes, n);
}

static inline void pb_text(struct pb *m, uint32_t field, const char *text)
{
    pb_bytes(m, field, text, strlen(text));
}

static inline void pb_float(struct pb *m, uint32_t field, float f)
{
    pb_tag(m, field, 5);
    pb_raw(m, &f, 4);
}

static inline void pb_free(struct pb *m)
{
    free(m->at);
    *m = (struct pb){0};
}

/* Append a message as a field and release it. */
static inline void pb_put(struct pb *m, uint32_t field, struct pb sub)
{
    pb_bytes(m, field, sub.at, sub.n);
    pb_free(&sub);
}

#endif
