#include "bn_latency.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Values below 256 have a bucket each; above, the seven bits behind the highest one choose. */
static size_t latency_bucket(uint64_t v)
{
    if (v < 256)
        return (size_t)v;
    unsigned shift = 56u - (unsigned)__builtin_clzll(v);
    return 128 + (size_t)shift * 128 + (size_t)((v >> shift) & 127);
}

static uint64_t latency_upper(size_t bucket) /* the largest value of a bucket */
{
    if (bucket < 256)
        return bucket;
    unsigned shift = (unsigned)(bucket / 128) - 1;
    return ((uint64_t)(128 + bucket % 128) << shift) + (((uint64_t)1 << shift) - 1);
}

void bn_latency_record(struct bn_latency *l, uint64_t ns)
{
    if (l->n < BN_EXACT)
        l->exact[l->n] = ns;
    l->bucket[latency_bucket(ns)]++;
    l->min = l->n == 0 || ns < l->min ? ns : l->min;
    l->max = ns > l->max ? ns : l->max;
    double off = (double)ns - l->mean;
    l->mean += off / (double)++l->n;
    l->squares += off * ((double)ns - l->mean);
}

void bn_latency_record_due(struct bn_latency *l, uint64_t ns, uint64_t interval_ns)
{
    bn_latency_record(l, ns);
    while (interval_ns && ns > interval_ns) {
        ns -= interval_ns;
        bn_latency_record(l, ns);
    }
}

void bn_latency_add(struct bn_latency *l, const struct bn_latency *other)
{
    if (other->n == 0)
        return;
    double a = (double)l->n, b = (double)other->n, off = other->mean - l->mean;
    for (uint64_t i = 0; i < other->n && i < BN_EXACT && l->n + i < BN_EXACT; i++)
        l->exact[l->n + i] = other->exact[i];
    for (size_t i = 0; i < BN_BUCKETS; i++)
        l->bucket[i] += other->bucket[i];
    l->squares += other->squares + off * off * a * b / (a + b);
    l->mean += off * b / (a + b);
    l->min = l->n == 0 || other->min < l->min ? other->min : l->min;
    l->max = other->max > l->max ? other->max : l->max;
    l->n += other->n;
}

static int latency_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool bn_latency_percentile(const struct bn_latency *l, double p, uint64_t *out)
{
    if (l->n == 0)
        return false;
    double want = ceil(p / 100 * (double)l->n);
    uint64_t rank = want < 1 ? 1 : want > (double)l->n ? l->n : (uint64_t)want, seen = 0;
    if (l->n <= BN_EXACT) {
        uint64_t sorted[BN_EXACT];
        memcpy(sorted, l->exact, l->n * sizeof *sorted);
        qsort(sorted, l->n, sizeof *sorted, latency_order);
        *out = sorted[rank - 1];
        return true;
    }
    for (size_t i = 0; i < BN_BUCKETS; i++) {
        seen += l->bucket[i];
        if (seen >= rank) {
            uint64_t v = latency_upper(i);
            *out = v < l->min ? l->min : v > l->max ? l->max : v;
            return true;
        }
    }
    *out = l->max;
    return true;
}

bool bn_latency_get(const struct bn_latency *l, struct bn_distribution *out)
{
    if (l->n == 0)
        return false;
    *out = (struct bn_distribution){.n = l->n, .min = l->min, .max = l->max, .mean = l->mean};
    out->stddev = l->n > 1 ? sqrt(l->squares / (double)(l->n - 1)) : 0;
    bn_latency_percentile(l, 50, &out->p50);
    bn_latency_percentile(l, 90, &out->p90);
    bn_latency_percentile(l, 95, &out->p95);
    bn_latency_percentile(l, 99, &out->p99);
    bn_latency_percentile(l, 99.9, &out->p999);
    return true;
}
