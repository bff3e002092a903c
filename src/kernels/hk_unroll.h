/* Loops over registers must be unrolled whatever the optimisation level, or they become memory. */
#ifndef HK_UNROLL_H
#define HK_UNROLL_H

#ifndef HK_UNROLL
#if defined(__GNUC__)
#define HK_UNROLL(n) HK_PRAGMA(GCC unroll n)
#define HK_PRAGMA(x) _Pragma(#x)
#else
#define HK_UNROLL(n)
#endif
#endif

#endif
