#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "bn_machine.h"
#include "base/os/hb_os.h"
#include "hearth.h"
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* The value of the first line of a file that begins with `key`. */
static void machine_line(const char *path, const char *key, char *dst, size_t size)
{
    char line[256];
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !value)
            continue;
        value += 1 + strspn(value + 1, " \t");
        value[strcspn(value, "\n")] = 0;
        snprintf(dst, size, "%s", value);
        break;
    }
    if (f)
        fclose(f);
}

void bn_cpu_name(char *dst, size_t size)
{
    snprintf(dst, size, "unknown");
    machine_line("/proc/cpuinfo", "model name", dst, size);
}

static void machine_word(const char *path, char *dst, size_t size)
{
    FILE *f = fopen(path, "r");
    char line[64] = "";
    if (f && fgets(line, sizeof line, f))
        line[strcspn(line, "\n")] = 0;
    if (f)
        fclose(f);
    snprintf(dst, size, "%s", line);
}

/* "L1d 48K, L1i 32K, L2 1024K, L3 32768K" of the first CPU. */
static void machine_caches(char *dst, size_t size)
{
    size_t used = 0;
    dst[0] = 0;
    for (int i = 0; i < 8; i++) {
        char path[96], level[8], kind[24], bytes[24];
#define CACHE(what, into)                                                                          \
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/" what, i),            \
        machine_word(path, into, sizeof into)
        CACHE("level", level);
        CACHE("type", kind);
        CACHE("size", bytes);
#undef CACHE
        if (level[0] && used < size)
            used += (size_t)snprintf(dst + used, size - used, "%sL%s%s %s", used ? ", " : "", level,
                                     kind[0] == 'D' ? "d" : kind[0] == 'I' ? "i" : "", bytes);
    }
}

/* gcc's and clang's own words, and the options that change code. */
static void machine_build(struct bn_machine *m)
{
#if defined(__clang__)
    snprintf(m->compiler, sizeof m->compiler, "%s", __VERSION__);
#elif defined(__GNUC__)
    snprintf(m->compiler, sizeof m->compiler, "gcc %s", __VERSION__);
#endif
#ifdef BN_BUILD_FLAGS
    snprintf(m->flags, sizeof m->flags, "%s", BN_BUILD_FLAGS);
#endif
}

void bn_machine_look(struct bn_machine *m)
{
    struct hb_cpus cpus;
    struct utsname u;
    size_t used = 0;
    *m = (struct bn_machine){0};
    bn_cpu_name(m->cpu, sizeof m->cpu);
    if (uname(&u) == 0)
        snprintf(m->system, sizeof m->system, "%.32s %.48s %.32s", u.sysname, u.release, u.machine);
    machine_word("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", m->governor,
                 sizeof m->governor);
    if (!m->governor[0])
        snprintf(m->governor, sizeof m->governor, "not told");
    machine_caches(m->caches, sizeof m->caches);
    for (size_t i = 0; hearth_level_name(i); i++) {
        used += (size_t)snprintf(m->levels + used, sizeof m->levels - used, "%s%s", i ? " " : "",
                                 hearth_level_name(i));
        snprintf(m->level, sizeof m->level, "%s", hearth_level_name(i));
    }
    hb_os_cpus("", &cpus);
    m->cpus = cpus.n_cpus;
    m->cores = cpus.n_cores;
    m->quota_milli = cpus.quota_milli;
    m->memory_bytes = hb_os_memory_limit();
    machine_build(m);
}

void bn_machine_measure(struct bn_machine *m)
{
    m->n_peaks = 0;
    for (size_t i = 0; hearth_level_name(i) && m->n_peaks < BN_MOST_LEVELS; i++) {
        double int8, f32;
        bn_peaks(hearth_level_name(i), &int8, &f32);
        if (f32 > 0) {
            m->peak[m->n_peaks].level = hearth_level_name(i);
            m->peak[m->n_peaks].int8_gops = int8;
            m->peak[m->n_peaks++].f32_gflops = f32;
        }
    }
    m->read_gb_s[0] = bn_read_bandwidth(1);
    m->read_gb_s[1] = bn_read_bandwidth(m->cpus);
    m->core_to_core_ns = m->cpus > 1 ? bn_core_to_core_ns() : 0;
}
