/* What do accounting and the pools of hearth_memory cost?
 *
 *   bench_memory [--threads=N]
 *
 * JSON lines, ns per operation, the least of 50 rounds: the query of bytes in use; reserving and giving
 * back; taking a buffer (the wiped give is timed apart); an arena for a call, begin and end; the same
 * from malloc. Then take and give by N threads at once on one pool, mean per operation and worst of a
 * hundred at a time. */
#define _POSIX_C_SOURCE 200809L
#include "base/hb_budget.h"
#include "base/os/hb_os.h"
#include "runtime/hr_memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 50
#define HELD   64

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void print_ns(const char *what, double ns)
{
    printf("{\"bench\":\"memory\",\"what\":\"%s\",\"ns\":%.2f}\n", what, ns);
}

static double query_ns(const hearth_memory *m)
{
    double best = 1e18;
    volatile uint64_t sink;
    for (int r = 0; r < ROUNDS; r++) {
        uint64_t sum = 0;
        double start = now_ns();
        for (int i = 0; i < 10000; i++)
            sum += hearth_memory_used(m);
        double ns = (now_ns() - start) / 10000;
        sink = sum;
        best = ns < best ? ns : best;
    }
    (void)sink;
    return best;
}

static double reserve_ns(void)
{
    static struct hb_budget b;
    double best = 1e18;
    hb_budget_init(&b, 1u << 30);
    for (int r = 0; r < ROUNDS; r++) {
        double start = now_ns();
        for (int i = 0; i < 10000; i++) {
            hb_budget_take(&b, 4096);
            hb_budget_give(&b, 4096);
        }
        double ns = (now_ns() - start) / 10000;
        best = ns < best ? ns : best;
    }
    return best;
}

static void buffers_ns(hearth_memory *m, double *take, double *give)
{
    void *p[HELD];
    *take = *give = 1e18;
    for (int r = 0; r < 20 * ROUNDS; r++) {
        double start = now_ns();
        for (int i = 0; i < HELD; i++)
            if (hearth_memory_take_buffer(m, &p[i], NULL) != HEARTH_OK)
                exit(1);
        double middle = now_ns();
        for (int i = 0; i < HELD; i++)
            hearth_memory_give_buffer(m, p[i], NULL);
        double end = now_ns();
        *take = (middle - start) / HELD < *take ? (middle - start) / HELD : *take;
        *give = (end - middle) / HELD < *give ? (end - middle) / HELD : *give;
    }
}

static double call_ns(hearth_memory *m, const struct hb_alloc *hooks)
{
    double best = 1e18;
    for (int r = 0; r < ROUNDS; r++) {
        double start = now_ns();
        for (int i = 0; i < 1000; i++) {
            struct hr_call own, *call;
            void *p;
            if (hr_call_begin(m, hooks, &own, &call, NULL) != HEARTH_OK ||
                hb_arena_take_raw(&call->arena, 2000, 16, &p, NULL) != HEARTH_OK)
                exit(1);
            hr_call_end(call, HEARTH_OK, NULL);
        }
        double ns = (now_ns() - start) / 1000;
        best = ns < best ? ns : best;
    }
    return best;
}

/* ---- contention ---- */

struct grabber {
    struct hb_os_thread thread;
    struct hb_slots *slots;
    _Atomic uint32_t *go;
    double mean, worst;
};

static void grabber_main(void *arg)
{
    struct grabber *g = arg;
    double total = 0;
    while (!atomic_load(g->go))
        hb_os_pause();
    for (int r = 0; r < 2000; r++) {
        double start = now_ns();
        for (int i = 0; i < 100; i++) {
            int32_t slot = hb_slots_take(g->slots);
            if (slot >= 0)
                hb_slots_give(g->slots, (uint32_t)slot);
        }
        double ns = (now_ns() - start) / 100;
        total += ns;
        g->worst = ns > g->worst ? ns : g->worst;
    }
    g->mean = total / 2000;
}

static void contended(int n)
{
    static struct hb_slots slots;
    static struct grabber g[64];
    _Atomic uint32_t go = 0;
    double mean = 0, worst = 0;
    hb_slots_init(&slots, 64);
    for (int i = 0; i < n; i++) {
        g[i] = (struct grabber){.slots = &slots, .go = &go};
        if (hb_os_thread_start(&g[i].thread, grabber_main, &g[i], NULL) != HEARTH_OK)
            exit(1);
    }
    atomic_store(&go, 1);
    for (int i = 0; i < n; i++) {
        hb_os_thread_join(&g[i].thread);
        mean += g[i].mean / n;
        worst = g[i].worst > worst ? g[i].worst : worst;
    }
    printf("{\"bench\":\"memory\",\"what\":\"take and give, contended\",\"threads\":%d,\"ns\":%.1f,"
           "\"worst_mean_of_100_ns\":%.0f}\n", n, mean, worst);
}

int main(int argc, char **argv)
{
    hearth_memory *m;
    double take, give;
    int n = argc > 1 && strncmp(argv[1], "--threads=", 10) == 0 ? atoi(argv[1] + 10) : 2;
    if (hearth_memory_open(NULL, &m, NULL) != HEARTH_OK)
        return 1;
    print_ns("query", query_ns(m));
    print_ns("reserve and give", reserve_ns());
    buffers_ns(m, &take, &give);
    print_ns("take a buffer", take);
    print_ns("give a buffer, wiped", give);
    print_ns("call with 2000 bytes, wiped", call_ns(m, NULL));
    print_ns("the same from malloc, not wiped", call_ns(NULL, hb_os_heap()));
    contended(n < 1 || n > 64 ? 2 : n);
    hearth_memory_close(m);
    return 0;
}
