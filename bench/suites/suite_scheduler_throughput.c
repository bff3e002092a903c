/* Push, take with finish, cancel and expiry with 100, 1 000 and 10 000 requests waiting, in one priority and mixed. The
 * order of what is taken, the emptiness afterwards and the fairness of ageing are checked before anything is
 * timed. The scheduler has one caller, the server's loop, so there is no contention to measure. */
#include "base/os/hb_os.h"
#include "bn_run.h"
#include "serve/hs_sched.h"
#include <math.h>

struct sched {
    struct hs_sched *s;
    struct hb_arena arena;
    uint64_t n;
    bool mixed;
};

static struct hs_request sched_request(const struct sched *b, uint64_t i)
{
    uint64_t h = i * 0x9E3779B97F4A7C15u;
    return (struct hs_request){.key = {h >> 60, i}, .priority = b->mixed ? (uint8_t)(h >> 32 & 3) : 1, .tokens = 100,
                               .bytes = 1000, .deadline_ns = 1000000000 + (h >> 40)};
}

static bool sched_push(struct sched *b)
{
    for (uint64_t i = 0; i < b->n; i++) {
        struct hs_request r = sched_request(b, i);
        if (hs_sched_push(b->s, &r, 1) != HS_ADMITTED)
            return false;
    }
    return true;
}

static bool sched_empty(const struct sched *b)
{
    struct hs_sched_stats stats;
    hs_sched_get_stats(b->s, &stats);
    return stats.waiting == 0 && stats.running == 0;
}

static bool sched_take(struct sched *b)
{
    int priority = 3;
    for (uint64_t i = 0; i < b->n; i++) {
        struct hs_request r;
        if (!hs_sched_take(b->s, 0, 2, 0, &r, 1) || r.priority > priority || !hs_sched_finish(b->s, r.key))
            return false;
        priority = r.priority;
    }
    return sched_empty(b);
}

static bool sched_cancel(struct sched *b)
{
    struct hs_request out;
    for (uint64_t i = 0; i < b->n; i++)
        if (hs_sched_cancel(b->s, sched_request(b, i).key, &out) != HS_WAITING)
            return false;
    return sched_empty(b);
}

static bool sched_expire(struct sched *b)
{
    struct hs_request out;
    uint64_t last = 0;
    for (uint64_t i = 0; i < b->n; i++) {
        if (hs_sched_expire(b->s, UINT64_MAX - 1, &out) != HS_WAITING || out.deadline_ns < last)
            return false;
        last = out.deadline_ns;
    }
    return sched_empty(b);
}

/* A low request is taken before a critical one that came later than the ageing allows. */
static bool sched_fair(struct sched *b)
{
    struct hs_request low = {.key = {1, 1}, .priority = 0, .tokens = 1, .bytes = 1, .deadline_ns = HS_NEVER}, high = low, r;
    high.key.id = 2;
    high.priority = 3;
    return hs_sched_push(b->s, &low, 1) == HS_ADMITTED && hs_sched_push(b->s, &high, 4000000002) == HS_ADMITTED &&
           hs_sched_take(b->s, 0, 4000000003, 0, &r, 1) && r.key.id == 1 && hs_sched_finish(b->s, r.key) &&
           hs_sched_take(b->s, 0, 4000000003, 0, &r, 1) && r.key.id == 2 && hs_sched_finish(b->s, r.key);
}

static int sched_rows(struct bn_run *run, struct sched *b)
{
    static const struct {
        const char *name;
        bool (*work)(struct sched *b);
    } rows[] = {{"take and finish", sched_take}, {"cancel", sched_cancel}, {"expire", sched_expire}};
    uint64_t loops = run->smoke ? 1 : 1 + 20000 / b->n;
    double push_ns[BN_MOST_SAMPLES], sum = 0;
    size_t rounds = bn_rounds(run, 25), pushes = 0;
    for (size_t k = 0; k < 3; k++) {
        struct bn_result *r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "%s%s", rows[k].name, b->mixed ? ", mixed" : "");
        bn_params(r, "%llu waiting, deadlines%s", (unsigned long long)b->n, b->mixed ? ", four priorities" : "");
        for (size_t round = 0; round < rounds; round++) {
            double push = 0, work = 0;
            for (uint64_t l = 0; l < loops; l++) {
                uint64_t t0 = bn_began();
                if (!sched_push(b))
                    return bn_wrong(run, "a push was refused");
                push += bn_ended(run, t0);
                t0 = bn_began();
                if (!rows[k].work(b))
                    return bn_wrong(run, "%s: requests out of order, or lost", rows[k].name);
                work += bn_ended(run, t0);
            }
            bn_sample(r, work / (double)(loops * b->n));
            push_ns[pushes++] = push / (double)(loops * b->n);
        }
        bn_settle(r, "median");
        sum += k == 0 ? r->value : 0;
    }
    struct bn_result *r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "push%s", b->mixed ? ", mixed" : "");
    bn_params(r, "%llu waiting, deadlines", (unsigned long long)b->n);
    for (size_t i = 0; i < pushes; i++)
        bn_sample(r, push_ns[i]);
    bn_settle(r, "median");
    sum += r->value;
    r = bn_add(run, "Mops/s", BN_HIGHER, BN_UNGATED, "requests through%s", b->mixed ? ", mixed" : "");
    bn_params(r, "pushed, taken and finished, %llu waiting", (unsigned long long)b->n);
    bn_single(r, 1e3 / sum);
    return 0;
}

int suite_scheduler_throughput(struct bn_run *run)
{
    static const uint64_t sizes[] = {100, 1000, 10000};
    const struct hs_lane_config lane = {4, 1000, 1 << 20};
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < (run->smoke ? 2 : 3); k++)
        for (int mixed = 0; rc == 0 && mixed < 2; mixed++) {
            struct sched b = {.n = sizes[k], .mixed = mixed};
            const struct hs_sched_config config = {(uint32_t)b.n, 4, 1000000000, 1, &lane};
            hb_arena_init_growing(&b.arena, hb_os_heap());
            if (hs_sched_create(&config, &b.arena, &b.s, NULL) != HEARTH_OK)
                rc = bn_refuse(run, "no memory for %llu requests", (unsigned long long)b.n);
            else if (!sched_push(&b) || !sched_take(&b) || !sched_fair(&b))
                rc = bn_wrong(run, "requests are not taken in the order of their priorities");
            else
                rc = sched_rows(run, &b);
            hb_arena_release(&b.arena);
        }
    return rc;
}
