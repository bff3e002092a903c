/* Checked size arithmetic: every product and sum of sizes that came from outside goes through
 * here. Each returns false, leaving *out alone, when the true result does not fit. */
#ifndef HB_CHECK_H
#define HB_CHECK_H

#include "base/hb_port.h"

HB_INLINE bool hb_add_size(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

HB_INLINE bool hb_mul_size(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

/* Product of two non-negative dimensions. */
HB_INLINE bool hb_mul_dim(int64_t a, int64_t b, int64_t *out)
{
    if (a < 0 || b < 0 || (b != 0 && a > INT64_MAX / b))
        return false;
    *out = a * b;
    return true;
}

/* Round up to a power of two. */
HB_INLINE bool hb_align_size(size_t n, size_t align, size_t *out)
{
    if (n > SIZE_MAX - (align - 1))
        return false;
    *out = (n + (align - 1)) & ~(align - 1);
    return true;
}

HB_INLINE size_t hb_round_up(size_t n, size_t align) /* for sizes known to be small */
{
    return (n + (align - 1)) & ~(align - 1);
}

HB_INLINE bool hb_is_pow2(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

#endif
