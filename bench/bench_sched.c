/* What does the scheduler cost? Push, take with finish, and cancel, with 100, 1 000 and 10 000 requests waiting in mixed
 * priorities with deadlines. JSON lines: ns of one operation (median and best of 25) and operations a second. The
 * order of what is taken is checked before anything is timed. */
#include "base/os/hb_os.h"
#include "serve/hs_sched.h"
#include <stdio.h>
#include <stdlib.h>

#define REPEATS 25

static struct hs_request bench_request(uint64_t i)
{
    uint64_t h = i * 0x9E3779B97F4A7C15u;
    return (struct hs_request){.key = {h >> 60, i}, .priority = (uint8_t)(h >> 32 & 3), .tokens = 100, .bytes = 1000,
                               .deadline_ns = 1000000000 + (h >> 40)};
}

static int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench_report(const char *what, uint64_t n, double ns[REPEATS])
{
    qsort(ns, REPEATS, sizeof *ns, bench_compare);
    printf("{\"bench\":\"sched\",\"does\":\"%s\",\"elements\":%llu,\"ns\":%.1f,\"best_ns\":%.1f,\"ops_per_s\":%.4g}\n",
           what, (unsigned long long)n, ns[REPEATS / 2], ns[0], 1e9 / ns[REPEATS / 2]);
}

static void bench_push(struct hs_sched *s, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        struct hs_request r = bench_request(i);
        if (hs_sched_push(s, &r, 1) != HS_ADMITTED)
            abort();
    }
}

static int bench_take(struct hs_sched *s, uint64_t n) /* the last priority; -1: not in order */
{
    int priority = 3;
    for (uint64_t i = 0; i < n; i++) {
        struct hs_request r;
        if (!hs_sched_take(s, 0, 2, 0, &r, 1) || r.priority > priority || !hs_sched_finish(s, r.key))
            return -1;
        priority = r.priority;
    }
    return priority;
}

int main(void)
{
    static const uint64_t sizes[] = {100, 1000, 10000};
    const struct hs_lane_config lane = {4, 1000, 1 << 20};
    for (size_t k = 0; k < HB_COUNT(sizes); k++) {
        uint64_t n = sizes[k], loops = 20000 / n;
        const struct hs_sched_config config = {(uint32_t)n, 4, 1000000000, 1, &lane};
        double push[REPEATS], take[REPEATS], cancel[REPEATS];
        struct hb_arena arena;
        struct hs_sched *s;
        hb_arena_init_growing(&arena, hb_os_heap());
        if (hs_sched_create(&config, &arena, &s, NULL) != HEARTH_OK)
            return 1;
        bench_push(s, n);
        if (bench_take(s, n) != 0) {
            fprintf(stderr, "requests are not taken in the order of their priorities\n");
            return 1;
        }
        for (int r = 0; r < REPEATS; r++) {
            uint64_t spent[3] = {0, 0, 0};
            for (uint64_t l = 0; l < loops; l++) {
                uint64_t t0 = hb_os_now_ns();
                bench_push(s, n);
                uint64_t t1 = hb_os_now_ns();
                if (bench_take(s, n) != 0)
                    abort();
                uint64_t t2 = hb_os_now_ns();
                bench_push(s, n);
                uint64_t t3 = hb_os_now_ns();
                for (uint64_t i = 0; i < n; i++) {
                    struct hs_request out;
                    if (hs_sched_cancel(s, bench_request(i).key, &out) != HS_WAITING)
                        abort();
                }
                spent[0] += t1 - t0;
                spent[1] += t2 - t1;
                spent[2] += hb_os_now_ns() - t3;
            }
            push[r] = (double)spent[0] / (double)(n * loops);
            take[r] = (double)spent[1] / (double)(n * loops);
            cancel[r] = (double)spent[2] / (double)(n * loops);
        }
        bench_report("push", n, push);
        bench_report("take_finish", n, take);
        bench_report("cancel", n, cancel);
        hb_arena_release(&arena);
    }
    return 0;
}
