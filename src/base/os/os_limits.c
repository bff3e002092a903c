/* What this process may use of the machine: CPUs (affinity, cpuset, cgroup quota, kinds of cores) and
 * memory (cgroup limit).
 *
 * Linux tells it in small files. A cgroup's limits hold for everything below it, so the process's
 * own group and all above it are asked, and the least counts:
 *
 *   /proc/self/cgroup            which group: "0::/a/b" (version 2), "4:cpu,cpuacct:/a/b" (1)
 *   GROUP/cpu.max                "quota period" or "max period"            (2)
 *   GROUP/cpu.cfs_quota_us, cpu.cfs_period_us   quota -1: none             (1)
 *   GROUP/cpuset.cpus.effective, cpuset.effective_cpus   "0-3,8"           (2, 1)
 *   /sys/devices/cpu_core/cpus   the fast cores of a hybrid x86
 *   .../cpuN/cpu_capacity        1024 for the fastest kind, less for others (Arm, newer x86)
 *   .../cpuN/topology/thread_siblings_list      CPUs that share one core
 *
 * In a container the path in /proc/self/cgroup may be the host's and lead nowhere; the mount's own
 * root, which is always asked, is then the container's group.
 * Source: kernel documentation, cgroup-v2, cgroup-v1/cpusets, ABI sysfs-devices-system-cpu. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/os/hb_os.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <sched.h>
#endif

#define LIMITS_PATH 1024
#define LIMITS_TEXT 8192

/* ---- small files ---- */

/* The file's text, terminated; false if there is none or it does not fit. */
static bool limits_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    if (n <= 0 || (size_t)n == size - 1)
        return false;
    text[n] = 0;
    return true;
}

/* A whole number at the start of a file; false for "max" and what is no number. */
static bool limits_number(const char *path, long long *out)
{
    char text[64], *end;
    if (!limits_read(path, text, sizeof text))
        return false;
    *out = strtoll(text, &end, 10);
    return end != text;
}

/* "0-3,8" to a mask. */
static bool limits_cpu_list(const char *path, uint64_t mask[HB_CPU_WORDS])
{
    char text[LIMITS_TEXT], *p = text;
    memset(mask, 0, HB_CPU_WORDS * sizeof *mask);
    if (!limits_read(path, text, sizeof text))
        return false;
    while (*p >= '0' && *p <= '9') {
        unsigned long first = strtoul(p, &p, 10), last = first;
        if (*p == '-')
            last = strtoul(p + 1, &p, 10);
        for (; first <= last && first < HB_CPU_WORDS * 64; first++)
            mask[first / 64] |= (uint64_t)1 << first % 64;
        p += *p == ',';
    }
    return true;
}

static int limits_count(const uint64_t mask[HB_CPU_WORDS])
{
    int n = 0;
    for (int i = 0; i < HB_CPU_WORDS; i++)
        n += __builtin_popcountll(mask[i]);
    return n;
}

static bool limits_has(const uint64_t mask[HB_CPU_WORDS], int cpu)
{
    return mask[cpu / 64] >> (cpu % 64) & 1;
}

/* a &= b, unless nothing would be left. */
static void limits_narrow(uint64_t a[HB_CPU_WORDS], const uint64_t b[HB_CPU_WORDS])
{
    uint64_t both[HB_CPU_WORDS];
    for (int i = 0; i < HB_CPU_WORDS; i++)
        both[i] = a[i] & b[i];
    if (limits_count(both) > 0)
        memcpy(a, both, sizeof both);
}

/* ---- cgroups ---- */

static const struct limits_mount {
    const char *controller; /* as in /proc/self/cgroup, "" for version 2 */
    const char *path;
} limits_mounts[] = {
    {"", "/sys/fs/cgroup"},           {"", "/sys/fs/cgroup/unified"},
    {"cpu", "/sys/fs/cgroup/cpu"},    {"cpu", "/sys/fs/cgroup/cpu,cpuacct"},
    {"cpuset", "/sys/fs/cgroup/cpuset"}, {"memory", "/sys/fs/cgroup/memory"},
};

/* Is `name` among the names of a list "cpu,cpuacct"? */
static bool limits_in_list(const char *list, size_t len, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at <= len;) {
        const char *comma = memchr(list + at, ',', len - at);
        size_t end = comma ? (size_t)(comma - list) : len;
        if (end - at == n && memcmp(list + at, name, n) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

/* The group of a controller from the text of /proc/self/cgroup, "/" where it is not told. */
static void limits_group(const char *text, const char *controller, char *group, size_t size)
{
    hb_format(group, size, "/");
    while (text && *text) {
        const char *names = strchr(text, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            return;
        size_t len = strcspn(path + 1, "\n");
        if (limits_in_list(names + 1, (size_t)(path - names - 1), controller) && len < size) {
            memcpy(group, path + 1, len);
            group[len] = 0;
            return;
        }
        text = strchr(path, '\n');
        text = text ? text + 1 : NULL;
    }
}

/* Call visit(dir) for a controller's group and all above it, under every place where it may be
 * mounted. */
static void limits_walk(const char *root, const char *controller,
                        void (*visit)(const char *dir, void *ctx), void *ctx)
{
    char groups[LIMITS_TEXT], group[LIMITS_PATH], dir[2 * LIMITS_PATH];
    hb_format(dir, sizeof dir, "%s/proc/self/cgroup", root);
    if (!limits_read(dir, groups, sizeof groups))
        groups[0] = 0;
    for (size_t i = 0; i < HB_COUNT(limits_mounts); i++) {
        if (strcmp(limits_mounts[i].controller, controller) != 0)
            continue;
        limits_group(groups, controller, group, sizeof group);
        for (;;) {
            char *slash = strrchr(group, '/');
            bool top = strcmp(group, "/") == 0 || !slash;
            hb_format(dir, sizeof dir, "%s%s%s", root, limits_mounts[i].path, top ? "" : group);
            visit(dir, ctx);
            if (top)
                break;
            slash[slash == group] = 0; /* "/a/b" to "/a" to "/" */
        }
    }
}

static void limits_quota(const char *dir, void *ctx)
{
    char path[3 * LIMITS_PATH], text[64];
    int *least = ctx;
    long long quota = -1, period = 0;
    hb_format(path, sizeof path, "%s/cpu.max", dir);
    if (limits_read(path, text, sizeof text)) {
        char *end;
        quota = text[0] == 'm' ? -1 : strtoll(text, &end, 10);
        period = quota > 0 ? strtoll(end, NULL, 10) : 0;
    } else {
        hb_format(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
        if (!limits_number(path, &quota))
            return;
        hb_format(path, sizeof path, "%s/cpu.cfs_period_us", dir);
        if (!limits_number(path, &period))
            return;
    }
    if (quota <= 0 || period <= 0 || quota / period >= INT32_MAX / 1000)
        return;
    int milli = (int)((quota * 1000 + period - 1) / period);
    if (*least == 0 || milli < *least)
        *least = milli;
}

static void limits_cpuset(const char *dir, void *ctx)
{
    static const char *const names[] = {"cpuset.cpus.effective", "cpuset.effective_cpus"};
    char path[3 * LIMITS_PATH];
    uint64_t mask[HB_CPU_WORDS];
    for (size_t i = 0; i < HB_COUNT(names); i++) {
        hb_format(path, sizeof path, "%s/%s", dir, names[i]);
        if (limits_cpu_list(path, mask))
            limits_narrow(ctx, mask);
    }
}

static void limits_memory(const char *dir, void *ctx)
{
    static const char *const names[] = {"memory.max", "memory.limit_in_bytes"};
    char path[3 * LIMITS_PATH];
    uint64_t *least = ctx;
    long long bytes;
    for (size_t i = 0; i < HB_COUNT(names); i++) {
        hb_format(path, sizeof path, "%s/%s", dir, names[i]);
        if (limits_number(path, &bytes) && bytes > 0 && (uint64_t)bytes < *least)
            *least = (uint64_t)bytes;
    }
}

/* ---- cores ---- */

/* Drop the slower kinds of CPUs from the mask. */
static void limits_fast(const char *root, uint64_t mask[HB_CPU_WORDS])
{
    char path[LIMITS_PATH];
    uint64_t fast[HB_CPU_WORDS];
    long long capacity[HB_CPU_WORDS * 64], most = 0;
    hb_format(path, sizeof path, "%s/sys/devices/cpu_core/cpus", root);
    if (limits_cpu_list(path, fast)) {
        limits_narrow(mask, fast);
        return;
    }
    for (int i = 0; i < HB_CPU_WORDS * 64; i++) {
        if (!limits_has(mask, i))
            continue;
        hb_format(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/cpu_capacity", root, i);
        if (!limits_number(path, &capacity[i]) || capacity[i] <= 0)
            return;
        most = capacity[i] > most ? capacity[i] : most;
    }
    /* less than half of the fastest: such a core would be waited for more than it helps */
    for (int i = 0; i < HB_CPU_WORDS * 64; i++)
        if (limits_has(mask, i) && capacity[i] * 2 < most)
            mask[i / 64] &= ~((uint64_t)1 << i % 64);
}

/* CPUs of a mask that are the first of their core. */
static int limits_cores(const char *root, const uint64_t mask[HB_CPU_WORDS])
{
    char path[LIMITS_PATH];
    int n = 0;
    for (int i = 0; i < HB_CPU_WORDS * 64; i++) {
        uint64_t same[HB_CPU_WORDS];
        int first = 0;
        if (!limits_has(mask, i))
            continue;
        hb_format(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                  root, i);
        if (limits_cpu_list(path, same))
            while (first < i && !(limits_has(same, first) && limits_has(mask, first)))
                first++;
        else
            first = i;
        n += first == i;
    }
    return n;
}

bool hb_os_cpus_allowed(uint64_t mask[HB_CPU_WORDS])
{
    memset(mask, 0, HB_CPU_WORDS * sizeof *mask);
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return false;
    for (size_t i = 0; i < HB_CPU_WORDS * 64 && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set))
            mask[i / 64] |= (uint64_t)1 << i % 64;
    return limits_count(mask) > 0;
#else
    return false;
#endif
}

void hb_os_cpus(const char *root, struct hb_cpus *out)
{
    uint64_t mask[HB_CPU_WORDS];
    char path[LIMITS_PATH];
    memset(out, 0, sizeof *out);
    hb_format(path, sizeof path, "%s/sys/devices/system/cpu/online", root);
    if (!(root[0] ? limits_cpu_list(path, mask) : hb_os_cpus_allowed(mask))) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        for (int i = 0; i < HB_CPU_WORDS * 64 && i < (n < 1 ? 1 : n); i++)
            mask[i / 64] |= (uint64_t)1 << i % 64;
    }
    limits_walk(root, "", limits_cpuset, mask);
    limits_walk(root, "cpuset", limits_cpuset, mask);
    out->n_cpus = limits_count(mask);
    out->n_cores = limits_cores(root, mask);
    limits_fast(root, mask);
    out->n_fast = limits_cores(root, mask);
    limits_walk(root, "", limits_quota, &out->quota_milli);
    limits_walk(root, "cpu", limits_quota, &out->quota_milli);
    int quota = (out->quota_milli + 999) / 1000;
    out->n_default = quota > 0 && quota < out->n_fast ? quota : out->n_fast;
}

uint64_t hb_os_memory_limit_at(const char *root)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t limit = UINT64_MAX;
    if (!root[0] && pages > 0 && size > 0)
        limit = (uint64_t)pages * (uint64_t)size;
    limits_walk(root, "", limits_memory, &limit);
    limits_walk(root, "memory", limits_memory, &limit);
    return limit == UINT64_MAX ? 0 : limit;
}

uint64_t hb_os_memory_limit(void)
{
    return hb_os_memory_limit_at("");
}
