/* Floats as their bits. */
#ifndef HK_BITS_H
#define HK_BITS_H

#include "base/hb_port.h"
#include <string.h>

HB_INLINE float hk_from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

HB_INLINE uint32_t hk_to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

#endif
