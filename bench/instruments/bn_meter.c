#define _POSIX_C_SOURCE 200809L
#include "bn_meter.h"
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t bn_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void bn_meter_begin(struct bn_meter *m, enum bn_kind kind, uint64_t now_ns)
{
    m->of[kind].began = now_ns;
}

void bn_meter_end(struct bn_meter *m, enum bn_kind kind, uint64_t now_ns, uint64_t count)
{
    uint64_t began = m->of[kind].began;
    m->of[kind].count += count;
    m->of[kind].ns += now_ns > began ? now_ns - began : 0;
    m->of[kind].began = now_ns;
}

double bn_meter_rate(const struct bn_meter *m, enum bn_kind kind)
{
    return m->of[kind].ns ? (double)m->of[kind].count * 1e9 / (double)m->of[kind].ns : NAN;
}

struct bn_cpu bn_cpu_now(void)
{
    struct bn_cpu t = {.wall = (double)bn_now_ns() * 1e-9};
    unsigned long long user, nice, sys, idle, wait, irq, soft, steal;
    struct rusage u;
    FILE *f = fopen("/proc/stat", "r");
    if (f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &sys, &idle,
                    &wait, &irq, &soft, &steal) == 8) {
        double tick = (double)sysconf(_SC_CLK_TCK);
        t.machine = (double)(user + nice + sys + irq + soft + steal) / tick;
        t.steal = (double)steal / tick;
    }
    if (f)
        fclose(f);
    if (getrusage(RUSAGE_SELF, &u) == 0) {
        t.user = (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec * 1e-6;
        t.system = (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec * 1e-6;
    }
    return t;
}

struct bn_cpu_use bn_cpu_between(struct bn_cpu from, struct bn_cpu to, int cores)
{
    double wall = to.wall - from.wall, own = to.user + to.system - from.user - from.system;
    if (!(wall > 0))
        return (struct bn_cpu_use){NAN, NAN, NAN, NAN};
    double foreign = to.machine - from.machine - own;
    return (struct bn_cpu_use){
        .of_cores = own / wall / (cores > 0 ? cores : 1),
        .cpus = own / wall,
        .foreign_cpus = wall < 1 ? NAN : foreign > 0 ? foreign / wall : 0,
        .steal_cpus = wall < 1 ? NAN : (to.steal - from.steal) / wall,
    };
}
