/* CPU features, without help from libc.
 * Source: Intel SDM vol. 2A CPUID leaves 1 and 7, vol. 1 ch. 13 (XCR0); AArch64 hwcaps as listed
 * in Linux Documentation/arch/arm64/elf_hwcaps. */
#include "base/os/hb_os.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

static uint64_t cpu_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

uint32_t hb_os_cpu_features(void)
{
    uint32_t a, b, c, d, features = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    bool osxsave = c & (1u << 27), avx = c & (1u << 28), fma = c & (1u << 12),
         f16c = c & (1u << 29);
    if (!osxsave || !avx)
        return 0;
    uint64_t xcr0 = cpu_xcr0();
    bool ymm = (xcr0 & 0x6) == 0x6, zmm = (xcr0 & 0xE6) == 0xE6;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    uint32_t b7 = b, c7 = c, max_sub = a, a71 = 0;
    if (max_sub >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
        a71 = a;
    if (ymm && fma && f16c && (b7 & (1u << 5)))
        features |= HB_CPU_AVX2;
    else
        return 0;
    if (a71 & (1u << 4))
        features |= HB_CPU_AVX_VNNI;
    /* F 16, DQ 17, BW 30, VL 31 in EBX; VNNI 11 in ECX */
    const uint32_t need_b = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    if (zmm && (b7 & need_b) == need_b && (c7 & (1u << 11))) {
        features |= HB_CPU_AVX512;
        if ((c7 & (1u << 1)) && (a71 & (1u << 5))) /* VBMI, BF16 */
            features |= HB_CPU_AVX512_BF16;
    }
    return features;
}

#elif defined(__aarch64__)
#if defined(__linux__) && __STDC_HOSTED__
#include <sys/auxv.h>
uint32_t hb_os_cpu_features(void)
{
    uint32_t features = HB_CPU_NEON;
    if (getauxval(AT_HWCAP) & (1ul << 20)) /* HWCAP_ASIMDDP */
        features |= HB_CPU_NEON_DOT;
    if (getauxval(AT_HWCAP2) & (1ul << 13)) /* HWCAP2_I8MM */
        features |= HB_CPU_NEON_I8MM;
    return features;
}
#else
uint32_t hb_os_cpu_features(void)
{
    uint32_t features = HB_CPU_NEON;
#if defined(__ARM_FEATURE_DOTPROD)
    features |= HB_CPU_NEON_DOT;
#endif
#if defined(__ARM_FEATURE_MATMUL_INT8)
    features |= HB_CPU_NEON_I8MM;
#endif
    return features;
}
#endif

#else
uint32_t hb_os_cpu_features(void)
{
    return 0;
}
#endif
