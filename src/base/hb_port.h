/* Compiler and machine differences, in one place. The only header of ours that kernels include. */
#ifndef HB_PORT_H
#define HB_PORT_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#if defined(__GNUC__)
#define HB_INLINE       static inline __attribute__((always_inline))
#define HB_NOINLINE     __attribute__((noinline))
#define HB_LIKELY(x)    __builtin_expect(!!(x), 1)
#define HB_UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define HB_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define HB_MAYBE_UNUSED __attribute__((unused))
#define HB_PREFETCH(p)  __builtin_prefetch((p), 0, 3)
#if defined(__clang__)
#define HB_UNROLL _Pragma("unroll")
#else
#define HB_UNROLL _Pragma("GCC unroll 32")
#endif
#else
#define HB_INLINE static inline
#define HB_NOINLINE
#define HB_LIKELY(x)   (x)
#define HB_UNLIKELY(x) (x)
#define HB_PRINTF(f, a)
#define HB_MAYBE_UNUSED
#define HB_PREFETCH(p) ((void)(p))
#define HB_UNROLL      /* before a loop with a constant count: unroll it fully */
#endif

#define HB_ALIGNAS(n)  _Alignas(n)
#define HB_CACHELINE   64
#define HB_COUNT(a)    (sizeof(a) / sizeof((a)[0]))

/* What the CPU of this machine can do; found by base/os, read by kernels/cpu.c. Bit positions are
 * internal and may change. */
#define HB_CPU_AVX2        (1u << 0)  /* AVX2, FMA and F16C together, enabled by the system */
#define HB_CPU_AVX_VNNI    (1u << 1)
#define HB_CPU_AVX512      (1u << 2)  /* F, BW, DQ, VL and VNNI together */
#define HB_CPU_AVX512_BF16 (1u << 3)  /* BF16 and VBMI on top of HB_CPU_AVX512 */
#define HB_CPU_NEON        (1u << 8)
#define HB_CPU_NEON_DOT    (1u << 9)
#define HB_CPU_NEON_I8MM   (1u << 10)

#endif
