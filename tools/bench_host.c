/* What a figure needs beside it: the CPU's name, how fast memory is read, how far apart two cores are, who
 * else was running. */
#include "bench.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

void bench_cpu_name(char *dst, size_t size)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(dst, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !value)
            continue;
        value += 1 + strspn(value + 1, " ");
        value[strcspn(value, "\n")] = 0;
        snprintf(dst, size, "%s", value);
        break;
    }
    if (f)
        fclose(f);
}

/* ---- memory ---- */

#define HOST_BYTES ((size_t)256 << 20)
#define HOST_MOST_THREADS 256

#define HOST_LINE          64
#define HOST_PASSES        10

#if defined(__GNUC__)
#define HOST_PREFETCH(p) __builtin_prefetch((p), 0, 3)
#else
#define HOST_PREFETCH(p) ((void)(p))
#endif
#define HOST_AHEAD 4096 /* bytes; a page's worth of lines in flight */

struct host_reader {
    const uint8_t *bytes;
    size_t n;
    bool ask; /* for lines ahead of time; some machines are faster with, some without */
    uint64_t sum; /* so that the reads are not dropped */
};

/* A word of every line: with all of them the adding is what takes the time, not the memory. Written out
 * with four sums, since a loop over an array of them is left in memory by some compilers, where each add
 * waits for the store before it. */
static void *host_read(void *arg)
{
    struct host_reader *r = arg;
    uint64_t a = r->sum, b = a, c = a, d = a, w[4];
    for (size_t i = 0; i + 4 * HOST_LINE <= r->n; i += 4 * HOST_LINE) {
        const uint8_t *p = r->bytes + i;
        for (size_t k = 0; r->ask && k < 4; k++)
            HOST_PREFETCH(p + HOST_AHEAD + k * HOST_LINE);
        memcpy(&w[0], p, 8), memcpy(&w[1], p + HOST_LINE, 8);
        memcpy(&w[2], p + 2 * HOST_LINE, 8), memcpy(&w[3], p + 3 * HOST_LINE, 8);
        a += w[0], b += w[1], c += w[2], d += w[3];
    }
    r->sum = a + b + c + d;
    return NULL;
}

static bool host_pass(const uint8_t *bytes, size_t n_threads, bool ask, uint64_t *ns)
{
    pthread_t threads[HOST_MOST_THREADS];
    struct host_reader readers[HOST_MOST_THREADS];
    size_t share = HOST_BYTES / n_threads, started = 1;
    uint64_t t0 = hc_now_ns();
    for (size_t i = 0; i < n_threads; i++)
        readers[i] = (struct host_reader){.bytes = bytes + i * share, .n = share, .ask = ask};
    while (started < n_threads &&
           pthread_create(&threads[started], NULL, host_read, &readers[started]) == 0)
        started++;
    host_read(&readers[0]);
    for (size_t i = 1; i < started; i++)
        pthread_join(threads[i], NULL);
    *ns = hc_now_ns() - t0;
    return started == n_threads;
}

double bench_read_bandwidth(int32_t n_threads)
{
    size_t n = n_threads < 1 ? 1 : (size_t)n_threads;
    n = n > HOST_MOST_THREADS ? HOST_MOST_THREADS : n;
    void *block = mmap(NULL, HOST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t best = UINT64_MAX, ns;
    if (block == MAP_FAILED)
        return 0;
#ifdef MADV_HUGEPAGE
    madvise(block, HOST_BYTES, MADV_HUGEPAGE);
#endif
    memset(block, 1, HOST_BYTES);
    for (int pass = 0; pass < HOST_PASSES; pass++)
        if (host_pass(block, n, pass % 2, &ns) && ns < best)
            best = ns;
    munmap(block, HOST_BYTES);
    return best == UINT64_MAX ? 0 : (double)HOST_BYTES / (double)best;
}

/* ---- from core to core ---- */

#define HOST_TRIPS 20000
#define HOST_BATCH 200

static _Alignas(64) _Atomic uint32_t host_ball;

/* A thread that lost its core is not waited for with a spinning one. */
static bool host_catch(uint32_t want)
{
    uint64_t until = hc_now_ns() + 1000000000u;
    for (uint32_t i = 1; atomic_load_explicit(&host_ball, memory_order_acquire) != want; i++)
        if (i % 4096 == 0 && hc_now_ns() > until)
            return false;
    return true;
}

static void *host_other(void *arg)
{
    for (uint32_t i = 0; i < HOST_TRIPS && host_catch(2 * i + 1); i++)
        atomic_store_explicit(&host_ball, 2 * i + 2, memory_order_release);
    return arg;
}

double bench_core_to_core_ns(void)
{
    pthread_t other;
    double best = 0;
    atomic_store(&host_ball, 0);
    if (pthread_create(&other, NULL, host_other, NULL) != 0)
        return 0;
    bool there = true;
    for (uint32_t i = 0; i < HOST_TRIPS && there;) {
        uint64_t t0 = hc_now_ns();
        for (uint32_t end = i + HOST_BATCH; i < end && there; i++) {
            atomic_store_explicit(&host_ball, 2 * i + 1, memory_order_release);
            there = host_catch(2 * i + 2);
        }
        double ns = (double)(hc_now_ns() - t0) / HOST_BATCH;
        best = there && (best == 0 || ns < best) ? ns : best;
    }
    pthread_join(other, NULL);
    return best;
}

/* ---- who else was running ---- */

struct bench_cpu_time bench_cpu_time(void)
{
    struct bench_cpu_time t = {0, 0};
    unsigned long long user, nice, sys, idle, wait, irq, soft, steal;
    FILE *f = fopen("/proc/stat", "r");
    if (f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &sys, &idle,
                    &wait, &irq, &soft, &steal) == 8)
        t.machine = (double)(user + nice + sys + irq + soft + steal) /
                    (double)sysconf(_SC_CLK_TCK);
    if (f)
        fclose(f);
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) == 0)
        t.own = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
    return t;
}
