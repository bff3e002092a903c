/* The machine a figure comes from: what it is, what it can do at most, who else was running. */
#ifndef BN_MACHINE_H
#define BN_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#define BN_MOST_LEVELS 8
#define BN_MOST_CPUS   64

struct bn_machine {
    char cpu[96], system[128], governor[32], levels[96], level[24], caches[128];
    char compiler[96], flags[192], commit[48];
    int cpus, cores, quota_milli; /* allowed here; thousandths of a CPU, 0: no quota */
    uint64_t memory_bytes;        /* limit of the cgroup or of the machine; 0: not known */
    /* limits, 0: not measured */
    double read_gb_s[2];      /* one thread, and all */
    double core_to_core_ns;   /* a line's way to another core and back */
    struct {
        const char *level;
        double int8_gops, f32_gflops; /* of one core */
    } peak[BN_MOST_LEVELS];
    size_t n_peaks;
};

/* What it is. Limits are measured by bn_machine_measure: a second or two. */
void bn_machine_look(struct bn_machine *m);
void bn_machine_measure(struct bn_machine *m);

/* ---- the parts ---- */

void bn_cpu_name(char *dst, size_t size);

/* Bytes per ns that n threads read from memory together, best of a few passes over 256 MiB; 0: no memory. */
double bn_read_bandwidth(int32_t n_threads);

/* What it takes until a line that one thread wrote comes back from another, best of many; 0: not known. */
double bn_core_to_core_ns(void);

/* Operations a ns of one core in registers, with the instructions of a kernel level; 0: not measured. The caller
 * knows that this machine runs the level. */
void bn_peaks(const char *level, double *int8_gops, double *f32_gflops);

#endif
