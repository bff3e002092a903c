/* Records latencies and says how they are distributed.
 *
 * Up to BN_EXACT values percentiles are exact (nearest rank). Of more, a histogram is kept too: 128 buckets for
 * each power of two, so that a percentile is the upper end of its bucket and at most 0.8 % above the value.
 * The size never changes and nothing is allocated.
 *
 * In a closed loop, where the next request waits for the answer to the last, a pause of the server hides the
 * requests that would have come meanwhile (coordinated omission). Measure open loops from the time a request
 * was due; or give the interval to bn_latency_record_due, which adds those that were left out. */
#ifndef BN_LATENCY_H
#define BN_LATENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BN_EXACT   4096
#define BN_BUCKETS (58 * 128)

struct bn_latency { /* zeroed to begin */
    uint64_t n, min, max;
    double mean, squares; /* Welford's sums */
    uint64_t exact[BN_EXACT];
    uint64_t bucket[BN_BUCKETS];
};

struct bn_distribution {
    uint64_t n, min, max;
    uint64_t p50, p90, p95, p99, p999;
    double mean, stddev; /* of the sample */
};

void bn_latency_record(struct bn_latency *l, uint64_t ns);
void bn_latency_record_due(struct bn_latency *l, uint64_t ns, uint64_t interval_ns);
void bn_latency_add(struct bn_latency *l, const struct bn_latency *other);
/* false: there are no data, and *out is untouched. p in [0, 100]. */
bool bn_latency_percentile(const struct bn_latency *l, double p, uint64_t *out);
bool bn_latency_get(const struct bn_latency *l, struct bn_distribution *out);

#endif
