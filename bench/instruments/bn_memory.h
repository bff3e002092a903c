/* What a process holds in memory, from procfs and its cgroup. */
#ifndef BN_MEMORY_H
#define BN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BN_MEMORY_FIELDS(X)                                                                        \
    X(rss)    /* resident now */                                                                   \
    X(peak)   /* most that was (VmHWM) */                                                          \
    X(anon)   /* of rss: private to nobody's file */                                               \
    X(file)   /* of rss: pages of mapped files */                                                  \
    X(shmem)  /* of rss: shared memory */                                                          \
    X(pss)    /* rss with shared pages divided by those who share them */                          \
    X(cgroup) /* of the whole cgroup, caches included */

struct bn_memory { /* bytes; -1: the system does not tell */
#define BN_MEMORY_FIELD(name) int64_t name;
    BN_MEMORY_FIELDS(BN_MEMORY_FIELD)
#undef BN_MEMORY_FIELD
};

/* This process. Pss walks the page tables: milliseconds a gigabyte. */
struct bn_memory bn_memory_now(void);
/* The same from a directory laid out like /proc/self (status, smaps_rollup, cgroup), and where cgroups are
 * mounted; for tests, and for other processes. */
struct bn_memory bn_memory_at(const char *proc_self, const char *cgroups);
/* to - from, signed; -1 - field by field - stays unknown: *known is false if one of them is. */
int64_t bn_memory_grown(int64_t from, int64_t to, bool *known);
/* Let VmHWM begin anew at what is resident now; false where the system does not let us. */
bool bn_memory_reset_peak(void);

#endif
