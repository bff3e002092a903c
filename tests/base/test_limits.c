/* What a process may use, told by small files: machines laid out in a directory, a row each. */
#define _GNU_SOURCE
#include "test_support.h"
#include "base/os/hb_os.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/hearth-limits-XXXXXX";

static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = 0;
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Nothing but plain files and folders made by put. */
static void clear(void)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
    mkdir(root, 0700);
}

#define CPU "/sys/devices/system/cpu/"
#define SIBLINGS "/topology/thread_siblings_list"

struct file {
    const char *path, *text;
};

static const struct machine {
    const char *name;
    struct file files[20];
    struct hb_cpus want;
} machines[] = {
    {"four plain CPUs", {{CPU "online", "0-3\n"}}, {4, 4, 4, 0, 4}},
    {"two cores of two threads",
     {{CPU "online", "0-3\n"},
      {CPU "cpu0" SIBLINGS, "0,2\n"}, {CPU "cpu1" SIBLINGS, "1,3\n"},
      {CPU "cpu2" SIBLINGS, "0,2\n"}, {CPU "cpu3" SIBLINGS, "1,3\n"}},
     {4, 2, 2, 0, 2}},
    {"a cpuset with the second thread of one core and both of another",
     {{CPU "online", "0-3\n"}, {"/sys/fs/cgroup/cpuset.cpus.effective", "1-3\n"},
      {CPU "cpu0" SIBLINGS, "0,2\n"}, {CPU "cpu1" SIBLINGS, "1,3\n"},
      {CPU "cpu2" SIBLINGS, "0,2\n"}, {CPU "cpu3" SIBLINGS, "1,3\n"}},
     {3, 2, 2, 0, 2}},
    {"a hybrid x86: two fast cores of two threads, four small ones",
     {{CPU "online", "0-7\n"}, {"/sys/devices/cpu_core/cpus", "0-3\n"},
      {"/sys/devices/cpu_atom/cpus", "4-7\n"},
      {CPU "cpu0" SIBLINGS, "0-1\n"}, {CPU "cpu1" SIBLINGS, "0-1\n"},
      {CPU "cpu2" SIBLINGS, "2-3\n"}, {CPU "cpu3" SIBLINGS, "2-3\n"}},
     {8, 6, 2, 0, 2}},
    {"a hybrid whose cpuset has small cores only",
     {{CPU "online", "0-7\n"}, {"/sys/devices/cpu_core/cpus", "0-3\n"},
      {"/sys/fs/cgroup/cpuset.cpus.effective", "5-7\n"}},
     {3, 3, 3, 0, 3}},
    {"one prime, two middle, one little core",
     {{CPU "online", "0-3\n"}, {CPU "cpu0/cpu_capacity", "250\n"},
      {CPU "cpu1/cpu_capacity", "870\n"}, {CPU "cpu2/cpu_capacity", "870\n"},
      {CPU "cpu3/cpu_capacity", "1024\n"}},
     {4, 4, 3, 0, 3}},
    {"cgroup 2: half a CPU",
     {{CPU "online", "0-7\n"}, {"/proc/self/cgroup", "0::/\n"},
      {"/sys/fs/cgroup/cpu.max", "50000 100000\n"}},
     {8, 8, 8, 500, 1}},
    {"cgroup 2: one CPU", 
     {{CPU "online", "0-7\n"}, {"/sys/fs/cgroup/cpu.max", "100000 100000\n"}}, {8, 8, 8, 1000, 1}},
    {"cgroup 2: two and a half",
     {{CPU "online", "0-7\n"}, {"/sys/fs/cgroup/cpu.max", "250000 100000\n"}}, {8, 8, 8, 2500, 3}},
    {"cgroup 2: no quota",
     {{CPU "online", "0-7\n"}, {"/sys/fs/cgroup/cpu.max", "max 100000\n"}}, {8, 8, 8, 0, 8}},
    {"cgroup 2: the quota of a group above holds",
     {{CPU "online", "0-7\n"}, {"/proc/self/cgroup", "0::/a/b\n"},
      {"/sys/fs/cgroup/a/cpu.max", "200000 100000\n"},
      {"/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n"}},
     {8, 8, 8, 2000, 2}},
    {"cgroup 2: the host's path in a container",
     {{CPU "online", "0-7\n"}, {"/proc/self/cgroup", "0::/docker/0123\n"},
      {"/sys/fs/cgroup/cpu.max", "300000 100000\n"}},
     {8, 8, 8, 3000, 3}},
    {"cgroup 1: one and a half",
     {{CPU "online", "0-7\n"},
      {"/proc/self/cgroup", "5:cpuset:/x\n4:cpu,cpuacct:/a\n1:name=systemd:/\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"},
      {"/sys/fs/cgroup/cpuset/x/cpuset.effective_cpus", "0-2\n"}},
     {3, 3, 3, 1500, 2}},
    {"cgroup 1: no quota is -1",
     {{CPU "online", "0-1\n"}, {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
      {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}},
     {2, 2, 2, 0, 2}},
    {"nonsense in every file",
     {{CPU "online", "0-1\n"}, {"/sys/fs/cgroup/cpu.max", "-5 0\n"},
      {"/proc/self/cgroup", "::::\nx\n0::\n"}, {CPU "cpu0" SIBLINGS, "9999999-3,\n"},
      {"/sys/fs/cgroup/cpuset.cpus.effective", "7-2,x\n"}, {CPU "cpu0/cpu_capacity", "-1\n"}},
     {2, 2, 2, 0, 2}},
};

static void threads_follow_what_the_machine_gives(void **state)
{
    (void)state;
    for (size_t i = 0; i < HB_COUNT(machines); i++) {
        const struct machine *m = &machines[i];
        struct hb_cpus got;
        clear();
        for (size_t k = 0; k < HB_COUNT(m->files) && m->files[k].path; k++)
            put(m->files[k].path, m->files[k].text);
        hb_os_cpus(root, &got);
        if (memcmp(&got, &m->want, sizeof got) != 0)
            fail_msg("%s: %d CPUs, %d cores, %d fast, quota %d, default %d; expected %d %d %d %d %d",
                     m->name, got.n_cpus, got.n_cores, got.n_fast, got.quota_milli, got.n_default,
                     m->want.n_cpus, m->want.n_cores, m->want.n_fast, m->want.quota_milli,
                     m->want.n_default);
    }
}

static void the_least_memory_limit_of_all_groups_counts(void **state)
{
    (void)state;
    clear();
    assert_int_equal(hb_os_memory_limit_at(root), 0);
    put("/proc/self/cgroup", "4:memory:/a/b\n0::/c\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000000\n");
    put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "2000000\n");
    assert_int_equal(hb_os_memory_limit_at(root), 1000000);
    put("/sys/fs/cgroup/c/memory.max", "max\n");
    assert_int_equal(hb_os_memory_limit_at(root), 1000000);
    put("/sys/fs/cgroup/memory.max", "400000\n");
    assert_int_equal(hb_os_memory_limit_at(root), 400000);
}

static void this_machine_has_a_cpu(void **state)
{
    (void)state;
    struct hb_cpus c;
    hb_os_cpus("", &c);
    print_message("%d CPUs, %d cores, %d fast, quota %d/1000, default %d threads\n", c.n_cpus, c.n_cores,
                  c.n_fast, c.quota_milli, c.n_default);
    assert_true(c.n_default >= 1 && c.n_default <= c.n_cpus);
    assert_true(c.n_fast >= 1 && c.n_fast <= c.n_cores && c.n_cores <= c.n_cpus);
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    (void)state;
    clear();
    return rmdir(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_follow_what_the_machine_gives),
        cmocka_unit_test(the_least_memory_limit_of_all_groups_counts),
        cmocka_unit_test(this_machine_has_a_cpu),
    };
    return cmocka_run_group_tests(tests, make_root, drop_root);
}
