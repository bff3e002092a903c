/* hk_fma: the correctly rounded a * b + c in single precision on every machine.
 *
 * Without fused hardware: the product of two floats is exact in double (48 of 53 bits). The sum is
 * rounded to odd (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved
 * algorithms using rounding to odd", IEEE TC 57(4), 2008), after which the conversion to float
 * rounds once. */
#ifndef HK_FMA_H
#define HK_FMA_H

#include "kernels/hk_bits.h"

HB_INLINE float hk_fma(float a, float b, float c)
{
#if defined(HK_FMA_HARDWARE) || defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__) || defined(__riscv_f)
    return __builtin_fmaf(a, b, c);
#else
    double p = (double)a * (double)b, z = (double)c;
    double s = p + z;
    double zz = s - p; /* TwoSum: err is the exact error of s */
    double err = (p - (s - zz)) + (z - zz);
    uint64_t bits;
    memcpy(&bits, &s, sizeof bits);
    bool finite = (bits >> 52 & 0x7FF) != 0x7FF;
    if (finite && err != 0 && !(bits & 1)) {
        bits += ((err > 0) == (s > 0)) ? 1 : (uint64_t)-1;
        memcpy(&s, &bits, sizeof s);
    }
    return (float)s;
#endif
}

#endif
