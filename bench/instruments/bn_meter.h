/* How much in how long: tokens of prompts and of texts apart, requests, embeddings; and how busy CPUs were. */
#ifndef BN_METER_H
#define BN_METER_H

#include <stdint.h>

uint64_t bn_now_ns(void); /* monotonic */

enum bn_kind { BN_PREFILL, BN_DECODE, BN_REQUESTS, BN_EMBEDDINGS, BN_KINDS };

struct bn_meter { /* zeroed to begin */
    struct {
        uint64_t count, ns, began;
    } of[BN_KINDS];
};

/* A stretch of one kind begins, and ends having done `count`. Times are those of a monotonic clock; one that
 * goes back counts as no time. */
void bn_meter_begin(struct bn_meter *m, enum bn_kind kind, uint64_t now_ns);
void bn_meter_end(struct bn_meter *m, enum bn_kind kind, uint64_t now_ns, uint64_t count);
double bn_meter_rate(const struct bn_meter *m, enum bn_kind kind); /* a second; NaN before any time passed */

/* CPU time in seconds since some fixed point. */
struct bn_cpu {
    double wall;
    double user, system;   /* of this process */
    double machine, steal; /* of all CPUs: not idle, and taken by the hypervisor (part of it) */
};
struct bn_cpu bn_cpu_now(void);

struct bn_cpu_use {
    double of_cores;     /* user + system over wall and cores: 1 is all of them */
    double cpus;         /* the same without dividing by cores */
    double foreign_cpus; /* that others kept busy; NaN: too short to tell, as the system counts in 10 ms */
    double steal_cpus;
};
struct bn_cpu_use bn_cpu_between(struct bn_cpu from, struct bn_cpu to, int cores);

#endif
