#include "bn_memory.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The number of kB behind `key` in a file of "key: number kB" lines. */
static int64_t memory_kb(const char *dir, const char *file, const char *key)
{
    char path[512], line[256];
    int64_t kb = -1;
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, "r");
    size_t len = strlen(key);
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, len) == 0 && line[len] == ':' &&
            sscanf(line + len + 1, "%" SCNd64, &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb < 0 ? -1 : kb * 1024;
}

static int64_t memory_number(const char *path)
{
    int64_t n = -1;
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%" SCNd64, &n) != 1)
        n = -1;
    if (f)
        fclose(f);
    return n;
}

/* Lines of /proc/self/cgroup: "0::/path" is version 2, "N:...memory...:/path" version 1. */
static int64_t memory_cgroup(const char *proc_self, const char *cgroups)
{
    char path[1024], line[512];
    int64_t bytes = -1;
    snprintf(path, sizeof path, "%s/cgroup", proc_self);
    FILE *f = fopen(path, "r");
    while (f && bytes < 0 && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *kinds = strchr(line, ':'), *where = kinds ? strchr(kinds + 1, ':') : NULL;
        if (!where)
            continue;
        *where++ = 0;
        const char *own = strcmp(where, "/") == 0 ? "" : where;
        if (kinds[1] == 0)
            snprintf(path, sizeof path, "%s%s/memory.current", cgroups, own);
        else if (strstr(kinds + 1, "memory"))
            snprintf(path, sizeof path, "%s/memory%s/memory.usage_in_bytes", cgroups, own);
        else
            continue;
        bytes = memory_number(path);
        if (bytes < 0 && kinds[1] && *own) { /* in a container the path may be mounted as the root */
            snprintf(path, sizeof path, "%s/memory/memory.usage_in_bytes", cgroups);
            bytes = memory_number(path);
        }
    }
    if (f)
        fclose(f);
    return bytes;
}

struct bn_memory bn_memory_at(const char *proc_self, const char *cgroups)
{
    return (struct bn_memory){
        .rss = memory_kb(proc_self, "status", "VmRSS"),
        .peak = memory_kb(proc_self, "status", "VmHWM"),
        .anon = memory_kb(proc_self, "status", "RssAnon"),
        .file = memory_kb(proc_self, "status", "RssFile"),
        .shmem = memory_kb(proc_self, "status", "RssShmem"),
        .pss = memory_kb(proc_self, "smaps_rollup", "Pss"),
        .cgroup = memory_cgroup(proc_self, cgroups),
    };
}

struct bn_memory bn_memory_now(void)
{
    return bn_memory_at("/proc/self", "/sys/fs/cgroup");
}

int64_t bn_memory_grown(int64_t from, int64_t to, bool *known)
{
    *known = from >= 0 && to >= 0;
    return *known ? to - from : 0;
}

bool bn_memory_reset_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    bool done = f && fputs("5", f) >= 0;
    return f ? (fclose(f) == 0 && done) : false;
}
