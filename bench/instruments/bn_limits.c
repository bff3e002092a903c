/* What the machine can do at most: how fast memory is read, how far apart two cores are, how many products of
 * floats and of bytes a core makes in a second. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise */
#endif
#include "bn_machine.h"
#include "bn_meter.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

/* ---- memory ---- */

#define LIMITS_BYTES ((size_t)256 << 20)
#define LIMITS_MOST_THREADS 256

#define LIMITS_LINE          64
#define LIMITS_PASSES        10

#if defined(__GNUC__)
#define LIMITS_PREFETCH(p) __builtin_prefetch((p), 0, 3)
#else
#define LIMITS_PREFETCH(p) ((void)(p))
#endif
#define LIMITS_AHEAD 4096 /* bytes; a page's worth of lines in flight */

struct limits_reader {
    const uint8_t *bytes;
    size_t n;
    bool ask; /* for lines ahead of time; some machines are faster with, some without */
    uint64_t sum; /* so that the reads are not dropped */
};

/* A word of every line: with all of them the adding is what takes the time, not the memory. Written out
 * with four sums, since a loop over an array of them is left in memory by some compilers, where each add
 * waits for the store before it. */
static void *limits_read(void *arg)
{
    struct limits_reader *r = arg;
    uint64_t a = r->sum, b = a, c = a, d = a, w[4];
    for (size_t i = 0; i + 4 * LIMITS_LINE <= r->n; i += 4 * LIMITS_LINE) {
        const uint8_t *p = r->bytes + i;
        for (size_t k = 0; r->ask && k < 4; k++)
            LIMITS_PREFETCH(p + LIMITS_AHEAD + k * LIMITS_LINE);
        memcpy(&w[0], p, 8), memcpy(&w[1], p + LIMITS_LINE, 8);
        memcpy(&w[2], p + 2 * LIMITS_LINE, 8), memcpy(&w[3], p + 3 * LIMITS_LINE, 8);
        a += w[0], b += w[1], c += w[2], d += w[3];
    }
    r->sum = a + b + c + d;
    return NULL;
}

static bool limits_pass(const uint8_t *bytes, size_t n_threads, bool ask, uint64_t *ns)
{
    pthread_t threads[LIMITS_MOST_THREADS];
    struct limits_reader readers[LIMITS_MOST_THREADS];
    size_t share = LIMITS_BYTES / n_threads, started = 1;
    uint64_t t0 = bn_now_ns();
    for (size_t i = 0; i < n_threads; i++)
        readers[i] = (struct limits_reader){.bytes = bytes + i * share, .n = share, .ask = ask};
    while (started < n_threads &&
           pthread_create(&threads[started], NULL, limits_read, &readers[started]) == 0)
        started++;
    limits_read(&readers[0]);
    for (size_t i = 1; i < started; i++)
        pthread_join(threads[i], NULL);
    *ns = bn_now_ns() - t0;
    return started == n_threads;
}

double bn_read_bandwidth(int32_t n_threads)
{
    size_t n = n_threads < 1 ? 1 : (size_t)n_threads;
    n = n > LIMITS_MOST_THREADS ? LIMITS_MOST_THREADS : n;
    void *block = mmap(NULL, LIMITS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t best = UINT64_MAX, ns;
    if (block == MAP_FAILED)
        return 0;
#ifdef MADV_HUGEPAGE
    madvise(block, LIMITS_BYTES, MADV_HUGEPAGE);
#endif
    memset(block, 1, LIMITS_BYTES);
    for (int pass = 0; pass < LIMITS_PASSES; pass++)
        if (limits_pass(block, n, pass % 2, &ns) && ns < best)
            best = ns;
    munmap(block, LIMITS_BYTES);
    return best == UINT64_MAX ? 0 : (double)LIMITS_BYTES / (double)best;
}

/* ---- from core to core ---- */

#define LIMITS_TRIPS 20000
#define LIMITS_BATCH 200

static _Alignas(64) _Atomic uint32_t limits_ball;

/* A thread that lost its core is not waited for with a spinning one. */
static bool limits_catch(uint32_t want)
{
    uint64_t until = bn_now_ns() + 1000000000u;
    for (uint32_t i = 1; atomic_load_explicit(&limits_ball, memory_order_acquire) != want; i++)
        if (i % 4096 == 0 && bn_now_ns() > until)
            return false;
    return true;
}

static void *limits_other(void *arg)
{
    for (uint32_t i = 0; i < LIMITS_TRIPS && limits_catch(2 * i + 1); i++)
        atomic_store_explicit(&limits_ball, 2 * i + 2, memory_order_release);
    return arg;
}

double bn_core_to_core_ns(void)
{
    pthread_t other;
    double best = 0;
    atomic_store(&limits_ball, 0);
    if (pthread_create(&other, NULL, limits_other, NULL) != 0)
        return 0;
    bool there = true;
    for (uint32_t i = 0; i < LIMITS_TRIPS && there;) {
        uint64_t t0 = bn_now_ns();
        for (uint32_t end = i + LIMITS_BATCH; i < end && there; i++) {
            atomic_store_explicit(&limits_ball, 2 * i + 1, memory_order_release);
            there = limits_catch(2 * i + 2);
        }
        double ns = (double)(bn_now_ns() - t0) / LIMITS_BATCH;
        best = there && (best == 0 || ns < best) ? ns : best;
    }
    pthread_join(other, NULL);
    return best;
}

/* ---- products in registers ----
 *
 * Twelve sums that do not wait for one another, and nothing from memory. A multiply and an add are two
 * operations. Best of many rounds: what the core can, not what others left of it. */

#define LIMITS_STEPS  20000
#define LIMITS_ROUNDS 40

#if defined(__x86_64__)
#define LIMITS_CHAINS(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11)
#define LIMITS_CLOBBERS                                                                            \
    "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",      \
        "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define LIMITS_PEAK(name, what, ...)                                                               \
    __VA_ARGS__ static void limits_##name(void)                                                    \
    {                                                                                              \
        for (int k = 0; k < LIMITS_STEPS; k++)                                                     \
            __asm__ volatile(LIMITS_CHAINS(what)::: LIMITS_CLOBBERS);                              \
    }
#define INT8_512(i)  "vpdpbusd %%zmm30, %%zmm31, %%zmm" #i "\n"
#define FLOAT_512(i) "vfmadd231ps %%zmm30, %%zmm31, %%zmm" #i "\n"
#define INT8_VNNI(i) "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" #i "\n"
#define INT8_256(i)                                                                                \
    "vpmaddubsw %%ymm14, %%ymm15, %%ymm12\nvpmaddwd %%ymm12, %%ymm13, %%ymm12\n"                   \
    "vpaddd %%ymm12, %%ymm" #i ", %%ymm" #i "\n"
#define FLOAT_256(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n"
LIMITS_PEAK(int8_512, INT8_512, __attribute__((target("avx512f"))))
LIMITS_PEAK(float_512, FLOAT_512, __attribute__((target("avx512f"))))
LIMITS_PEAK(int8_vnni, INT8_VNNI, __attribute__((target("avx2"))))
LIMITS_PEAK(int8_256, INT8_256, __attribute__((target("avx2"))))
LIMITS_PEAK(float_256, FLOAT_256, __attribute__((target("avx2"))))
#elif defined(__aarch64__)
#define LIMITS_CHAINS(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11)
#define FLOAT_NEON(i) "fmla v" #i ".4s, v30.4s, v31.4s\n"
static void limits_float_neon(void)
{
    for (int k = 0; k < LIMITS_STEPS; k++)
        __asm__ volatile(LIMITS_CHAINS(FLOAT_NEON)::: "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6",
                         "v7", "v8", "v9", "v10", "v11");
}
#endif

static const struct {
    const char *level;
    void (*int8)(void), (*f32)(void); /* NULL: not measured here */
    double int8_ops, f32_ops;         /* of one instruction */
} limits_peaks[] = {
#if defined(__x86_64__)
    {"avx2", limits_int8_256, limits_float_256, 64, 16},
    {"avx2_vnni", limits_int8_vnni, limits_float_256, 64, 16},
    {"avx512", limits_int8_512, limits_float_512, 128, 32},
#elif defined(__aarch64__)
    {"neon", NULL, limits_float_neon, 0, 8},
    {"neon_dot", NULL, limits_float_neon, 0, 8},
    {"neon_i8mm", NULL, limits_float_neon, 0, 8},
#endif
    {NULL, NULL, NULL, 0, 0},
};

static double limits_rate(void (*run)(void), double ops)
{
    uint64_t best = UINT64_MAX;
    for (int round = 0; run && round < LIMITS_ROUNDS; round++) {
        uint64_t t0 = bn_now_ns();
        run();
        uint64_t ns = bn_now_ns() - t0;
        best = ns < best ? ns : best;
    }
    return run && best ? LIMITS_STEPS * 12.0 * ops / (double)best : 0;
}

void bn_peaks(const char *level, double *int8_gops, double *f32_gflops)
{
    *int8_gops = *f32_gflops = 0;
    for (size_t i = 0; limits_peaks[i].level; i++)
        if (strcmp(limits_peaks[i].level, level) == 0) {
            *int8_gops = limits_rate(limits_peaks[i].int8, limits_peaks[i].int8_ops);
            *f32_gflops = limits_rate(limits_peaks[i].f32, limits_peaks[i].f32_ops);
        }
}
