/* What a figure needs beside it: the CPU's name, how fast memory is read, who else was running. */
#include "bench.h"
#include <pthread.h>
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

#if defined(__GNUC__)
typedef uint64_t host_word __attribute__((vector_size(16)));
#define HOST_PREFETCH(p) __builtin_prefetch((p), 0, 0)
#else
typedef uint64_t host_word;
#define HOST_PREFETCH(p) ((void)(p))
#endif
#define HOST_AHEAD 4096 /* bytes; a page's worth of lines in flight */

struct host_reader {
    const host_word *words;
    size_t n;
    host_word sum; /* so that the reads are not dropped */
};

/* A line and a hint for a later one at a time, into four sums that do not wait for one another. */
static void *host_read(void *arg)
{
    struct host_reader *r = arg;
    host_word s[4] = {r->sum, r->sum, r->sum, r->sum};
    for (size_t i = 0; i + 4 <= r->n; i += 4) {
        HOST_PREFETCH((const char *)(r->words + i) + HOST_AHEAD);
        for (size_t k = 0; k < 4; k++)
            s[k] += r->words[i + k];
    }
    r->sum = s[0] + s[1] + s[2] + s[3];
    return NULL;
}

static bool host_pass(const host_word *words, size_t n_words, size_t n_threads, uint64_t *ns)
{
    pthread_t threads[HOST_MOST_THREADS];
    struct host_reader readers[HOST_MOST_THREADS];
    size_t share = n_words / n_threads, started = 1;
    uint64_t t0 = hc_now_ns();
    for (size_t i = 0; i < n_threads; i++)
        readers[i] = (struct host_reader){.words = words + i * share, .n = share};
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
    for (int pass = 0; pass < 5; pass++)
        if (host_pass(block, HOST_BYTES / sizeof(host_word), n, &ns) && ns < best)
            best = ns;
    munmap(block, HOST_BYTES);
    return best == UINT64_MAX ? 0 : (double)HOST_BYTES / (double)best;
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
