/* Canonical LEB128 of 32-bit values: 7 bits a byte, low first, the top bit says that more follow. Canonical:
 * no longer than needed, so a value has one form. Source: DWARF 5, section 7.6. */
#include "kernels/hk_bodies.h"

size_t hk_varint_encode__scalar(uint8_t *restrict out, const uint32_t *restrict x, size_t n)
{
    uint8_t *at = out;
    for (size_t i = 0; i < n; i++) {
        uint32_t v = x[i];
        for (; v >= 0x80; v >>= 7)
            *at++ = (uint8_t)(v | 0x80);
        *at++ = (uint8_t)v;
    }
    return (size_t)(at - out);
}

size_t hk_varint_decode__scalar(uint32_t *restrict out, size_t capacity, size_t *restrict n_out,
                                const uint8_t *restrict in, size_t n)
{
    size_t at = 0, count = 0;
    while (count < capacity) {
        uint32_t v = 0;
        size_t len = 0;
        for (; len < 5 && at + len < n; len++) {
            uint8_t byte = in[at + len];
            v |= (uint32_t)(byte & 0x7F) << 7 * len;
            if (byte < 0x80)
                break;
        }
        if (len == 5 || at + len == n)
            break; /* longer than 32 bits take, or cut */
        if ((len > 0 && in[at + len] == 0) || (len == 4 && in[at + 4] > 0x0F))
            break; /* not canonical, or above 32 bits */
        out[count++] = v;
        at += len + 1;
    }
    *n_out = count;
    return at;
}
