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

/* Four values whose history the compiler forgets. */
#if defined(__GNUC__)
#define HK_OPAQUE4(a, b, c, d) __asm__("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d))
#else
#define HK_OPAQUE4(a, b, c, d) ((void)0)
#endif

#endif
