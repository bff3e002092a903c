/* A bounded cursor over bytes that nobody has checked yet. Loaders see files and messages only
 * through it: no struct is laid over the bytes, and no read goes past the end.
 *
 * All numbers are little-endian. A take returns false, and moves nothing, when too little is left. */
#ifndef HB_READER_H
#define HB_READER_H

#include "base/hb_port.h"
#include <string.h>

struct hb_reader {
    const uint8_t *base;
    size_t size;
    size_t pos;
};

HB_INLINE struct hb_reader hb_reader_make(const void *bytes, size_t size)
{
    return (struct hb_reader){(const uint8_t *)bytes, size, 0};
}

HB_INLINE size_t hb_reader_left(const struct hb_reader *r)
{
    return r->size - r->pos;
}

/* Borrow n bytes in place. */
HB_INLINE bool hb_take_bytes(struct hb_reader *r, size_t n, const uint8_t **out)
{
    if (n > hb_reader_left(r))
        return false;
    *out = r->base + r->pos;
    r->pos += n;
    return true;
}

HB_INLINE bool hb_take_u8(struct hb_reader *r, uint8_t *out)
{
    if (hb_reader_left(r) < 1)
        return false;
    *out = r->base[r->pos++];
    return true;
}

HB_INLINE uint32_t hb_load_u16le(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

HB_INLINE uint32_t hb_load_u32le(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

HB_INLINE uint64_t hb_load_u64le(const uint8_t *p)
{
    return (uint64_t)hb_load_u32le(p) | (uint64_t)hb_load_u32le(p + 4) << 32;
}

HB_INLINE float hb_load_f32le(const uint8_t *p)
{
    uint32_t bits = hb_load_u32le(p);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

HB_INLINE double hb_load_f64le(const uint8_t *p)
{
    uint64_t bits = hb_load_u64le(p);
    double f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

HB_INLINE bool hb_take_u32(struct hb_reader *r, uint32_t *out)
{
    const uint8_t *p;
    if (!hb_take_bytes(r, 4, &p))
        return false;
    *out = hb_load_u32le(p);
    return true;
}

HB_INLINE bool hb_take_u64(struct hb_reader *r, uint64_t *out)
{
    const uint8_t *p;
    if (!hb_take_bytes(r, 8, &p))
        return false;
    *out = hb_load_u64le(p);
    return true;
}

#endif
